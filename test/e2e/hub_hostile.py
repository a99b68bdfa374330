# SPDX-License-Identifier: Apache-2.0
"""hub_hostile - a node that has joined and means ill: it speaks MQTT and frames by hand, with a certificate of its own. Shares no code with osier.

hub_hostile.py PORT FOLDER NAME ATTACK [ARGUMENT...]

FOLDER has ca.crt, client.crt, client.key of node NAME; the hub is `plant`. Attacks:
  others VICTIM            publishes and listens where VICTIM does
  garbage N                N frames that are none, then streams that are no MQTT
  welcome KEY JOURNAL      a Hello as it should be: prints `welcome`, or `refused` and why
  numbers KEY JOURNAL LEASE...   in a session: results and ends of leases that others have, numbers that cannot be
  forget KEY JOURNAL N     N Hellos, each with another offer and nothing that it holds
  flood MIB [KIB]          as many bytes as that on its own topic, in frames of so many KiB, as fast as they are taken
  uploads PORT MIB         at the hub's HTTPS port: sizes that lie, bodies without end, many that never end, and as many bytes as that; says what became of them
  sleep SECONDS            listens to its own topic and reads nothing
Exits with 0 when it did it, whatever was thought of it.
"""
import os
import random
import socket
import ssl
import struct
import sys
import time

HUB = "plant"
rng = random.Random(4711)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def num(field, n):
    return varint(field << 3) + varint(n)


def data(field, b):
    b = b.encode() if isinstance(b, str) else b
    return varint(field << 3 | 2) + varint(len(b)) + b


def frame(session, number, body, ack=0, size=1 << 40):
    return num(1, session) + num(2, number) + num(3, ack) + num(4, size) + body


def hello(name, key, journal, cpu=1000, seen=0):
    need = data(1, "cpu") + num(2, cpu)
    node = data(2, name) + data(3, need)
    return data(10, num(1, 1000) + data(2, name) + data(3, key) + data(4, journal) + num(5, seen) + data(8, node))


class Mqtt:
    """MQTT 3.1.1, QoS 0, as much of it as is needed to be a nuisance."""

    def __init__(self, port, folder, name):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.load_verify_locations(folder + "/ca.crt")
        c.load_cert_chain(folder + "/client.crt", folder + "/client.key")
        self.s = c.wrap_socket(socket.create_connection(("127.0.0.1", port), 20))
        self.s.settimeout(20)
        self.buf = b""
        self.send(0x10, self.text("MQTT") + b"\x04\x02\x00\x3c" + self.text(name))
        kind, body = self.packet()
        assert kind == 0x20 and body[1] == 0, "not let in: %d" % body[1]

    @staticmethod
    def text(s):
        return struct.pack(">H", len(s)) + s.encode()

    def send(self, kind, body):
        self.s.sendall(bytes([kind]) + varint(len(body)) + body)

    def publish(self, topic, payload, retain=False):
        self.send(0x31 if retain else 0x30, self.text(topic) + payload)

    def subscribe(self, *topics):
        self.send(0x82, b"\x00\x01" + b"".join(self.text(t) + b"\x00" for t in topics))

    def take(self, n):
        while len(self.buf) < n:
            got = self.s.recv(65536)
            if not got:
                raise ConnectionError("the broker has closed the connection")
            self.buf += got
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def packet(self):
        kind, n, shift = self.take(1)[0], 0, 0
        while True:
            b = self.take(1)[0]
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return kind & 0xF0, self.take(n)

    def messages(self, seconds):
        """What comes within so many seconds: topic and payload."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.s.settimeout(max(0.05, end - time.monotonic()))
            try:
                kind, body = self.packet()
            except (socket.timeout, ssl.SSLError):
                return
            if kind == 0x30:
                n = struct.unpack(">H", body[:2])[0]
                yield body[2:2 + n].decode(), body[2 + n:]


def fields(b):
    """A message's fields: number to its last value."""
    out, at = {}, 0

    def one():
        nonlocal at
        n = shift = 0
        while True:
            n |= (b[at] & 127) << shift
            shift += 7
            at += 1
            if b[at - 1] < 128:
                return n

    while at < len(b):
        tag = one()
        n = one()
        if tag & 7 == 2:
            out[tag >> 3] = b[at:at + n]
            at += n
        else:
            out[tag >> 3] = n
    return out


