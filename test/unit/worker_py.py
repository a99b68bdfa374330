# SPDX-License-Identifier: Apache-2.0
"""Facts about the Python worker's calls: whatever a function raises fails its task and nothing else."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "sdk", "python"))
from osier import worker  # noqa: E402

sys.stderr = open(os.devnull, "w", errors="backslashreplace")  # tracebacks go to the worker's log


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError


@worker.function
def says(task):
    raise ValueError("bad \udcff bytes")


@worker.function
def fails(task):
    raise worker.Fail("why", code=7)


@worker.function
def fails_with_text_for_a_code(task):
    raise worker.Fail("why", code="7")


@worker.function
def unsayable(task):
    raise Unsayable()


@worker.function
def returns_what_utf8_cannot(task):
    return "\ud800"


@worker.function
def returns_json(task):
    return {"a": [1, None]}


EXPECTED = {
    "says": (1, 1, b"ValueError: bad ? bytes"),
    "fails": (1, 7, b"why"),
    "fails_with_text_for_a_code": (1, 1, b"why"),
    "unsayable": (1, 1, b"Unsayable: an exception without a text"),
    "returns_json": (0, 0, b'{"a": [1, null]}'),
    "not_there": (2, 1, b"this worker has no function 'not_there'"),
}

bad = 0
print("1..%d" % (len(EXPECTED) + 1))
w = worker._Worker.__new__(worker._Worker)
for i, (name, want) in enumerate(EXPECTED.items()):
    got = w.call(None, name)
    bad += got != want
    print("%s %d - %s" % ("ok" if got == want else "not ok", i + 1, name), "" if got == want else "# %r" % (got,))
got = w.call(None, "returns_what_utf8_cannot")
bad += got[:2] != (1, 1)
print("%s %d - returns_what_utf8_cannot" % ("ok" if got[:2] == (1, 1) else "not ok", len(EXPECTED) + 1))
sys.exit(bad != 0)
