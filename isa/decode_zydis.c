/*
 * x86-64 through Zydis, without operands: they would cost a third of the speed, and lengths, mnemonics, ISA sets and
 * raw displacements are there without.
 *
 * The key of a form has the mnemonic and the ISA set (both enumerations of the library), and the encoding: legacy, VEX,
 * EVEX or XOP, map, opcode, mandatory or operand-size prefix, W, vector length, for groups the /digit, and LOCK. Keys
 * never reach the database; there forms have names.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <Zydis/Zydis.h>
#include <elf.h>

#include "decoder.h"

_Static_assert(ZYDIS_MNEMONIC_MAX_VALUE < 1 << 12, "mnemonics have 12 bits in a key");
_Static_assert(ZYDIS_ISA_SET_MAX_VALUE < 1 << 8, "ISA sets have 8 bits in a key");

enum { K_SET = 12, K_ENC = 20, K_MAP = 23, K_OPCODE = 27, K_PP = 35, K_W = 37, K_L = 38, K_REG = 40, K_LOCK = 44 };

static ZydisDecoder decoder;

__attribute__((constructor)) static void start(void)
{
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

/* Opcodes of the two legacy maps, and of VEX map 1 and 2, where ModRM.reg is part of the opcode. One bit each. */
#define BIT(op) (1ull << ((op)&63))
static const uint64_t groups_primary[4] = {0, 0, BIT(0x80) | BIT(0x81) | BIT(0x83) | BIT(0x8f),
                                           BIT(0xc0) | BIT(0xc1) | BIT(0xc6) | BIT(0xc7) | BIT(0xd0) | BIT(0xd1) |
                                               BIT(0xd2) | BIT(0xd3) | 0xffull << 0x18 | BIT(0xf6) | BIT(0xf7) |
                                               BIT(0xfe) | BIT(0xff)};
static const uint64_t groups_0f[4] = {BIT(0x00) | BIT(0x01) | BIT(0x0d) | BIT(0x18), BIT(0x71) | BIT(0x72) | BIT(0x73),
                                      BIT(0xae) | BIT(0xba), BIT(0xc7)};

static bool in_group(const ZydisDecodedInstruction *in)
{
    const uint64_t *set = in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? groups_primary
                          : in->opcode_map == ZYDIS_OPCODE_MAP_0F    ? groups_0f
                                                                     : NULL;
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && in->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        return in->opcode == 0xf3; /* BLSI, BLSR, BLSMSK */
    return set && (set[in->opcode >> 6] >> (in->opcode & 63) & 1);
}

static uint64_t legacy_bits(const ZydisDecodedInstruction *in)
{
    uint64_t pp = 0, lock = 0;
    for (unsigned i = 0; i < in->raw.prefix_count; i++) {
        switch (in->raw.prefixes[i].value) {
        case 0x66:
            pp = pp ? pp : 1;
            break;
        case 0xf3:
            pp = 2;
            break;
        case 0xf2:
            pp = 3;
            break;
        case 0xf0:
            lock = 1;
            break;
        default:
            break;
        }
    }
    return pp << K_PP | (uint64_t)(in->raw.rex.W & 1) << K_W | lock << K_LOCK;
}

static uint64_t key_of(const ZydisDecodedInstruction *in)
{
    uint64_t key = (uint64_t)in->mnemonic | (uint64_t)in->meta.isa_set << K_SET | (uint64_t)in->encoding << K_ENC |
                   (uint64_t)(in->opcode_map & 15) << K_MAP | (uint64_t)in->opcode << K_OPCODE;
    switch (in->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
        key |= (uint64_t)(in->raw.vex.pp & 3) << K_PP | (uint64_t)(in->raw.vex.W & 1) << K_W |
               (uint64_t)(in->raw.vex.L & 1) << K_L;
        break;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
        key |= (uint64_t)(in->raw.evex.pp & 3) << K_PP | (uint64_t)(in->raw.evex.W & 1) << K_W |
               (uint64_t)((in->raw.evex.L2 & 1) << 1 | (in->raw.evex.L & 1)) << K_L;
        break;
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
        key |= (uint64_t)(in->raw.xop.pp & 3) << K_PP | (uint64_t)(in->raw.xop.W & 1) << K_W |
               (uint64_t)(in->raw.xop.L & 1) << K_L;
        break;
    default:
        key |= in->raw.prefix_count ? legacy_bits(in) : 0;
    }
    if (in->attributes & ZYDIS_ATTRIB_HAS_MODRM && in_group(in))
        key |= (uint64_t)(8 | (in->raw.modrm.reg & 7)) << K_REG;
    return key;
}

