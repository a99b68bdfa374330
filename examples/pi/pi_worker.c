/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pi_worker - the functions of examples/pi/pi.yaml: pi to many decimals, and the check of it.
 *
 * Chudnovsky's series by binary splitting (Chudnovsky 1988; Haible and Papanikolaou 1997), GMP for the numbers:
 *	terms      one range of the series: the triple (P, Q, T)
 *	merge      two neighbouring ranges into one (a reduce, associative)
 *	root       sqrt(10005), fixed point with N bits
 *	fraction   pi - 3, fixed point with N bits, from the last triple and the root
 *	decimals   one block of decimals out of the fraction
 *	residue    what all decimals, read as one number, must be modulo 2^61 - 1 (checks the change of radix)
 *	bbp        a share of the sum for 2^b * pi mod 1, by Bellard's BBP-type formula (1997), so that hexadecimal digits near
 *		   the end are known without the digits before them
 *	bbp_sum    adds such shares (a reduce, associative)
 *	report     all of it for people; writes the decimals to its output
 * Numbers travel as: u64 count of numbers, then for each i64 limbs (sign: of the number), then the limbs, least first.
 */
#include <gmp.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <osier/worker.h>

#define DIGITS_PER_TERM 14.1816474627254776555
#define BITS_PER_DIGIT  3.32192809488736234787
#define GUARD_BITS      256
#define MERSENNE61      ((UINT64_C(1) << 61) - 1)

static uint64_t digits_of(const struct osier_task *t)
{
	return (uint64_t)osier_task_arg_int(t, "digits", 1000);
}

static mp_bitcnt_t bits_of(uint64_t digits)
{
	return (mp_bitcnt_t)((double)digits * BITS_PER_DIGIT) + GUARD_BITS;
}

/* ---- numbers to bytes and back ---- */

static int give(struct osier_task *t, size_t count, const mpz_t *v)
{
	size_t bytes = 8 * (1 + count);
	uint64_t n = count;
	uint8_t *p;

	for (size_t i = 0; i < count; i++)
		bytes += 8 * mpz_size(v[i]);
	p = osier_return_buffer(t, bytes);
	if (!p)
		return osier_fail(t, "no room for a result of %zu bytes", bytes);
	memcpy(p, &n, 8);
	p += 8;
	for (size_t i = 0; i < count; i++) {
		int64_t limbs = (int64_t)mpz_size(v[i]) * mpz_sgn(v[i]);

		memcpy(p, &limbs, 8);
		memcpy(p + 8, mpz_limbs_read(v[i]), 8 * mpz_size(v[i]));
		p += 8 + 8 * mpz_size(v[i]);
	}
	return 0;
}

/* Read-only views on the numbers of input i, without a copy. */
static int take(struct osier_task *t, size_t i, size_t count, mpz_t *v)
{
	const void *bytes;
	const uint8_t *p;
	size_t n;
	uint64_t have;

	if (osier_task_input(t, i, &bytes, &n) < 0 || n < 8)
		return osier_fail(t, "input %zu cannot be read", i);
	p = bytes;
	memcpy(&have, p, 8);
	p += 8;
	n -= 8;
	if (have != count)
		return osier_fail(
		        t, "input %zu holds %lu numbers instead of %zu", i, (unsigned long)have, count);
	for (size_t k = 0; k < count; k++) {
		int64_t limbs;
		size_t size;

		if (n < 8)
			return osier_fail(t, "input %zu is cut off", i);
		memcpy(&limbs, p, 8);
		size = 8 * (size_t)(limbs < 0 ? -limbs : limbs);
		if (n - 8 < size)
			return osier_fail(t, "input %zu is cut off", i);
		(void)mpz_roinit_n(v[k], (const mp_limb_t *)(const void *)(p + 8), (mp_size_t)limbs);
		p += 8 + size;
		n -= 8 + size;
	}
	return 0;
}

/* ---- the series ---- */

