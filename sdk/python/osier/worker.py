# SPDX-License-Identifier: Apache-2.0
"""Write a worker in Python: functions that osier calls, many tasks to one process.

    from osier import worker

    @worker.function
    def square(task):
        return str(task.index ** 2)

    worker.run()

A function gets a Task and returns bytes, str, None, or anything json.dumps() takes. Raising fails the task with the exception's
text; `raise worker.Fail("why", code=3)` chooses the exit code. What it prints goes to the worker's log.

The bytes on the socket are those of src/wire/worker_msg.h (SOCK_SEQPACKET, fd 3). Results of quick tasks share packets;
a result waits 2 ms at most. Standard library only; Python 3.8 or later.
"""

import array
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback

__all__ = ["Fail", "Task", "function", "run"]

_HELLO, _BATCH, _INPUT, _ACK, _RESUME, _CANCEL, _RESULTS, _PROGRESS = range(1, 9)
_VARIES, _LAST, _TELL, _EMPTY, _UNKNOWN, _CANCELLED, _FRESH = 1, 2, 4, 8, 16, 32, 64
_OK, _FAILED, _NO_FUNCTION = 0, 1, 2
_PROTOCOL = 1
_PACKET_MAX = 64 * 1024
_INLINE_MAX = 32 * 1024
_OUTPUT_FILE = 0x80000000
_FDS_MAX = 32
_FLUSH_S = 0.002
_HEAD = struct.Struct("<IIQQQ")
_RESULT = struct.Struct("<BBHIII")

_functions = {}


class Fail(Exception):
    """Fails the task: `why` in one line, `code` (1-255) to be matched by retries.exit_codes."""

    def __init__(self, why, code=1):
        super().__init__(why)
        self.code = code


class Task:
    """One task: index in its step, count of the step's tasks, attempt (fencing number), args (str), inputs."""

    __slots__ = ("index", "count", "attempt", "args", "_inputs")

    def __init__(self, index, count, attempt, args, inputs=()):
        self.index, self.count, self.attempt, self.args = index, count, attempt, args
        self._inputs = inputs

    @property
    def params(self):
        """Arguments of the form `key=value key=value` as a dict of str."""
        return dict(word.split("=", 1) for word in self.args.split() if "=" in word)

    def json(self):
        """The arguments read as JSON."""
        return json.loads(self.args)

    @property
    def inputs(self):
        """Inputs as bytes, in order (of a reduce: the outputs of the tasks below)."""
        out = []
        for is_path, data in self._inputs:
            if is_path:
                with open(data, "rb") as f:
                    data = f.read()
            out.append(data)
        return out


def function(fn=None, *, name=None):
    """Register a function under its own or another name; works as a decorator."""

    def register(f):
        _functions[name or f.__name__] = f
        return f

    return register(fn) if fn else register


def _encode(value):
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value).encode()


def _why(e):
    """The text of an exception, whatever it is made of: telling why must not kill the worker."""
    try:
        return str(e).encode("utf-8", "replace")[:400]
    except Exception:
        return b"an exception without a text"


def _us(seconds):
    return min(int(seconds * 1e6), 0xFFFFFFFF)


