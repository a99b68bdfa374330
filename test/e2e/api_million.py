# SPDX-License-Identifier: Apache-2.0
"""A million requests, good and bad, sent one after the other without waiting: all are answered, in order, while others are
served, and memory stays what it was. And what is not HTTP, which is no reason to wait for anything either."""
import os
import threading
import time

import api_node
from api_node import Node, done, ok

REQUESTS = int(os.environ.get("REQUESTS", 100000 if api_node.sanitized() else 1000000))
CLIENTS = 4
GROWTH = (512 if api_node.sanitized() else 24) << 20
BATCH = [b"GET /v1/nosuch HTTP/1.1\r\nHost: x\r\n\r\n"] * 46 + [
    b"GET /v1/jobs/1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{{{{{",
    b"POST /v1/jobs/1/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /v1/nosuch HTTP/1.1\r\nHost: x\r\n\r\n"]
WANTED = [404] * 46 + [200, 400, 409, 404]


class Client:
    def __init__(self, n, batches):
        self.s = n.connect(60)
        self.batches, self.codes, self.wrong, self.rest = batches, 0, None, b""
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.read)]
        for t in self.threads:
            t.start()

    def send(self):
        data = b"".join(BATCH)
        try:
            for _ in range(self.batches):
                self.s.sendall(data)
        except OSError as e:
            self.wrong = self.wrong or repr(e)

    def read(self):
        want = self.batches * len(BATCH)
        try:
            while self.codes < want:
                piece = self.s.recv(1 << 20)
                if not piece:
                    break
                # The status line's beginning may lie across two pieces; nothing else of an answer looks like it.
                parts = (self.rest + piece).split(b"HTTP/1.1 ")
                for p in parts[1:-1]:
                    self.one(p)
                self.rest = b"HTTP/1.1 " + parts[-1] if len(parts) > 1 else parts[0]
                if self.codes == want - 1 and self.rest.rstrip().endswith(b"}"):
                    self.one(self.rest[9:])
        except OSError as e:
            self.wrong = self.wrong or repr(e)

    def one(self, answer):
        code, want = int(answer[:3]), WANTED[self.codes % len(WANTED)]
        if code != want and not self.wrong:
            self.wrong = "answer %d is %r, not %d" % (self.codes, answer[:300], want)
        self.codes += 1

    def wait(self):
        for t in self.threads:
            t.join()
        self.s.close()


def not_http(n):
    for name, data in [("garbage", b"garbage\r\n\r\n"), ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n"),
                       ("a version to come", b"GET /v1/jobs HTTP/9.9\r\n\r\n"), ("HTTP 0.9", b"GET /v1/jobs\r\n\r\n"),
                       ("a length that is none", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n"),
                       ("no host", b"GET /v1/jobs HTTP/1.1\r\n\r\n"),
                       ("a header without a colon", b"GET /v1/jobs HTTP/1.1\r\nHost x\r\n\r\n"),
                       ("chunks that are none", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")]:
        with n.connect(10) as s:
            s.sendall(data)
            got = b""
            try:
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        break
                    got += piece
            except OSError as e:
                got = repr(e).encode()
            ok(got == b"" or (got.startswith(b"HTTP/1.1 ") and got[9:10] in b"45"), "%s is refused and hung up on" % name, got[:300])


def main():
    with Node() as n:
        not_http(n)
        job = n.submit({"name": "victim", "command": "true"})
        n.finish(job)
        warm = [Client(n, 100) for _ in range(CLIENTS)]
        for c in warm:
            c.wait()
        before = n.resident()
        began = time.monotonic()
        clients = [Client(n, REQUESTS // len(BATCH) // CLIENTS) for _ in range(CLIENTS)]
        worst, served = 0, 0
        while any(t.is_alive() for c in clients for t in c.threads):
            at = time.monotonic()
            if served % 10 == 0:
                n.finish(n.submit({"name": "beside", "command": "true"}), 60)
            else:
                assert n.ask("GET", "/v1/version")[0] == 200
            worst = max(worst, time.monotonic() - at)
            served += 1
            time.sleep(0.1)
        for c in clients:
            c.wait()
        took = time.monotonic() - began
        total = sum(c.codes for c in clients)
        print("# %d requests in %.1f s; beside them %d of others, the slowest %.0f ms" % (total, took, served, worst * 1000))
        ok(total == REQUESTS // len(BATCH) // CLIENTS * CLIENTS * len(BATCH), "each of %d requests is answered" % total, [c.codes for c in clients])
        ok(not any(c.wrong for c in clients), "with what it asked for, in order", [c.wrong for c in clients])
        ok(served >= 5 and worst < 10, "others are served meanwhile", (served, worst))
        grown = n.resident() - before
        ok(grown < GROWTH, "memory stays what it was", "%d bytes more" % grown)
    done()


main()
