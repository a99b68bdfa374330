/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_gearman - no-op foreground jobs a second through gearmand (not durable): `peer_gearman worker PORT`,
 * `peer_gearman client PORT N`. The client keeps 1,000 jobs in flight. Prints JSON.
 */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static gearman_return_t noop(gearman_job_st *job, void *context)
{
	(void)job;
	(void)context;
	return GEARMAN_SUCCESS;
}

static int worker(in_port_t port)
{
	gearman_worker_st *w = gearman_worker_create(NULL);
	gearman_function_t f = gearman_function_create(noop);

	if (gearman_failed(gearman_worker_add_server(w, "127.0.0.1", port)) ||
	        gearman_failed(gearman_worker_define_function(w, "noop", 4, f, 0, NULL)))
		return 1;
	while (gearman_success(gearman_worker_work(w)))
		;
	return 1;
}

static int client(in_port_t port, size_t n)
{
	gearman_client_st *c = gearman_client_create(NULL);
	struct timespec a, b;
	double s;

	if (gearman_failed(gearman_client_add_server(c, "127.0.0.1", port)))
		return 1;
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	for (size_t done = 0; done < n; done += 1000) {
		for (int i = 0; i < 1000; i++) {
			gearman_return_t r;

			(void)gearman_client_add_task(c, NULL, NULL, "noop", NULL, "x", 1, &r);
			if (gearman_failed(r)) {
				(void)fprintf(stderr, "add: %s\n", gearman_client_error(c));
				return 1;
			}
		}
		if (gearman_failed(gearman_client_run_tasks(c))) {
			(void)fprintf(stderr, "run: %s\n", gearman_client_error(c));
			return 1;
		}
		gearman_client_task_free_all(c);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	(void)printf("{\"tasks_per_s\": %.0f}\n", (double)n / s);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "worker"))
		return worker((in_port_t)atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "client"))
		return client((in_port_t)atoi(argv[2]), (size_t)atol(argv[3]));
	(void)fprintf(stderr, "usage: see the head of bench/peer_gearman.c\n");
	return 2;
}
