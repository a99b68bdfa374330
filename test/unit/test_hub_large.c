/* SPDX-License-Identifier: Apache-2.0 */
/* test_hub_large - facts about who may bring a long body to a hub. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/hub_int.h"

static struct hub_request request(const char *name)
{
	struct hub_request q = {0};

	(void)snprintf(q.peer.name, sizeof(q.peer.name), "%s", name);
	return q;
}

static void one_node_has_one_place(void **state)
{
	struct hub_large h = {0};
	struct hub_request first = request("press-4"), again[2 * HUB_LARGE_ONCE], other = request("press-5");

	(void)state;
	assert_true(hub_large_take(&h, &first, 100));
	for (unsigned i = 0; i < 2 * HUB_LARGE_ONCE; i++) {
		again[i] = request("press-4");
		assert_true(hub_large_take(&h, &again[i], 101));
	}
	assert_true(first.stale);
	assert_true(again[2 * HUB_LARGE_ONCE - 2].stale);
	assert_false(again[2 * HUB_LARGE_ONCE - 1].stale); /* the last one is what it goes on with */
	assert_true(hub_large_take(&h, &other, 101));
	assert_false(again[2 * HUB_LARGE_ONCE - 1].stale);
	hub_large_leave(&h, &first); /* it had none any more */
	hub_large_leave(&h, &other);
	for (unsigned i = 0, taken = 0; i < HUB_LARGE_ONCE; i++) {
		taken += h.place[i] != NULL;
		assert_true(taken <= 1);
	}
}

static void who_takes_too_long_makes_room_when_all_places_are_taken(void **state)
{
	struct hub_large h = {0};
	struct hub_request slow[HUB_LARGE_ONCE], late = request("late"), later = request("later");
	char name[16];

	(void)state;
	for (unsigned i = 0; i < HUB_LARGE_ONCE; i++) {
		(void)snprintf(name, sizeof(name), "slow-%u", i);
		slow[i] = request(name);
		assert_true(hub_large_take(&h, &slow[i], 100 + (time_t)((i + 3) % HUB_LARGE_ONCE)));
	}
	assert_false(hub_large_take(&h, &late, 100 + HUB_LARGE_S - 1));
	assert_true(hub_large_take(&h, &late, 100 + HUB_LARGE_S));
	for (unsigned i = 0; i < HUB_LARGE_ONCE; i++)
		assert_int_equal(slow[i].stale, i == HUB_LARGE_ONCE - 3);
	assert_false(hub_large_take(&h, &later, 100 + HUB_LARGE_S));
	hub_large_leave(&h, &slow[0]);
	assert_true(hub_large_take(&h, &later, 100 + HUB_LARGE_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_node_has_one_place),
	        cmocka_unit_test(who_takes_too_long_makes_room_when_all_places_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
