/* SPDX-License-Identifier: Apache-2.0 */
/* policy - see policy.h. */
#include "core/policy.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { WORDS_MAX = POLICY_ITEMS_MAX + 3 };

struct word {
	const char *p;
	size_t n;
};

struct reader {
	struct policy *policy;
	unsigned line;
	bool quorum_seen;
	unsigned n;
	struct word word[WORDS_MAX];
};

static int bad(const struct reader *r, struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "line %u: %s", r->line, why);
}

static bool is(const struct word *w, const char *s)
{
	return w->n == strlen(s) && memcmp(w->p, s, w->n) == 0;
}

/* Cut a line into words; false: too many. */
static bool cut(struct reader *r, const char *p, size_t n)
{
	r->n = 0;
	for (size_t i = 0, from; i < n;) {
		while (i < n && (p[i] == ' ' || p[i] == '\t'))
			i++;
		for (from = i; i < n && p[i] != ' ' && p[i] != '\t'; i++)
			;
		if (i == from)
			break;
		if (r->n == WORDS_MAX)
			return false;
		r->word[r->n++] = (struct word){p + from, i - from};
	}
	return true;
}

static int find(const struct policy *p, const struct word *name)
{
	for (unsigned i = 0; i < p->members; i++)
		if (is(name, p->member[i].name))
			return (int)i;
	return -1;
}

static bool key_known(const struct policy *p, const struct note_key *k)
{
	for (unsigned i = 0; i < p->logs; i++)
		if (memcmp(p->log[i].key.key, k->key, sizeof(k->key)) == 0)
			return true;
	for (unsigned i = 0; i < p->members; i++)
		if (!p->member[i].group && memcmp(p->member[i].key.key, k->key, sizeof(k->key)) == 0)
			return true;
	return false;
}

/* The key in a word, of the wanted type, which no other line has. */
static int read_key(
        struct reader *r, const struct word *w, enum note_key_type type, struct note_key *out, struct err *e)
{
	if (note_key_parse(w->p, w->n, out, e) < 0)
		return err_wrap(e, "line %u", r->line);
	if (out->type != type)
		return bad(r, e,
		        type == NOTE_ED25519 ? "a log needs a key of type 1 (Ed25519)"
		                             : "a witness needs a key of type 4 (cosignature)");
	if (key_known(r->policy, out))
		return bad(r, e, "this key is there already: one key cannot speak for two");
	return 0;
}

static int read_url(struct reader *r, unsigned at, char out[POLICY_URL_MAX + 1], struct err *e)
{
	out[0] = '\0';
	if (r->n <= at)
		return 0;
	if (r->n > at + 1)
		return bad(r, e, "there is something after the URL");
	if (r->word[at].n > POLICY_URL_MAX ||
	        (strncmp(r->word[at].p, "https://", 8) != 0 && strncmp(r->word[at].p, "http://", 7) != 0))
		return bad(r, e, "a URL begins with https:// or http:// and has at most 512 characters");
	memcpy(out, r->word[at].p, r->word[at].n);
	out[r->word[at].n] = '\0';
	return 0;
}

static int read_log(struct reader *r, struct err *e)
{
	struct policy_log *log = &r->policy->log[r->policy->logs];

	if (r->n < 2)
		return bad(r, e, "it must be: log VKEY [URL]");
	if (r->policy->logs == POLICY_ITEMS_MAX)
		return bad(r, e, "more than 256 logs");
	if (read_key(r, &r->word[1], NOTE_ED25519, &log->key, e) < 0 || read_url(r, 2, log->url, e) < 0)
		return -1;
	r->policy->logs++;
	return 0;
}

/* A new member with the name in word 1. */
static struct policy_member *member_new(struct reader *r, struct err *e)
{
	struct policy_member *m = &r->policy->member[r->policy->members];
	const struct word *name = &r->word[1];

	if (r->policy->members == POLICY_ITEMS_MAX)
		(void)bad(r, e, "more than 256 witnesses and groups");
	else if (!note_name_ok(name->p, name->n) || is(name, "none"))
		(void)bad(r, e, "this name cannot be used");
	else if (find(r->policy, name) >= 0)
		(void)bad(r, e, "this name is taken");
	else {
		memset(m, 0, sizeof(*m));
		memcpy(m->name, name->p, name->n);
		m->parent = -1;
		return m;
	}
	return NULL;
}

