#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""receipt_check - an independent reader of what osier proves: notes, checkpoints, tiles, receipts.

Shares no code with osier. Hashes by hashlib, signatures by openssl, Protocol Buffers by hand.
receipt_check.py receipt FILE VKEY [OUTPUT]      prints a line of JSON, or says what does not match (exit 1)
receipt_check.py tiles SOCKET VKEY               fetches checkpoint, tiles and entries, and builds the tree again
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


def sha(b):
    return hashlib.sha256(b).digest()


def leaf(data):
    if len(data) > 65535:
        data = b"\0osier large entry v1\n" + sha(data) + struct.pack(">Q", len(data))
    return sha(b"\0" + data)


def node(left, right):
    return sha(b"\1" + left + right)


def tree(leaves):
    """RFC 6962, 2.1, as it is written."""
    n = len(leaves)
    if n == 0:
        return sha(b"")
    if n == 1:
        return leaves[0]
    k = 1
    while 2 * k < n:
        k *= 2
    return node(tree(leaves[:k]), tree(leaves[k:]))


def included(leaf_hash, index, size, path, root):
    """RFC 9162, 2.1.3.2."""
    assert index < size, "the index is not in the tree"
    fn, sn, r = index, size - 1, leaf_hash
    for p in path:
        assert sn > 0, "the path is too long"
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = node(r, p)
        fn >>= 1
        sn >>= 1
    assert sn == 0, "the path is too short"
    assert r == root, "the path does not lead to the root"


def signed(key, message, signature):
    spki = bytes.fromhex("302a300506032b6570032100") + key
    with tempfile.TemporaryDirectory() as d:
        for name, data in ("k", spki), ("m", message), ("s", signature):
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
        r = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "k", "-keyform", "DER", "-rawin", "-in", "m",
                            "-sigfile", "s"], cwd=d, capture_output=True)
    assert r.returncode == 0, "a signature does not verify"


def checkpoint(note, vkey):
    name, _, rest = vkey.partition("+")
    key_id, _, key = rest.partition("+")
    key = base64.b64decode(key, validate=True)
    assert sha(name.encode() + b"\n" + key)[:4].hex() == key_id and key[0] == 1, "not the key of a log"
    text, _, sigs = note.rpartition("\n\n")
    text += "\n"
    for line in sigs.splitlines():
        dash, who, b64 = line.split(" ")
        blob = base64.b64decode(b64, validate=True)
        if dash == "\u2014" and who == name and blob[:4].hex() == key_id:
            signed(key[1:], text.encode(), blob[4:])
            break
    else:
        raise AssertionError("the log did not sign the checkpoint")
    origin, size, root = text.splitlines()[:3]
    assert origin == name
    return int(size), base64.b64decode(root, validate=True)


def fields(b):
    """A message as {field: [values]}: numbers, or bytes."""
    out, i = {}, 0

    def varint():
        nonlocal i
        v = shift = 0
        while True:
            v |= (b[i] & 0x7F) << shift
            i += 1
            if not b[i - 1] & 0x80:
                return v
            shift += 7

    while i < len(b):
        tag = varint()
        if tag & 7 == 0:
            v = varint()
        else:
            assert tag & 7 == 2, "an unknown wire type"
            n = varint()
            v = b[i:i + n]
            assert len(v) == n
            i += n
        out.setdefault(tag >> 3, []).append(v)
    return out


def packed(b):
    out, v, shift = [], 0, 0
    for c in b:
        v |= (c & 0x7F) << shift
        shift += 7
        if not c & 0x80:
            out.append(v)
            v = shift = 0
    return out


def encode(number, value):
    def varint(v):
        out = b""
        while True:
            out += bytes([v & 0x7F | (0x80 if v > 0x7F else 0)])
            v >>= 7
            if not v:
                return out
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def receipt(path, vkey, output=None):
    with open(path, encoding="utf-8", newline="") as f:
        head, _, note = f.read().partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("extra ") and lines[2].startswith("index ")
    index = int(lines[2][6:])
    f = fields(base64.b64decode(lines[1][6:], validate=True))
    size, root = checkpoint(note, vkey)
    included(leaf(f[1][0]), index, size, [base64.b64decode(x, validate=True) for x in lines[3:]], root)
    r = fields(fields(f[1][0])[17][0])
    text = b"osier receipts v1\n%s\n%d\n%s\n" % (r[1][0], len(packed(r[3][0])), base64.b64encode(r[6][0]))
    signed(r[2][0], text, r[7][0])
    which = f.get(8, [0])[0]
    seqs = [packed(r[k][0])[which] for k in (3, 4, 5)]
    assert seqs == [f[5][0], f[6][0], f[7][0]], "the receipt names other entries"
    statement = encode(1, r[1][0])
    for k, seq, entry in zip((2, 4, 6), seqs, (f[2][0], f[3][0], f[4][0])):
        statement += encode(k, seq) + encode(k + 1, leaf(entry))
    included(leaf(statement), which, len(packed(r[3][0])), f.get(9, []), r[6][0])
    result, lease, job = (fields(fields(e)[k][0]) for e, k in ((f[2][0], 8), (f[3][0], 7), (f[4][0], 5)))
    assert result[1] == lease[1] and lease[2] == job[1], "the entries do not belong together"
    digests = result.get(15, [b""])[0]
    digests = [digests[i:i + 32].hex() for i in range(0, len(digests), 32)]
    if output:
        with open(output, "rb") as o:
            assert sha(o.read()).hex() in digests, "the file is none of the outputs"
    print(json.dumps({"entry": index, "size": size, "node": r[1][0].decode(), "job": job[1][0], "outputs": digests, "committed": committed(f, size, root)}))


