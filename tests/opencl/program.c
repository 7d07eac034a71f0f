/*
 * OpenCL conformance: programs from source, binary and IL; build, compile, link, options, includes, logs, callbacks.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include "t.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *const bad_source = "kernel void broken(global int *a) { a[0] = undeclared_name; }\n";
static const char *const set_source = "#ifndef VALUE\n#define VALUE 5\n#endif\n"
                                      "kernel void set(global int *a) { a[get_global_id(0)] = VALUE; }\n";

static cl_program from(const struct t_cl *cl, const char *source)
{
    return GET(clCreateProgramWithSource(cl->context, 1, &source, NULL, &t_error));
}

/* Runs kernel `set` of the program over 8 ints and prints them. */
static void run_set(const struct t_cl *cl, cl_program program)
{
    cl_mem buffer = t_ints(cl, 8);
    cl_kernel kernel = GET(clCreateKernel(program, "set", &t_error));
    size_t global = 8;

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    OK(clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    t_show_ints(cl, buffer, 8);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
}

static void show_build(const struct t_cl *cl, cl_program program)
{
    INFO(T_U32, CL_PROGRAM_BUILD_STATUS, clGetProgramBuildInfo, program, cl->device);
    INFO(T_STRING, CL_PROGRAM_BUILD_OPTIONS, clGetProgramBuildInfo, program, cl->device);
    INFO(T_U32, CL_PROGRAM_BINARY_TYPE, clGetProgramBuildInfo, program, cl->device);
    INFO(T_U64, CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE, clGetProgramBuildInfo, program, cl->device);
}

/* The log's text holds file names and colours of the native compiler: only what an application looks for is printed. */
static void show_log(const struct t_cl *cl, cl_program program, const char *word)
{
    size_t size = 0;

    OK(clGetProgramBuildInfo(program, cl->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size));
    char *log = calloc(1, size + 1);
    OK(clGetProgramBuildInfo(program, cl->device, CL_PROGRAM_BUILD_LOG, size, log, NULL));
    t_say("log empty %d, ends with its NUL %d, mentions %s %d", size <= 1, strlen(log) + 1 == size, word,
          strstr(log, word) != NULL);
    free(log);
}

static void info(void)
{
    struct t_cl cl = t_open();
    cl_program program = MAKE(clCreateProgramWithSource(cl.context, 1, (const char *[]){set_source}, NULL, &t_error));

    INFO(T_U32, CL_PROGRAM_REFERENCE_COUNT, clGetProgramInfo, program);
    INFO(T_HANDLE, CL_PROGRAM_CONTEXT, clGetProgramInfo, program);
    INFO(T_U32, CL_PROGRAM_NUM_DEVICES, clGetProgramInfo, program);
    INFO(T_HANDLE, CL_PROGRAM_DEVICES, clGetProgramInfo, program);
    INFO(T_STRING, CL_PROGRAM_SOURCE, clGetProgramInfo, program);
    INFO(T_U64, CL_PROGRAM_BINARY_SIZES, clGetProgramInfo, program);
    INFO(T_U64, CL_PROGRAM_NUM_KERNELS, clGetProgramInfo, program);
    INFO(T_STRING, CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, program);
    INFO(T_SIZE, CL_PROGRAM_IL, clGetProgramInfo, program);
    INFO(T_U32, CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT, clGetProgramInfo, program);
    INFO(T_U32, CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT, clGetProgramInfo, program);
    show_build(&cl, program);
    CALL(clBuildProgram(program, 1, &cl.device, NULL, NULL, NULL));
    INFO(T_SIZE, CL_PROGRAM_BINARY_SIZES, clGetProgramInfo, program);
    INFO(T_U64, CL_PROGRAM_NUM_KERNELS, clGetProgramInfo, program);
    INFO(T_STRING, CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, program);
    INFO_EDGES(CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, program);
    INFO_EDGES(CL_PROGRAM_BUILD_STATUS, clGetProgramBuildInfo, program, cl.device);
    show_build(&cl, program);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

/* Several strings, some with lengths, some ended by NUL, some both. */
static void sources(void)
{
    struct t_cl cl = t_open();
    const char *strings[] = {"kernel void set(", "global int *a) {GARBAGE AFTER THE LENGTH", "a[get_global_id(0)] = 4;",
                             "}\n"};
    size_t lengths[] = {0, 16, 0, 2};

    cl_program program = MAKE(clCreateProgramWithSource(cl.context, 4, strings, lengths, &t_error));
    INFO(T_STRING, CL_PROGRAM_SOURCE, clGetProgramInfo, program);
    CALL(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
    run_set(&cl, program);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void source_errors(void)
{
    struct t_cl cl = t_open();
    const char *strings[] = {set_source, NULL}, *empty = "";

    MAKE(clCreateProgramWithSource(NULL, 1, strings, NULL, &t_error));
    MAKE(clCreateProgramWithSource(cl.context, 0, strings, NULL, &t_error));
    /* No NULL list of strings: the native library reads it. */
    MAKE(clCreateProgramWithSource(cl.context, 2, strings, NULL, &t_error));
    cl_program program = MAKE(clCreateProgramWithSource(cl.context, 1, &empty, NULL, &t_error));
    CALL(clBuildProgram(program, 1, &cl.device, "", NULL, NULL));
    INFO(T_U64, CL_PROGRAM_NUM_KERNELS, clGetProgramInfo, program);
    OK(clReleaseProgram(program));
    CALL(clRetainProgram(NULL));
    CALL(clReleaseProgram(NULL));
    CALL(clGetProgramInfo(NULL, CL_PROGRAM_SOURCE, 0, NULL, NULL));
    CALL(clGetProgramBuildInfo(NULL, cl.device, CL_PROGRAM_BUILD_STATUS, 0, NULL, NULL));
    CALL(clBuildProgram(NULL, 0, NULL, NULL, NULL, NULL));
    t_close(&cl);
}

static void options(void)
{
    static const char *const all[] = {
        "",
        "-DVALUE=11",
        "-D VALUE=12",
        "-DVALUE=(6+7)",
        "  -DVALUE=14   -cl-fast-relaxed-math ",
        "-cl-std=CL1.2 -DVALUE=15",
        "-cl-std=CL3.0 -DVALUE=16",
        "-w -cl-mad-enable -cl-opt-disable -DVALUE=17",
        "-DVALUE=18 -UVALUE",
    };
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(all); i++) {
        cl_program program = from(&cl, set_source);
        t_say("-- '%s'", all[i]);
        if (CALL(clBuildProgram(program, 1, &cl.device, all[i], NULL, NULL)) == CL_SUCCESS)
            run_set(&cl, program);
        show_build(&cl, program);
        OK(clReleaseProgram(program));
    }
    t_close(&cl);
}

static void option_errors(void)
{
    static const char *const all[] = {"-no-such-option", "-cl-no-such-option", "-cl-std=CL9.9", "stray"};
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(all); i++) {
        cl_program program = from(&cl, set_source);
        t_say("-- '%s'", all[i]);
        CALL(clBuildProgram(program, 1, &cl.device, all[i], NULL, NULL));
        show_build(&cl, program);
        OK(clReleaseProgram(program));
    }
    t_close(&cl);
}

static void build_failure(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, bad_source);

    CALL(clBuildProgram(program, 1, &cl.device, "", NULL, NULL));
    show_build(&cl, program);
    show_log(&cl, program, "undeclared_name");
    MAKE(clCreateKernel(program, "broken", &t_error));
    OK(clReleaseProgram(program));
    program = from(&cl, "#warning take_care\nkernel void set(global int *a) { a[get_global_id(0)] = 3; }\n");
    CALL(clBuildProgram(program, 1, &cl.device, "", NULL, NULL));
    show_log(&cl, program, "take_care");
    run_set(&cl, program);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void build_errors(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source);
    int user = 0;

    CALL(clBuildProgram(program, 1, NULL, NULL, NULL, NULL));
    CALL(clBuildProgram(program, 0, &cl.device, NULL, NULL, NULL));
    CALL(clBuildProgram(program, 1, &cl.device, NULL, NULL, &user));
    CALL(clBuildProgram(program, 1, &cl.device, NULL, NULL, NULL));
    cl_kernel kernel = GET(clCreateKernel(program, "set", &t_error));
    CALL(clBuildProgram(program, 1, &cl.device, NULL, NULL, NULL)); /* a kernel is attached */
    OK(clReleaseKernel(kernel));
    CALL(clBuildProgram(program, 1, &cl.device, "-DVALUE=21", NULL, NULL));
    run_set(&cl, program);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void CL_CALLBACK on_built(cl_program program, void *user)
{
    t_log("built %s, handle same %d", (const char *)user, strcmp(t_handle(program), "program") == 0);
}

static void build_callback(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source);

    NAME(program);
    CALL(clBuildProgram(program, 1, &cl.device, "", on_built, "good"));
    t_log_wait(1);
    t_log_show(false);
    INFO(T_U32, CL_PROGRAM_BUILD_STATUS, clGetProgramBuildInfo, program, cl.device);
    run_set(&cl, program);
    OK(clReleaseProgram(program));
    program = from(&cl, bad_source);
    NAME(program);
    CALL(clBuildProgram(program, 1, &cl.device, "", on_built, "bad"));
    t_log_wait(1);
    t_log_show(false);
    INFO(T_U32, CL_PROGRAM_BUILD_STATUS, clGetProgramBuildInfo, program, cl.device);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void release_callback(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source);

    CALL(clSetProgramReleaseCallback(program, on_built, "first"));
    CALL(clSetProgramReleaseCallback(NULL, on_built, "first"));
    CALL(clSetProgramReleaseCallback(program, NULL, NULL));
    OK(clReleaseProgram(program));
    t_log_show(false);
    t_close(&cl);
}

static void compile_and_link(void)
{
    struct t_cl cl = t_open();
    cl_program main_part = from(&cl, "#include \"value.h\"\n#include \"sub/value.h\"\nint other(int);\n"
                                     "kernel void set(global int *a) { a[get_global_id(0)] = other(A + B); }\n");
    cl_program other_part = from(&cl, "int other(int x) { return 2 * x; }\n");
    cl_program headers[] = {from(&cl, "#define A 3\n"), from(&cl, "#define B 40\n")};
    const char *names[] = {"value.h", "sub/value.h"};

    CALL(clCompileProgram(main_part, 1, &cl.device, "", 2, headers, names, NULL, NULL));
    show_build(&cl, main_part);
    CALL(clCompileProgram(other_part, 1, &cl.device, "-DUNUSED", 0, NULL, NULL, on_built, "other part"));
    t_log_wait(1);
    t_log_show(false);
    MAKE(clCreateKernel(main_part, "set", &t_error));
    cl_program parts[] = {main_part, other_part};
    cl_program linked = MAKE(clLinkProgram(cl.context, 1, &cl.device, "", 2, parts, NULL, NULL, &t_error));
    show_build(&cl, linked);
    INFO(T_STRING, CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, linked);
    INFO(T_STRING, CL_PROGRAM_SOURCE, clGetProgramInfo, linked);
    run_set(&cl, linked);
    OK(clReleaseProgram(linked));
    linked = MAKE(clLinkProgram(cl.context, 1, &cl.device, "-create-library", 1, &other_part, NULL, NULL, &t_error));
    show_build(&cl, linked);
    cl_program with_library[] = {main_part, linked};
    cl_program whole = MAKE(clLinkProgram(cl.context, 0, NULL, NULL, 2, with_library, NULL, NULL, &t_error));
    run_set(&cl, whole);
    OK(clReleaseProgram(whole));
    OK(clReleaseProgram(linked));
    for (int i = 0; i < 2; i++) {
        OK(clReleaseProgram(headers[i]));
        OK(clReleaseProgram(parts[i]));
    }
    t_close(&cl);
}

static void compile_errors(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source), bad = from(&cl, bad_source),
               missing = from(&cl, "#include \"nowhere.h\"\n");
    const char *name = "x.h";

    CALL(clCompileProgram(NULL, 0, NULL, "", 0, NULL, NULL, NULL, NULL));
    CALL(clCompileProgram(bad, 1, &cl.device, "", 0, NULL, NULL, NULL, NULL));
    show_build(&cl, bad);
    show_log(&cl, bad, "undeclared_name");
    CALL(clCompileProgram(missing, 1, &cl.device, "", 0, NULL, NULL, NULL, NULL));
    show_log(&cl, missing, "nowhere.h");
    CALL(clCompileProgram(program, 1, &cl.device, "-no-such-option", 0, NULL, NULL, NULL, NULL));
    /* No list of headers that is NULL though it has a length: the native library reads it. */
    CALL(clCompileProgram(program, 1, &cl.device, "", 0, &bad, &name, NULL, NULL));
    MAKE(clLinkProgram(cl.context, 1, &cl.device, "", 0, NULL, NULL, NULL, &t_error));
    MAKE(clLinkProgram(NULL, 1, &cl.device, "", 1, &program, NULL, NULL, &t_error));
    OK(clReleaseProgram(program));
    OK(clReleaseProgram(bad));
    OK(clReleaseProgram(missing));
    t_close(&cl);
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file);
    fputs(text, file);
    fclose(file);
}

