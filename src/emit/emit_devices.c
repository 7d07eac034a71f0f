/*
 * Functions that list devices, in the API server, for a tenant that does not see all: what the vendor lists, without
 * those. The runtime's side is src/server/devices.c.
 *
 * APIs differ in what they say of how many there are: of all, or of those that had room; by a number of its own, or by
 * the one that said how much room there is. So the vendor is asked as the application asked, which shows what is wrong
 * with that, and what it says of the number; then for all of them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "emit/private.h"

static void emit_all(struct emit *e, const struct lapis_function *f, const struct emit_answer *a)
{
    const char *failed = emit_format(e, "    if (!(%s))\n        return ret;", emit_success(e, f, "error"));
    emit_line(e, "    ret = %s;", emit_asking(e, f, a, "0", "NULL", "&n"));
    emit_line(e, "%s", failed);
    emit_line(e, "    %s = hira_scratch(s, (uint64_t)n * sizeof *all);",
              lapis_ctype_declare(e->pool, a->value->ctype, "all"));
    emit_line(e, "    if (!all)\n        return %s;", f->failure ? f->failure : "-1");
    emit_line(e, "    ret = %s;", emit_asking(e, f, a, "n", "all", "&n"));
    emit_line(e, "%s", failed);
}

void emit_seen(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *field;
    struct emit_answer a;
    a.value = lapis_listed_devices(f, &a.size, &field);
    const char *list = a.value->name, *count = a.size->name, *type = emit_type(e, a.size->ctype->pointee),
               *more = f->enumerates.more;
    const char *where = field ? emit_format(e, "(size_t)((char *)&all->%s - (char *)all)", field->name) : "0";
    const char *all_is_well = emit_success(e, f, "error");
    emit_line(e, "static %s", emit_local_prototype(e, f, "seen"));
    emit_line(e, "{");
    emit_line(e, "    const %s room = %s;", type, emit_guarded(e, a.value->count));
    emit_line(e, "    %s = %s;", lapis_ctype_declare(e->pool, f->ret.ctype, "ret"),
              emit_asking(e, f, &a, a.value->count, list, count));
    emit_line(e, "    if ((!%s && !%s) || !(%s%s))\n        return ret;", list, count, all_is_well,
              more ? emit_format(e, " || ret == %s", more) : "");
    emit_line(e, "    const %s told = %s ? *%s : 0;", type, count, count);
    emit_line(e, "    %s n = 0;", type);
    emit_all(e, f, &a);
    emit_line(e, "    n = (%s)hira_devices_keep(all, n, sizeof *all, %s);", type, where);
    emit_line(e, "    const %s fit = %s && room < n ? room : n;", type, list);
    emit_line(e, "    if (%s)\n        memcpy(%s, all, fit * sizeof *all);", list, list);
    emit_line(e, "    if (%s && fit < room) /* the vendor's others */\n        memset(%s + fit, 0, (room - fit) * sizeof *all);",
              list, list);
    emit_line(e, "    if (%s)\n        *%s = told > room ? n : fit;", count, count);
    emit_line(e, "    return !n ? %s : %sret;", f->enumerates.none,
              more ? emit_format(e, "fit < n ? %s : ", more) : "");
    emit_line(e, "}");
    emit_blank(e);
}
