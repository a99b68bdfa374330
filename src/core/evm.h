/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evm - what anchoring needs of Ethereum: transactions (EIP-1559), addresses, the calls and the event of Anchor.sol, and the
 * hexadecimal of JSON-RPC.
 *
 * Not signing (io/ethkey), not talking to a node (io/jsonrpc), not when to send what (core/anchor). Pure.
 *
 *	unsigned = 0x02 || RLP([chain id, nonce, tip, fee, gas, to, value, data, access list]); what is signed is its Keccak-256
 *	raw      = 0x02 || RLP([the same nine, y parity, r, s]); the transaction's hash is its Keccak-256
 *
 * Prices are wei per gas in 64 bits, which is 18 ether for a unit of gas. osier sends no value and no access list.
 */
#ifndef OSIER_CORE_EVM_H
#define OSIER_CORE_EVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define EVM_DATA_MAX     1024u                /* bytes of call data or creation code */
#define EVM_TX_MAX       (EVM_DATA_MAX + 256) /* bytes of a transaction */
#define EVM_ADDRESS_TEXT (2 + 40 + 1)         /* with 0x and a NUL */
#define EVM_QUANTITY_MAX (2 + 16 + 1)

/* ---- transactions ---- */

enum evm_to { EVM_CALL, EVM_CREATE };
struct evm_tx {
	uint64_t chain_id, nonce;
	uint64_t tip, fee; /* maxPriorityFeePerGas, maxFeePerGas; wei */
	uint64_t gas;
	enum evm_to kind;
	uint8_t to[20]; /* EVM_CALL */
	const uint8_t *data;
	size_t data_n; /* at most EVM_DATA_MAX */
};
struct evm_sig {
	uint8_t r[32], s[32];
	uint8_t y; /* parity, 0 or 1 */
};

/* What is signed, before hashing. Returns its length, or 0 when it needs more than max. */
size_t evm_tx_unsigned(const struct evm_tx *t, uint8_t *out, size_t max);
/* The hash to sign. data_n is CHECKed. */
void evm_tx_sighash(const struct evm_tx *t, uint8_t out[32]);
/* What is sent, and (unless NULL) its hash. Returns its length; 0 when it needs more than max. */
size_t evm_tx_raw(
        const struct evm_tx *t, const struct evm_sig *sig, uint8_t *out, size_t max, uint8_t out_hash[32]);
/* The other way; data points into raw. ERR_CORRUPT: no such transaction, or not one that osier sends. */
int evm_tx_parse(const uint8_t *raw, size_t n, struct evm_tx *out, struct evm_sig *out_sig, struct err *e);

/* The least gas that a chain takes for it: 21000, the call data, and the floor of EIP-7623 where it is higher. */
uint64_t evm_tx_gas_least(const struct evm_tx *t);

/* ---- addresses ---- */

/* Of a public key: 64 bytes, x and y. */
void evm_address_of(const uint8_t pub[64], uint8_t out[20]);
/* Of what `from` creates with its transaction `nonce`. */
void evm_create_address(const uint8_t from[20], uint64_t nonce, uint8_t out[20]);
/* With the capitals of EIP-55. */
void evm_address_print(const uint8_t a[20], char out[EVM_ADDRESS_TEXT]);
/* 0x and 40 digits: all lower, all upper, or with the capitals that EIP-55 wants (a mistyped one is ERR_INVALID). */
int evm_address_parse(const char *text, size_t n, uint8_t out[20], struct err *e);

/* ---- Anchor.sol ---- */

#define EVM_ANCHOR_CALL  (4 + 3 * 32)
#define EVM_LATEST_CALL  (4 + 2 * 32)
#define EVM_LATEST_BYTES (3 * 32) /* of the answer */
#define EVM_NOT_NEWER    (4 + 32) /* of what NotNewer(uint64) reverts with */

struct evm_head { /* a log's head, as the contract keeps it */
	uint64_t size, time_s;
	uint8_t root[32];
};
struct evm_log { /* as it stands in a receipt; data borrowed */
	uint8_t address[20];
	uint8_t topic[4][32];
	unsigned topics;
	const uint8_t *data;
	size_t data_n;
};
struct evm_anchored {
	uint8_t by[20], origin[32], root[32];
	uint64_t size;
};

/* The bytes that create the contract (src/anchor/Anchor.hex); at most EVM_DATA_MAX. */
const uint8_t *evm_anchor_code(size_t *out_n);
/* anchor(origin, size, root) and latest(by, origin). */
void evm_anchor_call(
        const uint8_t origin[32], uint64_t size, const uint8_t root[32], uint8_t out[EVM_ANCHOR_CALL]);
/* What anchor() was called with; false: not that. */
bool evm_anchor_call_read(
        const uint8_t *p, size_t n, uint8_t out_origin[32], uint64_t *out_size, uint8_t out_root[32]);
void evm_latest_call(const uint8_t by[20], const uint8_t origin[32], uint8_t out[EVM_LATEST_CALL]);
/* What latest() answers. False: not that. */
bool evm_latest_read(const uint8_t *p, size_t n, struct evm_head *out);
/* What NotNewer() says; false: another reason. */
bool evm_not_newer_read(const uint8_t *p, size_t n, uint64_t *out_size);
/* Is it Anchored()? Who emitted it (address) is for the caller to compare. */
bool evm_anchored_read(const struct evm_log *l, struct evm_anchored *out);
/* Keccak-256 of "Anchored(address,bytes32,uint64,bytes32)". */
extern const uint8_t evm_anchored_topic[32];

/* ---- hexadecimal as JSON-RPC has it ---- */

/* A quantity: 0x, then 1 to 64 digits without a leading zero. u64: false also when it is larger; u256: 32 bytes, big-endian. */
bool evm_quantity_u64(const char *text, size_t n, uint64_t *out);
bool evm_quantity_u256(const char *text, size_t n, uint8_t out[32]);
/* Returns its length, without the NUL. */
size_t evm_quantity_print(uint64_t v, char out[EVM_QUANTITY_MAX]);
/* Data: 0x and an even number of digits. Returns the bytes, or -1: not that, or more than max. */
long evm_data_read(const char *text, size_t n, uint8_t *out, size_t max);
/* Exactly `bytes` bytes. */
bool evm_data_exact(const char *text, size_t n, uint8_t *out, size_t bytes);
/* 2 + 2n digits and a NUL. Returns its length, without the NUL. */
size_t evm_data_print(const void *p, size_t n, char *out);

#endif