static int read_witness(struct reader *r, struct err *e)
{
	struct policy_member *m;

	if (r->n < 3)
		return bad(r, e, "it must be: witness NAME VKEY [URL]");
	m = member_new(r, e);
	if (!m || read_key(r, &r->word[2], NOTE_COSIGNATURE, &m->key, e) < 0 || read_url(r, 3, m->url, e) < 0)
		return -1;
	r->policy->members++;
	return 0;
}

/* "all", "any" or a number from 1 to members; 0: none of them. */
static unsigned read_needed(const struct word *w, unsigned members)
{
	unsigned v = 0;

	if (is(w, "all"))
		return members;
	if (is(w, "any"))
		return 1;
	if (w->n > 3 || w->p[0] == '0')
		return 0;
	for (size_t i = 0; i < w->n; i++) {
		if (w->p[i] < '0' || w->p[i] > '9')
			return 0;
		v = v * 10 + (unsigned)(w->p[i] - '0');
	}
	return v <= members ? v : 0;
}

static int read_group(struct reader *r, struct err *e)
{
	struct policy_member *m;
	int self = (int)r->policy->members;

	if (r->n < 4)
		return bad(r, e, "it must be: group NAME all|any|K MEMBER...");
	m = member_new(r, e);
	if (!m)
		return -1;
	m->group = true;
	m->members = r->n - 3;
	m->needed = read_needed(&r->word[2], m->members);
	if (m->needed == 0)
		return bad(r, e, "a group needs all, any, or a number of its members");
	for (unsigned i = 3; i < r->n; i++) {
		int at = find(r->policy, &r->word[i]);

		if (at < 0)
			return bad(r, e, "a member of this group is not defined above");
		if (r->policy->member[at].parent >= 0)
			return bad(r, e, "a member of this group is in a group already");
		r->policy->member[at].parent = self;
	}
	r->policy->members++;
	return 0;
}

static int read_quorum(struct reader *r, struct err *e)
{
	if (r->n != 2)
		return bad(r, e, "it must be: quorum NAME, or: quorum none");
	if (r->quorum_seen)
		return bad(r, e, "there is a quorum already");
	r->quorum_seen = true;
	if (is(&r->word[1], "none"))
		return 0;
	r->policy->quorum = find(r->policy, &r->word[1]);
	return r->policy->quorum < 0 ? bad(r, e, "the quorum's witness or group is not defined above") : 0;
}

static int read_line(struct reader *r, const char *p, size_t n, struct err *e)
{
	if (memchr(p, '\0', n))
		return bad(r, e, "there is a zero byte");
	if (!cut(r, p, n))
		return bad(r, e, "too many words");
	if (r->n == 0 || r->word[0].p[0] == '#')
		return 0;
	if (is(&r->word[0], "log"))
		return read_log(r, e);
	if (is(&r->word[0], "witness"))
		return read_witness(r, e);
	if (is(&r->word[0], "group"))
		return read_group(r, e);
	if (is(&r->word[0], "quorum"))
		return read_quorum(r, e);
	return bad(r, e, "a line begins with log, witness, group, quorum or #");
}

int policy_parse(const char *text, size_t n, struct policy *out, struct err *e)
{
	struct reader r = {.policy = out};

	memset(out, 0, sizeof(*out));
	out->quorum = -1;
	if (n > POLICY_BYTES_MAX)
		return err_set(e, ERR_INVALID, "a policy of more than %d KiB", POLICY_BYTES_MAX / 1024);
	for (size_t at = 0; at < n;) {
		const char *nl = memchr(text + at, '\n', n - at);
		size_t len = nl ? (size_t)(nl - text) - at : n - at;

		r.line++;
		if (read_line(&r, text + at, len, e) < 0)
			return -1;
		at += len + 1;
	}
	if (out->logs == 0)
		return err_set(e, ERR_INVALID, "the policy trusts no log: it needs a line 'log VKEY'");
	if (!r.quorum_seen)
		return err_set(
		        e, ERR_INVALID, "the policy has no quorum: say 'quorum NAME', or 'quorum none'");
	return 0;
}

