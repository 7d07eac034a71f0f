/*
 * Reading hirad.conf, by libconfuse. See config.h.
 *
 * Every value is checked while the parser stands at it, so that what is wrong has its line, and all that is wrong is
 * said at once. What concerns several is checked at the end.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "router/config.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "router/config_values.h"

/* Where the parser's messages go: it has no place for a context of ours. One thread at a time, as the parser itself. */
static struct hira_text *messages;

/* A line of its own for each; whatever stands in the file does not reach a terminal as it is. */
static void tell(const char *name, int line, const char *format, va_list args)
{
    if (!messages || messages->size > 4000)
        return;
    size_t began = messages->size;
    if (name && line)
        hira_text_printf(messages, "%s:%d: ", name, line);
    hira_text_vprintf(messages, format, args);
    if (messages->data)
        hira_text_tame(messages->data + began);
    hira_text_puts(messages, "\n");
}

__attribute__((format(printf, 3, 4))) static void tell_at(const char *name, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(name, line, format, args);
    va_end(args);
}

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    tell(cfg ? cfg->filename : NULL, cfg ? cfg->line : 0, format, args);
}

/* ---- values while they are read ---- */

/* A value is wrong and has been told: the parser goes on, for there may be more. */
enum { WRONG = 0 };

static int check_text(cfg_t *cfg, cfg_opt_t *opt,
                      int (*take)(const char *value, uint64_t *ret, char *error, size_t size))
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    char error[200];
    uint64_t number;
    if (value && take(value, &number, error, sizeof error) == 0)
        return 0;
    cfg_error(cfg, "%s: %s", opt->name, value ? error : "a value is missing");
    return WRONG;
}

static int check_count(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_text(cfg, opt, config_count);
}

static int check_bytes(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_text(cfg, opt, config_bytes);
}

static int check_user(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_text(cfg, opt, config_user);
}

static int check_group(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_text(cfg, opt, config_group);
}

static int check_between(cfg_t *cfg, cfg_opt_t *opt, long min, long max)
{
    long n = cfg_opt_getnint(opt, 0);
    if (n >= min && n <= max)
        return 0;
    cfg_error(cfg, "%s: a number from %ld to %ld, not %ld", opt->name, min, max, n);
    return WRONG;
}

static int check_weight(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_between(cfg, opt, 1, POLICY_WEIGHT_MAX);
}

static int check_priority(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_between(cfg, opt, 0, POLICY_PRIORITIES - 1);
}

static int check_quantum(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_between(cfg, opt, 1, 1000);
}

/* More than all of the device nobody can have. */
static int check_time(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_between(cfg, opt, 0, 1000);
}

static int check_time_burst(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_between(cfg, opt, 1, 60000);
}

static int check_class(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, 0);
    if (value && (!strcmp(value, "batch") || !strcmp(value, "latency")))
        return 0;
    cfg_error(cfg, "class: batch or latency, not '%s'", value ? value : "");
    return WRONG;
}

static int check_policy(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, 0);
    if (value && (policy_find(value) || !strcmp(value, "none")))
        return 0;
    cfg_error(cfg, "policy: fair, round-robin, fifo, band, credit or none, not '%s'", value ? value : "");
    return WRONG;
}

static int check_metrics(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, 0);
    char error[200];
    if (value && config_address(value, NULL, NULL, error, sizeof error) == 0)
        return 0;
    cfg_error(cfg, "metrics: %s", value ? error : "a value is missing");
    return WRONG;
}

static int check_socket(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    if (value && value[0] == '/' && strlen(value) < CONFIG_SOCKET_MAX)
        return 0;
    cfg_error(cfg, "sockets: an absolute path of at most %u characters, not '%s'", CONFIG_SOCKET_MAX - 1,
              value ? value : "");
    return WRONG;
}

static int check_peer(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    char name[HIRA_TENANT_MAX] = "";
    if (value && strlen(value) <= CONFIG_PEER_MAX)
        memcpy(name, value, strlen(value));
    if (hira_tenant_valid(name))
        return 0;
    cfg_error(cfg, "peers: a name of at most %u letters, digits, '-', '_', '.', not '%s'", CONFIG_PEER_MAX,
              value ? value : "");
    return WRONG;
}

static bool is_api(const char *value)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return n && !value[n] && n < HIRA_API_NAME_MAX;
}

