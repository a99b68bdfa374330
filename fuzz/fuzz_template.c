/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_template - any text as a template: what the check lets pass expands, into exactly as much room as it says. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char *values[] = {(char *)"red", (char *)"${i}"};
	Wire__Param i = WIRE__PARAM__INIT, c = WIRE__PARAM__INIT, *axes[] = {&i, &c};
	Wire__Step step = WIRE__STEP__INIT, *steps[] = {&step};
	Wire__JobSpec spec = WIRE__JOB_SPEC__INIT;
	struct params p = {
	        .spec = &spec, .task = n % 6, .job = n, .attempt = UINT64_MAX, .node = "n", .devices = ""};
	char *text = malloc(n + 1), *out = malloc(32 * n + 64), *tight;
	struct err e = {0};
	int64_t k;

	CHECK(text && out);
	memcpy(text, data, n);
	text[n] = '\0';
	i = (Wire__Param){
	        .base = i.base, .name = (char *)"i", .first = -1, .last = 1, .stride = 1, .count = 3};
	c.name = (char *)"c";
	c.kind = WIRE__PARAM__KIND__LIST;
	c.values = values;
	c.n_values = c.count = 2;
	step.name = (char *)"s";
	step.params = axes;
	step.n_params = 2;
	step.tasks = 6;
	spec.name = (char *)"j";
	spec.steps = steps;
	spec.n_steps = 1;
	k = template_expand(&p, text, out, 32 * n + 64, &e);
	CHECK((k >= 0) == (template_check(&spec, 0, text, NULL) == 0));
	if (k >= 0) {
		CHECK((size_t)k == strlen(out));
		tight = malloc((size_t)k + 1);
		CHECK(tight && template_expand(&p, text, tight, (size_t)k + 1, NULL) == k &&
		        memcmp(tight, out, (size_t)k + 1) == 0);
		if (k)
			CHECK(template_expand(&p, text, tight, (size_t)k, NULL) < 0);
		free(tight);
	}
	free(text);
	free(out);
	return 0;
}
