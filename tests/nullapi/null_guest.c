/*
 * Guest code of the null API's specification: see null.lapis, which names this file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */

static __thread nullStatus last_error;

// What a function with an error parameter returns; its error is the thread's last one.
static void *noted(void *made, nullStatus status, nullStatus *error)
{
    if (status)
        last_error = status;
    if (error)
        *error = status;
    return made;
}

static bool bad_waits(uint32_t n, const nullEvent *waits)
{
    for (uint32_t i = 0; i < n; i++)
        if (!waits[i])
            return true;
    return false;
}

static bool outside(nullBuffer buffer, size_t offset, size_t size)
{
    struct nullBuffer_state *state = state_nullBuffer(buffer);
    return !state || !size || offset > state->size || size > state->size - offset;
}

// ---- lengths that are not said ----

static __thread size_t row_length = 16;

// The thread's own: it goes along with the calls that it concerns.
static nullStatus set_row_length(size_t bytes)
{
    if (!bytes || bytes > 1 << 20) {
        last_error = NULL_ERROR_VALUE;
        return NULL_ERROR_VALUE;
    }
    row_length = bytes;
    return NULL_SUCCESS;
}
