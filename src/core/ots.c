/* SPDX-License-Identifier: Apache-2.0 */
/* ots - see ots.h. The format is that of python-opentimestamps, core/serialize and core/timestamp. */
#include "core/ots.h"

#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/keccak.h"

enum { FORK = 0xff, ATTESTATION = 0x00, VERSION = 1, PAYLOAD_MAX = 8192, NONCE = 16 };

static const uint8_t magic[31] = {0x00, 'O', 'p', 'e', 'n', 'T', 'i', 'm', 'e', 's', 't', 'a', 'm', 'p', 's',
        0x00, 0x00, 'P', 'r', 'o', 'o', 'f', 0x00, 0xbf, 0x89, 0xe2, 0xe8, 0x84, 0xe8, 0x92, 0x94};

struct in {
	const uint8_t *p;
	size_t n, at;
};

static int bad(struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "not a proof of OpenTimestamps: %s", why);
}

static int cut_off(struct err *e)
{
	return bad(e, "it is cut off");
}

static int read_byte(struct in *in, uint8_t *out, struct err *e)
{
	if (in->at == in->n)
		return cut_off(e);
	*out = in->p[in->at++];
	return 0;
}

/* LEB128 in its shortest form, below 2^63. */
static int read_number(struct in *in, uint64_t *out, struct err *e)
{
	uint64_t v = 0;
	uint8_t b = 0;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		if (read_byte(in, &b, e) < 0)
			return -1;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if (b == 0 && shift)
			return bad(e, "a number is longer than it needs to be");
		*out = v;
		return 0;
	}
	return bad(e, "a number is too large");
}

static int read_bytes(struct in *in, size_t least, size_t most, struct in *out, struct err *e)
{
	uint64_t n;

	if (read_number(in, &n, e) < 0)
		return -1;
	if (n < least || n > most)
		return bad(e, "a length is out of bounds");
	if (n > in->n - in->at)
		return cut_off(e);
	*out = (struct in){in->p + in->at, (size_t)n, 0};
	in->at += (size_t)n;
	return 0;
}

/* ---- operations ---- */

static size_t digest_bytes(enum ots_op op)
{
	return op == OTS_SHA1 || op == OTS_RIPEMD160 ? 20 : op == OTS_SHA256 || op == OTS_KECCAK256 ? 32 : 0;
}

static int hash(struct ots_reader *r, enum ots_op op, struct err *e)
{
	uint8_t out[32];
	struct sha2 s;

	if (op == OTS_SHA256) {
		sha2_init(&s);
		sha2_add(&s, r->message, r->message_n);
		sha2_end(&s, out);
	} else if (op == OTS_KECCAK256) {
		keccak256(r->message, r->message_n, out);
	} else if (!r->hash || !r->hash(r->ctx, op, r->message, r->message_n, out)) {
		return err_set(e, ERR_INVALID, "this machine cannot compute the %s in the proof",
		        op == OTS_SHA1 ? "SHA-1" : "RIPEMD-160");
	}
	r->message_n = digest_bytes(op);
	memcpy(r->message, out, r->message_n);
	return 0;
}

static int join(struct ots_reader *r, struct in *in, enum ots_op op, struct err *e)
{
	struct in arg;

	if (read_bytes(in, 1, OTS_MESSAGE_MAX, &arg, e) < 0)
		return -1;
	if (arg.n > OTS_MESSAGE_MAX - r->message_n)
		return err_set(e, ERR_FULL, "a message in the proof grows beyond %u bytes", OTS_MESSAGE_MAX);
	if (op == OTS_PREPEND)
		memmove(r->message + arg.n, r->message, r->message_n);
	memcpy(op == OTS_PREPEND ? r->message : r->message + r->message_n, arg.p, arg.n);
	r->message_n += arg.n;
	return 0;
}

static int to_hex(struct ots_reader *r, struct err *e)
{
	static const char digits[] = "0123456789abcdef";

	if (r->message_n == 0 || r->message_n > OTS_MESSAGE_MAX / 2)
		return err_set(e, ERR_FULL, "a message in the proof grows beyond %u bytes", OTS_MESSAGE_MAX);
	for (size_t i = r->message_n; i-- > 0;) { /* from the end, in place */
		uint8_t b = r->message[i];

		r->message[2 * i] = (uint8_t)digits[b >> 4];
		r->message[2 * i + 1] = (uint8_t)digits[b & 15];
	}
	r->message_n *= 2;
	return 0;
}

