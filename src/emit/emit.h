/*
 * The emitter: an API model in, the C of its virtual stack out. Emits to memory; files are put into place only when all is
 * well, and are left untouched when they have not changed. The same model gives the same bytes.
 *
 * What comes out, for an API named x:
 *     x.h          ids, state structs, shared code: included by both halves
 *     guest.c      the guest library's stubs, over src/guest
 *     server.c     the API server's dispatch, over src/server
 *     guest.map    symbol versions of the guest library
 *     fuzz.c       a libFuzzer harness that decodes and serves hostile records (see emit_fuzz.c)
 *     Makefile     builds both from an installed Hira
 *     coverage.txt what is carried, and how it is known
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_EMIT_EMIT_H
#define HIRA_EMIT_EMIT_H

#include "lapis/diag.h"
#include "lapis/model.h"

/* 0, or -errno with an error in `diag` (folder cannot be made, file not written, something the emitter cannot carry). */
int hira_emit(struct lapis_model *model, const char *dir, struct lapis_diag *diag);

#endif
