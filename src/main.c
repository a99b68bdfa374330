/* SPDX-License-Identifier: Apache-2.0 */
/* main - picks the subcommand. */
#include <stdio.h>

int main(void)
{
	(void)puts("osier " OSIER_VERSION);
	return 0;
}
