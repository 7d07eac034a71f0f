/*
 * Control messages: what guest, router and server say to each other outside the calls.
 *
 * All travel as single messages of a unix SOCK_SEQPACKET socket, little-endian, beginning with struct hira_message.
 *
 *   guest -> hirad     HELLO                        hirad reads it, picks a warm server, and sends it on
 *   hirad -> server    ADOPT + the guest's socket   the HELLO travels inside; hirad is out of the calls' way from here
 *   server -> guest    WELCOME | REFUSED            (hirad itself may refuse)
 *   guest -> server    OPEN_LANE, CLOSE_LANE, GROW  one request at a time; each but CLOSE_LANE is answered
 *   server -> guest    LANE + fd, SEGMENT + fd, or REFUSED
 *   zygote -> hirad    SANDBOX                      first: how servers are confined
 *   zygote -> hirad    FUNCTIONS                    then, and after a REJOIN: what the functions are called that accounts count
 *   hirad -> zygote    FORK                         answered in order, each by FORKED + the router's end of the child's socket +
 *                                                   the reading end of its standard error + its account + its pidfd (where the
 *                                                   kernel has them), or by REFUSED with the reason
 *   hirad -> zygote    SERVING                      this child is about to get this guest
 *   hirad -> zygote    END                          kill this child
 *   zygote -> hirad    EXITED                       a child has ended, and how
 *   zygote -> hirad    REJOIN                       the hirad of before is gone: its first words on a connection like a guest's.
 *                                                   Then FUNCTIONS, for each child with a guest CHILD, as FORKED without a pidfd;
 *                                                   EXITED as ever, and hirad may send END. Or hirad answers REFUSED
 *   server -> hirad    READY | REFUSED              vendor initialized: may be handed a guest; or why not, before it exits
 *   relay -> hirad    BEHALF                       for whom the HELLO is that comes next
 *   bridge -> hirad   REGION                       the HELLO that comes next is a virtual machine's, and this is the memory that its
 *                                                   guest shares with the host. First without descriptors; hirad answers REGION to
 *                                                   whom it listens to, and then they come
 *   guest <-> server  WAKE                         a thread of the other side sleeps on this lane: futexes do not reach into machines
 *   operator -> hirad  STATUS                       answered with STATUS_TEXT, JSON behind the header
 *   operator -> hirad  KILL                         end the servers of a guest; answered with KILLED
 *
 * Hang-up of the socket is the only sign of death, on either side. Every field from a guest is hostile: see the
 * hira_hello_* functions for the one place where a HELLO is taken apart.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_WIRE_HANDSHAKE_H
#define HIRA_WIRE_HANDSHAKE_H

#include <stdarg.h>

#include "base/util.h"

#define HIRA_PROTOCOL_MAGIC 0x41524948u /* "HIRA" */
#define HIRA_PROTOCOL_VERSION 1u        /* grows with every incompatible change of records or messages */

#define HIRA_MESSAGE_MAX (128 * 1024)   /* fits the kernel's default socket buffer; a table of 2,000 functions fits in it */
#define HIRA_API_NAME_MAX 32
#define HIRA_FUNCTIONS_MAX 4096         /* in one API; vulkan_core.h has 578 */
#define HIRA_FUNCTION_NAME_MAX 127
#define HIRA_GUEST_MARK "<hira guest library>" /* in the file of every guest library, whatever its name: none is a vendor's */
#define HIRA_ENVIRONMENT_MAX 16384      /* bytes of NAME=value strings, each NUL-terminated */