/* Prefixes, opcode, ModRM and SIB decide what an instruction is and how long; displacements and immediates do not,
 * except where the immediate is a part of the opcode (3DNow!). */
static unsigned decided_by(const ZydisDecodedInstruction *in)
{
    unsigned n = 0;
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
        return 0;
    if (in->raw.sib.offset)
        return in->raw.sib.offset + 1u;
    if (in->attributes & ZYDIS_ATTRIB_HAS_MODRM)
        return in->raw.modrm.offset + 1u;
    n = in->length;
    n -= in->raw.disp.size / 8u + in->raw.imm[0].size / 8u + in->raw.imm[1].size / 8u;
    return n;
}

static bool decode(const uint8_t *bytes, size_t size, uint64_t address, struct isa_insn *ret)
{
    ZydisDecodedInstruction in;
    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, size, &in)))
        return false;
    *ret = (struct isa_insn){.key = key_of(&in), .length = in.length, .decided = (uint8_t)decided_by(&in)};
    if (in.raw.imm[0].is_relative) {
        ret->flags = INSN_BRANCH;
        ret->target = address + in.length + (uint64_t)in.raw.imm[0].value.s;
        ret->field = in.raw.imm[0].offset;
        ret->width = in.raw.imm[0].size / 8;
    } else if (in.attributes & ZYDIS_ATTRIB_HAS_MODRM && in.raw.modrm.mod == 0 && in.raw.modrm.rm == 5 &&
               in.raw.disp.size == 32) {
        ret->flags = INSN_REFERENCE;
        ret->target = address + in.length + (uint64_t)in.raw.disp.value;
        ret->field = in.raw.disp.offset;
        ret->width = 4;
    }
    /* Sixteen-lane coprocessor cards are no part of this system. */
    if (hira_unlikely(in.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || in.meta.isa_ext == ZYDIS_ISA_EXT_KNC ||
                      in.meta.isa_ext == ZYDIS_ISA_EXT_KNCE || in.meta.isa_ext == ZYDIS_ISA_EXT_KNCV))
        ret->flags |= INSN_ALIEN;
    return true;
}

static uint64_t bare(const uint8_t *bytes, size_t size)
{
    ZydisDecodedInstruction in;
    uint64_t n = 0;
    for (size_t at = 0; at < size; n++)
        at += ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes + at, size - at, &in)) ? in.length : 1;
    return n;
}

static bool starts(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

/* The one table from the library's ISA sets to levels. FAT_NOP, CMOV, I186REAL and the like are sets of baseline code.
 * CET's instructions are no-operations where there is no CET. */
static enum isa_level level_of_set(const char *set)
{
    static const char *const v1[] = {"I86",   "I186",         "I286",    "I386",   "I486",         "PENTIUM",  "PPRO",
                                     "CMOV",  "FCMOV",        "FAT_NOP", "FXSAVE", "LONGMODE",     "X87",      "PAUSE",
                                     "CLFSH", "PREFETCH_NOP", "RDPMC",   "CET",    "SSE_PREFETCH", "SSEMXCSR", "SSE2"};
    static const char *const v2[] = {"SSE3", "SSSE3", "CMPXCHG16B", "LAHF", "POPCNT"};
    static const char *const v3[] = {"AVX",  "AVX2", "AVX2GATHER", "BMI1",  "BMI2",
                                     "F16C", "FMA",  "LZCNT",      "MOVBE", "XSAVE"};
    static const char *const v4[] = {"AVX512F_", "AVX512BW_", "AVX512CD_", "AVX512DQ_"};
    if (!strcmp(set, "SSE"))
        return ISA_V1;
    if (!strcmp(set, "SSE4") || !strcmp(set, "SSE42"))
        return ISA_V2;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(v3); i++) {
        if (!strcmp(set, v3[i]))
            return ISA_V3;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(v1); i++) {
        if (starts(set, v1[i]))
            return ISA_V1;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(v2); i++) {
        if (starts(set, v2[i]))
            return ISA_V2;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(v4); i++) {
        if (starts(set, v4[i]))
            return ISA_V4;
    }
    return ISA_BEYOND;
}