class Evil:
    def __init__(self, port, folder, name):
        self.port, self.folder, self.name = port, folder, name
        self.topic = "osier/%s/%s/" % (HUB, name)

    def mqtt(self):
        return Mqtt(self.port, self.folder, self.name)

    def others(self, victim):
        m = self.mqtt()
        theirs = "osier/%s/%s/" % (HUB, victim)
        m.subscribe("#", "osier/#", "$SYS/#", theirs + "down", theirs + "up", "osier/%s/+/up" % HUB)
        for _ in range(200):
            m.publish(theirs + "state", b"gone", retain=True)
            m.publish(theirs + "up", frame(1 << 50, 0, hello(victim, bytes(32), bytes(32))))
            m.publish(theirs + "down", frame(1, 0, data(13, b"")))
            m.publish("osier/%s/hub" % HUB, b"gone", retain=True)
        heard = [t for t, _ in m.messages(2) if t not in ("osier/%s/hub" % HUB, "osier/%s/hubs" % HUB) and not t.startswith(self.topic)]
        print("heard %s" % (heard[:5] or "nothing"))

    def garbage(self, n):
        m = self.mqtt()
        for i in range(int(n)):
            m.publish(self.topic + ("up" if i % 7 else "state"), rng.randbytes(rng.choice([0, 1, 10, 100, 3000])))
        m.publish(self.topic + "up", rng.randbytes(250 << 10))
        m.publish(self.topic + "state", b"here", retain=True)
        for what in (b"\x30\xff\xff\xff\x7f" + bytes(4096), b"\xf0\xff\xff\xff\xff\xff", rng.randbytes(5000), b"\x82\x02\x00\x01"):
            m = self.mqtt()
            try:
                m.s.sendall(what)
                m.s.settimeout(5)
                while m.s.recv(4096):
                    pass
            except (OSError, ssl.SSLError):
                pass

    def session(self, m, key, journal, number, **more):
        m.publish(self.topic + "state", b"here", retain=True)
        m.publish(self.topic + "up", frame(number, 0, hello(self.name, bytes.fromhex(key), bytes.fromhex(journal), **more)))

    def welcome(self, key, journal):
        m = self.mqtt()
        m.subscribe(self.topic + "down")
        self.session(m, key, journal, time.time_ns() + (1 << 41))
        for _, b in m.messages(10):
            f = fields(b)
            if 11 in f:
                print("welcome")
                return
            if 12 in f:
                print("refused: " + fields(f[12]).get(2, b"").decode())
                return
        print("no answer")

    def numbers(self, key, journal, *leases):
        m = self.mqtt()
        m.subscribe(self.topic + "down")
        session = time.time_ns()
        self.session(m, key, journal, session)
        for _, b in m.messages(10):
            if 11 in fields(b):
                break
        leases = [int(x) for x in leases]
        bodies = []
        for lease in leases + [0, 1, 2, 1 << 63, (1 << 64) - 1]:
            for first in (0, 1, (1 << 64) - 1):
                bodies.append(data(17, data(1, num(1, lease) + num(2, first) + num(3, 1))))
                bodies.append(data(17, data(1, num(1, lease) + num(2, first) + num(3, (1 << 64) - 1))))
            bodies.append(data(18, num(1, lease) + num(2, 3)))
            bodies.append(data(14, num(1, lease) + data(6, b"x")))
            bodies.append(data(15, num(1, lease) + num(2, 1)))
        for body in bodies:
            session += 1
            self.session(m, key, journal, session)
            for number in (1, 2, 1 << 63, (1 << 64) - 1):
                m.publish(self.topic + "up", frame(session, number, body))
            m.publish(self.topic + "up", frame(session, 1, body, ack=(1 << 64) - 1))
            m.publish(self.topic + "up", frame((1 << 64) - 1, 1, body))
        list(m.messages(1))

    def forget(self, key, journal, n):
        m = self.mqtt()
        m.subscribe(self.topic + "down")
        at = time.time_ns() + (1 << 40)
        for i in range(int(n)):
            self.session(m, key, journal, at + i, cpu=1000 + i)
        list(m.messages(1))

    def flood(self, mib, kib=200):
        m = self.mqtt()
        payload = rng.randbytes(int(kib) << 10)
        for _ in range(int(mib) * 1024 // int(kib)):
            m.publish(self.topic + "up", payload)
        m.publish(self.topic + "state", b"gone", retain=True)

    def https(self, port):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.load_verify_locations(self.folder + "/ca.crt")
        c.load_cert_chain(self.folder + "/client.crt", self.folder + "/client.key")
        s = c.wrap_socket(socket.create_connection(("127.0.0.1", port), 20))
        s.settimeout(30)
        return s

    @staticmethod
    def head(s, path, *headers, method="PUT"):
        s.sendall("\r\n".join(["%s %s HTTP/1.1" % (method, path), "Host: x", *headers, "", ""]).encode())

    @staticmethod
    def answer(s):
        """The status, 0 when it was hung up on us."""
        got = b""
        try:
            while b"\r\n" not in got:
                more = s.recv(4096)
                if not more:
                    return 0
                got += more
        except OSError:
            return 0
        return int(got.split(b" ")[1]) if got.startswith(b"HTTP/") else 0

    @staticmethod
    def has_answer(s):
        try:
            s.recv(1)
        except (socket.timeout, ssl.SSLWantReadError):
            return False
        except OSError:
            pass
        return True

    def pour(self, s, n, chunked=False):
        """As much of n bytes as is taken."""
        block, sent = bytes(256 << 10), 0
        try:
            while sent < n:
                s.sendall(b"%x\r\n" % len(block) + block + b"\r\n" if chunked else block)
                sent += len(block)
        except OSError:
            pass
        return sent

    def uploads(self, port, mib):
        port, mib = int(port), int(mib)
        name = "/v1/blobs/%064x"
        count = iter(range(1, 1 << 30))

        # Sizes that cannot be.
        for headers in (["Content-Length: %d" % (1 << 50)], ["Content-Length: %d" % ((1 << 64) - 1)], ["Content-Length: -1"],
                        ["Content-Range: bytes 0-%d/%d" % ((1 << 64) - 1, (1 << 64) - 1), "Content-Length: 10"],
                        ["Content-Range: bytes 9-1/10", "Content-Length: 10"], ["Content-Range: bytes 0-99/10", "Content-Length: 100"],
                        ["Content-Range: bytes 5-9/10", "Content-Length: 5"], []):
            s = self.https(port)
            self.head(s, name % next(count), *headers)
            print("size %s: %d" % (headers[:1], self.answer(s)))
            s.close()

        # More than was said, and without an end.
        for what, path, headers, chunked in (("more", name % next(count), ["Content-Length: 100"], False),
                                             ("ranged", name % next(count), ["Content-Range: bytes 0-99/100", "Transfer-Encoding: chunked"], True),
                                             ("endless", name % next(count), ["Transfer-Encoding: chunked"], True),
                                             ("endless me", "/v1/hub/me", ["Transfer-Encoding: chunked"], True),
                                             ("endless join", "/v1/hub/join", ["Transfer-Encoding: chunked"], True)):
            s = self.https(port)
            self.head(s, path, *headers, method="PUT" if "blobs" in path else "POST")
            print("%s: %d of %d" % (what, self.pour(s, 64 << 20, chunked), 64 << 20))
            s.close()

        # Many that are begun, and never end. They stay open to the end of all this.
        held = []
        for _ in range(100):
            s = self.https(port)
            self.head(s, name % next(count), "Content-Length: %d" % (32 << 20))
            self.pour(s, 1 << 20)
            s.settimeout(0.05)
            held.append(s)
        waiting, end = list(held), time.monotonic() + 30
        while time.monotonic() < end and len(waiting) > 16:
            waiting = [s for s in waiting if not self.has_answer(s)]
        waiting = [s for s in waiting if not self.has_answer(s)]
        begun = len(waiting)
        print("begun: %d of 100" % begun)

        # As much as is taken: none of it is what it is called.
        sent, refused = 0, 0
        while sent < mib << 20:
            s = self.https(port)
            self.head(s, name % next(count), "Content-Length: %d" % (32 << 20))
            n = self.pour(s, 32 << 20)
            status = self.answer(s)
            s.close()
            if status == 422 and n == 32 << 20:
                sent += n
                continue
            refused += 1 # those that were begun have all that one node may
            assert refused < 1000, "refused %d times, %d at last" % (refused, status)
            if held:
                held.pop().close()
        print("sent: %d MiB, %d times refused" % (sent >> 20, refused))

    def sleep(self, seconds):
        m = self.mqtt()
        m.subscribe(self.topic + "down")
        time.sleep(float(seconds))


def main():
    evil = Evil(int(sys.argv[1]), sys.argv[2], sys.argv[3])
    getattr(evil, sys.argv[4])(*sys.argv[5:])


if __name__ == "__main__":
    main()
