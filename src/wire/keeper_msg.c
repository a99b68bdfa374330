/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_msg - see keeper_msg.h. */
#include "wire/keeper_msg.h"

#include <string.h>

#include "base/check.h"

#define FLAGS_KNOWN 31u

/* The fixed part of each kind: the first bytes of its struct in the union. */
static size_t fixed_bytes(enum keeper_kind k)
{
	switch (k) {
	case KEEPER_HELLO:
		return sizeof(struct keeper_hello);
	case KEEPER_START:
		return offsetof(struct keeper_start, argv);
	case KEEPER_STOP:
		return sizeof(struct keeper_stop);
	case KEEPER_ADJUST:
		return sizeof(struct keeper_adjust);
	case KEEPER_SHUTDOWN:
		return sizeof(struct keeper_shutdown);
	case KEEPER_READY:
		return offsetof(struct keeper_ready, notice);
	case KEEPER_SLOT:
		return sizeof(struct keeper_slot);
	case KEEPER_STARTED:
		return sizeof(struct keeper_started);
	case KEEPER_EXITED:
		return offsetof(struct keeper_exited, note);
	case KEEPER_STOPPED:
		return sizeof(struct keeper_stopped);
	case KEEPER_FOLLOW:
	case KEEPER_ADOPT:
	case KEEPER_ACK:
	case KEEPER_RELEASE:
	case KEEPER_RESUMED:
	case KEEPER_REFUSED:
		return 0;
	}
	return 0;
}

const char *keeper_kind_name(enum keeper_kind k)
{
	switch (k) {
	case KEEPER_HELLO:
		return "hello";
	case KEEPER_START:
		return "start";
	case KEEPER_STOP:
		return "stop";
	case KEEPER_ADJUST:
		return "adjust";
	case KEEPER_FOLLOW:
		return "follow";
	case KEEPER_ADOPT:
		return "adopt";
	case KEEPER_ACK:
		return "ack";
	case KEEPER_RELEASE:
		return "release";
	case KEEPER_SHUTDOWN:
		return "shutdown";
	case KEEPER_RESUMED:
		return "resumed";
	case KEEPER_READY:
		return "ready";
	case KEEPER_SLOT:
		return "slot";
	case KEEPER_STARTED:
		return "started";
	case KEEPER_EXITED:
		return "exited";
	case KEEPER_STOPPED:
		return "stopped";
	case KEEPER_REFUSED:
		return "refused";
	}
	return "unknown";
}

bool keeper_path_ok(const char *p, size_t n)
{
	size_t part = 0;

	if (n == 0 || n > KEEPER_PATH_MAX)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && p[i] == '\0')
			return false;
		if (i < n && p[i] != '/')
			continue;
		if (i == part || i - part > 255)
			return false;
		if (p[part] == '.' && (i - part == 1 || (i - part == 2 && p[part + 1] == '.')))
			return false;
		part = i + 1;
	}
	return true;
}

/* ---- lists ---- */

const char *keeper_list_next(const struct keeper_list *l, const char *prev)
{
	const char *s = prev ? prev + strlen(prev) + 1 : l->p;

	return l->bytes && s < l->p + l->bytes ? s : NULL;
}

