/* SPDX-License-Identifier: Apache-2.0 */
/* backup - see backup.h. */
#include "io/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/journal_int.h"

#define SUM_BYTES (256u << 10)

extern char **environ;

/* ---- programs and files ---- */

static int run(const char *const argv[], struct err *e)
{
	pid_t pid;
	int status, rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);

	if (rc != 0) {
		errno = rc;
		return err_sys(e, "cannot run '%s'", argv[0]);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "cannot wait for '%s'", argv[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, ERR_SYSTEM, "'%s' failed: what it said is above", argv[0]);
}

static void remove_tree(const char *path)
{
	const char *const argv[] = {"rm", "-rf", "--", path, NULL};

	(void)run(argv, NULL);
}

static bool there(const char *dir, const char *name)
{
	char *path = path_in(dir, name);
	struct stat st;
	bool yes = lstat(path, &st) == 0;

	free(path);
	return yes;
}

/* A file or folder of `from`, if it is there, into `to`. */
static int copy_in(const char *from, const char *name, const char *to, struct err *e)
{
	char *path = path_in(from, name);
	const char *const argv[] = {"cp", "-a", "--", path, to, NULL};
	int rc = there(from, name) ? run(argv, e) : 0;

	free(path);
	return rc;
}

/* A database of its own that is written to meanwhile. */
static int copy_db(const char *from_dir, const char *name, const char *to_dir, struct err *e)
{
	char *from = path_in(from_dir, name), *to = path_in(to_dir, name);
	sqlite3 *a = NULL, *b = NULL;
	sqlite3_backup *copy = NULL;
	int rc = SQLITE_OK;

	if (there(from_dir, name)) {
		rc = sqlite3_open_v2(from, &a, SQLITE_OPEN_READONLY, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_busy_timeout(a, 10000);
		if (rc == SQLITE_OK)
			rc = sqlite3_open_v2(to, &b, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
		copy = rc == SQLITE_OK ? sqlite3_backup_init(b, "main", a, "main") : NULL;
		if (rc == SQLITE_OK && (!copy || sqlite3_backup_step(copy, -1) != SQLITE_DONE))
			rc = SQLITE_ERROR;
		if (copy && sqlite3_backup_finish(copy) != SQLITE_OK)
			rc = SQLITE_ERROR;
	}
	if (rc != SQLITE_OK)
		(void)err_set(
		        e, ERR_SYSTEM, "cannot copy '%.150s': %.60s", from, sqlite3_errmsg(copy ? b : a));
	(void)sqlite3_close(a);
	(void)sqlite3_close(b);
	free(from);
	free(to);
	return rc == SQLITE_OK ? 0 : -1;
}

/* ---- writing ---- */

static int copy_snapshot(const char *dir, const char *to, struct err *e)
{
	struct snapshot_header *h = must_grow(NULL, sizeof(*h));
	char name[64];
	bool found = false;
	int rc = snapshot_find(dir, UINT64_MAX, h, &found, e);

	(void)snprintf(name, sizeof(name), "snapshot-%llu", (unsigned long long)h->seq);
	if (rc == 0 && found)
		rc = copy_in(dir, name, to, e);
	free(h);
	return rc;
}

/* The hash of a whole file, in hex. */
static int sum_of(const char *dir, const char *name, char out[65], struct err *e)
{
	char *path = path_in(dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	struct sha256 *sha = sha256_new();
	uint8_t *buffer = must_grow(NULL, SUM_BYTES), digest[SHA256_BYTES];
	ssize_t n = 0;

	while (fd >= 0 && (n = read(fd, buffer, SUM_BYTES)) > 0)
		sha256_update(sha, buffer, (size_t)n);
	if (fd < 0 || n < 0)
		rc = err_sys(e, "cannot read '%s'", path);
	if (fd >= 0)
		(void)close(fd);
	sha256_end(sha, digest);
	for (int i = 0; i < 32; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
	sha256_free(sha);
	free(buffer);
	free(path);
	return rc;
}

/* Files of the backup whose hashes its label tells; the journal's entries have their own. Ends with NULL. */
static const char *const summed[] = {"ledger.db", "witness.db", "config.yaml", NULL};

static int write_sums(const char *dir, FILE *f, struct err *e)
{
	char hex[65];

	for (int i = 0; summed[i]; i++) {
		if (!there(dir, summed[i]))
			continue;
		if (sum_of(dir, summed[i], hex, e) < 0)
			return -1;
		(void)fprintf(f, "file %s %s\n", summed[i], hex);
	}
	return 0;
}

static int check_sums(const char *dir, const char *file, FILE *f, struct err *e)
{
	char name[33], want[65], is[65];

	while (fscanf(f, " file %32s %64[0-9a-f]", name, want) == 2) {
		int i = 0;

		while (summed[i] && strcmp(summed[i], name) != 0)
			i++;
		if (!summed[i])
			continue;
		if (!there(dir, name) || sum_of(dir, name, is, e) < 0 || strcmp(is, want) != 0)
			return err_set(e, ERR_CORRUPT, "'%.150s' is damaged: '%s' in it is not what it was",
			        file, name);
	}
	return 0;
}

static int write_label(const char *dir, const struct journal_moved *m, bool keys, struct err *e)
{
	char *path = path_in(dir, "backup");
	FILE *f = fopen(path, "we");
	int rc = 0;

	if (!f) {
		rc = err_sys(e, "cannot write '%s'", path);
		free(path);
		return rc;
	}
	(void)fprintf(f, "osier backup 1\nentries %llu\nkeys %s\nroot ", (unsigned long long)m->entries,
	        keys ? "yes" : "no");
	for (int i = 0; i < 32; i++)
		(void)fprintf(f, "%02x", m->root[i]);
	(void)fputc('\n', f);
	rc = write_sums(dir, f, e);
	if (fclose(f) != 0)
		rc = err_sys(e, "cannot write '%s'", path);
	free(path);
	return rc;
}

/* What was published first, the journal last: it is never shorter than what was signed. */
static int gather(const char *dir, const char *to, bool keys, struct journal_moved *out, struct err *e)
{
	if (copy_db(dir, "ledger.db", to, e) < 0 || copy_db(dir, "witness.db", to, e) < 0 ||
	        copy_in(dir, "config.yaml", to, e) < 0 || copy_snapshot(dir, to, e) < 0)
		return -1;
	if (keys && (copy_in(dir, "keys", to, e) < 0 || copy_in(dir, "hub", to, e) < 0 ||
	                    copy_in(dir, "parent", to, e) < 0))
		return -1;
	if (journal_copy(dir, to, out, e) < 0)
		return -1;
	return write_label(to, out, keys, e);
}

static int sync_and_rename(const char *from, const char *to, struct err *e)
{
	char *folder = strdup(to), *slash;
	int fd = open(from, O_RDONLY | O_CLOEXEC), rc = 0;

	CHECK(folder);
	if (fd < 0 || fsync(fd) < 0 || rename(from, to) < 0)
		rc = err_sys(e, "cannot put '%.150s' in its place", to);
	if (fd >= 0)
		(void)close(fd);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder ? 1 : 0] = '\0';
	if (rc == 0)
		rc = disk_sync_folder(slash ? folder : ".", e);
	free(folder);
	return rc;
}

int backup_write(const char *dir, const char *file, bool keys, struct journal_moved *out, struct err *e)
{
	size_t n = strlen(file) + 16;
	char *work = must_grow(NULL, n), *tar = must_grow(NULL, n);
	mode_t mask = umask(0077);
	int rc = 0;

	(void)snprintf(work, n, "%s.XXXXXX", file);
	if (!mkdtemp(work)) {
		rc = err_sys(e, "cannot make a folder beside '%.150s'", file);
	} else {
		const char *const argv[] = {"tar", "-C", work, "-cf", tar, "--", ".", NULL};

		(void)snprintf(tar, n, "%s.tar", work);
		rc = gather(dir, work, keys, out, e);
		if (rc == 0)
			rc = run(argv, e);
		if (rc == 0)
			rc = sync_and_rename(tar, file, e);
		(void)unlink(tar);
		remove_tree(work);
	}
	(void)umask(mask);
	free(work);
	free(tar);
	return rc;
}

/* ---- putting it back ---- */

static int not_a_backup(const char *file, struct err *e)
{
	(void)err_set(e, ERR_INVALID, "'%.180s' is no backup of osier's", file);
	return err_hint(e, "'osier backup FILE' makes one");
}

static int read_label(const char *work, const char *file, unsigned long long *entries, bool *keys,
        char root[65], struct err *e)
{
	char *path = path_in(work, "backup"), word[4] = "";
	struct stat st;
	FILE *f = lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
	unsigned version = 0;
	int n = f ? fscanf(f, "osier backup %u entries %llu keys %3s root %64[0-9a-f]", &version, entries,
	                    word, root)
	          : 0;

	int rc = n == 4 && version == 1 ? check_sums(work, file, f, e) : 0;

	if (f)
		(void)fclose(f);
	free(path);
	if (rc < 0)
		return -1;
	if (n < 1)
		return not_a_backup(file, e);
	if (version > 1) {
		(void)err_set(e, ERR_VERSION,
		        "'%.150s' is a backup of format %u, and this osier (%s) knows 1", file, version,
		        OSIER_VERSION);
		return err_hint(e, "use the newer osier that wrote it");
	}
	*keys = strcmp(word, "yes") == 0;
	return n == 4 ? 0 : not_a_backup(file, e);
}

static int check_content(
        const char *work, const char *file, struct journal_moved *out, bool *keys, struct err *e)
{
	unsigned long long entries = 0;
	char root[65] = "", is[65];

	if (read_label(work, file, &entries, keys, root, e) < 0)
		return -1;
	if (journal_verify(work, out, e) < 0)
		return err_wrap(e, "'%.100s' is damaged", file);
	for (int i = 0; i < 32; i++)
		(void)snprintf(is + 2 * i, 3, "%02x", out->root[i]);
	if (out->entries != entries || strcmp(is, root) != 0)
		return err_set(e, ERR_CORRUPT, "'%.150s' is damaged: its journal is not what it says", file);
	return 0;
}

static int move_in(const char *work, const char *name, const char *dir, struct err *e)
{
	char *from = path_in(work, name), *to = path_in(dir, name);
	struct stat st;
	int rc = 0;

	if (lstat(from, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && rename(from, to) < 0)
		rc = err_sys(e, "cannot put '%.150s' in its place", to);
	free(from);
	free(to);
	return rc;
}

static int place(const char *work, const char *dir, struct err *e)
{
	static const char *const names[] = {"ledger.db", "witness.db", "keys", "hub", "parent"};
	uint64_t *list = NULL;
	size_t n = 0;
	int rc = there(dir, "config.yaml") ? 0 : move_in(work, "config.yaml", dir, e);

	for (size_t i = 0; i < ARRAY_LEN(names) && rc == 0; i++)
		rc = move_in(work, names[i], dir, e);
	if (rc == 0)
		rc = snapshot_list(work, &list, &n, e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "snapshot-%llu", (unsigned long long)list[i]);
		rc = move_in(work, name, dir, e);
	}
	free(list);
	if (rc == 0) /* last: with it the folder is a node's */
		rc = move_in(work, "journal.db", dir, e);
	return rc < 0 ? -1 : disk_sync_folder(dir, e);
}

/* Nothing of a node may be there. */
static int check_empty(const char *dir, struct err *e)
{
	static const char *const names[] = {"journal.db", "record", "journal.db.moved", "ledger.db", "keys",
	        "hub", "parent", "witness.db"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!there(dir, names[i]))
			continue;
		(void)err_set(e, ERR_EXISTS, "'%.150s' is a node's already: it has '%s'", dir, names[i]);
		return err_hint(e, "choose an empty folder with --state, or move that one's files away");
	}
	return 0;
}

int backup_restore(
        const char *file, const char *dir, struct journal_moved *out, bool *out_keys, struct err *e)
{
	char *work = path_in(dir, "restore.XXXXXX");
	const char *const argv[] = {"tar", "-C", work, "--no-same-owner", "-xf", file, NULL};
	struct stat st;
	int rc = 0;

	if (stat(file, &st) < 0)
		rc = err_sys(e, "cannot read '%.150s'", file);
	else if (!S_ISREG(st.st_mode))
		rc = not_a_backup(file, e);
	if (rc == 0)
		rc = check_empty(dir, e);
	if (rc < 0 || !mkdtemp(work)) {
		free(work);
		return rc < 0 ? -1 : err_sys(e, "cannot write in '%.150s'", dir);
	}
	rc = run(argv, e);
	if (rc < 0)
		(void)not_a_backup(file, e);
	else
		rc = check_content(work, file, out, out_keys, e);
	if (rc == 0)
		rc = place(work, dir, e);
	remove_tree(work);
	free(work);
	return rc;
}
