/*
 * isapop's measures, by the study's worked examples, by brute force over small random instances, and by what the
 * shipped popularity data is known to say.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <unistd.h>

#include "model.h"
#include "plan.h"
#include "popcon.h"
#include "supported.h"
#include "tests/tap.h"

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

/* ---- the worked examples ---- */

static void examples(void)
{
    struct model *m = model_create(3);
    bit_set(model_add(m, "a", 0.6)->units, 0);
    bit_set(model_add(m, "b", 0.8)->units, 0);
    model_measure(m);
    CHECK(near(m->units[0].importance, 0.92, 1e-12));
    CHECK(near(m->units[0].order, -log10(0.4) - log10(0.2), 1e-12));
    tap_case("users of 60 %% and 80 %% make an importance of 92 %%");
    model_destroy(m);

    /* (0.6 + 0.8) of the sum 5 */
    m = model_create(2);
    bit_set(model_add(m, "a", 0.6)->units, 0);
    bit_set(model_add(m, "b", 0.8)->units, 0);
    for (int i = 0; i < 4; i++)
        bit_set(model_add(m, "other", 0.9)->units, 1);
    model_measure(m);
    HIRA_AUTOFREE uint64_t *supported = bits_create(m);
    bit_set(supported, 0);
    CHECK(near(model_completeness(m, supported).weighted, 0.28, 1e-12));
    CHECK(near(model_completeness(m, supported).unweighted, 2.0 / 6, 1e-12));
    tap_case("(0.6 + 0.8) of 5 make a completeness of 28 %%");
    model_destroy(m);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static void everywhere(const char *folder)
{
    struct popcon p;
    HIRA_AUTOFREE char *path = isa_printf("%s/everywhere", folder);
    write_file(path, "#rank name inst\n1 dpkg 1000\n2 bash 999\n3 rare 1\n0 Total 1000\n");
    CHECK(popcon_read(&p, path, 0) == 0 && p.submissions == 1000 && p.everywhere == 1);
    struct model *m = model_create(1);
    bit_set(model_add(m, "dpkg", popcon_share(&p, popcon_find(&p, "dpkg")->installations))->units, 0);
    model_measure(m);
    CHECK(isfinite(m->units[0].order) && near(m->units[0].order, log10(2000), 1e-6));
    CHECK(m->units[0].importance < 1);
    tap_case("a package that everybody has leaves the order finite");
    model_destroy(m);
    popcon_fini(&p);
}

/* ---- popularity files ---- */

static size_t at_least(const struct popcon *p, double share)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += (double)p->rows[i].installations / (double)p->submissions >= share;
    return n;
}

static void shipped(const char *path)
{
    static const struct {
        double share;
        size_t rows;
    } known[] = {{0.9, 127}, {0.5, 268}, {0.1, 545}, {0.01, 1454}, {0.001, 3673}};
    struct popcon p;
    double sum = 0;
    if (CHECK(popcon_read(&p, path, 0) == 0)) {
        for (size_t i = 0; i < p.n; i++)
            sum += (double)p.rows[i].installations / (double)p.submissions;
        CHECK(p.n == 9332 && p.submissions == 2963664);
        CHECK(near(sum, 330.827, 0.0005));
        for (size_t i = 0; i < HIRA_ARRAY_SIZE(known); i++)
            CHECK(at_least(&p, known[i].share) == known[i].rows);
        popcon_fini(&p);
    }
    tap_case("the shipped data: 9,332 rows, sum of shares 330.827, rows above five shares");
}

