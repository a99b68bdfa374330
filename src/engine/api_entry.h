/* SPDX-License-Identifier: Apache-2.0 */
/* api_entry - messages of osier.proto, and entries of the journal, as JSON: for the API, and for the command line that reads a log as a folder. */
#ifndef OSIER_ENGINE_API_ENTRY_H
#define OSIER_ENGINE_API_ENTRY_H

#include "engine/json_out.h"
#include "wire/osier.pb-c.h"

/* A message of osier.proto: bytes in hexadecimal, enums by name in lower case. */
void message_json(struct json_out *o, const ProtobufCMessage *m);
/* {seq, leaf, time, kind, body} */
void entry_json(struct json_out *o, uint64_t seq, const uint8_t leaf[32], const Wire__Entry *en);

#endif
