# SPDX-License-Identifier: Apache-2.0
"""ledger_stamps.py OSIER FOLDER: what a node has stamped while it runs, and what `osier verify` makes of it. Prints TAP."""
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import time

OSIER, T = sys.argv[1:3]
STATE = os.environ["OSIER_STATE"]
os.chdir(T)
from chain import fact, failed, free_port, wait_for  # noqa: E402 pylint: disable=wrong-import-position
from strangers import URL, Server, openssl  # noqa: E402 pylint: disable=wrong-import-position


def osier(*args):
    return subprocess.run([OSIER] + list(args), capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)


def configure(*anchors):
    os.makedirs(STATE, exist_ok=True)
    with open(STATE + "/config.yaml", "w") as f:
        json.dump({"ledger": {"anchors": list(anchors)}}, f)


def run_job():
    p = osier("submit", "--watch", "job.yaml")
    assert p.returncode == 0, p


def stamped(kind):
    p = osier("ledger", "anchor", "list", "--json")
    return [a for a in json.loads(p.stdout)["anchors"] if a["kind"] == kind] if p.returncode == 0 else []


def verify(*args, receipt="r.tlog-proof"):
    return osier("verify", receipt, "--policy", "trust.policy", *args)


def stamps():
    configure({"authority": {"url": URL + "/tsa", "ca": T + "/ca.pem", "every": "1s"}},
              {"authority": {"url": "http://127.0.0.1:%d" % free_port(), "ca": T + "/ca.pem", "every": "1s"}},
              {"calendars": {"urls": [URL + "/cal-A", URL + "/cal-dead", URL + "/cal-B"], "least": 2, "every": "1s"}})
    fact("a node is up that has its heads stamped", osier("up").returncode == 0)
    run_job()
    p = osier("ledger", "publish", "--json")
    size = json.loads(p.stdout)["size"]
    wait_for("stamped", lambda: any(a["size"] >= size for a in stamped("authority")))
    wait_for("in calendars", lambda: any(a["size"] >= size for a in stamped("calendars")))
    a = stamped("authority")[0]
    text = a["note"].split("\n\n")[0] + "\n"
    with open("stamp.tsr", "wb") as f:
        f.write(base64.b64decode(a["proof"]))
    with open("head", "w") as f:
        f.write(text)
    v = openssl("ts", "-verify", "-data", "head", "-in", "stamp.tsr", "-CAfile", "ca.pem", check=False)
    fact("openssl ts verifies the stamp of the head's text", "Verification: OK" in v.stdout, v)
    fact("the list says who and when", a["state"] == "stamped" and "CN=Stamps" in a["details"]["authority"] and
         abs(a["details"]["stamped"] - time.time()) < 120, a)
    c = stamped("calendars")[0]
    digest = hashlib.sha256((c["note"].split("\n\n")[0] + "\n").encode()).digest()
    fact("the calendars' proof is of the same text, and pending", c["state"] == "pending" and c["details"]["calendars"] == 2 and
         digest in base64.b64decode(c["proof"]), c)
    log = open(STATE + "/node.log").read()
    fact("what nobody answers is in the log, once", len(re.findall("osier messenger: stamps: nobody answers", log)) == 1, log)
    p = osier("ledger", "anchor", "list")
    fact("the table shows both", re.search("calendars +pending", p.stdout) and re.search("http://127.0.0.1:[0-9]+ +stamped", p.stdout), p.stdout)


def receipts():
    osier("receipt", "job-1/main/0", "-o", "r.tlog-proof")
    with open("trust.policy", "w") as f:
        f.write(osier("ledger", "policy").stdout)
    p = verify()
    fact("without certificates the stamp is told as not checked", p.returncode == 0 and "not checked: --ca" in p.stdout and
         "calendars" not in p.stdout, p)
    p = verify("--ca", "ca.pem")
    fact("with them it existed at a time, according to the authority", p.returncode == 0 and
         re.search("it existed at .* according to .*CN=Stamps", p.stdout) and "is committed" in p.stdout, p)
    j = json.loads(verify("--ca", "ca.pem", "--json").stdout)
    kinds = {a["kind"]: a for a in j["anchors"]}
    fact("as JSON it says the same", kinds["authority"]["checked"] and abs(kinds["authority"]["stamped"] - time.time()) < 120, j)
    p = verify("--ca", "other.pem")
    fact("under another root it is an error", p.returncode != 0 and "the timestamp of the receipt" in p.stderr, p)
    p = verify("--chain", "http://127.0.0.1:%d" % free_port())
    fact("a chain that nothing is anchored on is told", p.returncode == 4 and "no anchor on a chain" in p.stderr, p)
    with open("r.tlog-proof") as f:
        lines = f.read().split("\n")
    extra = bytearray(base64.b64decode(lines[1].split(" ")[1]))
    unnoticed = set()
    # A newer one may have come since.
    stamp = next(p for p in (base64.b64decode(a["proof"]) for a in stamped("authority")) if p in bytes(extra))
    at = bytes(extra).find(stamp)
    for i in range(0, len(extra), 17):
        flipped = bytes(extra[:i]) + bytes([extra[i] ^ 1]) + bytes(extra[i + 1:])
        with open("changed", "w") as f:
            f.write("\n".join([lines[0], "extra " + base64.b64encode(flipped).decode()] + lines[2:]))
        if verify("--ca", "ca.pem", receipt="changed").returncode == 0:
            unnoticed.add(i)
    # Within a stamp a bit may flip that says nothing: a certificate that came along for nothing, empty parameters.
    outside = {i for i in unnoticed if not at <= i < at + len(stamp)}
    fact("a changed bit is noticed wherever it says something", at > 0 and not outside and len(unnoticed) < 8, outside, len(unnoticed))


def completed():
    Server.ready = True
    wait_for("Bitcoin has it", lambda: any(a["state"] == "stamped" for a in stamped("calendars")))
    first = [a for a in stamped("calendars") if a["state"] == "stamped"][-1]
    fact("a pending proof is completed later, by itself", first["details"]["bitcoin_block"] == 358391, first)
    wait_for("all of them", lambda: all(a["state"] == "stamped" for a in stamped("calendars")))
    osier("receipt", "job-1/main/0", "-o", "r.tlog-proof")
    p = verify()
    fact("a newer receipt names Bitcoin's block, and what to compare", "Bitcoin's block 358391" in p.stdout and
         re.search("Merkle root of that is [0-9a-f]{64}", p.stdout), p)


with open("job.yaml", "w") as f:
    f.write("name: job\ncommand: echo hello\n")
for step in (stamps, receipts, completed):
    try:
        step()
    except Exception as e:  # pylint: disable=broad-except
        fact(step.__name__, False, repr(e))
sys.exit(1 if failed else 0)
