#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the Lapis compiler, as seen from its command line. Prints TAP and a summary.

    run.py HIRA [--update]     run from anywhere; --update rewrites the golden files: read the difference before committing

errors/NAME.lapis   `hira spec check` fails and prints NAME.err: every message with its line, column, caret and hints
ok/NAME.lapis       compiles; NAME.err, NAME.explain, NAME.coverage (if they exist) hold what is printed
format/NAME.lapis   `hira spec format` prints NAME.out
every .lapis file that parses, here and in specs/: formatting is a fixpoint, and changes nothing that is known
docs/lapis.md       each ```lapis block compiles, and the grammar's words are all described
"""
import os
import re
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ARGS = [a for a in sys.argv[1:] if a != "--update"]
UPDATE = "--update" in sys.argv
HIRA = os.path.abspath(ARGS[0]) if ARGS else ""
MINIMUM = 60  # fewer tests than this means that some were lost

count = failed = 0


def report(ok, name, detail=""):
    global count, failed
    count += 1
    failed += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {name}")
    if not ok:
        for line in detail.splitlines()[:60]:
            print("    # " + line)


def hira(*args, cwd=HERE, stdin=None):
    run = subprocess.run([HIRA, *args], cwd=cwd, input=stdin, capture_output=True, timeout=120)
    return run.returncode, run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace")


def difference(expected, got):
    import difflib
    return "\n".join(difflib.unified_diff(expected.splitlines(), got.splitlines(), "expected", "got", lineterm=""))


def golden(path, got):
    """Compares with a file; the empty string stands for a file that is not there."""
    full = os.path.join(HERE, path)
    if UPDATE and (got or os.path.exists(full)):
        with open(full, "w") as f:
            f.write(got)
    expected = open(full).read() if os.path.exists(full) else ""
    return "" if expected == got else difference(expected, got)


def specs(folder):
    return sorted(os.path.join(folder, f) for f in os.listdir(os.path.join(HERE, folder)) if f.endswith(".lapis"))


def test_errors():
    for spec in specs("errors"):
        status, out, err = hira("spec", "check", "-I", ".", spec)
        detail = golden(spec.replace(".lapis", ".err"), err)
        report(status == 1 and not out and not detail, spec, f"exit status {status}\n{detail}")


def test_ok():
    for spec in specs("ok"):
        status, out, err = hira("spec", "check", "-I", ".", spec)
        detail = golden(spec.replace(".lapis", ".err"), err)
        report(status == 0 and not detail, spec, f"exit status {status}\n{err}\n{detail}")
        for verb in ("explain", "coverage"):
            path = spec.replace(".lapis", "." + verb)
            if os.path.exists(os.path.join(HERE, path)):
                _, out, _ = hira("spec", verb, "-I", ".", spec)
                detail = golden(path, out)
                report(not detail, path, detail)


def without_places(text):
    return re.sub(r"[,:] ?[^,:\[\]\n]*:\d+:\d+\]?|:\d+", "", text)


def check_fixpoint(spec, relative, meaning=True):
    """Printing what was printed prints it again, and the compiler knows the same of it."""
    status, once, err = hira("spec", "format", spec, cwd=HERE)
    if status != 0:
        report(False, f"{relative} formats", err)
        return
    folder = os.path.dirname(os.path.join(HERE, spec))
    with tempfile.NamedTemporaryFile("w", suffix=".lapis", dir=folder, prefix="fixpoint-", delete=False) as f:
        f.write(once)
    try:
        status, twice, _ = hira("spec", "format", f.name)
        report(status == 0 and once == twice, f"{relative} formats to a fixpoint", difference(once, twice))
        if not meaning:
            return
        before = hira("spec", "explain", "-I", ".", spec)[1]
        after = hira("spec", "explain", "-I", ".", f.name)[1]
        report(bool(before) and without_places(before) == without_places(after), f"{relative} means the same formatted",
               difference(without_places(before), without_places(after)))
    finally:
        os.unlink(f.name)


def is_whole(spec):
    """A part that others include means nothing alone."""
    with open(spec, encoding="utf-8") as f:
        return re.search(r"^api ", f.read(), re.M) is not None


def shipped():
    for folder, _, files in os.walk(os.path.join(ROOT, "specs")):
        for f in sorted(files):
            if f.endswith(".lapis"):
                yield os.path.join(folder, f)
    for folder in ("tests/nullapi",):
        if os.path.isdir(os.path.join(ROOT, folder)):
            for f in sorted(os.listdir(os.path.join(ROOT, folder))):
                if f.endswith(".lapis"):
                    yield os.path.join(ROOT, folder, f)


def test_format():
    for spec in specs("format"):
        status, out, err = hira("spec", "format", spec)
        detail = golden(spec.replace(".lapis", ".out"), out)
        report(status == 0 and not detail, spec, err + detail)
    for spec in specs("format"):
        check_fixpoint(spec, spec, meaning=False)
    for spec in specs("ok"):
        check_fixpoint(spec, spec)
    for spec in shipped():
        check_fixpoint(os.path.relpath(spec, HERE), os.path.relpath(spec, ROOT), meaning=is_whole(spec))


def test_format_verb():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.lapis")
        with open(path, "w") as f:
            f.write("function   f{sync;}\n")
        report(hira("spec", "format", "--check", path)[0] == 1, "format --check tells what is not canonical")
        report(hira("spec", "format", "--write", path)[0] == 0, "format --write")
        first = os.stat(path)
        report(open(path).read() == "function f { sync; }\n", "format --write wrote")
        report(hira("spec", "format", "--check", path)[0] == 0, "format --check is content")
        hira("spec", "format", "--write", path)
        second = os.stat(path)
        report((first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns), "an unchanged file is left alone")


def test_robustness():
    """Every beginning of a specification, and every byte of it replaced, ends in an orderly way."""
    bad = []
    for name in ("ok/everything.lapis", "errors/syntax.lapis"):
        text = open(os.path.join(HERE, name), "rb").read()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.lapis")
            for i in range(0, len(text), max(1, len(text) // 150)):
                for variant in (text[:i], text[:i] + b"}" + text[i:], text[:i] + b'("' + text[i + 1:]):
                    with open(path, "wb") as f:
                        f.write(variant)
                    status, _, err = hira("spec", "format", "--check", path)
                    if status not in (0, 1):
                        bad.append(f"{name} at {i}: status {status} {err[:200]}")
    report(not bad, "damaged specifications end in an orderly way", "\n".join(bad))
    for text in (b"{" * 5000, b"function f " + b"{ parameter(x) " * 3000, b"if (" * 3000, b"function f { " + b"if (1) " * 3000):
        with tempfile.NamedTemporaryFile(suffix=".lapis") as f:
            f.write(text)
            f.flush()
            status = hira("spec", "format", f.name)[0]
            report(status in (0, 1), f"deep nesting of {text[:12].decode()!r}", f"status {status}")


def test_manual():
    text = open(os.path.join(ROOT, "docs", "lapis.md")).read()
    blocks = [(m.start(), m.group(1)) for m in re.finditer(r"^```lapis\n(.*?)^```", text, re.M | re.S)]
    for start, block in blocks:
        line = text.count("\n", 0, start) + 2
        if "#include" not in block:
            block = '#include "small.h"\n' + block
        with tempfile.NamedTemporaryFile("w", suffix=".lapis", dir=HERE, prefix="manual-") as f:
            f.write(block)
            f.flush()
            status, _, err = hira("spec", "check", "-I", ".", f.name)
        report(status == 0, f"docs/lapis.md:{line} compiles", err)
    report(len(blocks) >= 15, f"the manual has {len(blocks)} examples")
    grammar = open(os.path.join(ROOT, "src", "lapis", "grammar.c")).read()
    words = sorted(set(re.findall(r'^\s*\{LAPIS_W_\w+, "([^"]+)"', grammar, re.M)))
    declare = open(os.path.join(ROOT, "src", "lapis", "declare.c")).read()
    words += re.findall(r'^    \{"(\w+)", \d+, \d+, ', declare, re.M)
    examples = "\n".join(b for _, b in blocks)
    for word in words:
        pattern = r"\b" + re.escape(word) + r"\b"
        described = re.search(r"`[^`]*" + pattern + r"[^`]*`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
        report(bool(described) and bool(re.search(pattern, examples)), f"the manual describes and shows '{word}'",
               "not described" if not described else "no example")


def test_usage():
    report(hira()[0] == 2, "no verb: usage")
    report(hira("help")[0] == 0, "help")
    for words in (("help", "spec", "init"), ("spec", "init", "--help"), ("spec", "init", "-h")):
        status, out, _ = hira(*words)
        report(status == 0 and "-o FILE" in out, f"hira {' '.join(words)}: what it takes", out)
    for words in (("spec", "--help"), ("help", "spec")):
        status, out, _ = hira(*words)
        report(status == 0 and "hira spec check" in out and "hira run" not in out, f"hira {' '.join(words)}: its verbs", out)
    status, out, err = hira("spec")
    report(status == 2 and not out and "hira spec check" in err, "a group alone: usage, its verbs", err)
    report(hira("spec", "chekc", "x")[0] == 2, "unknown verb: usage")
    report(hira("spec", "check")[0] == 2, "no specification: usage")
    for words, says in ((("spec", "check", "-Z", "x"), "there is no option '-Z'"), (("build", "--zz"), "there is no option '--zz'"),
                        (("spec", "coverage", "--zz", "x"), "there is no option '--zz'"), (("spec", "init", "-I"), "-I needs a value"),
                        (("spec", "explain", "-Z"), "there is no option '-Z'"), (("spec", "format", "--zz"), "there is no option '--zz'")):
        status, out, err = hira(*words)
        verb = " ".join(w for w in words if w in ("spec", "build", "check", "coverage", "init", "explain", "format"))
        report(status == 2 and not out and err == f"hira {verb}: {says}\nhira {verb} --help tells what it takes\n",
               f"hira {' '.join(words)}: one clear line", err)
    for verb in ("check", "explain", "coverage"):
        report("-I DIR" in hira("spec", verb, "--help")[1], f"hira spec {verb} --help lists -I and -D")
    status, _, err = hira("spec", "check", "no-such.lapis")
    report(status == 1 and "no-such.lapis" in err and "No such file" in err, "a missing file is named", err)
    status, out, _ = hira("spec", "coverage", "--json", "-I", ".", "ok/everything.lapis")
    try:
        import json
        value = json.loads(out)
        ok = value["functions"] == sum(value[k] for k in ("inferred", "annotated", "unsupported", "incomplete"))
        ok = ok and value["types"] == sum(value["types_" + k] for k in ("lost", "made", "found", "command"))
        ok = ok and sorted(value["lost"]) == sorted(k for k, v in value["anew"].items() if v == "lost") and value["lost"]
    except (ValueError, KeyError) as error:
        ok, out = False, str(error)
    report(ok, "coverage --json adds up", out)
    report("\033" not in hira("spec", "check", "-I", ".", "errors/syntax.lapis")[2], "no colour without a terminal")


def test_init():
    with tempfile.TemporaryDirectory() as folder:
        def init(text):
            with open(os.path.join(folder, "a.h"), "w") as f:
                f.write(text)
            return hira("spec", "init", "a.h", cwd=folder)
        status, out, err = init("int f(int a\n")
        report(status == 1 and "a.h: error: behind the end of the headers: expected ')'" in err and "hira-headers" not in err,
               "spec init: what a header does not end is said of the header", err)
        status, out, err = init("#define A 1\n")
        report(status == 0 and "a.h: warning: the header declares no functions" in err, "spec init warns of a header without functions", err)
        status, _, err = hira("spec", "init", "no-such.h", cwd=folder)
        report(status == 1 and "0 folders" not in err and "1 folders" not in err, "a missing header, in the right number", err)


def small_files():
    """As on a full disk: larger ones cannot be written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))


def test_full_disk():
    with tempfile.TemporaryDirectory() as folder:
        for old in (False, True):
            out = os.path.join(folder, "stack")
            if old:
                hira("build", "-I", ".", "-o", out, "ok/replay.lapis")
            before = snapshot(out)
            run = subprocess.run([HIRA, "build", "-I", ".", "-o", out, "ok/everything.lapis"], cwd=HERE, capture_output=True,
                                 timeout=120, preexec_fn=small_files, restore_signals=False)
            report(run.returncode == 1 and b"cannot write" in run.stderr and snapshot(out) == before,
                   "no room: " + ("what was there stays" if old else "nothing is left"), run.stderr.decode())


def snapshot(folder):
    """Name -> contents, and what tells whether the file was touched."""
    files = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        stat = os.stat(path)
        files[name] = (open(path, "rb").read(), stat.st_ino, stat.st_mtime_ns)
    return files


def test_build():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "stack")
        status, _, _ = hira("build", "-I", ".", "-o", out, "errors/names.lapis")
        report(status == 1 and not os.path.exists(out), "nothing is built from a specification with errors")
        status, _, err = hira("build", "-I", ".", "-o", out, "ok/everything.lapis")
        report(status == 0 and os.path.isdir(out), "a specification without errors is built", err)
        first = snapshot(out)
        hira("build", "-I", ".", "-o", out, "ok/everything.lapis")
        report(bool(first) and first == snapshot(out), "building again changes nothing")
        other = os.path.join(folder, "other")
        hira("build", "-I", ".", "-o", other, "ok/everything.lapis")
        status, _, err = hira("build", "-I", ".", "-o", os.path.join(folder, "a/b/c/"), "ok/everything.lapis")
        report(status == 0 and os.path.exists(os.path.join(folder, "a/b/c/guest.c")), "build makes the folders above, too", err)
        makefile = first["Makefile"][0].decode()
        report("$(HIRA)/lib/hira/libhira-guest.a" in makefile and "$(HIRA)/lib/hira/libhira-server.a" in makefile and
               "\nclean:\n" in makefile, "the Makefile goes by Hira's libraries, and cleans", makefile)
        same = {k: v[0] for k, v in first.items()} == {k: v[0] for k, v in snapshot(other).items()}
        report(same, "the same specification gives the same bytes")


VALUES_H = """
#include <stdint.h>
typedef int32_t va_error; typedef uint64_t va_flags, va_other; typedef uint32_t va_kind;
typedef enum { VA_RED, VA_GREEN = 7 } va_colour;
enum va_mode_flags { VA_A = 1, VA_B = 2 };

/* Error Codes */
#define VA_OK 0
#define VA_WRONG -3
#define VA_TEXT "none"

/* va_flags, va_other - bitfield */
#define VA_READ (1 << 0)
/* reserved (1 << 1) */
#define VA_WRITE (1 << 2)
#define VA_BOTH (VA_READ | VA_WRITE)
#ifdef VA_LATER
#define VA_LATER_ONE (1 << 3)
#endif

/* something else */
#define VA_LIMIT 9

/* va_kind */
#define VA_KIND(x) (x)
#define VA_SIZE sizeof(int)
#define VA_PLAIN 1u
va_error vaDo(va_flags flags, va_other other, va_kind kind, va_colour colour, enum va_mode_flags mode, uint32_t n);
"""


def test_value_names():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "va.h"), "w") as f:
            f.write(VALUES_H)
        with open(os.path.join(folder, "va.lapis"), "w") as f:
            f.write('#include "va.h"\napi va { library "libva.so.1"; vendor "libvendor.so"; }\nfunctions(*) { success(VA_OK); failure(VA_WRONG); }\n')
        status, _, err = hira("build", "-I", folder, "-o", os.path.join(folder, "out"), os.path.join(folder, "va.lapis"))
        report(status == 0, "a specification with named values is built", err)
        with open(os.path.join(folder, "out", "server.c")) as f:
            text = f.read()
    sets = {}
    for number, names in re.findall(r"constants_(\d+)_list\[\] = \{(.*?)\};", text, re.S):
        sets[" ".join(re.findall(r"C\((\w+)\)", names))] = f"constants_{number}"
    want = ["VA_OK VA_WRONG", "VA_READ VA_WRITE VA_BOTH", "VA_PLAIN", "VA_RED VA_GREEN", "VA_A VA_B"]
    flags = "VA_READ VA_WRITE VA_BOTH"
    report(set(sets) == set(want), "values are called what the header calls them", str(sets))
    call = re.search(r'hira_trace_call\(s, "(.*?)", (.*)\);', text)
    report(call and call.group(1) == "c:flags c:other c:kind c:colour c:mode u:n", "integers are told by names", str(call and call.groups()))
    sums = set(re.findall(r"hira_constants (\w+) = \{\w+, \d+, true\}", text))
    report(sets.get(flags) in sums and sets.get("VA_A VA_B") in sums and sets.get("VA_RED VA_GREEN") not in sums, "flags are sums", str(sums))
    report(f".errors = &{sets.get('VA_OK VA_WRONG')}," in text, "error codes are what functions return")


def main():
    if not HIRA:
        print(__doc__)
        return 2
    for test in (test_usage, test_errors, test_ok, test_format, test_format_verb, test_robustness, test_manual, test_init,
                 test_build, test_value_names, test_full_disk):
        test()
    print(f"1..{count}")
    enough = count >= MINIMUM
    print(f"# {count} tests, {count - failed} passed, {failed} failed" + ("" if enough else f", fewer than {MINIMUM} ran"))
    return 0 if failed == 0 and enough else 1


sys.exit(main())
