/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric - what links through a real mosquitto with TLS carry and cost: frames a second from two children to their hub and back, bytes on an
 * idle link, memory that a link adds to a process.
 *
 *	bench-fabric [SECONDS_IDLE]		prints a line for each number
 *
 * Bytes are those of the loopback device: for the idle link, run it in a namespace of its own (unshare -n).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/broker.h"
#include "io/ca.h"
#include "io/mqtt.h"

enum { WINDOW = 64, FRAMES_BYTES = 128 << 20 };

static char dir[64];
static uv_loop_t loop;
static uint16_t port;

struct end {
	struct mqtt *m;
	unsigned ups;
	uint64_t messages;
	const char *answer; /* to each: a byte, as an acknowledgement */
	struct end *to;
	uint64_t acked, sent, end;
};

static uint64_t real_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static long rss_kb(int pid)
{
	char path[64], line[256];
	long kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		(void)fclose(f);
	return kb;
}

static void must(int rc, const struct err *e)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "bench-fabric: %s\n", e->msg);
	exit(1);
}

static void on_up(void *ctx)
{
	struct end *x = ctx;

	x->ups++;
}

static void on_down(void *ctx, const struct mqtt_down *d)
{
	(void)ctx;
	(void)fprintf(stderr, "bench-fabric: %s\n", d->why.msg);
}

/* The hub acknowledges every 16th frame to who sent it; a child takes that as room in its window. */
static void on_message(void *ctx, const struct mqtt_message *m)
{
	struct end *x = ctx;
	char topic[64];

	x->messages++;
	if (x->answer)
		x->acked += 16;
	else if (m->n > 16 && ((const uint8_t *)m->payload)[0]) {
		(void)snprintf(topic, sizeof(topic), "%.*s/down", (int)(strlen(m->topic) - 3), m->topic);
		(void)mqtt_publish(x->m, &(struct mqtt_message){topic, "a", 1, false}, NULL);
	}
}