static void leaf(mpz_t *v, uint64_t a)
{
	if (!a) {
		mpz_set_ui(v[0], 1);
		mpz_set_ui(v[1], 1);
	} else {
		mpz_set_ui(v[0], 6 * a - 5);
		mpz_mul_ui(v[0], v[0], 2 * a - 1);
		mpz_mul_ui(v[0], v[0], 6 * a - 1);
		mpz_set_ui(v[1], a);
		mpz_mul_ui(v[1], v[1], a);
		mpz_mul_ui(v[1], v[1], a);
		mpz_mul_ui(v[1], v[1], 10939058860032000); /* 640320^3 / 24 */
	}
	mpz_set_ui(v[2], 545140134);
	mpz_mul_ui(v[2], v[2], a);
	mpz_add_ui(v[2], v[2], 13591409);
	mpz_mul(v[2], v[2], v[0]);
	if (a & 1)
		mpz_neg(v[2], v[2]);
}

/* l := l . r; without_p: P is not needed any more. r is used up. */
static void join(mpz_t *l, mpz_t *r, int without_p)
{
	mpz_mul(l[2], l[2], r[1]);
	mpz_mul(r[2], l[0], r[2]);
	mpz_add(l[2], l[2], r[2]);
	mpz_mul(l[1], l[1], r[1]);
	if (without_p)
		mpz_set_ui(l[0], 0);
	else
		mpz_mul(l[0], l[0], r[0]);
}

static void split(mpz_t *v, uint64_t a, uint64_t b)
{
	mpz_t r[3];
	uint64_t m = a + (b - a) / 2;

	if (b - a == 1) {
		leaf(v, a);
		return;
	}
	mpz_inits(r[0], r[1], r[2], NULL);
	split(v, a, m);
	split(r, m, b);
	join(v, r, 0);
	mpz_clears(r[0], r[1], r[2], NULL);
}

static int terms(struct osier_task *t)
{
	uint64_t n = (uint64_t)((double)digits_of(t) / DIGITS_PER_TERM) + 2, parts = osier_task_count(t);
	uint64_t i = osier_task_index(t), a = n * i / parts, b = n * (i + 1) / parts;
	mpz_t v[3];
	int r;

	mpz_inits(v[0], v[1], v[2], NULL);
	if (a == b) { /* more parts than terms: the neutral triple */
		mpz_set_ui(v[0], 1);
		mpz_set_ui(v[1], 1);
	} else {
		split(v, a, b);
	}
	r = give(t, 3, v);
	mpz_clears(v[0], v[1], v[2], NULL);
	return r;
}

static int merge(struct osier_task *t)
{
	size_t n = osier_task_inputs(t);
	int last = osier_task_index(t) + 1 == osier_task_count(t), r = 0;
	mpz_t v[3], in[3], w[3];

	if (!n)
		return osier_fail(t, "there is nothing to merge");
	mpz_inits(v[0], v[1], v[2], w[0], w[1], w[2], NULL);
	for (size_t i = 0; i < n && !r; i++) {
		r = take(t, i, 3, in);
		for (int k = 0; k < 3 && !r; k++)
			mpz_set(i ? w[k] : v[k], in[k]);
		if (i && !r)
			join(v, w, last && i + 1 == n);
	}
	if (!r)
		r = give(t, 3, v);
	mpz_clears(v[0], v[1], v[2], w[0], w[1], w[2], NULL);
	return r;
}

static int root(struct osier_task *t)
{
	mp_bitcnt_t bits = bits_of(digits_of(t));
	mpz_t v[1];
	int r;

	mpz_init_set_ui(v[0], 10005);
	mpz_mul_2exp(v[0], v[0], 2 * bits);
	mpz_sqrt(v[0], v[0]);
	r = give(t, 1, v);
	mpz_clear(v[0]);
	return r;
}

