# SPDX-License-Identifier: Apache-2.0
"""anchor_chain.py ANVIL ANCHOR-TOOL FOLDER: heads anchored on a real chain. Between tool and chain stands a proxy that can lie, hang, close,
and kill the tool at any question. Prints TAP."""
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from chain import ACCOUNT, Chain, Proxy, fact, failed, free_port, wait_for

ANVIL, TOOL, T = sys.argv[1:4]
ORIGIN = "example.com/elastic/log1"
SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


class Run:
    """The tool at work; its lines are read as they come."""

    def __init__(self, *options, secret=SECRET, chain_id=31337, poll=60, contract=None, state=None, urls=None):
        self.state = state or T + "/state"
        args = ["url=" + u for u in (urls or [proxy.url])]
        args += ["chain=%d" % chain_id, "secret=" + secret, "state=" + self.state, "poll_ms=%d" % poll, "origin=" + ORIGIN]
        args += ["contract=" + (contract or CONTRACT)] + list(options)
        if not any(o.startswith("replace_ms") for o in options):
            args.append("replace_ms=60000")
        self.process = subprocess.Popen([TOOL, "run"] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.looks = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.looks.append(json.loads(line))

    def until(self, what, condition):
        wait_for(what, lambda: self.process.poll() is not None or any(condition(v) for v in self.looks))
        assert any(condition(v) for v in self.looks), "%s: %s %s" % (what, self.looks[-1:], self.process.stderr.read())

    def end(self, seconds=60):
        self.process.wait(seconds)
        self.thread.join(10)
        self.said = self.process.stderr.read()
        self.last = self.looks[-1] if self.looks else {}
        if self.process.returncode == 0 and os.path.exists(self.state):
            os.unlink(self.state)
        return self.last


def root(size):
    return "0x" + hashlib.sha256(b"root %d" % size).hexdigest()


def head(size):
    return ["size=%d" % size, "root=" + root(size)]


def verify(size, *options, with_root=None, chain_id=31337):
    p = subprocess.run([TOOL, "verify", "url=" + proxy.url, "chain=%d" % chain_id, "contract=" + CONTRACT, "account=" + ACCOUNT,
                        "origin=" + ORIGIN, "size=%d" % size, "root=" + (with_root or root(size))] + list(options),
                       capture_output=True, text=True, timeout=60)
    return json.loads(p.stdout) if p.returncode == 0 else {"standing": "error", "why": p.stderr}


def nonces(raws):
    """The nonces of raw transactions: the second item of the list, after a chain id of two bytes."""
    return {bytes.fromhex(r[2:])[6] if bytes.fromhex(r[2:])[6] < 0x80 else bytes.fromhex(r[2:])[6:9] for r in raws}


def wrong_chain():
    r = Run("deploy=1", chain_id=1)
    r.end()
    fact("a node on another chain is refused before anything is signed",
         r.process.returncode == 1 and "on chain 31337, not on 1" in r.said and not proxy.sent and not os.path.exists(r.state), r.said)


def deploy():
    global CONTRACT
    v = Run("deploy=1").end()
    CONTRACT = v["contract"]
    fact("the contract is deployed to the address that was foretold",
         v["outcome"] == "done" and CONTRACT == "0x5FbDB2315678afecb367f032d93F642f64180aa3", v)
    fact("deploying takes at most the gas that is known (176,933)", v["gas"] <= 176933 * 1.1, v)
    code = chain.ask("eth_getCode", CONTRACT, "latest")
    hexed = open(os.path.join(os.path.dirname(__file__), "../../src/anchor/Anchor.hex")).read().strip()
    fact("what is there is the contract", len(code) > 1000 and hexed.endswith(code[2:]), code)
    print("# gas to deploy: %d" % v["gas"])


def anchor():
    before = chain.nonce()
    proxy.clear()
    v = Run(*head(8)).end()
    fact("a head is anchored and followed until it is final", v["outcome"] == "done" and v["there"] == 8 and v["final"] >= v["block"], v)
    fact("the first takes at most the gas that is known (69,337)", v["gas"] <= 69337 * 1.1, v)
    p = verify(8)
    fact("it is read back from the chain by searching", p["standing"] == "final" and p["block"] == v["block"] and p["hash"] == v["hash"], p)
    p = verify(8, "hash=" + v["hash"])
    fact("and by its transaction", p["standing"] == "final" and p["block"] == v["block"], p)
    w = Run(*head(9)).end()
    fact("a later one takes at most the gas that is known (32,469)", w["outcome"] == "done" and w["gas"] <= 32469 * 1.1, w)
    again = Run("size=10", "root=" + root(9)).end()
    fact("one of the same root is cheaper still", again["outcome"] == "done" and again["gas"] < w["gas"], again)
    fact("one transaction for each", chain.nonce() == before + 3 and len(set(proxy.sent)) == 3, proxy.sent)
    fact("a head stays proven after larger ones", verify(8)["standing"] == "final")
    print("# gas of the first anchor: %d, of a later one: %d, with the same root: %d" % (v["gas"], w["gas"], again["gas"]))


def verify_negatives():
    p = verify(8, with_root=root(7))
    fact("another root for a size is an error", p["standing"] == "error" and "another root for size 8" in p["why"], p)
    p = verify(10, with_root=root(7))
    fact("of the last size, too", p["standing"] == "error" and "another root for size 10" in p["why"], p)
    fact("a size that was never anchored is absent", verify(5)["standing"] == "absent" and verify(1000)["standing"] == "absent")
    p = verify(8, chain_id=5)
    fact("on another chain nothing is proven", p["standing"] == "error" and "chain 31337" in p["why"], p)
    p = verify(8, "hash=0x" + "12" * 32)
    fact("a transaction that is not there proves nothing", p["standing"] == "absent", p)
    p = verify(8, "confirmations=1000000")
    fact("so many confirmations are not reached", p["standing"] == "recent" and p["confirmations"] > 2, p)

    def silent(handler, _):
        time.sleep(3)
        handler.close_connection = True
    proxy.rule = lambda m, p: silent
    began = time.time()
    p = verify(8, "timeout_ms=500")
    fact("a node that hangs is given up on in time, and its secret is not told",
         p["standing"] == "error" and "did not answer within" in p["why"] and time.time() - began < 3 and "secret" not in p["why"], p)
    proxy.clear()


def verify_lies():
    """What a node can twist in what proves an anchor, one thing at a time."""
    right = verify(8)["hash"]

    def log_of(answer):
        r = answer["result"]
        return r["logs"][0] if isinstance(r, dict) else r[0]

    def twist(methods, change, block=None):
        def after(method, params, answer):
            if method in methods and (block is None or params[0] == block):
                change(answer)
            return answer
        return after
    receipts = ("eth_getTransactionReceipt", "eth_getLogs")

    def told(name, after, standing, why=""):
        for way in ((), ("hash=" + right,)):
            proxy.after = after
            p = verify(8, *way)
            proxy.after = None
            fact(name + (", by its transaction" if way else ""), p["standing"] == standing and why in p.get("why", ""), p)
    told("an event of another root is an error", twist(receipts, lambda a: log_of(a).update(data="0x" + "77" * 32)), "error", "another root")
    told("an event of another contract is none", twist(receipts, lambda a: log_of(a).update(address="0x" + "77" * 20)), "absent")
    told("an event of another size is none", twist(receipts, lambda a: log_of(a)["topics"].__setitem__(3, "0x" + "0" * 63 + "7")), "absent")
    told("an event of another account is none", twist(receipts, lambda a: log_of(a)["topics"].__setitem__(1, "0x" + "0" * 24 + "7" * 40)),
         "absent")
    told("an event that is no event is none", twist(receipts, lambda a: log_of(a)["topics"].pop()), "absent")
    told("a block that is not in the chain is an error", twist(("eth_getBlockByNumber",), lambda a: a["result"].update(hash="0x" + "77" * 32)),
         "error", "not in its chain")
    told("a head that went back is not there", twist(("eth_call",), lambda a: a.update(result="0x" + "0" * 192)), "absent")
    told("no contract is told", twist(("eth_call",), lambda a: a.update(result="0x")), "error", "no contract")
    told("what the chain calls final counts", twist(("eth_getBlockByNumber",), lambda a: a["result"].update(number="0x0"), "finalized"), "recent")
    reverted = twist(receipts[:1], lambda a: a["result"].update(status="0x0"))
    proxy.after = reverted
    fact("a transaction that reverted proves nothing", verify(8, "hash=" + right)["standing"] == "absent")
    proxy.after = twist(receipts[1:], lambda a: a["result"].append(a["result"][0]))
    fact("two events of one size cannot be", verify(8)["standing"] == "error")


def not_newer():
    before = chain.nonce()
    fact("what is anchored already needs no transaction", Run("size=10", "root=" + root(9)).end()["outcome"] == "already" and chain.nonce() == before)
    fact("a smaller head needs none, either", Run(*head(4)).end()["outcome"] == "already" and chain.nonce() == before)
    r = Run("size=10", "root=" + root(1))
    v = r.end()
    fact("another root of the same size is refused loudly", v["outcome"] == "failed" and "another root for size 10" in r.said, r.said)


def reorganised():
    chain.pause()
    proxy.clear()
    r = Run(*head(20))
    wait_for("waits", lambda: chain.nonce(at="pending") == chain.nonce() + 1)
    chain.ask("evm_mine")
    r.until("mined", lambda v: v["mined"])
    mined = chain.ask("eth_getTransactionReceipt", r.looks[-1]["hash"])
    depth = chain.number() - int(mined["blockNumber"], 16) + 1
    chain.ask("anvil_reorg", depth, [])
    gone = chain.ask("eth_getTransactionReceipt", r.looks[-1]["hash"]) is None
    r.until("the reorganisation is seen", lambda v: v["reorganised"] > 0)
    chain.mining.set()
    v = r.end()
    fact("a reorganisation is survived", gone and v["outcome"] == "done" and v["reorganised"] > 0 and len(nonces(proxy.sent)) == 1,
         gone, v, r.said)
    fact("and the head is on the chain that won", verify(20)["standing"] == "final")


def dropped():
    chain.pause()
    proxy.clear()
    r = Run(*head(30), "replace_ms=1200")
    wait_for("sent", lambda: proxy.sent)
    wait_for("waits", lambda: chain.nonce(at="pending") == chain.nonce() + 1)
    r.until("sent", lambda v: v["tries"] == 1)
    fact("the pool forgets it", chain.ask("anvil_dropTransaction", r.looks[-1]["hash"]) is not None)
    wait_for("sent again", lambda: chain.nonce(at="pending") == chain.nonce() + 1)
    chain.mining.set()
    v = r.end()
    fact("a transaction that is lost is sent again", v["outcome"] == "done" and len(nonces(proxy.sent)) == 1, v, r.said)


def fee_spike():
    chain.pause()
    proxy.clear()
    before = chain.nonce()
    r = Run(*head(40), "replace_ms=800", "fee_max=900000000000")
    r.until("sent", lambda v: v["tries"] == 1)
    chain.ask("anvil_setNextBlockBaseFeePerGas", hex(100 * 10**9))
    chain.ask("evm_mine")
    chain.ask("anvil_setNextBlockBaseFeePerGas", hex(100 * 10**9))
    chain.ask("evm_mine")
    fact("after a spike the offer is too low to be mined", chain.nonce() == before)
    r.until("replaced", lambda v: v["tries"] > 1)
    chain.mining.set()
    v = r.end()
    fact("it is replaced by a better one of the same nonce",
         v["outcome"] == "done" and v["tries"] > 1 and chain.nonce() == before + 1 and len(nonces(proxy.sent)) == 1, v, r.said)
    chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    r = Run(*head(41), "fee_max=1000", "tip_least=1")
    r.until("too dear", lambda v: "more than the 1000 allowed" in v["why"])
    fact("more than the highest fee is never offered", chain.nonce() == before + 1, r.looks)
    r.process.kill()
    r.process.wait()


def empty_account():
    poor = "0x" + "11" * 32
    account = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
    r = Run(*head(3), secret=poor, state=T + "/poor")
    r.until("it cannot pay", lambda v: "cannot pay" in v["why"])
    fact("an account without money is told", account in r.looks[-1]["why"].lower() and chain.nonce(account) == 0, r.looks[-1])
    chain.ask("anvil_setBalance", account, hex(10**18))
    v = r.end()
    fact("and goes on when it has some", v["outcome"] == "done" and chain.nonce(account) == 1, v)


def hostile():
    """One endpoint that misbehaves in a new way at every question, for a while, and an honest one after it."""
    count = [0]

    def lie(handler, q):
        count[0] += 1
        right = {"jsonrpc": "2.0", "id": q["id"], "result": "0x1"}
        ways = [lambda: handler.reply(b""), lambda: handler.reply(b"{"), lambda: handler.reply(b"[]"),
                lambda: handler.reply(b"<html>busy</html>", 503), lambda: handler.reply(b"{}" * 700000),
                lambda: handler.reply(json.dumps(dict(right, id=right["id"] + 1)).encode()),
                lambda: handler.reply(json.dumps(dict(right, jsonrpc="1.0")).encode()),
                lambda: handler.reply(json.dumps(dict(right, result={"a": [1] * 1000})).encode()),
                lambda: handler.reply(json.dumps(dict(right, error={"code": 1, "message": "both"})).encode()),
                lambda: handler.reply(b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"\\u001b[31mred"}}'),
                lambda: handler.connection.shutdown(socket.SHUT_RDWR), lambda: handler.wfile.write(b"no HTTP at all\r\n\r\n"),
                lambda: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000),
                lambda: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")]
        ways[count[0] % len(ways)]()
        handler.close_connection = True
    liar = Proxy(chain)
    liar.rule = lambda m, p: lie
    proxy.clear()
    dead = "http://127.0.0.1:%d" % free_port()
    r = Run(*head(50), "timeout_ms=500", urls=[dead, liar.url, proxy.url], poll=5)
    v = r.end(120)
    fact("nodes that are dead or talk nonsense are passed by", v["outcome"] == "done" and count[0] > 0, v, r.said)
    liar.rule = lambda m, p: lie if count[0] < 17 else None
    count[0] = 0
    r = Run(*head(51), "timeout_ms=500", urls=[liar.url], poll=5)
    v = r.end(120)
    whys = {x["why"] for x in r.looks if x["why"]}
    fact("a node that talks nonsense for a while delays, and no more", v["outcome"] == "done" and len(whys) > 5, v, r.said)
    fact("what it says is told without its control characters", not any("\x1b" in w for w in whys))
    for w in sorted(whys):
        print("# " + w)


