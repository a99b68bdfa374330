/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_job - brings the newest head of a node to one chain, or puts the contract there, from wherever a former life left it.
 *
 * Used by the messenger at regular times and by `osier ledger anchor`; STATE/anchors/CHAIN.lock sees to it that one of them does at a
 * time. Asks the engine for the head and tells it how it stands, through the caller. Blocking, any thread, killed at any moment.
 *
 *	STATE/anchors/CHAIN.save       what is on its way: "osier anchor v1\n" LENGTH "\n" NOTE, then core/anchor's bytes; a deployment has no note
 *	STATE/anchors/CHAIN.contract   the contract that was put there, if the configuration names none
 *	STATE/keys/anchor.key          the account (io/ethkey), made when it is first needed
 *
 * Order at the end: the engine has the final news durable, then the save is removed. A kill between tells them twice, which is harmless.
 */
#ifndef OSIER_MESSENGER_ANCHOR_JOB_H
#define OSIER_MESSENGER_ANCHOR_JOB_H

#include <jansson.h>

#include "engine/config.h"

struct anchor_job {
	const char *state_dir;
	const struct config_anchor *chain; /* CONFIG_CHAIN */
	int stop_fd;                       /* as anchor_options has it */
	/* Ask the engine; body is borrowed and may be NULL, *out is the caller's to drop. Any status but 2xx is an error. */
	int (*ask)(void *ctx, const char *method, const char *target, const json_t *body, json_t **out,
	        struct err *e);
	/* How it stands, at each look; may be NULL. size: of the head, 0 for the contract. */
	void (*tell)(void *ctx, const struct anchor_view *v, uint64_t size);
	/* Another process is at it, and is waited for; called about once a second. May be NULL. */
	void (*busy)(void *ctx);
	void *ctx;
};
struct anchor_job_end {
	bool nothing_new; /* the head was anchored before; the rest is not filled in */
	uint64_t size;
	struct anchor_view view;
};

/* Errors of anchor_run(); ERR_NOTFOUND: there is no contract, or no head; what ask() said. ERR_CLOSED: stopped. */
int anchor_job_head(const struct anchor_job *j, struct anchor_job_end *out, struct err *e);
/* ERR_EXISTS: there is a contract already. */
int anchor_job_deploy(const struct anchor_job *j, struct anchor_job_end *out, struct err *e);

/* The account; its key is made when there is none. */
int anchor_job_account(const char *state_dir, uint8_t out[20], struct err *e);
/* The contract of the configuration or of a former deployment. ERR_NOTFOUND: none. */
int anchor_job_contract(const struct anchor_job *j, uint8_t out[20], struct err *e);
/* Is something on its way? */
bool anchor_job_open(const struct anchor_job *j);

/* "CHAIN-ID/0xCONTRACT", as struct anchored has it. */
#define ANCHOR_PLACE_MAX 80
void anchor_place(uint64_t chain_id, const uint8_t contract[20], char out[ANCHOR_PLACE_MAX]);

#endif
