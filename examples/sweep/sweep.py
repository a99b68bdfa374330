# SPDX-License-Identifier: Apache-2.0
"""The worker of sweep.yaml: how long does the logistic map x -> r x (1 - x) take to settle, and into what?"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sdk/python"))
from osier import worker  # noqa: E402


@worker.function
def settle(task):
    """Period of the orbit for one r and one start (0: none up to 64, so chaotic as far as we look)."""
    p = task.params
    r, x = float(p["r"]) / 1000, float(p["x"]) / 100
    for _ in range(20000):
        x = r * x * (1 - x)
    orbit, y = 0, x
    for period in range(1, 65):
        y = r * y * (1 - y)
        if abs(y - x) < 1e-9:
            orbit = period
            break
    return json.dumps({"r": r, "period": orbit})


@worker.function
def summary(task):
    """Where each period begins: the inputs are the results of settle, in order."""
    first = {}
    for data in task.inputs:
        point = json.loads(data)
        first.setdefault(point["period"], point["r"])
    lines = ["period %-4s first seen at r = %.3f" % (p or "none", r) for p, r in sorted(first.items(), key=lambda i: i[1])]
    return "%d points\n%s\n" % (len(task.inputs), "\n".join(lines))


worker.run()
