/*
 * The table of forms: a hash of fixed size that readers use without a lock. A slot's number is written before its key,
 * so who sees the key sees the number.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <strings.h>

#include "decoder.h"

#define SLOTS (ISA_FORMS_MAX * 2)

struct isa_forms {
    pthread_mutex_t lock;
    _Atomic uint64_t keys[SLOTS]; /* key + 1; 0: free */
    uint16_t numbers[SLOTS];
    _Atomic unsigned n;
    struct isa_form items[ISA_FORMS_MAX];
};

const char *const isa_level_names[ISA_LEVELS] = {"x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4", "beyond"};

int isa_level_parse(const char *name, enum isa_level *ret_level)
{
    if (!strncasecmp(name, "x86-64-", 7))
        name += 7;
    if ((name[0] == 'v' || name[0] == 'V') && name[1] >= '1' && name[1] <= '4' && !name[2]) {
        *ret_level = (enum isa_level)(name[1] - '1');
        return 0;
    }
    if (!strcmp(name, "none")) {
        *ret_level = ISA_BEYOND;
        return 0;
    }
    return -EINVAL;
}

const struct isa_decoder *isa_decoder_default(void)
{
    return &isa_decoder_zydis;
}

const struct isa_decoder *isa_decoder_for(unsigned machine)
{
    if (machine == isa_decoder_zydis.machine)
        return &isa_decoder_zydis;
#ifdef HAVE_CAPSTONE
    if (machine == isa_decoder_aarch64.machine)
        return &isa_decoder_aarch64;
#endif
    return NULL;
}

const struct isa_decoder *isa_decoder_named(const char *isa)
{
    if (!strcasecmp(isa, isa_decoder_zydis.isa))
        return &isa_decoder_zydis;
#ifdef HAVE_CAPSTONE
    if (!strcasecmp(isa, isa_decoder_aarch64.isa))
        return &isa_decoder_aarch64;
#endif
    return NULL;
}

struct isa_forms *isa_forms_create(void)
{
    struct isa_forms *forms = isa_alloc(sizeof *forms);
    pthread_mutex_init(&forms->lock, NULL);
    return forms;
}

void isa_forms_destroy(struct isa_forms *forms)
{
    free(forms);
}

static size_t slot_of(const struct isa_forms *forms, uint64_t key)
{
    size_t slot = (key * 0x9e3779b97f4a7c15ull) >> 40 & (SLOTS - 1);
    uint64_t there;
    while ((there = atomic_load_explicit(&forms->keys[slot], memory_order_acquire)) && there != key + 1)
        slot = (slot + 1) & (SLOTS - 1);
    return slot;
}

void isa_forms_add(struct isa_forms *forms, const struct isa_form *form)
{
    size_t slot = slot_of(forms, form->key);
    unsigned n = forms->n;
    if (n >= ISA_FORMS_MAX)
        return;
    forms->items[n] = *form;
    forms->numbers[slot] = (uint16_t)n;
    atomic_store_explicit(&forms->keys[slot], form->key + 1, memory_order_release);
    forms->n = n + 1;
}

unsigned isa_forms_number(struct isa_forms *forms, const struct isa_decoder *decoder, uint64_t key)
{
    size_t slot = slot_of(forms, key);
    if (forms->keys[slot])
        return forms->numbers[slot];
    pthread_mutex_lock(&forms->lock);
    slot = slot_of(forms, key);
    if (!forms->keys[slot]) {
        struct isa_form form = {.key = key};
        if (forms->n >= ISA_FORMS_MAX - 1) {
            pthread_mutex_unlock(&forms->lock);
            return ISA_FORMS_MAX - 1;
        }
        decoder->describe(key, &form);
        isa_forms_add(forms, &form);
    }
    unsigned n = forms->numbers[slot];
    pthread_mutex_unlock(&forms->lock);
    return n;
}

unsigned isa_forms_count(const struct isa_forms *forms)
{
    return forms->n;
}

const struct isa_form *isa_forms_get(const struct isa_forms *forms, unsigned number)
{
    static const struct isa_form none = {.mnemonic = "(OTHER)", .set = "?", .text = "(more forms than have a place)"};
    return number < forms->n ? &forms->items[number] : &none;
}
