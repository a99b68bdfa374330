/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobspec_bad - facts about what a bad job file is told: each message whole, since the message is the feature. */
#include "jobspec_help.h"

#include "wire/entry.h"
#include "wire/scan.h"

struct pair {
	const char *text, *told;
};

static void each_is_told(const struct pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(wrong(p[i].text), p[i].told);
}
#define EACH(p) each_is_told(p, sizeof(p) / sizeof((p)[0]))

static void unknown_key_is_told_with_the_nearest(void **state)
{
	static const struct pair p[] = {
	        {"command: x\nresources:\n  cpu: 1\n  memry: 1GiB\n",
	                "job.yaml:4:3: found 'memry', expected one of cpu, memory, disk, gpu, fpga or a "
	                "pool's name; did you mean "
	                "'memory'?"},
	        {"command: x\nresources: {mem: 1GiB}\n",
	                "job.yaml:2:13: found 'mem', expected one of cpu, memory, disk, gpu, fpga or a "
	                "pool's name; did you mean "
	                "'memory'?"},
	        {"command: x\nretires: 3\n", "job.yaml:2:1: found 'retires', expected one of version, name, "
	                                     "namespace, labels, parameters, class, "
	                                     "priority, deadline, timeouts, concurrency, not_before, hold, "
	                                     "keep_going, disconnect, pack, steps, command, shell, worker, "
	                                     "env, workdir, stdin, inputs, outputs, array, after, reduce, "
	                                     "resources, any_of, where, prefer, spread, near, data, gang, "
	                                     "verify, retries, limits, "
	                                     "grace, checkpoint_signal, kind; did you mean 'retries'?"},
	        {"command: x\nretries: {maximum: 3}\n", "job.yaml:2:11: found 'maximum', expected one of "
	                                                "max, backoff, backoff_max, jitter, exit_codes, "
	                                                "on_node_loss"},
	        {"command: x\nclass: realtme\n", "job.yaml:2:8: found 'realtme', expected batch or realtime; "
	                                         "did you mean 'realtime'?"},
	        {"steps: {a: x, b: {command: y, timeouts: {job: 5m}}}\n",
	                "job.yaml:1:42: found 'job', expected 'queue' or 'run'; the whole job's timeout goes "
	                "to the top of the "
	                "file"},
	};

	(void)state;
	EACH(p);
}

