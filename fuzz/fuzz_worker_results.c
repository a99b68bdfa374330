/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_worker_results - what a worker may say to the engine: the results of one packet. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "engine/worker_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker_results it = {0};
	struct worker_result r;
	const uint8_t *bytes;
	struct err e;
	uint64_t n = 0;
	int fd, rc;

	if (size < sizeof(it.left))
		return 0;
	memcpy(&it.left, data, sizeof(it.left));
	it.p = data + sizeof(it.left);
	it.n = size - sizeof(it.left);
	while ((rc = worker_results_next(&it, &r, &bytes, &fd, &e)) > 0) {
		CHECK(fd < 0); /* none came with it */
		CHECK(!r.length || (bytes >= data && bytes + r.length <= data + size));
		n++;
	}
	CHECK(rc < 0 || n * sizeof(r) <= size);
	return 0;
}
