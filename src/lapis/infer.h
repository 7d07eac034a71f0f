/*
 * Inference: what follows from the header alone, each fact with its rule, a sentence and the place of its evidence.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_INFER_H
#define HIRA_LAPIS_INFER_H

#include "lapis/diag.h"
#include "lapis/model.h"

/* 0, or -EINVAL with the reasons in `diag`. Leaves LAPIS_V_UNSETTLED, with a question, wherever it would have to guess.
 */
int lapis_infer(struct lapis_model *model, struct lapis_diag *diag);

/* How much of the API's functions is settled: what the coverage verb prints. A pointer parameter is one whose C type is
 * a pointer to data: neither handle nor function pointer. It counts as settled when nothing below it is unsettled
 * either. */
struct lapis_inference_stats {
    size_t functions, functions_settled; /* settled: every parameter and the result */
    size_t params;
    size_t scalars, handles, callbacks, pointers; /* parameters by C type */
    size_t pointers_settled;
    size_t values_settled, values_unsettled; /* results included */
};

struct lapis_inference_stats lapis_infer_stats(const struct lapis_model *model);

/* Whether the value, and everything that is reached through it, is settled. */
bool lapis_value_settled(const struct lapis_value *value);

/* The first question that is open in the value or below it, or NULL; `ret_path` (may be NULL) gets how to get there
 * from it,
 * ".field" and "[]" parts, in pool memory. */
const char *lapis_value_question(struct hira_pool *pool, const struct lapis_value *value, const char **ret_path);

/* The rules, in the order in which they are applied, for documentation and tests. */
struct lapis_rule_text {
    const char *name, *description;
};
const struct lapis_rule_text *lapis_infer_rules(size_t *ret_n);

/* Takes the reasons away that rules gave for the value's shape, or for its direction: the specification has said another. */
void lapis_infer_forget(struct lapis_value *value, bool shape);

#endif
