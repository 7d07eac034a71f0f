/*
 * hira-relay --check: the way to another host, hop by hop, for hira doctor. A line for each,
 * "STATE<tab>PART<tab>TEXT<tab>NEXT", to the first that is not well.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "remote/session.h"

#define RELAY_KEYS_NEXT                                                                                                \
    "are the key's line, or the certificates' authority, the same on both hosts, and both of one kind? Has a "         \
    "certificate expired, is it for another name? docs/remote.md; hirad's log there says more"

#define ANSWER_MS 60000 /* a server may have to be started, whose vendor builds its kernels at the very first start */

static int say(const char *state, const char *part, const char *text, const char *next)
{
    printf("%s\t%s\t%s\t%s\n", state, part, text, next);
    fflush(stdout);
    return !strcmp(state, "ok") ? 0 : -1;
}

/* What was found by the name, in numbers. */
static void put_addresses(const struct relay_target *t, char *text, size_t size)
{
    size_t n = 0;
    const struct sockaddr_vm *vm = &t->place.address.vm;
    if (t->all->ai_family == AF_VSOCK && vm->svm_cid == VMADDR_CID_HOST)
        n = (size_t)snprintf(text, size, "this machine's host, vsock port %u", vm->svm_port);
    else if (t->all->ai_family == AF_VSOCK)
        n = (size_t)snprintf(text, size, "machine %u, vsock port %u", vm->svm_cid, vm->svm_port);
    else if (t->all->ai_family == AF_UNIX)
        n = (size_t)snprintf(text, size, "%s", t->place.address.un.sun_path);
    if (n)
        return;
    for (const struct addrinfo *a = t->all; a && n < size; a = a->ai_next) {
        char host[80] = "?", port[8] = "?";
        getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
        n += (size_t)snprintf(text + n, size - n, "%s%s port %s", n ? ", " : "", host, port);
    }
}

/* What is to be done where a virtual machine does not get through to its host. */
static const char *for_machines(int error)
{
    if (error == -EAFNOSUPPORT)
        return "modprobe vmw_vsock_virtio_transport";
    if (error == -ENODEV)
        return "the machine has no vsock device: hira vm args, on its host";
    return "on the host: $(hira vm bridge) & before the machine starts, or hirad --listen vsock where the kernel has vhost-vsock; is the port the "
           "same?";
}

/* The hops of a connection, as far as it came. 0 or -1, told. */
static int say_hops(const struct relay_pipe *pipe, const struct relay_target *target, const struct relay_keys *keys, int error, const char *why)
{
    const int family = target->all->ai_family;
    const bool own = family == AF_VSOCK || family == AF_UNIX;
    static const struct {
        enum relay_stage stage;
        const char *part, *well, *next;
    } hops[] = {
        {RELAY_AT_CONNECTION, "connection", "it listens",
         "start hirad --listen there; let nothing between close the port; is it the right one?"},
        {RELAY_AT_PREFACE, "version", "Hira answers, of the same version",
         "install the same Hira on both hosts; is --plain given on both or on neither? Is the port another service's?"},
        {RELAY_AT_TLS, "keys", "that side has shown who it is",
         RELAY_KEYS_NEXT},
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(hops); i++) {
        if (error && pipe->stage == hops[i].stage)
            return say("fail", hops[i].part, why, family == AF_VSOCK && !i ? for_machines(error) : hops[i].next);
        bool plain = keys->plain && hops[i].stage == RELAY_AT_TLS;
        say(plain && keys->anywhere ? "warn" : "ok", hops[i].part,
            plain && own ? "none: the channel is the host's own" : plain ? "none, and no encryption" : hops[i].well,
            plain && keys->anywhere ? "whoever is between sees everything: docs/remote.md has keys" : "");
    }
    return 0;
}