static int reverse(struct ots_reader *r, struct err *e)
{
	if (r->message_n == 0)
		return bad(e, "nothing cannot be reversed");
	for (size_t i = 0, j = r->message_n - 1; i < j; i++, j--) {
		uint8_t b = r->message[i];

		r->message[i] = r->message[j];
		r->message[j] = b;
	}
	return 0;
}

static int operate(struct ots_reader *r, struct in *in, uint8_t op, struct err *e)
{
	if (digest_bytes(op))
		return hash(r, op, e);
	if (op == OTS_APPEND || op == OTS_PREPEND)
		return join(r, in, op, e);
	if (op == OTS_HEX)
		return to_hex(r, e);
	if (op == OTS_REVERSE)
		return reverse(r, e);
	return err_set(e, ERR_VERSION, "the proof has an operation that is not known, %02x", op);
}

/* ---- attestations ---- */

static const struct {
	uint8_t tag[8];
	enum ots_kind kind;
} tags[] = {
        {{0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e}, OTS_PENDING},
        {{0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01}, OTS_BITCOIN},
        {{0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45}, OTS_LITECOIN},
        {{0x30, 0xfe, 0x80, 0x87, 0xb5, 0xc7, 0xea, 0xd7}, OTS_ETHEREUM},
};

static bool uri_ok(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
		            (p[i] >= '0' && p[i] <= '9') || (p[i] && strchr("-._/:", p[i]))))
			return false;
	return true;
}

static int read_payload(struct ots_attestation *a, struct in payload, struct err *e)
{
	struct in uri;

	if (a->kind == OTS_UNKNOWN) /* of a notary that came after us: it is kept, and says nothing */
		return 0;
	if (a->kind == OTS_PENDING) {
		if (read_bytes(&payload, 0, OTS_URI_MAX, &uri, e) < 0)
			return -1;
		if (!uri_ok(uri.p, uri.n))
			return bad(e, "a calendar's address has characters that it must not");
		a->uri = (const char *)uri.p;
		a->uri_n = uri.n;
	} else if (read_number(&payload, &a->height, e) < 0) {
		return -1;
	}
	return payload.at == payload.n ? 0 : bad(e, "something follows in an attestation");
}

static int attestation(struct ots_reader *r, struct in *in, bool last, struct err *e)
{
	struct ots_attestation a = {.kind = OTS_UNKNOWN, .at = in->at - 1, .last = last};
	struct in payload;

	if (in->n - in->at < sizeof(a.tag))
		return cut_off(e);
	memcpy(a.tag, in->p + in->at, sizeof(a.tag));
	in->at += sizeof(a.tag);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		if (memcmp(a.tag, tags[i].tag, sizeof(a.tag)) == 0)
			a.kind = tags[i].kind;
	if (read_bytes(in, 0, PAYLOAD_MAX, &payload, e) < 0 || read_payload(&a, payload, e) < 0)
		return -1;
	a.end = in->at;
	a.message = r->message;
	a.message_n = r->message_n;
	if (r->visit)
		r->visit(r->ctx, &a);
	return 0;
}

/* ---- timestamps ---- */

static int push(struct ots_reader *r, struct err *e)
{
	if (r->forks == OTS_FORKS_MAX)
		return err_set(e, ERR_FULL, "the proof forks more than %d times within forks", OTS_FORKS_MAX);
	memcpy(r->fork[r->forks], r->message, r->message_n);
	r->fork_n[r->forks++] = r->message_n;
	return 0;
}

static void pop(struct ots_reader *r)
{
	CHECK(r->forks > 0);
	r->message_n = r->fork_n[--r->forks];
	memcpy(r->message, r->fork[r->forks], r->message_n);
}

/* After FF comes an item of the message at hand, and then the message's next item: it waits in `fork` meanwhile. */
static int timestamp(struct ots_reader *r, struct in *in, struct err *e)
{
	bool forked;
	uint8_t b = 0;

	r->forks = 0;
	for (;;) {
		if (read_byte(in, &b, e) < 0)
			return -1;
		forked = b == FORK;
		if (forked && (push(r, e) < 0 || read_byte(in, &b, e) < 0))
			return -1;
		if (b != ATTESTATION) {
			if (operate(r, in, b, e) < 0)
				return -1;
			continue;
		}
		if (attestation(r, in, !forked, e) < 0)
			return -1;
		if (r->forks == 0)
			return 0;
		pop(r);
	}
}