enum hira_message_type {
    HIRA_MSG_HELLO = 1,
    HIRA_MSG_WELCOME,
    HIRA_MSG_REFUSED,
    HIRA_MSG_OPEN_LANE,
    HIRA_MSG_LANE,
    HIRA_MSG_CLOSE_LANE,
    HIRA_MSG_GROW,
    HIRA_MSG_SEGMENT,
    HIRA_MSG_ADOPT,
    HIRA_MSG_FORK,
    HIRA_MSG_FORKED,
    HIRA_MSG_READY,
    HIRA_MSG_EXITED,
    HIRA_MSG_STATUS,
    HIRA_MSG_STATUS_TEXT,
    HIRA_MSG_RECORD,        /* these two only in recorded streams: see channel/transport.h */
    HIRA_MSG_FILL,
    HIRA_MSG_SANDBOX,
    HIRA_MSG_SERVING,
    HIRA_MSG_END,
    HIRA_MSG_REJOIN,
    HIRA_MSG_CHILD,
    HIRA_MSG_KILL,
    HIRA_MSG_KILLED,
    HIRA_MSG_WANT,
    HIRA_MSG_TURN,
    HIRA_MSG_END_TURN,
    HIRA_MSG_TURN_DONE,
    HIRA_MSG_CONTROL,
    HIRA_MSG_CONTROL_TEXT,
    HIRA_MSG_TRACE,         /* + the writing end of a pipe: where a server writes its calls down, while HIRA_GATE_TRACE is set */
    HIRA_MSG_BEHALF,
    HIRA_MSG_REGION,        /* + the region's memory file, and the lease: see struct hira_region_message */
    HIRA_MSG_WAKE,
    HIRA_MSG_FUNCTIONS,     /* + a memory file: see struct hira_functions_message */
};

struct hira_message {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t size; /* of the whole message, this header included */
    uint32_t reserved;
};

/* Followed by `n_functions` entries {uint32_t signature; uint8_t length; char name[length]} (packed, in the order of the
 * guest's function indices) and then `environment_size` bytes of environment. */
struct hira_hello {
    struct hira_message head;
    char api[HIRA_API_NAME_MAX]; /* NUL-terminated: "opencl" */
    uint32_t pid;                /* the guest's own idea of it: for logs only */
    uint32_t n_functions;
    uint32_t functions_size;     /* bytes of the entries */
    uint32_t environment_size;
};

/* Followed by (n_functions + 7) / 8 bytes: bit i set when the guest's function i can be called here. */
struct hira_welcome {
    struct hira_message head;
    uint32_t n_functions;
    uint32_t max_lanes;
    uint64_t max_arena;        /* bytes in all segments */
    uint32_t server_pid;
    uint32_t flags;            /* HIRA_WELCOME_* */
};

/* A part of the memory that a virtual machine shares with its host: a guest's lanes and arena lie there, not in memory files. */
struct hira_slice {
    uint64_t offset, size;     /* bytes, whole pages; size 0: there is none */
    uint64_t token[2];         /* stands at the region's beginning, behind HIRA_REGION_MAGIC: by it a guest knows which memory is meant */
};
#define HIRA_REGION_MAGIC 0x4e4f494745524948ull /* "HIREGION" */
#define HIRA_REGION_HEAD 4096u                  /* bytes at the beginning that are nobody's part */

#define HIRA_WELCOME_LIMITED 1u /* device memory is limited: calls that take some wait for their answer */
#define HIRA_WELCOME_REMOTE 2u  /* from a relay: the arena is not the server's memory, records say what they name of it */
#define HIRA_WELCOME_REGION 4u  /* behind the bits, at the next multiple of 8, stands a struct hira_slice: lanes and arena lie there */

struct hira_refused {
    struct hira_message head;
    int32_t error;             /* errno value: EPROTO another version, EACCES policy, ENOENT no such API, EAGAIN no room, ... */
    char text[252];            /* one sentence for people, NUL-terminated */
};

struct hira_lane_message {     /* OPEN_LANE (index ignored), LANE, CLOSE_LANE, WAKE */
    struct hira_message head;
    uint32_t index;
    uint32_t callbacks;        /* nonzero: the reverse lane, on which the server calls and the guest answers */
    uint64_t size;             /* LANE: bytes of the memory file that comes with it */
};