bool policy_met(const struct policy *p, const bool has[POLICY_ITEMS_MAX])
{
	unsigned count[POLICY_ITEMS_MAX] = {0};

	/* Members are defined before their group, so one pass from the first to the last counts all. */
	for (unsigned i = 0; i < p->members; i++) {
		const struct policy_member *m = &p->member[i];
		bool met = m->group ? count[i] >= m->needed : has[i];

		if ((int)i == p->quorum)
			return met;
		if (met && m->parent >= 0)
			count[m->parent]++;
	}
	return p->quorum < 0;
}

/* The trusted log that signed the note. */
static const struct policy_log *log_of(
        const struct policy *p, const struct note *n, const struct note_verifier *v, struct err *e)
{
	const struct policy_log *found = NULL;

	for (unsigned i = 0; i < p->logs; i++) {
		switch (note_verify(n, &p->log[i].key, v, NULL)) {
		case NOTE_FORGED:
			(void)err_set(e, ERR_CORRUPT,
			        "the signature of '%.150s' does not match the checkpoint",
			        p->log[i].key.name);
			return NULL;
		case NOTE_SIGNED:
			found = found ? found : &p->log[i];
			break;
		case NOTE_UNSIGNED:
			break;
		}
	}
	if (!found)
		(void)err_set(e, ERR_CORRUPT, "no log that the policy trusts has signed the checkpoint");
	return found;
}

struct printing {
	char *p;
	size_t n, max;
};

static void put(struct printing *w, const char *s)
{
	for (; *s; s++, w->n++)
		if (w->n < w->max)
			w->p[w->n] = *s;
}

size_t policy_print_members(const struct policy *p, char *out, size_t max)
{
	struct printing w = {.p = out, .max = max};
	char text[NOTE_VKEY_MAX];

	for (unsigned i = 0; i < p->members; i++) {
		const struct policy_member *m = &p->member[i];

		put(&w, m->group ? "group " : "witness ");
		put(&w, m->name);
		put(&w, " ");
		if (m->group)
			(void)snprintf(text, sizeof(text), "%u", m->needed);
		else
			note_key_print(&m->key, text);
		put(&w, text);
		for (unsigned k = 0; m->group && k < p->members; k++) {
			if (p->member[k].parent != (int)i)
				continue;
			put(&w, " ");
			put(&w, p->member[k].name);
		}
		put(&w, "\n");
	}
	put(&w, "quorum ");
	put(&w, p->quorum < 0 ? "none" : p->member[p->quorum].name);
	put(&w, "\n");
	return w.n;
}

int policy_check(const struct policy *p, const struct note *n, const struct note_verifier *v,
        struct checkpoint *out_checkpoint, struct policy_result *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (checkpoint_parse(n->text, n->text_n, out_checkpoint, e) < 0)
		return -1;
	out->log = log_of(p, n, v, e);
	if (!out->log)
		return -1;
	if (out_checkpoint->origin_n != strlen(out->log->key.name) ||
	        memcmp(out_checkpoint->origin, out->log->key.name, out_checkpoint->origin_n) != 0)
		return err_set(e, ERR_CORRUPT, "the checkpoint is of '%.*s', signed with the key of '%.100s'",
		        (int)(out_checkpoint->origin_n > 100 ? 100 : out_checkpoint->origin_n),
		        out_checkpoint->origin, out->log->key.name);
	for (unsigned i = 0; i < p->members; i++) {
		uint64_t time_s = 0;
		enum note_verdict verdict =
		        p->member[i].group ? NOTE_UNSIGNED : note_verify(n, &p->member[i].key, v, &time_s);

		if (verdict == NOTE_FORGED)
			return err_set(e, ERR_CORRUPT,
			        "the cosignature of '%.150s' does not match the checkpoint",
			        p->member[i].name);
		if (verdict == NOTE_UNSIGNED)
			continue;
		out->has[i] = true;
		out->time_s[i] = time_s;
		out->witnesses++;
		if (!out->first_s || time_s < out->first_s)
			out->first_s = time_s;
		if (time_s > out->last_s)
			out->last_s = time_s;
	}
	out->quorum_none = p->quorum < 0;
	out->met = policy_met(p, out->has) && (!out->quorum_none || out->witnesses);
	return 0;
}

int policy_enough(const struct policy_result *r, struct err *e)
{
	if (r->quorum_none || r->met)
		return 0;
	return err_set(e, ERR_CORRUPT, "only %u witness%s cosigned it, and the policy asks for more",
	        r->witnesses, r->witnesses == 1 ? "" : "es");
}