class _Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("message too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def text(self):
        return self.take(int.from_bytes(self.take(4), "little"))


class _Batch:
    def __init__(self, packet):
        _, self.flags, self.lease, self.first, self.count = _HEAD.unpack_from(packet)
        self.reader = _Reader(packet, _HEAD.size)
        self.total = self.reader.u64()
        self.name = self.reader.text().decode()
        self.next, self.end = self.first, self.first + self.count
        if not self.count:
            raise ValueError("empty batch")
        self.args = None if self.flags & _VARIES else self.reader.text().decode("utf-8", "surrogateescape")

    def take_args(self):
        return self.args if self.args is not None else self.reader.text().decode("utf-8", "surrogateescape")


class _Outbox:
    """Results on their way, kept until ACK. The lock is shared with a thread that flushes behind a slow task."""

    def __init__(self, sock):
        self.sock, self.lock = sock, threading.Condition()
        self.sent, self.open, self.fds = [], [], []
        self.lease = self.first = self.size = self.oldest = 0
        threading.Thread(target=self._flusher, daemon=True).start()

    def _put(self, packet, fds):
        try:
            if fds:
                self.sock.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            else:
                self.sock.send(packet)
        except (BrokenPipeError, ConnectionError):
            os._exit(0)  # nobody is left to work for

    def _flush(self):
        if not self.open:
            return
        head = _HEAD.pack(_RESULTS, 0, self.lease, self.first, len(self.open))
        packet = head + b"".join(self.open)
        self.sent.append((self.lease, self.first + len(self.open), packet, self.fds))
        self._put(packet, self.fds)
        self.open, self.fds, self.size = [], [], 0

    def _flusher(self):
        with self.lock:
            while True:
                while not self.open:
                    self.lock.wait()
                left = self.oldest + _FLUSH_S - time.monotonic()
                if left <= 0:
                    self._flush()
                else:
                    self.lock.wait(left)

    def result(self, lease, index, status, code, wall_s, cpu_s, data):
        fd = -1
        if len(data) > _INLINE_MAX:
            with tempfile.TemporaryFile(dir=os.environ.get("OSIER_SCRATCH") or None) as f:
                f.write(data)
                f.flush()
                fd = os.dup(f.fileno())
            record = _RESULT.pack(status, code, 0, _us(wall_s), _us(cpu_s), _OUTPUT_FILE)
        else:
            record = _RESULT.pack(status, code, 0, _us(wall_s), _us(cpu_s), len(data)) + data
        now = time.monotonic()
        with self.lock:
            if self.open and (lease != self.lease or index != self.first + len(self.open) or
                              self.size + len(record) > _PACKET_MAX - _HEAD.size or
                              (fd >= 0 and len(self.fds) == _FDS_MAX)):
                self._flush()
            if not self.open:
                self.lease, self.first, self.oldest = lease, index, now
                self.lock.notify()
            self.open.append(record)
            self.size += len(record)
            if fd >= 0:
                self.fds.append(fd)
            if now - self.oldest >= _FLUSH_S:
                self._flush()

    def flush(self):
        with self.lock:
            self._flush()

    def say(self, kind, flags, lease, first):
        with self.lock:
            self._flush()
            self._put(_HEAD.pack(kind, flags, lease, first, 0), [])

    def ack(self, lease, cursor):
        with self.lock:
            kept = []
            for item in self.sent:
                if item[0] > lease or (item[0] == lease and item[1] > cursor):
                    kept.append(item)
                else:
                    for fd in item[3]:
                        os.close(fd)
            self.sent = kept

    def resume(self, lease, cursor):
        with self.lock:
            self._flush()
            for item in self.sent:
                if item[0] == lease and item[1] > cursor:
                    self._put(item[2], item[3])


class _Worker:
    def __init__(self, sock):
        self.sock, self.outbox = sock, _Outbox(sock)
        self.batches, self.inputs = [], {}
        self.lease = self.next = 0
        self.took = 0.0

    def take(self, packet):
        kind, flags, lease, first, count = _HEAD.unpack_from(packet)
        if kind == _BATCH:
            if lease != self.lease or not self.batches:
                self.next = first
            self.lease = lease
            self.batches.append(_Batch(packet))
        elif kind == _INPUT:
            if flags & _FRESH:
                self.inputs.pop((lease, first), None)
            r, into = _Reader(packet, _HEAD.size), self.inputs.setdefault((lease, first), [])
            for _ in range(count):
                is_path = r.take(1) == b"\1"
                into.append((is_path, r.text()))
        elif kind == _ACK:
            self.outbox.ack(lease, first)
        elif kind in (_CANCEL, _RESUME):
            at = min((b.next for b in self.batches if b.lease == lease), default=self.next)
            self.batches = [b for b in self.batches if b.lease != lease]
            if kind == _RESUME:
                self.outbox.resume(lease, first)
            self.outbox.say(_RESULTS, _CANCELLED if lease == self.lease else _UNKNOWN, lease, at)
        else:
            raise ValueError("unknown message %d" % kind)

    def look(self, wait):
        while True:
            try:
                packet = self.sock.recv(_PACKET_MAX, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                packet = b""
            if not packet:
                self.outbox.flush()
                sys.stdout.flush()
                os._exit(0)  # osier has no more work for us
            self.take(packet)
            wait = False

    def call(self, task, name):
        fn = _functions.get(name)
        if not fn:
            return _NO_FUNCTION, 1, ("this worker has no function '%s'" % name).encode()
        try:
            return _OK, 0, _encode(fn(task))
        except Fail as e:
            return _FAILED, e.code if e.code in range(1, 256) else 1, _why(e)
        except Exception as e:
            traceback.print_exc()
            return _FAILED, 1, b"%s: %s" % (type(e).__name__.encode(), _why(e))

    def run_one(self):
        b = self.batches[0]
        index = b.next
        task = Task(index, b.total, b.lease, b.take_args(), self.inputs.pop((b.lease, index), ()))
        b.next = self.next = index + 1
        if b.next == b.end:
            self.batches.pop(0)
        if b.flags & _TELL or self.took > 0.001:
            self.outbox.say(_PROGRESS, 0, b.lease, index)
        began, cpu = time.monotonic(), time.process_time()
        status, code, data = self.call(task, b.name)
        self.took = time.monotonic() - began
        self.outbox.result(b.lease, index, status, code, self.took, time.process_time() - cpu, data)

    def serve(self):
        names = [n.encode()[:255] for n in list(_functions)[:64]]
        body = b"".join(struct.pack("<I", len(n)) + n for n in names)
        self.sock.send(_HEAD.pack(_HELLO, 0, 0, _PROTOCOL, len(names)) + body)
        looked = time.monotonic()
        while True:
            if not self.batches:
                self.outbox.flush()
                sys.stdout.flush()
                self.look(True)
                looked = time.monotonic()
                continue
            self.run_one()
            if time.monotonic() - looked > 0.001:
                self.look(False)
                looked = time.monotonic()


def run():
    """Serve until osier has no more work. `--call NAME INDEX [ARGS] [INPUT ...]` runs one task by hand instead."""
    if len(sys.argv) >= 4 and sys.argv[1] == "--call":
        inputs = [(True, p) for p in sys.argv[5:]]
        task = Task(int(sys.argv[3]), 1, 1, sys.argv[4] if len(sys.argv) > 4 else "", inputs)
        sys.stdout.buffer.write(_encode(_functions[sys.argv[2]](task)))
        return
    try:
        sock = socket.socket(fileno=3)
        if sock.type != socket.SOCK_SEQPACKET:
            raise OSError
    except OSError:
        sys.exit("this is an osier worker: osier starts it (a step with 'worker:' in a job file)")
    os.set_inheritable(3, False)
    _Worker(sock).serve()
