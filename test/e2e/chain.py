# SPDX-License-Identifier: Apache-2.0
"""chain.py - what tests with a real node of a chain (anvil) share: the chain, who makes its blocks, a proxy before it that can lie, hang, close."""
import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.request

ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266" # anvil's first, which has money
failed = []


def fact(name, good, *why):
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        failed.append(name)
        for w in why:
            print("# " + str(w)[:2000].replace("\n", "\n# "))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("never: " + what)


class Chain:
    """anvil, and who makes its blocks."""

    def __init__(self, anvil, folder, *options):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.process = subprocess.Popen([anvil, "--port", str(self.port), "--host", "127.0.0.1", "--silent", "--no-mining",
                                         "--slots-in-an-epoch", "1", "--cache-path", folder + "/anvil-%d" % self.port, *options],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.mining = threading.Event()
        self.over, self.interval = False, 0.03
        wait_for("anvil answers", self.up)
        self.thread = threading.Thread(target=self.mine, daemon=True)
        self.mining.set()
        self.thread.start()

    def up(self):
        try:
            return self.ask("eth_chainId")
        except OSError:
            return None

    def ask(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        r = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        answer = json.loads(urllib.request.urlopen(r, timeout=20).read())
        if "error" in answer:
            raise AssertionError("%s: %s" % (method, answer["error"]))
        return answer["result"]

    def mine(self):
        while not self.over:
            self.mining.wait(0.2)
            if self.mining.is_set():
                self.ask("evm_mine")
            time.sleep(self.interval)

    def pause(self):
        self.mining.clear()
        time.sleep(0.15)

    def nonce(self, account=ACCOUNT, at="latest"):
        return int(self.ask("eth_getTransactionCount", account, at), 16)

    def number(self):
        return int(self.ask("eth_blockNumber"), 16)


class Proxy:
    """Stands between osier and the chain. rule(method, params) may return None (forward), or what to do instead; after(method, params, answer)
    may change the answer or do something before osier has it."""

    def __init__(self, chain, tls=None):
        self.chain, self.rule, self.after, self.sent, self.asked = chain, None, None, [], []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def reply(self, body, status=200):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                q = json.loads(body)
                method, params = q["method"], q["params"]
                proxy.asked.append(method)
                if method == "eth_sendRawTransaction":
                    proxy.sent.append(params[0])
                do = proxy.rule and proxy.rule(method, params)
                try:
                    if do is not None:
                        do(self, q)
                        return
                    r = urllib.request.Request(proxy.chain.url, body, {"Content-Type": "application/json"})
                    answer = json.loads(urllib.request.urlopen(r, timeout=20).read())
                    if proxy.after:
                        answer = proxy.after(method, params, answer) or answer
                    self.reply(json.dumps(answer).encode())
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://127.0.0.1:%d/key-that-is-secret" % ("https" if tls else "http", self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def clear(self):
        self.rule = self.after = None
        self.sent.clear()
        self.asked.clear()
