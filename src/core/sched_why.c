/* SPDX-License-Identifier: Apache-2.0 */
/* sched_why - why a group waits, and when it or something new would be done. */
#include "core/sched_state.h"