static void wrong_values_are_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\npriority: 101",
	                "job.yaml:2:11: found '101', expected a whole number from 0 to 100"},
	        {"command: x\npriority: '5'",
	                "job.yaml:2:11: found '5', expected a whole number from 0 to 100"},
	        {"command: x\npriority: -1",
	                "job.yaml:2:11: found '-1', expected a whole number from 0 to 100"},
	        {"command: x\npriority: 0x10",
	                "job.yaml:2:11: found '0x10', expected a whole number from 0 to 100"},
	        {"command: x\nconcurrency: 99999999999999999999999",
	                "job.yaml:2:14: found '99999999999999999999999', expected a whole number from 1 to "
	                "4294967295"},
	        {"command: x\nhold: yes", "job.yaml:2:7: found 'yes', expected true or false"},
	        {"command: x\nhold:", "job.yaml:2:6: found nothing, expected true or false"},
	        {"command: x\nresources: {cpu: 0.0001}", "job.yaml:2:18: found '0.0001', expected a number "
	                                                 "such as 2 or 0.25, with at most three decimals"},
	        {"command: x\nresources: {cpu: 0}",
	                "job.yaml:2:18: found '0', expected more than 0, such as 0.1"},
	        {"command: x\nresources: {cpu: 1e3}", "job.yaml:2:18: found '1e3', expected a number such as "
	                                              "2 or 0.25, with at most three decimals"},
	        {"command: x\nresources: {memory: 512M}",
	                "job.yaml:2:21: found '512M', expected a size such as 512MiB, 2GB or a number of "
	                "bytes (units: B, kB, MB, "
	                "GB, TB, KiB, MiB, GiB, TiB)"},
	        {"command: x\nresources: {memory: 99999999TiB}",
	                "job.yaml:2:21: found '99999999TiB', expected a size such as 512MiB, 2GB or a number "
	                "of bytes (units: B, "
	                "kB, MB, GB, TB, KiB, MiB, GiB, TiB)"},
	        {"command: x\ngrace: 5 minutes", "job.yaml:2:8: found '5 minutes', expected a time span such "
	                                         "as 100ms, 5s, 3m, 1h30m or 2d, at most 100 "
	                                         "years"},
	        {"command: x\ngrace: 30m1h", "job.yaml:2:8: found '30m1h', expected a time span such as "
	                                     "100ms, 5s, 3m, 1h30m or 2d, at most 100 years"},
	        {"command: x\nnot_before: 2026-02-30T00:00:00Z",
	                "job.yaml:2:13: found '2026-02-30T00:00:00Z', expected a time such as "
	                "2026-11-21T18:00:00Z or "
	                "2026-11-21T18:00:00+01:00"},
	        {"command: x\ndeadline: tomorrow", "job.yaml:2:11: found 'tomorrow', expected a time span "
	                                           "after submit such as 5m, or a time such as "
	                                           "2026-11-21T18:00:00Z"},
	        {"command: x\ndeadline: {on_missed: warn}",
	                "job.yaml:2:11: found a map, expected either 'within' or 'at'"},
	        {"command: x\nname: 7up", "job.yaml:2:7: found '7up', expected a name: a letter, then "
	                                  "letters, digits, '.', '_' or '-', at most 63"},
	        {"command: x\ncheckpoint_signal: KILL",
	                "job.yaml:2:20: found 'KILL', expected one of HUP, INT, QUIT, USR1, USR2, ALRM, "
	                "TERM, CONT, TSTP, WINCH"},
	        {"command: x\nworkdir: ''", "job.yaml:2:10: found '', expected an absolute folder, or one "
	                                    "relative to the job file's, the same for all "
	                                    "tasks"},
	        {"command: x\nenv: {'A B': c}", "job.yaml:2:7: found 'A B', expected a variable's name: a "
	                                        "letter or '_', then letters, digits or '_'"},
	        {"command: x\nenv: [A=b]",
	                "job.yaml:2:6: found a list, expected a map of at most 1000 variables (NAME: text)"},
	        {"command: x\nretries: {backoff: 5s, backoff_max: 1s}",
	                "job.yaml:2:10: found a 'backoff_max' below 'backoff', expected a longer time span"},
	        {"command: x\nverify: {mode: lazy}",
	                "job.yaml:2:16: found an unknown mode, expected 'adaptive'"},
	        {"command: x\nverify: {mode: adaptive, agree: 1}",
	                "job.yaml:2:9: found a check that nobody need agree with, expected 'agree' of at "
	                "least 2"},
	        {"command: x\nverify: {mode: adaptive, replicas: 1}",
	                "job.yaml:2:9: found more to agree than replicas, expected 'agree' of at most 1"},
	        {"command: x\nverify: {replicas: 1, same: cpu}",
	                "job.yaml:2:9: found 'same' for a single replica, expected at least two replicas"},
	        {"command: x\nverify: {replicas: 2, same: 'a b'}",
	                "job.yaml:2:29: found 'a b', expected the key of a label, as in 'cpu_model'"},
	        {"command: x\nverify: {replicas: 2, agree: 3}",
	                "job.yaml:2:9: found more to agree than replicas, expected 'agree' of at most 2"},
	        {"version: 2\ncommand: x",
	                "job.yaml:1:10: found '2', expected 1, the only version of the job file there is"},
	        {"- a\n- b\n", "job.yaml:1:1: found a list, expected a job: a map with at least 'command' or "
	                       "'steps'"},
	};

	(void)state;
	EACH(p);
}

