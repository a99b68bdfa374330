/* SPDX-License-Identifier: Apache-2.0 */
/* parent_key - see parent_key.h. */
#include "engine/parent_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/cert.h"
#include "io/join.h"
#include "io/sha256.h"

static bool path_of(const char *dir, char out[4096])
{
	return snprintf(out, 4096, "%s/node.pub", dir) < 4096;
}

bool parent_key_load(const char *dir, uint8_t out[32])
{
	char path[4096], *text = NULL, hex[65] = "";
	bool good;
	size_t n;

	if (!path_of(dir, path) || cert_file_read(path, &text, &n, NULL) < 0)
		return false;
	if (n == 65 && text[64] == '\n')
		memcpy(hex, text, 64);
	good = sha256_unhex(hex, out) == 0;
	free(text);
	return good;
}

int parent_key_keep(const char *dir, const uint8_t key[32], struct parent_info *i, struct err *e)
{
	char path[4096], hex[66];

	CHECK(path_of(dir, path));
	sha256_hex(key, hex);
	hex[64] = '\n';
	memcpy(i->key, key, sizeof(i->key));
	i->key_known = true;
	return cert_file_write(path, hex, 65, 0644, e);
}

void parent_key_vouch(struct node *n, const struct parent_info *i, const uint8_t key[32], json_t *body)
{
	char text[JOIN_STATEMENT_MAX], key64[BASE64_CHARS(32) + 1], sig64[BASE64_CHARS(64) + 1];
	uint8_t sig[64];
	size_t len = join_vouch(i->hub_sha256, i->node, i->key, key, text);

	if (!i->key_known || memcmp(i->key, key, 32) == 0 ||
	        ledger_sign_by(n, i->key, text, len, sig, NULL) < 0)
		return;
	(void)base64_write(i->key, 32, key64);
	(void)base64_write(sig, 64, sig64);
	CHECK(json_object_set_new(body, "was", json_string(key64)) == 0 &&
	        json_object_set_new(body, "was_signature", json_string(sig64)) == 0);
}

int parent_certificates(const char *dir, const char *told, struct parent_info *info, struct err *e)
{
	char path[3][4096], *ca = NULL, *pem = told ? strdup(told) : NULL, *key = NULL;
	static const char *const names[] = {"ca.crt", "client.crt", "client.key"};
	size_t ca_n, key_n, n = told ? strlen(told) : 0;
	struct cert_trust *t = NULL;
	struct cert c;
	int rc = -1;

	for (unsigned i = 0; i < 3; i++)
		CHECK(snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]) < (int)sizeof(path[i]));
	if (cert_file_read(path[0], &ca, &ca_n, e) < 0 || cert_trust_new(ca, ca_n, &t, e) < 0 ||
	        (!told && cert_file_read(path[1], &pem, &n, e) < 0) ||
	        cert_file_read(path[2], &key, &key_n, e) < 0 || cert_trust_holds(t, pem, n, &c, e) < 0) {
		key_n = key ? key_n : 0;
	} else if (strcmp(c.name, info->node) != 0 || strcmp(c.hub, info->hub) != 0) {
		(void)err_set(e, ERR_CORRUPT, "the certificate is not for '%s'", info->node);
	} else if (!cert_key_of(key, key_n, pem, n)) {
		(void)err_set(e, ERR_CORRUPT, "the certificate is not for the key in '%.160s'", path[2]);
	} else {
		cert_trust_digest(t, info->hub_sha256);
		info->cert = c;
		rc = 0;
	}
	if (key)
		explicit_bzero(key, key_n);
	cert_trust_free(t);
	free(key);
	free(pem);
	free(ca);
	return rc;
}
