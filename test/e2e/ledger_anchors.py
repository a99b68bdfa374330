# SPDX-License-Identifier: Apache-2.0
"""ledger_anchors.py ANVIL OSIER FOLDER: a real node, a real chain, and a proxy between them that lies, hangs and closes. Prints TAP."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

from chain import Chain, Proxy, fact, failed, free_port, wait_for

ANVIL, OSIER, T = sys.argv[1:4]
STATE = os.environ["OSIER_STATE"]
os.chdir(T)


def osier(*args, timeout=90):
    return subprocess.run([OSIER] + list(args), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def configure(every="1h", urls=None, **more):
    chain_of = dict({"rpc": urls or [proxy.url], "id": 31337, "every": every, "poll": "60ms", "replace": "60s", "timeout": "5s"}, **more)
    with open(STATE + "/config.yaml.new", "w") as f:
        json.dump({"ledger": {"anchors": [{"chain": chain_of}]}}, f)
    os.rename(STATE + "/config.yaml.new", STATE + "/config.yaml")


def run_job():
    p = osier("submit", "--watch", "job.yaml")
    assert p.returncode == 0, p


def anchors():
    p = osier("ledger", "anchor", "list", "--json")
    return json.loads(p.stdout)["anchors"] if p.returncode == 0 else []


def newest():
    return (anchors() or [{"size": 0, "state": "none", "details": {}}])[0]


class Going:
    """`osier ledger anchor` at work; what it says is read as it comes."""

    def __init__(self, *args):
        self.p = subprocess.Popen([OSIER, "ledger", "anchor"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.p.stderr:
            self.said.append(line.strip())

    def says(self, text):
        wait_for(text, lambda: self.p.poll() is not None or any(text in x for x in self.said))
        assert any(text in x for x in self.said), "%s: %s" % (text, self.said)

    def end(self, seconds=90):
        self.p.wait(seconds)
        self.thread.join(10)
        self.out = self.p.stdout.read()
        return self.p.returncode


def nonces(raws):
    """Of raw transactions to chain 31337 (an id of two bytes): the second item of the list."""
    out = set()
    for r in raws:
        at = re.match("0x02f8..82....(8[1-8]|..)", r)
        width = int(at.group(1), 16) - 0x80
        out.add(r[at.start(1):at.end(1) + 2 * width] if 0 < width <= 8 else at.group(1))
    return out


def setting_up():
    configure()
    fact("a node is up whose configuration names a chain", osier("up").returncode == 0)
    run_job()
    with open(STATE + "/keys/anchor.key") as f:
        sealed = f.read()
    fact("its account's key is there, sealed, and its owner's alone",
         sealed.startswith("osier sealed key v1") and os.stat(STATE + "/keys/anchor.key").st_mode & 0o777 == 0o600, sealed[:20])
    p = osier("ledger", "anchor")
    fact("without a contract one is told how to get it", p.returncode == 4 and "anchor deploy" in p.stderr, p)
    p = osier("ledger", "anchor", "deploy")
    account = re.search("0x[0-9a-fA-F]{40}", p.stderr)
    fact("an empty account is told, with the address to send to and how much", p.returncode == 5 and account and "cannot pay" in p.stderr and
         re.search("up to [0-9]+ gwei", p.stderr) and not proxy.sent, p)
    chain.ask("anvil_setBalance", account.group(0), hex(10**18))
    p = osier("ledger", "anchor", "deploy", "--json")
    d = json.loads(p.stdout) if p.returncode == 0 else {}
    fact("the contract is put on the chain", p.returncode == 0 and d["gas"] <= 176933 * 1.1 and
         len(chain.ask("eth_getCode", d["contract"], "latest")) > 1000, p)
    p = osier("ledger", "anchor", "deploy")
    fact("once", p.returncode == 5 and d["contract"] in p.stderr, p)
    keys = json.loads(osier("ledger", "keys", "--json").stdout)["keys"]
    fact("the account is among the node's keys", [k["vkey"] for k in keys if k["role"] == "anchor"] == [account.group(0)], keys)
    return account.group(0), d["contract"]


def anchored():
    p = osier("ledger", "anchor", "--json") # or the messenger was the first, for which this waits
    a = json.loads(p.stdout) if p.returncode == 0 else {"details": {}}
    fact("a head is anchored and followed until it is final",
         p.returncode == 0 and a["state"] == "final" and a["details"]["gas"] <= 69337 * 1.1, p)
    before = chain.nonce(ACCOUNT)
    p = osier("ledger", "anchor")
    fact("once: another try needs no transaction", p.returncode == 0 and "already" in p.stdout and chain.nonce(ACCOUNT) == before, p)
    run_job()
    p = osier("ledger", "anchor")
    a = newest()
    fact("a later head costs at most what is known (32,469 gas)", p.returncode == 0 and "for good" in p.stdout and
         a["details"]["gas"] <= 32469 * 1.1 and chain.nonce(ACCOUNT) == before + 1, p, a)
    fact("an anchor knows when it began, from where the next is counted", abs(a["details"]["begun"] - time.time()) < 120, a)
    p = osier("ledger", "anchor", "list")
    fact("the list shows head, chain, block, state, gas and fee",
         re.search(r"%d +chain 31337 +final +%d .*%d gas, [0-9.]+ gwei" % (a["size"], a["details"]["block"], a["details"]["gas"]), p.stdout), p.stdout)


def verify(*args, receipt="r.tlog-proof"):
    return osier("verify", receipt, "--policy", "trust.policy", *args)


def wrong(name, p, text, code=6):
    fact(name, p.returncode == code and text in p.stderr, p)


def verified():
    osier("receipt", "job-2/main/0", "-o", "r.tlog-proof")
    with open("trust.policy", "w") as f:
        f.write(osier("ledger", "policy").stdout)
    p = verify()
    fact("without a node of the chain a receipt is committed, and the anchor not checked",
         p.returncode == 0 and "is committed" in p.stdout and "not checked: --chain" in p.stdout, p)
    proxy.clear()
    p = verify("--chain", proxy.url, "--contract", CONTRACT, "--account", ACCOUNT)
    a = newest()
    fact("with one it is anchored, with chain, block and finality", p.returncode == 0 and "is anchored" in p.stdout and
         "chain 31337, block %d of" % a["details"]["block"] in p.stdout and ", final, " in p.stdout, p)
    fact("by its own eth_call", "eth_call" in proxy.asked and not proxy.sent, proxy.asked)
    p = verify("--chain", proxy.url, "--json")
    j = json.loads(p.stdout) if p.returncode == 0 else {"anchors": [{}]}
    block = chain.ask("eth_getBlockByNumber", hex(a["details"]["block"]), False)
    fact("as JSON it says the same", j.get("level") == "anchored" and j["anchors"][0]["final"] and
         j["anchors"][0]["block_time"] == int(block["timestamp"], 16) and j["anchors"][0]["block_hash"] == block["hash"], j)
    p = verify("--chain", proxy.url, "--confirmations", "1000000")
    fact("so many confirmations are not there: not final", p.returncode == 0 and "NOT final" in p.stdout and "is committed" in p.stdout, p)
    wrong("an anchor in another contract is refused", verify("--contract", "0x" + "12" * 20), "not in the one you trust")
    wrong("an anchor of another account is refused", verify("--account", "0x" + "12" * 20), "not of the one you trust")
    wrong("nobody at the address is told", verify("--chain", "http://127.0.0.1:%d" % free_port()), "nobody answers", 3)
    lies()
    flips()


def lies():
    def twist(methods, change):
        def after(method, _, answer):
            if method in methods and answer.get("result") is not None:
                change(answer)
            return answer
        proxy.clear()
        proxy.after = after
        return verify("--chain", proxy.url)
    receipts = ("eth_getTransactionReceipt", "eth_getLogs")
    wrong("a chain with another id proves nothing", twist(("eth_chainId",), lambda a: a.update(result="0x5")), "the node is on chain 5", 2)
    wrong("a chain without the transaction is told", twist(receipts, lambda a: a.update(result=None if isinstance(a["result"], dict) else [])),
          "its transaction is not there")
    wrong("a head that the contract does not hold, too", twist(("eth_call",), lambda a: a.update(result="0x" + "0" * 192)), "is not there")
    wrong("another root is told", twist(receipts, lambda a: (a["result"] if isinstance(a["result"], dict) else a["result"][0]).__setitem__(
        "logs", [dict(x, data="0x" + "77" * 32) for x in a["result"]["logs"]]) if isinstance(a["result"], dict) else None), "another root")
    wrong("a block that is not in the chain is told", twist(("eth_getBlockByNumber",), lambda a: a["result"].update(hash="0x" + "77" * 32)),
          "not in its chain")
    proxy.clear()
    p = verify("--chain", proxy.url, "--chain", chain.url)
    fact("two nodes that agree are asked both", p.returncode == 0 and "is anchored" in p.stdout, p)


def flips():
    raw = open("r.tlog-proof", "rb").read()
    unnoticed = []
    for at in range(30, len(raw) - 1, len(raw) // 60):
        with open("changed", "wb") as f:
            f.write(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
        if verify(receipt="changed").returncode == 0:
            unnoticed.append(at)
    fact("a changed character is noticed wherever it is, with no chain asked", not unnoticed, unnoticed)


def wrong_endpoints():
    configure(id=5)
    p = osier("ledger", "anchor", "deploy")
    fact("a node of another chain is told, and nothing sent", p.returncode == 2 and "on chain 31337, not on 5" in p.stderr, p)
    run_job()
    proxy.clear()
    proxy.rule = lambda m, _: (lambda handler, q: time.sleep(3))
    configure(timeout="300ms")
    began = time.time()
    p = osier("ledger", "anchor")
    fact("a node that hangs is given up on, and told", p.returncode == 124 and "did not answer within 0.3 s" in p.stderr, p)
    print("# after %.1f s" % (time.time() - began))
    hangs = proxy.url
    other = Proxy(chain)
    configure(timeout="1s", urls=[hangs, "http://127.0.0.1:%d" % free_port(), other.url])
    p = osier("ledger", "anchor")
    fact("with an honest node after it the head gets there", p.returncode == 0 and "for good" in p.stdout, p)
    proxy.clear()
    run_job()
    configure(fee="1000wei", tip="1wei")
    p = osier("ledger", "anchor")
    fact("a fee above the limit is told, and nothing sent", p.returncode == 5 and "more than the 1000 allowed" in p.stderr and not proxy.sent, p)
    configure()


def reorganised():
    chain.pause()
    proxy.clear()
    before = chain.nonce(ACCOUNT)
    g = Going()
    wait_for("it waits", lambda: chain.nonce(ACCOUNT, "pending") == before + 1)
    chain.ask("evm_mine")
    g.says("in block")
    at = chain.ask("eth_getTransactionReceipt", newest()["details"]["transaction"])
    chain.ask("anvil_reorg", chain.number() - int(at["blockNumber"], 16) + 1, [])
    g.says("its block is no more")
    lost = newest()
    chain.mining.set()
    code = g.end()
    a = newest()
    fact("a reorganisation is followed to the chain that won", code == 0 and lost["state"] == "lost" and a["state"] == "final" and
         a["details"]["reorganised"] >= 1 and len(nonces(proxy.sent)) == 1, code, lost, a, g.said)


def lost():
    run_job()
    chain.pause()
    proxy.clear()
    configure(replace="1200ms")
    before = chain.nonce(ACCOUNT)
    g = Going()
    wait_for("it waits", lambda: chain.nonce(ACCOUNT, "pending") == before + 1)
    g.says("waiting for a block")
    chain.ask("anvil_dropTransaction", newest()["details"]["transaction"])
    wait_for("it is sent again", lambda: chain.nonce(ACCOUNT, "pending") == before + 1)
    chain.mining.set()
    code = g.end()
    fact("a transaction that the chain forgets is sent again", code == 0 and newest()["state"] == "final" and len(nonces(proxy.sent)) == 1 and
         chain.nonce(ACCOUNT) == before + 1, code, g.said)


def fee_spike():
    run_job()
    chain.pause()
    proxy.clear()
    configure(replace="800ms", fee="900gwei")
    before = chain.nonce(ACCOUNT)
    g = Going()
    wait_for("it waits", lambda: chain.nonce(ACCOUNT, "pending") == before + 1)
    for _ in range(2):
        chain.ask("anvil_setNextBlockBaseFeePerGas", hex(100 * 10**9))
        chain.ask("evm_mine")
    g.says("replaced")
    wait_for("the list shows it", lambda: newest()["state"] == "replaced")
    chain.mining.set()
    code = g.end()
    a = newest()
    fact("after a spike of the fee it is replaced, under the same nonce", code == 0 and a["state"] == "final" and a["details"]["tries"] > 1 and
         chain.nonce(ACCOUNT) == before + 1 and len(nonces(proxy.sent)) == 1, code, a, g.said)
    chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    configure()


def damaged():
    """What lies in the state folder is looked at before it is believed; and a node without its account's key still publishes its log."""
    save, key = STATE + "/anchors/31337.save", STATE + "/keys/anchor.key"
    before = chain.nonce(ACCOUNT)
    for bad in (b"x", b"osier anchor v1\n", b"osier anchor v1\n99999999999999999999\n", b"osier anchor v1\n3\nabc" + bytes(200)):
        with open(save, "wb") as f:
            f.write(bad)
        p = osier("ledger", "anchor")
        if p.returncode == 0 or "damaged" not in p.stderr + "" and "not a note" not in p.stderr:
            fact("what is kept of an anchor is checked", False, bad, p)
    fact("a damaged file of an anchor under way is told, and nothing sent", chain.nonce(ACCOUNT) == before)
    os.unlink(save)
    os.chmod(key, 0o644)
    osier("down")
    p = osier("up")
    run_job()
    published = osier("ledger", "publish")
    fact("with a key that others can read the log is published", p.returncode == 0 and published.returncode == 0, p, published)
    p = osier("ledger", "anchor")
    fact("but nothing is anchored, and why is told", p.returncode == 5 and "anchor.key" in p.stderr and chain.nonce(ACCOUNT) == before, p)
    os.chmod(key, 0o600)
    osier("down")
    osier("up")


