#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ledger_tiles - logs of others, made and read without a line of osier (C2SP tlog-tiles, tlog-checkpoint, tlog-witness).

ledger_tiles.py make DIR SIZE [FORK]        a log of SIZE entries (entry i: i in 4 bytes, big-endian) as a folder, signed with the key in
                                            KEY.pem (made when it is not there; KEY.vkey beside); from entry FORK on it has others
ledger_tiles.py check WHERE VKEY [noentries] a folder or an address: every tile and entry, the head, proofs made from the tiles
ledger_tiles.py http URL                    what a server of a log answers besides: headers, partial tiles, hostile requests
ledger_tiles.py serve DIR                   prints its address; /plain/ is DIR, /MODE/ is DIR told by a liar
ledger_tiles.py fork DIR VKEY               the evidence in DIR is evidence
"""
import base64
import gzip
import http.client
import http.server
import json
import os
import random
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

from receipt_check import checkpoint, included, leaf, node, sha, tile, tree


# ---- making ----

def key():
    if not os.path.exists("KEY.pem"):
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "KEY.pem"], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", "KEY.pem", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        public = b"\1" + der[-32:]
        with open("KEY.vkey", "w", encoding="ascii") as f:
            f.write("other.example/log+%s+%s\n" % (sha(b"other.example/log\n" + public)[:4].hex(), base64.b64encode(public).decode()))
    with open("KEY.vkey", encoding="ascii") as f:
        return f.read().strip()


def sign(size, root):
    vkey = key()
    text = "other.example/log\n%d\n%s\n" % (size, base64.b64encode(root).decode())
    with open("KEY.text", "w", encoding="utf-8") as f:
        f.write(text)
    sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", "KEY.pem", "-rawin", "-in", "KEY.text"], check=True,
                         capture_output=True).stdout
    return text + "\n\u2014 other.example/log %s\n" % base64.b64encode(bytes.fromhex(vkey.split("+")[1]) + sig).decode()


def put(top, name, data):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def make(top, size, fork=None):
    size = int(size)
    entries = [struct.pack(">I", i) for i in range(size)]
    for i in range(int(fork) if fork else size, size):
        entries[i] = b"fork" + entries[i]
    for n in range((size + 255) // 256):
        some = entries[256 * n:256 * n + 256]
        put(top, tile("entries", n, len(some)), b"".join(struct.pack(">H", len(e)) + e for e in some))
    level, hashes = 0, [leaf(e) for e in entries]
    root = tree(hashes)
    while hashes:
        for n in range((len(hashes) + 255) // 256):
            some = hashes[256 * n:256 * n + 256]
            put(top, tile(str(level), n, len(some)), b"".join(some))
        hashes = [tree(hashes[256 * n:256 * n + 256]) for n in range(len(hashes) // 256)]
        level += 1
    put(top, "checkpoint", sign(size, root).encode())


# ---- reading ----

class Log:
    """A log at an address or in a folder, by its files."""

    def __init__(self, where):
        self.where, self.conn = where, None
        if where.startswith("http:"):
            self.url = urllib.parse.urlsplit(where)
            self.conn = http.client.HTTPConnection(self.url.netloc, timeout=30)

    def get(self, name):
        if not self.conn:
            with open(os.path.join(self.where, name), "rb") as f:
                return f.read()
        self.conn.request("GET", self.url.path + "/" + name)
        r = self.conn.getresponse()
        body = r.read()
        assert r.status == 200, "%s: %d %s" % (name, r.status, body[:100])
        return body


def path_of(leaves, index):
    """RFC 6962, 2.1.1."""
    n = len(leaves)
    if n == 1:
        return []
    k = 1
    while 2 * k < n:
        k *= 2
    if index < k:
        return path_of(leaves[:k], index) + [tree(leaves[k:])]
    return path_of(leaves[k:], index - k) + [tree(leaves[:k])]


def consistent(m, n, root_m, root_n, path):
    """RFC 9162, 2.1.4.2."""
    assert 0 < m < n and path, "not a proof between two sizes"
    path = list(path) if m & (m - 1) else [root_m] + list(path)
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        assert sn, "the path is too long"
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node(sr, c)
        fn >>= 1
        sn >>= 1
    assert sn == 0, "the path is too short"
    return fr == root_m, sr == root_n


def check(where, vkey, what="entries"):
    log = Log(where)
    size, root = checkpoint(log.get("checkpoint").decode(), vkey)
    leaves, level = [], 0
    for n in range((size + 255) // 256):
        width = min(256, size - 256 * n)
        hashes = log.get(tile("0", n, width))
        assert len(hashes) == 32 * width
        leaves += [hashes[i:i + 32] for i in range(0, len(hashes), 32)]
        if what == "noentries":
            continue
        bundle, i, k = log.get(tile("entries", n, width)), 0, 256 * n
        while i < len(bundle):
            length = struct.unpack_from(">H", bundle, i)[0]
            assert sha(b"\0" + bundle[i + 2:i + 2 + length]) == leaves[k], "entry %d is not what its leaf says" % k
            i, k = i + 2 + length, k + 1
        assert k == 256 * n + width, "the bundle ends with entry %d" % k
    assert len(leaves) == size and tree(leaves) == root, "the tree is not the signed one"
    hashes = leaves
    while len(hashes) >= 256:
        hashes = [tree(hashes[256 * n:256 * n + 256]) for n in range(len(hashes) // 256)]
        level += 1
        for n in range((len(hashes) + 255) // 256):
            some = hashes[256 * n:256 * n + 256]
            assert log.get(tile(str(level), n, len(some))) == b"".join(some), "a tile of level %d is wrong" % level
    rng = random.Random(size)
    for index in [0, size - 1] + [rng.randrange(size) for _ in range(8)]:
        included(leaves[index], index, size, path_of(leaves, index), root)
    print(json.dumps({"size": size, "root": root.hex()}))


def ask(conn, method, path, headers=None, body=None):
    conn.request(method, path, body=body, headers=headers or {})
    r = conn.getresponse()
    return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()


def http_rules(url):
    """What C2SP and good manners ask of the server of a log of more than 512 entries."""
    u = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(u.netloc, timeout=30)
    status, head, note = ask(c, "GET", "/checkpoint")
    assert status == 200 and head["content-type"] == "text/plain; charset=utf-8" and "max-age" in head["cache-control"]
    size = int(note.split(b"\n")[1])
    status, again, body = ask(c, "GET", "/checkpoint", {"If-None-Match": head["etag"]})
    assert (status == 304 and body == b"") or again["etag"] != head["etag"]
    status, head, full = ask(c, "GET", "/tile/0/000")
    assert status == 200 and len(full) == 8192 and head["content-type"] == "application/octet-stream"
    assert "immutable" in head["cache-control"] and "content-encoding" not in head
    for width in (1, 2, 17, 255):
        assert ask(c, "GET", "/tile/0/000.p/%d" % width)[2] == full[:32 * width]
        bundle = ask(c, "GET", "/tile/entries/001.p/%d" % width)[2]
        assert ask(c, "GET", "/tile/entries/001")[2].startswith(bundle)
    status, head, body = ask(c, "HEAD", "/tile/0/000")
    assert status == 200 and body == b"" and head["content-length"] == "8192"
    plain = ask(c, "GET", "/tile/entries/000")[2]
    for accept, small in (("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("deflate", False), ("gzipped", False)):
        status, head, body = ask(c, "GET", "/tile/entries/000", {"Accept-Encoding": accept})
        assert status == 200 and (head.get("content-encoding") == "gzip") == small, accept
        assert head["vary"] == "Accept-Encoding" and (gzip.decompress(body) if small else body) == plain
    last = size // 256
    assert ask(c, "GET", "/tile/0/%03d.p/%d" % (last, size % 256 or 1))[0] in (200, 404)
    for path in ("/", "/tile", "/tile/", "/tile/0", "/tile/0/", "/tile/0/0", "/tile/0/0000", "/tile/0/000.p/", "/tile/0/000.p/0",
                 "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/00/000", "/tile/64/000", "/tile/8/000", "/tile/-1/000",
                 "/tile/0/x000/000", "/tile/0/%30%30%30", "/tile/0/000/", "//tile/0/000", "/tile//0/000", "/tile/0/../0/000",
                 "/./checkpoint", "/checkpoint/", "/CHECKPOINT", "/tile/0/%03d" % (last + 1), "/tile/0/x999/x999/x999/x999/x999/x999/999",
                 "/tile/entries/x999/999", "/v1/jobs", "/v1/ledger", "/etc/passwd", "/../keys/log.key", "/tile/0/000%00", "/" + "a" * 5000):
        status, head, body = ask(c, "GET", path)
        assert status == 404 and head["content-type"].startswith("text/plain") and body.endswith(b"\n"), (path, status, body)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        c = http.client.HTTPConnection(u.netloc, timeout=30)
        status, head, body = ask(c, method, "/checkpoint", body=b"x" * 1000 if method == "POST" else None)
        assert status == 405 and head["allow"] == "GET, HEAD", method
    for raw in (b"\0" * 100, b"GET\r\n\r\n", b"GET /checkpoint HTTP/9.9\r\n\r\n", b"GET /checkpoint HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                b"GET /checkpoint HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"):
        with socket.create_connection((u.hostname, u.port), timeout=2) as s:  # no answer is an answer to what is no request
            try:
                s.sendall(raw)
                s.shutdown(socket.SHUT_WR)
                answer = b""
                while len(answer) < 65536 and (piece := s.recv(65536)):
                    answer += piece
            except OSError:
                continue
            assert b" 200 " not in answer.split(b"\r\n")[0], (raw[:40], answer[:80])
    # Many that say nothing, then more than one address may have: those that come later wait or are refused; the server lives.
    idle = [socket.create_connection((u.hostname, u.port), timeout=30) for _ in range(80)]
    for s in idle:
        s.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            c = http.client.HTTPConnection(u.netloc, timeout=30)
            assert ask(c, "GET", "/checkpoint")[0] == 200
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "it does not answer any more"
            time.sleep(0.1)
    print(json.dumps({"size": size}))


# ---- lying ----

class Liar(http.server.BaseHTTPRequestHandler):
    """/MODE/PATH: the file of the folder, but for what the mode says."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    top = "."

    def log_message(self, *_):
        pass

    def answer(self, status, body, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            self.serve()
        except OSError:
            self.close_connection = True

    def serve(self):
        _, mode, name = self.path.split("/", 2)
        try:
            with open(os.path.join(self.top, name), "rb") as f:
                data = f.read()
        except OSError:
            return self.answer(404, b"no\n")
        flipped = data[:5] + bytes([data[5] ^ 4]) + data[6:]
        special = {"tile": name == "tile/0/005", "edge": name.startswith("tile/0/") and ".p/" in name, "entry": name == "tile/entries/007",
                   "upper": name == "tile/1/000", "note": name == "checkpoint"}
        if mode in special and special[mode]:
            return self.answer(200, flipped)
        if mode == "short" and special["tile"]:
            return self.answer(200, data[:4096])
        if mode == "long" and special["tile"]:
            return self.answer(200, data + b"\0" * 32)
        if mode == "cut" and special["tile"]:
            self.answer(200, data[:4096], len(data))
            self.close_connection = True
            return None
        if mode == "empty" and special["tile"]:
            return self.answer(200, b"")
        if mode == "hang" and special["tile"]:
            time.sleep(20)
        if mode == "drip" and special["tile"]:
            self.answer(200, b"", len(data))
            for i in range(200):
                self.wfile.write(data[i:i + 1])
                self.wfile.flush()
                time.sleep(0.1)
            return None
        if mode == "endless" and special["tile"]:
            self.answer(200, b"", 1 << 40)
            while True:
                self.wfile.write(b"\0" * 65536)
        if mode == "garbage" and special["note"]:
            return self.answer(200, bytes(range(256)) * 20)
        if mode == "page" and special["note"]:
            return self.answer(200, b"<html>hello</html>\n")
        if mode == "moved":
            self.send_response(302)
            self.send_header("Location", "/plain/" + name)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if mode == "broken" and special["tile"]:
            return self.answer(500, b"no\n")
        if mode == "denied" and name.startswith("tile/entries/"):
            return self.answer(403, b"no\n")
        if mode == "pruned" and name == "tile/entries/000":
            return self.answer(404, b"no\n")
        if mode == "slow":
            time.sleep(0.01)
        return self.answer(200, data)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # who was lied to may hang up


def serve(top):
    Liar.top = top
    s = Server(("127.0.0.1", 0), Liar)
    print("http://127.0.0.1:%d" % s.server_address[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    s.serve_forever()


# ---- evidence ----

def fork(top, vkey):
    def read(name):
        with open(os.path.join(top, name), encoding="utf-8", newline="") as f:
            return f.read()
    heads = sorted(checkpoint(read(name), vkey) for name in ("ours", "theirs"))
    (m, root_m), (n, root_n) = heads
    assert root_m != root_n
    body = read("proof")
    first, _, rest = body.partition("\n")
    assert first == "old %d" % m, first
    lines, _, note = rest.partition("\n\n") if not rest.startswith("\n") else ("", "", rest[1:])
    path = [base64.b64decode(x, validate=True) for x in lines.split("\n")] if lines else []
    assert checkpoint(note, vkey)[0] == n
    if m < n:
        assert consistent(m, n, root_m, root_n, path) == (False, True), "the proof does not show a fork"
    else:
        assert not path
    print(json.dumps({"sizes": [m, n]}))


if __name__ == "__main__":
    try:
        {"make": make, "check": check, "http": http_rules, "serve": serve, "fork": fork}[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, ValueError, IndexError, KeyError) as err:
        sys.exit("ledger_tiles: %s %s" % (type(err).__name__, err))