struct hira_segment_message {  /* GROW: `size` wanted; SEGMENT: what was made, at `base` of the arena's address space */
    struct hira_message head;
    uint64_t size, base;
};

struct hira_adopt {            /* + guest socket; the region's memory file, where there is one; the pipe of TRACE, likewise; followed by the
                                * guest's whole HELLO message */
    struct hira_message head;
    uint32_t uid, gid, pid;    /* as the kernel told hirad */
    uint32_t reserved;
    struct hira_slice region;
};

#define HIRA_TENANT_MAX 32

struct hira_fork {             /* FORK: a server for this tenant */
    struct hira_message head;
    char tenant[HIRA_TENANT_MAX]; /* NUL-terminated; a name that is a file's as well */
    uint32_t uid, reserved;
};

struct hira_sandbox_message {  /* SANDBOX: the layers' names, NUL-terminated; of what is missing the reasons too */
    struct hira_message head;
    uint32_t mode, reserved;   /* enum hira_sandbox_mode */
    char held[256], missing[512];
};

/* FUNCTIONS, + a sealed memory file: `n` names of the server's functions, each NUL-terminated, `size` bytes in all. By the server's index,
 * which is the same for all its guests; those that have a line of their own in an account, and no more. */
struct hira_functions_message {
    struct hira_message head;
    uint32_t n, size;
};

struct hira_forked {           /* FORKED (+ descriptors), READY, EXITED, END */
    struct hira_message head;
    uint32_t pid;
    int32_t status;            /* EXITED: as waitpid gives it */
};

struct hira_serving {          /* SERVING, CHILD (+ descriptors) */
    struct hira_message head;
    uint32_t pid;              /* the server's */
    uint32_t guest, uid, gid;  /* as the kernel told hirad */
    uint64_t since;            /* when it got its guest, CLOCK_MONOTONIC in ms: the same clock for every hirad since boot */
    char name[32];             /* of the guest's program, NUL-terminated */
    char tenant[HIRA_TENANT_MAX]; /* NUL-terminated */
};

struct hira_behalf {
    struct hira_message head;
    char name[HIRA_TENANT_MAX]; /* NUL-terminated: who the peer has proven to be; "": whoever the relay is */
    char peer[64];              /* NUL-terminated: where it is, for logs */
};

/* The lease is the writing end of a pipe, which is closed when no process of the host can reach the part any more: hirad hands it on to
 * the zygote, with SERVING, which keeps it until it has reaped the server. Only then may the bridge give the part to another guest. */
struct hira_region_message {   /* REGION */
    struct hira_message head;
    uint32_t cid, reserved;    /* the machine's address, for logs */
    struct hira_slice region;
};

struct hira_rejoin {
    struct hira_message head;
    char api[HIRA_API_NAME_MAX]; /* NUL-terminated */
};

struct hira_kill {             /* KILL, KILLED */
    struct hira_message head;
    uint32_t pid;              /* KILL: the guest's; 0: every guest that the asker may end */
    uint32_t n;                /* KILLED: servers that were ended */
};

/* Turns of the device, for commands that take its time: between hirad and a server that has a guest. A server WANTs one, hirad gives it
 * a TURN, the server says TURN_DONE: when the time is over, when nothing is left to be done, or after END_TURN, in each case once the
 * commands that it has begun have ended. Each of the vendor's devices has turns of its own, known by its number, as `hira-server-API
 * --devices` counts them; those of a machine with more than HIRA_TURN_DEVICES share turns. Of each a server has at most one turn, and
 * wants at most one. After hirad was replaced the new one says END_TURN with number 0 for each device, which is answered by a TURN_DONE
 * whatever the server had. */
