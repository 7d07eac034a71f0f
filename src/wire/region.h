/*
 * Regions of memory in rows and slices, as calls that copy rectangles and images describe them: arithmetic that cannot overflow,
 * the same in both halves, since what the guest says of a length is compared with what the server makes of it.
 *
 * A region begins at `origin` (NULL: at the beginning) and extends over `region`, both of three numbers: elements of a row, rows,
 * slices. An element has `element` bytes; pitches are in bytes, and 0 stands for those of packed rows and slices.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_WIRE_REGION_H
#define HIRA_WIRE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More bytes than any memory has. Sums and products of numbers up to this fit 128 bits; what goes beyond is given as SIZE_MAX, a length
 * that nobody can send. */
#define HIRA_REGION_MAX (1ull << 40)

static inline bool hira_too_large(unsigned __int128 size)
{
    return size > HIRA_REGION_MAX;
}

/* Bytes from the memory's beginning to behind the region's last one: 0 for an empty region or none, SIZE_MAX for what no memory has. */
static inline size_t hira_region_end(const size_t *origin, const size_t *region, size_t element, size_t row, size_t slice)
{
    if (!region || !region[0] || !region[1] || !region[2] || !element)
        return 0;
    for (int i = 0; i < 3; i++)
        if (hira_too_large(region[i]) || (origin && hira_too_large(origin[i])))
            return SIZE_MAX;
    if (hira_too_large(element) || hira_too_large(row) || hira_too_large(slice))
        return SIZE_MAX;
    unsigned __int128 r = row ? row : (unsigned __int128)region[0] * element, l = slice ? slice : r * region[1];
    if (hira_too_large(r) || hira_too_large(l))
        return SIZE_MAX;
    unsigned __int128 end = (region[2] - 1 + (origin ? origin[2] : 0)) * l + (region[1] - 1 + (origin ? origin[1] : 0)) * r +
                            (region[0] + (origin ? origin[0] : 0)) * (unsigned __int128)element;
    return hira_too_large(end) ? SIZE_MAX : (size_t)end;
}

/* Bytes before the region's first one. Of use only where hira_region_end() is no SIZE_MAX. */
static inline size_t hira_region_begin(const size_t *origin, const size_t *region, size_t element, size_t row, size_t slice)
{
    size_t r = row ? row : region ? region[0] * element : 0, l = slice ? slice : region ? r * region[1] : 0;
    return origin ? origin[2] * l + origin[1] * r + origin[0] * element : 0;
}

/* Whether the region lies within an object of this extent (NULL: of an unknown one). False without origin or region. */
static inline bool hira_region_inside(const size_t *origin, const size_t *region, const size_t *extent)
{
    for (int i = 0; origin && region && extent && i < 3; i++)
        if (region[i] > extent[i] || origin[i] > extent[i] - region[i])
            return false;
    return origin && region;
}

/* Whether rows and slices of such pitches do not overlap: none is shorter than what it holds, and a slice holds whole rows. False for an
 * empty region. */
static inline bool hira_pitches_fit(const size_t *region, size_t element, size_t row, size_t slice)
{
    if (!region || !region[0] || !region[1] || __builtin_mul_overflow(region[0], element, &element))
        return false;
    size_t pitch = row ? row : element;
    return pitch >= element && (!slice || (slice / region[1] >= pitch && slice % pitch == 0));
}

/* Whether `size` bytes from `offset` on lie within `whole` bytes. */
static inline bool hira_range_inside(size_t offset, size_t size, size_t whole)
{
    return size <= whole && offset <= whole - size;
}

#endif
