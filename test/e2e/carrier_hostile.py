#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""carrier_hostile - a hub that gives its nodes strange answers: the carrier tells each as an error and lives. Prints TAP.

usage: carrier_hostile.py OSIER FOLDER    FOLDER has ca.crt, server.crt and server.key of a server at 127.0.0.1
"""
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading

osier, folder = sys.argv[1:3]
ANSWERS = {
    "/cut": (403, json.dumps({"error": {"code": "denied", "message": "a" * 219 + "ä" * 50}}, ensure_ascii=False)),
    "/terminal": (403, json.dumps({"error": {"code": "denied", "message": "\x1b[2Jgone", "hint": "\x9b1m"}})),
    "/grows": (200, "\x01" * 200000),
    "/fine": (200, "{}"),
}


class Hub(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        status, text = ANSWERS[self.path]
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/server.crt", f"{folder}/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
ours, its = socket.socketpair()
carrier = subprocess.Popen([osier, "carrier"], stdin=its, stdout=subprocess.DEVNULL)
its.close()
ours.settimeout(60)
lines = ours.makefile("rb")
origin = f"https://127.0.0.1:{server.server_address[1]}"
last = 0


def ask(path):
    global last
    last += 1
    question = {"id": last, "do": "post", "origin": origin, "path": path, "body": {}, "self": {"ca": f"{folder}/ca.crt"}}
    ours.sendall(json.dumps(question).encode() + b"\n")
    line = lines.readline()
    return json.loads(line) if line else {}


def fact(good, name, what):
    print(f"{'ok' if good else 'not ok'} - {name}" + ("" if good else f"\n# {str(what)[:300]}"))


a = ask("/cut")
fact(a.get("error", {}).get("message", "").startswith("aaa"), "words that are cut in the middle of a character are told", a)
a = ask("/terminal")
said = a.get("error", {}).get("message", "") + a.get("error", {}).get("hint", "")
fact("gone" in said and all(c.isprintable() for c in said), "words that a terminal would obey are told as text", a)
a = ask("/grows")
fact(a.get("error", {}).get("code") == "corrupt", "an answer that would be longer than a line is refused", a)
a = ask("/fine")
fact(a.get("body") == "{}", "the same carrier goes on", a)
ours.close()
lines.close()
fact(carrier.wait(30) == 0, "and ends when its engine is gone", carrier.returncode)
