#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""witness_check - witnesses as the specification has them (C2SP tlog-witness, tlog-cosignature), and bad ones. Shares no code with
osier: hashes by hashlib, signatures by openssl.

witness_check.py vkey NAME            the key of a witness that nobody has
witness_check.py serve garbage|hang   a witness on 127.0.0.1 that is none; prints its port, and goes on until it is killed
witness_check.py cosigned NOTE POLICY which witnesses of the policy cosigned, by name (a note, or a receipt that ends in one)
witness_check.py logs DIR N           makes N logs with two faces each, and DIR/logs.policy for their witness
witness_check.py kills SOCKET DIR     has them witnessed by a node that dies again and again while it cosigns
"""
import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

DASH = "\u2014"


def sha(b):
    return hashlib.sha256(b).digest()


def key_id(name, kind, key):
    return sha(name.encode() + b"\n" + bytes([kind]) + key)[:4]


def vkey_of(name, kind, key):
    return "%s+%s+%s" % (name, key_id(name, kind, key).hex(), base64.b64encode(bytes([kind]) + key).decode())


def parse_vkey(vkey):
    name, ident, rest = vkey.split("+", 2)
    raw = base64.b64decode(rest, validate=True)
    assert key_id(name, raw[0], raw[1:]).hex() == ident, "the id is not the key's"
    return name, bytes.fromhex(ident), raw[0], raw[1:]


def openssl(args, **files):
    with tempfile.TemporaryDirectory() as d:
        for name, data in files.items():
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
        return subprocess.run(["openssl", *args], cwd=d, capture_output=True)


def verifies(key, message, signature):
    spki = bytes.fromhex("302a300506032b6570032100") + key
    return openssl(["pkeyutl", "-verify", "-pubin", "-inkey", "k", "-keyform", "DER", "-rawin", "-in", "m", "-sigfile", "s"],
                   k=spki, m=message, s=signature).returncode == 0


def sign(seed, message):
    pkcs8 = bytes.fromhex("302e020100300506032b657004220420") + seed
    r = openssl(["pkeyutl", "-sign", "-inkey", "k", "-keyform", "DER", "-rawin", "-in", "m"], k=pkcs8, m=message)
    assert r.returncode == 0 and len(r.stdout) == 64, r.stderr
    return r.stdout


def public(seed):
    pkcs8 = bytes.fromhex("302e020100300506032b657004220420") + seed
    r = openssl(["pkey", "-in", "k", "-inform", "DER", "-pubout", "-outform", "DER"], k=pkcs8)
    return r.stdout[-32:]


# ---- trees, RFC 6962 as it is written ----

def tree(leaves):
    n = len(leaves)
    if n < 2:
        return leaves[0] if n else sha(b"")
    k = 1
    while 2 * k < n:
        k *= 2
    return sha(b"\1" + tree(leaves[:k]) + tree(leaves[k:]))


def consistency(m, leaves, whole=True):
    n = len(leaves)
    if m == n:
        return [] if whole else [tree(leaves)]
    k = 1
    while 2 * k < n:
        k *= 2
    if m <= k:
        return consistency(m, leaves[:k], whole) + [tree(leaves[k:])]
    return consistency(m - k, leaves[k:], False) + [tree(leaves[:k])]


# ---- cosignatures ----

def cosigns(text, line, vkey):
    """Is the line a cosignature of the text by that key? Its time, or None."""
    name, ident, kind, key = parse_vkey(vkey)
    dash, who, b64 = line.split(" ")
    blob = base64.b64decode(b64, validate=True)
    if dash != DASH or who != name or blob[:4] != ident or kind != 4:
        return None
    assert len(blob) == 76, "a cosignature of %d bytes" % len(blob)
    when = struct.unpack(">Q", blob[4:12])[0]
    message = b"cosignature/v1\ntime %d\n" % when + text.encode()
    assert when > 0 and verifies(key, message, blob[12:]), "a cosignature of '%s' does not verify" % name
    return when


def cosigned(path, policy):
    with open(path, encoding="utf-8", newline="") as f:
        note = f.read()
    text, _, sigs = note.rpartition("\n\n")
    text = text[text.rfind("\n\n") + 2 if "\n\n" in text else 0:] + "\n"
    log, found = None, []
    with open(policy) as f:
        rules = [line.split() for line in f if line.strip() and not line.startswith("#")]
    for r in rules:
        if r[0] == "log":
            name, ident, kind, key = parse_vkey(r[1])
            for line in sigs.splitlines():
                dash, who, b64 = line.split(" ")
                blob = base64.b64decode(b64)
                if who == name and blob[:4] == ident:
                    assert kind == 1 and verifies(key, text.encode(), blob[4:]), "the log's signature does not verify"
                    log = name
    assert log, "no log of the policy signed it"
    for r in rules:
        if r[0] == "witness" and any(cosigns(text, line, r[2]) for line in sigs.splitlines()):
            found.append(r[1])
    print(" ".join(found))


# ---- witnesses that are none ----

def garbage(s):
    try:
        s.recv(65536)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            s.sendall(b"\xe2\x80\x94 you can trust me " + b"A" * 4000 + b"\n")
    except OSError:
        s.close()


def hang(s):
    time.sleep(3600)
    s.close()


def serve(how):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        s, _ = listener.accept()
        threading.Thread(target={"garbage": garbage, "hang": hang}[how], args=(s,), daemon=True).start()


# ---- logs with two faces, and a witness that dies ----

class Log:
    """Sixteen leaves; face 'b' differs from leaf 3 on."""

    def __init__(self, i):
        self.name, self.seed = "test.example/two-faces-%d" % i, sha(b"log %d" % i)
        self.key = public(self.seed)

    def leaves(self, face, n):
        return [sha(b"\0" + (b"leaf %d" % k if k < 3 else b"leaf %d %s" % (k, face.encode()))) for k in range(n)]

    def request(self, face, old, size):
        leaves = self.leaves(face, size)
        text = "%s\n%d\n%s\n" % (self.name, size, base64.b64encode(tree(leaves)).decode())
        blob = key_id(self.name, 1, self.key) + sign(self.seed, text.encode())
        proof = consistency(old, leaves) if 0 < old < size else []
        body = "old %d\n" % old + "".join(base64.b64encode(h).decode() + "\n" for h in proof)
        return text, body + "\n" + text + "\n%s %s %s\n" % (DASH, self.name, base64.b64encode(blob).decode())


def logs(folder, n):
    with open(os.path.join(folder, "logs.policy"), "w") as f:
        for i in range(int(n)):
            log = Log(i)
            f.write("log %s\n" % vkey_of(log.name, 1, log.key))
        f.write("quorum none\n")


def http(sock, method, path, body=b""):
    """Status and body; None: it went away without an answer."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    try:
        s.connect(sock)
        s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" %
                  (method.encode(), path.encode(), len(body)) + body)
        data = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            data += piece
    except (ConnectionError, FileNotFoundError):
        return None
    finally:
        s.close()
    if not data:
        return None
    head, _, rest = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def patient(sock, method, path, body=b""):
    """As http(), once the node answers again."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        r = http(sock, "GET", "/v1/witness")
        if r and r[0] == 200:
            return http(sock, method, path, body)
        time.sleep(0.02)
    raise AssertionError("the node does not come back")


def kills(sock, folder):
    with open(os.path.join(folder, "logs.policy")) as f:
        n = sum(line.startswith("log ") for line in f)
    vkey = json.loads(patient(sock, "GET", "/v1/witness")[1])["vkey"]
    add = "/v1/witness/add-checkpoint"
    signed, unanswered = {}, 0

    def ask(log, face, old, size):
        nonlocal unanswered
        text, body = log.request(face, old, size)
        r = patient(sock, "POST", add, body.encode())
        if r is None:
            unanswered += 1
        elif r[0] == 200:
            assert cosigns(text, r[1].decode().rstrip("\n"), vkey), "no cosignature"
            signed.setdefault(log.name, set()).add((face, size))
        return r

    for i in range(n):
        log, last = Log(i), 0
        # It may die at any of these. Whatever it has promised by then, to whom it answered or not, it must keep.
        for face, size in ("a", 5), ("b", 5), ("a", 9), ("b", 9), ("b", 9), ("a", 16), ("b", 16), ("a", 16):
            r = ask(log, face, last, size)
            if r and r[0] == 409:
                last = int(r[1])
                r = ask(log, face, last, size) if last <= size else None
            if r and r[0] == 200:
                last = size
    for name, heads in signed.items():
        faces = {face for face, size in heads if size > 3}
        assert len(faces) <= 1, "two contradicting cosignatures for %s: %s" % (name, sorted(heads))
    assert len(signed) == n, "of %d logs %d were cosigned" % (n, len(signed))
    seen = json.loads(patient(sock, "GET", "/v1/witness")[1])["logs"]
    print(json.dumps({"unanswered": unanswered, "cosigned": sum(len(h) for h in signed.values()),
                      "forks": sum(x["forks"] for x in seen)}))


if __name__ == "__main__":
    try:
        {"vkey": lambda name: print(vkey_of(name, 4, os.urandom(32))), "serve": serve, "cosigned": cosigned, "logs": logs,
         "kills": kills}[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, ValueError, IndexError, KeyError) as e:
        sys.exit("witness_check: %s" % (e or type(e).__name__))
