/* What a peer on the network may cost a relay. Each number with its reason.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_REMOTE_LIMITS_H
#define HIRA_REMOTE_LIMITS_H

#define RELAY_PORT "4772"

/* From a connection to the end of its handshake: two round trips around the world, and a busy machine. Who is slower is
 * gone. */
#define RELAY_HANDSHAKE_MS 10000

/* Connections that have not proven who they are. Each is a process of 2 MiB; beyond, the one silent for longest goes.
 */
#define RELAY_HALF_OPEN_MAX 64

/* Sessions at once, in processes: as many guests as hirad serves unless told otherwise. */
#define RELAY_SESSIONS_MAX 1024

/* Of one frame's payload. Bulk data is cut into such pieces, so that a small call waits for one of them at most. */
#define RELAY_PIECE (256u * 1024)

/* Bytes of one lane's records under way: 16,000 usual ones, what a lane makes in 30 ms. The peer queues them. */
#define RELAY_WINDOW (1024u * 1024)

/* Small frames that the peer has not acknowledged, kept to be sent again; bulk data is not copied for that. */
#define RELAY_KEPT_MAX (16u * 1024 * 1024)

/* Small frames that are ready together go together, up to so many bytes. */
#define RELAY_BATCH (16u * 1024)

/* Received without anything to send: then an acknowledgement goes by itself. */
#define RELAY_ACKNOWLEDGE_FRAMES 256u

/* How long a session outlives its connection, and how often its guest's side tries to have it back. */
#define RELAY_GRACE_MS 60000
#define RELAY_RETRY_MS 200

/* Over a channel of the host's own: that is lost with the machine, which will not come back; what its guests have on the host is freed. */
#define RELAY_GRACE_OWN_MS 0

/* A peer that acknowledges nothing for so long has lost its connection; idle ones are asked that often. */
#define RELAY_SILENCE_MS 10000
#define RELAY_PROBE_S 5

/* Memories that one record names: what the guest library can give blocks to, and the record's own. */
#define RELAY_MEMORIES_MAX 32u

/* Blocks whose commands have not ended. */
#define RELAY_PENDING_MAX (1u << 20)

#endif