static void places_that_cannot_be_are_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\nwhere: north", "job.yaml:2:8: found 'north', expected a map of labels such as "
	                                     "{hall: north, arch: [amd64, arm64]}"},
	        {"command: x\nwhere: {}", "job.yaml:2:8: found a map, expected a map of labels such as "
	                                  "{hall: north, arch: [amd64, arm64]}"},
	        {"command: x\nwhere: {hall: []}",
	                "job.yaml:2:15: found an empty list, expected at least one value"},
	        {"command: x\nwhere: {hall: {exist: true}}",
	                "job.yaml:2:15: found a map, expected a value, a list of values, or {exists: true}"},
	        {"command: x\nwhere: {not: {hall: {exists: true}}}",
	                "job.yaml:2:21: found a map, expected a value or a list of values; 'hall: {exists: "
	                "false}' stands beside 'not'"},
	        {"command: x\nprefer: [{hall: north}]",
	                "job.yaml:2:10: found a preference without 'where', expected the labels that are "
	                "preferred\njob.yaml:2:11: found 'hall', expected one of where, weight"},
	        {"command: x\nprefer: [{where: {a: b}, weight: 101}]",
	                "job.yaml:2:34: found '101', expected a whole number from -100 to 100, but not 0"},
	        {"command: x\nspread: 'a b'",
	                "job.yaml:2:9: found 'a b', expected 'node', or the key of a label such as 'hall'"},
	        {"command: x\nnear: {a: b, c: d}", "job.yaml:2:7: found a map, expected one label of the "
	                                           "nodes to be near, such as {source: "
	                                           "climate}"},
	        {"command: x\npack: balanse", "job.yaml:2:7: found 'balanse', expected binpack, spread or "
	                                      "balance; did you mean 'balance'?"},
	};

	(void)state;
	EACH(p);
}

static void disconnect_that_cannot_be_is_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\ndisconnect: 30s", "job.yaml:2:13: found '30s', expected a map (key: value)"},
	        {"command: x\ndisconnect: {lost: 3s}",
	                "job.yaml:2:14: found 'lost', expected one of "
	                "lost_after, stop_after, replace, reconcile; did you mean "
	                "'lost_after'?"},
	        {"command: x\ndisconnect: {lost_after: 0}",
	                "job.yaml:2:26: found '0', expected a time span above 0, or 'replace: now'"},
	        {"command: x\ndisconnect: {stop_after: 0}",
	                "job.yaml:2:26: found '0', expected never, or a time span above 0 such as 10m"},
	        {"command: x\ndisconnect: {replace: later}",
	                "job.yaml:2:23: found 'later', expected after_lost, now or never"},
	        {"command: x\ndisconnect: {replace: never, reconcile: best_score}",
	                "job.yaml:2:41: found 'reconcile' beside 'replace: never', expected one of them: "
	                "without a replacement there is nothing to choose from"},
	        {"command: x\ndisconnect: {replace: now, lost_after: 3s}",
	                "job.yaml:2:40: found 'lost_after' beside 'replace: now', expected one of them: what "
	                "is replaced at once does not wait until the node counts as lost"},
	        {"command: x\ndisconnect: {lost_after: 3s, replace: never}",
	                "job.yaml:2:26: found 'lost_after' beside 'replace: never', expected one of them: "
	                "what is never replaced waits for its node however long that takes"},
	        {"command: x\nretries: {on_node_loss: fail}\ndisconnect: {replace: now}",
	                "job.yaml:3:23: found 'replace: now' beside 'on_node_loss: fail', expected one of "
	                "them: step 'main' is not to run again when its node is lost"},
	};

	(void)state;
	EACH(p);
}

