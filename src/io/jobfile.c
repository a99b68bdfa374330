/* SPDX-License-Identifier: Apache-2.0 */
/* jobfile - see jobfile.h: the client's end. The server's is in jobfile_request.c. */
#include "io/jobfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/doc_yaml.h"
#include "io/lines.h"
#include "io/sha256.h"

#define MEM_BYTES_MAX (256u << 20)
#define SILENCE_MS    10000 /* of a pipe or device that is given as a job file */

void jobfile_init(struct jobfile *f)
{
	*f = (struct jobfile){0};
	growing_init(&f->mem, 64u << 10, MEM_BYTES_MAX);
}

void jobfile_release(struct jobfile *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_files; i++) {
		free(f->files[i].path);
		free(f->files[i].full);
	}
	free(f->files);
	free(f->text);
	growing_release(&f->mem);
	*f = (struct jobfile){0};
}

/* Whether something comes, or the end. */
static int wait_readable(const struct jobfile *f, int fd, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, SILENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	(void)err_set(e, ERR_INVALID, "'%s' is not a file, and for %d s nothing came out of it", f->path,
	        SILENCE_MS / 1000);
	return err_hint(e, "give a file, or '-' for what comes on stdin, however late");
}

/* Read all of fd, at most DOC_BYTES_MAX. */
static int read_all(struct jobfile *f, int fd, struct err *e)
{
	f->text = malloc(DOC_BYTES_MAX + 1);
	if (!f->text)
		abort();
	for (;;) {
		ssize_t k = read(fd, f->text + f->text_bytes, DOC_BYTES_MAX + 1 - f->text_bytes);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN && strcmp(f->path, "-") != 0) {
			if (wait_readable(f, fd, e) < 0)
				return -1;
			continue;
		}
		if (k < 0)
			return err_sys(e, "cannot read '%s'", f->path);
		if (k == 0)
			return 0;
		f->text_bytes += (size_t)k;
		if (f->text_bytes > DOC_BYTES_MAX) {
			(void)err_set(e, ERR_FULL, "'%s' is longer than 1 MiB", f->path);
			return err_hint(
			        e, "put long lists into a file of their own: array: {x: {lines: FILE}}");
		}
	}
}

