# SPDX-License-Identifier: Apache-2.0
"""stamps.py STAMP-TOOL FOLDER: RFC 3161 against `openssl ts`, OpenTimestamps against python3-opentimestamps. Prints TAP."""
import hashlib
import io
import json
import os
import subprocess
import sys
import time

TOOL, T = sys.argv[1:3]
os.chdir(T)
from strangers import URL, Server, authority, openssl  # noqa: E402 pylint: disable=wrong-import-position
bad = 0


def fact(name, good, *why):
    global bad
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        bad += 1
        for w in why:
            print("# " + str(w)[:1000].replace("\n", "\n# "))


def tool(*args):
    return subprocess.run([TOOL] + [str(a) for a in args], capture_output=True, text=True, timeout=60)


DATA = b"head of a log\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"x").hexdigest()
with open("data", "wb") as f:
    f.write(DATA)


def says(p, text):
    return p.returncode == 1 and text in p.stderr


def rfc3161():
    p = tool("tsa-ask", URL + "/tsa", DIGEST, "ca.pem", "stamp.tsr")
    s = json.loads(p.stdout) if p.returncode == 0 else {}
    fact("an authority stamps a digest", p.returncode == 0 and abs(s["time"] - time.time()) < 60 and s["policy"] == "1.2.3.4.1" and
         s["accuracy"] == 2 and "CN=Stamps" in s["authority"], p)
    fact("the request is what RFC 3161 wants", Server.types == {"application/timestamp-query"}, Server.types)
    v = openssl("ts", "-verify", "-data", "data", "-in", "stamp.tsr", "-CAfile", "ca.pem", check=False)
    fact("openssl ts verifies what is kept", "Verification: OK" in v.stdout, v)
    fact("it verifies later, without the nonce", tool("tsa-check", "stamp.tsr", DIGEST, "ca.pem").returncode == 0)
    p = tool("tsa-check", "stamp.tsr", OTHER, "ca.pem")
    fact("not for other bytes", says(p, "of other bytes"), p)
    p = tool("tsa-check", "stamp.tsr", DIGEST, "other.pem")
    fact("not under another root", says(p, "not to be trusted"), p)
    p = tool("tsa-check", "stamp.tsr", DIGEST, "ca.pem", int(time.time()) + 10 * 86400)
    fact("not after the certificates' time", says(p, "not to be trusted"), p)
    p = tool("tsa-check", "stamp.tsr", DIGEST, "nowhere.pem")
    fact("not without roots", says(p, "cannot read certificates"), p)
    raw = bytearray(open("stamp.tsr", "rb").read())
    problems, same = [], 0
    for at in list(range(0, len(raw), 7)) + [len(raw) - 1]:
        raw[at] ^= 1
        with open("flipped", "wb") as f:
            f.write(raw)
        raw[at] ^= 1
        f = tool("tsa-check", "flipped", DIGEST, "ca.pem")
        same += f.returncode == 0
        if f.returncode == 0 and json.loads(f.stdout) != s or f.returncode not in (0, 1):
            problems.append(at)
    # A root that came along is not looked at, nor are some algorithm's empty parameters: there a bit may flip.
    fact("no flipped bit changes what is said", not problems and same < len(raw) / 14, problems, same)
    for cut in (0, 1, 10, len(raw) // 2, len(raw) - 1):
        with open("flipped", "wb") as f:
            f.write(raw[:cut])
        if not says(tool("tsa-check", "flipped", DIGEST, "ca.pem"), "not a response"):
            problems.append(cut)
    fact("nor a part of it", not problems, problems)
    Server.old = bytes(raw)
    p = tool("tsa-ask", URL + "/replay", DIGEST, "ca.pem", "x.tsr")
    fact("an old answer does not answer a new request", says(p, "answers another request"), p)
    p = tool("tsa-ask", URL + "/refuse", DIGEST, "ca.pem", "x.tsr")
    fact("a refusal is told", says(p, "refuses, with status 2: busy"), p)
    p = tool("tsa-ask", URL + "/garbage", DIGEST, "ca.pem", "x.tsr")
    fact("garbage is refused", says(p, "not a response of RFC 3161"), p)
    p = tool("tsa-ask", URL + "/error", DIGEST, "ca.pem", "x.tsr")
    fact("so is an error", says(p, "HTTP status 500"), p)
    tool("tsa-query", DIGEST, "ours.tsq")
    q = openssl("ts", "-query", "-in", "ours.tsq", "-text", check=False)
    fact("openssl reads the request", "sha256" in q.stdout and "Certificate required: yes" in q.stdout, q)
    authority("web", "serverAuth")
    r = openssl("ts", "-reply", "-queryfile", "ours.tsq", "-config", "tsa.cnf", "-section", "tsa1", "-signer", "web.pem", "-inkey", "web.key",
                "-out", "web.tsr", check=False)
    fact("openssl, too, stamps with no certificate for other things", r.returncode != 0)


def tlv(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82, n >> 8, n & 255])) + body


