/* hirad.conf: whatever stands in it, it is read or refused with a reason, and leaves nothing behind.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "router/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[4500] = "", sentence[300];
    struct config *config = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    int failed = config_parse(text, &config, error, sizeof error);
    if (failed ? !error[0] || config != NULL : !config)
        abort();
    if (config) {
        struct config_tenant one = config->rest;
        config_find(config, "/here", 1, 2);
        config_set(&one, "memory", text, sentence, sizeof sentence);
        if (config_check(config, sentence, sizeof sentence) < 0)
            abort();
    }
    config_free(config);
    free(text);
    return 0;
}
