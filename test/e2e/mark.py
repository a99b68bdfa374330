# SPDX-License-Identifier: Apache-2.0
"""A worker whose task leaves a line in the file it is told, sleeps a little, and returns a number made from its index."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sdk/python"))
from osier import worker  # noqa: E402


@worker.function
def mark(task):
    path, ms = task.args.split()
    with open(path, "a") as f:
        f.write("%d\n" % task.index)
    time.sleep(int(ms) / 1000)
    return str(task.index * 7)


@worker.function
def eat(task):
    """Takes 300 MiB of memory, or of its folder, with its args "memory" or "disk"."""
    if task.args == "memory":
        return str(len(bytearray(300 << 20)))
    for i in range(300):
        with open("eaten-%d" % i, "wb") as f:
            f.write(bytes(1 << 20))
        time.sleep(0.01)
    return ""


worker.run()