def half_truths():
    """Well-formed answers that are wrong."""
    def other(method, params, answer):
        if method == "eth_getTransactionReceipt" and answer.get("result"):
            wrong = dict(answer["result"], transactionHash="0x" + "ab" * 32)
            return dict(answer, result=wrong)
        if method == "eth_sendRawTransaction":
            return dict(answer, result="0x" + "cd" * 32)
    proxy.clear()
    proxy.after = other
    r = Run(*head(60))
    r.until("the receipt is not believed", lambda v: "not our transaction's" in v["why"])
    fact("a receipt of another transaction is not believed", not any(v["outcome"] == "done" for v in r.looks))
    fact("nor another hash", any("hash of another" in v["why"] for v in r.looks), r.looks)
    proxy.clear()
    fact("and the truth is, later", r.end()["outcome"] == "done", r.said)


def killed():
    """kill -9 at every question, before and after the chain has it."""
    methods = ["eth_chainId", "eth_getBlockByNumber", "eth_call", "eth_getTransactionCount", "eth_maxPriorityFeePerGas", "eth_estimateGas",
               "eth_getBalance", "eth_sendRawTransaction", "eth_getTransactionReceipt"]
    size, lives, problems = 100, 0, []
    for method in methods:
        for when in ("before", "after"):
            for nth in (1, 2) if method in ("eth_getBlockByNumber", "eth_call", "eth_getTransactionReceipt") else (1,):
                size += 1
                proxy.clear()
                before = chain.nonce()
                left = [nth]
                chain.interval = 0.2 if method == "eth_getTransactionReceipt" else 0.03 # so that it is asked twice
                box = {}

                def strike(m):
                    if m == method and left[0] and box.get("run"):
                        left[0] -= 1
                        if not left[0]:
                            box["run"].process.send_signal(signal.SIGKILL)
                            box["run"].process.wait()

                def rule(m, _, when=when):
                    while "run" not in box:
                        time.sleep(0.001)
                    if when == "before":
                        strike(m)

                def after(m, _, answer, when=when):
                    if when == "after":
                        strike(m)
                    return answer
                proxy.rule, proxy.after = rule, after
                box["run"] = r = Run(*head(size), poll=30)
                r.end()
                if r.process.returncode != -9:
                    problems.append("%s %s %d: not killed" % (method, when, nth))
                    continue
                box["run"] = r = Run(*head(size), poll=30)
                v = r.end()
                lives += 1
                if v["outcome"] not in ("done", "already") or v["there"] < size:
                    problems.append("%s %s: %s %s" % (method, when, v, r.said))
                if chain.nonce() != before + 1 or len(nonces(proxy.sent)) != 1:
                    problems.append("%s %s: %d transactions" % (method, when, chain.nonce() - before))
    chain.interval = 0.03
    for at in range(1, 7): # before and after each of the three times that it keeps something
        size += 1
        proxy.clear()
        before = chain.nonce()
        r = Run(*head(size), "die=%d" % at, poll=30)
        r.end()
        if r.process.returncode != -9:
            problems.append("keeping %d: not killed" % at)
        v = Run(*head(size), poll=30).end()
        lives += 1
        if v["outcome"] not in ("done", "already") or chain.nonce() != before + 1 or len(nonces(proxy.sent)) != 1:
            problems.append("keeping %d: %s, %d transactions" % (at, v, chain.nonce() - before))
    fact("killed at any question, it goes on with the same transaction (%d times)" % lives, not problems and lives > 20, *problems)


