/*
 * What travels between two relays: a preface, then frames. docs/protocol.md, section 8.
 *
 * A connection begins with one preface of each side, in the clear, so that whoever speaks another version, or wants
 * another kind of connection, is told so in a sentence; it says which session the connection is for, and nothing else
 * of it is believed. Then TLS, unless both want none. Then frames, little-endian, each a head and `size` bytes.
 *
 * Frames are numbered from 1 in each direction, over the life of a session, whichever connection they come by. A head
 * says which of the peer's have come; those that have not are sent again by the next connection, and what has come
 * already is dropped there: so each is taken once, and in order. A frame without a number is no part of that.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_FRAME_H
#define HIRA_REMOTE_FRAME_H

#include "remote/limits.h"
#include "channel/limits.h"
#include "wire/handshake.h"

#define RELAY_MAGIC 0x4e524948u /* "HIRN" */
#define RELAY_VERSION 3u        /* of what is described here; that of the records in it is HIRA_PROTOCOL_VERSION */
#define RELAY_SESSION_SIZE 16

enum { RELAY_PLAIN, RELAY_TLS };

struct relay_preface {
    uint32_t magic;
    uint16_t version;
    uint16_t protocol; /* HIRA_PROTOCOL_VERSION */
    uint16_t security; /* RELAY_PLAIN, RELAY_TLS */
    uint16_t error;    /* of an answer: 0, or an errno value, and then the connection ends */
    uint32_t reserved;
    uint8_t session[RELAY_SESSION_SIZE]; /* zeros: a new one */
    char text[96];                       /* of an answer with an error: why, one sentence, NUL-terminated */
};

enum relay_frame_type {
    RELAY_SESSION = 1, /* no number; the first on each connection: the session's name; `received` says where to go on */
    RELAY_ACK,         /* no number, no payload */
    RELAY_BYE,         /* the session ends; a sentence, or nothing */
    RELAY_CONTROL,     /* a control message of wire/handshake.h, without its descriptor */
    RELAY_RECORD,      /* on a lane: `argument` memories, then the record */
    RELAY_DATA,        /* contents of the arena at offset `argument` */
    RELAY_CELL,        /* the completion word before the block at offset `argument` becomes `lane` */
    RELAY_REPLY,       /* on a lane, to the record of sequence `argument`: struct relay_progress, then the reply */
    RELAY_PROGRESS,    /* on a lane: struct relay_progress */
    RELAY_PACKED,      /* as DATA, compressed (pack.h): may be sent in its place, also when it was not the first time */
};

struct relay_frame {
    uint32_t size; /* of the payload, at most RELAY_PIECE */
    uint16_t type;
    uint16_t lane; /* RELAY_REVERSE: that of the callbacks */
    uint64_t number;
    uint64_t received; /* the last of the peer's numbers that has come */
    uint64_t argument;
};

#define RELAY_REVERSE 0xffffu

struct relay_progress {
    uint64_t retired;  /* sequence of the last record whose effects are done */
    uint64_t consumed; /* bytes of the ring taken since the beginning */
};

/* Whether a head is one of a peer's: its type known, its payload of a length that this type has. 0 or -EBADMSG. */
int relay_frame_check(const struct relay_frame *frame);

/* Whether it is a preface of ours: 0, -EPROTO (something else speaks), -EPROTONOSUPPORT (another version), -EBADMSG. */
int relay_preface_check(const struct relay_preface *preface);

#endif
