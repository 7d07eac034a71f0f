/*
 * What queries are told besides what the vendor says: see the language's answer { }.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "guest/internal.h"

bool hira_answer(const void *data, size_t size, void *value, uint64_t room, size_t *ret_size)
{
    if (value && room < size)
        return false;
    if (value && size)
        memcpy(value, data, size);
    if (ret_size)
        *ret_size = size;
    return true;
}

void hira_add_references(void *value, uint64_t size, const void *object)
{
    uint32_t ours = hira_object_refs(object) - 1;
    if (size == sizeof(uint32_t))
        *(uint32_t *)value += ours;
    else if (size == sizeof(uint64_t))
        *(uint64_t *)value += (int32_t)ours;
}

void hira_properties_to_handles(void *list, uint64_t size, uint64_t end, unsigned (*type_of)(uint64_t key))
{
    uint64_t *words = list;
    for (uint64_t i = 0; i + 1 < size / 8 && words[i] != end; i += 2)
        if (type_of(words[i]))
            hira_ids_to_handles(&words[i + 1], 8, type_of(words[i]));
}
