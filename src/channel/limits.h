/* Sizes of the channel, each with its reason. The server enforces them against a hostile guest.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_CHANNEL_LIMITS_H
#define HIRA_CHANNEL_LIMITS_H

#define HIRA_RING_SIZE (64u * 1024)   /* 1,000 usual records: deep enough to hide a vendor call of 100 µs, stays in L2 */
#define HIRA_RECORD_MAX (HIRA_RING_SIZE / 8) /* larger ones go through the arena: one record never fills the ring */
#define HIRA_REPLY_SIZE (32u * 1024)  /* query results and kernel output; larger out data goes through the arena */
#define HIRA_STRING_INLINE (HIRA_REPLY_SIZE / 4) /* a returned string up to this size, its NUL included, comes in the reply: names do; other results have room beside it */
#define HIRA_STRING_MAX (16u * 1024 * 1024) /* a longer one fails the call: compilers' logs, the longest texts there are, have some MiB; each lane may make the server keep one */
#define HIRA_SPILL_MAX (256u * 1024 * 1024) /* a record in the arena: program binaries of this size have been seen in no vendor */
#define HIRA_LANES_MAX 512u           /* threads of one application at a time; a lane costs 104 KiB and a server thread */
#define HIRA_PRIVATE_MAX (4ull * 1024 * 1024 * 1024) /* copies that all calls of one guest may keep: 100,000 commands in flight need 2.4 GiB */
#define HIRA_CALLBACK_DEPTH_MAX 256u  /* callbacks and calls nested in one another: natively a stack's worth; here each side's stack is the other's to fill */
#define HIRA_REGISTRATIONS_MAX (1u << 20) /* callbacks that the vendor may still call: as many as objects */
#define HIRA_MAPPINGS_MAX (1u << 20)  /* regions mapped at once: as many as objects */
#define HIRA_DEPS_MAX 16u             /* other lanes one record may wait for; more threads on one object: the record is sync */
#define HIRA_DEPS_ASYNC 4             /* lanes that work on one object asynchronously; calls of further ones wait */
#define HIRA_OBJECTS_MAX (1u << 20)   /* live objects named by each side: 100,000 events in flight have been seen */
#define HIRA_ARENA_SEGMENT (4ull * 1024 * 1024)  /* smallest segment: two 2 MiB pages */
#define HIRA_ARENA_MAX (4ull * 1024 * 1024 * 1024) /* all segments of one application; the router may lower it */
#define HIRA_ARENA_KEEP (8ull * 1024 * 1024) /* never given back: the warm pages that most applications use over and over */
#define HIRA_ARENA_REST_NS 1000000000ull     /* what lay free for so long is given back: longer than pauses between bursts of transfers */
#define HIRA_ARENA_PIECE (8ull * 1024 * 1024) /* given back at a time, some 2 ms: no call is to wait for all of it */
#define HIRA_REGION_LEAST (2ull * 1024 * 1024) /* smallest part of a machine's region: a few lanes, and an arena that is worth having */
#define HIRA_REGION_LANES_PART 8 /* of a part of a region so much is for lanes: 40 of them in 32 MiB */
#define HIRA_REGION_WAKE_NS 500000 /* a lane into a machine: waking its sleeper goes through two kernels and a device, 200-500 µs */
#define HIRA_REGION_SPIN_GUEST_NS 400000 /* a machine may have one processor, which others in it want as well */
#define HIRA_REGION_SPIN_HOST_NS (2 * HIRA_REGION_WAKE_NS) /* longer than waking the guest takes: else each would find the other asleep, for ever */
#define HIRA_SEGMENTS_MAX 512u
#define HIRA_INLINE_MAX 2048u         /* payload up to this size travels inside the record: copying it beats touching another page */

#endif
