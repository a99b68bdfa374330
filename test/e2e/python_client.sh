#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Python client against a real node.
cd "$(dirname "$0")/../.." && . test/tap.sh
ok "a node is up" "$OSIER" up
ok "the client does what its documentation says" env PYTHONPATH=sdk/python python3 - <<'PY'
from osier.client import Client, Refused

node = Client()
job = node.submit({"name": "hello", "command": "echo hi"})
assert job == "hello-1", job
assert node.wait(job)["state"] == "succeeded"
assert node.output(job) == b"hi\n"
assert node.task(job)["state"] == "succeeded"

a = node.submit({"name": "once", "array": 3, "shell": "exit ${task}"}, key="k1")
assert node.submit({"name": "once", "array": 3, "shell": "exit ${task}"}, key="k1") == a
done = node.wait(a)
assert done["state"] == "failed" and done["counts"]["failed"] == 2, done
assert [j["id"] for j in node.jobs()][:2] == [a, job]
node.retry(a)
assert node.wait(a)["counts"]["failed"] == 2

sleeper = node.submit({"name": "sleeper", "command": ["sleep", "1000"]})
node.cancel(sleeper, "enough")
assert node.wait(sleeper)["state"] == "cancelled"
for wrong, code in (({"name": "x"}, "invalid"), ({"nme": 1}, "invalid")):
    try:
        node.submit(wrong)
        raise SystemExit("%s was taken" % wrong)
    except Refused as e:
        assert e.code == code and e.problems, (e, e.code, e.problems)
try:
    node.job("nobody-7")
    raise SystemExit("a job that is not there")
except Refused as e:
    assert e.status == 404, e.status
PY
exit $bad