static int check_api(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    if (value && is_api(value))
        return 0;
    cfg_error(cfg, "apis: '%s' is no API's name", value ? value : "");
    return WRONG;
}

/* Control characters and nothing at all are no part of a name. */
static bool is_pattern(const char *value)
{
    const char *p = value;
    while ((unsigned char)*p >= ' ')
        p++;
    return *value && !*p;
}

static int check_device(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    if (value && is_pattern(value))
        return 0;
    cfg_error(cfg, "devices: a number or a pattern of names, not '%s'", value && !*value ? "" : "...");
    return WRONG;
}

static int check_name(cfg_t *cfg, cfg_opt_t *opt)
{
    char name[HIRA_TENANT_MAX] = "";
    cfg_t *tenant = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    const char *title = tenant ? cfg_title(tenant) : NULL;
    bool fits = title && strlen(title) < sizeof name;
    if (fits)
        memcpy(name, title, strlen(title) + 1);
    if (!fits || !hira_tenant_valid(name) || !strcmp(name, "default")) {
        cfg_error(cfg, "tenant: '%s' is no name (letters, digits, '-', '_', '.', at most %u; not 'default')",
                  title ? title : "", HIRA_TENANT_MAX - 1);
        return WRONG;
    }
    if (!strncmp(name, "user-", 5)) {
        cfg_error(cfg, "tenant: '%s': names with user- are those of users under default", name);
        return WRONG;
    }
    return 0;
}

/* ---- from the parser's tree to ours ---- */

struct patterns { /* each NUL-terminated, an empty one behind the last */
    char *text;
    size_t size, used;
    bool full;
};

static void put_pattern(struct patterns *p, const char *sign, const char *pattern)
{
    size_t n = strlen(sign) + strlen(pattern) + 1;
    p->full |= n > p->size - 1 - p->used;
    if (p->full)
        return;
    snprintf(p->text + p->used, n, "%s%s", sign, pattern);
    p->used += n;
}

static void put_patterns(struct patterns *p, cfg_t *section, const char *option, const char *sign)
{
    for (unsigned i = 0; i < cfg_size(section, option); i++)
        put_pattern(p, sign, cfg_getnstr(section, option, i));
}

/* Bursts nobody spoke of: a hundredth of a second's worth, and at least one unit. */
static uint64_t burst_of(uint64_t rate, uint64_t said, uint64_t least)
{
    return said ? said : HIRA_MAX(rate / 100, least);
}

/* A burst of what is not limited would be taken for a limit. */
static void check_burst(cfg_t *section, const char *rate, const char *burst, uint64_t n)
{
    if (!n && cfg_getopt(section, burst)->flags & CFGF_MODIFIED)
        cfg_error(section, "%s: without %s nothing is limited", burst, rate);
}

static void take_rates(struct config_tenant *t, cfg_t *section)
{
    char error[200];
    uint64_t burst = 0;
    config_count(cfg_getstr(section, "calls"), &t->calls, error, sizeof error);
    config_count(cfg_getstr(section, "calls_burst"), &burst, error, sizeof error);
    t->calls_burst = burst_of(t->calls, burst, 1);
    config_bytes(cfg_getstr(section, "bytes"), &t->bytes, error, sizeof error);
    config_bytes(cfg_getstr(section, "bytes_burst"), &burst, error, sizeof error);
    t->bytes_burst = burst_of(t->bytes, burst, 65536);
    t->time = (uint64_t)cfg_getint(section, "device_ms") * 1000000u;
    t->time_burst = (uint64_t)cfg_getint(section, "device_ms_burst") * 1000000u;
    config_bytes(cfg_getstr(section, "memory"), &t->memory, error, sizeof error);
    check_burst(section, "calls", "calls_burst", t->calls);
    check_burst(section, "bytes", "bytes_burst", t->bytes);
    check_burst(section, "device_ms", "device_ms_burst", t->time);
}

