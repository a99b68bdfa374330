# SPDX-License-Identifier: Apache-2.0
"""check_history - does what was seen from outside allow for lost or doubled work? Shares no code with osier.

check_history.py HISTORY RAN RECORD

HISTORY  lines of JSON, as whoever used the fleet wrote them, with t in seconds:
           {"t", "what": "submit", "key", "steps": {STEP: TASKS}}  about to ask
           {"t", "what": "ack", "key", "job"}                      it was taken
           {"t", "what": "fault", "kind", "node", "until"}         something was done to a machine ("*": to what all stand on), and was over at `until`
           {"t", "what": "seen", "node", "state"}                  from now on the hub says so of it; "up" is all that is well
RAN      lines that the tasks themselves wrote, appended as one write each: "begin KEY STEP/TASK NODE NONCE TIME" and "end ...", the same
RECORD   lines of JSON, as the raw entries of the record have them at the end, in their order:
           {"seq", "t", "what": "job", "job", "key"}
           {"seq", "t", "what": "moved", "from", "to"}             another machine is the hub from here on
           {"seq", "t", "what": "commit", "job", "task": "STEP/TASK", "node", "outcome", "sha256"}   of what it wrote: its nonce and a newline

What must hold, or it says what does not and exits with 1:
  1  every job that was acknowledged is in the record, and was before that; the same key is one job
  2  each of its tasks is committed exactly once, but for those of later steps whose job has failed before
  3  what succeeded was run: the commit is that of a run of this task on that node, which came to its end before
  4  nothing is in the record that nobody asked for, and no run began before its job was asked for
  5  a task that began more than once has an excuse for each run but the last: its node was in trouble between that run's begin and the next one's,
     or the next one's node was since the job was asked for (who was away begins late what it had been given before, and others have done since)
  6  a task that did not succeed has one, too: something was done to that node itself between its last run's begin and its commit
A node is in trouble while something is done to it, while it is seen as anything but up, when it was the hub and another machine became
it (what it ran itself is lost then), and for SLACK around that.
"""
import hashlib
import json
import sys
from collections import defaultdict

SLACK = 1.0
CLOCK = 0.1  # all read one clock; the record's is read at the begin of a round


def lines(file):
    with open(file) as f:
        for line in f:
            if line.endswith("\n"):  # a machine whose power went may leave half a line
                yield line


