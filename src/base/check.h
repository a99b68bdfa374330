/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - assertions that stay on in release. A failed CHECK is a bug of ours: print and abort.
 * Pure but for that. The condition must be free of side effects.
 */
#ifndef OSIER_BASE_CHECK_H
#define OSIER_BASE_CHECK_H

/* Writes one line to stderr and aborts. */
_Noreturn void check_failed(const char *cond, const char *file, int line);

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

/* Here one never comes; `what` says what was taken for impossible. */
#define BUG(what) check_failed(what, __FILE__, __LINE__)

/* At compile time, where an expression is wanted. */
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
