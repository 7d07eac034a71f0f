/*
 * What goes with the two halves: a build file, the coverage report.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "emit/private.h"

/* ---- build file ---- */

/* Folders of headers, each once. make runs in the output's folder; what was said of folders is relative to others. */
static void emit_include_dirs(struct emit *e)
{
    const struct lapis_model *m = e->model;
    const char **dirs = NULL;
    size_t n = 0;
    for (size_t i = 0; i < m->n_include_dirs; i++) {
        char *real = realpath(m->include_dirs[i], NULL);
        const char *dir = emit_format(e, "%s", real ? real : m->include_dirs[i]);
        bool known = false;
        free(real);
        for (size_t k = 0; k < n; k++)
            known |= !strcmp(dirs[k], dir);
        if (known)
            continue;
        *HIRA_POOL_PUSH(e->pool, dirs, n) = dir;
        emit_line(e, "flags += -I'%s'", dir);
    }
}

void emit_makefile(struct emit *e)
{
    const struct lapis_model *m = e->model;
    const char *library = lapis_model_setting(m, "library", 0);
    library = library ? library : emit_format(e, "lib%s.so", m->name);
    emit_line(e, "# Builds the virtual %s from an installed Hira. HIRA is its prefix; CFLAGS and DESTDIR as usual.", m->name);
    emit_line(e, "# SPDX-License-Identifier: Apache-2.0");
    emit_line(e, "HIRA ?= $(or $(patsubst %%/bin/hira,%%,$(shell command -v hira)),/usr/local)");
    emit_line(e, "CC ?= cc");
    emit_line(e, "CFLAGS ?= -O2 -g");
    emit_line(e, "flags := -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -I. -I$(HIRA)/include/hira");
    emit_include_dirs(e);
    emit_blank(e);
    emit_line(e, "all: %s hira-server-%s", library, m->name);
    for (size_t n = 0; lapis_model_setting(m, "link", n); n++)
        emit_line(e, "all: %s\n%s: %s\n\tln -sf %s $@", lapis_model_setting(m, "link", n), lapis_model_setting(m, "link", n), library, library);
    emit_blank(e);
    emit_line(e, "%s: guest.c api.h guest.map $(HIRA)/lib/hira/libhira-guest.a", library);
    emit_line(e, "\t$(CC) $(flags) $(CFLAGS) -fPIC -fvisibility=hidden -shared -o $@ guest.c \\");
    emit_line(e, "\t    -Wl,--version-script=guest.map -Wl,-soname,%s -Wl,-z,nodelete -Wl,-z,defs \\", library);
    emit_line(e, "\t    -L$(HIRA)/lib/hira -lhira-guest");
    emit_blank(e);
    emit_line(e, "hira-server-%s: server.c api.h $(HIRA)/lib/hira/libhira-server.a", m->name);
    emit_line(e, "\t$(CC) $(flags) $(CFLAGS) -fPIE -pie -o $@ server.c -L$(HIRA)/lib/hira -lhira-server -lseccomp");
    emit_blank(e);
    emit_line(e, "install: all");
    emit_line(e, "\tinstall -D %s $(DESTDIR)$(HIRA)/lib/hira/%s/%s", library, m->name, library);
    for (size_t n = 0; lapis_model_setting(m, "link", n); n++)
        emit_line(e, "\tln -sf %s $(DESTDIR)$(HIRA)/lib/hira/%s/%s", library, m->name, lapis_model_setting(m, "link", n));
    emit_line(e, "\tinstall -D hira-server-%s $(DESTDIR)$(HIRA)/libexec/hira/hira-server-%s", m->name, m->name);
    emit_blank(e);
    emit_line(e, "clean:");
    emit_line(e, "\trm -f %s hira-server-%s", library, m->name);
    for (size_t n = 0; lapis_model_setting(m, "link", n); n++)
        emit_line(e, "\trm -f %s", lapis_model_setting(m, "link", n));
    emit_blank(e);
    emit_line(e, ".PHONY: all clean install");
}

/* ---- coverage ---- */

static const char *how_carried(const struct lapis_function *f)
{
    if (f->unsupported)
        return "unsupported";
    if (f->retains || f->releases)
        return "counted in the guest";
    if (!emit_carried(f))
        return "in the guest";
    bool async = false;
    for (size_t i = 0; i < f->n_policies; i++)
        async |= f->policies[i].mode == LAPIS_ASYNC;
    return async ? "asynchronous where it may be" : "synchronous";
}

void emit_coverage(struct emit *e)
{
    const struct lapis_model *m = e->model;
    size_t annotated = 0, unsupported = 0;
    emit_line(e, "What the virtual %s carries", m->name);
    emit_blank(e);
    for (size_t i = 0; i < m->n_functions; i++) {
        const struct lapis_function *f = m->functions[i];
        annotated += f->own;
        unsupported += f->unsupported;
        emit_line(e, "%-45s %-12s %s", f->name, f->annotated ? "annotated" : "inferred", how_carried(f));
    }
    emit_blank(e);
    emit_line(e, "%zu functions: %zu without annotation of their own, %zu annotated; of these %zu unsupported.", m->n_functions,
              m->n_functions - annotated, annotated, unsupported);
}
