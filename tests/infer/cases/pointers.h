/* Counts behind pointers: asked how many, then asked for them.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

typedef struct device_s *device;

int deviceEnumerate(uint32_t *pDeviceCount, device *pDevices);
int compress(unsigned char *dest, unsigned long *destLen, const unsigned char *source, unsigned long sourceLen);
int deviceGetData(device d, size_t *pDataSize, void *pData);
int deviceGetTable(device d, size_t *pTableSize, int *pTable);