#define HIRA_TURN_DEVICES 16u
struct hira_turn {             /* WANT, TURN, END_TURN, TURN_DONE */
    struct hira_message head;
    uint64_t number;           /* TURN: of the turn, not 0; END_TURN, TURN_DONE: which one */
    uint64_t time;             /* ns. TURN: for so long commands may begin, UINT64_MAX: until END_TURN; TURN_DONE: device time used */
    uint32_t wants;            /* TURN_DONE: it wants another */
    uint32_t device;           /* below HIRA_TURN_DEVICES */
};

/* Operators' requests and their answers, JSON: docs/protocol.md, section 6. */
struct hira_control {          /* CONTROL, CONTROL_TEXT: followed by the text, NUL-terminated */
    struct hira_message head;
};

struct hira_record_message {   /* RECORD: to be published on a lane */
    struct hira_message head;
    uint32_t lane;
    uint16_t function, flags;  /* as in struct hira_record */
    uint64_t words[];
};

struct hira_fill_message {     /* FILL: contents of the arena */
    struct hira_message head;
    uint64_t offset;
    uint8_t bytes[];
};

/* Fills in a header. */
static inline struct hira_message hira_message_head(enum hira_message_type type, size_t size)
{
    return (struct hira_message){HIRA_PROTOCOL_MAGIC, HIRA_PROTOCOL_VERSION, (uint16_t)type, (uint32_t)size, 0};
}

/* Whether `size` received bytes are a message of this type at least `need` bytes long whose header says the same size.
 * 0, -EPROTO (no message of ours), -EPROTONOSUPPORT (another version), -EBADMSG (another type or too short). */
int hira_message_check(const void *data, size_t size, enum hira_message_type type, size_t need);

/* Whether it is a struct hira_refused, of whatever version of the protocol: it is the same in each, so that a side of another
 * version can say that it is one. */
bool hira_message_is_refusal(const void *data, size_t size);

/* Whether it is a tenant's name: terminated, letters, digits, '-', '_', '.', not beginning with a '.'. */
bool hira_tenant_valid(const char name[HIRA_TENANT_MAX]);

/* Whether it is a function's name: letters, digits, '_', at most HIRA_FUNCTION_NAME_MAX of them, and not none. */
bool hira_function_name_valid(const char *name, size_t length);

/* Checks a HELLO through: header, API name terminated, counts within limits, entries and environment exactly filling it. -EILSEQ: a
 * function's name is none. */
int hira_hello_check(const void *data, size_t size);

/* Walks the entries of a checked HELLO: start with *cursor = 0; false at the end. `name` is not NUL-terminated. */
bool hira_hello_next(const struct hira_hello *hello, size_t *cursor, uint32_t *ret_signature, const char **ret_name,
                     size_t *ret_length);

/* The environment of a checked HELLO: strings "NAME=value", each NUL-terminated. */
const char *hira_hello_environment(const struct hira_hello *hello, size_t *ret_size);

/* Whether it is a part of a region that a file of this size may hold: whole pages, none of them the first. */
bool hira_slice_valid(const struct hira_slice *region, uint64_t file_size);

/* REFUSED with a printf text, cut to its room. */
struct hira_refused hira_refusal(int error, const char *format, va_list args);

/* Sends one on a socket. 0 or -errno. */
int hira_refuse(int sock, int error, const char *format, ...) HIRA_PRINTF(3, 4);

#define HIRA_SYSTEM_SOCKET "/run/hira/hirad.sock"

/* Where the router listens: $HIRA_SOCKET, else HIRA_SYSTEM_SOCKET (root), $XDG_RUNTIME_DIR/hira/hirad.sock or
 * /tmp/hira-UID/hirad.sock. Writes a NUL-terminated path; 0 or -ENAMETOOLONG. */
int hira_socket_path(char *path, size_t size);

/* Connects a SEQPACKET socket to `path`. fd or -errno: -EPERM where another user listens at the last of the places above, which anybody
 * can make. The second never waits for a listener that is behind with accepting
 * (-EAGAIN). */
int hira_socket_connect(const char *path);
int hira_socket_connect_now(const char *path);

#endif
