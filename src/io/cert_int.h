/* SPDX-License-Identifier: Apache-2.0 */
/* cert_int - what cert.c and ca.c share: OpenSSL's types, which nobody else needs to know. */
#ifndef OSIER_IO_CERT_INT_H
#define OSIER_IO_CERT_INT_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "io/cert.h"

bool cert_is_ed25519(const EVP_PKEY *k);     /* NULL is none */
X509 *cert_parse(const char *pem, size_t n); /* or NULL */
int cert_key_read(const char *path, EVP_PKEY **out, struct err *e);
/* What was written to a memory BIO, malloc'd with a NUL. */
char *cert_text_of(BIO *b, size_t *out_n);
void cert_digest(const X509 *x, uint8_t out[32]);
X509_REQ *cert_request_of(const struct cert_request *r); /* borrowed */

#endif
