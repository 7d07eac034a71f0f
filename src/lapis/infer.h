/*
 * Inference: what follows from the header alone, each fact with its rule, a sentence and the place of its evidence.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_INFER_H
#define HIRA_LAPIS_INFER_H

#include "lapis/diag.h"
#include "lapis/model.h"

/* 0, or -EINVAL with the reasons in `diag`. Leaves LAPIS_V_UNSETTLED, with a question, wherever it would have to guess. */
int lapis_infer(struct lapis_model *model, struct lapis_diag *diag);

#endif
