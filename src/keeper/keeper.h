/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper - owns the running processes of tasks, so that an engine may die and come back and no task notices.
 *
 * One thread, one epoll loop, libc only, no network, no clock but for deadlines. It may be root. What it reads from the engine is
 * parsed as hostile (wire/keeper_msg.h), what tasks leave in their folders likewise (files.c). Internal to src/keeper.
 *
 *	main.c     options, lock, loop, signals, leaving        slot.c    queues, deadlines; task.c one task, begin to result
 *	engine.c   the engine's process and its socket          spawn.c   from a START to a process
 *	result.c   results held until ACK                       output.c  stdout and stderr
 *	files.c    inputs, outputs; trash.c removes             proc.c    processes that have no cgroup to be found by
 *	cgroup.c   one group a slot                             sys.c     clocks, short files; users.c groups
 *	usage.c    what a scratch folder holds
 *
 * A slot:  IDLE --START--> RUNNING --process ended--> CLEARING --nobody left--> (result) --> IDLE, or the next START
 *                             |  timeout, STOP: TERM, grace, KILL                   what lives on is killed
 * Invariant: at most one process of ours is the slot's own (pid > 0 exactly in RUNNING).
 */
#ifndef OSIER_KEEPER_KEEPER_H
#define OSIER_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "keeper/cgroup.h"
#include "wire/keeper_msg.h"

#define HELD_BYTES_INLINE                                                                                    \
	(8u << 20)                 /* results held: beyond this, outputs go to the spool instead of memory */
#define HELD_MAX            16384u /* results held: beyond this, nothing new is started until ACK */
#define QUEUE_BYTES_MAX     (64u << 20) /* of all waiting STARTs */
#define SEND_BYTES_MAX      (4u << 20) /* waiting for the engine to read: beyond this nothing new is started */
#define POLL_AFTER_NS       5000000u /* output of a task is waited for only when it lives longer than this */
#define CLEAR_EVERY_NS      2000000u /* how often what lives on is killed again, at first */
#define CLEAR_GIVE_UP_NS    10000000000u /* then its cgroup is left behind */
#define WORKER_BUFFER_BYTES (1u << 20)
#define ENGINE_STOP_CODE    0  /* the engine's exit code that ends the keeper */
#define ENGINE_FENCED_CODE  79 /* another engine does its work: likewise, at once */
#define ENGINE_CANNOT_CODE                                                                                   \
	78 /* EX_CONFIG: it cannot run here; ends the keeper too, unless an engine ran here before (engine.c) */

/* What epoll hands back: kind in the upper half, a slot (and its stream in bit 31) in the lower one. */
#define LATER_NS 5000000u /* how long results wait for company while their slot has more to do */

enum poll_kind { POLL_SIGNAL = 1, POLL_ENGINE, POLL_CONTROL, POLL_STREAM };

struct stream {       /* stdout or stderr of what runs in a slot; kept over the tasks of a lease */
	int r, w;     /* our end; the end that tasks get */
	int spool;    /* open when bytes go to the spool */
	bool polled;  /* in the epoll set */
	bool spooled; /* this task's bytes are in the spool */
	uint8_t *mem; /* this task's bytes, n of room */
	uint32_t n, room;
	uint64_t kept, dropped, max;
	int sys; /* errno of the spool, 0 fine */
};

struct queued { /* a START as it came */
	struct queued *next;
	uint64_t lease, index;
	uint32_t bytes, flags;
	_Alignas(8) uint8_t msg[];
};

struct scratch { /* the folder of the lease that runs in a slot */
	int fd;
	uint64_t lease;
	uint32_t uid, gid;
	uint64_t empty_ns; /* its change time when it was seen empty; 0: not */
	char name[24];
};

enum slot_state { SLOT_IDLE, SLOT_RUNNING, SLOT_CLEARING };
enum slot_why { WHY_NOT, WHY_TIMEOUT, WHY_STOP, WHY_RELEASE, WHY_DISK };
enum kill_phase { KILL_NONE, KILL_ASKED, KILL_FORCED };

