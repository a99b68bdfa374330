/* SPDX-License-Identifier: Apache-2.0 */
/* jsonrpc - see jsonrpc.h. */
#include "io/jsonrpc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/evm.h"

void jsonrpc_clear(struct jsonrpc_answer *a)
{
	json_decref(a->result);
	memset(a, 0, sizeof(*a));
}

/* Whatever a stranger says, on a terminal or in a log it is one line of ASCII. */
static void printable(const char *text, char *out, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		out[n++] = *text >= ' ' && *text < 0x7f ? *text : '?';
	out[n] = '\0';
}

/* Nodes put a revert's data in the error as text, or in an object within. */
static void error_data(const json_t *data, struct jsonrpc_answer *out)
{
	const char *text;
	long n;

	if (json_is_object(data))
		data = json_object_get(data, "data");
	text = json_string_value(data);
	if (!text)
		return;
	n = evm_data_read(text, json_string_length(data), out->data, sizeof(out->data));
	out->data_n = n > 0 ? (size_t)n : 0;
}

static int bad(json_t *root, struct err *e, const char *why)
{
	json_decref(root);
	return err_set(e, ERR_CORRUPT, "not an answer of JSON-RPC: %s", why);
}

static bool id_fits(const json_t *got, uint64_t id, bool is_error)
{
	if (json_is_integer(got))
		return json_integer_value(got) == (json_int_t)id;
	return is_error && json_is_null(got); /* it could not read ours */
}

int jsonrpc_read(const void *bytes, size_t n, uint64_t id, struct jsonrpc_answer *out, struct err *e)
{
	json_t *root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL), *result, *error;
	const char *version, *said;

	if (!json_is_object(root))
		return bad(root, e, "it is not an object of JSON");
	version = json_string_value(json_object_get(root, "jsonrpc"));
	result = json_object_get(root, "result");
	error = json_object_get(root, "error");
	if (json_is_null(error)) /* some write both */
		error = NULL;
	if (!version || strcmp(version, "2.0") != 0)
		return bad(root, e, "its version is not 2.0");
	if (!id_fits(json_object_get(root, "id"), id, error != NULL))
		return bad(root, e, "it answers another question");
	if (error && json_is_null(result))
		result = NULL;
	if (!result == !error)
		return bad(root, e, "it needs a result or an error, and not both");
	memset(out, 0, sizeof(*out));
	if (result) {
		out->result = json_incref(result);
	} else {
		said = json_string_value(json_object_get(error, "message"));
		if (!json_is_integer(json_object_get(error, "code")) || !said)
			return bad(root, e, "its error has no code or no message");
		out->code = json_integer_value(json_object_get(error, "code"));
		printable(said, out->said, sizeof(out->said));
		error_data(json_object_get(error, "data"), out);
	}
	json_decref(root);
	return 0;
}

static char *request(uint64_t id, const char *method, json_t *params)
{
	json_t *root = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id, "method",
	        method, "params", params);
	char *text;

	CHECK(root != NULL);
	text = json_dumps(root, JSON_COMPACT);
	CHECK(text != NULL);
	json_decref(root);
	return text;
}

int jsonrpc_ask(struct http *h, const char *url, uint64_t id, const char *method, json_t *params,
        struct jsonrpc_answer *out, struct err *e)
{
	char *text = request(id, method, params), who[HTTP_ORIGIN_MAX];
	struct http_request r = {.method = HTTP_POST,
	        .url = url,
	        .type = "application/json",
	        .accept = "application/json",
	        .body = text,
	        .body_n = strlen(text)};
	struct http_answer a;
	int rc = http_ask(h, &r, &a, e);

	free(text);
	if (rc < 0)
		return -1;
	http_origin(url, who);
	rc = jsonrpc_read(a.body, a.body_n, id, out, e);
	if (rc == 0 && a.status != 200 && out->result) {
		jsonrpc_clear(out);
		rc = -1;
	}
	if (rc < 0 && a.status != 200) /* errors may come with any status; nothing else may */
		return err_set(e, ERR_DENIED, "%s answers with HTTP status %u", who, a.status);
	return rc < 0 ? err_wrap(e, "%s", who) : 0;
}