static void connect_as(struct end *x, const char *id, const char *file, const char *filter)
{
	char ca[96], crt[96], key[96];
	struct err e;

	(void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
	(void)snprintf(crt, sizeof(crt), "%s/%s.crt", dir, file);
	(void)snprintf(key, sizeof(key), "%s/%s.key", dir, file);
	must(mqtt_new(&(struct mqtt_options){.loop = &loop,
	                      .host = "127.0.0.1",
	                      .port = port,
	                      .id = id,
	                      .tls = {ca, crt, key},
	                      .filters = {filter},
	                      .on_up = on_up,
	                      .on_down = on_down,
	                      .on_message = on_message,
	                      .ctx = x},
	             &x->m, &e),
	        &e);
	while (!x->ups)
		(void)uv_run(&loop, UV_RUN_ONCE);
}

static void issue(struct ca *c, const char *node)
{
	struct cert_request *r;
	char path[128], *pem;
	struct cert cert;
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/%s.key", dir, node);
	must(cert_key_make(path, &e), &e);
	must(cert_request_make(path, node, &pem, &e), &e);
	must(cert_request_read(pem, strlen(pem), &r, &e), &e);
	free(pem);
	must(ca_issue(c, r, node, real_ns(), 3600, &pem, &cert, &e), &e);
	(void)snprintf(path, sizeof(path), "%s/%s.crt", dir, node);
	must(cert_file_write(path, pem, strlen(pem), 0600, &e), &e);
	free(pem);
	cert_request_free(r);
}

static int broker(void)
{
	struct broker_options o = {.dir = dir, .hub = "plant", .address = "127.0.0.1", .port = port};
	char conf[96];
	struct err e;
	bool changed;
	int pid;

	must(broker_write_conf(&o, &changed, &e), &e);
	must(broker_write_acl(dir, "plant", NULL, 0, &e), &e);
	(void)snprintf(conf, sizeof(conf), "%s/mosquitto.conf", dir);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execl("/usr/sbin/mosquitto", "mosquitto", "-c", conf, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static double cpu_s(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void push(struct end *child, const char *topic, uint8_t *frame, size_t n)
{
	while (child->sent < child->end && child->sent - child->acked < WINDOW) {
		frame[0] = child->sent % 16 == 15;
		if (mqtt_publish(child->m, &(struct mqtt_message){topic, frame, n, false}, NULL) < 0)
			break;
		child->sent++;
	}
}

/* Two children in one process with the hub: so its CPU time is that of three ends, the broker's apart. */
static void throughput(struct end *hub, struct end *a, struct end *b, size_t n)
{
	static uint8_t frame[65536];
	uint64_t frames = n < 4096 ? 40000 : FRAMES_BYTES / n / 2, was = hub->messages, at;
	double cpu = cpu_s(), s;

	frames -= frames % 16;
	a->end = a->sent + frames, b->end = b->sent + frames; /* what is acknowledged late still counts */
	at = uv_hrtime();
	while (hub->messages - was < 2 * frames) {
		push(a, "osier/plant/press/up", frame, n);
		push(b, "osier/plant/lathe/up", frame, n);
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	s = (double)(uv_hrtime() - at) / 1e9;
	(void)printf("frames of %5zu bytes, 2 children to a hub: %.0f/s, %.0f MB/s, %.1f us of CPU a frame "
	             "for both ends\n",
	        n, (double)(2 * frames) / s, (double)(2 * frames * n) / s / 1e6,
	        (cpu_s() - cpu) * 1e6 / (double)(2 * frames));
}

static void on_time(uv_timer_t *t)
{
	(void)t;
	uv_stop(&loop);
}

/* Three links that carry nothing. */
static void idle(unsigned seconds)
{
	uv_timer_t t;
	double cpu = cpu_s();
	struct rusage u0, u1;

	(void)uv_timer_init(&loop, &t);
	(void)uv_timer_start(&t, on_time, seconds * 1000u, 0);
	(void)getrusage(RUSAGE_SELF, &u0);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)getrusage(RUSAGE_SELF, &u1);
	(void)printf("idle for %u s, 3 links: %.3f wake-ups/s a link, %.2f ms of CPU\n", seconds,
	        (double)(u1.ru_nvcsw - u0.ru_nvcsw) / seconds / 3, (cpu_s() - cpu) * 1e3);
}

static uint64_t lo_bytes(void)
{
	char line[512];
	unsigned long long n = 0;
	FILE *f = fopen("/proc/self/net/dev", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " lo: %llu", &n) == 1)
			break;
	if (f)
		(void)fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	const char *names[] = {"127.0.0.1"};
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	struct end hub = {0}, a = {.answer = ""}, b = {.answer = ""};
	struct ca *c;
	struct err e;
	bool changed;
	uint64_t bytes;
	long kb;
	int pid;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-fabric-XXXXXX");
	CHECK(mkdtemp(dir) && uv_loop_init(&loop) == 0);
	port = (uint16_t)(20000 + getpid() % 20000);
	must(ca_open(dir, "plant", real_ns(), &c, &e), &e);
	must(ca_server(c, names, 1, real_ns(), &changed, &e), &e);
	must(ca_crl(c, NULL, 0, real_ns(), &e), &e);
	issue(c, "press"), issue(c, "lathe");
	ca_close(c);
	pid = broker();
	(void)usleep(300000);
	kb = rss_kb(getpid());
	connect_as(&hub, "hub", "client", "osier/plant/+/up");
	(void)printf("a first link adds %ld kB to a process", rss_kb(getpid()) - kb);
	kb = rss_kb(getpid());
	connect_as(&a, "press", "press", "osier/plant/press/down");
	(void)printf(", a second %ld kB\n", rss_kb(getpid()) - kb);
	connect_as(&b, "lathe", "lathe", "osier/plant/lathe/down");
	throughput(&hub, &a, &b, 1024);
	throughput(&hub, &a, &b, 32768);
	(void)printf("the broker has %ld kB\n", rss_kb(pid));
	(void)fflush(stdout);
	if (seconds) {
		bytes = lo_bytes();
		idle(seconds);
		bytes = lo_bytes() -
		        bytes; /* lo counts what is sent, with 14 bytes of Ethernet header for each packet */
		(void)printf("an idle link: %.0f bytes a minute, %.3f kbit/s\n",
		        (double)bytes * 60 / seconds / 3, (double)bytes * 8 / 1000 / seconds / 3);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return 0;
}