static int take_members(struct config_tenant *t, cfg_t *section)
{
    char error[200];
    uint64_t number;
    unsigned users = cfg_size(section, "users"), groups = cfg_size(section, "groups"),
             sockets = cfg_size(section, "sockets"), peers = cfg_size(section, "peers");
    if (users > CONFIG_MEMBERS_MAX || groups > CONFIG_MEMBERS_MAX || sockets > CONFIG_MEMBERS_MAX ||
        peers > CONFIG_MEMBERS_MAX || cfg_size(section, "apis") > CONFIG_APIS_MAX)
        return -E2BIG;
    for (unsigned i = 0; i < users; i++)
        if (config_user(cfg_getnstr(section, "users", i), &number, error, sizeof error) == 0)
            t->users[t->n_users++] = (uid_t)number;
    for (unsigned i = 0; i < groups; i++)
        if (config_group(cfg_getnstr(section, "groups", i), &number, error, sizeof error) == 0)
            t->groups[t->n_groups++] = (gid_t)number;
    t->sockets = calloc(sockets + 1, sizeof *t->sockets);
    t->peers = calloc(peers + 1, sizeof *t->peers);
    if (!t->sockets || !t->peers)
        return -ENOMEM;
    for (; t->n_peers < peers; t->n_peers++)
        snprintf(t->peers[t->n_peers], sizeof *t->peers, "%s", cfg_getnstr(section, "peers", t->n_peers));
    for (; t->n_sockets < sockets; t->n_sockets++)
        snprintf(t->sockets[t->n_sockets], sizeof *t->sockets, "%s", cfg_getnstr(section, "sockets", t->n_sockets));
    for (; t->n_apis < cfg_size(section, "apis"); t->n_apis++)
        snprintf(t->apis[t->n_apis], sizeof t->apis[0], "%s", cfg_getnstr(section, "apis", t->n_apis));
    return 0;
}

static int take_tenant(struct config_tenant *t, cfg_t *section, const char *name)
{
    struct patterns rules = {.text = t->rules, .size = sizeof t->rules};
    struct patterns devices = {.text = t->devices, .size = sizeof t->devices};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->refuse = cfg_getbool(section, "refuse");
    t->weight = (uint32_t)cfg_getint(section, "weight");
    t->priority = (uint8_t)cfg_getint(section, "priority");
    t->latency = !strcmp(cfg_getstr(section, "class"), "latency");
    take_rates(t, section);
    put_patterns(&rules, section, "allow", "+");
    put_patterns(&rules, section, "deny", "-");
    put_patterns(&devices, section, "devices", "");
    bool full = rules.full || devices.full;
    int error = full ? -E2BIG : take_members(t, section);
    if (error)
        hira_text_printf(messages, "tenant %s: too many %s\n", name, full ? "patterns" : "members");
    return error;
}

/* One that is named as several tenants' would be the first one's. */
struct member {
    const char *option, *value;
    cfg_t *section;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->option, y->option);
    if (!order)
        order = strcmp(x->value, y->value);
    return order ? order : (x->section->line > y->section->line) - (x->section->line < y->section->line);
}

static void check_members(cfg_t *cfg, unsigned n_tenants)
{
    static const char *const options[] = {"users", "groups", "sockets", "peers"};
    size_t n = 0, most = (size_t)n_tenants * HIRA_ARRAY_SIZE(options) * CONFIG_MEMBERS_MAX;
    struct member *members = calloc(most + 1, sizeof *members);
    for (unsigned i = 0; members && i < n_tenants; i++) {
        cfg_t *section = cfg_getnsec(cfg, "tenant", i);
        for (size_t k = 0; k < HIRA_ARRAY_SIZE(options); k++)
            for (unsigned m = 0; m < cfg_size(section, options[k]) && n < most; m++)
                members[n++] = (struct member){options[k], cfg_getnstr(section, options[k], m), section};
    }
    if (members)
        qsort(members, n, sizeof *members, compare_members);
    for (size_t i = 1; members && i < n; i++)
        if (!strcmp(members[i].option, members[i - 1].option) && !strcmp(members[i].value, members[i - 1].value))
            cfg_error(members[i].section, "%s: '%s' stands in tenant %s, too", members[i].option, members[i].value,
                      cfg_title(members[i - 1].section));
    free(members);
}