struct slot {
	uint32_t id;
	enum slot_state state;
	enum slot_why why; /* we stop what runs, because ... */
	enum kill_phase phase;
	uint64_t kill_ns; /* KILL_ASKED: when grace is over; clearing: when to kill again */
	uint64_t clear_every_ns, clear_since_ns;
	struct queued *current, *head, *tail;
	uint32_t n_queued;
	uint64_t lease, index, last_index; /* of current; of the last START taken for `lease_last` */
	uint64_t lease_last, follow_lease, pipe_lease;
	uint64_t stop_lease; /* STOPPED is owed for it ... */
	bool stop_owed;
	uint64_t stop_dropped;
	bool worker, follow;
	pid_t pid;
	int status;
	struct rusage usage;
	uint64_t started_ns, started_real_ns, ended_ns,
	        poll_ns; /* poll_ns: when to begin waiting for output, 0 not */
	uint64_t timeout_ns, grace_ns;
	uint32_t uid, gid;
	uint32_t leftovers;
	uint64_t memory_limit;
	uint64_t disk_limit, disk_used,
	        disk_at_ns;         /* of the scratch folder; disk_used: when it was measured last */
	uint64_t disk_ns;           /* when to measure next, 0 not */
	uint64_t measured_since_ns; /* started_ns of the task that the measurer looks at */
	pid_t measurer;             /* 0 none */
	int worker_fd;              /* the engine's end of the worker's socket */
	struct stream out[2];
	struct scratch scratch;
	struct cgroup group;
	struct slot *next_active; /* list of slots that run, clear or wait */
};

struct held { /* a result until its ACK: the packed message */
	struct held *next;
	uint64_t lease, index;
	uint32_t bytes, n_outputs;
	bool spooled; /* something of it is in the spool */
	_Alignas(8) uint8_t msg[];
};

struct packet { /* waits for the engine to read */
	struct packet *next;
	uint32_t bytes;
	int fd; /* or -1: closed when sent */
	_Alignas(8) uint8_t p[];
};

struct engine_end {
	char **argv; /* NULL: somebody else's engine, we only have its socket */
	bool osier;  /* argv is `osier engine ...`: it understands --ready-fd */
	int ready_fd; /* until an engine has resumed, else -1: each gets it, since the first may die before it is ready */
	int fd; /* our end, or -1 */
	pid_t pid;
	bool hello; /* this engine has said HELLO: it is told what happens from then on */
	bool notified;
	bool resumed;                          /* an engine said RESUMED */
	uint32_t starts, quick_deaths, cannot; /* cannot: ENGINE_CANNOT_CODE since the last HELLO */
	uint64_t started_ns, again_ns;         /* again_ns: when to start it again, 0 not */
	uint64_t kill_ns;                      /* it closed its socket and has until then to end; 0 not */
	uint32_t uid, gid;
	bool other_user;
	bool write_polled;
	struct packet *head, *tail;
	size_t queued_bytes;
	uint8_t *buf; /* the packet being filled */
	size_t n;
	uint64_t flush_ns; /* it goes then; 0: at the end of this turn */
};

/* What went wrong in a child before it was the program: in memory shared with the children. */
struct spawn_fail {
	int stage; /* enum spawn_stage, 0 none */
	int sys;
	char name[120];
};

/* What a measurer found: in memory shared with it. */
struct usage {
	uint64_t bytes;
	bool known;
};

/* Leaving: the engine first (a signal, our starter gone), or the tasks first (SHUTDOWN). No task is begun from the first on. */
enum leaving { STAY, LEAVE_ENGINE_FIRST, LEAVE_TASKS, LEAVE_ENGINE_LAST, LEFT };

