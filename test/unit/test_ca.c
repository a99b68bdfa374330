/* SPDX-License-Identifier: Apache-2.0 */
/* test_ca - facts about a hub's certificates: who gets which, what they say, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "io/ca.h"
#include "dir_help.h"

#define S   1000000000ull
#define NOW (1800000000ull * S)

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-ca-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_folder(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static struct ca *open_ca(const char *hub)
{
	struct ca *c = NULL;
	struct err e;

	assert_int_equal(ca_open(in("hub"), hub, NOW, &c, &e), 0);
	return c;
}

static struct cert_request *request(const char *key)
{
	struct cert_request *r = NULL;
	struct err e;
	char *pem;

	assert_int_equal(cert_key_make(in(key), &e), 0);
	assert_int_equal(cert_request_make(in(key), "asked-for", &pem, &e), 0);
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), 0);
	free(pem);
	return r;
}

static uint8_t *der_of(const char *pem, int *out_n)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	uint8_t *der = NULL;

	assert_non_null(x);
	*out_n = i2d_X509(x, &der);
	X509_free(x);
	BIO_free(b);
	return der;
}

static int check(struct ca *c, const char *pem, uint64_t now, struct cert *out, struct err *e)
{
	struct cert_trust *t = NULL;
	size_t n;
	const char *ca = ca_pem(c, &n);
	int der_n, rc;
	uint8_t *der = der_of(pem, &der_n);

	assert_int_equal(cert_trust_new(ca, n, &t, e), 0);
	rc = cert_trust_check(t, der, (size_t)der_n, now, out, e);
	cert_trust_free(t);
	OPENSSL_free(der);
	return rc;
}

static void names_are_those_of_topics(void **state)
{
	static const char *const good[] = {"a", "press-4", "0"},
	                         *const bad[] = {"", "-a", "a-", "A", "a.b", "a/b", "a+", "#", "a b",
	                                 "0123456789012345678901234567890123456789012345678901234567890123"};
	static const char *const from[][2] = {{"Press_4.hall", "press-4-hall"}, {"--", "node"}, {"", "node"},
	        {"a--b", "a-b"},
	        {"\xc3\x9c"
	         "ber",
	                "ber"},
	        {"x-", "x"}};
	char out[CERT_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_true(cert_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cert_name_ok(bad[i]));
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		cert_name_from(from[i][0], out);
		assert_string_equal(out, from[i][1]);
		assert_true(cert_name_ok(out));
	}
}

static void an_authority_is_made_once(void **state)
{
	struct ca *c = open_ca("plant"), *again;
	uint8_t a[32], b[32];
	struct stat st;
	struct err e;

	(void)state;
	ca_fingerprint(c, a);
	ca_close(c);
	assert_int_equal(stat(in("hub/ca.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	again = open_ca("plant");
	ca_fingerprint(again, b);
	assert_memory_equal(a, b, 32);
	ca_close(again);
	assert_int_equal(ca_open(in("hub"), "other", NOW, &again, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(chmod(in("hub/ca.key"), 0640), 0);
	assert_int_equal(ca_open(in("hub"), "plant", NOW, &again, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
}

static void a_node_gets_the_name_it_is_given(void **state)
{
	struct ca *c = open_ca("plant");
	struct cert_request *r = request("a.key");
	struct cert got, seen;
	struct err e;
	char *pem;

	(void)state;
	assert_int_equal(ca_issue(c, r, "press-4", NOW, CA_CLIENT_S, &pem, &got, &e), 0);
	assert_string_equal(got.name, "press-4"); /* not what the request says */
	assert_string_equal(got.hub, "plant");
	assert_int_equal(got.not_after_ns, NOW + CA_CLIENT_S * S);
	assert_int_equal(got.not_before_ns, NOW - CERT_BACK_S * S);
	assert_int_equal(check(c, pem, NOW, &seen, &e), 0);
	assert_memory_equal(&seen, &got, sizeof(seen));
	assert_true(got.serial[0] & 0x40 && !(got.serial[0] & 0x80));
	assert_int_equal(cert_renew_ns(&got), NOW + CA_CLIENT_S * S / 3 * 2);
	free(pem);
	assert_int_equal(ca_issue(c, r, "hub", NOW, 60, &pem, &got, &e), -1);
	assert_int_equal(ca_issue(c, r, "a/b", NOW, 60, &pem, &got, &e), -1);
	cert_request_free(r);
	ca_close(c);
}

