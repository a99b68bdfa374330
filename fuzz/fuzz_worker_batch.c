/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_worker_batch - what an engine may say to the worker library: batches, arguments, inputs. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "worker/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct queue q;
	const char *arg;
	size_t n;

	queue_init(&q);
	if (queue_batch(&q, data, size) == 0) {
		for (int i = 0; i < 100 && batch_arg(q.head, &arg, &n) == 0; i++)
			if (n && (arg[0] ^ arg[n - 1]) == 0x7f)
				break;
		queue_pop(&q);
	}
	(void)queue_input(&q, data, size);
	inputs_free(q.inputs);
	return 0;
}