struct keeper {
	char state_dir[512];
	char hash[20];
	int state_fd, spool_fd, scratch_fd, blobs_fd, lock_fd;
	int epoll_fd, signal_fd, control_fd, null_fd, children_fd;
	bool allow_root, root;
	pid_t pid;
	uint32_t uid, gid;
	struct cgroup_tree cgroups;
	struct engine_end engine;
	struct slot *slots[KEEPER_SLOTS_MAX];
	struct slot *active;
	uint32_t n_slots;
	struct held *held_head, *held_tail;
	uint32_t n_held;
	size_t held_bytes, waiting_bytes;
	struct spawn_fail *fails; /* one for each slot, shared */
	struct usage *usages;     /* likewise */
	uint64_t started_real_ns;
	enum leaving leaving;
	uint64_t leave_grace_ns;
	uint64_t leave_next_ns; /* when patience with the engine ends, 0 never */
	int exit_code;
	pid_t cleaner;  /* removes large scratch folders, 0 none */
	uint64_t trash; /* number of the next folder to be removed */
	bool trash_waits;
	bool starts_held; /* something could not start for want of room: try after ACK */
};

/* slot.c */
struct slot *slot_get(struct keeper *k, uint32_t id, bool make);
void slot_start_msg(struct keeper *k, const struct keeper_msg *m, const uint8_t *bytes, size_t n);
void slot_stop_msg(struct keeper *k, const struct keeper_msg *m);
void slot_release(struct keeper *k, uint32_t id);
void slot_adjust(struct keeper *k, uint64_t lease, uint64_t timeout_ns);
void slot_follow(struct keeper *k, uint64_t lease, bool on);
void slot_adopt(struct keeper *k, uint32_t id, uint64_t lease);
void slot_tell(struct keeper *k, struct slot *s); /* SLOT */
void slot_stopped_if_owed(struct keeper *k, struct slot *s);
bool slot_reaped(struct keeper *k, pid_t pid, int status, const struct rusage *ru); /* false: not a slot's */
void slot_readable(struct keeper *k, uint32_t id, int which);
uint64_t slot_deadline_ns(const struct keeper *k);  /* UINT64_MAX none */
void slots_turn(struct keeper *k, uint64_t now_ns); /* deadlines, clearing, next starts */
void slots_stop_all(struct keeper *k, uint64_t grace_ns);
bool slots_quiet(const struct keeper *k);
void slots_free(struct keeper *k);

/* task.c */
void task_begin(struct keeper *k, struct slot *s, struct queued *q); /* takes q; a failure is a result */
void task_stop(struct keeper *k, struct slot *s, enum slot_why why, int sig, uint64_t grace_ns);
void task_kill(struct keeper *k, struct slot *s, uint64_t now_ns);
void task_ended(struct keeper *k, struct slot *s, int status,
        const struct rusage *ru); /* its own process was reaped */
void task_clear(
        struct keeper *k, struct slot *s, uint64_t now_ns); /* kill what is left; the result when nobody is */

/* spawn.c: start what `m` asks for in the slot, whose group, scratch folder and streams are ready. stdin_fd, worker_fd or -1. A
 * failure after the fork is in k->fails[slot] when the child is reaped. Returns the pid, or -1 with *e. */
enum spawn_stage {
	STAGE_NONE,
	STAGE_CGROUP,
	STAGE_FD,
	STAGE_LIMIT,
	STAGE_USER,
	STAGE_INPUT,
	STAGE_CHDIR,
	STAGE_EXEC
};
pid_t spawn_task(struct keeper *k, struct slot *s, const struct keeper_start *m, int stdin_fd, int worker_fd,
        struct err *e);
/* The engine's process, with its socket as fd 3. */
pid_t spawn_engine(struct keeper *k, int fd, struct err *e);
void spawn_fail_text(const struct spawn_fail *f, const struct keeper_start *m, char *out, size_t max);

/* output.c */
void stream_clear(struct stream *st);
void stream_reset(struct stream *st, uint64_t max);               /* nothing kept */
int stream_begin(struct stream *st, uint64_t max, struct err *e); /* before a task: a pipe, nothing kept */
void stream_read(
        struct keeper *k, struct slot *s, int which, bool all); /* all: until there is nothing more */