static int take(struct config *config, cfg_t *cfg)
{
    const char *policy = cfg_getstr(cfg, "policy");
    char error[200];
    config->policy = policy_find(policy); /* NULL: none */
    config->quantum = (uint64_t)cfg_getint(cfg, "quantum") * 1000000u;
    config->measure = cfg_getbool(cfg, "measure");
    config_bytes(cfg_getstr(cfg, "device_memory"), &config->device_memory, error, sizeof error);
    snprintf(config->metrics, sizeof config->metrics, "%s", cfg_getstr(cfg, "metrics"));
    unsigned n = cfg_size(cfg, "tenant");
    if (n > CONFIG_TENANTS_MAX) {
        hira_text_printf(messages, "more than %u tenants\n", CONFIG_TENANTS_MAX);
        return -E2BIG;
    }
    config->tenants = calloc(n + 1, sizeof *config->tenants);
    int failed = config->tenants ? take_tenant(&config->rest, cfg_getsec(cfg, "default"), "default") : -ENOMEM;
    for (; !failed && config->n_tenants < n; config->n_tenants++) {
        struct config_tenant *t = &config->tenants[config->n_tenants];
        cfg_t *section = cfg_getnsec(cfg, "tenant", config->n_tenants);
        failed = take_tenant(t, section, cfg_title(section));
        if (!failed && !t->n_users && !t->n_groups && !t->n_sockets && !t->n_peers)
            cfg_error(section, "tenant %s: nobody is one: users, groups, sockets or peers are missing", t->name);
        if (!failed && t->refuse)
            cfg_error(section, "tenant %s: only default may refuse", t->name);
    }
    if (!failed)
        check_members(cfg, config->n_tenants);
    return !failed && messages->size ? -EINVAL : failed;
}

static void set_checks(cfg_t *cfg)
{
    static const struct {
        const char *name;
        cfg_validate_callback_t check;
    } checks[] = {{"weight", check_weight},     {"priority", check_priority}, {"class", check_class},
                  {"calls", check_count},       {"calls_burst", check_count}, {"bytes", check_bytes},
                  {"bytes_burst", check_bytes}, {"device_ms", check_time},    {"device_ms_burst", check_time_burst},
                  {"memory", check_bytes},      {"users", check_user},        {"groups", check_group},
                  {"sockets", check_socket},    {"peers", check_peer},        {"apis", check_api},
                  {"devices", check_device}};
    static const char *const sections[] = {"tenant", "default"};
    char name[64];
    for (size_t k = 0; k < HIRA_ARRAY_SIZE(sections); k++)
        for (size_t i = 0; i < HIRA_ARRAY_SIZE(checks); i++) {
            snprintf(name, sizeof name, "%s|%s", sections[k], checks[i].name);
            cfg_set_validate_func(cfg, name, checks[i].check);
        }
    cfg_set_validate_func(cfg, "tenant", check_name);
    cfg_set_validate_func(cfg, "policy", check_policy);
    cfg_set_validate_func(cfg, "quantum", check_quantum);
    cfg_set_validate_func(cfg, "metrics", check_metrics);
    cfg_set_validate_func(cfg, "device_memory", check_bytes);
}

