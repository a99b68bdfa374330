/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tsa - any bytes as a response of a timestamp authority are refused with a reason: the only root is made here, and vouches for
 * none. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char root[] = "/tmp/osier-fuzz-tsa.XXXXXX";

static void gone(void)
{
	(void)unlink(root);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *cert = X509_new();
	int fd = mkstemp(root);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	(void)argc;
	(void)argv;
	CHECK(key && cert && f && atexit(gone) == 0);
	CHECK(X509_set_pubkey(cert, key) && X509_gmtime_adj(X509_getm_notBefore(cert), 0));
	CHECK(X509_gmtime_adj(X509_getm_notAfter(cert), 86400) && X509_sign(cert, key, EVP_sha256()));
	CHECK(PEM_write_X509(f, cert) && fclose(f) == 0);
	X509_free(cert);
	EVP_PKEY_free(key);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsa_trust trust = {.ca_file = root};
	struct tsa_stamp stamp;
	struct err e = {0};
	uint8_t digest[32] = {0};

	CHECK(tsa_check(data, size, digest, 0, &trust, &stamp, &e) < 0);
	CHECK(e.msg[0]);
	return 0;
}