def unkept():
    r = Run(*head(850), state=T + "/no/such/folder/state")
    r.end()
    fact("what cannot be kept is not sent", r.process.returncode == 1 and "cannot write" in r.said and not proxy.sent, r.said, proxy.sent)


def stopped():
    """SIGTERM while it waits for an answer that does not come, and while it waits for a block."""
    proxy.clear()
    proxy.rule = lambda m, p: (lambda handler, q: time.sleep(8))
    r = Run(*head(900), "timeout_ms=30000")
    wait_for("asked", lambda: proxy.asked)
    began = time.time()
    r.process.terminate()
    r.end()
    fact("it stops while a node hangs", "stopped" in r.said and time.time() - began < 5 and r.process.returncode == 1, r.said)
    proxy.clear()
    chain.pause()
    r = Run(*head(900), poll=5000)
    r.until("sent", lambda v: v["tries"] == 1)
    began = time.time()
    r.process.terminate()
    r.end()
    fact("it stops while it waits, at once", "goes on at the next start" in r.said and time.time() - began < 2, r.said)
    chain.mining.set()
    v = Run(*head(901)).end()
    fact("and goes on with what it had begun", v["outcome"] == "done" and v["there"] == 900 and len(nonces(proxy.sent)) == 1, v)


def tls():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", T + "/key.pem", "-out",
                    T + "/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True,
                   stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(T + "/cert.pem", T + "/key.pem")
    global proxy
    old, proxy = proxy, Proxy(chain, context)
    p = verify(8)
    fact("a certificate that nobody vouches for is refused", p["standing"] == "error" and "certificate" in p["why"], p)
    fact("with its authority it is TLS as usual", verify(8, "ca=" + T + "/cert.pem")["standing"] == "final")
    subprocess.run(["openssl", "req", "-x509", "-key", T + "/key.pem", "-out", T + "/cert.pem", "-days", "2", "-subj", "/CN=elsewhere.example",
                    "-addext", "subjectAltName=DNS:elsewhere.example"], check=True, stderr=subprocess.DEVNULL)
    context.load_cert_chain(T + "/cert.pem", T + "/key.pem")
    p = verify(8, "ca=" + T + "/cert.pem")
    fact("a certificate for another name is refused", p["standing"] == "error" and "certificate" in p["why"], p)
    proxy = old