def results(entry):
    return fields(fields(entry)[8][0])


def column(r, tag, i):
    """Values of a column: none is all zero, one is of all rows."""
    v = packed(r[tag][0]) if tag in r else [0]
    return v[i] if len(v) > 1 else v[0]


def answer(r, row):
    """By what replicas agree: SHA-256 of stdout when there is nothing else but stderr, else over all of a row's outputs but that."""
    sizes = packed(r[14][0]) if 14 in r else []
    at = sum(column(r, 13, i) for i in range(row))
    size = lambda i: sizes[i] if len(sizes) > 1 else sizes[0]
    hashed = sum(size(i) > 0 for i in range(at))
    whole, only, stdout = b"", True, None
    n = column(r, 13, row)
    for k in range(n):
        bytes_ = size(at + k)
        digest = r[15][0][32 * hashed:32 * hashed + 32] if bytes_ else b""
        hashed += bytes_ > 0
        if k == 1:
            continue
        stdout = digest if k == 0 and bytes_ else stdout
        only = only and (bytes_ > 0 if k == 0 else bytes_ == 0)
        if bytes_:
            whole += struct.pack("<IQ", k, bytes_) + digest
    return stdout if n and only else sha(whole)


def committed(f, size, root):
    """Every attempt that is said to agree committed to its answer in the log; were all of them there before the first was told?"""
    task = f.get(10, [0])[0]
    attempts = [(f[2][0], f[5][0])]
    for a in map(fields, f.get(12, [])):
        included(leaf(a[1][0]), a[2][0], size, a.get(3, []), root)
        attempts.append((a[1][0], a[2][0]))
    told = {results(e)[1][0]: (results(e), seq) for e, seq in attempts}
    last, seen = 0, set()
    for c in map(fields, f.get(13, [])):
        included(leaf(c[1][0]), c[2][0], size, c.get(3, []), root)
        r = results(c[1][0])
        lease = r[1][0]
        assert lease in told and lease not in seen, "a commitment is of another attempt, or there twice"
        seen.add(lease)
        result, seq = told[lease]
        assert c[2][0] < seq, "a commitment came after the answer"
        row = task - result.get(2, [0])[0]
        nonce = result[20][0][16 * row:16 * row + 16]
        sum_ = sha(b"osier commitment" + struct.pack("<QQ", lease, task) + answer(result, row) + nonce)
        at = 32 * (task - r.get(2, [0])[0])
        assert r[19][0][at:at + 32] == sum_, "a commitment is to another answer"
        last = max(last, c[2][0])
    if not seen:
        return None
    assert seen == set(told), "a commitment is missing"
    return len(seen) > 1 and last < min(seq for _, seq in told.values())


def get(sock, path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sock)
    s.sendall(b"GET /v1/ledger/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return body


def tile(kind, n, width):
    name = "%03d" % (n % 1000)
    n //= 1000
    while n:
        name = "x%03d/" % (n % 1000) + name
        n //= 1000
    return "tile/%s/%s%s" % (kind, name, "" if width == 256 else ".p/%d" % width)


def part(sock, level, n, width):
    """A tile that may be partial; once it is full a log need not show the part any more (C2SP tlog-tiles)."""
    try:
        return get(sock, tile(level, n, width))
    except AssertionError:
        if width == 256:
            raise
        return get(sock, tile(level, n, 256))


def tiles(sock, vkey):
    size, root = checkpoint(get(sock, "checkpoint").decode(), vkey)
    leaves = []
    for n in range((size + 255) // 256):
        width = min(256, size - 256 * n)
        hashes = part(sock, "0", n, width)[:32 * width]
        bundle, i, entries = part(sock, "entries", n, width), 0, []
        while i < len(bundle):
            length = struct.unpack_from(">H", bundle, i)[0]
            entries.append(bundle[i + 2:i + 2 + length])
            i += 2 + length
        entries = entries[:width]
        assert len(hashes) == 32 * width and len(entries) == width
        for k in range(width):
            assert sha(b"\0" + entries[k]) == hashes[32 * k:32 * k + 32], "entry %d is not what its leaf says" % (256 * n + k)
        leaves += [hashes[i:i + 32] for i in range(0, len(hashes), 32)]
    assert tree(leaves) == root, "the tree is not the signed one"
    full = size // 256
    if full:
        upper = get(sock, tile("1", 0, min(full, 256)))
        for n in range(min(full, 256)):
            assert upper[32 * n:32 * n + 32] == tree(leaves[256 * n:256 * n + 256]), "tile 1/0 is wrong"
    print(json.dumps({"size": size}))


if __name__ == "__main__":
    try:
        {"receipt": receipt, "tiles": tiles}[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, ValueError, IndexError, KeyError) as e:
        sys.exit("receipt_check: %s" % (e or type(e).__name__))