int ots_read_timestamp(struct ots_reader *r, const uint8_t *p, size_t n, const uint8_t *message,
        size_t message_n, struct err *e)
{
	struct in in = {p, n, 0};

	CHECK(message_n <= OTS_MESSAGE_MAX);
	if (n > OTS_FILE_MAX)
		return err_set(e, ERR_FULL, "a proof of more than %u bytes", OTS_FILE_MAX);
	if (message_n)
		memcpy(r->message, message, message_n);
	r->message_n = message_n;
	if (timestamp(r, &in, e) < 0)
		return -1;
	return in.at == n ? 0 : bad(e, "something follows its end");
}

int ots_read(struct ots_reader *r, const uint8_t *file, size_t n, struct ots_file *out, struct err *e)
{
	struct in in = {file, n, sizeof(magic)};
	struct ots_file f = {0};
	uint64_t version;
	uint8_t op = 0;

	if (n > OTS_FILE_MAX)
		return err_set(e, ERR_FULL, "a proof of more than %u bytes", OTS_FILE_MAX);
	if (n < sizeof(magic) || memcmp(file, magic, sizeof(magic)) != 0)
		return bad(e, "it does not begin like one");
	if (read_number(&in, &version, e) < 0)
		return -1;
	if (version != VERSION)
		return err_set(e, ERR_VERSION, "the proof is of a version that is not known");
	if (read_byte(&in, &op, e) < 0)
		return -1;
	f.op = op;
	f.digest_n = digest_bytes(op);
	if (!f.digest_n)
		return bad(e, "it does not say how the file was hashed");
	if (n - in.at < f.digest_n)
		return cut_off(e);
	memcpy(f.digest, file + in.at, f.digest_n);
	in.at += f.digest_n;
	memcpy(r->message, f.digest, f.digest_n);
	r->message_n = f.digest_n;
	if (timestamp(r, &in, e) < 0)
		return -1;
	if (in.at != n)
		return bad(e, "something follows its end");
	*out = f;
	return 0;
}

/* ---- making ---- */

void ots_commitment(const uint8_t digest[32], const uint8_t nonce[16], uint8_t out[32])
{
	struct sha2 s;

	sha2_init(&s);
	sha2_add(&s, digest, 32);
	sha2_add(&s, nonce, NONCE);
	sha2_end(&s, out);
}

/* Append when it fits; what does not fit makes *n larger than max for good. */
static void put(uint8_t *out, size_t max, size_t *n, const void *p, size_t bytes)
{
	if (*n <= max && bytes <= max - *n && bytes)
		memcpy(out + *n, p, bytes);
	*n = bytes > SIZE_MAX - *n ? SIZE_MAX : *n + bytes;
}

size_t ots_make(const uint8_t digest[32], const uint8_t nonce[16], const struct ots_piece *answer,
        size_t count, uint8_t *out, size_t max)
{
	static const uint8_t after_magic[] = {VERSION, OTS_SHA256}, append[] = {OTS_APPEND, NONCE},
	                     sha = OTS_SHA256;
	static const uint8_t fork = FORK;
	size_t n = 0;

	CHECK(count > 0);
	put(out, max, &n, magic, sizeof(magic));
	put(out, max, &n, after_magic, sizeof(after_magic));
	put(out, max, &n, digest, 32);
	put(out, max, &n, append, sizeof(append));
	put(out, max, &n, nonce, NONCE);
	put(out, max, &n, &sha, 1);
	for (size_t i = 0; i < count; i++) {
		if (i + 1 < count)
			put(out, max, &n, &fork, 1);
		put(out, max, &n, answer[i].p, answer[i].n);
	}
	return n <= max ? n : 0;
}

size_t ots_complete(const uint8_t *file, size_t n, const struct ots_attestation *pending,
        struct ots_piece answer, uint8_t *out, size_t max)
{
	static const uint8_t fork = FORK;
	size_t at = 0;

	CHECK(pending->at < pending->end && pending->end <= n);
	put(out, max, &at, file, pending->at);
	if (pending->last) /* FF attestation answer */
		put(out, max, &at, &fork, 1);
	put(out, max, &at, file + pending->at, pending->end - pending->at);
	if (!pending->last) /* (FF) attestation FF answer, and what follows */
		put(out, max, &at, &fork, 1);
	put(out, max, &at, answer.p, answer.n);
	put(out, max, &at, file + pending->end, n - pending->end);
	return at <= max ? at : 0;
}
