/*
 * AArch64 through Capstone. Instructions have four bytes, so there is nothing to resynchronize, and a form is its
 * mnemonic. References are made by pairs of instructions, which are not put together here: of libraries use
 * --closure=whole or none.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <capstone/capstone.h>
#include <elf.h>

#include "decoder.h"

/* A handle has state of its own. */
static _Thread_local csh handle;
static _Thread_local cs_insn *scratch;

static bool ready(void)
{
    if (handle)
        return true;
    if (cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, &handle) != CS_ERR_OK)
        return false;
    scratch = cs_malloc(handle);
    return scratch;
}

static bool decode(const uint8_t *bytes, size_t size, uint64_t address, struct isa_insn *ret)
{
    uint32_t word;
    uint64_t at = address;
    if (size < 4 || !ready() || !cs_disasm_iter(handle, &bytes, &size, &at, scratch))
        return false;
    memcpy(&word, bytes - 4, 4);
    *ret = (struct isa_insn){.key = scratch->id, .length = 4};
    /* B and BL */
    if ((word & 0x7c000000) == 0x14000000) {
        ret->flags = INSN_BRANCH;
        ret->target = address + (uint64_t)((int64_t)((uint64_t)word << 38) >> 36);
    }
    return true;
}

static void describe(uint64_t key, struct isa_form *ret)
{
    const char *name = ready() ? cs_insn_name(handle, (unsigned)key) : NULL;
    snprintf(ret->mnemonic, sizeof ret->mnemonic, "%s", name ? name : "?");
    for (char *s = ret->mnemonic; *s; s++)
        *s = (char)(*s >= 'a' && *s <= 'z' ? *s - 32 : *s);
    snprintf(ret->text, sizeof ret->text, "%s", ret->mnemonic);
    snprintf(ret->set, sizeof ret->set, "A64");
    ret->flags = key == ARM64_INS_NOP ? FORM_PADDING : 0;
}

static uint64_t bare(const uint8_t *bytes, size_t size)
{
    uint64_t n = 0, at = 0;
    while (size >= 4 && ready()) {
        if (!cs_disasm_iter(handle, &bytes, &size, &at, scratch)) {
            bytes += 4;
            size -= 4;
        }
        n++;
    }
    return n;
}

static const char *mnemonic_name(unsigned i)
{
    static _Thread_local struct isa_form form;
    if (i + 1 >= ARM64_INS_ENDING || !ready())
        return NULL;
    describe(i + 1, &form);
    return form.mnemonic;
}

static const char *set_name(unsigned i, enum isa_level *ret_level)
{
    *ret_level = ISA_V1;
    return i ? NULL : "A64";
}

const struct isa_decoder isa_decoder_aarch64 = {
    .name = "Capstone",
    .isa = "AArch64",
    .machine = EM_AARCH64,
    .step = 4,
    .decode = decode,
    .describe = describe,
    .bare = bare,
    .mnemonic = mnemonic_name,
    .set = set_name,
};