/* include/value.h includes nested/more.h beside it, which includes ../base.h. */
static void make_headers(void)
{
    mkdir("include", 0755);
    mkdir("include/nested", 0755);
    mkdir("a directory", 0755);
    make_file("include/value.h", "#include \"nested/more.h\"\n#define VALUE (MORE + BASE)\n");
    make_file("include/nested/more.h", "#include \"../base.h\"\n#define MORE 100\n");
    make_file("include/base.h", "#define BASE 7\n");
    make_file("a directory/spaced.h", "#define VALUE 55\n");
}

static void build_and_run(const struct t_cl *cl, const char *source, const char *what, const char *build_options)
{
    cl_program program = from(cl, source);
    cl_int error = clBuildProgram(program, 1, &cl->device, build_options, NULL, NULL);

    t_say("%s -> %s", what, t_error_name(error));
    if (error == CL_SUCCESS)
        run_set(cl, program);
    OK(clReleaseProgram(program));
}

static void includes(void)
{
    static const char *const source = "#include \"value.h\"\n"
                                      "kernel void set(global int *a) { a[get_global_id(0)] = VALUE; }\n";
    static const char *const spaced = "#include <spaced.h>\n"
                                      "kernel void set(global int *a) { a[get_global_id(0)] = VALUE + 1; }\n";
    struct t_cl cl = t_open();
    char directory[256], absolute[300];

    make_headers();
    CHECK(getcwd(directory, sizeof directory));
    snprintf(absolute, sizeof absolute, "-I%s/include", directory);
    build_and_run(&cl, source, "absolute", absolute);
    snprintf(absolute, sizeof absolute, "-I %s/include", directory);
    build_and_run(&cl, source, "absolute with a space", absolute);
    build_and_run(&cl, source, "-I include", "-I include");
    build_and_run(&cl, source, "-Iinclude", "-Iinclude");
    build_and_run(&cl, source, "-I ./include/../include", "-I ./include/../include");
    build_and_run(&cl, source, "-I nowhere -I include", "-I nowhere -I include");
    build_and_run(&cl, source, "no path", "");
    build_and_run(&cl, source, "-I nowhere", "-I nowhere");
    build_and_run(&cl, spaced, "-I \"a directory\"", "-I \"a directory\"");
    build_and_run(&cl,
                  "#include \"include/value.h\"\nkernel void set(global int *a) { a[get_global_id(0)] = VALUE; }\n",
                  "from the working directory", "-I.");
    t_close(&cl);
}

