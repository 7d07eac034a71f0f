/*
 * How a call is laid out in a record, and its answer in a reply: the encoding that both halves share.
 *
 * Everything is a sequence of 64-bit little-endian words.
 *
 *   scalar      one word (floats by their bits; integers sign- or zero-extended)
 *   handle      one word: an id, 0 for NULL
 *   struct      its bytes, padded to words
 *   memory      one word: kind | length << 3 (length in bytes), then
 *                 HIRA_MEM_NULL                  nothing: the pointer is NULL
 *                 HIRA_MEM_INLINE                in: the bytes, padded; out: nothing, the reply brings them
 *                 HIRA_MEM_ARENA                 one word, the arena offset: read or written in place
 *                 HIRA_MEM_BLOCK                 the same; a block with a completion word, used until the command has ended
 *                 HIRA_MEM_STREAM                the same; a window through which it moves while the call is served
 *                 HIRA_MEM_LATER                 in replies only: nothing, the lane's next HIRA_FN_LATER brings the bytes
 *
 * A reply is the result (one word), then for each out memory that was not NULL one word (its kind, and the bytes valid) and,
 * where it is inline, the bytes, padded. A string that is the result is such a word as well, with its bytes; one that is too long for
 * a reply is HIRA_MEM_LATER, and HIRA_FN_LATER fetches it. What the vendor printed may follow: the bytes, padded, then one word, the
 * descriptor << 32 | bytes.
 *
 * A record that names objects changed by other lanes ends with its dependencies: {lane, sequence} pairs and their number.
 *
 * To a server that does not share the guest's memory a relay carries the record (HIRA_WELCOME_REMOTE). Then it ends with the places of
 * the arena that it names, struct hira_record_memory each, and their number, behind the dependencies; the server never sees these.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_WIRE_RECORD_H
#define HIRA_WIRE_RECORD_H

#include <stdint.h>

/* Functions that every API has. */
enum {
    HIRA_FN_RELEASE = 0xffff, /* handle: the guest's last reference is gone */
    HIRA_FN_NOP = 0xfffe,     /* asks for nothing: completions and output come with its reply */
    HIRA_FN_THREAD_END = 0xfffd, /* the guest thread has ended: the server thread gives way to a fresh one */
    HIRA_FN_ANSWER = 0xfffc,  /* answers the callback that came with the last reply: its result */
    HIRA_FN_LATER = 0xfffb,   /* one out memory of its size: the string that a reply on this lane has put off; once */
};

enum {
    HIRA_RECORD_SYNC = 1,    /* a reply is wanted */
    HIRA_RECORD_SPILLED = 2, /* words[0], words[1]: arena offset and bytes of the payload that did not fit the ring */
    HIRA_RECORD_DEPS = 4,    /* ends with dependencies */
    HIRA_RECORD_QUIET = 8,   /* the reply tells nothing of commands: completions need not be looked for */
    HIRA_RECORD_MEMORY = 16, /* ends with memories: for a relay, which takes them off */
};

/* A place of the arena that a record names. */
struct hira_record_memory {
    uint64_t offset;
    uint64_t size_and_how; /* HIRA_MEMORY_*, and the bytes */
};
#define HIRA_MEMORY_IN (1ull << 63)   /* the server reads it */
#define HIRA_MEMORY_OUT (1ull << 62)  /* and writes it: by its reply, or, */
#define HIRA_MEMORY_CELL (1ull << 61) /* where it has a completion word, until that is set */
#define HIRA_MEMORY_FLOWS (1ull << 60) /* in: the caller fills it behind the record; out: it comes behind the reply. hira_block.flow */
#define HIRA_MEMORY_SIZE(word) ((word) & ~(HIRA_MEMORY_IN | HIRA_MEMORY_OUT | HIRA_MEMORY_CELL | HIRA_MEMORY_FLOWS))

enum { HIRA_MEM_NULL, HIRA_MEM_INLINE, HIRA_MEM_ARENA, HIRA_MEM_BLOCK, HIRA_MEM_STREAM, HIRA_MEM_LATER };
#define HIRA_MEM_KIND(word) ((unsigned)((word) & 7))
#define HIRA_MEM_LENGTH(word) ((word) >> 3)
#define HIRA_MEM_WORD(kind, length) ((uint64_t)(kind) | (uint64_t)(length) << 3)
#define HIRA_MEM_LENGTH_MAX ((UINT64_MAX >> 3) - 8)

enum {
    HIRA_REPLY_OK,
    HIRA_REPLY_FAILED,  /* could not be carried: the API's failure value */
    HIRA_REPLY_INVALID, /* words[0]: the type of a handle that names nothing */
    HIRA_REPLY_POISONED,/* words[0]: the error code that an asynchronous call left in an object */
    HIRA_REPLY_CALLBACK,/* the call goes on: words[0] callback, words[1] how many posted ones come before it, then as on the reverse lane */
};

enum {
    HIRA_REPLY_OUTPUT = 1, /* what the vendor printed follows behind the values */
    HIRA_REPLY_MORE = 2,   /* and there is more: ask with HIRA_FN_NOP */
};

/* Object ids: index, then generation, then type. The index's top bit says who named it. */
#define HIRA_ID_SERVER 0x80000000u
#define HIRA_ID(index, generation, type) ((uint64_t)(index) | (uint64_t)(uint16_t)(generation) << 32 | (uint64_t)(type) << 56)
#define HIRA_ID_INDEX(id) ((uint32_t)(id))
#define HIRA_ID_GENERATION(id) ((uint16_t)((id) >> 32))
#define HIRA_ID_TYPE(id) ((uint8_t)((id) >> 56))

#define HIRA_WORDS(bytes) (((uint64_t)(bytes) + 7) / 8)

#endif
