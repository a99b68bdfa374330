/* SPDX-License-Identifier: Apache-2.0 */
/* prop_reduce - reduction trees against a naive walk: every input is taken once, parents and inputs agree, sums come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/jobspec.h"

/* Sum the leaves through the tree, node by node in index order: a node's inputs must have been computed before it. */
static void check_tree(uint64_t n, uint32_t fan_in)
{
	uint64_t total = reduce_tasks(n, fan_in), naive = 0;
	uint64_t *sum = calloc(total, sizeof(*sum));
	uint8_t *leaf_taken = calloc(n, 1), *node_taken = calloc(total, 1);

	assert_non_null(sum);
	for (uint64_t i = 0; i < n; i++)
		naive += i * i + 1;
	for (uint64_t t = 0; t < total; t++) {
		bool from_map;
		uint64_t first, count;

		reduce_inputs(n, fan_in, t, &from_map, &first, &count);
		assert_true(count >= 1);
		assert_true(fan_in == 0 || count <= fan_in);
		assert_true(first + count <= (from_map ? n : t));
		for (uint64_t i = first; i < first + count; i++) {
			assert_int_equal((from_map ? leaf_taken : node_taken)[i]++, 0);
			assert_int_equal(reduce_parent(n, fan_in, from_map, i), t);
			sum[t] += from_map ? i * i + 1 : sum[i];
		}
	}
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(leaf_taken[i], 1);
	for (uint64_t t = 0; t + 1 < total; t++)
		assert_int_equal(node_taken[t], 1);
	assert_true(reduce_parent(n, fan_in, false, total - 1) == UINT64_MAX);
	assert_int_equal(sum[total - 1], naive);
	free(sum);
	free(leaf_taken);
	free(node_taken);
}

static void every_small_tree_takes_each_input_once(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 80; n++) {
		check_tree(n, 0);
		for (uint32_t f = 2; f <= 12; f++)
			check_tree(n, f);
	}
}

static void random_trees_add_up(void **state)
{
	struct prng p;

	(void)state;
	prng_init(&p, 20);
	for (int i = 0; i < 200; i++)
		check_tree(1 + prng_below(&p, 20000), (uint32_t)(2 + prng_below(&p, 300)));
}

static void size_of_a_tree_is_the_sum_of_its_levels(void **state)
{
	(void)state;
	assert_int_equal(reduce_tasks(0, 2), 0);
	assert_int_equal(reduce_tasks(1, 2), 1);
	assert_int_equal(reduce_tasks(2, 2), 1);
	assert_int_equal(reduce_tasks(3, 2), 3); /* 2 + 1 */
	assert_int_equal(reduce_tasks(1000, 10), 111);
	assert_int_equal(reduce_tasks(1001, 10), 101 + 11 + 2 + 1);
	assert_int_equal(reduce_tasks(10000000, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_small_tree_takes_each_input_once),
	        cmocka_unit_test(random_trees_add_up),
	        cmocka_unit_test(size_of_a_tree_is_the_sum_of_its_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