void stream_follow(struct keeper *k, struct slot *s, int which);
void stream_end(struct keeper *k, struct stream *st, bool keep_pipe); /* after the result was made */
void stream_poll(struct keeper *k, struct slot *s, bool on);

/* files.c */
int scratch_make(struct keeper *k, struct slot *s, const struct keeper_start *m, struct err *e);
void scratch_drop(struct keeper *k, struct slot *s);     /* NULL-safe on an empty one */
bool scratch_reusable(struct keeper *k, struct slot *s); /* trash.c; empties it when that is quick */
/* Put inputs of small total size in place. *out_later: they are large, the child does it (files_inputs_child). */
int files_inputs(
        struct keeper *k, struct slot *s, const struct keeper_start *m, bool *out_later, struct err *e);
int files_inputs_child(struct keeper *k, struct slot *s, const struct keeper_start *m, struct spawn_fail *f);
int files_stdin(struct keeper *k, const struct keeper_start *m, int *out_fd, struct err *e);
/* Move declared outputs to the spool. ERR_NOTFOUND: one that must be there is not. */
int files_outputs(
        struct keeper *k, struct slot *s, const struct keeper_start *m, uint64_t *sizes, struct err *e);
void files_clean(struct keeper *k);   /* at start: empty scratch and spool */
void files_cleaner(struct keeper *k); /* start the cleaner if there is something for it */
void spool_name(char out[64], uint64_t lease, uint64_t index, const char *suffix);
void spool_remove(struct keeper *k, uint64_t lease, uint64_t index, uint32_t n_outputs);
int spool_own(struct keeper *k, int fd); /* give it to the engine's user */

/* usage.c: a task whose scratch folder is found to hold more than `limit` bytes (0: none) is killed. */
void usage_begin(struct slot *s, uint64_t limit);
void usage_turn(struct keeper *k, struct slot *s, uint64_t now_ns); /* disk_ns has come */
bool usage_reaped(struct keeper *k, pid_t pid);                     /* false: not a measurer */

/* proc.c */
void proc_kill_leftovers(struct keeper *k); /* of a dead predecessor */
/* Kill children that are no slot's own process and belong to `s` (or to nobody known); returns how many there were. */
unsigned proc_kill_orphans(struct keeper *k, const struct slot *s, int sig);

/* users.c */
size_t users_groups(
        uint32_t uid, uint32_t gid, bool root_too, gid_t *out, size_t max); /* gid and those of /etc/group */
uint64_t users_processes(uint32_t uid); /* threads that run as uid now (at most a second old) */

/* result.c */
void result_make(struct keeper *k, struct slot *s, struct keeper_exited *x);
void result_refuse(struct keeper *k, uint32_t slot, uint64_t lease, uint64_t index, const char *why);
void result_ack(struct keeper *k, uint64_t lease, uint64_t index);
void result_tell_all(struct keeper *k); /* to a new engine */

/* engine.c */
int engine_start(struct keeper *k, struct err *e);
void engine_readable(struct keeper *k);
void engine_gone(struct keeper *k); /* its socket ended */
void engine_reaped(struct keeper *k, int status);
void engine_send(struct keeper *k, const struct keeper_msg *m,
        int fd); /* dropped when there is no engine that said HELLO */
/* later: it may wait a moment for company, since the slot has more to do without the engine. */
void engine_send_packed(struct keeper *k, const uint8_t *msg, size_t n, bool later);
void engine_flush(struct keeper *k);
void engine_close(struct keeper *k); /* our end of its socket */
bool engine_backed_up(const struct keeper *k);
uint64_t engine_deadline_ns(const struct keeper *k);
void engine_turn(struct keeper *k, uint64_t now_ns);

/* main.c */
int poll_add(struct keeper *k, int fd, uint32_t events, enum poll_kind kind, uint32_t low);
void keeper_leave(struct keeper *k, enum leaving first, uint64_t grace_ns);

#endif
