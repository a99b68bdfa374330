/* SPDX-License-Identifier: Apache-2.0 */
/* place - how long a step's wishes for a place may be (Wire__Place): who reads them and who goes by them must agree. */
#ifndef OSIER_CORE_PLACE_H
#define OSIER_CORE_PLACE_H

#define PLACE_MATCHES_MAX 8u  /* tests in one list */
#define PLACE_VALUES_MAX  32u /* in all tests of one list */
#define PLACE_PREFERS_MAX 4u
#define PLACE_WEIGHT_MAX  100

#endif
