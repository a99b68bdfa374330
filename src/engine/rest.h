/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest - gives back the memory that a node at rest holds for nothing.
 *
 * The heap's free pages, and of the program and its libraries the pages that can be read again from their files: a start, a TLS
 * handshake or the reading of a job file runs through megabytes of code that is needed once (of gnutls nothing is, but it is initialized).
 * What is needed again comes from the page cache; a machine that is short of memory can take it from there first, as nobody has it mapped.
 * Any thread; it stops nobody.
 */
#ifndef OSIER_ENGINE_REST_H
#define OSIER_ENGINE_REST_H

void rest_give_memory_back(void);

#endif
