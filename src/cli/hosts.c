/*
 * See hosts.h. Read by libconfuse, as hirad's configuration is: each value is checked while the parser stands at it, so
 * that what is wrong has its line; what a host lacks is said with the line at which it ends.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/hosts.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define FILE_MAX (1u << 20)
#define PATH_SIZE 4096

bool cli_relay_option(struct cli_relay_options *o, const char *name, const char *value)
{
    struct hira_text word = {0};
    hira_text_printf(&word, "--%s%s%s", name, value ? "=" : "", value ? value : "");
    if (o->n == CLI_RELAY_OPTIONS_MAX || word.failed) {
        hira_text_fini(&word);
        return false;
    }
    o->keys |= strcmp(name, "on") && strcmp(name, "network") && strcmp(name, "check");
    o->words[o->n++] = word.data;
    return true;
}

void cli_relay_options_fini(struct cli_relay_options *o)
{
    while (o->n)
        free(o->words[--o->n]);
}

/* ---- the file ---- */

static struct hira_text *messages; /* the parser has no place for a context of ours */

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    if (messages->size > 2000)
        return;
    if (cfg && cfg->filename)
        hira_text_printf(messages, "%s:%d: ", cfg->filename, cfg->line);
    hira_text_vprintf(messages, format, args);
    hira_text_puts(messages, "\n");
}

static bool is_name(const char *s)
{
    return *s && strlen(s) <= 63 && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")];
}

static bool is_ipv6(const char *s, size_t length)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    if (memchr(s, '%', length)) /* the interface of a link's own address */
        length = strcspn(s, "%");
    if (length >= sizeof text)
        return false;
    memcpy(text, s, length);
    text[length] = 0;
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* HOST:PORT, [V6] and [V6]:PORT are what --on takes; here the port has a line of its own, and nothing needs brackets.
 * How long the address of it is, and its port, NULL: it has none. False: it is something else. */
static bool is_on_address(const char *s, const char **ret_address, size_t *ret_length, const char **ret_port)
{
    const char *end = *s == '[' ? strchr(s, ']') : strchr(s, ':');
    *ret_address = s + (*s == '[');
    *ret_length = end ? (size_t)(end - *ret_address) : 0;
    if (!*ret_length || (*s == '[' && !is_ipv6(*ret_address, *ret_length)))
        return false;
    end += *s == '[';
    *ret_port = *end ? end + 1 : NULL;
    return !*end || (*end == ':' && end[1] && strspn(end + 1, "0123456789") == strlen(end + 1));
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1), *address, *port;
    size_t length;
    if (value && *value && strlen(value) < 250 && !strpbrk(value, " \t\n[]/") &&
        (!strchr(value, ':') || is_ipv6(value, strlen(value))))
        return 0;
    if (value && strlen(value) < 250 && !strpbrk(value, " \t\n/") && is_on_address(value, &address, &length, &port)) {
        cfg_error(cfg, "address: '%s' is to be written address = \"%.*s\"%s%s", value, (int)length, address,
                  port ? " and port = " : "", port ? port : "");
        return -1;
    }
    cfg_error(cfg, "address: a name or an address, without a port, not '%s'", value ? value : "");
    return -1;
}

static int check_port(cfg_t *cfg, cfg_opt_t *opt)
{
    long n = cfg_opt_getnint(opt, 0);
    if (n >= 1 && n <= 65535)
        return 0;
    cfg_error(cfg, "port: a number from 1 to 65535, not %ld", n);
    return -1;
}

static int check_file(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    if (value && *value == '/' && strlen(value) < PATH_SIZE && access(value, R_OK) == 0)
        return 0;
    if (value && *value == '/')
        cfg_error(cfg, "%s: %s: %s", opt->name, value, strerror(errno));
    else
        cfg_error(cfg, "%s: an absolute path, not '%s'", opt->name, value ? value : "");
    return -1;
}

static int check_plain(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    if (value && (!strcmp(value, "local") || !strcmp(value, "anywhere")))
        return 0;
    cfg_error(cfg, "plain: local or anywhere, not '%s'", value ? value : "");
    return -1;
}

/* A section, when it ends. */
static int check_host(cfg_t *cfg, cfg_opt_t *opt)
{
    cfg_t *host = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    const char *name = cfg_title(host), *psk = cfg_getstr(host, "psk"), *plain = cfg_getstr(host, "plain"),
               *cert = cfg_getstr(host, "cert");
    bool vsock = !strcmp(cfg_getstr(host, "address"), "vsock"); /* a virtual machine's host */
    bool certificates = *cert || *cfg_getstr(host, "key") || *cfg_getstr(host, "ca");
    const char *wrong = !is_name(name)                      ? "its name may have letters, digits, '-', '_' and '.' only"
                        : !*cfg_getstr(host, "address")     ? "an address is missing"
                        : (*plain || vsock) && (*psk || certificates) ? "plain connections have no keys"
                        : !vsock && !*plain && !*psk && !certificates ? "psk, or cert and key, or plain is missing"
                        : !*cert != !*cfg_getstr(host, "key") ? "a certificate needs its key, and a key its certificate"
                                                              : NULL;
    if (!wrong)
        return 0;
    cfg_error(cfg, "host %s: %s", is_name(name) ? name : "?", wrong);
    return -1;
}