/* A header changed between two builds is read again. */
static void include_changes(void)
{
    static const char *const source = "#include \"changing.h\"\n"
                                      "kernel void set(global int *a) { a[get_global_id(0)] = VALUE; }\n";
    struct t_cl cl = t_open();

    make_file("changing.h", "#define VALUE 1\n");
    build_and_run(&cl, source, "first", "-I.");
    make_file("changing.h", "#define VALUE 2\n");
    build_and_run(&cl, source, "second", "-I.");
    t_close(&cl);
}

static unsigned char *binary_of(cl_program program, size_t *size)
{
    OK(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *size, size, NULL));
    unsigned char *binary = calloc(1, *size);
    OK(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL));
    return binary;
}

static void binary_round_trip(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source);
    cl_int status = 77;
    size_t size = 0, list_size = 0;

    OK(clBuildProgram(program, 1, &cl.device, "-DVALUE=31", NULL, NULL));
    unsigned char *binary = binary_of(program, &size);
    OK(clGetProgramInfo(program, CL_PROGRAM_BINARIES, 0, NULL, &list_size));
    t_say("binary empty %d, list of %zu bytes", size == 0, list_size);
    OK(clReleaseProgram(program));
    program = MAKE(clCreateProgramWithBinary(cl.context, 1, &cl.device, &size, (const unsigned char *[]){binary},
                                             &status, &t_error));
    t_say("binary status %s", t_error_name(status));
    INFO(T_STRING, CL_PROGRAM_SOURCE, clGetProgramInfo, program);
    show_build(&cl, program);
    CALL(clBuildProgram(program, 1, &cl.device, "", NULL, NULL));
    show_build(&cl, program);
    INFO(T_STRING, CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, program);
    run_set(&cl, program);
    free(binary);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