static int send_frame(struct relay_pipe *pipe, uint16_t type, uint64_t number, const void *payload, uint32_t size)
{
    struct relay_frame head = {.size = size, .type = type, .number = number};
    const struct iovec parts[] = {{&head, sizeof head}, {(void *)payload, size}};
    return relay_pipe_send(pipe, parts, 2);
}

/* The next frame of this type; others are passed over. 0 or -errno. */
static int receive_frame(struct relay_pipe *pipe, uint16_t type, char *payload, size_t room, uint32_t *ret_size)
{
    const struct timeval soon = {ANSWER_MS / 1000, 0};
    struct relay_frame head = {0};
    int error = setsockopt(pipe->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) < 0 ? -errno : 0;
    while (!error && head.type != type) {
        error = relay_pipe_receive_all(pipe, &head, sizeof head);
        if (!error && (relay_frame_check(&head) < 0 || head.size > room))
            error = -EBADMSG;
        if (!error)
            error = relay_pipe_receive_all(pipe, payload, head.size);
    }
    *ret_size = head.size;
    return error;
}

/* As a guest of this API that has no functions: hirad answers, and a server with its devices. */
static int ask(struct relay_pipe *pipe, const char *api, char *text, size_t size)
{
    static _Alignas(8) char answer[HIRA_MESSAGE_MAX];
    static const uint8_t none[RELAY_SESSION_SIZE];
    struct hira_hello hello = {.head = hira_message_head(HIRA_MSG_HELLO, sizeof hello)};
    uint32_t n;
    snprintf(hello.api, sizeof hello.api, "%s", api);
    int error = send_frame(pipe, RELAY_SESSION, 0, none, sizeof none);
    if (!error)
        error = receive_frame(pipe, RELAY_SESSION, answer, sizeof answer, &n);
    if (error) {
        relay_pipe_why(pipe, error, text, size);
        return say("fail", "keys", text,
                   RELAY_KEYS_NEXT);
    }
    error = send_frame(pipe, RELAY_CONTROL, 1, &hello, sizeof hello);
    if (!error)
        error = receive_frame(pipe, RELAY_CONTROL, answer, sizeof answer, &n);
    if (error)
        return say("fail", "hirad", error == -ETIMEDOUT ? "it does not answer" : "the connection ends",
                   "see hirad's log on that host");
    send_frame(pipe, RELAY_BYE, 2, "", 0);
    if (hira_message_check(answer, n, HIRA_MSG_WELCOME, sizeof(struct hira_welcome)) == 0) {
        say("ok", "hirad", "answers", "");
        snprintf(text, size, "a server serves it, with its devices");
        return say("ok", api, text, "");
    }
    struct hira_refused *refused = (struct hira_refused *)answer;
    if (!hira_message_is_refusal(answer, n))
        return say("fail", "hirad", "it says what makes no sense", "install the same Hira on both hosts");
    refused->text[sizeof refused->text - 1] = 0;
    hira_text_tame(refused->text);
    if (strstr(refused->text, "no hirad answers"))
        return say("fail", "hirad", refused->text, "start it: hirad --listen starts its relay by itself");
    say("ok", "hirad", "answers", "");
    return say("fail", api, refused->text, "run hira doctor on that host; its hirad.conf says who may use what");
}

int relay_check(const struct relay_options *o, const char *api)
{
    struct relay_target target;
    struct relay_pipe pipe = {.fd = -1};
    char text[RELAY_ERROR_MAX];
    int error = relay_target_find(&target, o->address, text, sizeof text);
    if (error)
        return say("fail", "name", text,
                   "is the name right? An address does as well; hosts.conf and /etc/hosts have names");
    put_addresses(&target, text, sizeof text);
    say("ok", "name", text, "");
    error = relay_pipe_connect(&pipe, &target, &o->keys, NULL, text, sizeof text);
    if (say_hops(&pipe, &target, &o->keys, error, text) < 0)
        return -1;
    int ret = *api ? ask(&pipe, api, text, sizeof text) : 0;
    relay_pipe_close(&pipe);
    return ret;
}
