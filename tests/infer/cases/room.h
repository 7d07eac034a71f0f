/* Room: what looks like one number beside an unclaimed capacity. */
#include <stddef.h>
#include <stdint.h>
typedef struct hist hist;
typedef struct device *device;

/* Each of these fills an array. */
int hist_counts(const hist *h, uint64_t *counts, size_t cap, size_t *n_bins);
int hist_bins(const hist *h, uint64_t *bin_counts, size_t max_bins, size_t *n_bins);
int hist_values(const hist *h, uint64_t *values_ret, size_t capacity);
int hist_get_values(const hist *h, double *values_ret);
int hist_shape(const hist *h, uint64_t *histogram_out, size_t room);
int hist_copy(const hist *h, uint64_t *out, size_t cap);
int hist_sum(const hist *h, uint64_t *result, int cap);
int hist_totals(const hist *h, uint32_t *count, size_t cap);
int hist_numbers(const hist *h, uint32_t *num, unsigned max);
int hist_get(const hist *h, double *value, size_t size);
int hist_entries(const hist *h, uint32_t *entries);
int hist_devices(const hist *h, device *device_out, size_t limit);
int hist_list(const hist *h, device *devices_ret);
int hist_used(const hist *h, uint64_t *values, size_t cap, size_t *n_values);
int hist_text(const hist *h, char *buf, size_t cap, size_t *len);
/* This says which count is whose. */
int hist_told(const hist *h, uint64_t *values, size_t n, size_t *n_ret);

/* And each of these one: the number is somebody's, is none of room, or the name says so. */
int hist_size(const hist *h, size_t *size_ret);
int hist_level(const hist *h, int level, size_t *num_values);
int hist_find(const hist *h, const uint64_t *keys, size_t num_keys, size_t *index_ret);
int hist_flags(const hist *h, uint32_t *flags_ret);
int hist_bytes(const hist *h, size_t *nbytes, size_t *size_in_bytes);
hist *hist_make(size_t max_bins, int *errcode_ret);
