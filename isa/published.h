/* The published curves, read out of the study's figure (SYSTOR 2019; Ubuntu 16.04, 9,332 packages): the importance of
 * the n-th mnemonic, unweighted, and the weighted completeness with the first n, in per cent. Copyright the Hira
 * authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ISA_PUBLISHED_H
#define HIRA_ISA_PUBLISHED_H

static const struct {
    unsigned n;
    double importance, completeness;
} published[] = {
    {30, 99.4, 0.1},   {50, 97.3, 0.7},   {63, 90.6, 0.9},   {75, 73.4, 2.9},  {100, 44.1, 11.4},
    {120, 25.6, 21.9}, {140, 11.1, 56.9}, {200, 2.5, 81.9},  {230, 1.4, 90.8}, {240, 1.2, 93.1},
    {300, 0.54, 95.8}, {400, 0.21, 97.6}, {600, 0.08, 99.6},
};

#endif