/* (A NULL in the list of clGetProgramInfo(CL_PROGRAM_BINARIES) would say that a device's binary is not wanted; the
 * native library writes to it.) */
static void binary_errors(void)
{
    struct t_cl cl = t_open();
    const unsigned char junk[64] = "this is no binary";
    const unsigned char *junks[] = {junk, NULL};
    size_t sizes[] = {sizeof junk, 0};
    cl_int status = 77;

    MAKE(clCreateProgramWithBinary(cl.context, 1, &cl.device, sizes, junks, &status, &t_error));
    t_say("binary status %s", t_error_name(status));
    MAKE(clCreateProgramWithBinary(NULL, 1, &cl.device, sizes, junks, &status, &t_error));
    MAKE(clCreateProgramWithBinary(cl.context, 0, &cl.device, sizes, junks, &status, &t_error));
    MAKE(clCreateProgramWithBinary(cl.context, 1, NULL, sizes, junks, &status, &t_error));
    MAKE(clCreateProgramWithBinary(cl.context, 1, &cl.device, NULL, junks, &status, &t_error));
    /* No NULL list of binaries: the native library reads it. */
    status = 77;
    MAKE(clCreateProgramWithBinary(cl.context, 1, &cl.device, sizes, junks + 1, &status, &t_error));
    MAKE(clCreateProgramWithBinary(cl.context, 1, &cl.device, sizes + 1, junks, &status, &t_error));
    t_close(&cl);
}