class Check:
    def __init__(self, history, ran, record):
        self.wrong = []
        self.asked, self.steps, self.acked, self.faults, self.seen = {}, {}, {}, [], defaultdict(list)
        self.last = 0.0
        for e in map(json.loads, lines(history)):
            self.last = max(self.last, e.get("until", e["t"]))
            if e["what"] == "submit":
                self.asked.setdefault(e["key"], e["t"])
                self.steps[e["key"]] = e["steps"]
            elif e["what"] == "ack":
                if self.acked.setdefault(e["key"], (e["job"], e["t"]))[0] != e["job"]:
                    self.wrong.append("key %s was answered by jobs %s and %s" % (e["key"], self.acked[e["key"]][0], e["job"]))
            elif e["what"] == "fault":
                self.faults.append((e["t"], e["until"], e["node"]))
            elif e["what"] == "seen":
                self.seen[e["node"]].append((e["t"], e["state"]))
        self.runs, self.ends = defaultdict(list), {}
        for line in lines(ran):
            what, key, task, node, nonce, t = line.split()
            if what == "begin":
                self.runs[key, task].append((float(t), node, nonce))
            else:
                self.ends[key, task, nonce] = float(t)
        self.jobs, self.commits = {}, defaultdict(list)
        for e in map(json.loads, lines(record)):
            self.last = max(self.last, e["t"])
            if e["what"] == "job":
                self.jobs[e["job"]] = e
            elif e["what"] == "moved":
                self.faults.append((e["t"], e["t"], e["from"]))
            else:
                self.commits[e["job"], e["task"]].append(e)
        self.done_to = {node: [(a - SLACK, b + SLACK) for a, b, who in self.faults if who == node] for _, _, node in self.faults}
        self.bad = {node: self.trouble(node) for node in {r[1] for runs in self.runs.values() for r in runs} | set(self.seen)}

    def trouble(self, node):
        """Intervals, merged."""
        found = [(a - SLACK, b + SLACK) for a, b, who in self.faults if who in (node, "*")]
        for (a, state), (b, _) in zip(self.seen[node], self.seen[node][1:] + [(self.last, "")]):
            if state != "up":
                found.append((a - SLACK, b + SLACK))
        merged = []
        for a, b in sorted(found):
            if merged and a <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], b)
            else:
                merged.append([a, b])
        return merged

    def excused(self, node, since, until):
        return any(a <= until and b >= since for a, b in self.bad[node])

    def check_jobs(self):
        of_key = defaultdict(set)
        for job, e in self.jobs.items():
            of_key[e["key"]].add(job)
            if e["key"] not in self.asked:
                self.wrong.append("nobody asked for %s (job %s), and it is in the record" % (e["key"], job))
        for key, jobs in of_key.items():
            if len(jobs) > 1:
                self.wrong.append("key %s is %d jobs" % (key, len(jobs)))
        for key, (job, t) in self.acked.items():
            if job not in self.jobs or self.jobs[job]["key"] != key:
                self.wrong.append("%s (job %s) was acknowledged, and is not in the record" % (key, job))
            elif self.jobs[job]["t"] > t + CLOCK:
                self.wrong.append("%s (job %s) was acknowledged before it was in the record" % (key, job))

    def check_tasks(self):
        for job, e in self.jobs.items():
            steps = self.steps.get(e["key"], {})
            failed = False
            for step, n in steps.items():
                tasks = ["%s/%d" % (step, i) for i in range(n)]
                missing = [t for t in tasks if not self.commits[job, t]]
                if missing and not failed:
                    self.wrong.append("%s (job %s) was taken, and %d of its %d tasks have no result: %s ..." % (e["key"], job, len(missing), n, missing[:5]))
                failed = failed or any(c["outcome"] != "succeeded" for t in tasks for c in self.commits[job, t])

    def check_commits(self):
        for (job, task), commits in self.commits.items():
            if not commits:
                continue
            if job not in self.jobs:
                self.wrong.append("task %s is of job %s, which is not in the record" % (task, job))
                continue
            key = self.jobs[job]["key"]
            if len(commits) > 1:
                self.wrong.append("task %s of %s is committed %d times, by entries %s" % (task, key, len(commits), [c["seq"] for c in commits]))
            for c in commits:
                runs = self.runs[key, task]
                if c["outcome"] != "succeeded":
                    since = max([t for t, node, _ in runs if node == c["node"] and t <= c["t"]], default=self.asked.get(key, 0))
                    if not any(a <= c["t"] and b >= since for a, b in self.done_to.get(c["node"], [])):
                        self.wrong.append("task %s of %s on %s came to %s, and nothing had happened" % (task, key, c["node"], c["outcome"]))
                    continue
                whose = [nonce for _, node, nonce in runs if node == c["node"] and hashlib.sha256((nonce + "\n").encode()).hexdigest() == c["sha256"]]
                if not any(self.ends.get((key, task, nonce), c["t"] + 1) <= c["t"] + CLOCK for nonce in whose):
                    self.wrong.append("task %s of %s succeeded on %s at %.3f with what no run of it there had come to" % (task, key, c["node"], c["t"]))

    def check_runs(self):
        again = 0
        for (key, task), began in self.runs.items():
            began.sort()
            if began and began[0][0] < self.asked.get(key, float("inf")) - CLOCK:
                self.wrong.append("task %s of %s ran before anybody asked for it" % (task, key))
            for (t, node, _), (then, where, _) in zip(began, began[1:]):
                again += 1
                if not self.excused(node, t, then) and not self.excused(where, self.asked.get(key, t), then):
                    self.wrong.append("task %s of %s ran on %s at %.3f and again on %s at %.3f, and nothing had happened to %s" % (
                        task, key, node, t, where, then, node))
        return again

    def run(self):
        self.check_jobs()
        self.check_tasks()
        self.check_commits()
        again = self.check_runs()
        n = sum(map(len, self.commits.values()))
        failed = sum(c["outcome"] != "succeeded" for cs in self.commits.values() for c in cs)
        print("%d jobs asked for, %d acknowledged; %d commits, %d of them failures with an excuse; %d runs, %d of them again; %d faults" % (
            len(self.asked), len(self.acked), n, failed, sum(map(len, self.runs.values())), again, len(self.faults)))
        if self.asked and self.bad:
            began = min(self.asked.values())
            well = 1 - sum(min(b, self.last) - max(a, began) for bad in self.bad.values() for a, b in bad if b > began and a < self.last) / (
                len(self.bad) * max(self.last - began, 1e-9))
            print("nodes without an excuse: %.0f %% of the time" % (100 * well))
        for w in self.wrong[:50]:
            print("WRONG: " + w)
        return 1 if self.wrong else 0


if __name__ == "__main__":
    sys.exit(Check(*sys.argv[1:]).run())
