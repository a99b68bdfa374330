/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ticket - any bytes as a ticket are refused or read; what is read is written as the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "core/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[TICKET_BYTES_MAX];
	struct ticket t;
	struct err e = {0};
	size_t n_signed;

	if (ticket_read(data, size, &t, &n_signed, &e) < 0) {
		CHECK(e.msg[0]);
		return 0;
	}
	CHECK(n_signed + TICKET_SIG == size);
	CHECK(ticket_write(&t, again) == n_signed && memcmp(again, data, n_signed) == 0);
	return 0;
}
