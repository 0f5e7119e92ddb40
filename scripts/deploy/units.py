"""The systemd units: they are valid, they leave little exposed, and flashd needs no system call that they forbid.

systemd does not run everywhere this check does, so the last is found out by tracing a daemon that sells.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile

import nginx
from site_of import BINARIES, ROOT, Site, demand, get, wait_for

UNITS = {"flashd-api@.service": "flashd-api@3001.service", "flashd-worker@.service": "flashd-worker@3911.service"}


def analyze(*words):
    done = subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def allowed(unit):
    """The system calls that the unit's filters leave, by systemd's own lists."""
    calls = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        names, taken = value.lstrip("~").split(), value.startswith("~")
        while names:
            name = names.pop()
            if name.startswith("@"):
                names += members(name)
            elif taken:
                calls.discard(name)
            else:
                calls.add(name)
    return calls


def members(name):
    """What a group consists of: calls, and other groups."""
    lines = analyze("syscall-filter", name)[1].splitlines()[1:]
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def valid(directory):
    for name, instance in UNITS.items():
        text = (ROOT / "deploy/systemd" / name).read_text()
        demand("/usr/bin/flashd" in text, f"{name} runs something else")
        # Verifying demands that the program is there.
        (directory / instance).write_text(text.replace("/usr/bin/flashd", str(BINARIES / "flashd")))
    (directory / "flash.slice").write_text((ROOT / "deploy/systemd/flash.slice").read_text())
    for instance in UNITS.values():
        code, words = analyze("verify", directory / instance)
        demand(code == 0 and not words.strip(), f"{instance}: {words}")
        code, words = analyze("security", "--offline=true", "--threshold=20", directory / instance)
        level = re.search(r"exposure level for \S+ ([0-9.]+)", words)
        demand(code == 0, f"{instance} is exposed: {level and level[1]}")
        print(f"ok: {instance} is valid, exposure {level[1]} of 10")


def traced(site):
    """System calls of an API daemon and a worker that start, sell, project and drain."""
    calls = set()
    site.servers()
    site.flashctl("setup", "--yes", "--sku", "1=1000@49.00")
    daemons = {}
    for role in ["worker", "api"]:
        trace = site.directory / f"{role}.trace"
        daemons[role] = (*site.daemon(role, role, through=["strace", "-f", "-qq", "-e", "signal=none", "-o", trace]), trace)
    port = int(daemons["api"][1].rsplit(":", 1)[1])
    status, _, text = nginx.ask(
        port, "POST", "/api/v1/flash/purchase", json.dumps({"userId": "1", "skuId": "1"}), {"content-type": "application/json"}
    )
    demand(status == 200, f"a purchase under strace: {status} {text}")
    wait_for("the order in MySQL", lambda: site.sql("SELECT order_id FROM orders"))
    for child, _, admin, trace in daemons.values():
        get(f"{admin}/metrics")
        # The tracer passes the signal on by ending; so it goes to the daemon itself.
        pid = int(subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True).stdout.split()[0])
        os.kill(pid, 15)
        child.wait(30)
        calls |= set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(errors="replace"), re.M))
    return calls


def main():
    with tempfile.TemporaryDirectory() as directory:
        valid(pathlib.Path(directory))
    with Site() as site:
        calls = traced(site)
    # systemd lets through what starting a program takes.
    calls -= {"execve"}
    for name in UNITS:
        forbidden = calls - allowed((ROOT / "deploy/systemd" / name).read_text())
        demand(not forbidden, f"{name} forbids what flashd does: {sorted(forbidden)}")
    print(f"ok: all {len(calls)} system calls of a daemon's life are allowed by the units")


if __name__ == "__main__":
    main()