/* pi = 426880 sqrt(10005) Q / T. Inputs: the last triple, the root. */
static int fraction(struct osier_task *t)
{
	mp_bitcnt_t bits = bits_of(digits_of(t));
	mpz_t in[3], s[1], v[1];
	int r;

	if (take(t, 0, 3, in) || take(t, 1, 1, s))
		return 1;
	mpz_init(v[0]);
	mpz_mul(v[0], in[1], s[0]);
	mpz_mul_ui(v[0], v[0], 426880);
	mpz_tdiv_q(v[0], v[0], in[2]);
	mpz_tdiv_r_2exp(v[0], v[0], bits);
	r = give(t, 1, v);
	mpz_clear(v[0]);
	return r;
}

/* ---- decimals ---- */

static int decimals(struct osier_task *t)
{
	uint64_t digits = digits_of(t), parts = osier_task_count(t), i = osier_task_index(t);
	uint64_t a = digits * i / parts, n = digits * (i + 1) / parts - a;
	mp_bitcnt_t bits = bits_of(digits), keep = bits_of(n);
	mpz_t x[1], v, p;
	size_t have;
	char *out, *text;

	if (take(t, 0, 1, x))
		return 1;
	if (!n)
		return 0;
	mpz_inits(v, p, NULL);
	mpz_ui_pow_ui(p, 5, a); /* frac(x * 10^a): 10^a = 5^a 2^a */
	mpz_mul(v, x[0], p);
	mpz_mul_2exp(v, v, a);
	mpz_tdiv_r_2exp(v, v, bits);
	mpz_tdiv_q_2exp(v, v, bits > keep ? bits - keep : 0);
	mpz_ui_pow_ui(p, 5, n);
	mpz_mul(v, v, p);
	mpz_mul_2exp(v, v, n);
	mpz_tdiv_q_2exp(v, v, bits > keep ? keep : bits);
	out = osier_return_buffer(t, n);
	text = out ? malloc(n + 2) : NULL;
	if (text) {
		(void)mpz_get_str(text, 10, v);
		have = strlen(text);
		memset(out, '0', n - have);
		memcpy(out + n - have, text, have);
	}
	free(text);
	mpz_clears(v, p, NULL);
	return text ? 0 : osier_fail(t, "no room for %lu decimals", (unsigned long)n);
}

/* floor(x 10^D / 2^N) mod p = (x 10^D - (x 10^D mod 2^N)) / 2^N mod p, without making the quotient. */
static int residue(struct osier_task *t)
{
	uint64_t digits = digits_of(t);
	mp_bitcnt_t bits = bits_of(digits);
	mpz_t x[1], m, a, b;
	int r;

	if (take(t, 0, 1, x))
		return 1;
	mpz_inits(m, a, b, NULL);
	mpz_ui_pow_ui(a, 5, digits);
	mpz_mul(a, a, x[0]);
	mpz_mul_2exp(a, a, digits);
	mpz_tdiv_r_2exp(a, a, bits); /* x 10^D mod 2^N */
	mpz_set_ui(m, MERSENNE61);
	mpz_set_ui(b, 10);
	mpz_powm_ui(b, b, digits, m);
	mpz_mul(b, b, x[0]);
	mpz_sub(b, b, a);
	mpz_mod(b, b, m);
	mpz_set_ui(a, 2);
	mpz_powm_ui(a, a, bits, m);
	(void)mpz_invert(a, a, m);
	mpz_mul(b, b, a);
	mpz_mod(b, b, m);
	r = osier_return_text(t, "%lu", mpz_get_ui(b));
	mpz_clears(m, a, b, NULL);
	return r;
}

/* ---- hexadecimal digits from the middle of nowhere ---- */

typedef unsigned __int128 u128;

