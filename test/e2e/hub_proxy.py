#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hub_proxy - a bad cable: forwards TCP to a port of this machine, and cuts all connections after so many bytes, so many times.

usage: hub_proxy.py PORT CUT_BYTES CUTS RATE COUNT_FILE
Prints its own port. RATE: bytes a second towards the client and back, 0 as fast as it goes. COUNT_FILE gets the bytes forwarded so far.
"""
import os
import selectors
import socket
import sys
import time

port, cut_bytes, cuts, rate, count_file = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
sel = selectors.DefaultSelector()
sel.register(listener, selectors.EVENT_READ)
peer, total, next_cut, due = {}, 0, cut_bytes, time.monotonic()


def drop(s):
    for x in (s, peer.pop(s, None)):
        if x is not None:
            peer.pop(x, None)
            try:
                sel.unregister(x)
            except (KeyError, ValueError):
                pass
            x.close()


def say():
    with open(count_file + ".new", "w") as f:
        f.write(str(total))
    os.replace(count_file + ".new", count_file)


say()
told = 0
while True:
    for key, _ in sel.select():
        s = key.fileobj
        if s is listener:
            a, _ = listener.accept()
            try:
                b = socket.create_connection(("127.0.0.1", port))
            except OSError:
                a.close()
                continue
            peer[a], peer[b] = b, a
            sel.register(a, selectors.EVENT_READ)
            sel.register(b, selectors.EVENT_READ)
            continue
        if s not in peer:
            continue
        try:
            data = s.recv(1 << 18)
            if data:
                peer[s].sendall(data)
        except OSError:
            data = b""
        if not data:
            drop(s)
            continue
        total += len(data)
        if rate:
            now = time.monotonic()
            due = max(due, now - 0.2) + len(data) / rate  # who was idle may not make up for it
            if due > now:
                time.sleep(min(due - now, 0.2))
        if total - told > 1 << 20:
            told = total
            say()
        if cuts and total >= next_cut:
            cuts -= 1
            next_cut += cut_bytes
            for x in list(peer):
                drop(x)
            break
    else:
        say()
