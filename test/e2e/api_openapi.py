# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml against the server: what is in the file is served, what is served is in the file, and every answer
validates against its schema. Each operation must have been answered with success at least once."""
import hashlib
import json
import os
import re
import socket
import sys
import tempfile
import time

import yaml

from api_node import Node, done, ok, wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
with open(os.path.join(ROOT, "docs/openapi.yaml")) as f:
    DOC = yaml.safe_load(f)
METHODS = ("get", "put", "post", "patch", "delete", "head")


def resolve(schema):
    while "$ref" in schema:
        o = DOC
        for part in schema["$ref"][2:].split("/"):
            o = o[part]
        schema = o
    return schema


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(v, t):
    if t == "integer":
        return isinstance(v, int) and not isinstance(v, bool)
    if t == "number":
        return isinstance(v, (int, float)) and not isinstance(v, bool)
    return isinstance(v, TYPES[t])


def problems(v, schema, at="$"):
    """What is wrong with v, as far as our file uses JSON Schema. An object's keys must all be described: an answer that
    says more than the file does is a defect of the file."""
    schema = resolve(schema)
    unknown = set(schema) - {"type", "enum", "properties", "required", "items", "anyOf", "pattern", "minimum", "maximum",
                             "additionalProperties", "description", "examples", "minItems", "maxItems", "maxLength",
                             "default", "minProperties", "format"}
    if unknown:
        return ["%s: the validator does not know %s" % (at, unknown)]
    if "anyOf" in schema:
        each = [problems(v, s, at) for s in schema["anyOf"]]
        return [] if any(not e for e in each) else ["%s: none of anyOf: %s" % (at, min(each, key=len))]
    out = []
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(is_type(v, t) for t in types):
            return ["%s: %r is not of type %s" % (at, v, types)]
    if "enum" in schema and v not in schema["enum"]:
        out.append("%s: %r is not in %s" % (at, v, schema["enum"]))
    if isinstance(v, str) and "pattern" in schema and not re.search(schema["pattern"], v):
        out.append("%s: %r does not match %s" % (at, v, schema["pattern"]))
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        if v < schema.get("minimum", v) or v > schema.get("maximum", v):
            out.append("%s: %r is out of range" % (at, v))
    if isinstance(v, dict):
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", not known)
        out += ["%s: '%s' is missing" % (at, k) for k in schema.get("required", []) if k not in v]
        for k, x in v.items():
            if k in known:
                out += problems(x, known[k], at + "." + k)
            elif isinstance(more, dict):
                out += problems(x, more, at + "." + k)
            elif not more:
                out.append("%s: '%s' is not in the file" % (at, k))
    if isinstance(v, list) and "items" in schema:
        for i, x in enumerate(v):
            out += problems(x, schema["items"], "%s[%d]" % (at, i))
    return out


def operations():
    for path, item in DOC["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


covered = set()
errors = {}


class Checked(Node):
    """A node each of whose answers is held against the file."""

    def check(self, method, template, path, want, body=None, headers=None):
        op = DOC["paths"][template][method.lower()]
        status, head, data = self.ask(method, path, body, headers)
        bad = []
        answer = op["responses"].get(str(status)) or op["responses"].get("default")
        if status != want:
            bad.append("status %d, not %d" % (status, want))
        if answer is None:
            bad.append("status %d is not in the file" % status)
        else:
            content = resolve(answer).get("content", {})
            kind = head.get("content-type", "").split(";")[0]
            if content and kind not in content:
                bad.append("content type %r, not %s" % (kind, list(content)))
            elif kind == "application/json" and method != "HEAD":
                bad += problems(json.loads(data), content[kind]["schema"])
        if status < 300:
            covered.add((method, template))
        name = "%s %s answers %d" % (method, template, want)
        if bad or name not in errors:
            errors[name] = "%s %s\n%s\n%s" % (method, path, "\n".join(bad), data[:1500].decode(errors="replace")) \
                if bad else ""
        return json.loads(data) if head.get("content-type", "").startswith("application/json") and data else data


def served_by_source():
    """The routes of the server, as its table has them."""
    with open(os.path.join(ROOT, "src/engine/api_router.c")) as f:
        return {(m, p.replace("...}", "}")) for m, p in re.findall(r'\{\s*"([A-Z]+)",\s*"(/v1/[^"]*)"', f.read())}


def events_are_described(n, job):
    schemas = {"progress": "JobEvent", "end": "JobEvent", "line": "LogLine", "node": "NodeEvent", "gap": "LogGap"}
    bad, names = [], set()
    for path in ("/v1/jobs/%d/events" % job, "/v1/jobs/%d/logs" % job):
        for name, data in n.events(path):
            names.add(name)
            bad += problems(data, DOC["components"]["schemas"][schemas[name]])
            if name == "end":
                break
    for name, data in n.events("/v1/events"):
        names.add(name)
        bad += problems(data, DOC["components"]["schemas"][schemas[name]])
        break
    covered.update({("GET", "/v1/jobs/{job}/events"), ("GET", "/v1/jobs/{job}/logs"), ("GET", "/v1/events")})
    ok(not bad and {"end", "line", "node"} <= names, "events validate against their schemas", (names, bad[:5]))


def node_operations(n):
    c = n.check
    c("GET", "/v1/version", "/v1/version", 200)
    node = c("GET", "/v1/nodes", "/v1/nodes", 200)["nodes"][0]["name"]
    c("GET", "/v1/nodes/{node}", "/v1/nodes/%s" % node, 200)
    c("GET", "/v1/nodes/{node}", "/v1/nodes/nosuch", 404)
    c("PATCH", "/v1/nodes/{node}", "/v1/nodes/1", 200, {"labels": {"hall": "north", "old": None}, "state": "up"})
    c("PATCH", "/v1/nodes/{node}", "/v1/nodes/1", 400, {"labels": {"arch": "vax"}})
    c("PATCH", "/v1/nodes/{node}", "/v1/nodes/1", 400, {"state": "lost"})
    c("PATCH", "/v1/nodes/{node}", "/v1/nodes/nosuch", 404, {"state": "up"})
    c("POST", "/v1/nodes/{node}/drain", "/v1/nodes/%s/drain" % node, 200)
    c("POST", "/v1/nodes/{node}/resume", "/v1/nodes/1/resume", 200)
    c("POST", "/v1/nodes/{node}/drain", "/v1/nodes/nosuch/drain", 404)
    c("PUT", "/v1/namespaces/{name}", "/v1/namespaces/team-a", 200, {"weight": 3, "quota": {"cpu": 1.5}})
    c("PUT", "/v1/namespaces/{name}", "/v1/namespaces/team-a", 400, {"wait": 3})
    c("PUT", "/v1/namespaces/{name}", "/v1/namespaces/team%20a", 400, {"weight": 3})
    c("GET", "/v1/namespaces", "/v1/namespaces", 200)
    c("GET", "/v1/metrics", "/v1/metrics", 200)


def blob_operations(n):
    c = n.check
    data = os.urandom(200000)
    sha = hashlib.sha256(data).hexdigest()
    c("POST", "/v1/blobs/missing", "/v1/blobs/missing", 200, {"sha256": [sha]})
    c("HEAD", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 404)
    c("PUT", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 201, data)
    c("PUT", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 200, data)
    c("PUT", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 422, data[:-1])
    c("PUT", "/v1/blobs/{sha256}", "/v1/blobs/abc", 400, data)
    c("HEAD", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 200)
    ok(c("GET", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 200) == data, "a blob comes back as it was put")
    c("GET", "/v1/blobs/{sha256}", "/v1/blobs/" + "0" * 64, 404)
    c("POST", "/v1/blobs/missing", "/v1/blobs/missing", 400, {"sha256": ["x"]})


def job_operations(n):
    c = n.check
    job = c("POST", "/v1/jobs", "/v1/jobs?key=k1", 201, {"name": "hello", "command": "echo hi; echo err >&2"})["job"]
    again = c("POST", "/v1/jobs", "/v1/jobs?key=k1", 200, {"name": "hello", "command": "echo hi; echo err >&2"})
    ok(again["job"] == job and again["repeated"], "the same key answers the same job", again)
    c("POST", "/v1/jobs", "/v1/jobs", 201, {"jobs": [{"name": "a", "command": "true"}, {"name": "b", "command": "false"}]})
    c("POST", "/v1/jobs", "/v1/jobs", 201, {"yaml": "name: c\ncommand: 'true'\n", "source": "c.yaml"})
    c("POST", "/v1/jobs", "/v1/jobs", 400, {"name": "x", "comand": "true"})
    c("POST", "/v1/jobs", "/v1/jobs", 400, {"jobs": [{"name": "a", "command": "true"}, {"name": "b", "comand": "x"}]})
    n.finish(job)
    c("GET", "/v1/jobs", "/v1/jobs", 200)
    c("GET", "/v1/jobs", "/v1/jobs?state=nosuch", 400)
    c("GET", "/v1/jobs/{job}", "/v1/jobs/%d" % job, 200)
    c("GET", "/v1/jobs/{job}", "/v1/jobs/nosuch", 404)
    c("GET", "/v1/jobs/{job}/spec", "/v1/jobs/hello-%d/spec" % job, 200)
    c("GET", "/v1/jobs/{job}/why", "/v1/jobs/%d/why" % job, 200)
    c("GET", "/v1/jobs/{job}/tasks", "/v1/jobs/%d/tasks" % job, 200)
    task = c("GET", "/v1/jobs/{job}/tasks/{step}/{index}", "/v1/jobs/%d/tasks/main/0" % job, 200)
    ok(task["attempts"] and task["attempts"][0]["outcome"] == "succeeded", "a task tells its attempts", task)
    c("GET", "/v1/jobs/{job}/tasks/{step}/{index}", "/v1/jobs/%d/tasks/nosuch/0" % job, 404)
    c("GET", "/v1/jobs/{job}/tasks/{step}/{index}/why", "/v1/jobs/%d/tasks/main/0/why" % job, 200)
    out = "/v1/jobs/{job}/tasks/{step}/{index}/output/{name}"
    ok(c("GET", out, "/v1/jobs/%d/tasks/main/0/output/stdout" % job, 200) == b"hi\n", "stdout is what was printed")
    c("GET", out, "/v1/jobs/%d/tasks/main/0/output/nosuch" % job, 404)
    c("GET", "/v1/resolve", "/v1/resolve?name=hello-%d/main/0" % job, 200)
    c("GET", "/v1/resolve", "/v1/resolve?name=a/b/c/d", 400)
    c("GET", "/v1/resolve", "/v1/resolve", 400)
    c("POST", "/v1/plan", "/v1/plan", 200, {"name": "p", "command": "true"})
    c("POST", "/v1/plan", "/v1/plan", 200, {"name": "p", "command": "true", "resources": {"cpu": 100000}})
    c("POST", "/v1/plan", "/v1/plan", 400, {"name": "p"})
    events_are_described(n, job)


def change_operations(n):
    c = n.check
    held = n.submit({"name": "held", "command": "true", "hold": True})
    c("GET", "/v1/jobs/{job}/why", "/v1/jobs/%d/why" % held, 200)
    c("PATCH", "/v1/jobs/{job}", "/v1/jobs/%d" % held, 200, {"priority": 90, "timeout_s": 3600, "concurrency": None})
    c("PATCH", "/v1/jobs/{job}", "/v1/jobs/%d" % held, 400, {"priority": 900})
    c("PATCH", "/v1/jobs/{job}", "/v1/jobs/%d" % held, 400, {"prio": 9})
    c("POST", "/v1/jobs/{job}/release", "/v1/jobs/%d/release" % held, 200)
    n.finish(held)
    c("POST", "/v1/jobs/{job}/cancel", "/v1/jobs/nosuch/cancel", 404)
    long = n.submit({"name": "long", "command": "sleep 600"})
    wait_until(lambda: n.job(long)["counts"]["running"])
    c("GET", "/v1/jobs/{job}/tasks/{step}/{index}", "/v1/jobs/%d/tasks/main/0" % long, 200)
    why = c("GET", "/v1/jobs/{job}/tasks/{step}/{index}/why", "/v1/jobs/%d/tasks/main/0/why" % long, 200)
    ok(why["reason"] == "running", "a running task says so", why)
    c("POST", "/v1/jobs/{job}/cancel", "/v1/jobs/%d/cancel" % long, 200, {"reason": "enough"})
    state = n.finish(long)["state"]
    ok(state == "cancelled", "a cancelled job is cancelled", state)
    c("POST", "/v1/jobs/{job}/retry", "/v1/jobs/%d/retry" % long, 200)
    c("POST", "/v1/jobs/{job}/cancel", "/v1/jobs/%d/cancel" % long, 200)
    a, b = n.submit({"name": "twin", "command": "true"}), n.submit({"name": "twin", "command": "true"})
    many = c("GET", "/v1/jobs/{job}", "/v1/jobs/twin", 409)
    ok(set(many["error"]["candidates"]) == {"twin-%d" % a, "twin-%d" % b}, "an ambiguous name lists what it could be", many)


def whys(n):
    """Every kind of explanation that one machine can show; each must fit the schema and say the point in its sentence."""
    path, t = "/v1/jobs/{job}/tasks/{step}/{index}/why", "/v1/jobs/%d/tasks/%s/%d/why"

    def why(job, step, index, reason, *words):
        w = n.check("GET", path, t % (job, step, index), 200)
        ok(w["reason"] == reason and all(x in w["sentence"] for x in words), "why: " + reason, w)
        return w
    cpus = [r for r in n.json("GET", "/v1/nodes")[1]["nodes"][0]["resources"] if r["name"] == "cpu"][0]["capacity"]
    bad = n.submit({"name": "bad", "shell": "exit 3"})
    n.finish(bad)
    why(bad, "main", 0, "finished", "exit code 3")
    held = n.submit({"name": "heldagain", "command": "true", "hold": True})
    why(held, "main", 0, "held")
    later = n.submit({"name": "later", "command": "true", "not_before": "2100-01-01T00:00:00Z"})
    why(later, "main", 0, "not_before")
    retried = n.submit({"name": "retried", "shell": "exit 4", "retries": {"max": 3, "backoff": "10m"}})
    wait_until(lambda: n.job(retried)["counts"]["delayed"], 5)
    why(retried, "main", 0, "delayed", "exit code 4", "tried again")
    full = n.submit({"name": "full", "command": "sleep 600", "resources": {"cpu": cpus}, "priority": 100})
    wait_until(lambda: n.job(full)["counts"]["running"])
    waits = n.submit({"name": "waits", "steps": {
        "a": {"command": "true", "array": 3}, "b": {"command": "true", "after": "a"},
        "r": {"command": "true", "reduce": "a"}}})
    w = why(waits, "a", 0, "resources", "cpu", "full-%d" % full)
    ok(w["resource"]["name"] == "cpu" and w["holders"][0]["job"] == "full-%d" % full and w["advice"], "who holds what", w)
    w = why(waits, "b", 0, "after", "0 of 3 done")
    ok(w["waits_for"][0]["step"] == "a", "what it waits for", w)
    why(waits, "r", 0, "reduce_inputs", "a/0")
    for j in (held, later, full, waits, retried):
        n.json("POST", "/v1/jobs/%d/cancel" % j, {})
    n.finish(full)


def journal_operations(n):
    c = n.check
    n.finish("last")
    time.sleep(0.3)  # the last lease's end is an entry too
    head = c("GET", "/v1/journal/head", "/v1/journal/head", 200)
    c("GET", "/v1/journal/entries", "/v1/journal/entries?from=-10", 200)
    c("GET", "/v1/journal/entries", "/v1/journal/entries?from=x", 400)
    c("GET", "/v1/state", "/v1/state?at=%d" % (head["size"] // 2), 200)
    c("GET", "/v1/state", "/v1/state?at=99999999", 404)
    now = c("GET", "/v1/state", "/v1/state?limit=1000", 200)
    live = n.json("GET", "/v1/jobs?limit=1000")[1]["jobs"]
    strip = lambda jobs: [(j["id"], j["state"], j["counts"], j["priority"], j["finished"]) for j in jobs]
    ok(strip(now["jobs"]) == strip(live), "the state folded from the journal is the state", (now["jobs"][:1], live[:1]))


def ledger_operations(n):
    c = n.check
    job = c("POST", "/v1/jobs", "/v1/jobs", 201, {"name": "proven", "command": "echo hi"})["job"]
    n.finish(job)
    head = c("POST", "/v1/ledger/publish", "/v1/ledger/publish", 200)
    ok(head["size"] > 3 and not head["failed"], "publishing answers with the head", head)
    c("GET", "/v1/ledger", "/v1/ledger", 200)
    note = c("GET", "/v1/ledger/checkpoint", "/v1/ledger/checkpoint", 200)
    ok(note.decode().split("\n")[0] == head["origin"], "the checkpoint is a note of the log", note)
    t = "/v1/ledger/tile/{path}"
    ok(len(c("GET", t, "/v1/ledger/tile/0/000.p/3", 200)) == 96, "a tile of three is three hashes")
    c("GET", t, "/v1/ledger/tile/entries/000.p/3", 200)
    c("GET", t, "/v1/ledger/tile/0/x999/999", 404)
    c("GET", t, "/v1/ledger/tile/nonsense", 404)
    c("GET", "/v1/ledger/proof", "/v1/ledger/proof?index=2", 200)
    c("GET", "/v1/ledger/proof", "/v1/ledger/proof", 400)
    c("GET", "/v1/ledger/proof", "/v1/ledger/proof?index=99999999", 400)
    c("GET", "/v1/ledger/consistency", "/v1/ledger/consistency?old=2", 200)
    c("GET", "/v1/ledger/consistency", "/v1/ledger/consistency?old=3&size=2", 400)
    ok(c("GET", "/v1/history", "/v1/history?limit=5", 200)["history"], "the history has rows")
    c("GET", "/v1/history", "/v1/history?since=never", 400)
    keys = c("GET", "/v1/ledger/keys", "/v1/ledger/keys", 200)["keys"]
    ok({k["role"] for k in keys} >= {"log", "node"}, "the keys of log and node are told", keys)
    old = [k["vkey"] for k in keys if k["role"] == "node"][0]
    rotate, revoke = "/v1/ledger/keys/rotate", "/v1/ledger/keys/revoke"
    keys = c("POST", rotate, rotate, 200, {"role": "node"})["keys"]
    ok(any(k["vkey"] == old and k["state"] == "retired" for k in keys), "the old key speaks no more", keys)
    c("POST", rotate, rotate, 400, {"role": "witness"})
    c("POST", rotate, rotate, 404, {"role": "anchor"})
    keys = c("POST", revoke, revoke, 200, {"key": old, "reason": "a test"})["keys"]
    ok(any(k["vkey"] == old and k["state"] == "revoked" for k in keys), "a key is revoked", keys)
    c("POST", revoke, revoke, 409, {"key": old, "reason": "a test"})
    c("POST", revoke, revoke, 404, {"key": "00000000", "reason": "a test"})
    c("POST", revoke, revoke, 400, {"key": old})
    receipt = "/v1/jobs/{job}/tasks/{step}/{index}/receipt"
    text = c("GET", receipt, "/v1/jobs/%d/tasks/main/0/receipt" % job, 200)
    ok(text.startswith(b"c2sp.org/tlog-proof@v1\n"), "a receipt is a tlog-proof", text[:40])
    c("GET", receipt, "/v1/jobs/%d/tasks/main/7/receipt" % job, 404)


LOG = "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"


def witness_operations(n):
    """As a witness of the log whose request lies in test/data."""
    c = n.check
    w = c("GET", "/v1/witness", "/v1/witness", 200)
    ok(c("GET", "/v1/ledger/fabric", "/v1/ledger/fabric", 200) == {"logs": [], "every": 60}, "who has no hub and no nodes cosigns with nobody")
    ok(w["logs"][0]["size"] == 0, "nothing is cosigned yet", w)
    with open(os.path.join(ROOT, "test/data/ledger/golden_add_checkpoint_6_8.txt"), "rb") as f:
        note = f.read().split(b"\n\n", 1)[1]
    add, text = "/v1/witness/add-checkpoint", {"Content-Type": "text/plain"}
    line = c("POST", add, add, 200, b"old 0\n\n" + note, text)
    ok(line.startswith("\u2014 ".encode() + w["vkey"].split("+")[0].encode()), "the witness cosigns by its name", line)
    ok(c("POST", add, add, 409, b"old 6\n\n" + note, text) == b"8\n", "another old size is told the right one")
    c("POST", add, add, 400, b"old 9\n\n" + note, text)
    c("POST", add, add, 403, b"old 8\n\n" + note.replace(b"w+v3", b"w+v4"), text)
    c("POST", add, add, 404, b"old 8\n\n" + note.replace(b"log1", b"log2"), text)
    c("POST", add, add, 422, b"old 8\n" + b"A" * 43 + b"=\n\n" + note, text)
    t, origin = "/v1/witness/{sha256}/checkpoint", LOG.split("+")[0].encode()
    ok(c("GET", t, "/v1/witness/%s/checkpoint" % hashlib.sha256(origin).hexdigest(), 200) == note + line,
       "the newest cosigned head is shown")
    c("GET", t, "/v1/witness/%s/checkpoint" % hashlib.sha256(b"x").hexdigest(), 404)
    ok(c("GET", "/v1/witness", "/v1/witness", 200)["logs"][0]["size"] == 8, "what was cosigned is remembered")


def anchor_operations(n):
    c, anchors = n.check, "/v1/ledger/anchors"
    ok(c("GET", anchors, anchors, 200)["anchors"] == [], "no head was anchored yet")
    head = c("POST", "/v1/ledger/publish", "/v1/ledger/publish", 200)
    told = {"kind": "authority", "state": "stamped", "place": "https://tsa.example", "note": head["note"], "proof": "AQID", "details": {"serial": "7"}}
    ok(c("POST", anchors, anchors, 200, told) == {"size": head["size"], "state": "stamped"}, "a stamped head is taken")
    c("POST", anchors, anchors, 200, dict(told, state="failed", proof=None))
    a = c("GET", anchors, anchors + "?kind=authority&limit=1", 200)["anchors"]
    ok([(x["size"], x["state"], x["proof"], x["details"]) for x in a] == [(head["size"], "stamped", "AQID", {"serial": "7"})],
       "it is shown, and what comes after the end is passed over", a)
    ok(c("GET", anchors, anchors + "?place=elsewhere", 200)["anchors"] == [], "of another place there is none")
    c("GET", anchors, anchors + "?kind=moon", 400)
    for wrong in (dict(told, state="x"), dict(told, kind="x"), dict(told, place=""), dict(told, proof="A"), dict(told, details=[]),
                  dict(told, note=7), dict(told, note="no note"), dict(told, more=1), {"kind": "chain"}):
        c("POST", anchors, anchors, 400, wrong)
    text = head["note"].split("\n")
    text[1] = str(head["size"] - 1)
    c("POST", anchors, anchors, 409, dict(told, note="\n".join(text)))
    text[1] = str(head["size"] + 1000)
    c("POST", anchors, anchors, 409, dict(told, note="\n".join(text)))


def cosignature_operations(n):
    """Of its own log, by its own witness: the operator's word twice, but the same way."""
    c = n.check
    text = {"Content-Type": "text/plain"}
    page = c("GET", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 200)
    ok(page["witnesses"][0]["name"] == "own" and page["witnessed"] == 0, "the witness of the policy is shown", page)
    c("POST", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 200, {"name": "own", "error": "asleep"})
    page = c("GET", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 200)
    ok(page["witnesses"][0]["error"] == "asleep" and page["witnesses"][0]["since"], "and what is wrong with it", page)
    c("POST", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 404, {"name": "all", "error": "a group"})
    c("POST", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 400, {"name": "own"})
    note = c("GET", "/v1/ledger/checkpoint", "/v1/ledger/checkpoint", 200)
    put = "/v1/ledger/cosignatures"
    c("POST", put, put, 400, b"nonsense", text)
    c("POST", put, put, 400, note, text)
    line = c("POST", "/v1/witness/add-checkpoint", "/v1/witness/add-checkpoint", 200, b"old 0\n\n" + note, text)
    size = int(note.split(b"\n")[1])
    other = note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1000), 1)
    c("POST", put, put, 409, other + line, text)
    c("POST", put, put, 400, note + line[:-8] + b"AAAAAA=\n", text)
    ok(c("POST", put, put, 200, note + line, text) == {"size": size, "met": True}, "a good one is taken")
    c("POST", put, put, 200, note + line, text)
    page = c("GET", "/v1/ledger/witnesses", "/v1/ledger/witnesses", 200)
    ok(page["witnessed"] == size and not page["witnesses"][0]["error"], "the head is witnessed", page)
    c("GET", "/v1/ledger/checkpoint", "/v1/ledger/checkpoint?after=0&wait=60", 400)
    c("GET", "/v1/ledger/checkpoint", "/v1/ledger/checkpoint?after=999999&wait=0", 204)
    ok(c("GET", "/v1/ledger/checkpoint", "/v1/ledger/checkpoint?after=%d" % (size - 1), 200) == note + line,
       "the published head carries it")