static void command_that_is_none_is_told(void **state)
{
	static const struct pair p[] = {
	        {"name: x", "job.yaml:1:1: found a job without a command, expected a key 'command', 'worker' "
	                    "or 'steps'"},
	        {"steps: {a: {after: b}, b: x}", "job.yaml:1:12: found a step without a command, expected a "
	                                         "key 'command' or 'worker'"},
	        {"command: ' '", "job.yaml:1:10: found an empty command, expected text for the shell, or a "
	                         "list of a program and its "
	                         "arguments"},
	        {"command: []", "job.yaml:1:10: found an empty list, expected a program and its arguments"},
	        {"command: ['', a]",
	                "job.yaml:1:11: found an empty program name, expected a program and its arguments"},
	        {"command: x\nshell: y", "job.yaml:2:1: found 'shell', expected either 'command' or 'shell'"},
	        {"command: x\nworker: {command: y, function: f}",
	                "job.yaml:1:1: found 'command', expected either 'command' or 'worker', not both"},
	        {"worker: {function: f}", "job.yaml:1:9: found a worker without 'command', expected the "
	                                  "command that starts it"},
	        {"worker: {command: w}", "job.yaml:1:9: found a worker without 'function', expected the name "
	                                 "of the function that it registered"},
	        {"command: x\nsteps: {a: y}", "job.yaml:1:1: found 'command', expected 'command' inside a "
	                                      "step, since the job has 'steps'"},
	        {"steps: []", "job.yaml:1:8: found a list, expected a map of steps (name: {command: ...}) or "
	                      "a list of them"},
	        {"steps: [{command: x}]", "job.yaml:1:9: found a step without a name, expected a key 'name'"},
	        {"steps:\n- {name: a, command: x}\n- {name: a, command: y}\n",
	                "job.yaml:3:3: found 'a', expected another name: the step in line 2 is called so"},
	};

	(void)state;
	EACH(p);
}

static void cycle_is_told_by_its_steps(void **state)
{
	static const struct pair p[] = {
	        {"steps:\n  a: {command: x, after: a}\n",
	                "job.yaml:2:26: found a step that waits for itself, expected 'a' to wait for another "
	                "step, or none"},
	        {"steps:\n  z: x\n  a: {command: x, after: [z, b]}\n  b: {command: x, after: c}\n  c: "
	         "{command: x, reduce: a}\n",
	                "job.yaml:3:6: found a cycle: a after b after c after a, expected steps that wait "
	                "only for steps that do "
	                "not wait for them"},
	        {"steps:\n  a: {command: x, inputs: {i: {from: b}}}\n  b: {command: x, stdin: {from: a}}\n",
	                "job.yaml:2:6: found a cycle: a after b after a, expected steps that wait only for "
	                "steps that do not wait "
	                "for them"},
	        {"steps:\n  compile: x\n  link: {command: x, after: complie}\n",
	                "job.yaml:3:29: found 'complie', expected the name of a step; did you mean "
	                "'compile'?"},
	        {"steps:\n  a: x\n  b: {command: x, after: [a, a]}\n",
	                "job.yaml:3:30: found 'a', expected each step once"},
	};

	(void)state;
	EACH(p);
}

