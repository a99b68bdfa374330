# SPDX-License-Identifier: Apache-2.0
"""What the journal says of one job, from its entries on the standard input (a line each, as `osier replay --entries --json`
gives them): ledger.py JOB STEP=TASKS... Fails unless every task of every step was committed as a success exactly once."""
import collections
import json
import sys


def column(values, i):
    """A column has a value for each, one for all, or none (zero for all)."""
    return values[i] if len(values) > 1 else values[0] if values else 0


def main():
    job, wanted = int(sys.argv[1]), dict(a.split("=") for a in sys.argv[2:])
    leases, names, succeeded, attempts, ended, next_seq = {}, [], collections.Counter(), collections.Counter(), set(), 0
    for line in sys.stdin:
        e = json.loads(line)
        assert e["seq"] == next_seq, "entry %d is missing" % next_seq
        next_seq += 1
        kind, b = e["kind"], e["body"]
        if kind == "job_submitted" and b["job"] == job:
            names = [s["name"] for s in b["spec"]["steps"]]
        elif kind == "lease_granted":
            assert b["lease"] not in leases, "lease %d was granted twice" % b["lease"]
            leases[b["lease"]] = b
        elif kind == "lease_ended":
            assert b["lease"] in leases and b["lease"] not in ended, "lease %d ended twice" % b["lease"]
            ended.add(b["lease"])
        elif kind == "results":
            lease = leases[b["lease"]]
            assert b["lease"] not in ended, "a result of lease %d after its end" % b["lease"]
            for i in range(b["count"] if lease["job"] == job else 0):
                task = (lease.get("step", 0), b.get("first", 0) + i)
                assert lease.get("first", 0) <= task[1] < lease.get("first", 0) + lease["count"], "a foreign result"
                attempts[task] += 1
                succeeded[task] += column(b.get("outcome", []), i) in (0, "succeeded")
    bad = {"%s/%d" % (names[t[0]], t[1]): n for t, n in succeeded.items() if n != 1 and names[t[0]] in wanted}
    assert not bad, "not committed exactly once: %s" % list(bad.items())[:10]
    for name, tasks in wanted.items():
        got = sorted(t[1] for t in succeeded if names[t[0]] == name)
        assert got == list(range(int(tasks))), "%s: %d tasks committed, not %s" % (name, len(got), tasks)
    print("# %d entries, %d leases, %d attempts told" % (next_seq, len(leases), sum(attempts.values())))


main()
