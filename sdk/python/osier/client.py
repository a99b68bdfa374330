# SPDX-License-Identifier: Apache-2.0
"""Talk to a node from Python.

    from osier.client import Client

    node = Client()                                   # the node of the state folder that the osier command uses
    job = node.submit({"name": "hello", "command": "echo hi"})
    print(node.wait(job)["state"], node.output(job, 0).decode())

The HTTP API (docs/openapi.yaml) over the node's Unix socket; answers are its JSON. Standard library only, Python 3.8 or later.
"""

import http.client
import json
import os
import socket
from urllib.parse import quote

__all__ = ["Client", "Refused"]


class Refused(Exception):
    """The node's answer when it does not do what was asked: `code` ("not_found", "invalid" ...), `hint`, `status`, `problems`."""

    def __init__(self, status, error):
        super().__init__(error.get("message", "status %d" % status))
        self.status, self.code, self.hint = status, error.get("code"), error.get("hint")
        self.problems = error.get("problems", [])


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def _state_folder():
    given = os.environ.get("OSIER_STATE")
    if given:
        return given
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    own = os.path.join(base, "osier")
    if not os.path.exists(os.path.join(own, "api.sock")) and os.path.exists("/var/lib/osier/api.sock"):
        return "/var/lib/osier"
    return own


class Client:
    """One node. `state`: its state folder (default: $OSIER_STATE, then the user's own, then /var/lib/osier)."""

    def __init__(self, state=None):
        self.socket = os.path.join(state or _state_folder(), "api.sock")

    def _open(self, method, path, body=None):
        connection = _Connection(self.socket)
        headers = {}
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        connection.request(method, "/v1" + path, body, headers)
        answer = connection.getresponse()
        if answer.status >= 300:
            data = answer.read()
            connection.close()
            try:
                error = json.loads(data)["error"]
            except (ValueError, KeyError):
                error = {"message": data.decode(errors="replace")}
            raise Refused(answer.status, error)
        return connection, answer

    def call(self, method, path, body=None):
        """Any operation of the API: the answer's JSON, or None when it is empty. Raises Refused, or OSError with no node there."""
        connection, answer = self._open(method, path, body)
        data = answer.read()
        connection.close()
        return json.loads(data) if data else None

    def submit(self, job, key=None):
        """Submit a job (a dict as in a job file); returns its id, "hello-1". The same `key` submits only once."""
        return self.call("POST", "/jobs" + ("?key=" + quote(key, safe="") if key else ""), {"job": job})["id"]

    def job(self, job):
        return self.call("GET", "/jobs/" + quote(job, safe=""))

    def jobs(self, **filters):
        """Newest first; filters: state, namespace, limit, before."""
        query = "&".join("%s=%s" % (k, quote(str(v), safe="")) for k, v in filters.items())
        return self.call("GET", "/jobs" + ("?" + query if query else ""))["jobs"]

    def task(self, job, index=0, step="main"):
        return self.call("GET", "/jobs/%s/tasks/%s/%d" % (quote(job, safe=""), quote(step, safe=""), index))

    def output(self, job, index=0, step="main", name="stdout"):
        """An output of a task, as bytes."""
        path = "/jobs/%s/tasks/%s/%d/output/%s" % (quote(job, safe=""), quote(step, safe=""), index, quote(name, safe=""))
        connection, answer = self._open("GET", path)
        data = answer.read()
        connection.close()
        return data

    def cancel(self, job, reason=""):
        self.call("POST", "/jobs/%s/cancel" % quote(job, safe=""), {"reason": reason} if reason else None)

    def retry(self, job):
        self.call("POST", "/jobs/%s/retry" % quote(job, safe=""))

    def events(self, job):
        """(event, data) as the job goes on, until its end."""
        connection, answer = self._open("GET", "/jobs/%s/events" % quote(job, safe=""))
        event, data = "message", []
        try:
            for line in answer:
                line = line.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].lstrip(" "))
                elif not line and data:
                    yield event, json.loads("\n".join(data))
                    event, data = "message", []
        finally:
            connection.close()

    def wait(self, job):
        """The job when it is finished. Does not poll."""
        for event, _ in self.events(job):
            if event == "end":
                break
        return self.job(job)