def forged():
    """A stamp signed by another certificate of the same root: the same statement, put together by hand with openssl cms."""
    openssl("ts", "-reply", "-in", "stamp.tsr", "-token_out", "-out", "token.der")
    openssl("cms", "-verify", "-inform", "DER", "-in", "token.der", "-noverify", "-binary", "-out", "statement.der")
    authority("both", "critical,timeStamping,serverAuth")
    authority("loose", "timeStamping")
    authority("second", "critical,timeStamping")
    for name, good in (("second", True), ("web", False), ("both", False), ("loose", False)):
        openssl("cms", "-sign", "-cades", "-binary", "-nodetach", "-md", "sha256", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-in",
                "statement.der", "-signer", name + ".pem", "-inkey", name + ".key", "-outform", "DER", "-out", "token.der")
        with open("forged.tsr", "wb") as out:
            out.write(tlv(0x30, tlv(0x30, b"\x02\x01\x00") + open("token.der", "rb").read()))
        p = tool("tsa-check", "forged.tsr", DIGEST, "ca.pem")
        if good:
            fact("a stamp put together by hand holds when its certificate is for stamps alone", p.returncode == 0, p)
        else:
            fact("a certificate for other things cannot stamp (%s)" % name, p.returncode == 1 and "certificate" in p.stderr, p)


def judge(name):
    """(digest, attestations) as python-opentimestamps reads them."""
    from opentimestamps.core.serialize import StreamDeserializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile
    d = DetachedTimestampFile.deserialize(StreamDeserializationContext(io.BytesIO(open(name, "rb").read())))
    return d.file_digest.hex(), sorted((m.hex(), type(a).__name__) for m, a in d.timestamp.all_attestations())


def ours(name):
    p = tool("ots-info", name)
    names = {"pending": "PendingAttestation", "bitcoin": "BitcoinBlockHeaderAttestation"}
    return sorted((x.split()[0], names.get(x.split()[1], x)) for x in p.stdout.splitlines())


def opentimestamps():
    p = tool("ots-stamp", DIGEST, "one.ots", 2, URL + "/cal-A", URL + "/cal-dead", URL + "/cal-B", URL + "/cal-liar")
    fact("a proof is pending at the calendars that answer", p.returncode == 0 and p.stdout == "2\n" and len(ours("one.ots")) == 2, p)
    p = tool("ots-stamp", DIGEST, "two.ots", 3, URL + "/cal-A", URL + "/cal-dead", URL + "/cal-B")
    fact("too few of them are an error", p.returncode == 1 and "only 2 of the calendars" in p.stderr and not os.path.exists("two.ots"), p)
    p = tool("ots-stamp", DIGEST, "two.ots", 1, URL + "/cal-liar")
    fact("what no calendar would say is refused", says(p, "not a proof of OpenTimestamps"), p)
    p = tool("ots-complete", "one.ots", "two.ots", URL + "/cal-A")
    fact("hours before it is ready nothing is added", p.returncode == 0 and p.stdout == "0\n" and not os.path.exists("two.ots"), p)
    Server.ready = True
    p = tool("ots-complete", "one.ots", "two.ots", "http://127.0.0.1:1")
    fact("calendars that only the proof names are not asked", p.stdout == "0\n", p)
    p = tool("ots-complete", "one.ots", "two.ots", URL + "/cal-A", URL + "/cal-B")
    fact("then it is completed", p.stdout == "2\n" and [k for _, k in ours("two.ots")].count("BitcoinBlockHeaderAttestation") == 2, p)
    p = tool("ots-complete", "two.ots", "three.ots", URL + "/cal-A", URL + "/cal-B")
    fact("and once is enough", p.stdout == "0\n", p)
    try:
        import opentimestamps  # noqa: F401, pylint: disable=unused-import,redefined-outer-name
    except ImportError:
        print("ok - another program reads the same # SKIP python3-opentimestamps is not installed")
        return
    fact("another program reads the same in the pending one", judge("one.ots") == (DIGEST, ours("one.ots")), judge("one.ots"), ours("one.ots"))
    fact("and in the completed one", judge("two.ots") == (DIGEST, ours("two.ots")), judge("two.ots"), ours("two.ots"))


for step in (rfc3161, forged, opentimestamps):
    try:
        step()
    except Exception as e:  # pylint: disable=broad-except
        fact(step.__name__, False, repr(e))
sys.exit(1 if bad else 0)