static int read_text_file(struct jobfile *f, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (strcmp(f->path, "-") == 0)
		return read_all(f, STDIN_FILENO, e);
	/* A pipe may have no writer yet, and a device nothing to say: neither is waited for without end. */
	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENXIO && stat(f->path, &st) == 0 && S_ISSOCK(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is a socket, not a job file", f->path);
	if (fd < 0) {
		(void)err_sys(e, "cannot open '%s'", f->path);
		if (!e || e->sys != ENOENT)
			return -1;
		e->code = ERR_NOTFOUND;
		return err_hint(e, "'osier init' writes a job file to start from");
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		rc = err_set(e, ERR_INVALID, "'%s' is a folder, not a job file", f->path);
	else if (S_ISFIFO(st.st_mode) && wait_readable(f, fd, e) < 0)
		rc = -1;
	else
		rc = read_all(f, fd, e);
	(void)close(fd);
	return rc;
}

/* The absolute folder of the job file. */
static int find_folder(struct jobfile *f, struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	char *dir, *real;

	dir = slash == f->path ? strdup("/")
	      : slash          ? strndup(f->path, (size_t)(slash - f->path))
	                       : strdup(".");
	real = dir ? realpath(dir, NULL) : NULL;
	free(dir);
	if (!real)
		return err_sys(e, "cannot find the folder of '%s'", f->path);
	f->folder = arena_dup(&f->mem.arena, real, strlen(real));
	free(real);
	CHECK(f->folder);
	return 0;
}

/* ---- the files of a job ---- */

static struct jobfile_file *file_find(struct jobfile *f, const char *path)
{
	for (size_t i = 0; i < f->n_files; i++)
		if (strcmp(f->files[i].path, path) == 0)
			return &f->files[i];
	return NULL;
}

static int hash_fd(int fd, struct jobfile_file *out, struct err *e)
{
	struct sha256 *s = sha256_new();
	char *buf = malloc(256u << 10);
	ssize_t k;

	if (!buf)
		abort();
	out->size_bytes = 0;
	while ((k = read(fd, buf, 256u << 10)) != 0) {
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			break;
		sha256_update(s, buf, (size_t)k);
		out->size_bytes += (uint64_t)k;
	}
	if (k < 0)
		(void)err_sys(e, "cannot read");
	sha256_end(s, out->sha256);
	sha256_free(s);
	free(buf);
	return k < 0 ? -1 : 0;
}

/* Open a file that must be regular; never waits (a FIFO would). */
static int open_regular(const char *path, struct stat *st, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_SYSTEM, "%s",
		        errno == ENXIO ? "it is not a regular file" : strerror(errno)); /* a socket */
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	(void)close(fd);
	return err_set(e, ERR_INVALID, S_ISDIR(st->st_mode) ? "it is a folder" : "it is not a regular file");
}

/* The file by the job's path, hashed; remembered, so that each is read once. */
static struct jobfile_file *file_get(struct jobfile *f, const char *path, struct err *e)
{
	struct jobfile_file *x = file_find(f, path);
	struct stat st = {0};
	int fd;

	if (x)
		return x;
	f->files = realloc(f->files, (f->n_files + 1) * sizeof(*f->files));
	if (!f->files)
		abort();
	x = &f->files[f->n_files];
	*x = (struct jobfile_file){.path = strdup(path)};
	if (asprintf(&x->full, "%s%s%s", path[0] == '/' ? "" : f->folder, path[0] == '/' ? "" : "/", path) <
	                0 ||
	        !x->path)
		abort();
	fd = open_regular(x->full, &st, e);
	x->executable = (st.st_mode & 0111) != 0;
	if (fd < 0 || hash_fd(fd, x, e) < 0) {
		free(x->path);
		free(x->full);
		x = NULL;
	} else {
		f->n_files++;
	}
	if (fd >= 0)
		(void)close(fd);
	return x;
}

static int digest_cb(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_bytes,
        bool *out_executable, struct err *e)
{
	struct jobfile_file *x = file_get(ctx, path, e);

	if (!x)
		return -1;
	memcpy(out_sha256, x->sha256, 32);
	*out_bytes = x->size_bytes;
	*out_executable = x->executable;
	return 0;
}

static int lines_cb(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_lines, struct err *e)
{
	struct jobfile_file *x = file_get(ctx, path, e);
	struct lines *l;
	struct stat st;
	int fd;

	if (!x)
		return -1;
	if (!x->counted) {
		fd = open_regular(x->full, &st, e);
		if (fd < 0 || lines_open_take(fd, &l, e) < 0)
			return -1;
		x->lines = lines_count(l);
		x->counted = true;
		lines_close(l);
	}
	memcpy(out_sha256, x->sha256, 32);
	*out_lines = x->lines;
	return 0;
}

/* ---- reading ---- */

int jobfile_read(
        struct jobfile *f, const char *path, const struct jobspec_set *set, size_t n_set, struct err *e)
{
	const struct jobspec_files files = {f, digest_cb, lines_cb};
	struct jobspec_in in = {.source = path, .files = &files, .set = set, .n_set = n_set};
	const struct doc *root;

	f->path = path;
	f->set = set;
	f->n_set = n_set;
	if (read_text_file(f, e) < 0 || find_folder(f, e) < 0)
		return -1;
	in.folder = f->folder;
	if (doc_yaml_parse(&f->mem.arena, f->text, f->text_bytes, &root, &f->problems[0]) < 0)
		f->n_problems = 1;
	else if (jobspec_from_doc(&f->mem.arena, root, &in, &f->spec, f->problems, &f->n_problems) == 0)
		return 0;
	f->spec = NULL;
	return err_set(e, ERR_INVALID, "%zu %s in '%s'", f->n_problems,
	        f->n_problems == 1 ? "problem" : "problems", path);
}

json_t *jobfile_request(const struct jobfile *f)
{
	json_t *body = json_object(), *files = json_object(), *parameters = json_object();
	char hex[SHA256_HEX + 1];

	CHECK(f->spec && body && files && parameters);
	for (size_t i = 0; i < f->n_files; i++) {
		const struct jobfile_file *x = &f->files[i];
		json_t *one = json_object();

		sha256_hex(x->sha256, hex);
		json_object_set_new(one, "sha256", json_string(hex));
		json_object_set_new(one, "size", json_integer((json_int_t)x->size_bytes));
		json_object_set_new(one, "executable", json_boolean(x->executable));
		if (x->counted)
			json_object_set_new(one, "lines", json_integer((json_int_t)x->lines));
		json_object_set_new(files, x->path, one);
	}
	for (size_t i = 0; i < f->n_set; i++)
		json_object_set_new(parameters, f->set[i].name, json_string(f->set[i].value));
	json_object_set_new(body, "yaml", json_stringn(f->text, f->text_bytes));
	json_object_set_new(body, "source", json_string(f->path));
	json_object_set_new(body, "workdir", json_string(f->folder));
	json_object_set_new(body, "files", files);
	json_object_set_new(body, "parameters", parameters);
	return body;
}

/* ---- printing ---- */

/* The line of the text, without its end; NULL when there is none. */
static const char *text_line(const struct jobfile *f, uint32_t line, size_t *out_n)
{
	const char *s = f->text, *end = f->text + f->text_bytes, *nl;

	for (; line > 1 && s < end; line--) {
		nl = memchr(s, '\n', (size_t)(end - s));
		if (!nl)
			return NULL;
		s = nl + 1;
	}
	if (line != 1 || s >= end)
		return NULL;
	nl = memchr(s, '\n', (size_t)(end - s));
	*out_n = (size_t)((nl ? nl : end) - s);
	return s;
}

/* The line, and a caret below column `column` (of characters); bytes that a terminal could take for orders
 * become '?'. */
static void print_caret(FILE *out, const char *s, size_t n, uint32_t column)
{
	uint32_t at = 1;

	n = n < 200 ? n : 200;
	(void)fputs("  ", out);
	for (size_t i = 0; i < n; i++)
		(void)fputc((unsigned char)s[i] < 0x20 && s[i] != '\t' ? '?' : s[i], out);
	(void)fputs("\n  ", out);
	for (size_t i = 0; i < n && at < column; i++) {
		if (((unsigned char)s[i] & 0xC0) == 0x80)
			continue; /* inside a character */
		(void)fputc(s[i] == '\t' ? '\t' : ' ', out);
		at++;
	}
	(void)fputs("\033[1;32m^\033[0m\n", out);
}

void jobfile_print(const struct jobfile *f, FILE *out, bool colour)
{
	char text[1024];

	for (size_t i = 0; i < f->n_problems; i++) {
		const struct jobspec_problem *p = &f->problems[i];
		const char *s;
		size_t n;

		(void)jobspec_problem_text(p, f->path, text, sizeof(text));
		(void)fprintf(out, "%s\n", text);
		s = colour && p->line ? text_line(f, p->line, &n) : NULL;
		if (s)
			print_caret(out, s, n, p->column);
	}
}
