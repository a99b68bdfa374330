# SPDX-License-Identifier: Apache-2.0
"""strangers.py - an authority of RFC 3161 (`openssl ts`) and calendars of OpenTimestamps, for tests. Works in the current folder; begins at import."""
import hashlib
import http.server
import subprocess
import threading


def openssl(*args, check=True):
    return subprocess.run(["openssl"] + list(args), capture_output=True, text=True, check=check, timeout=60)


# ---- an authority: a root, and a P-256 key whose certificate is for timestamps alone ----

CONFIG = """
[tsa1]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1, millisecs:500
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def key(name):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name)


def authority(prefix, usage, days="2", start=None):
    key(prefix + ".key")
    openssl("req", "-new", "-key", prefix + ".key", "-subj", "/O=Test/CN=Stamps", "-out", prefix + ".csr")
    with open(prefix + ".ext", "w") as f:
        f.write("extendedKeyUsage = %s\n" % usage)
    openssl("x509", "-req", "-in", prefix + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile",
            prefix + ".ext", "-out", prefix + ".pem")


for name in ("ca", "other"):
    key(name + ".key")
    openssl("req", "-x509", "-new", "-key", name + ".key", "-subj", "/CN=%s root" % name, "-days", "2", "-out", name + ".pem")
authority("tsa", "critical,timeStamping")
with open("tsa.cnf", "w") as f:
    f.write(CONFIG)
with open("serial", "w") as f:
    f.write("01\n")


class Server(http.server.BaseHTTPRequestHandler):
    """/tsa stamps; /refuse answers what does not parse as a grant; /cal-A and so on are calendars."""
    ready = False
    types = set() # of the requests
    submitted = {}
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def reply(self, body, status=200, kind="application/octet-stream"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in ("/tsa", "/replay", "/wrong-type"):
            with Server.lock, open("q.tsq", "wb") as q:
                q.write(body)
                q.close()
                openssl("ts", "-reply", "-queryfile", "q.tsq", "-config", "tsa.cnf", "-section", "tsa1", "-out", "r.tsr")
                answer = open("r.tsr", "rb").read()
            Server.types.add(self.headers["Content-Type"])
            self.reply(Server.old if self.path == "/replay" else answer, kind="application/timestamp-reply")
        elif self.path == "/refuse":
            self.reply(bytes.fromhex("300d300b02010230060c04" + b"busy".hex()))
        elif self.path == "/garbage":
            self.reply(b"\x30\x84" + b"x" * 3000)
        elif self.path == "/error":
            self.reply(b"", 500)
        elif self.path.startswith("/cal-") and self.path.endswith("/digest"):
            if self.path.startswith("/cal-dead"):
                return self.reply(b"gone", 503)
            if self.path.startswith("/cal-liar"):
                return self.reply(b"\xf0\x00nonsense")
            uri = "http://127.0.0.1:%d%s" % (PORT, self.path[:-len("/digest")])
            mark = self.path[5:6].encode()
            mid = hashlib.sha256(b"\x01\x02\x03" + mark + body).digest() + b"\x09\x08\x07\x06\x05\x04\x03\x02"
            Server.submitted[mid.hex()] = True
            payload = bytes([len(uri)]) + uri.encode()
            self.reply(b"\xf1\x04\x01\x02\x03" + mark + b"\x08\xf0\x08\x09\x08\x07\x06\x05\x04\x03\x02" +
                       b"\x00\x83\xdf\xe3\x0d\x2e\xf9\x0c\x8e" + bytes([len(payload)]) + payload)
        else:
            self.reply(b"", 404)

    def do_GET(self):
        commitment = self.path.rsplit("/", 1)[1]
        if not Server.ready or commitment not in Server.submitted:
            return self.reply(b"Pending", 404)
        self.reply(b"\xf1\x01\x55\x08\x08\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x03\xf7\xef\x15")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
PORT = server.server_address[1]
URL = "http://127.0.0.1:%d" % PORT
threading.Thread(target=server.serve_forever, daemon=True).start()
