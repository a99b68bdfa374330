/* SPDX-License-Identifier: Apache-2.0 */
/* evm - see evm.h. Transactions: EIP-2718, EIP-1559. Calls and events: the Contract ABI Specification. */
#include "core/evm.h"

#include <string.h>

#include "base/check.h"
#include "core/keccak.h"
#include "core/rlp.h"

enum { TX_TYPE = 0x02, WORD = 32 };

/* ---- hexadecimal ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool evm_quantity_u256(const char *text, size_t n, uint8_t out[32])
{
	uint8_t be[32] = {0};

	if (n < 3 || n > 2 + 64 || text[0] != '0' || text[1] != 'x' || (text[2] == '0' && n > 3))
		return false;
	for (size_t i = 2, at = 64 - (n - 2); i < n; i++, at++) {
		int d = digit(text[i]);

		if (d < 0)
			return false;
		be[at / 2] = (uint8_t)(be[at / 2] << 4 | d);
	}
	memcpy(out, be, sizeof(be));
	return true;
}

static uint64_t read_u64(const uint8_t p[8])
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

bool evm_quantity_u64(const char *text, size_t n, uint64_t *out)
{
	uint8_t be[32];

	if (n > 2 + 16 || !evm_quantity_u256(text, n, be))
		return false;
	*out = read_u64(be + 24);
	return true;
}

static const char digits[] = "0123456789abcdef";

size_t evm_quantity_print(uint64_t v, char out[EVM_QUANTITY_MAX])
{
	size_t n = 2;
	int shift = 60;

	out[0] = '0';
	out[1] = 'x';
	while (shift && v >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		out[n++] = digits[v >> shift & 15];
	out[n] = '\0';
	return n;
}

long evm_data_read(const char *text, size_t n, uint8_t *out, size_t max)
{
	if (n < 2 || n % 2 || text[0] != '0' || text[1] != 'x' || (n - 2) / 2 > max)
		return -1;
	for (size_t i = 2; i < n; i += 2) {
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[(i - 2) / 2] = (uint8_t)(high << 4 | low);
	}
	return (long)((n - 2) / 2);
}

bool evm_data_exact(const char *text, size_t n, uint8_t *out, size_t bytes)
{
	return n == 2 + 2 * bytes && evm_data_read(text, n, out, bytes) == (long)bytes;
}

size_t evm_data_print(const void *p, size_t n, char *out)
{
	const uint8_t *b = p;

	out[0] = '0';
	out[1] = 'x';
	for (size_t i = 0; i < n; i++) {
		out[2 + 2 * i] = digits[b[i] >> 4];
		out[3 + 2 * i] = digits[b[i] & 15];
	}
	out[2 + 2 * n] = '\0';
	return 2 + 2 * n;
}

/* ---- transactions ---- */

static void nine_fields(struct rlp_out *w, const struct evm_tx *t)
{
	rlp_u64(w, t->chain_id);
	rlp_u64(w, t->nonce);
	rlp_u64(w, t->tip);
	rlp_u64(w, t->fee);
	rlp_u64(w, t->gas);
	rlp_string(w, t->to, t->kind == EVM_CALL ? sizeof(t->to) : 0);
	rlp_u64(w, 0); /* value */
	rlp_string(w, t->data, t->data_n);
	rlp_list_begin(w); /* access list */
	rlp_list_end(w);
}

static size_t encode(const struct evm_tx *t, const struct evm_sig *sig, uint8_t *out, size_t max)
{
	struct rlp_out w;
	size_t n;

	CHECK(t->data_n <= EVM_DATA_MAX);
	if (max < 1)
		return 0;
	out[0] = TX_TYPE;
	rlp_begin(&w, out + 1, max - 1);
	rlp_list_begin(&w);
	nine_fields(&w, t);
	if (sig) {
		CHECK(sig->y <= 1);
		rlp_u64(&w, sig->y);
		rlp_integer(&w, sig->r, sizeof(sig->r));
		rlp_integer(&w, sig->s, sizeof(sig->s));
	}
	rlp_list_end(&w);
	n = rlp_end(&w);
	return n ? 1 + n : 0;
}

size_t evm_tx_unsigned(const struct evm_tx *t, uint8_t *out, size_t max)
{
	return encode(t, NULL, out, max);
}

void evm_tx_sighash(const struct evm_tx *t, uint8_t out[32])
{
	uint8_t bytes[EVM_TX_MAX];
	size_t n = evm_tx_unsigned(t, bytes, sizeof(bytes));

	CHECK(n > 0);
	keccak256(bytes, n, out);
}

size_t evm_tx_raw(
        const struct evm_tx *t, const struct evm_sig *sig, uint8_t *out, size_t max, uint8_t out_hash[32])
{
	size_t n = encode(t, sig, out, max);

	if (n && out_hash)
		keccak256(out, n, out_hash);
	return n;
}

