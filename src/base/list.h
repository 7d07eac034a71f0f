/* Intrusive doubly linked list with a head node. Not thread-safe: the owner's lock covers it.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_LIST_H
#define HIRA_BASE_LIST_H

#include "base/util.h"

struct hira_list {
    struct hira_list *prev, *next;
};

#define HIRA_LIST_INIT(head) { &(head), &(head) }

static inline void hira_list_init(struct hira_list *head)
{
    head->prev = head->next = head;
}

static inline bool hira_list_empty(const struct hira_list *head)
{
    return head->next == head;
}

static inline void hira_list_append(struct hira_list *head, struct hira_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* The node may be removed again: it becomes an empty list of its own. */
static inline void hira_list_remove(struct hira_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    hira_list_init(node);
}

#define hira_list_entry(node, type, member) HIRA_CONTAINER_OF(node, type, member)

/* Safe against removal of `pos`. */
#define hira_list_for_each(pos, tmp, head) \
    for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); (pos) = (tmp), (tmp) = (pos)->next)

#endif
