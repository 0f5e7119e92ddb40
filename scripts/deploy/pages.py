"""The commands of docs/quick-start.md and of the four notes, run as a reader would type them; what the pages show is what comes out.

  pages.py                every page
  pages.py 2-redis …      these
  pages.py --show …       also what comes out

Numbers, ids and times differ from run to run, so both sides are compared without them. A line of a page may leave something out with an
`…`; a line that is only an `…` stands for any number of lines.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

from site_of import BINARIES, ROOT, Failed, demand, free_port

# What a reader does not type into the shell of step 3, or not again: this check does it in its own way.
NOT_TYPED = re.compile(r"make build|flashctl up|while sleep 1; do redis-server|^source site.env|^flashctl setup --sku 1=1000@49.00 --yes\nflashctl sku set-hold")
DONE = "=== done ==="


def blocks(page):
    """`(commands, shown)` of a page, in order; `shown` is None where the page shows nothing."""
    found = []
    for kind, words in re.findall(r"```(bash|text)\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S):
        if kind == "bash":
            found.append([words, None])
        elif found and found[-1][1] is None:
            found[-1][1] = words
    return [(commands, shown) for commands, shown in found if not NOT_TYPED.search(commands)]


def plain(line):
    """A line without what differs from run to run."""
    # redis-cli says what kind of value it is to a terminal only.
    line = re.sub(r"^\(integer\) |^\"|\"$", "", line)
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = re.sub(r"\b[0-9a-f]{40}\b", "#", line)
    line = re.sub(r"\d[\d,.:TZ-]*", "#", line)
    return re.sub(r"[\s─—+|-]+", " ", line).strip()


def matches(shown, line):
    """Whether a line that came out is the one that is shown."""
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, line) is not None


def missing(shown, came):
    """The first line of a page that does not come out in its turn; None if all do."""
    came = [plain(line) for line in came.splitlines()]
    at = 0
    for line in shown.splitlines():
        wanted = plain(line)
        if wanted in ("", "…"):
            continue
        # A line may repeat, and others may stand in between: the page shows what matters.
        place = next((place for place in range(at, len(came)) if matches(wanted, came[place])), None)
        if place is None:
            return line
        at = place + 1
    return None


class Shell:
    """The reader's shell: one bash for all blocks of a page, in the directory of the repository."""

    def __init__(self, environment, directory):
        self.out = tempfile.TemporaryFile("w+", errors="replace")
        self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)
        self.directory = directory
        self.read = 0

    def type(self, commands, patience_s=150):
        """What came out of these commands."""
        self.bash.stdin.write(f"{commands}\necho '{DONE}'\n")
        self.bash.stdin.flush()
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            self.out.seek(self.read)
            text = self.out.read()
            if text.rstrip().endswith(DONE):
                self.read += len(text.encode())
                return text.rstrip().removesuffix(DONE)
            time.sleep(0.1)
        raise Failed(f"not within {patience_s} s:\n{commands}\n{text}")

    def close(self):
        self.bash.stdin.close()
        self.bash.wait(60)


class Playground:
    """`flashctl up`, for the notes with a Redis beside it that is started again whenever it dies."""

    def __init__(self, breakable):
        self.directory = tempfile.TemporaryDirectory(prefix="pages-")
        self.children = []
        self.log = open(f"{self.directory.name}/up.log", "w+")
        command = [BINARIES / "flashctl", "up", "--port", "0", "--env-file", f"{self.directory.name}/site.env"]
        if breakable:
            port = free_port()
            loop = f"while sleep 1; do redis-server --port {port} --save '' --maxmemory-policy noeviction --dir {self.directory.name} > /dev/null; done"
            self.children.append(subprocess.Popen(["bash", "-c", loop], start_new_session=True))
            command += ["--redis", f"redis://127.0.0.1:{port}"]
            time.sleep(2)
        self.children.append(subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True))

    def shell(self):
        """A shell with the functions of the quick start, once everything runs."""
        site = f"{self.directory.name}/site.env"
        until = time.monotonic() + 120
        while not os.path.exists(site) or not os.path.getsize(site):
            demand(self.children[-1].poll() is None and time.monotonic() < until, "flashctl up has not come up")
            time.sleep(0.2)
        shell = Shell({**os.environ, "PATH": f"{BINARIES}:{os.environ['PATH']}", "HOME": self.directory.name}, self.directory.name)
        functions = next(commands for commands, _ in blocks("quick-start.md") if "buy()" in commands)
        shell.type(functions.replace("source site.env", f"source {site}"))
        return shell

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                os.killpg(child.pid, 15)
                child.wait(60)
        self.directory.cleanup()


def follow(page, breakable, show):
    """Runs a page; the number of its blocks, and what it shows that does not come out."""
    playground, wrong, typed = Playground(breakable), [], 0
    try:
        shell = playground.shell()
        if breakable:
            shell.type("flashctl setup --sku 1=1000@49.00 --yes; flashctl sku set-hold 1 1h --why 'a long tour'")
        for commands, shown in blocks(page):
            if "buy()" in commands:
                continue
            typed += 1
            came = shell.type(commands)
            if show:
                print(f"$ {commands}{came}")
            line = missing(shown, came) if shown else None
            if line is not None:
                wrong.append(f"{page}: this does not come out:\n    {line}\n  of\n{commands}\n  which says\n{came}")
        shell.close()
    finally:
        playground.close()
    return typed, wrong


PAGES = {
    "quick-start.md": False,
    "notes/1-overview.md": False,
    "notes/2-redis.md": True,
    "notes/3-kafka.md": True,
    "notes/4-eventual-consistency.md": True,
}


def main():
    show = "--show" in sys.argv
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    wrong = []
    for page, breakable in PAGES.items():
        if words and not any(word in page for word in words):
            continue
        typed, found = follow(page, breakable, show)
        wrong += found
        print(f"{'ok' if not found else 'WRONG'}: {page}: {typed} blocks of commands, {len(found)} of them show something else than the page", flush=True)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
