/* Queries, properties, errors, single results.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

typedef struct device_s *device;
typedef intptr_t device_properties;
typedef intptr_t device_partition_property;
typedef unsigned device_info;
typedef struct {
    int width, height;
} extent;

int getDeviceInfo(device d, device_info param_name, size_t param_value_size, void *param_value,
                  size_t *param_value_size_ret);
int setDeviceInfo(device d, device_info param_name, size_t param_value_size, const void *param_value);
device createDevice(const device_properties *properties, const device_partition_property *partition, int *errcode_ret);
int lastDevice(device *d, int *error);
int getDeviceTime(device d, unsigned long *device_timestamp, double *factors);
int getDeviceExtent(device d, extent *e);
int setDeviceExtent(device d, const extent *e, extent *previous);
