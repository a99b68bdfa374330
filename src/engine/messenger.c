/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messenger - starts the process that talks to witnesses and chains, and starts it again when it ends.
 *
 * See messenger/messenger.h. It ends with us: told to when we stop in good order, by the system (PR_SET_PDEATHSIG) when we do
 * not. Nothing here waits for it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/node_int.h"

#define PAUSE_MS     1000u
#define PAUSE_MAX_MS 60000u
#define LONG_NS      (60ull * 1000000000ull) /* who ran that long gets a short pause again */
#define EXIT_CANNOT  78

struct node_messenger {
	struct node *node;
	uv_process_t process;
	uv_timer_t again;
	char *config;
	bool running, closing, cannot; /* cannot: it ended with EXIT_CANNOT */
	struct files {
		struct timespec config, policy; /* when they were changed last; 0 not there */
		off_t config_bytes, policy_bytes;
	} seen; /* as it was started */
	uint64_t pause_ms, since_ns;
};

static void start(struct node_messenger *m);

static void on_again(uv_timer_t *t)
{
	start(t->data);
}

static void start_later(struct node_messenger *m)
{
	if (clock_mono_ns() - m->since_ns > LONG_NS)
		m->pause_ms = PAUSE_MS;
	(void)uv_timer_start(&m->again, on_again, m->pause_ms, 0);
	m->pause_ms = m->pause_ms > PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * m->pause_ms;
}

static void on_closed(uv_handle_t *h)
{
	struct node_messenger *m = h->data;

	if (!m->closing)
		start_later(m);
}

static void on_exit_(uv_process_t *p, int64_t status, int sig)
{
	struct node_messenger *m = p->data;

	m->running = false;
	if (m->closing)
		return;
	if (sig == 0 && (status == 0 || status == EXIT_CANNOT)) {
		m->cannot = status == EXIT_CANNOT; /* it said why, or it has nothing to do */
		return;
	}
	(void)fprintf(stderr, "osier: the messenger ended (%s %d), it is started again\n",
	        sig ? "signal" : "code", sig ? sig : (int)status);
	uv_close((uv_handle_t *)p, on_closed);
}

static void look(const char *path, struct timespec *when, off_t *bytes)
{
	struct stat st;

	*when = (struct timespec){0};
	*bytes = 0;
	if (stat(path, &st) < 0)
		return;
	*when = st.st_mtim;
	*bytes = st.st_size;
}

static struct files files_of(const struct node_messenger *m)
{
	const char *policy = m->node->config.policy;
	char path[4096];
	struct files f;

	memset(&f, 0, sizeof(f));
	(void)snprintf(path, sizeof(path), "%s/config.yaml", m->node->state_dir);
	look(m->config ? m->config : path, &f.config, &f.config_bytes);
	if (policy[0]) {
		(void)snprintf(path, sizeof(path), "%s%s%s", policy[0] == '/' ? "" : m->node->state_dir,
		        policy[0] == '/' ? "" : "/", policy);
		look(path, &f.policy, &f.policy_bytes);
	}
	return f;
}

static void start(struct node_messenger *m)
{
	char parent[16];
	char *argv[] = {"osier", "messenger", "--state", m->node->state_dir, "--parent", parent,
	        m->config ? "--config" : NULL, m->config, NULL};
	uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2},
	        {.flags = UV_INHERIT_FD, .data.fd = 2}};
	uv_process_options_t o = {.exit_cb = on_exit_,
	        .file = "/proc/self/exe",
	        .args = argv,
	        .stdio = stdio,
	        .stdio_count = 3};
	int rc;

	(void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
	m->since_ns = clock_mono_ns();
	m->cannot = false;
	m->seen = files_of(m);
	m->process.data = m;
	rc = uv_spawn(&m->node->loop, &m->process, &o);
	m->running = rc == 0;
	if (rc == 0)
		return;
	(void)fprintf(stderr, "osier: cannot start the messenger: %s\n", uv_strerror(rc));
	uv_close((uv_handle_t *)&m->process, on_closed);
}

void messenger_init(struct node *n, const char *config)
{
	struct node_messenger *m;
	struct ledger_status s;

	ledger_status(n, &s);
	if (!s.on || (!n->witnesses && !n->config.n_anchors))
		return;
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->node = n;
	m->pause_ms = PAUSE_MS;
	if (config) {
		m->config = strdup(config);
		CHECK(m->config);
	}
	CHECK(uv_timer_init(&n->loop, &m->again) == 0);
	m->again.data = m;
	n->messenger = m;
	start(m);
}

static void on_cannot_closed(uv_handle_t *h)
{
	struct node_messenger *m = h->data;

	if (!m->closing)
		start(m);
}

void messenger_look(struct node *n)
{
	struct node_messenger *m = n->messenger;
	struct files now;

	if (!m || m->closing || !m->cannot)
		return;
	now = files_of(m);
	if (memcmp(&now, &m->seen, sizeof(now)) == 0)
		return;
	(void)fprintf(stderr, "osier: the messenger's configuration has changed, it is started again\n");
	m->cannot = false;
	m->pause_ms = PAUSE_MS;
	uv_close((uv_handle_t *)&m->process, on_cannot_closed);
}

void messenger_stop(struct node *n)
{
	struct node_messenger *m = n->messenger;

	if (!m || m->closing)
		return;
	m->closing = true;
	if (m->running)
		(void)uv_process_kill(&m->process, SIGTERM);
}

void messenger_close(struct node *n)
{
	if (!n->messenger)
		return;
	free(n->messenger->config);
	free(n->messenger);
	n->messenger = NULL;
}
