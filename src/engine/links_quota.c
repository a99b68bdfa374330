/* SPDX-License-Identifier: Apache-2.0 */
/* links_quota - the signature of shares of quotas: with the key of the hub's authority, checked with its certificate as we joined with it. */
#include <stdlib.h>
#include <string.h>

#include "engine/links_int.h"
#include "io/cert.h"

/* What is signed begins so: the authority's key signs certificates, too. */
#define DOMAIN "osier quota 1\n"

static size_t message(const uint8_t *bytes, size_t n, uint8_t **out)
{
	*out = malloc(sizeof(DOMAIN) - 1 + n);
	if (!*out)
		return 0;
	memcpy(*out, DOMAIN, sizeof(DOMAIN) - 1);
	if (n)
		memcpy(*out + sizeof(DOMAIN) - 1, bytes, n);
	return sizeof(DOMAIN) - 1 + n;
}

bool links_sign(void *ctx, const uint8_t *bytes, size_t n, uint8_t out[64])
{
	struct links *k = ctx;
	uint8_t *m;
	size_t len = message(bytes, n, &m);
	bool good = len && hub_is(k->n);

	if (good)
		hub_sign(k->n, m, len, out);
	free(m);
	return good;
}

bool links_verify(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64])
{
	struct links *k = ctx;
	struct cert_trust *t = NULL;
	struct err e = {0};
	uint8_t *m;
	size_t len = message(bytes, n, &m), pem_n;
	char *pem = NULL, path[4200];
	bool good = false;

	(void)snprintf(path, sizeof(path), "%s/ca.crt", parent_dir(k->n));
	if (len && cert_file_read(path, &pem, &pem_n, &e) == 0 && cert_trust_new(pem, pem_n, &t, &e) == 0)
		good = cert_trust_signed(t, m, len, signature);
	cert_trust_free(t);
	free(pem);
	free(m);
	return good;
}
