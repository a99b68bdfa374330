# SPDX-License-Identifier: Apache-2.0
"""record - what the raw entries of a hub's record say was asked for and committed, for check_history.py. For tests.

From `osier replay --entries --json`: entries as they were written, not what a fold made of them, so that what is there twice is seen twice.
"""
import datetime
import json

PAGE = 1000
AGAIN = ("lost", "stopped")  # of these nothing is committed: the task waits again


def seconds(time):
    """RFC 3339 with nanoseconds, as a number."""
    whole, part = time.rstrip("Z").split(".")
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + part)


def entries(host):
    at = 0
    while True:
        got = host.json("replay", "--entries", "--from", str(at), "--limit", str(PAGE), timeout=120)["entries"]
        yield from got
        if len(got) < PAGE:
            return
        at = got[-1]["seq"] + 1


def column(values, i, default):
    """Columns are empty, or one value for all, or one each (wire/osier.proto)."""
    return default if not values else values[0] if len(values) == 1 else values[i]


def sums(body):
    """SHA-256 of each task's standard output, hex; "": it is empty."""
    n, lengths, digests, at = int(body["count"]), body.get("output_bytes", []), body.get("output_sha256", ""), 0
    taken, found = 0, []
    for i in range(n):
        outputs = int(column(body.get("outputs"), i, 0))
        first = ""
        for k in range(outputs):
            if int(column(lengths, at + k, 0)) > 0:
                if k == 0:
                    first = digests[64 * taken:64 * taken + 64]
                taken += 1
        at += outputs
        found.append(first)
    return found


def write(host, path, ids):
    """The record as check_history.py takes it. ids: of a job's number and name, what users call it. How many commits of each outcome there are."""
    nodes, jobs, leases, count = {}, {}, {}, {}
    with open(path, "w") as out:
        for e in entries(host):
            b, t = e["body"], seconds(e["time"])
            if e["kind"] == "node_set":
                was = nodes.get(b["node"])
                nodes[b["node"]] = b.get("name", was)
                if b["node"] == 1 and was and nodes[1] != was:
                    out.write(json.dumps({"seq": e["seq"], "t": t, "what": "moved", "from": was, "to": nodes[1]}) + "\n")
            elif e["kind"] == "job_submitted":
                labels = {x["key"]: x.get("value", "") for x in b["spec"].get("labels", [])}
                jobs[b["job"]] = ids(b["job"], b["spec"]["name"]), [s["name"] for s in b["spec"]["steps"]]
                out.write(json.dumps({"seq": e["seq"], "t": t, "what": "job", "job": jobs[b["job"]][0], "key": labels.get("key")}) + "\n")
            elif e["kind"] == "lease_granted":
                leases[b["lease"]] = b["job"], b.get("step", 0), nodes[b["node"]]
            elif e["kind"] == "results":
                if "commitments" in b:
                    continue
                job, step, node = leases[b["lease"]]
                for i, sha in enumerate(sums(b)):
                    outcome = column(b.get("outcome"), i, "succeeded").lower()
                    if outcome in AGAIN:
                        continue
                    count[outcome] = count.get(outcome, 0) + 1
                    out.write(json.dumps({"seq": e["seq"], "t": t, "what": "commit", "job": jobs[job][0], "node": node, "outcome": outcome, "sha256": sha,
                                          "task": "%s/%d" % (jobs[job][1][step], int(b.get("first", 0)) + i)}) + "\n")
    return count