int keeper_list_add(struct keeper_list *l, char *mem, size_t max, const char *s, struct err *e)
{
	size_t n = strlen(s) + 1;

	if (l->n >= KEEPER_STRINGS_MAX)
		return err_set(e, ERR_FULL, "more than %u strings", KEEPER_STRINGS_MAX);
	if (n > max - l->bytes || l->bytes + n > KEEPER_PACKET_MAX)
		return err_set(e, ERR_FULL, "strings take more than %zu bytes", max);
	memcpy(mem + l->bytes, s, n);
	l->p = mem;
	l->bytes += (uint32_t)n;
	l->n++;
	return 0;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A text at *at: u32 length, bytes, NUL. */
static bool text_get(const uint8_t *p, size_t n, size_t *at, struct keeper_text *out)
{
	uint32_t len;

	if (n - *at < 5)
		return false;
	len = get32(p + *at);
	if (len > n - *at - 5 || p[*at + 4 + len] != '\0')
		return false;
	out->p = (const char *)p + *at + 4;
	out->n = len;
	*at += 5 + (size_t)len;
	return true;
}

bool keeper_file_next(const struct keeper_files *f, size_t *at, struct keeper_file *out)
{
	struct keeper_file v;
	size_t i = *at;

	if (f->bytes < i || f->bytes - i < 4)
		return false;
	v.flags = get32(f->p + i);
	i += 4;
	if (!text_get(f->p, f->bytes, &i, &v.path) || !text_get(f->p, f->bytes, &i, &v.data))
		return false;
	*out = v;
	*at = i;
	return true;
}

static bool file_ok(const struct keeper_file *f)
{
	if (f->flags & ~(uint32_t)(KEEPER_FILE_EXECUTABLE | KEEPER_FILE_INLINE | KEEPER_FILE_OPTIONAL))
		return false;
	if (!keeper_path_ok(f->path.p, f->path.n))
		return false;
	return (f->flags & KEEPER_FILE_INLINE) || f->data.n == 0 || keeper_path_ok(f->data.p, f->data.n);
}

static void put_text(uint8_t *p, size_t *at, struct keeper_text t)
{
	memcpy(p + *at, &t.n, 4);
	if (t.n)
		memcpy(p + *at + 4, t.p, t.n);
	p[*at + 4 + t.n] = '\0';
	*at += 5 + (size_t)t.n;
}

int keeper_file_add(
        struct keeper_files *f, uint8_t *mem, size_t max, const struct keeper_file *in, struct err *e)
{
	size_t at = f->bytes;

	if (!file_ok(in))
		return err_set(e, ERR_INVALID, "'%.*s' is not a path inside the scratch folder",
		        (int)(in->path.n > 150 ? 150 : in->path.n), in->path.p);
	if (f->n >= KEEPER_FILES_MAX)
		return err_set(e, ERR_FULL, "more than %u files", KEEPER_FILES_MAX);
	if (max < at || 14 + (size_t)in->path.n + in->data.n > max - at || max > KEEPER_PACKET_MAX)
		return err_set(e, ERR_FULL, "files take more than %zu bytes", max);
	memcpy(mem + at, &in->flags, 4);
	at += 4;
	put_text(mem, &at, in->path);
	put_text(mem, &at, in->data);
	f->p = mem;
	f->bytes = (uint32_t)at;
	f->n++;
	return 0;
}

/* ---- build ---- */

struct parts { /* what follows the fixed part */
	struct keeper_text text[3];
	struct keeper_list list[2];
	struct keeper_files files[2];
	unsigned n_text, n_list, n_files;
	const void *tail;
	size_t tail_bytes;
};

static struct parts parts_of(const struct keeper_msg *m)
{
	struct parts p = {0};

	if (m->kind == KEEPER_START) {
		p.list[p.n_list++] = m->u.start.argv;
		p.list[p.n_list++] = m->u.start.env;
		p.text[p.n_text++] = m->u.start.workdir;
		p.text[p.n_text++] = m->u.start.stdin_;
		p.files[p.n_files++] = m->u.start.inputs;
		p.files[p.n_files++] = m->u.start.outputs;
	} else if (m->kind == KEEPER_READY) {
		p.text[p.n_text++] = m->u.ready.notice;
	} else if (m->kind == KEEPER_REFUSED) {
		p.text[p.n_text++] = m->u.refused;
	} else if (m->kind == KEEPER_EXITED) {
		p.text[p.n_text++] = m->u.exited.note;
		p.text[p.n_text++] = m->u.exited.out;
		p.text[p.n_text++] = m->u.exited.err;
		p.tail = m->u.exited.output_bytes;
		p.tail_bytes = (size_t)m->u.exited.n_outputs * 8;
	}
	return p;
}

static size_t parts_bytes(const struct parts *p)
{
	size_t n = p->tail_bytes;

	for (unsigned i = 0; i < p->n_text; i++)
		n += 5 + (size_t)p->text[i].n;
	for (unsigned i = 0; i < p->n_list; i++)
		n += 8 + (size_t)p->list[i].bytes;
	for (unsigned i = 0; i < p->n_files; i++)
		n += 8 + (size_t)p->files[i].bytes;
	return n;
}

int keeper_start_fits(const struct keeper_start *s, struct err *e)
{
	const struct keeper_msg m = {.kind = KEEPER_START, .u.start = *s};
	struct parts p = parts_of(&m);
	size_t n = sizeof(struct keeper_head) + fixed_bytes(KEEPER_START) + parts_bytes(&p);

	if (n <= KEEPER_PACKET_MAX)
		return 0;
	return err_set(e, ERR_FULL,
	        "command, environment and paths of files take %zu bytes; a task can be given %u", n,
	        KEEPER_PACKET_MAX);
}

static void put_counted(uint8_t *out, size_t *at, const void *p, uint32_t bytes, uint32_t n)
{
	memcpy(out + *at, &n, 4);
	memcpy(out + *at + 4, &bytes, 4);
	if (bytes)
		memcpy(out + *at + 8, p, bytes);
	*at += 8 + (size_t)bytes;
}

static void parts_put(uint8_t *out, size_t at, const struct parts *p)
{
	for (unsigned i = 0; i < p->n_list; i++)
		put_counted(out, &at, p->list[i].p, p->list[i].bytes, p->list[i].n);
	for (unsigned i = 0; i < p->n_files; i++)
		put_counted(out, &at, p->files[i].p, p->files[i].bytes, p->files[i].n);
	for (unsigned i = 0; i < p->n_text; i++)
		put_text(out, &at, p->text[i]);
	if (p->tail_bytes)
		memcpy(out + at, p->tail, p->tail_bytes);
}

int keeper_msg_build(uint8_t *out, size_t max, size_t *n, const struct keeper_msg *m, struct err *e)
{
	struct keeper_head h = {.kind = (uint16_t)m->kind,
	        .flags = (uint16_t)m->flags,
	        .slot = m->slot,
	        .lease = m->lease,
	        .index = m->index};
	size_t fixed = fixed_bytes(m->kind), at = (*n + 7) & ~(size_t)7, bytes;
	struct parts p = parts_of(m);

	CHECK(max <= KEEPER_PACKET_MAX && *n <= max);
	if (m->flags & ~FLAGS_KNOWN || m->slot >= KEEPER_SLOTS_MAX)
		return err_set(e, ERR_INVALID, "slot %u or flags %#x cannot be sent", m->slot, m->flags);
	if (m->kind == KEEPER_EXITED &&
	        (m->u.exited.n_outputs > KEEPER_FILES_MAX || m->u.exited.out.n > KEEPER_INLINE_MAX ||
	                m->u.exited.err.n > KEEPER_INLINE_MAX))
		return err_set(e, ERR_INVALID, "a result with too many outputs or too long ones");
	bytes = sizeof(h) + fixed + parts_bytes(&p);
	if (at > max || bytes > max - at)
		return err_set(e, ERR_FULL, "a '%s' of %zu bytes does not fit into %zu",
		        keeper_kind_name(m->kind), bytes, at > max ? 0 : max - at);
	memset(out + *n, 0, at - *n);
	h.bytes = (uint32_t)bytes;
	memcpy(out + at, &h, sizeof(h));
	if (fixed)
		memcpy(out + at + sizeof(h), &m->u, fixed);
	parts_put(out, at + sizeof(h) + fixed, &p);
	*n = at + bytes;
	return 0;
}

/* ---- parse ---- */

struct cursor {
	const uint8_t *p;
	size_t n, at;
};

static bool text_ok(struct cursor *c, struct keeper_text *t, size_t max, bool nul_allowed)
{
	if (!text_get(c->p, c->n, &c->at, t) || t->n > max)
		return false;
	return nul_allowed || !memchr(t->p, '\0', t->n);
}

static bool counted_get(struct cursor *c, const uint8_t **p, uint32_t *bytes, uint32_t *n)
{
	if (c->n - c->at < 8)
		return false;
	*n = get32(c->p + c->at);
	*bytes = get32(c->p + c->at + 4);
	if (*bytes > c->n - c->at - 8)
		return false;
	*p = c->p + c->at + 8;
	c->at += 8 + (size_t)*bytes;
	return true;
}

static bool list_ok(struct cursor *c, struct keeper_list *l)
{
	const uint8_t *p;
	uint32_t seen = 0;

	if (!counted_get(c, &p, &l->bytes, &l->n) || l->n > KEEPER_STRINGS_MAX)
		return false;
	l->p = (const char *)p;
	for (uint32_t i = 0; i < l->bytes; i++)
		seen += p[i] == '\0';
	return seen == l->n && (l->bytes == 0 || p[l->bytes - 1] == '\0');
}

static bool files_ok(struct cursor *c, struct keeper_files *f)
{
	struct keeper_file one;
	size_t at = 0;

	if (!counted_get(c, &f->p, &f->bytes, &f->n) || f->n > KEEPER_FILES_MAX)
		return false;
	for (uint32_t i = 0; i < f->n; i++)
		if (!keeper_file_next(f, &at, &one) || !file_ok(&one))
			return false;
	return at == f->bytes;
}

static bool start_ok(struct cursor *c, struct keeper_start *s)
{
	if (!list_ok(c, &s->argv) || !list_ok(c, &s->env) || !files_ok(c, &s->inputs) ||
	        !files_ok(c, &s->outputs))
		return false;
	if (!text_ok(c, &s->workdir, KEEPER_PATH_MAX, false) ||
	        !text_ok(c, &s->stdin_, KEEPER_PACKET_MAX, s->stdin_kind == KEEPER_STDIN_TEXT))
		return false;
	if (s->argv.n == 0 || s->umask > 0777 || s->stdin_kind > KEEPER_STDIN_BLOB || s->zero)
		return false;
	if (s->workdir.n && s->workdir.p[0] != '/')
		return false;
	return s->stdin_kind != KEEPER_STDIN_BLOB || keeper_path_ok(s->stdin_.p, s->stdin_.n);
}

static bool exited_ok(struct cursor *c, struct keeper_exited *x)
{
	if (x->end > KEEPER_END_DISK || x->n_outputs > KEEPER_FILES_MAX)
		return false;
	if (!text_ok(c, &x->note, KEEPER_PACKET_MAX, false) ||
	        !text_ok(c, &x->out, KEEPER_INLINE_MAX, true) ||
	        !text_ok(c, &x->err, KEEPER_INLINE_MAX, true))
		return false;
	if (c->n - c->at < (size_t)x->n_outputs * 8)
		return false;
	x->output_bytes = c->p + c->at;
	c->at += (size_t)x->n_outputs * 8;
	return true;
}

static bool body_ok(struct cursor *c, struct keeper_msg *m)
{
	size_t fixed = fixed_bytes(m->kind);

	if (c->n - c->at < fixed)
		return false;
	memset(&m->u, 0, sizeof(m->u));
	memcpy(&m->u, c->p + c->at, fixed);
	c->at += fixed;
	switch (m->kind) {
	case KEEPER_START:
		return start_ok(c, &m->u.start);
	case KEEPER_EXITED:
		return exited_ok(c, &m->u.exited);
	case KEEPER_READY:
		return text_ok(c, &m->u.ready.notice, KEEPER_PACKET_MAX, false);
	case KEEPER_REFUSED:
		return text_ok(c, &m->u.refused, KEEPER_PACKET_MAX, false);
	case KEEPER_STOP:
		return m->u.stop.signal <= 64;
	case KEEPER_HELLO:
	case KEEPER_ADJUST:
	case KEEPER_FOLLOW:
	case KEEPER_ADOPT:
	case KEEPER_ACK:
	case KEEPER_RELEASE:
	case KEEPER_SHUTDOWN:
	case KEEPER_RESUMED:
	case KEEPER_SLOT:
	case KEEPER_STARTED:
	case KEEPER_STOPPED:
		return true;
	}
	return false;
}

static bool kind_known(uint32_t k)
{
	return (k >= KEEPER_HELLO && k <= KEEPER_RESUMED) || (k >= KEEPER_READY && k <= KEEPER_REFUSED);
}

int keeper_msg_next(const uint8_t *packet, size_t n, size_t *at, struct keeper_msg *m, struct err *e)
{
	size_t i = (*at + 7) & ~(size_t)7;
	struct keeper_head h;
	struct cursor c;

	m->kind = 0;
	if (*at >= n)
		return 0;
	if (i >= n || n - i < sizeof(h))
		return err_set(e, ERR_CORRUPT, "a packet of %zu bytes ends inside a message", n);
	memcpy(&h, packet + i, sizeof(h));
	if (h.bytes < sizeof(h) || h.bytes > n - i || h.zero)
		return err_set(
		        e, ERR_CORRUPT, "a message says it has %u bytes, the packet has %zu", h.bytes, n - i);
	if (!kind_known(h.kind))
		return err_set(e, ERR_CORRUPT, "a message of unknown kind %u", h.kind);
	if (h.flags & ~FLAGS_KNOWN || h.slot >= KEEPER_SLOTS_MAX)
		return err_set(e, ERR_CORRUPT, "a '%s' with slot %u, flags %#x",
		        keeper_kind_name((enum keeper_kind)h.kind), h.slot, h.flags);
	m->kind = (enum keeper_kind)h.kind;
	m->flags = h.flags;
	m->slot = h.slot;
	m->lease = h.lease;
	m->index = h.index;
	c = (struct cursor){packet + i, h.bytes, sizeof(h)};
	if (!body_ok(&c, m) || c.at != c.n)
		return err_set(e, ERR_CORRUPT, "a malformed '%s'", keeper_kind_name(m->kind));
	if ((m->kind == KEEPER_HELLO && m->u.hello.version != KEEPER_PROTOCOL) ||
	        (m->kind == KEEPER_READY && m->u.ready.version != KEEPER_PROTOCOL))
		return err_set(e, ERR_VERSION, "the other end speaks another protocol version than %u",
		        KEEPER_PROTOCOL);
	*at = i + h.bytes;
	return 1;
}