static cfg_t *parser(void)
{
    static cfg_opt_t tenant[] = {CFG_BOOL("refuse", cfg_false, CFGF_NONE), CFG_STR_LIST("users", "{}", CFGF_NONE),
                                 CFG_STR_LIST("groups", "{}", CFGF_NONE),  CFG_STR_LIST("sockets", "{}", CFGF_NONE),
                                 CFG_STR_LIST("peers", "{}", CFGF_NONE),   CFG_STR_LIST("apis", "{}", CFGF_NONE),
                                 CFG_STR_LIST("allow", "{}", CFGF_NONE),   CFG_STR_LIST("deny", "{}", CFGF_NONE),
                                 CFG_STR_LIST("devices", "{}", CFGF_NONE), CFG_INT("weight", 1, CFGF_NONE),
                                 CFG_INT("priority", 0, CFGF_NONE),        CFG_STR("class", "batch", CFGF_NONE),
                                 CFG_STR("calls", "0", CFGF_NONE),         CFG_STR("calls_burst", "0", CFGF_NONE),
                                 CFG_STR("bytes", "0", CFGF_NONE),         CFG_STR("bytes_burst", "0", CFGF_NONE),
                                 CFG_INT("device_ms", 0, CFGF_NONE),       CFG_INT("device_ms_burst", 20, CFGF_NONE),
                                 CFG_STR("memory", "0", CFGF_NONE),        CFG_END()};
    static cfg_opt_t options[] = {CFG_STR("policy", "fair", CFGF_NONE),
                                  CFG_INT("quantum", CONFIG_QUANTUM_MS, CFGF_NONE),
                                  CFG_STR("device_memory", "0", CFGF_NONE),
                                  CFG_STR("metrics", "", CFGF_NONE),
                                  CFG_BOOL("measure", cfg_false, CFGF_NONE),
                                  CFG_SEC("tenant", tenant, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                                  CFG_SEC("default", tenant, CFGF_NONE),
                                  CFG_END()};
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (!cfg)
        return NULL;
    cfg_set_error_function(cfg, on_error);
    set_checks(cfg);
    return cfg;
}

/* Behind a comment or a string that begins at `p`; `p` itself if none does. The parser's rules for them. */
static const char *skip_text(const char *p)
{
    if (*p == '#' || (p[0] == '/' && p[1] == '/'))
        return p + strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end ? end + 2 : p + strlen(p);
    }
    if (*p != '"' && *p != '\'')
        return p;
    for (char quote = *p++; *p && *p != quote; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static int lines_between(const char *from, const char *to)
{
    int n = 0;
    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

/* What the parser lets pass: a section that ends with the file, `default` twice, of which the second would be all. */
static void check_sections(const char *text, const char *name)
{
    int depth = 0, line = 1, opened = 0, before = 0;
    for (const char *p = text, *next; *p; line += lines_between(p, next), p = next) {
        next = skip_text(p);
        size_t word = next == p ? strspn(p, "abcdefghijklmnopqrstuvwxyz_") : 0;
        if (next > p)
            continue;
        next = p + HIRA_MAX(word, 1u);
        if (*p == '{' && !depth++)
            opened = line;
        depth -= *p == '}' && depth > 0;
        if (depth || word != strlen("default") || memcmp(p, "default", word))
            continue;
        if (before)
            tell_at(name, line, "default: it stands in line %d already", before);
        before = line;
    }
    if (depth)
        tell_at(name, opened, "what begins here has no '}'");
}

/* Text before the parser sees it: it takes the file for C strings, and expands ${...} from the environment. */
static bool plain(const char *text, size_t size, const char *name)
{
    const char *variable = strstr(text, "${");
    if (memchr(text, 0, size))
        tell_at(name, 1 + lines_between(text, text + strlen(text)), "there is a NUL byte");
    else if (variable)
        tell_at(name, 1 + lines_between(text, variable),
                "variables of the environment are not used: \"${\" stands here");
    else
        check_sections(text, name);
    return !messages->size;
}

/* Lets the parser read it. Whatever it has to say stands in `messages`. */
static int parse(cfg_t *cfg, const char *text, const char *name)
{
    if (!cfg || (name && !(cfg->filename = strdup(name))))
        return -ENOMEM;
    FILE *file = *text ? fmemopen((void *)text, strlen(text), "r") : NULL;
    if (*text && !file)
        return -ENOMEM;
    int failed = file && cfg_parse_fp(cfg, file) != CFG_SUCCESS ? -EINVAL : 0;
    if (file)
        fclose(file);
    return messages->size ? -EINVAL : failed;
}

static int read_text(const char *text, size_t size, const char *name, struct config **ret_config, char *error,
                     size_t error_size)
{
    struct hira_text said = {0};
    struct config *config = calloc(1, sizeof *config);
    cfg_t *cfg = parser();
    char sentence[300];
    messages = &said;
    int failed = !config ? -ENOMEM : !plain(text, size, name) ? -EINVAL : parse(cfg, text, name);
    if (!failed)
        failed = take(config, cfg);
    if (!failed && (failed = config_check(config, sentence, sizeof sentence)) < 0)
        tell_at(name ? name : "the configuration", 0, "%s", sentence);
    messages = NULL;
    if (cfg)
        cfg_free(cfg);
    snprintf(error, error_size, "%s", said.data ? said.data : failed ? "out of memory\n" : "");
    hira_text_fini(&said);
    if (failed) {
        config_free(config);
        return failed;
    }
    *ret_config = config;
    return 0;
}

int config_parse(const char *text, struct config **ret_config, char *error, size_t error_size)
{
    return read_text(text, strlen(text), NULL, ret_config, error, error_size);
}

int config_read(const char *path, struct config **ret_config, char *error, size_t error_size)
{
    struct hira_text text = {0};
    int failed = hira_text_read_file(&text, path, CONFIG_SIZE_MAX);
    if (failed)
        snprintf(error, error_size, "%s: %s\n", path, strerror(-failed));
    else
        failed = read_text(text.data ? text.data : "", text.size, path, ret_config, error, error_size);
    hira_text_fini(&text);
    return failed;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; config->tenants && i <= config->n_tenants; i++) {
        free(config->tenants[i].sockets);
        free(config->tenants[i].peers);
    }
    free(config->tenants);
    free(config->rest.sockets);
    free(config->rest.peers);
    free(config);
}

/* ---- using it ---- */

static bool has_socket(const struct config_tenant *t, const char *socket)
{
    for (unsigned i = 0; socket && i < t->n_sockets; i++)
        if (!strcmp(t->sockets[i], socket))
            return true;
    return false;
}

static bool has_user(const struct config_tenant *t, uid_t uid)
{
    for (unsigned i = 0; i < t->n_users; i++)
        if (t->users[i] == uid)
            return true;
    return false;
}

static bool has_group(const struct config_tenant *t, gid_t gid)
{
    for (unsigned i = 0; i < t->n_groups; i++)
        if (t->groups[i] == gid)
            return true;
    return false;
}

const struct config_tenant *config_find(const struct config *config, const char *socket, uid_t uid, gid_t gid)
{
    for (unsigned i = 0; i < config->n_tenants; i++)
        if (has_socket(&config->tenants[i], socket))
            return &config->tenants[i];
    for (unsigned i = 0; i < config->n_tenants; i++)
        if (has_user(&config->tenants[i], uid))
            return &config->tenants[i];
    for (unsigned i = 0; i < config->n_tenants; i++)
        if (has_group(&config->tenants[i], gid))
            return &config->tenants[i];
    return &config->rest;
}

const struct config_tenant *config_find_peer(const struct config *config, const char *peer)
{
    for (unsigned i = 0; i < config->n_tenants; i++)
        for (unsigned k = 0; k < config->tenants[i].n_peers; k++)
            if (!strcmp(config->tenants[i].peers[k], peer))
                return &config->tenants[i];
    return &config->rest;
}

const struct config_tenant *config_named(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->n_tenants; i++)
        if (!strcmp(config->tenants[i].name, name))
            return &config->tenants[i];
    return NULL;
}

int config_check(const struct config *config, char *error, size_t error_size)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < config->n_tenants; i++) {
        const struct config_tenant *t = &config->tenants[i];
        sum = t->memory > UINT64_MAX - sum ? UINT64_MAX : sum + t->memory;
        if (config->device_memory && t->memory > config->device_memory) {
            snprintf(error, error_size, "tenant %s: its memory (%llu bytes) is more than device_memory (%llu)", t->name,
                     (unsigned long long)t->memory, (unsigned long long)config->device_memory);
            return -ERANGE;
        }
    }
    if (config->device_memory && sum > config->device_memory) {
        snprintf(error, error_size, "the tenants' memory together (%llu bytes) is more than device_memory (%llu)",
                 (unsigned long long)sum, (unsigned long long)config->device_memory);
        return -ERANGE;
    }
    return 0;
}

