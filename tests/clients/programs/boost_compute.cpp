// Boost.Compute client: sort, transform, scan, reduce and a custom kernel; prints digests of the results.
//
// SPDX-License-Identifier: Apache-2.0

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <boost/compute.hpp>

namespace compute = boost::compute;

BOOST_COMPUTE_FUNCTION(float, square_plus, (float x), { return x * x + 0.25f; });

/* FNV-1a over the bytes of a vector: what is compared between two runs. */
template <typename T> static unsigned long long digest(const std::vector<T> &values)
{
	std::vector<unsigned char> bytes(values.size() * sizeof(T));
	uint64_t hash = 0xcbf29ce484222325;

	std::memcpy(bytes.data(), values.data(), bytes.size());
	for (unsigned char byte : bytes)
		hash = (hash ^ byte) * 0x100000001b3;
	return hash;
}

template <typename T> static std::vector<T> fetch(const compute::vector<T> &values, compute::command_queue &queue)
{
	std::vector<T> host(values.size());

	compute::copy(values.begin(), values.end(), host.begin(), queue);
	return host;
}

template <typename T> static std::vector<T> numbers(size_t count)
{
	std::vector<T> values(count);
	uint32_t state = 12345;

	for (T &value : values) {
		state = state * 1664525 + 1013904223;
		value = static_cast<T>(state >> 12);
	}
	return values;
}

static void floats(compute::context &context, compute::command_queue &queue)
{
	std::vector<float> host = numbers<float>(1 << 20);
	compute::vector<float> values(host.size(), context);

	compute::copy(host.begin(), host.end(), values.begin(), queue);
	compute::sort(values.begin(), values.end(), queue);
	std::printf("sort %016llx sorted %d\n", digest(fetch(values, queue)),
		    compute::is_sorted(values.begin(), values.end(), queue));
	compute::transform(values.begin(), values.end(), values.begin(), square_plus, queue);
	std::printf("transform %016llx\n", digest(fetch(values, queue)));
}

static void integers(compute::context &context, compute::command_queue &queue)
{
	std::vector<int> host = numbers<int>(100000);
	compute::vector<int> values(host.size(), context), sums(host.size(), context);
	int total = 0;

	compute::copy(host.begin(), host.end(), values.begin(), queue);
	compute::exclusive_scan(values.begin(), values.end(), sums.begin(), queue);
	compute::reduce(values.begin(), values.end(), &total, compute::plus<int>(), queue);
	std::printf("scan %016llx reduce %d\n", digest(fetch(sums, queue)), total);
	std::printf("count %zu of %zu\n",
		    compute::count_if(values.begin(), values.end(), compute::lambda::_1 % 3 == 0, queue), host.size());
	compute::sort_by_key(values.begin(), values.end(), sums.begin(), queue);
	std::printf("sort_by_key %016llx %016llx\n", digest(fetch(values, queue)), digest(fetch(sums, queue)));
}

static void mapped(compute::context &context, compute::command_queue &queue)
{
	compute::buffer buffer(context, 4096, compute::buffer::read_write | compute::buffer::alloc_host_ptr);
	unsigned char *bytes;
	unsigned sum = 0;

	queue.enqueue_fill_buffer(buffer, "\5", 1, 0, 4096);
	bytes = static_cast<unsigned char *>(queue.enqueue_map_buffer(buffer, CL_MAP_READ, 0, 4096));
	for (size_t i = 0; i < 4096; i++)
		sum += bytes[i];
	queue.enqueue_unmap_buffer(buffer, bytes).wait();
	std::printf("map %u\n", sum);
}

int main()
{
	try {
		compute::device device = compute::system::default_device();
		compute::context context(device);
		compute::command_queue queue(context, device);

		std::printf("device %s\n", device.name().c_str());
		floats(context, queue);
		integers(context, queue);
		mapped(context, queue);
		std::puts("done");
	} catch (const compute::opencl_error &error) {
		std::printf("error %d %s\n", error.error_code(), error.what());
		return 1;
	}
	return 0;
}