static int bad_tx(struct err *e, const char *why)
{
	return err_set(e, ERR_CORRUPT, "not a transaction of osier: %s", why);
}

static int parse_to(struct rlp_in *r, struct evm_tx *out, struct err *e)
{
	struct rlp_item to;

	if (rlp_next_kind(r, RLP_STRING, &to, e) < 0)
		return -1;
	if (to.n != 0 && to.n != sizeof(out->to))
		return bad_tx(e, "its receiver is not an address");
	out->kind = to.n ? EVM_CALL : EVM_CREATE;
	if (to.n)
		memcpy(out->to, to.p, to.n);
	return 0;
}

static int parse_fields(struct rlp_in *r, struct evm_tx *out, struct evm_sig *sig, struct err *e)
{
	struct rlp_item data, list;
	uint64_t value, y;

	if (rlp_next_u64(r, &out->chain_id, e) < 0 || rlp_next_u64(r, &out->nonce, e) < 0 ||
	        rlp_next_u64(r, &out->tip, e) < 0 || rlp_next_u64(r, &out->fee, e) < 0 ||
	        rlp_next_u64(r, &out->gas, e) < 0 || parse_to(r, out, e) < 0 ||
	        rlp_next_u64(r, &value, e) < 0 || rlp_next_kind(r, RLP_STRING, &data, e) < 0 ||
	        rlp_next_kind(r, RLP_LIST, &list, e) < 0 || rlp_next_u64(r, &y, e) < 0 ||
	        rlp_next_integer(r, sig->r, sizeof(sig->r), e) < 0 ||
	        rlp_next_integer(r, sig->s, sizeof(sig->s), e) < 0)
		return -1;
	if (value != 0 || list.n != 0 || y > 1 || r->left != 0 || data.n > EVM_DATA_MAX)
		return bad_tx(e, "it has value, an access list, no parity, or something after its end");
	sig->y = (uint8_t)y;
	out->data = data.p;
	out->data_n = data.n;
	return 0;
}

int evm_tx_parse(const uint8_t *raw, size_t n, struct evm_tx *out, struct evm_sig *out_sig, struct err *e)
{
	struct rlp_item list;
	struct evm_sig sig = {0};
	struct evm_tx t = {0};
	struct rlp_in r;

	if (n < 1 || raw[0] != TX_TYPE)
		return bad_tx(e, "its type is not 2");
	r = (struct rlp_in){raw + 1, n - 1};
	if (rlp_next_kind(&r, RLP_LIST, &list, e) < 0)
		return -1;
	if (r.left != 0)
		return bad_tx(e, "something follows its end");
	r = (struct rlp_in){list.p, list.n};
	if (parse_fields(&r, &t, &sig, e) < 0)
		return -1;
	*out = t;
	*out_sig = sig;
	return 0;
}

uint64_t evm_tx_gas_least(const struct evm_tx *t)
{
	uint64_t full = 0, zero = 0, least, floor;

	for (size_t i = 0; i < t->data_n; i++) {
		full += t->data[i] != 0;
		zero += t->data[i] == 0;
	}
	least = 21000 + 16 * full + 4 * zero;
	if (t->kind == EVM_CREATE) /* EIP-2, EIP-3860 */
		least += 32000 + 2 * ((t->data_n + 31) / 32);
	floor = 21000 + 40 * full + 10 * zero;
	return least > floor ? least : floor;
}

/* ---- addresses ---- */

void evm_address_of(const uint8_t pub[64], uint8_t out[20])
{
	uint8_t digest[32];

	keccak256(pub, 64, digest);
	memcpy(out, digest + 12, 20);
}

void evm_create_address(const uint8_t from[20], uint64_t nonce, uint8_t out[20])
{
	uint8_t bytes[64], digest[32];
	struct rlp_out w;

	rlp_begin(&w, bytes, sizeof(bytes));
	rlp_list_begin(&w);
	rlp_string(&w, from, 20);
	rlp_u64(&w, nonce);
	rlp_list_end(&w);
	keccak256(bytes, rlp_end(&w), digest);
	memcpy(out, digest + 12, 20);
}

/* EIP-55: a letter is a capital when the digit of the same place in Keccak-256 of the lower-case text is 8 or more. */
void evm_address_print(const uint8_t a[20], char out[EVM_ADDRESS_TEXT])
{
	uint8_t digest[32];

	(void)evm_data_print(a, 20, out);
	keccak256(out + 2, 40, digest);
	for (size_t i = 0; i < 40; i++) {
		uint8_t d = i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4;

		if (d >= 8 && out[2 + i] >= 'a')
			out[2 + i] = (char)(out[2 + i] - 'a' + 'A');
	}
}