static void formats(const char *folder)
{
    static const struct {
        const char *name, *text;
        uint64_t submissions, bash;
    } files[] = {
        {"csv", "package,installations\nbash,90\n\"vim\",50\n", 90, 90},
        {"by_inst with sums",
         "#rank name inst vote old recent no-files (maintainer)\n1 dpkg 100 90 1 2 3 (x)\n2 bash 99 90 1 2 3 (x)\n3 "
         "vim 1 0 0 0 0 (x)\n"
         "-----------\n3 Total 200 180 2 4 6\n",
         100, 99},
        {"submissions in a comment", "# 500 submissions\n1 bash 90\n", 500, 90},
        {"total as submissions", "1 bash 90\n2 vim 80\n3 emacs 10\n0 Total 1000\n", 1000, 90},
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(files); i++) {
        struct popcon p;
        HIRA_AUTOFREE char *path = isa_printf("%s/popcon-%zu", folder, i);
        write_file(path, files[i].text);
        if (CHECK(popcon_read(&p, path, 0) == 0)) {
            const struct popcon_row *row = popcon_find(&p, "bash");
            CHECK(p.submissions == files[i].submissions);
            CHECK(row && row->installations == files[i].bash);
            popcon_fini(&p);
        }
        tap_case("popularity: %s", files[i].name);
    }
    HIRA_AUTOFREE char *path = isa_printf("%s/popcon-none", folder);
    struct popcon p;
    write_file(path, "nothing here\n");
    CHECK(popcon_read(&p, path, 0) < 0);
    tap_case("popularity: a file without a row is refused");
}

/* ---- plans, against brute force ---- */

static struct model *random_model(unsigned long long *state, size_t n_units, size_t n_members)
{
    struct model *m = model_create(n_units);
    for (size_t i = 0; i < n_members; i++) {
        struct member *one = model_add(m, "p", (double)(1 + tap_random(state) % 1000) / 1001);
        for (size_t k = 0, n = 1 + tap_random(state) % 4; k < n; k++)
            bit_set(one->units, tap_random(state) % n_units);
    }
    model_measure(m);
    return m;
}

/* The best completeness of any set of k units. */
static void optimum(const struct model *m, double *ret)
{
    for (uint64_t set = 0; set < 1ull << m->n_units; set++) {
        int k = __builtin_popcountll(set);
        double c = model_completeness(m, &set).weighted;
        ret[k] = c > ret[k] ? c : ret[k];
    }
}

/* The best gain for each new unit that filling the whole gap of some package has. */
static double best_ratio(const struct model *m, uint64_t supported)
{
    double best = 0, before = model_completeness(m, &supported).weighted;
    for (size_t i = 0; i < m->n_members; i++) {
        uint64_t with = supported | m->members[i].units[0];
        int n = __builtin_popcountll(with & ~supported);
        if (n)
            best = fmax(best, (model_completeness(m, &with).weighted - before) / n);
    }
    return best;
}

/* Every step's completeness is what counting from scratch says, no unit comes twice, the last step completes
 * everything. */
static void check_plan(const struct model *m, const struct plan *plan, const double *best)
{
    uint64_t supported = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *s = &plan->steps[i];
        for (uint32_t k = s->first; k < s->first + s->n; k++) {
            CHECK(!(supported >> plan->units[k] & 1));
            supported |= 1ull << plan->units[k];
        }
        double c = model_completeness(m, &supported).weighted;
        CHECK(near(c, s->after.weighted, 1e-12));
        CHECK(c <= best[s->first + s->n] + 1e-12);
    }
    CHECK(near(plan->steps[plan->n_steps - 1].after.weighted, 1, 1e-9));
}

/* The first package aimed at must be the best there is; steps within its gap come before it is filled. */
static void check_first_aim(const struct model *m, const struct plan *plan)
{
    uint64_t supported = 0;
    double best = best_ratio(m, 0), found = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        for (uint32_t k = plan->steps[i].first; k < plan->steps[i].first + plan->steps[i].n; k++)
            supported |= 1ull << plan->units[k];
        found = fmax(found, plan->steps[i].after.weighted / __builtin_popcountll(supported));
    }
    CHECK(near(found, best, 1e-9) || found > best);
}

static void brute_force(void)
{
    unsigned long long state = 7;
    unsigned rounds = getenv("HIRA_SOAK") && *getenv("HIRA_SOAK") ? 2000 : 200, ahead = 0, behind = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct model *m = random_model(&state, 6 + tap_random(&state) % 7, 3 + tap_random(&state) % 14);
        double best[65] = {0};
        uint64_t nothing = 0;
        struct plan plans[PLAN_ORDERS];
        optimum(m, best);
        for (int i = 0; i < PLAN_ORDERS; i++) {
            plan_make(m, &nothing, (enum plan_order)i, 1, SIZE_MAX, &plans[i]);
            check_plan(m, &plans[i], best);
        }
        check_first_aim(m, &plans[PLAN_BEST_GAIN]);
        size_t ours = plan_reaches(&plans[PLAN_BEST_GAIN], 0.5), theirs = plan_reaches(&plans[PLAN_IMPORTANCE], 0.5);
        ahead += ours < theirs;
        behind += ours > theirs;
        for (int i = 0; i < PLAN_ORDERS; i++)
            plan_fini(&plans[i]);
        model_destroy(m);
    }
    tap_case("%u random instances: every step counted again, none above the optimum", rounds);
    printf("# half of all completeness: best-gain needs fewer units than importance %u times, more %u times\n", ahead,
           behind);
    CHECK(ahead > behind);
    tap_case("best-gain is ahead of importance more often than behind");
}

