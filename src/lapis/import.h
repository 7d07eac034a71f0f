/*
 * The header as the model's beginning: libclang parses the API's headers and the declarations of the specification in one
 * translation unit, and each function, type and field becomes an unannotated part of the model.
 *
 * Before: settings, includes, defines, include_dirs, handles declared in the spec (name, loc), not_handles, dispatch (name,
 * header), declarations (all but `function`). After: functions, their types and values (with documentation, without any
 * inference), handles found by type, table slots, and `function` of each declaration.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_IMPORT_H
#define HIRA_LAPIS_IMPORT_H

#include "lapis/diag.h"
#include "lapis/model.h"

/* 0, or -EINVAL with the reasons in `diag`; what could be read is in the model even then. */
int lapis_import(struct lapis_model *model, struct lapis_diag *diag);

#endif