int evm_address_parse(const char *text, size_t n, uint8_t out[20], struct err *e)
{
	char right[EVM_ADDRESS_TEXT];
	bool lower = false, upper = false;
	uint8_t a[20];

	if (!evm_data_exact(text, n, a, sizeof(a)))
		return err_set(e, ERR_INVALID,
		        "'%.*s' is not an address: it must be 0x and 40 hexadecimal digits",
		        n > 60 ? 60 : (int)n, text);
	for (size_t i = 2; i < n; i++) {
		lower = lower || text[i] >= 'a';
		upper = upper || (text[i] >= 'A' && text[i] <= 'F');
	}
	evm_address_print(a, right);
	if (lower && upper && memcmp(text, right, n) != 0) {
		(void)err_set(e, ERR_INVALID, "'%.*s' is mistyped: its capitals are not those of EIP-55",
		        (int)n, text);
		return err_hint(e, "compare it with where you copied it from");
	}
	memcpy(out, a, sizeof(a));
	return 0;
}

/* ---- Anchor.sol ---- */

/* First four bytes of Keccak-256 of anchor(bytes32,uint64,bytes32), latest(address,bytes32), NotNewer(uint64). */
static const uint8_t anchor_selector[4] = {0x70, 0xc1, 0x27, 0xc6};
static const uint8_t latest_selector[4] = {0x68, 0x20, 0x5b, 0xc3};
static const uint8_t not_newer_selector[4] = {0xce, 0x33, 0x58, 0xbe};
const uint8_t evm_anchored_topic[32] = {0x3d, 0x0c, 0x97, 0x91, 0x22, 0x57, 0xc6, 0xad, 0x70, 0xe8, 0xf6,
        0xfc, 0x81, 0xae, 0x51, 0x8a, 0xd3, 0xe1, 0x47, 0x34, 0xd3, 0x08, 0xb5, 0x12, 0xc2, 0x72, 0x9c, 0xc6,
        0x37, 0xa4, 0xb0, 0xb1};

static void word_u64(uint8_t out[WORD], uint64_t v)
{
	memset(out, 0, WORD);
	for (int i = 0; i < 8; i++)
		out[24 + i] = (uint8_t)(v >> (56 - 8 * i));
}

/* `size` bytes at the end of a word, zeros before them; false: something else is before them. */
static bool word_tail(const uint8_t p[WORD], size_t size)
{
	for (size_t i = 0; i < WORD - size; i++)
		if (p[i])
			return false;
	return true;
}

static bool read_word_u64(const uint8_t p[WORD], uint64_t *out)
{
	if (!word_tail(p, 8))
		return false;
	*out = read_u64(p + 24);
	return true;
}

void evm_anchor_call(
        const uint8_t origin[32], uint64_t size, const uint8_t root[32], uint8_t out[EVM_ANCHOR_CALL])
{
	memcpy(out, anchor_selector, 4);
	memcpy(out + 4, origin, WORD);
	word_u64(out + 4 + WORD, size);
	memcpy(out + 4 + 2 * WORD, root, WORD);
}

bool evm_anchor_call_read(
        const uint8_t *p, size_t n, uint8_t out_origin[32], uint64_t *out_size, uint8_t out_root[32])
{
	if (n != EVM_ANCHOR_CALL || memcmp(p, anchor_selector, 4) != 0 ||
	        !read_word_u64(p + 4 + WORD, out_size))
		return false;
	memcpy(out_origin, p + 4, WORD);
	memcpy(out_root, p + 4 + 2 * WORD, WORD);
	return true;
}

void evm_latest_call(const uint8_t by[20], const uint8_t origin[32], uint8_t out[EVM_LATEST_CALL])
{
	memcpy(out, latest_selector, 4);
	memset(out + 4, 0, WORD - 20);
	memcpy(out + 4 + WORD - 20, by, 20);
	memcpy(out + 4 + WORD, origin, WORD);
}

bool evm_latest_read(const uint8_t *p, size_t n, struct evm_head *out)
{
	struct evm_head h;

	if (n != EVM_LATEST_BYTES || !read_word_u64(p, &h.size) || !read_word_u64(p + WORD, &h.time_s))
		return false;
	memcpy(h.root, p + 2 * WORD, WORD);
	*out = h;
	return true;
}

bool evm_not_newer_read(const uint8_t *p, size_t n, uint64_t *out_size)
{
	return n == EVM_NOT_NEWER && memcmp(p, not_newer_selector, 4) == 0 && read_word_u64(p + 4, out_size);
}

bool evm_anchored_read(const struct evm_log *l, struct evm_anchored *out)
{
	struct evm_anchored a;

	if (l->topics != 4 || l->data_n != WORD || memcmp(l->topic[0], evm_anchored_topic, WORD) != 0 ||
	        !word_tail(l->topic[1], 20) || !read_word_u64(l->topic[3], &a.size))
		return false;
	memcpy(a.by, l->topic[1] + WORD - 20, 20);
	memcpy(a.origin, l->topic[2], WORD);
	memcpy(a.root, l->data, WORD);
	*out = a;
	return true;
}