def processes(word):
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open("/proc/%s/cmdline" % pid, "rb").read().split(b"\0")
        except OSError:
            continue
        if len(line) > 3 and line[1] == word.encode() and STATE.encode() in line:
            out.append(int(pid))
    return out


def kill9(word):
    for pid in processes(word):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def by_the_clock():
    """The messenger anchors; it and the engine are killed at each kind of question, before and after the chain has it."""
    configure(every="1s")
    before, sizes = chain.nonce(ACCOUNT), {a["size"] for a in anchors()}
    osier("down")
    proxy.clear()
    fact("the node comes up again", osier("up").returncode == 0)
    wait_for("the messenger anchors", lambda: newest()["size"] not in sizes and newest()["state"] == "final")
    for n, (method, victim) in enumerate([("eth_sendRawTransaction", "messenger"), ("eth_getTransactionReceipt", "engine"),
                                          ("eth_estimateGas", "messenger"), ("eth_sendRawTransaction", "engine")]):
        struck = []

        def strike(m, _, answer=None, method=method, victim=victim, struck=struck):
            if m == method and not struck:
                struck.append(m)
                kill9(victim)
            return answer
        if n % 2:
            proxy.rule, proxy.after = None, strike
        else:
            proxy.rule, proxy.after = strike, None
        last = wait_for("the node tells its anchors", anchors)[0]["size"]
        run_job()
        wait_for("killed at " + method, lambda: struck)
        wait_for("final in the end", lambda: newest()["size"] > last and newest()["state"] == "final")
        proxy.rule = proxy.after = None

    def at_rest():
        """How many transactions the chain has, for which heads, and which were sent, when none is under way; the engine's start may be a head, too."""
        count, done = chain.nonce(ACCOUNT), anchors()
        if not done or done[0]["state"] != "final" or chain.nonce(ACCOUNT) != count:
            return None
        return count - before, {a["size"] for a in done} - sizes, nonces(proxy.sent)
    count, done, sent = wait_for("nothing is under way", at_rest)
    fact("killed at any moment it is one transaction for each head", count == len(done) == len(sent), count, done, sent)
    run_job()
    p = osier("receipt", "last/main/0", "--wait", "anchored", "-o", "w.tlog-proof")
    v = verify("--chain", chain.url, receipt="w.tlog-proof")
    fact("a receipt is waited for until it is anchored", p.returncode == 0 and "is anchored" in v.stdout, p, v)
    log = open(STATE + "/node.log").read()
    fact("the messenger's memory of libcurl is not the engine's", all(b"libcurl" not in open("/proc/%d/maps" % e, "rb").read() for e in processes("engine")), log)
    configure()
    osier("down")
    osier("up")
    run_job()
    p = osier("receipt", "last/main/0", "--wait", "anchored", "--timeout", "1s")
    fact("one that does not come is waited for so long, and no longer", p.returncode == 124 and "not anchored within" in p.stderr, p)
    fact("no key of an address is in the log", "key-that-is-secret" not in log, log[-500:])


chain = Chain(ANVIL, T)
try:
    proxy = Proxy(chain)
    os.makedirs(STATE, exist_ok=True)
    with open("job.yaml", "w") as f:
        f.write("name: job\ncommand: echo hello\n")
    ACCOUNT, CONTRACT = setting_up()
    began = time.time()
    for step in (anchored, verified, wrong_endpoints, reorganised, lost, fee_spike, damaged, by_the_clock):
        chain.mining.set()
        proxy.clear()
        try:
            step()
        except Exception as e:  # pylint: disable=broad-except
            fact(step.__name__.replace("_", " "), False, repr(e))
        print("# %s: %.1f s so far" % (step.__name__, time.time() - began))
finally:
    chain.over = True
    chain.process.kill()
sys.exit(1 if failed else 0)