static int set_number(struct config_tenant *t, const char *name, const char *value, char *error, size_t error_size)
{
    uint64_t n = 0;
    static const struct {
        const char *name;
        int (*take)(const char *value, uint64_t *ret, char *error, size_t size);
        uint64_t min, max;
    } known[] = {{"weight", config_count, 1, POLICY_WEIGHT_MAX}, {"priority", config_count, 0, POLICY_PRIORITIES - 1},
                 {"calls", config_count, 0, UINT64_MAX},         {"calls_burst", config_count, 1, UINT64_MAX},
                 {"bytes", config_bytes, 0, UINT64_MAX},         {"bytes_burst", config_bytes, 1, UINT64_MAX},
                 {"device_ms", config_count, 0, 1000},           {"device_ms_burst", config_count, 1, 60000},
                 {"memory", config_bytes, 0, UINT64_MAX}};
    size_t i = 0;
    while (i < HIRA_ARRAY_SIZE(known) && strcmp(known[i].name, name))
        i++;
    if (i == HIRA_ARRAY_SIZE(known)) {
        snprintf(error, error_size, "there is no setting '%s' that can be changed", name);
        return -ENOENT;
    }
    char sentence[200];
    if (known[i].take(value, &n, sentence, sizeof sentence) < 0) {
        snprintf(error, error_size, "%s: %s", name, sentence);
        return -EINVAL;
    }
    if (n < known[i].min || n > known[i].max) {
        snprintf(error, error_size, "%s: a number from %llu to %llu, not '%s'", name, (unsigned long long)known[i].min,
                 (unsigned long long)known[i].max, value);
        return -ERANGE;
    }
    uint64_t *const wide[] = {NULL,     NULL,           &t->calls, &t->calls_burst, &t->bytes, &t->bytes_burst,
                              &t->time, &t->time_burst, &t->memory};
    if (i == 0)
        t->weight = (uint32_t)n;
    else if (i == 1)
        t->priority = (uint8_t)n;
    else
        *wide[i] = i == 6 || i == 7 ? n * 1000000u : n;
    if (t->calls && !t->calls_burst)
        t->calls_burst = burst_of(t->calls, 0, 1);
    if (t->bytes && !t->bytes_burst)
        t->bytes_burst = burst_of(t->bytes, 0, 65536);
    if (t->time && !t->time_burst)
        t->time_burst = 20000000u;
    return 0;
}