def free_ports(n):
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def hub_operations(n):
    c = n.check
    port, broker = free_ports(2)
    ok(c("GET", "/v1/hub", "/v1/hub", 200)["hub"] is False, "a node is no hub by itself")
    c("POST", "/v1/hub/tokens", "/v1/hub/tokens", 404)
    with Checked() as hub:
        hub.check("POST", "/v1/hub", "/v1/hub", 400, {"port": 0})
        hub.check("POST", "/v1/hub", "/v1/hub", 400, {"addresses": ["https://x"]})
        it = hub.check("POST", "/v1/hub", "/v1/hub", 200, {
            "name": "plant", "addresses": ["127.0.0.1"], "listen": "127.0.0.1", "port": port, "broker_port": broker})
        ok(it["name"] == "plant" and it["port"] == port, "a hub is what it was told", it)
        hub.check("POST", "/v1/hub", "/v1/hub", 409, {"name": "other"})
        line = hub.check("POST", "/v1/hub/tokens", "/v1/hub/tokens", 201, {"ttl": 60})["join"]
        hub.check("POST", "/v1/hub/tokens", "/v1/hub/tokens", 400, {"ttl": -1})
        hub.check("POST", "/v1/join", "/v1/join", 400, {"line": line})  # itself
        ok(c("GET", "/v1/parent", "/v1/parent", 200) == {"joined": False}, "a node has no parent by itself")
        c("POST", "/v1/join", "/v1/join", 400, {"line": "https://x"})
        joined = c("POST", "/v1/join", "/v1/join", 200, {"line": line, "name": "press-4"})
        ok(joined["hub"] == "plant" and joined["node"] == "press-4", "a node joins", joined)
        ok([m["name"] for m in hub.check("GET", "/v1/hub", "/v1/hub", 200)["nodes"]] == ["press-4"], "the hub knows it")
        data = os.urandom(100000)
        sha = hashlib.sha256(data).hexdigest()
        c("POST", "/v1/blobs/{sha256}/fetch", "/v1/blobs/%s/fetch" % sha, 404)
        hub.check("PUT", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 201, data)
        c("POST", "/v1/blobs/{sha256}/fetch", "/v1/blobs/%s/fetch" % sha, 200)
        ok(c("GET", "/v1/blobs/{sha256}", "/v1/blobs/" + sha, 200) == data, "a blob comes from the hub")
        c("POST", "/v1/blobs/{sha256}/send", "/v1/blobs/%s/send" % sha, 200)
        c("POST", "/v1/blobs/{sha256}/send", "/v1/blobs/%s/send" % ("0" * 64), 404)
        hub.check("POST", "/v1/hub/revoke", "/v1/hub/revoke", 200, {"node": "press-4", "reason": "sold"})
        hub.check("POST", "/v1/hub/revoke", "/v1/hub/revoke", 409, {"node": "press-4"})
        hub.check("POST", "/v1/hub/revoke", "/v1/hub/revoke", 404, {"node": "press-5"})
        hub.check("POST", "/v1/nodes/{node}/remove", "/v1/nodes/press-5/remove", 404)
        hub.check("POST", "/v1/nodes/{node}/remove", "/v1/nodes/1/remove", 409)
        ok(hub.check("POST", "/v1/nodes/{node}/remove", "/v1/nodes/press-4/remove", 200, {"force": True}) == {"removed": "press-4"}, "and forgets it")
        c("POST", "/v1/leave", "/v1/leave", 200)
        c("POST", "/v1/leave", "/v1/leave", 404)


