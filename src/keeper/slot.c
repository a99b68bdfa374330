/* SPDX-License-Identifier: Apache-2.0 */
/* slot - what is asked for a slot, and when something in it is due; see keeper.h. What happens to a task: task.c. */
#include "keeper/keeper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "keeper/sys.h"

struct slot *slot_get(struct keeper *k, uint32_t id, bool make)
{
	struct slot *s;

	CHECK(id < KEEPER_SLOTS_MAX);
	s = k->slots[id];
	if (s || !make)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->id = id;
	s->worker_fd = s->scratch.fd = -1;
	stream_clear(&s->out[0]);
	stream_clear(&s->out[1]);
	cgroup_clear(&s->group);
	k->slots[id] = s;
	k->n_slots++;
	return s;
}

static void activate(struct keeper *k, struct slot *s)
{
	for (struct slot *o = k->active; o; o = o->next_active)
		if (o == s)
			return;
	s->next_active = k->active;
	k->active = s;
}

static void slot_empty(struct keeper *k, struct slot *s)
{
	scratch_drop(k, s);
	cgroup_drop(&k->cgroups, &s->group);
	stream_end(k, &s->out[0], false);
	stream_end(k, &s->out[1], false);
	sys_close(&s->worker_fd);
}

static void slot_free(struct keeper *k, struct slot *s)
{
	slot_empty(k, s);
	k->slots[s->id] = NULL;
	k->n_slots--;
	free(s);
}

static uint64_t drop_queue(struct keeper *k, struct slot *s, uint64_t lease, bool all)
{
	struct queued **at = &s->head, *q;
	uint64_t dropped = 0;

	s->tail = NULL;
	while ((q = *at)) {
		if (!all && q->lease != lease) {
			s->tail = q;
			at = &q->next;
			continue;
		}
		*at = q->next;
		k->waiting_bytes -= q->bytes;
		s->n_queued--;
		dropped++;
		free(q);
	}
	return dropped;
}

void slot_start_msg(struct keeper *k, const struct keeper_msg *m, const uint8_t *bytes, size_t n)
{
	struct slot *s;
	struct queued *q;

	/* Not the task's fault: a refusal would be its failure. Unanswered it waits again, as all that a gone keeper had. */
	if (k->leaving)
		return;
	s = slot_get(k, m->slot, true);
	if (!s) {
		result_refuse(k, m->slot, m->lease, m->index, "the keeper is out of memory");
		return;
	}
	activate(k, s);
	if (s->n_queued >= KEEPER_QUEUE_MAX || k->waiting_bytes + n > QUEUE_BYTES_MAX) {
		result_refuse(k, m->slot, m->lease, m->index, "too many tasks wait in the keeper");
		return;
	}
	if (s->lease_last == m->lease && m->index <= s->last_index) {
		result_refuse(k, m->slot, m->lease, m->index, "this task was started before");
		return;
	}
	q = malloc(sizeof(*q) + n);
	if (!q) {
		result_refuse(k, m->slot, m->lease, m->index, "the keeper is out of memory");
		return;
	}
	memset(q, 0, sizeof(*q));
	q->lease = m->lease;
	q->index = m->index;
	q->flags = m->flags;
	q->bytes = (uint32_t)n;
	memcpy(q->msg, bytes, n);
	if (s->tail)
		s->tail->next = q;
	else
		s->head = q;
	s->tail = q;
	s->n_queued++;
	k->waiting_bytes += n;
	s->lease_last = m->lease;
	s->last_index = m->index;
}

static void stopped(struct keeper *k, uint64_t lease, uint64_t dropped)
{
	struct keeper_msg m = {.kind = KEEPER_STOPPED, .lease = lease};

	m.u.stopped.dropped = dropped;
	engine_send(k, &m, -1);
}

void slot_stopped_if_owed(struct keeper *k, struct slot *s)
{
	if (!s->stop_owed || s->state != SLOT_IDLE)
		return;
	s->stop_owed = false;
	stopped(k, s->stop_lease, s->stop_dropped);
}

