// ViennaCL client: dense product, matrix-vector product, sparse conjugate gradients; checks them against the host and
// prints digests.
//
// SPDX-License-Identifier: Apache-2.0

#define VIENNACL_WITH_OPENCL
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include <viennacl/compressed_matrix.hpp>
#include <viennacl/linalg/cg.hpp>
#include <viennacl/linalg/inner_prod.hpp>
#include <viennacl/linalg/norm_2.hpp>
#include <viennacl/linalg/prod.hpp>
#include <viennacl/matrix.hpp>
#include <viennacl/vector.hpp>

static const size_t SIZE = 256;

static unsigned long long digest(const std::vector<double> &values)
{
	uint64_t hash = 0xcbf29ce484222325, bits;

	for (double value : values) {
		std::memcpy(&bits, &value, sizeof(bits));
		hash = (hash ^ bits) * 0x100000001b3;
	}
	return hash;
}

static std::vector<std::vector<double>> filled(unsigned seed)
{
	std::vector<std::vector<double>> rows(SIZE, std::vector<double>(SIZE));

	for (auto &row : rows)
		for (double &value : row) {
			seed = seed * 1664525 + 1013904223;
			value = (seed >> 16) % 17 - 8.0;
		}
	return rows;
}

/* Small integers, so that the host's sum and the device's are equal in any order. */
static void dense()
{
	std::vector<std::vector<double>> a = filled(1), b = filled(2), c = filled(3);
	viennacl::matrix<double> da(SIZE, SIZE), db(SIZE, SIZE), dc(SIZE, SIZE);
	std::vector<double> flat;
	size_t wrong = 0;

	viennacl::copy(a, da);
	viennacl::copy(b, db);
	dc = viennacl::linalg::prod(da, db);
	viennacl::copy(dc, c);
	for (size_t i = 0; i < SIZE; i++)
		for (size_t j = 0; j < SIZE; j++) {
			double sum = 0;
			for (size_t k = 0; k < SIZE; k++)
				sum += a[i][k] * b[k][j];
			wrong += sum != c[i][j];
			flat.push_back(c[i][j]);
		}
	std::printf("product %016llx wrong %zu\n", digest(flat), wrong);
}

static void vectors()
{
	std::vector<double> x(SIZE), y(SIZE);
	std::vector<std::vector<double>> a = filled(4);
	viennacl::matrix<double> da(SIZE, SIZE);
	viennacl::vector<double> dx(SIZE), dy(SIZE);
	double dot;

	for (size_t i = 0; i < SIZE; i++)
		x[i] = static_cast<double>(i % 13);
	viennacl::copy(a, da);
	viennacl::copy(x, dx);
	dy = viennacl::linalg::prod(da, dx);
	dot = viennacl::linalg::inner_prod(dx, dy);
	viennacl::copy(dy, y);
	std::printf("matrix-vector %016llx dot %.17g norm %.17g\n", digest(y), dot,
		    static_cast<double>(viennacl::linalg::norm_2(dx)));
}

static void sparse()
{
	std::vector<std::map<unsigned, double>> laplace(SIZE * 4);
	viennacl::compressed_matrix<double> a;
	viennacl::vector<double> b(laplace.size()), x(laplace.size()), residual(laplace.size());

	for (unsigned i = 0; i < laplace.size(); i++) {
		laplace[i][i] = 2.5;
		if (i)
			laplace[i][i - 1] = -1;
		if (i + 1 < laplace.size())
			laplace[i][i + 1] = -1;
	}
	viennacl::copy(laplace, a);
	b = viennacl::scalar_vector<double>(laplace.size(), 1.0);
	x = viennacl::linalg::solve(a, b, viennacl::linalg::cg_tag(1e-10, 500));
	residual = viennacl::linalg::prod(a, x);
	residual -= b;
	std::printf("conjugate gradients converged %d\n", viennacl::linalg::norm_2(residual) < 1e-6);
}

int main()
{
	std::printf("device %s\n", viennacl::ocl::current_device().name().c_str());
	dense();
	vectors();
	sparse();
	std::puts("done");
	return 0;
}
