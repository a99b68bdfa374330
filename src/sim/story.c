/* SPDX-License-Identifier: Apache-2.0 */
/* story - see story.h. */
#include "sim/story.h"

#include <stdlib.h>

#include "base/check.h"
#include "core/jobspec.h"

/* False: it says nothing of that. */
static bool disconnect_make(const struct plain *p, Wire__Disconnect *d)
{
	d->lost_after_ns = p->lost_after_ns ? p->lost_after_ns : LOST_AFTER_NS;
	d->stop_after_ns = p->stop_after_ns;
	d->replace = p->replace;
	d->reconcile = p->reconcile;
	return p->lost_after_ns || p->stop_after_ns || p->replace || p->reconcile;
}

uint64_t story_submit(struct world *w, const struct plain *p)
{
	static char *argv[] = {"true"};
	Wire__JobSpec job = WIRE__JOB_SPEC__INIT;
	Wire__Step step = WIRE__STEP__INIT, *steps[] = {&step};
	Wire__Command command = WIRE__COMMAND__INIT;
	Wire__Need need = WIRE__NEED__INIT, *needs[] = {&need};
	Wire__Variant variant = WIRE__VARIANT__INIT, *variants[] = {&variant};
	Wire__Param param = WIRE__PARAM__INIT, *params[] = {&param};
	Wire__Retry retry = WIRE__RETRY__INIT;
	Wire__Verify verify = WIRE__VERIFY__INIT;
	Wire__Worker worker = WIRE__WORKER__INIT;
	Wire__Disconnect disconnect = WIRE__DISCONNECT__INIT;
	Wire__Gang gang = WIRE__GANG__INIT;
	Wire__Input *inputs[1];
	struct err e;

	command.argv = argv;
	command.n_argv = 1;
	need.name = (char *)(uintptr_t) "cpu";
	need.amount = p->cpu ? p->cpu : 1000;
	variant.needs = needs;
	variant.n_needs = 1;
	param.name = (char *)(uintptr_t) "i";
	param.last = (int64_t)p->tasks - 1;
	param.stride = 1;
	param.count = p->tasks;
	retry.max = p->retries;
	retry.not_on_node_loss = p->fails_on_loss;
	if (disconnect_make(p, &disconnect))
		job.disconnect = &disconnect;
	verify.replicas = p->replicas;
	verify.agree = p->agree ? p->agree : 2;
	verify.adaptive = p->adaptive;
	verify.same = (char *)(uintptr_t)(p->same ? p->same : "");
	worker.function = (char *)(uintptr_t) "f";
	step.name = step.kind = (char *)(uintptr_t) "s";
	step.command = &command;
	step.worker = p->worker ? &worker : NULL;
	step.variants = variants;
	step.n_variants = 1;
	step.params = params;
	step.n_params = 1;
	step.tasks = p->tasks;
	step.retry = &retry;
	step.verify = p->replicas ? &verify : NULL;
	gang.size = p->gang;
	gang.apart = p->apart;
	step.gang = p->gang ? &gang : NULL;
	step.pids_max = 10;
	step.run_timeout_ns = p->run_timeout_ns;
	step.place = (Wire__Place *)(uintptr_t)p->place;
	inputs[0] = (Wire__Input *)(uintptr_t)p->input;
	step.inputs = inputs;
	step.n_inputs = p->input != NULL;
	job.pack = p->pack;
	job.origin = (char *)(uintptr_t) "n1";
	job.version = 1;
	job.name = (char *)(uintptr_t) "job";
	job.namespace_ = (char *)(uintptr_t) "default";
	job.priority = 50;
	job.keep_going = 1;
	job.class_ = p->realtime ? WIRE__JOB_SPEC__CLASS__REALTIME : WIRE__JOB_SPEC__CLASS__BATCH;
	job.deadline_after_ns = p->deadline_after_ns;
	job.steps = steps;
	job.n_steps = 1;
	if (jobspec_check(&job, &e) < 0) {
		(void)fprintf(stderr, "story's job is not valid: %s\n", e.msg);
		abort();
	}
	return world_submit(w, &job);
}

struct world *story_calm_day(FILE *trace, uint64_t task_ns, uint64_t seed)
{
	struct faults f = {.task_ns_max = task_ns};

	return world_new(seed, &f, 1, trace);
}

struct world *story_calm(FILE *trace, uint64_t task_ns)
{
	return story_calm_day(trace, task_ns, 7);
}

void story_run(struct world *w)
{
	while (world_step(w))
		world_check(w, false);
}

void story_finish(struct world *w)
{
	story_run(w);
	world_check(w, true);
	world_check_all_finished(w);
	world_free(w);
}