/* 2^e mod m for odd m < 2^31, by Montgomery multiplication (Montgomery 1985), left to right. */
static uint32_t two_to(uint64_t e, uint32_t m)
{
	uint32_t inv = m, x, one = (uint32_t)((UINT64_C(1) << 32) % m);

	for (int i = 0; i < 4; i++)
		inv *= 2 - m * inv;
	inv = (uint32_t) - (int32_t)inv;
	x = one;
	for (int bit = 63 - __builtin_clzll(e | 1); bit >= 0; bit--) {
		uint64_t w = (uint64_t)x * x;

		w = (w + (uint64_t)((uint32_t)w * inv) * m) >> 32;
		x = (uint32_t)(w >= m ? w - m : w);
		if (e >> bit & 1) {
			x <<= 1;
			x = x >= m ? x - m : x;
		}
	}
	{
		uint64_t w = ((uint64_t)x + (uint64_t)((uint32_t)x * inv) * m) >> 32;

		return (uint32_t)(w >= m ? w - m : w);
	}
}

/* r / m in units of 2^-128, r < m < 2^32. */
static u128 share(uint32_t r, uint32_t m)
{
	u128 hi = ((u128)r << 64) / m, rest = ((u128)r << 64) % m;

	return (hi << 64) | (uint64_t)((rest << 64) / m);
}

/* 2^e / m mod 1 in units of 2^-128; e may be negative. */
static u128 term(int64_t e, uint32_t m)
{
	if (e >= 0)
		return share(two_to((uint64_t)e, m), m);
	if (e <= -128)
		return 0;
	return m == 1 ? (u128)1 << (128 + e) : share(1, m) >> -e;
}

/* The bit of the fraction at which the checked hexadecimal digits begin: 16 digits, a little before the end. */
static uint64_t check_bit(uint64_t digits)
{
	uint64_t hex = (uint64_t)((double)digits * BITS_PER_DIGIT / 4);

	return 4 * (hex > 64 ? hex - 64 : 0);
}

static int bbp(struct osier_task *t)
{
	uint64_t b = check_bit(digits_of(t)), n = b / 10 + 30, parts = osier_task_count(t),
	         i = osier_task_index(t);
	u128 sum = 0;

	if (10 * n + 9 >= UINT32_C(1) << 31)
		return osier_fail(t, "digits=%lu is too far out for this check", (unsigned long)digits_of(t));
	for (uint64_t k = n * i / parts; k < n * (i + 1) / parts; k++) {
		uint32_t k4 = (uint32_t)(4 * k), k10 = (uint32_t)(10 * k);
		int64_t e = (int64_t)b - 6 - 10 * (int64_t)k;
		u128 s = 0;

		s -= term(e + 5, k4 + 1);
		s -= term(e, k4 + 3);
		s += term(e + 8, k10 + 1);
		s -= term(e + 6, k10 + 3);
		s -= term(e + 2, k10 + 5);
		s -= term(e + 2, k10 + 7);
		s += term(e, k10 + 9);
		sum = k & 1 ? sum - s : sum + s;
	}
	return osier_return(t, &sum, sizeof(sum));
}

static int bbp_sum(struct osier_task *t)
{
	u128 sum = 0;

	for (size_t i = 0; i < osier_task_inputs(t); i++) {
		const void *p;
		size_t n;
		u128 v;

		if (osier_task_input(t, i, &p, &n) < 0 || n != sizeof(v))
			return osier_fail(t, "input %zu is not a share of the sum", i);
		memcpy(&v, p, n);
		sum += v;
	}
	return osier_return(t, &sum, sizeof(sum));
}

/* ---- the report ---- */

struct sums {
	uint64_t residue;
	EVP_MD_CTX *sha;
	uint64_t n;
	char first[51], last[51];
};

static void add_decimals(struct sums *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->residue = (uint64_t)(((u128)s->residue * 10 + (unsigned)(p[i] - '0')) % MERSENNE61);
		if (s->n + i < 50)
			s->first[s->n + i] = p[i];
	}
	if (n >= 50) {
		memcpy(s->last, p + n - 50, 50);
	} else {
		memmove(s->last, s->last + n, 50 - n);
		memcpy(s->last + 50 - n, p, n);
	}
	(void)EVP_DigestUpdate(s->sha, p, n);
	s->n += n;
}

