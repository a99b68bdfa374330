/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config - any text as a node's configuration is refused with its place, or gives one within its limits. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "engine/config.h"
#include "io/doc_yaml.h"
#include "io/growing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jobspec_problem problem;
	const struct doc *root;
	struct growing mem;
	struct config c;
	struct err e = {0};

	growing_init(&mem, 1 << 16, 64u << 20);
	config_default(&c);
	if (doc_yaml_parse(&mem.arena, (const char *)data, size, &root, &problem) == 0) {
		if (config_from_doc(&mem.arena, root, "config.yaml", &c, &e) < 0) {
			CHECK(e.code == ERR_INVALID || e.code == ERR_FULL);
			CHECK(e.code != ERR_INVALID || strncmp(e.msg, "config.yaml:", 12) == 0);
		} else {
			CHECK(c.memory_bytes > 0);
		}
	}
	growing_release(&mem);
	return 0;
}