static void a_certificate_has_its_time(void **state)
{
	struct ca *c = open_ca("plant");
	struct cert_request *r = request("a.key");
	struct cert got;
	struct err e;
	char *pem;

	(void)state;
	assert_int_equal(ca_issue(c, r, "press-4", NOW, 100, &pem, &got, &e), 0);
	assert_int_equal(check(c, pem, NOW + 100 * S, &got, &e), 0);
	assert_int_equal(check(c, pem, NOW + 101 * S, &got, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_non_null(strstr(e.msg, "has expired"));
	assert_int_equal(check(c, pem, NOW - (CERT_BACK_S + 1) * S, &got, &e), -1);
	assert_non_null(strstr(e.msg, "not valid yet"));
	free(pem);
	cert_request_free(r);
	ca_close(c);
}

static void strangers_and_servers_are_no_nodes(void **state)
{
	struct ca *c = open_ca("plant"), *other;
	struct cert_request *r = request("a.key");
	static const char *const names[] = {"localhost"};
	struct cert got;
	struct err e;
	char *pem;
	size_t n;
	bool changed;

	(void)state;
	assert_int_equal(ca_open(in("hub2"), "plant", NOW, &other, &e), 0); /* of the same name */
	assert_int_equal(ca_issue(other, r, "press-4", NOW, 100, &pem, &got, &e), 0);
	assert_int_equal(check(c, pem, NOW, &got, &e), -1);
	assert_non_null(strstr(e.msg, "not issued by"));
	free(pem);
	assert_int_equal(ca_server(c, names, 1, NOW, &changed, &e), 0);
	assert_int_equal(cert_file_read(in("hub/server.crt"), &pem, &n, &e), 0);
	assert_int_equal(check(c, pem, NOW, &got, &e), -1);
	assert_non_null(strstr(e.msg, "not a node's"));
	free(pem);
	assert_int_equal(check(c, ca_pem(c, &n), NOW, &got, &e), -1);
	cert_request_free(r);
	ca_close(other);
	ca_close(c);
}

static void a_server_is_renewed_when_it_must_be(void **state)
{
	static const char *const one[] = {"localhost", "127.0.0.1"}, *const two[] = {"localhost", "::1"};
	struct ca *c = open_ca("plant");
	struct err e;
	bool changed;

	(void)state;
	assert_int_equal(ca_server(c, one, 2, NOW, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(ca_server(c, one, 2, NOW + S, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(ca_server(c, two, 2, NOW + S, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(ca_server(c, two, 1, NOW + S, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(ca_server(c, two, 1, NOW + 70 * 86400 * S, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(ca_server(c, (const char *const[]){"a,DNS:b"}, 1, NOW, &changed, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	ca_close(c);
}

static void another_broker_gets_a_certificate_of_its_own(void **state)
{
	static const char *const host[] = {"mqtt.example"};
	struct ca *c = open_ca("plant");
	struct stat st;
	bool changed;
	struct err e;

	(void)state;
	assert_int_equal(mkdir(in("its"), 0700), 0);
	assert_int_equal(ca_broker(c, in("its"), host, 1, NOW, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(stat(in("its/server.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_not_equal(stat(in("its/client.crt"), &st), 0);
	assert_int_not_equal(stat(in("hub/server.crt"), &st), 0);
	assert_int_equal(ca_broker(c, in("its"), host, 1, NOW + 50 * 86400 * S, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(ca_broker(c, in("its"), host, 1, NOW + 70 * 86400 * S, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(ca_broker(c, in("none"), host, 1, NOW, &changed, &e), -1);
	ca_close(c);
}

static void bad_requests_are_told_apart(void **state)
{
	struct cert_request *r;
	char *pem, *at, big[CERT_PEM_MAX + 2];
	struct err e;

	(void)state;
	assert_int_equal(cert_request_read("", 0, &r, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	memset(big, 'A', sizeof(big));
	assert_int_equal(cert_request_read(big, sizeof(big), &r, &e), -1);
	assert_int_equal(cert_key_make(in("b.key"), &e), 0);
	assert_int_equal(cert_request_make(in("b.key"), "x", &pem, &e), 0);
	at = strstr(pem, "-----END") - 20; /* within the signature */
	*at = *at == 'A' ? 'B' : 'A';
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), -1);
	assert_non_null(strstr(e.msg, "signed"));
	free(pem);
}

static void what_is_revoked_is_in_the_list(void **state)
{
	struct ca *c = open_ca("plant");
	struct cert_request *r = request("a.key");
	struct ca_revoked v = {.at_ns = NOW};
	struct cert got;
	X509_CRL *crl;
	X509_REVOKED *found;
	struct err e;
	char *pem, *text;
	X509 *x;
	BIO *b;
	size_t n;

	(void)state;
	assert_int_equal(ca_issue(c, r, "press-4", NOW, 100, &pem, &got, &e), 0);
	memcpy(v.serial, got.serial, sizeof(v.serial));
	assert_int_equal(ca_crl(c, NULL, 0, NOW, &e), 0);
	assert_int_equal(ca_crl(c, &v, 1, NOW, &e), 0);
	assert_int_equal(cert_file_read(in("hub/crl.pem"), &text, &n, &e), 0);
	b = BIO_new_mem_buf(text, (int)n);
	crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL);
	assert_non_null(crl);
	BIO_free(b);
	b = BIO_new_mem_buf(pem, -1);
	x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	assert_int_equal(X509_CRL_get0_by_cert(crl, &found, x), 1);
	X509_free(x);
	X509_CRL_free(crl);
	BIO_free(b);
	free(text);
	free(pem);
	cert_request_free(r);
	ca_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_are_those_of_topics),
	        cmocka_unit_test_setup_teardown(an_authority_is_made_once, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(a_node_gets_the_name_it_is_given, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(a_certificate_has_its_time, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(strangers_and_servers_are_no_nodes, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(
	                a_server_is_renewed_when_it_must_be, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(
	                another_broker_gets_a_certificate_of_its_own, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(bad_requests_are_told_apart, make_folder, drop_folder),
	        cmocka_unit_test_setup_teardown(what_is_revoked_is_in_the_list, make_folder, drop_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