def memory():
    proxy.clear()
    high = [0]

    def look(m, p):
        with open("/proc/%d/status" % box["run"].process.pid) as f:
            high[0] = max(int(x.split()[1]) for x in f if x.startswith("VmHWM"))
    box = {}
    proxy.rule = lambda m, p: look(m, p) if "run" in box else None
    box["run"] = r = Run(*head(1000))
    fact("and at the end one more", r.end()["outcome"] == "done")
    print("# at most %d kB of memory" % high[0])


CONTRACT = "0x" + "00" * 20
chain = Chain(ANVIL, T)
try:
    proxy = Proxy(chain)
    began = time.time()
    for step in (wrong_chain, deploy, anchor, verify_negatives, verify_lies, not_newer, reorganised, dropped, fee_spike, empty_account, hostile, half_truths,
                 killed, unkept, stopped, tls, memory):
        chain.mining.set()
        proxy.clear()
        if os.path.exists(T + "/state"):
            os.unlink(T + "/state")
        try:
            step()
        except Exception as e:  # pylint: disable=broad-except
            fact(step.__name__.replace("_", " "), False, repr(e))
        print("# %s: %.1f s so far" % (step.__name__, time.time() - began))
finally:
    chain.over = True
    chain.process.kill()
sys.exit(1 if failed else 0)
