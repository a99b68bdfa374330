# SPDX-License-Identifier: Apache-2.0
"""No-op tasks a second through Dask distributed: a scheduler and two worker processes of one thread. Prints JSON."""
import json
import sys
import time

from distributed import Client, LocalCluster


def noop(i):
    return None


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50)
    with cluster, Client(cluster) as client:
        client.gather(client.map(noop, range(200), pure=False))
        t = time.perf_counter()
        client.gather(client.map(noop, range(n), pure=False))
        print(json.dumps({"tasks_per_s": n / (time.perf_counter() - t)}), flush=True)
