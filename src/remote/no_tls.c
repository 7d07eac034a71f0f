/* Connections without TLS, in a relay that links no library for it. See tls.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "remote/tls.h"

int relay_keys_load(struct relay_keys *keys, bool server, char *error, size_t size)
{
    (void)server;
    if (keys->plain && !keys->psk && !keys->cert && !keys->key && !keys->ca)
        return 0;
    snprintf(error, size,
             "this hira-relay is a virtual machine's, and knows no encryption: it speaks vsock: and unix: only");
    return -EINVAL;
}

int relay_keys_refresh(struct relay_keys *keys, char *error, size_t size)
{
    (void)keys, (void)error, (void)size;
    return 0;
}

bool relay_digest(const void *data, size_t size, uint8_t ret[static RELAY_DIGEST_SIZE])
{
    (void)data, (void)size, (void)ret;
    return false;
}

int relay_tls_begin(struct relay_tls **ret, int fd, const struct relay_keys *keys, bool server, const char *host,
                    char identity[static HIRA_TENANT_MAX], char *error, size_t size)
{
    (void)ret, (void)fd, (void)keys, (void)server, (void)host, (void)identity, (void)error, (void)size;
    return -ENOTSUP; /* no keys were loaded */
}

int relay_tls_send(struct relay_tls *tls, const struct iovec *parts, int n)
{
    (void)tls, (void)parts, (void)n;
    return -ENOTSUP;
}

ssize_t relay_tls_receive(struct relay_tls *tls, void *data, size_t size)
{
    (void)tls, (void)data, (void)size;
    return -ENOTSUP;
}

bool relay_tls_why(struct relay_tls *tls, char *text, size_t size)
{
    (void)tls, (void)text, (void)size;
    return false;
}

void relay_tls_end(struct relay_tls *tls)
{
    (void)tls;
}