static void array_of_none_or_too_many_is_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\narray: 0", "job.yaml:2:8: found '0', expected at least one task"},
	        {"command: x\narray: -5", "job.yaml:2:8: found '-5', expected at least one task"},
	        {"command: x\narray: 5..1", "job.yaml:2:8: found '5..1', expected at least one task: 5 to 1 "
	                                    "is empty; to count down, 'step -1'"},
	        {"command: x\narray: 1..5 step -1",
	                "job.yaml:2:8: found '1..5 step -1', expected at least one task: 1 to 5 is empty"},
	        {"command: x\narray: 1..5 step 0",
	                "job.yaml:2:8: found '1..5 step 0', expected a step other than 0"},
	        {"command: x\narray: []", "job.yaml:2:8: found an empty list, expected at least one value"},
	        {"command: x\narray: {}", "job.yaml:2:8: found a map, expected 1 to 16 parameters"},
	        {"command: x\narray: {f: {lines: empty}}",
	                "job.yaml:2:20: found 'empty', expected at least one task: the file has no lines"},
	        {"command: x\narray: {f: {lines: missing}}", "job.yaml:2:20: found 'missing', expected a "
	                                                     "file of lines that can be read (no such file)"},
	        {"command: x\narray: 10000001", "job.yaml:2:8: found more than 10000000 tasks, expected at "
	                                        "most 10000000 tasks in a job"},
	        {"command: x\narray: {a: 0..9999, b: 0..1000}",
	                "job.yaml:2:8: found more than 10000000 tasks, expected at most 10000000 tasks in a "
	                "job"},
	        {"command: x\narray: {a: -9223372036854775808..9223372036854775807, b: 1..2}",
	                "job.yaml:2:8: found more than 10000000 tasks, expected at most 10000000 tasks in a "
	                "job"},
	        {"steps:\n  m: {command: x, array: 10000000}\n  r: {command: x, reduce: {of: m, associative: "
	         "true}}\n",
	                "job.yaml:3:27: found more than 10000000 tasks, expected at most 10000000 tasks in a "
	                "job"},
	        {"steps:\n  m: {command: x, array: 1025}\n  r: {command: x, reduce: m}\n",
	                "job.yaml:3:27: found a reduction of too many inputs by one task, expected at most "
	                "1024 ('m' has 1025 tasks), "
	                "or 'associative: true', which makes it a tree"},
	        {"command: x\narray: {task: 1..2}", "job.yaml:2:9: found 'task', expected a parameter's "
	                                            "name: a letter or '_', then letters, digits or '_', and "
	                                            "none of those known everywhere (task, tasks, attempt, "
	                                            "job, job_name, step, node, devices)"},
	        {"command: x\narray: {i: 1-5}", "job.yaml:2:12: found '1-5', expected a range such as 0..99 "
	                                        "or 0..100 step 5, a list of values, or a map "
	                                        "with 'lines: FILE'"},
	        {"steps:\n  a: {command: x, array: 3}\n  b: {command: x, array: 4, after: {step: a, mode: "
	         "each}}\n",
	                "job.yaml:3:36: found steps of different sizes, expected 'mode: each' between steps "
	                "with as many tasks: 'b' "
	                "has 4, 'a' 3"},
	        {"steps:\n  a: {command: x, array: 3}\n  b: {command: x, inputs: {i: {from: a}}}\n",
	                "job.yaml:3:31: found steps of different sizes, expected a step with one task or as "
	                "many as here: 'b' has 1, "
	                "'a' 3; 'reduce' takes all"},
	};

	(void)state;
	EACH(p);
}

static void keys_of_a_step_beside_steps_are_told(void **state)
{
	(void)state;
	assert_string_equal(
	        wrong("inputs: [a, b, c]\noutputs: [a, b]\narray: {i: 1..2, j: 1..2}\nafter: [x, y]\n"
	              "steps: {s: {command: x, inputs: [a], outputs: [b], array: {i: 1..3}, after: t}, t: "
	              "y}\n"),
	        "job.yaml:1:1: found 'inputs', expected 'inputs' inside a step, since the job has 'steps'");
}

