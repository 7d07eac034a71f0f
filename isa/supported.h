/*
 * A set of supported units as people write it: mnemonics, ISA sets, forms, shell patterns over the first two, the
 * levels x86-64-v1 to -v4, each with "!" in front to take it out again; blanks, commas or lines between them; comments
 * after "#". What comes later wins. A name that neither the decoder nor the database knows is an error, with what it
 * was perhaps meant to be; so is a form where mnemonics are the units. Where forms are, one that nothing scanned has is
 * only said.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_SUPPORTED_H
#define HIRA_ISA_SUPPORTED_H

#include "model.h"

/* 0; -errno of a file that cannot be read, or -EINVAL: said why. */
int supported_read(const struct model *m, const char *path, uint64_t *ret_bits);
int supported_parse(const struct model *m, const char *where, const char *text, uint64_t *ret_bits);

#endif
