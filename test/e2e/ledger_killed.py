# SPDX-License-Identifier: Apache-2.0
"""ledger_killed - watch a node's published heads while it is killed, and hold them against the entries. Shares no code with osier.

ledger_killed.py watch SOCKET FILE            append each new checkpoint to FILE, until SIGTERM; connections may fail
ledger_killed.py check FILE ENTRIES VKEY      every head in FILE is of one log, that of the entries (lines of hex leaf hashes)
"""
import http.client
import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from receipt_check import checkpoint, tree  # noqa: E402


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("osier", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


def watch(path, out):
    going = True

    def end(*_):
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, end)
    last, c = None, None
    with open(out, "a") as f:
        while going:
            try:
                c = c or Unix(path)
                c.request("GET", "/v1/ledger/checkpoint")
                r = c.getresponse()
                note = r.read()
                if r.status == 200 and note != last:
                    last = note
                    f.write(json.dumps(note.decode()) + "\n")
                    f.flush()
            except (OSError, http.client.HTTPException):
                c = None
            time.sleep(0.005)


def check(file, entries, vkey):
    leaves = [bytes.fromhex(line) for line in open(entries).read().split()]
    notes = [json.loads(line) for line in open(file)]
    by_size, before = {}, 0
    for note in notes:
        size, root = checkpoint(note, vkey)
        assert size >= before, "a head of %d entries came after one of %d" % (size, before)
        before = size
        assert by_size.setdefault(size, note) == note, "two heads of %d entries" % size
        assert size <= len(leaves), "a head of %d entries, the journal has %d" % (size, len(leaves))
        assert tree(leaves[:size]) == root, "the head of %d entries is not of these entries" % size
    print("%d heads of %d sizes, the last of %d entries" % (len(notes), len(by_size), before))


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch(*sys.argv[2:])
    else:
        check(*sys.argv[2:])
