/* SPDX-License-Identifier: Apache-2.0 */
/* tsa - see tsa.h. */
#include "io/tsa.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

/* ---- requests ---- */

static TS_REQ *request_new(const uint8_t digest[32], uint64_t nonce)
{
	TS_REQ *r = TS_REQ_new();
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algo = X509_ALGOR_new();
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	uint8_t copy[32];

	CHECK(r && imprint && algo && n);
	memcpy(copy, digest, sizeof(copy));
	CHECK(X509_ALGOR_set0(algo, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1);
	CHECK(TS_MSG_IMPRINT_set_algo(imprint, algo) == 1 &&
	        TS_MSG_IMPRINT_set_msg(imprint, copy, sizeof(copy)) == 1);
	CHECK(TS_REQ_set_version(r, 1) == 1 && TS_REQ_set_msg_imprint(r, imprint) == 1);
	CHECK(TS_REQ_set_cert_req(r, 1) == 1);
	if (nonce)
		CHECK(ASN1_INTEGER_set_uint64(n, nonce) == 1 && TS_REQ_set_nonce(r, n) == 1);
	TS_MSG_IMPRINT_free(imprint);
	X509_ALGOR_free(algo);
	ASN1_INTEGER_free(n);
	return r;
}

size_t tsa_request(const uint8_t digest[32], uint64_t nonce, uint8_t out[TSA_REQUEST_MAX])
{
	TS_REQ *r = request_new(digest, nonce);
	uint8_t *p = out;
	int n = i2d_TS_REQ(r, NULL);

	CHECK(n > 0 && (unsigned)n <= TSA_REQUEST_MAX);
	CHECK(i2d_TS_REQ(r, &p) == n);
	TS_REQ_free(r);
	return (size_t)n;
}

/* ---- responses ---- */

/* What of OpenSSL's reasons a user can do something about, in osier's words. */
static int why_not(struct err *e)
{
	unsigned long code = ERR_peek_last_error(), c;
	const char *reason = NULL;

	while ((c = ERR_get_error()) != 0) /* the first of the library that tells is the cause */
		if (ERR_GET_LIB(c) == ERR_LIB_TS && ERR_GET_REASON(c) == TS_R_MESSAGE_IMPRINT_MISMATCH)
			return err_set(e, ERR_CORRUPT, "the timestamp is of other bytes");
		else if (ERR_GET_LIB(c) == ERR_LIB_TS && ERR_GET_REASON(c) == TS_R_NONCE_MISMATCH)
			return err_set(e, ERR_CORRUPT, "the timestamp answers another request");
		else if (ERR_GET_LIB(c) == ERR_LIB_TS && ERR_GET_REASON(c) == TS_R_CERTIFICATE_VERIFY_ERROR)
			return err_set(e, ERR_CORRUPT,
			        "the authority's certificate is not to be trusted (%s)",
			        ERR_reason_error_string(c));
	reason = ERR_reason_error_string(code);
	return err_set(e, ERR_CORRUPT, "the timestamp does not hold: %s", reason ? reason : "unknown reason");
}

static int load_roots(const struct tsa_trust *t, X509_STORE **out, struct err *e)
{
	X509_STORE *s = X509_STORE_new();

	CHECK(s != NULL);
	if (X509_STORE_load_file(s, t->ca_file) != 1) {
		X509_STORE_free(s);
		ERR_clear_error();
		return err_set(e, ERR_INVALID, "cannot read certificates from '%s'", t->ca_file);
	}
	if (t->at_s)
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(s), (time_t)t->at_s);
	*out = s;
	return 0;
}

static int check_granted(TS_RESP *r, struct err *e)
{
	TS_STATUS_INFO *info = TS_RESP_get_status_info(r);
	long status = ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(info));
	const STACK_OF(ASN1_UTF8STRING) *text = TS_STATUS_INFO_get0_text(info);
	char said[121] = "";

	if (status == TS_STATUS_GRANTED || status == TS_STATUS_GRANTED_WITH_MODS)
		return 0;
	if (text && sk_ASN1_UTF8STRING_num(text) > 0) {
		const ASN1_UTF8STRING *s = sk_ASN1_UTF8STRING_value(text, 0);
		int n = ASN1_STRING_length(s);

		for (int i = 0; i < n && i < (int)sizeof(said) - 1; i++) {
			char c = (char)ASN1_STRING_get0_data(s)[i];

			said[i] = c >= ' ' && c < 0x7f ? c : '?';
		}
	}
	return err_set(e, ERR_DENIED, "the authority refuses, with status %ld%s%s", status,
	        said[0] ? ": " : "", said);
}

static int check_token(TS_RESP *r, struct err *e)
{
	if (TS_RESP_get_tst_info(r) && TS_RESP_get_token(r))
		return 0;
	return err_set(e, ERR_CORRUPT, "the response grants, and holds no timestamp");
}

static int read_time(const ASN1_GENERALIZEDTIME *t, uint64_t *out)
{
	struct tm tm;
	time_t s;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	s = timegm(&tm);
	if (s < 0)
		return -1;
	*out = (uint64_t)s;
	return 0;
}