static int set_class(struct config_tenant *t, const char *value, char *error, size_t error_size)
{
    if (strcmp(value, "batch") && strcmp(value, "latency")) {
        snprintf(error, error_size, "class: batch or latency, not '%s'", value);
        return -EINVAL;
    }
    t->latency = !strcmp(value, "latency");
    return 0;
}

/* The rules that begin with another sign stay. The file's order: what is allowed, then what is denied. */
static void put_rules(struct patterns *rules, const char *old, char sign, const struct patterns *fresh)
{
    for (const char *all = "+-"; *all; all++)
        for (const char *rule = *all == sign ? fresh->text : old; *rule; rule += strlen(rule) + 1)
            if (*rule == *all)
                put_pattern(rules, "", rule);
}

static int set_apis(struct config_tenant *t, const struct patterns *list)
{
    unsigned n = 0;
    for (const char *api = list->text; *api; api += strlen(api) + 1) {
        if (n == CONFIG_APIS_MAX)
            return -E2BIG;
        snprintf(t->apis[n++], sizeof t->apis[0], "%s", api);
    }
    t->n_apis = n;
    return 0;
}

/* `value` is a list with commas, `what` devices, apis, allow or deny. */
static int set_list(struct config_tenant *t, const char *what, const char *value, char *error, size_t error_size)
{
    char text[HIRA_RULES_MAX] = "", old[HIRA_RULES_MAX];
    const char *sign = !strcmp(what, "allow") ? "+" : !strcmp(what, "deny") ? "-" : "";
    bool rules = *sign;
    struct patterns list = {.text = text, .size = sizeof text};
    struct patterns to = {.text = rules ? t->rules : t->devices, .size = rules ? sizeof t->rules : sizeof t->devices};
    HIRA_AUTOFREE char *words = strdup(value);
    if (!words)
        return -ENOMEM;
    for (char *rest = words, *word; (word = strtok_r(rest, ", ", &rest));) {
        if (!(strcmp(what, "apis") ? is_pattern(word) : is_api(word))) {
            snprintf(error, error_size, "%s: '%s' makes no sense", what, word);
            return -EINVAL;
        }
        put_pattern(&list, sign, word);
    }
    if (!strcmp(what, "apis")) {
        to.full = set_apis(t, &list) < 0;
    } else {
        memcpy(old, t->rules, sizeof old);
        memset(to.text, 0, to.size);
        if (rules)
            put_rules(&to, old, *sign, &list);
        for (const char *p = text; !rules && *p; p += strlen(p) + 1)
            put_pattern(&to, "", p);
    }
    if (list.full || to.full) {
        snprintf(error, error_size, "%s: too many", what);
        return -E2BIG;
    }
    return 0;
}

int config_set(struct config_tenant *t, const char *name, const char *value, char *error, size_t error_size)
{
    static const char *const lists[] = {"devices", "apis", "allow", "deny"};
    if (!strcmp(name, "class"))
        return set_class(t, value, error, error_size);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(lists); i++)
        if (!strcmp(name, lists[i]))
            return set_list(t, name, value, error, error_size);
    return set_number(t, name, value, error, error_size);
}