static cfg_t *parser(void)
{
    static cfg_opt_t host[] = {CFG_STR("address", "", CFGF_NONE), CFG_INT("port", 4772, CFGF_NONE),
                               CFG_STR("psk", "", CFGF_NONE),     CFG_STR("cert", "", CFGF_NONE),
                               CFG_STR("key", "", CFGF_NONE),     CFG_STR("ca", "", CFGF_NONE),
                               CFG_STR("plain", "", CFGF_NONE),   CFG_END()};
    static cfg_opt_t options[] = {CFG_SEC("host", host, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES), CFG_END()};
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (!cfg)
        return NULL;
    cfg_set_error_function(cfg, on_error);
    cfg_set_validate_func(cfg, "host", check_host);
    cfg_set_validate_func(cfg, "host|address", check_address);
    cfg_set_validate_func(cfg, "host|port", check_port);
    cfg_set_validate_func(cfg, "host|psk", check_file);
    cfg_set_validate_func(cfg, "host|cert", check_file);
    cfg_set_validate_func(cfg, "host|key", check_file);
    cfg_set_validate_func(cfg, "host|ca", check_file);
    cfg_set_validate_func(cfg, "host|plain", check_plain);
    return cfg;
}

/* Where the file is; one that is named has to be there. */
static bool find_file(char *path, size_t size)
{
    const char *named = getenv("HIRA_HOSTS"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (named && *named)
        return snprintf(path, size, "%s", named), true;
    if (config && *config == '/')
        snprintf(path, size, "%s/hira/hosts.conf", config);
    else
        snprintf(path, size, "%s/.config/hira/hosts.conf", home && *home == '/' ? home : "/root");
    if (access(path, F_OK) == 0)
        return true;
    snprintf(path, size, "/etc/hira/hosts.conf");
    return access(path, F_OK) == 0;
}

static void take_host(cfg_t *host, struct cli_relay_options *o)
{
    static const char *const keys[] = {"psk", "cert", "key", "ca"};
    const char *plain = cfg_getstr(host, "plain"), *address = cfg_getstr(host, "address");
    bool given = o->keys;
    char on[300];
    snprintf(on, sizeof on, strchr(address, ':') ? "[%s]:%ld" : "%s:%ld", address, cfg_getint(host, "port"));
    cli_relay_option(o, "on", on);
    for (size_t i = 0; !given && i < HIRA_ARRAY_SIZE(keys); i++)
        if (*cfg_getstr(host, keys[i]))
            cli_relay_option(o, keys[i], cfg_getstr(host, keys[i]));
    if (!given && *plain)
        cli_relay_option(o, "plain", !strcmp(plain, "anywhere") ? plain : NULL);
}

/* Reads the file, and takes the host of this name. 0, -ENOENT: it has none; -EINVAL, with what was said. */
static int look_up(const char *text, const char *path, const char *name, struct cli_relay_options *o)
{
    cfg_t *cfg = parser();
    FILE *file = cfg && *text ? fmemopen((void *)text, strlen(text), "r") : NULL;
    int ret = cfg ? -ENOENT : -ENOMEM;
    if (cfg)
        cfg->filename = strdup(path);
    if (strstr(text, "${")) {
        hira_text_printf(messages, "%s: variables of the environment are not used: \"${\" stands in it\n", path);
        ret = -EINVAL;
    } else if (file && cfg_parse_fp(cfg, file) != CFG_SUCCESS) {
        ret = -EINVAL;
    }
    cfg_t *host = ret == -ENOENT ? cfg_gettsec(cfg, "host", name) : NULL;
    if (host) {
        take_host(host, o);
        ret = 0;
    }
    if (file)
        fclose(file);
    if (cfg)
        cfg_free(cfg);
    return ret;
}

/* A host's name that is not in the file has its keys on the command line; a channel of the host's own has none. */
static bool needs_keys(const char *name, const struct cli_relay_options *o)
{
    return !o->keys && strcmp(name, "vsock") && strncmp(name, "vsock:", 6) && strncmp(name, "unix:", 5);
}

int cli_host_resolve(const char *name, struct cli_relay_options *o, char *error, size_t size)
{
    char path[PATH_SIZE];
    struct hira_text said = {0}, text = {0};
    int ret = -ENOENT;
    messages = &said;
    if (find_file(path, sizeof path)) {
        ret = hira_text_read_file(&text, path, FILE_MAX);
        if (ret)
            hira_text_printf(&said, "%s: %s\n", path, strerror(-ret));
        else
            ret = look_up(text.data ? text.data : "", path, name, o);
        if (ret == -ENOENT && said.size)
            ret = -EINVAL;
    }
    if (ret == -ENOENT && needs_keys(name, o)) {
        if (access(path, F_OK) == 0)
            hira_text_printf(&said, "no host in %s is named '%s'; ", path, name);
        hira_text_printf(&said, "to speak to '%s' keys are needed: --psk, or --cert and --key\n", name);
        ret = -EINVAL;
    }
    if (said.size)
        said.data[said.size - 1] = 0;
    snprintf(error, size, "%s", said.data ? said.data : "out of memory");
    hira_text_fini(&text);
    hira_text_fini(&said);
    messages = NULL;
    if (ret == -ENOENT)
        return cli_relay_option(o, "on", name) ? 0 : -1;
    return ret ? -1 : 0;
}