static void more_than_1024_steps_are_refused(void **state)
{
	static char text[40000];
	size_t n = (size_t)snprintf(text, sizeof(text), "steps:\n");

	(void)state;
	for (int i = 0; i < 1024; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  s%d: x\n", i);
	assert_int_equal(spec_of(text)->n_steps, 1024);
	(void)snprintf(text + n, sizeof(text) - n, "  more: x\n");
	assert_string_equal(wrong(text),
	        "job.yaml:2:3: found too many steps, expected at most 1024 steps; an 'array' makes one "
	        "step many tasks");
}

static void template_with_an_unknown_name_is_told(void **state)
{
	static const struct pair p[] = {
	        {"command: echo ${colr}\narray: {color: [r, g]}",
	                "job.yaml:1:10: found '${colr}', expected one of color, task, tasks, attempt, job, "
	                "job_name, step, node, "
	                "devices; did you mean 'color'?; $${ for a literal ${"},
	        {"command: [echo, 'a${']",
	                "job.yaml:1:17: found ${ without }, expected a name in braces; $${ for a literal ${"},
	        {"command: x\nenv: {A: '${}'}",
	                "job.yaml:2:10: found ${} without a name, expected a name; $${ for a literal ${"},
	        {"command: x\nstdin: ${HOME}", "job.yaml:2:8: found '${HOME}', expected one of task, tasks, "
	                                       "attempt, job, job_name, step, node, devices; $${ "
	                                       "for a literal ${"},
	        {"command: x\noutputs: ['${x}.txt']",
	                "job.yaml:2:11: found '${x}', expected one of task, tasks, attempt, job, job_name, "
	                "step, node, devices; $${ "
	                "for a literal ${"},
	        {"worker: {command: 'w ${index}', function: f}\narray: 3",
	                "job.yaml:1:19: found '${index}', expected one of tasks, attempt, job, job_name, "
	                "step, node, devices (a "
	                "worker serves many tasks); $${ for a literal ${"},
	};

	(void)state;
	EACH(p);
}

static void files_that_do_not_fit_are_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\ninputs: [missing]",
	                "job.yaml:2:10: found 'missing', expected a file that can be read (no such file)"},
	        {"command: x\ninputs: [/etc/passwd]", "job.yaml:2:10: found '/etc/passwd', expected a "
	                                              "relative path that stays in the task's folder"},
	        {"command: x\ninputs: {../x: a}", "job.yaml:2:10: found '../x', expected a relative path "
	                                          "that stays in the task's folder"},
	        {"command: x\ninputs: [{file: ../a}]", "job.yaml:2:10: found an input without 'path', "
	                                               "expected where it goes in the task's folder"},
	        {"command: x\ninputs: [a, {path: a, file: b}]",
	                "job.yaml:2:13: found a map, expected another path: 'a' is an input already"},
	        {"command: x\noutputs: [a, b/../c]", "job.yaml:2:14: found 'b/../c', expected a relative "
	                                             "path that stays in the task's folder"},
	        {"command: x\noutputs: [stdout]", "job.yaml:2:11: found 'stdout', expected another path: "
	                                          "standard output and error are always kept"},
	        {"command: x\noutputs: [a, a]",
	                "job.yaml:2:14: found 'a', expected another path: 'a' is an output already"},
	        {"steps:\n  a: x\n  b: {command: x, inputs: {i: {from: a, output: o}}}\n",
	                "job.yaml:3:31: found 'o', expected stdout or one of the 'outputs' of step 'a'"},
	        {"steps:\n  a: x\n  b: {command: x, after: {step: a, on: failure}, stdin: {from: a}}\n",
	                "job.yaml:3:57: found 'a', expected a step awaited 'on: success': there is no output "
	                "otherwise"},
	        {"command: x\nstdin: {text: a, file: b}",
	                "job.yaml:2:8: found a map, expected exactly one of 'text', 'file' and 'from'"},
	        {"worker: {command: w, function: f}\nstdin: x",
	                "job.yaml:2:8: found 'stdin' of a worker, expected 'args' in 'worker'; the engine "
	                "talks to a worker "
	                "otherwise"},
	};

	(void)state;
	EACH(p);
}