/* The toy on which the study's script counted a package again with each further instruction. */
static void counted_once(void)
{
    struct model *m = model_create(3);
    struct plan plan;
    uint64_t nothing = 0;
    bit_set(model_add(m, "small", 0.5)->units, 0);
    struct member *large = model_add(m, "large", 0.5);
    for (size_t i = 0; i < 3; i++)
        bit_set(large->units, i);
    model_measure(m);
    plan_make(m, &nothing, PLAN_SMALLEST_GAP, 1, SIZE_MAX, &plan);
    CHECK(plan.n_steps == 2 && plan.steps[0].after.packages == 1 && plan.steps[1].after.packages == 2);
    tap_case("a package counts once");
    plan_fini(&plan);
    model_destroy(m);
}

static void testsets(void)
{
    unsigned long long state = 3;
    for (unsigned round = 0; round < 100; round++) {
        struct model *m = random_model(&state, 30, 20);
        for (int way = 0; way < 2; way++) {
            size_t n;
            HIRA_AUTOFREE const struct member **set = plan_testset(m, way, &n);
            uint64_t all = 0, covered = 0;
            for (size_t i = 0; i < m->n_members; i++)
                all |= m->members[i].units[0];
            for (size_t i = 0; i < n; i++) {
                CHECK(set[i]->units[0] & ~covered);
                covered |= set[i]->units[0];
            }
            CHECK(covered == all);
        }
        model_destroy(m);
    }
    tap_case("test sets cover everything, and each member adds something");
}

/* ---- supported sets ---- */

static void supported_sets(void)
{
    static const struct {
        const char *name, *mnemonic, *set;
        uint8_t level;
    } units[] = {{"ADD", "ADD", "I86", ISA_V1},
                 {"ADDPS", "ADDPS", "SSE", ISA_V1},
                 {"PSHUFB", "PSHUFB", "SSSE3", ISA_V2},
                 {"VADDPS", "VADDPS", "AVX", ISA_V3}};
    static const struct {
        const char *text;
        int status;
        uint64_t bits;
    } cases[] = {{"add, addps", 0, 3},
                 {"x86-64-v2", 0, 7},
                 {"SSE* # a pattern", 0, 2},
                 {"*ADD*\n!VADDPS", 0, 3},
                 {"SSSE3\nAVX", 0, 12},
                 {"ADDD", -22, 0},
                 {"", 0, 0},
                 {"AESENC", 0, 0},
                 {"x86-64-v9", -22, 0},
                 {"!ADD", 0, 0},
                 {"x86-64-v3 !PSHUFB", 0, 11}};
    struct model *m = model_create(4);
    for (size_t i = 0; i < 4; i++) {
        m->units[i].name = units[i].name;
        m->units[i].mnemonic = units[i].mnemonic;
        m->units[i].set = units[i].set;
        m->units[i].level = units[i].level;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(cases); i++) {
        uint64_t bits = 0;
        int status = supported_parse(m, "test", cases[i].text, &bits);
        CHECK(status == cases[i].status && (status || bits == cases[i].bits));
    }
    tap_case("supported sets: names, patterns, sets, levels, exclusion, unknown names");
    model_destroy(m);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/isa-measures-XXXXXX";
    if (argc < 2 || !mkdtemp(folder))
        return 2;
    examples();
    everywhere(folder);
    shipped(argv[1]);
    formats(folder);
    counted_once();
    brute_force();
    testsets();
    supported_sets();
    HIRA_AUTOFREE char *remove = isa_printf("rm -rf %s", folder);
    if (system(remove))
        return 2;
    return tap_done();
}
