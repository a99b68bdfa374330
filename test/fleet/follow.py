# SPDX-License-Identifier: Apache-2.0
"""follow - do what docs/fleet.md tells a newcomer, to the letter, on machines in network namespaces. Prints TAP.

follow.py DOCUMENT

In the document, `<!-- on NAME -->` before a block of code says on which machine it is done; blocks without it are not done. A line `$ COMMAND` is
run there (in bash, in a folder of the machine's own), and the lines below it are what it should print: word by word, in order, where a word
with a digit in it stands for any such word, and `...` for any lines. A line `# FILE` first in a block makes the block that file. `osier nodes` may be said again for
some seconds. The line that `osier hub` prints for pasting is pasted: whatever begins with https:// and has a # stands for the last one that was printed.
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Failed, Fleet, Tap, need_root  # noqa: E402

BLOCK = re.compile(r"<!-- on (\S+) -->\s*```\w*\n(.*?)```", re.S)
URL = re.compile(r"https://[^\s'#]+#[^\s']+")


def alike(want, got):
    """Does this line of the document stand for that one?"""
    a, b = want.split(), got.split()
    if len(a) > len(b):
        return False
    return all(x == y or (any(c.isdigit() for c in x) and any(c.isdigit() for c in y)) for x, y in zip(a, b))


def printed(wanted, out):
    """The lines that were wanted are there, in order; which one is not, or None."""
    lines = out.split("\n")
    for want in wanted:
        if want.strip() in ("", "..."):
            continue
        for i, line in enumerate(lines):
            if alike(want, line):
                lines = lines[i + 1:]
                break
        else:
            return want
    return None


class Follower:
    def __init__(self, fleet, tap):
        self.fleet, self.tap, self.url = fleet, tap, None

    def command(self, host, command, wanted):
        if URL.search(command):
            if not self.url:
                raise Failed("no line to paste was printed before")
            command = URL.sub(lambda _: self.url, command)
        # What a machine does by itself, such as coming up, may take some seconds.
        end = time.monotonic() + (10 if command.startswith("osier nodes") else 0)
        while True:
            r = host.run("bash", "-c", "exec 2>&1; cd %s.home; %s" % (host.state, command), check=False, timeout=120)
            if r.returncode != 0:
                raise Failed("exit code %d\n%s" % (r.returncode, r.stdout))
            found = URL.findall(r.stdout)
            self.url = found[-1] if found else self.url
            missing = printed(wanted, r.stdout)
            if missing is None:
                return
            if time.monotonic() > end:
                raise Failed("there is no line like '%s' in\n%s" % (missing, r.stdout))
            time.sleep(0.2)

    def block(self, name, text):
        host = self.fleet.hosts.get(name) or self.fleet.host(name)
        os.makedirs(host.state + ".home", exist_ok=True)
        lines = text.rstrip("\n").split("\n")
        if lines[0].startswith("# ") and not lines[0].startswith("# ..."):
            with open(os.path.join(host.state + ".home", lines[0][2:].split()[0]), "w") as f:
                f.write("\n".join(lines[1:]) + "\n")
            return
        at = 0
        while at < len(lines):
            if not lines[at].startswith("$ "):
                raise Failed("'%s' is no command" % lines[at])
            end = at + 1
            while end < len(lines) and not lines[end].startswith("$ "):
                end += 1
            command, wanted = lines[at][2:], lines[at + 1:end]
            self.tap.fact("%s: %s" % (name, command), lambda c=command, w=wanted: self.command(host, c, w))
            at = end


def main(document):
    need_root()
    tap = Tap()
    text = open(document).read()
    with Fleet() as f:
        follower = Follower(f, tap)
        # All machines first: their names are in the document.
        for name, _ in BLOCK.findall(text):
            if name not in f.hosts:
                h = f.host(name)
                with open(os.path.join(h.state, "config.yaml"), "w") as c:
                    c.write("name: %s\n" % name)
        for name, block in BLOCK.findall(text):
            follower.block(name, block)
    tap.fact("there was something to do", tap.n > 3)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