static void every_mistake_is_told_in_the_order_of_the_file(void **state)
{
	char text[1000];
	size_t n = 0;

	(void)state;
	assert_string_equal(wrong("priority: 500\ngrace: x\ncommand: []\nhold: 1\n"),
	        "job.yaml:1:11: found '500', expected a whole number from 0 to 100\n"
	        "job.yaml:2:8: found 'x', expected a time span such as 100ms, 5s, 3m, 1h30m or 2d, at most "
	        "100 years\n"
	        "job.yaml:3:10: found an empty list, expected a program and its arguments\n"
	        "job.yaml:4:7: found '1', expected true or false");
	for (int i = 0; i < 30; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%d: 1\n", i);
	assert_null(spec_of_n(text, n));
	assert_int_equal(n_problems, JOBSPEC_PROBLEMS_MAX);
}

static void what_is_found_is_cut_and_made_printable(void **state)
{
	char text[400] = "command: x\nname: \"\\e[31m";

	(void)state;
	memset(text + strlen(text), 'a', 200);
	text[strlen(text)] = '"';
	assert_memory_equal(wrong(text), "job.yaml:2:7: found '?[31maaaa", 30);
	assert_non_null(strstr(complaint, "aaa...', expected a name"));
}

static void parameters_cannot_blow_a_job_up(void **state)
{
	static char text[400000];
	size_t n = (size_t)snprintf(text, sizeof(text), "parameters:\n  a: ");

	(void)state;
	memset(text + n, 'x', 4096);
	n += 4096;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\ncommand:\n");
	for (int i = 0; i < 2000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- ${a}${a}${a}\n");
	assert_null(spec_of_n(text, n));
	assert_non_null(strstr(complaint, "expected a job of at most 4 MiB once its parameters are put in"));
}

static void job_too_long_for_the_journal_is_refused(void **state)
{
	static char text[1 << 20];
	size_t n = (size_t)snprintf(text, sizeof(text), "env: {A: ");

	(void)state;
	memset(text + n, 'x', 100000);
	n += 100000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "}\nsteps:\n");
	for (int i = 0; i < 41; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  s%d: x\n", i);
	assert_non_null(spec_of_n(text, n));
	n += (size_t)snprintf(text + n, sizeof(text) - n, "  more: x\n");
	assert_null(spec_of_n(text, n));
	assert_string_equal(complaint,
	        "job.yaml:1:6: found too long an environment for so many steps, expected at most 4 MiB in "
	        "all; a file among the 'inputs' can be longer");
	n = (size_t)snprintf(text, sizeof(text), "env: {");
	for (int i = 0; i < 700; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "V%d: x,", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "}\nsteps:\n");
	for (int i = 0; i < 1024; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  s%d: x\n", i);
	assert_null(spec_of_n(text, n));
	assert_string_equal(complaint,
	        "job.yaml:1:1: found too long a job, expected at most 4 MiB once it is written out; long "
	        "lists can be files: array: {x: {lines: FILE}}");
}

/* Each step carries the environment of the top: few bytes, and more values than the journal reads again. */
static const Wire__JobSpec *shared_variables(unsigned n_vars)
{
	static char text[1 << 16];
	size_t n = (size_t)snprintf(text, sizeof(text), "env: {");

	for (unsigned i = 0; i < n_vars; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%c: '',", 'A' + i / 26, 'a' + i % 26);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "}\nsteps:\n");
	for (int i = 0; i < 1024; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  s%d: x\n", i);
	return spec_of_n(text, n);
}

static void job_with_too_many_values_for_the_journal_is_refused(void **state)
{
	const Wire__JobSpec *spec = shared_variables(490);
	uint8_t *bytes;
	size_t n;

	(void)state;
	assert_non_null(spec);
	n = jobspec_size(spec);
	bytes = malloc(n);
	assert_non_null(bytes);
	assert_int_equal(jobspec_encode(spec, bytes), n);
	assert_int_equal(
	        scan_message(&wire__job_spec__descriptor, bytes, n, (uint32_t)jobspec_values(spec), NULL), 0);
	assert_int_equal(scan_message(&wire__job_spec__descriptor, bytes, n, 1024 * 490 * 2, NULL), -1);
	free(bytes);
	assert_null(shared_variables(510));
	assert_non_null(strstr(complaint,
	        "job.yaml:1:1: found too long a job, expected at most 1048512 keys and values once it is "));
}

static void step_that_could_not_start_is_refused(void **state)
{
	static char text[1 << 18];
	size_t n = (size_t)snprintf(text, sizeof(text), "command: [x, ");

	(void)state;
	memset(text + n, 'x', 131071);
	(void)snprintf(text + n + 131071, sizeof(text) - n - 131071, ", '${task}']\n");
	assert_non_null(spec_of_n(text, strlen(text)));
	n = strlen(text);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "env: {A: ");
	memset(text + n, 'x', 60000);
	(void)snprintf(text + n + 60000, sizeof(text) - n - 60000, "}\n");
	assert_null(spec_of_n(text, strlen(text)));
	assert_string_equal(complaint,
	        "job.yaml:1:1: found a command, environment and paths of files of 191144 bytes, expected at "
	        "most 184 KiB of them for one task; long texts can be files: 'inputs' or 'stdin'");
	n = (size_t)snprintf(text, sizeof(text), "command: [x");
	for (int i = 0; i < 8000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",x");
	(void)snprintf(text + n, sizeof(text) - n, "]\n");
	assert_null(spec_of_n(text, strlen(text)));
	assert_string_equal(
	        complaint, "job.yaml:1:10: found a list, expected a program and fewer than 8000 arguments");
}

static void job_that_does_not_fit_its_memory_is_refused(void **state)
{
	_Alignas(16) static uint8_t small[6000];
	const char *text = "command: x\narray: 10\nenv: {A: b}\n";
	const struct doc *root;
	const Wire__JobSpec *spec;
	struct arena a;

	(void)state;
	growing_clear(&mem);
	assert_int_equal(doc_yaml_parse(&mem.arena, text, strlen(text), &root, problems), 0);
	for (size_t room = 0; room < 1200; room += 16) {
		arena_init(&a, small, room);
		assert_int_equal(jobspec_from_doc(&a, root, &job_in, &spec, problems, &n_problems), -1);
		assert_string_equal(problems[0].found, "a job too large to be read");
	}
	arena_init(&a, small, sizeof(small));
	assert_int_equal(jobspec_from_doc(&a, root, &job_in, &spec, problems, &n_problems), 0);
}

static void what_cannot_be_a_gang_is_told(void **state)
{
	static const struct pair p[] = {
	        {"command: x\ngang: 1\n", "job.yaml:2:7: found '1', expected a whole number from 2 to 64"},
	        {"command: x\ngang: 65\n", "job.yaml:2:7: found '65', expected a whole number from 2 to 64"},
	        {"command: x\ngang: {spread: node}\n",
	                "job.yaml:2:7: found 'gang' without 'size', expected how many members each task has"},
	        {"command: x\ngang: {size: 2, spread: hall}\n", "job.yaml:2:25: found 'hall', expected node"},
	        {"command: x\ngang: {size: 2, on: node}\n",
	                "job.yaml:2:17: found 'on', expected one of size, spread"},
	        {"worker: {command: x, function: f}\ngang: 2\n",
	                "job.yaml:2:1: found 'gang', expected either 'gang' or 'worker': the members of a "
	                "gang are "
	                "processes"},
	        {"command: x\nverify: 3\ngang: 2\n",
	                "job.yaml:3:1: found 'gang', expected either 'gang' or 'verify'"},
	        {"steps: {a: x, b: {command: y, reduce: a, gang: 2}}\n",
	                "job.yaml:1:42: found 'gang', expected either 'gang' or 'reduce'"},
	        {"command: x\nclass: realtime\ngang: 2\n", "job.yaml:3:1: found 'gang', expected 'class: "
	                                                   "batch': nothing is moved aside for a gang"},
	        {"command: x\nconcurrency: 3\ngang: 4\n",
	                "job.yaml:3:1: found 'gang', expected a 'concurrency' of at least 4: each member of "
	                "a gang "
	                "counts"},
	        {"gang: 2\nsteps: {a: x}\n", "job.yaml:1:1: found 'gang', expected 'gang' inside a step, "
	                                     "since the job has 'steps'"},
	};

	(void)state;
	EACH(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_cannot_be_a_gang_is_told),
	        cmocka_unit_test(unknown_key_is_told_with_the_nearest),
	        cmocka_unit_test(wrong_values_are_told),
	        cmocka_unit_test(places_that_cannot_be_are_told),
	        cmocka_unit_test(disconnect_that_cannot_be_is_told),
	        cmocka_unit_test(command_that_is_none_is_told),
	        cmocka_unit_test(cycle_is_told_by_its_steps),
	        cmocka_unit_test(array_of_none_or_too_many_is_told),
	        cmocka_unit_test(keys_of_a_step_beside_steps_are_told),
	        cmocka_unit_test(more_than_1024_steps_are_refused),
	        cmocka_unit_test(template_with_an_unknown_name_is_told),
	        cmocka_unit_test(files_that_do_not_fit_are_told),
	        cmocka_unit_test(every_mistake_is_told_in_the_order_of_the_file),
	        cmocka_unit_test(what_is_found_is_cut_and_made_printable),
	        cmocka_unit_test(parameters_cannot_blow_a_job_up),
	        cmocka_unit_test(job_too_long_for_the_journal_is_refused),
	        cmocka_unit_test(job_with_too_many_values_for_the_journal_is_refused),
	        cmocka_unit_test(step_that_could_not_start_is_refused),
	        cmocka_unit_test(job_that_does_not_fit_its_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, mem_setup, mem_teardown);
}