static uint64_t read_accuracy(TS_TST_INFO *info)
{
	const TS_ACCURACY *a = TS_TST_INFO_get_accuracy(info);
	long s;

	if (!a)
		return 0;
	s = TS_ACCURACY_get_seconds(a) ? ASN1_INTEGER_get(TS_ACCURACY_get_seconds(a)) : 0;
	return (uint64_t)(s < 0 ? 0 : s) + (TS_ACCURACY_get_millis(a) || TS_ACCURACY_get_micros(a));
}

static void read_signer(PKCS7 *token, char *out, size_t room)
{
	STACK_OF(X509) *signers = PKCS7_get0_signers(token, NULL, 0);

	out[0] = '\0';
	if (signers && sk_X509_num(signers) > 0)
		(void)X509_NAME_oneline(X509_get_subject_name(sk_X509_value(signers, 0)), out, (int)room);
	sk_X509_free(signers);
}

static int read_stamp(TS_RESP *r, struct tsa_stamp *out, struct err *e)
{
	TS_TST_INFO *info = TS_RESP_get_tst_info(r);
	struct tsa_stamp s = {0};
	BIGNUM *serial;
	char *hex;

	if (read_time(TS_TST_INFO_get_time(info), &s.time_s) < 0)
		return err_set(e, ERR_CORRUPT, "the timestamp has no time");
	s.accuracy_s = read_accuracy(info);
	serial = ASN1_INTEGER_to_BN(TS_TST_INFO_get_serial(info), NULL);
	hex = serial ? BN_bn2hex(serial) : NULL;
	(void)snprintf(s.serial, sizeof(s.serial), "%s", hex ? hex : "");
	OPENSSL_free(hex);
	BN_free(serial);
	(void)OBJ_obj2txt(s.policy, sizeof(s.policy), TS_TST_INFO_get_policy_id(info), 1);
	read_signer(TS_RESP_get_token(r), s.authority, sizeof(s.authority));
	*out = s;
	return 0;
}

/* The store belongs to the context. */
static int verify(TS_RESP *r, const uint8_t digest[32], uint64_t nonce, X509_STORE *roots, struct err *e)
{
	TS_REQ *request = request_new(digest, nonce);
	TS_VERIFY_CTX *ctx = TS_REQ_to_TS_VERIFY_CTX(request, NULL);
	int ok;

	CHECK(ctx != NULL);
	(void)TS_VERIFY_CTX_add_flags(ctx, TS_VFY_SIGNATURE | TS_VFY_VERSION | TS_VFY_IMPRINT);
	(void)TS_VERIFY_CTX_set_store(ctx, roots);
	ERR_clear_error();
	ok = TS_RESP_verify_response(ctx, r);
	TS_VERIFY_CTX_free(ctx);
	TS_REQ_free(request);
	if (ok != 1)
		return why_not(e);
	return 0;
}

int tsa_check(const uint8_t *response, size_t n, const uint8_t digest[32], uint64_t nonce,
        const struct tsa_trust *trust, struct tsa_stamp *out, struct err *e)
{
	const uint8_t *p = response;
	TS_RESP *r = NULL;
	X509_STORE *roots = NULL;
	int rc = -1;

	if (n > 0 && n <= TSA_RESPONSE_MAX)
		r = d2i_TS_RESP(NULL, &p, (long)n);
	ERR_clear_error();
	if (!r || p != response + n)
		(void)err_set(e, ERR_INVALID, "not a response of RFC 3161");
	else if (check_granted(r, e) == 0 && check_token(r, e) == 0 && load_roots(trust, &roots, e) == 0 &&
	         verify(r, digest, nonce, roots, e) == 0)
		rc = read_stamp(r, out, e);
	TS_RESP_free(r);
	return rc;
}

int tsa_ask(struct http *h, const char *url, const uint8_t digest[32], const struct tsa_trust *trust,
        uint8_t response[TSA_RESPONSE_MAX], size_t *out_n, struct tsa_stamp *out, struct err *e)
{
	uint8_t request[TSA_REQUEST_MAX];
	struct http_request q = {.method = HTTP_POST,
	        .url = url,
	        .type = "application/timestamp-query",
	        .accept = "application/timestamp-reply",
	        .body = request};
	char who[HTTP_ORIGIN_MAX];
	struct http_answer a;
	struct tsa_stamp s;
	uint64_t nonce;

	CHECK(sodium_init() >= 0);
	randombytes_buf(&nonce, sizeof(nonce));
	nonce |= 1; /* 0 would mean none */
	q.body_n = tsa_request(digest, nonce, request);
	if (http_ask(h, &q, &a, e) < 0)
		return -1;
	http_origin(url, who);
	if (a.status != 200)
		return err_set(e, ERR_DENIED, "%s answers with HTTP status %u", who, a.status);
	if (tsa_check(a.body, a.body_n, digest, nonce, trust, &s, e) < 0)
		return err_wrap(e, "%s", who);
	memcpy(response, a.body, a.body_n);
	*out_n = a.body_n;
	*out = s;
	return 0;
}