/* Inputs: the blocks of decimals (the reduce's), then the fraction, the residue, the BBP sum. */
static int report(struct osier_task *t)
{
	size_t blocks = osier_task_inputs(t) > 3 ? osier_task_inputs(t) - 3 : 0;
	uint64_t digits = digits_of(t), bit = check_bit(digits), want_residue, hex_here, hex_bbp;
	struct sums s = {.sha = EVP_MD_CTX_new()};
	unsigned char md[32];
	char sha[65];
	const void *p;
	size_t n;
	mpz_t x[1], v;
	u128 sum;

	if (take(t, blocks, 1, x))
		return 1;
	if (osier_task_input(t, blocks + 1, &p, &n) < 0 || n == 0 || n > 20)
		return osier_fail(t, "the residue is missing");
	{
		char text[21] = "";

		memcpy(text, p, n);
		want_residue = strtoull(text, NULL, 10);
	}
	if (osier_task_input(t, blocks + 2, &p, &n) < 0 || n != sizeof(sum))
		return osier_fail(t, "the BBP sum is missing");
	memcpy(&sum, p, sizeof(sum));
	hex_bbp = (uint64_t)(sum >> 64);
	mpz_init(v);
	mpz_tdiv_q_2exp(v, x[0], bits_of(digits) - bit - 64);
	mpz_tdiv_r_2exp(v, v, 64);
	hex_here = mpz_get_ui(v);
	mpz_clear(v);
	(void)EVP_DigestInit_ex(s.sha, EVP_sha256(), NULL);
	for (size_t i = 0; i < blocks; i++) {
		if (osier_task_input(t, i, &p, &n) < 0)
			return osier_fail(t, "block %zu of the decimals is missing", i);
		add_decimals(&s, p, n);
	}
	(void)EVP_DigestFinal_ex(s.sha, md, NULL);
	EVP_MD_CTX_free(s.sha);
	for (int i = 0; i < 32; i++)
		(void)snprintf(sha + 2 * i, 3, "%02x", md[i]);
	if (s.n != digits)
		return osier_fail(
		        t, "%lu decimals came instead of %lu", (unsigned long)s.n, (unsigned long)digits);
	if (hex_here >> 16 != hex_bbp >> 16)
		return osier_fail(t,
		        "the check does not agree: hexadecimal digits %016lx, by the BBP formula %016lx",
		        (unsigned long)hex_here, (unsigned long)hex_bbp);
	if (s.residue != want_residue)
		return osier_fail(t, "the change of radix is wrong: residue %lu, expected %lu",
		        (unsigned long)s.residue, (unsigned long)want_residue);
	return osier_return_text(t,
	        "pi to %lu decimals\n"
	        "  first 50   3.%.50s\n"
	        "  last 50    %.50s\n"
	        "  sha-256    %s\n"
	        "  check      hexadecimal digits %lu to %lu:\n"
	        "             %012lx by Chudnovsky, %012lx by BBP: they agree\n"
	        "             remainder by 2^61-1: %lu before the change\n"
	        "             of radix, %lu after it: they agree\n",
	        (unsigned long)digits, s.first, s.last, sha, (unsigned long)(bit / 4 + 1),
	        (unsigned long)(bit / 4 + 12), (unsigned long)(hex_here >> 16),
	        (unsigned long)(hex_bbp >> 16), (unsigned long)want_residue, (unsigned long)s.residue);
}

int main(int argc, char **argv)
{
	(void)osier_function("terms", terms);
	(void)osier_function("merge", merge);
	(void)osier_function("root", root);
	(void)osier_function("fraction", fraction);
	(void)osier_function("decimals", decimals);
	(void)osier_function("residue", residue);
	(void)osier_function("bbp", bbp);
	(void)osier_function("bbp_sum", bbp_sum);
	(void)osier_function("report", report);
	return osier_worker_main(argc, argv);
}
