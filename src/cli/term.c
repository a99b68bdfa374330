/* SPDX-License-Identifier: Apache-2.0 */
/* term - colour, messages, interrupts, clocks: see term.h. Tables are in table.c, bars in progress.c. */
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
	bool tty[2]; /* stdout, stderr */
	bool colour[2];
	bool utf8;
	int pipe[2];
	volatile sig_atomic_t interrupts;
} T = {.pipe = {-1, -1}};

static int which(const FILE *f)
{
	return f == stderr;
}

void term_init(enum colour_mode mode)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM"), *lang = getenv("LC_ALL");
	bool dumb = !term || !*term || strcmp(term, "dumb") == 0;

	if (!lang || !*lang)
		lang = getenv("LC_CTYPE");
	if (!lang || !*lang)
		lang = getenv("LANG");
	T.utf8 = lang && (strcasestr(lang, "utf-8") || strcasestr(lang, "utf8"));
	for (int i = 0; i < 2; i++) {
		T.tty[i] = isatty(i + 1) == 1;
		T.colour[i] =
		        mode == COLOUR_ALWAYS || (mode == COLOUR_AUTO && T.tty[i] && !dumb && !(no && *no));
	}
}

bool term_is_tty(FILE *f)
{
	return T.tty[which(f)];
}

bool term_utf8(void)
{
	return T.utf8;
}

static bool window(struct winsize *w)
{
	for (int fd = 2; fd >= 0; fd--)
		if (ioctl(fd, TIOCGWINSZ, w) == 0 && w->ws_col > 0)
			return true;
	return false;
}

size_t term_columns(void)
{
	struct winsize w = {0};

	return window(&w) ? w.ws_col : 80;
}

size_t term_rows(void)
{
	struct winsize w = {0};

	return window(&w) && w.ws_row ? w.ws_row : 24;
}

const char *term_colour(FILE *f, enum colour c)
{
	static const char *const codes[] = {
	        [PLAIN] = "\033[0m",
	        [BOLD] = "\033[1m",
	        [DIM] = "\033[2m",
	        [RED] = "\033[31m",
	        [GREEN] = "\033[32m",
	        [YELLOW] = "\033[33m",
	        [BLUE] = "\033[34m",
	        [CYAN] = "\033[36m",
	};

	return T.colour[which(f)] ? codes[c] : "";
}

void term_paint(struct text *t, FILE *f, enum colour c, const char *s)
{
	if (c == PLAIN || !T.colour[which(f)]) {
		text_add(t, s);
		return;
	}
	text_addf(t, "%s%s%s", term_colour(f, c), s, term_colour(f, PLAIN));
}

enum colour term_state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum colour colour;
	} known[] = {
	        {"succeeded", GREEN},
	        {"running", CYAN},
	        {"leased", CYAN},
	        {"failed", RED},
	        {"cancelled", YELLOW},
	        {"signaled", RED},
	        {"timed_out", RED},
	        {"out_of_memory", RED},
	        {"cannot_start", RED},
	        {"crashed", RED},
	        {"output_missing", RED},
	        {"disagreed", RED},
	        {"skipped", DIM},
	        {"stopped", YELLOW},
	        {"lost", YELLOW},
	        {"queue_timeout", RED},
	        {"up", GREEN},
	        {"drained", YELLOW},
	        {"cordoned", YELLOW},
	        {"disconnected", YELLOW},
	        {"blocked", DIM},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(state, known[i].state) == 0)
			return known[i].colour;
	return PLAIN;
}

/* ---- messages ---- */

void term_error(const struct err *e)
{
	struct text t = {0};

	text_addf(&t, "%sosier:%s ", term_colour(stderr, RED), term_colour(stderr, PLAIN));
	text_add_clean(&t, e->msg, strlen(e->msg), "\n");
	text_add(&t, "\n");
	(void)fflush(stdout);
	progress_clear();
	(void)fputs(text_str(&t), stderr);
	if (e->hint[0])
		term_hint("%s", e->hint);
	text_release(&t);
}

static void say(enum colour c, const char *prefix, const char *fmt, va_list ap)
{
	char line[2048];
	struct text t = {0};

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	text_add_clean(&t, line, strlen(line), "\n");
	progress_clear();
	(void)fprintf(stderr, "%s%s%s%s\n", term_colour(stderr, c), prefix, term_colour(stderr, PLAIN),
	        text_str(&t));
	text_release(&t);
}

void term_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(PLAIN, "", fmt, ap);
	va_end(ap);
}

void term_hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(CYAN, "hint: ", fmt, ap);
	va_end(ap);
}

/* ---- interrupts ---- */

static void on_signal(int sig)
{
	int keep = errno;

	(void)sig;
	T.interrupts = T.interrupts + 1;
	/* A full pipe is fine: there is something to read already. */
	if (write(T.pipe[1], "", 1) < 0)
		errno = 0;
	errno = keep;
}

void term_catch_interrupts(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (T.pipe[0] >= 0)
		return;
	if (pipe2(T.pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		T.pipe[0] = T.pipe[1] = -1;
		return;
	}
	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
}

int term_interrupt_fd(void)
{
	return T.pipe[0];
}

int term_interrupts(void)
{
	char sink[64];

	while (T.pipe[0] >= 0 && read(T.pipe[0], sink, sizeof(sink)) > 0)
		;
	return T.interrupts;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t cli_now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t cli_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}