void slot_stop_msg(struct keeper *k, const struct keeper_msg *m)
{
	int sig = m->u.stop.signal ? (int)m->u.stop.signal : SIGTERM;
	uint64_t dropped = 0;

	for (struct slot *s = k->active; s; s = s->next_active) {
		dropped += drop_queue(k, s, m->lease, false);
		if (s->state == SLOT_IDLE || s->lease != m->lease)
			continue;
		s->stop_dropped = (s->stop_owed ? s->stop_dropped : 0) + dropped;
		s->stop_owed = true;
		s->stop_lease = m->lease;
		task_stop(k, s, WHY_STOP, sig, m->u.stop.grace_ns);
		return;
	}
	stopped(k, m->lease, dropped);
}

void slot_release(struct keeper *k, uint32_t id)
{
	struct slot *s = slot_get(k, id, false);

	if (!s)
		return;
	(void)drop_queue(k, s, 0, true);
	activate(k, s);
	if (s->state != SLOT_IDLE)
		task_stop(k, s, WHY_RELEASE, SIGKILL, 0);
	s->why = WHY_RELEASE;
}

void slot_adjust(struct keeper *k, uint64_t lease, uint64_t timeout_ns)
{
	for (struct slot *s = k->active; s; s = s->next_active) {
		if (s->state != SLOT_IDLE && s->lease == lease)
			s->timeout_ns = timeout_ns;
		for (struct queued *q = s->head; q; q = q->next)
			if (q->lease == lease) /* the fixed part follows the head, see keeper_msg.h */
				memcpy(q->msg + sizeof(struct keeper_head) +
				                offsetof(struct keeper_start, timeout_ns),
				        &timeout_ns, sizeof(timeout_ns));
	}
}

void slot_follow(struct keeper *k, uint64_t lease, bool on)
{
	for (struct slot *s = k->active; s; s = s->next_active) {
		bool queued = false;

		for (struct queued *q = s->head; q; q = q->next)
			queued = queued || q->lease == lease;
		if (!queued && (s->state == SLOT_IDLE || s->lease != lease))
			continue;
		s->follow = on;
		s->follow_lease = lease;
		if (on && s->state != SLOT_IDLE && s->lease == lease) {
			stream_follow(k, s, 0);
			stream_follow(k, s, 1);
			stream_poll(k, s, true);
		}
	}
}

void slot_adopt(struct keeper *k, uint32_t id, uint64_t lease)
{
	static const char *const suffix[2] = {".out", ".err"};
	struct slot *s = slot_get(k, id, false);
	char from[64], to[64];

	if (!s || !s->worker || s->state == SLOT_IDLE)
		return;
	for (int i = 0; i < 2; i++) {
		spool_name(from, s->lease, s->index, suffix[i]);
		spool_name(to, lease, s->index, suffix[i]);
		(void)renameat(k->spool_fd, from, k->spool_fd, to);
	}
	s->lease = s->lease_last = lease;
}

/* The leases that wait in the slot for what runs there to end. */
static void tell_waiting(struct keeper *k, const struct slot *s)
{
	struct keeper_msg m = {.kind = KEEPER_SLOT, .slot = s->id};

	for (const struct queued *q = s->head; q; q = q->next) {
		if (q->lease != m.lease) {
			m.lease = q->lease;
			m.index = q->index;
		}
		m.flags = q->flags & KEEPER_WORKER;
		m.u.slot.queued = s->n_queued;
		m.u.slot.last_index = q->index;
		if ((!q->next || q->next->lease != q->lease) &&
		        (s->state == SLOT_IDLE || q->lease != s->lease))
			engine_send(k, &m, -1);
	}
}

void slot_tell(struct keeper *k, struct slot *s)
{
	struct keeper_msg m = {.kind = KEEPER_SLOT, .slot = s->id, .lease = s->lease, .index = s->index};

	if (s->state != SLOT_IDLE) {
		m.flags = KEEPER_RUNNING | (s->worker ? KEEPER_WORKER : 0) |
		          (s->out[0].spooled ? KEEPER_FOLLOWED : 0);
		m.u.slot.pid = (uint32_t)s->pid;
		m.u.slot.started_ns = s->started_real_ns;
		m.u.slot.queued = s->n_queued;
		m.u.slot.last_index = s->lease_last == s->lease ? s->last_index : s->index;
		engine_send(k, &m, s->worker ? s->worker_fd : -1);
	}
	tell_waiting(k, s);
}

