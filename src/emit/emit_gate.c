/*
 * What the router shares, in the API server: the amounts that a call consumes, and commands that may be made to wait.
 * The runtime's side is src/server/gate.h.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

static const struct lapis_resource *resource(const struct lapis_function *f, const char *name)
{
    const struct lapis_resource *found = NULL; /* the last one: the more particular */
    for (size_t i = 0; i < f->n_resources; i++)
        if (!strcmp(f->resources[i].name, name))
            found = &f->resources[i];
    return found;
}

void emit_gate_before(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_resource *bytes = resource(f, "bytes");
    const char *const *d = f->deferred;
    if (bytes && !bytes->after)
        emit_line(e, "hira_consume_bytes(s, (uint64_t)(%s));", bytes->amount);
    if (d)
        emit_line(e, "HIRA_DEFER(s, %s, %s, %s, %s, %s);", d[0], d[1], d[2], d[3],
                  resource(f, "time") ? "true" : "false");
}

/* What is not had is not asked for: the result is then the failure. */
const char *emit_gate_call(struct emit *e, const struct lapis_function *f, const char *call)
{
    const struct lapis_resource *memory = resource(f, "memory");
    if (!memory || emit_is_void(&f->ret))
        return call;
    const struct lapis_value *error = emit_error_param(f);
    const char *type = emit_type(e, f->ret.ctype);
    const char *code = memory->code                    ? memory->code
                       : error && error->error_failure ? error->error_failure
                       : f->failure                    ? f->failure
                                                       : "0";
    const char *failed =
        error ? emit_format(e, "(error = (%s), (%s)0)", code, type) : emit_format(e, "(%s)(%s)", type, code);
    return emit_format(e, "hira_charge(s, (uint64_t)(%s)) ? %s : %s", memory->amount, call, failed);
}

void emit_gate_after(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_resource *bytes = resource(f, "bytes");
    if (f->deferred)
        emit_line(e, "hira_gate_deferred(&deferral, ok);");
    if (bytes && bytes->after)
        emit_line(e, "hira_consume_bytes(s, ok ? (uint64_t)(%s) : 0);", bytes->amount);
    if (f->holds)
        emit_line(e, "if (ok) hira_hold(s, (void *)(uintptr_t)(%s));", f->holds);
}

const char *emit_gate_flags(const struct lapis_function *f)
{
    return f->deferred ? "HIRA_FUNCTION_DEFERRED" : f->order == LAPIS_ORDER_CREATION ? "HIRA_FUNCTION_UNBLOCKS" : "0";
}
