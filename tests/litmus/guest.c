/* The guest's half of the litmus API: see litmus.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "litmus.h"

#include "guest/internal.h"

static const struct hira_function_info functions[N_FUNCTIONS] = {{"create", SIGNATURE}, {"add", SIGNATURE},  {"get", SIGNATURE},
                                                                 {"read", SIGNATURE},   {"wait", SIGNATURE}, {"add_now", SIGNATURE},
                                                                 {"add_later", SIGNATURE}};
static const struct hira_guest_type types[N_TYPES] = {{0}, {"counter", false, true, NULL}, {"event", false, true, NULL}};

const struct hira_guest_api hira_guest_api = {
    .name = "litmus", .functions = functions, .n_functions = N_FUNCTIONS, .types = types, .n_types = N_TYPES};

void *counter_create(void)
{
    struct hira_call c;
    hira_call_begin(&c, F_CREATE, HIRA_CALL_ASYNC);
    struct hira_object *made = hira_put_new(&c, true, T_COUNTER);
    if (!hira_call_send(&c))
        return NULL;
    hira_call_end(&c, true);
    return made;
}

static bool add(void *counter, uint64_t n, unsigned function, unsigned how)
{
    struct hira_call c;
    hira_call_begin(&c, function, how);
    hira_put_handle(&c, counter, T_COUNTER);
    hira_put_word(&c, n);
    if (!hira_call_send(&c))
        return false;
    if (!c.async)
        hira_call_end(&c, true);
    return true;
}

bool counter_add(void *counter, uint64_t n)
{
    return add(counter, n, F_ADD, HIRA_CALL_ASYNC);
}

bool counter_add_now(void *counter, uint64_t n)
{
    return add(counter, n, F_ADD_SYNC, HIRA_CALL_SYNC);
}

bool counter_add_later(void *counter, uint64_t n)
{
    return add(counter, n, F_ADD_LATER, HIRA_CALL_ASYNC);
}

bool counter_get(void *counter, uint64_t *value)
{
    struct hira_call c;
    hira_call_begin(&c, F_GET, HIRA_CALL_SYNC);
    hira_put_handle(&c, counter, T_COUNTER);
    if (!hira_call_send(&c))
        return false;
    *value = hira_take_word(&c);
    hira_call_end(&c, true);
    return true;
}

bool counter_read(void *counter, uint64_t to[64], void **event)
{
    struct hira_call c;
    hira_call_begin(&c, F_READ, HIRA_CALL_ASYNC | HIRA_CALL_UNTIL_DONE);
    hira_put_handle(&c, counter, T_COUNTER);
    hira_put_out(&c, to, 64 * 8, true);
    *event = hira_put_new(&c, true, T_EVENT);
    return hira_call_send(&c);
}

bool event_wait(void *event)
{
    struct hira_call c;
    hira_call_begin(&c, F_WAIT, HIRA_CALL_SYNC);
    hira_put_handle(&c, event, T_EVENT);
    if (!hira_call_send(&c))
        return false;
    hira_call_end(&c, true);
    return true;
}

void counter_release(void *counter)
{
    hira_object_release(counter, T_COUNTER);
}

void event_release(void *event)
{
    hira_object_release(event, T_EVENT);
}