bool slot_reaped(struct keeper *k, pid_t pid, int status, const struct rusage *ru)
{
	for (struct slot *s = k->active; s; s = s->next_active) {
		if (s->state != SLOT_RUNNING || s->pid != pid)
			continue;
		task_ended(k, s, status, ru);
		return true;
	}
	return false;
}

void slot_readable(struct keeper *k, uint32_t id, int which)
{
	struct slot *s = id < KEEPER_SLOTS_MAX ? k->slots[id] : NULL;

	if (s)
		stream_read(k, s, which, false);
}

static void earlier(uint64_t *a, uint64_t b)
{
	if (b && b < *a)
		*a = b;
}

uint64_t slot_deadline_ns(const struct keeper *k)
{
	uint64_t at = UINT64_MAX;

	for (const struct slot *s = k->active; s; s = s->next_active) {
		if (s->state == SLOT_IDLE)
			continue;
		earlier(&at, s->kill_ns);
		if (s->state == SLOT_CLEARING)
			continue;
		earlier(&at, s->poll_ns);
		if (s->phase != KILL_FORCED)
			earlier(&at, s->disk_ns);
		if (s->timeout_ns && s->phase == KILL_NONE)
			earlier(&at, s->started_ns + s->timeout_ns);
	}
	return at;
}

/* Whether results or messages that nobody takes have piled up: then nothing new is begun. */
static bool held_back(const struct keeper *k)
{
	return k->leaving || k->n_held >= HELD_MAX || engine_backed_up(k);
}

static void slot_turn(struct keeper *k, struct slot *s, uint64_t now)
{
	if (s->state == SLOT_RUNNING) {
		if (s->poll_ns && now >= s->poll_ns) {
			s->poll_ns = 0;
			stream_poll(k, s, true);
		}
		if (s->disk_ns && now >= s->disk_ns && s->phase != KILL_FORCED)
			usage_turn(k, s, now);
		if (s->timeout_ns && s->phase == KILL_NONE && now - s->started_ns >= s->timeout_ns)
			task_stop(k, s, WHY_TIMEOUT, SIGTERM, s->grace_ns);
		else if (s->kill_ns && now >= s->kill_ns)
			task_kill(k, s, now);
	}
	if (s->state == SLOT_CLEARING)
		task_clear(k, s, now);
	slot_stopped_if_owed(k, s);
	if (s->state == SLOT_IDLE && s->why == WHY_RELEASE && s->head) { /* taken again before it was free */
		slot_empty(k, s);
		s->why = WHY_NOT;
	}
	while (s->state == SLOT_IDLE && s->head && !held_back(k)) {
		struct queued *q = s->head;

		s->head = q->next;
		if (!s->head)
			s->tail = NULL;
		s->n_queued--;
		k->waiting_bytes -= q->bytes;
		task_begin(k, s, q);
	}
}

void slots_turn(struct keeper *k, uint64_t now_ns)
{
	for (struct slot **at = &k->active, *s; (s = *at);) {
		slot_turn(k, s, now_ns);
		if (s->state != SLOT_IDLE || s->head) {
			at = &s->next_active;
			continue;
		}
		*at = s->next_active;
		if (s->why == WHY_RELEASE)
			slot_free(k, s);
	}
}

void slots_stop_all(struct keeper *k, uint64_t grace_ns)
{
	for (struct slot *s = k->active; s; s = s->next_active) {
		(void)drop_queue(k, s, 0, true);
		if (s->state != SLOT_IDLE)
			task_stop(k, s, WHY_STOP, grace_ns ? SIGTERM : SIGKILL, grace_ns);
	}
}

bool slots_quiet(const struct keeper *k)
{
	return k->active == NULL;
}

void slots_free(struct keeper *k)
{
	for (uint32_t i = 0; i < KEEPER_SLOTS_MAX; i++)
		if (k->slots[i])
			slot_free(k, k->slots[i]);
}
