# SPDX-License-Identifier: Apache-2.0
"""signed_heads - are checkpoints heads of one log? From the leaf hashes of its record, by RFC 6962; shares no code with osier.

signed_heads.py LEAVES CHECKPOINT...    LEAVES: a hexadecimal leaf hash a line, in order. Says which head is not of this tree.
"""
import base64
import hashlib
import sys


def root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def main():
    leaves = [bytes.fromhex(x) for x in open(sys.argv[1]).read().split()]
    sizes, origins = [], set()
    for name in sys.argv[2:]:
        origin, size, b64 = open(name).read().split("\n")[:3]
        origins.add(origin)
        sizes.append(int(size))
        if int(size) > len(leaves) or root(leaves[:int(size)]) != base64.b64decode(b64):
            print("the head of %s entries is not of this log" % size)
            return 1
    if len(origins) != 1 or sizes != sorted(sizes):
        print("heads of %s, of sizes %s" % (origins, sizes))
        return 1
    print("%d heads of one log, of sizes %s" % (len(sizes), " ".join(map(str, sizes))))
    return 0


sys.exit(main())