static void il(void)
{
    struct t_cl cl = t_open();
    const cl_uint junk[8] = {1, 2, 3}, spirv_magic[8] = {0x07230203, 0x00010000, 0, 1, 0};

    MAKE(clCreateProgramWithIL(cl.context, junk, sizeof junk, &t_error));
    MAKE(clCreateProgramWithIL(cl.context, spirv_magic, sizeof spirv_magic, &t_error));
    MAKE(clCreateProgramWithIL(cl.context, NULL, sizeof junk, &t_error));
    MAKE(clCreateProgramWithIL(cl.context, junk, 0, &t_error));
    MAKE(clCreateProgramWithIL(NULL, junk, sizeof junk, &t_error));
    t_close(&cl);
}

static void specialization_constant(void)
{
    struct t_cl cl = t_open();
    cl_program program = from(&cl, set_source);
    cl_int value = 1;

    OK(clBuildProgram(program, 1, &cl.device, "", NULL, NULL)); /* natively an assertion fails before */
    CALL(clSetProgramSpecializationConstant(program, 0, sizeof value, &value));
    CALL(clSetProgramSpecializationConstant(NULL, 0, sizeof value, &value));
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void program_scope_constant(void)
{
    struct t_cl cl = t_open();
    cl_program program =
        from(&cl, "constant int table[4] = {5, 6, 7, 8};\n"
                  "kernel void set(global int *a) { a[get_global_id(0)] = table[get_global_id(0) % 4]; }\n");

    OK(clBuildProgram(program, 1, &cl.device, NULL, NULL, NULL));
    run_set(&cl, program);
    OK(clReleaseProgram(program));
    t_close(&cl);
}

T_MAIN(T(info), T(sources), T(source_errors), T(options), T(option_errors), T(build_failure), T(build_errors),
       T(build_callback), T(release_callback), T(compile_and_link), T(compile_errors), T(includes), T(include_changes),
       T(binary_round_trip), T(binary_errors), T(il), T(specialization_constant), T(program_scope_constant))