def main():
    with tempfile.TemporaryDirectory(prefix="osier-e2e-") as state:
        with open(os.path.join(state, "logs.policy"), "w") as f:
            f.write("log %s\nquorum none\n" % LOG)
        with open(os.path.join(state, "config.yaml"), "w") as f:
            f.write("ledger: {witness: logs.policy}\n")
        with Node(state) as n:  # its keys are made
            n.ask("POST", "/v1/ledger/publish")
            log = next(k["vkey"] for k in n.json("GET", "/v1/ledger/keys")[1]["keys"] if k["role"] == "log")
            own = n.json("GET", "/v1/witness")[1]["vkey"]
        with open(os.path.join(state, "logs.policy"), "w") as f:
            f.write("log %s\nlog %s\nquorum none\n" % (LOG, log))
        with open(os.path.join(state, "trust.policy"), "w") as f:
            f.write("log %s\nwitness own %s\ngroup all 1 own\nquorum all\n" % (log, own))
        with open(os.path.join(state, "config.yaml"), "w") as f:
            f.write("ledger: {witness: logs.policy, policy: trust.policy}\n")
        run(state)


def run(state):
    in_file = {(m, p) for m, p, _ in operations()}
    in_source = served_by_source()
    ok(in_file - in_source == set() and in_source, "every operation of the file is in the server's table", in_file - in_source)
    ok(in_source - in_file == set(), "every route of the server is in the file", in_source - in_file)
    with Checked(state) as n:
        for template in DOC["paths"]:
            path = re.sub(r"\{[^}]*\}", "0", template)
            status, head, _ = n.ask("BREW", path)
            allowed = set(head.get("allow", "").split(", ")) - {""}
            want = {m for m, p in in_file if p == template}
            if template == "/v1/blobs/missing":
                want |= {"PUT", "GET", "HEAD"}  # it is a possible name of a blob too
            ok(status == 405 and allowed == want, "%s serves %s and nothing else" % (template, ", ".join(sorted(want))),
               (status, allowed))
        node_operations(n)
        blob_operations(n)
        job_operations(n)
        change_operations(n)
        whys(n)
        journal_operations(n)
        ledger_operations(n)
        witness_operations(n)
        cosignature_operations(n)
        anchor_operations(n)
        hub_operations(n)
        n.check("POST", "/v1/shutdown", "/v1/shutdown?tasks=maybe", 400)
        n.check("POST", "/v1/shutdown", "/v1/shutdown", 202)
        try:
            n.keeper.wait(20)
            ok(n.keeper.returncode == 0, "shutdown ends engine and keeper", n.keeper.returncode)
        except Exception as e:  # it did not end
            ok(False, "shutdown ends engine and keeper", e)
        for name, bad in errors.items():
            ok(not bad, name, bad)
    ok(covered == in_file, "every operation was answered with success", in_file - covered)
    done()


if __name__ == "__main__":
    sys.exit(main())