static void upper(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from && from[i] && i + 1 < size; i++)
        to[i] = (char)(from[i] >= 'a' && from[i] <= 'z' ? from[i] - 32 : from[i]);
    to[i] = 0;
}

/* "EVEX.66.0F38.W0.L2 7C", "REX.W 83 /0", "LOCK 0F B1": near to how manuals write encodings. */
static void describe_encoding(uint64_t key, char *text, size_t size)
{
    static const char *const maps[] = {"",     "0F",   "0F38", "0F3A", "MAP4", "MAP5",
                                       "MAP6", "MAP7", "0F0F", "XOP8", "XOP9", "XOPA"};
    static const char *const prefixes[] = {"", "66", "F3", "F2"};
    static const char *const encodings[] = {"", "3DNOW", "XOP", "VEX", "EVEX", "MVEX"};
    unsigned enc = key >> K_ENC & 7, map = key >> K_MAP & 15, pp = key >> K_PP & 3, w = key >> K_W & 1,
             l = key >> K_L & 3;
    const char *map_name = map < HIRA_ARRAY_SIZE(maps) ? maps[map] : "?";
    struct hira_text out = {0};
    if (key >> K_LOCK & 1)
        hira_text_puts(&out, "LOCK ");
    if (enc == ZYDIS_INSTRUCTION_ENCODING_LEGACY || enc == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
        hira_text_printf(&out, "%s%s%s%s%s", prefixes[pp], pp ? " " : "", w ? "REX.W " : "", map_name,
                         *map_name ? " " : "");
    else
        hira_text_printf(&out, "%s%s%s.%s.W%u.L%u ", encodings[enc < 6 ? enc : 5], pp ? "." : "", prefixes[pp],
                         map_name, w, l);
    hira_text_printf(&out, "%02X", (unsigned)(key >> K_OPCODE & 255));
    if (key >> K_REG & 8)
        hira_text_printf(&out, " /%u", (unsigned)(key >> K_REG & 7));
    snprintf(text, size, "%s", out.data ? out.data : "?");
    hira_text_fini(&out);
}

static void describe(uint64_t key, struct isa_form *ret)
{
    char encoding[40];
    unsigned mnemonic = key & 0xfff, set = key >> K_SET & 0xff;
    upper(ret->mnemonic, sizeof ret->mnemonic, ZydisMnemonicGetString((ZydisMnemonic)mnemonic));
    upper(ret->set, sizeof ret->set, ZydisISASetGetString((ZydisISASet)set));
    describe_encoding(key, encoding, sizeof encoding);
    snprintf(ret->text, sizeof ret->text, "%s %.31s", ret->mnemonic, encoding);
    ret->level = level_of_set(ret->set);
    /* REP BSF to a processor without BMI1: compilers emit it for the baseline. */
    if (mnemonic == ZYDIS_MNEMONIC_TZCNT)
        ret->level = ISA_V1;
    if (mnemonic == ZYDIS_MNEMONIC_CPUID || mnemonic == ZYDIS_MNEMONIC_XGETBV)
        ret->flags |= FORM_CPU_TEST;
    if (mnemonic == ZYDIS_MNEMONIC_NOP || mnemonic == ZYDIS_MNEMONIC_INT3)
        ret->flags |= FORM_PADDING;
}

static const char *mnemonic_name(unsigned i)
{
    static _Thread_local char name[24];
    if (i + 1 > ZYDIS_MNEMONIC_MAX_VALUE)
        return NULL;
    upper(name, sizeof name, ZydisMnemonicGetString((ZydisMnemonic)(i + 1)));
    return name;
}

static const char *set_name(unsigned i, enum isa_level *ret_level)
{
    static _Thread_local char name[28];
    if (i + 1 > ZYDIS_ISA_SET_MAX_VALUE)
        return NULL;
    upper(name, sizeof name, ZydisISASetGetString((ZydisISASet)(i + 1)));
    *ret_level = level_of_set(name);
    return name;
}

const struct isa_decoder isa_decoder_zydis = {
    .name = "Zydis",
    .isa = "x86-64",
    .machine = EM_X86_64,
    .step = 1,
    .decode = decode,
    .describe = describe,
    .bare = bare,
    .mnemonic = mnemonic_name,
    .set = set_name,
};
