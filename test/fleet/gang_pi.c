/* SPDX-License-Identifier: Apache-2.0 */
/* gang_pi - pi by the midpoint rule, over all ranks of an MPI program: for gang.py. Says who it is on stderr. */
#include <stdio.h>
#include <stdlib.h>

#include <mpi.h>

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000;
	double part = 0, pi = 0, x;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	for (long i = rank; i < n; i += size) {
		x = ((double)i + 0.5) / (double)n;
		part += 4 / (1 + x * x) / (double)n;
	}
	MPI_Reduce(&part, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
	fprintf(stderr, "rank %d of %d is member %s\n", rank, size, getenv("OSIER_GANG_RANK"));
	if (rank == 0)
		printf("%.9f\n", pi);
	return MPI_Finalize();
}
