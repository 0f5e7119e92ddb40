"""A whole site on loopback for the checks of the deployment files: servers by `flashctl up`, daemons one by one.

Everything started here is stopped again by its own handle, and nothing else is touched.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ["FLASH_BINARIES"])
PURCHASE = "/api/v1/flash/purchase"
# The kernel gives outgoing connections ports from here on.
EPHEMERAL = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
# What checks may listen on. Where the kernel leaves nothing below its own, luck must do.
PORTS = range(10_240, EPHEMERAL if EPHEMERAL > 20_000 else 60_000)
# Ports are handed out from blocks that this process alone has, each at most once: crates/stack/src/ports.rs does the same.
BLOCK = 64
CLAIMS = []


class Failed(Exception):
    """A check that did not hold."""


def demand(holds, words):
    """Ends the check with these words unless it holds."""
    if not holds:
        raise Failed(words)


def blocks():
    """Every port that is ours, block by block; a block is claimed by a name that the kernel frees when this process ends."""
    numbers = range(PORTS.start // BLOCK + 1, PORTS.stop // BLOCK)
    for number in random.sample(numbers, len(numbers)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0flash-ports-{number}")
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        yield from range(number * BLOCK, (number + 1) * BLOCK)


OURS = blocks()


def free_port():
    """A port that is free, and stays so until the server that is to have it listens: no connection to anywhere can take it."""
    for port in OURS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed("no port is free")


def get(url, timeout_s=5, headers=None):
    """`(status, text)`; 0 if nobody answered."""
    try:
        request = urllib.request.Request(url, headers=headers or {})
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_for(what, holds, patience_s=60):
    """Asks until it holds; its answer."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        answer = holds()
        if answer:
            return answer
        time.sleep(0.1)
    raise Failed(f"not within {patience_s} s: {what}")


class Site:
    """Directory, child processes and addresses of one check."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="check-deploy-"))
        self.children = []
        self.env = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        if kind is None:
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            print(f"logs and files are kept in {self.directory}")

    def start(self, name, command, env=None, **more):
        """Starts a program whose output goes to NAME.log, unless `stdout` says otherwise."""
        log = open(self.directory / f"{name}.log", "ab")
        child = subprocess.Popen(
            [str(word) for word in command], **{"stdout": log, "stderr": log, **more}, env={**os.environ, **self.env, **(env or {})}
        )
        self.children.append(child)
        return child

    def log(self, name):
        """What a program has said so far."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def servers(self, *options):
        """Redis, MariaDB and a broker; their addresses go into `env`."""
        told = self.directory / "site.json"
        with open(told, "wb") as out, open(self.directory / "up.log", "wb") as log:
            command = [BINARIES / "flashctl", "up", "--no-flashd", "-o", "json", *options]
            child = subprocess.Popen(command, stdout=out, stderr=log)
        self.children.append(child)
        text = wait_for("the servers", lambda: child.poll() is None and told.read_text().strip(), 120)
        self.env |= json.loads(text)["env"]

    def flashctl(self, *words, accept=(0,)):
        """Runs one command of flashctl; its stdout."""
        done = subprocess.run(
            [BINARIES / "flashctl", *words], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=240
        )
        demand(done.returncode in accept, f"flashctl {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def daemon(self, name, role, port=None, admin=None, env=None, through=()):
        """One flashd, ready; `(child, API URL, admin URL)`. `through`: a program that starts it."""
        port, admin = port or free_port(), admin or free_port()
        command = [*through, BINARIES / "flashd", "--role", role, "--port", port, "--admin-port", admin]
        child = self.start(name, command, env)
        wait_for(f"{name} ready", lambda: get(f"http://127.0.0.1:{admin}/readyz")[0] == 200, 90)
        return child, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"

    def sql(self, statement):
        """Rows of an SQL statement, tab separated lines."""
        env = self.env
        command = ["mariadb", "--host", env["MYSQL_HOST"], "--port", env["MYSQL_PORT"], "--user", env["MYSQL_USER"]]
        command += ["--skip-column-names", "--batch", env["MYSQL_DATABASE"], "--execute", statement]
        done = subprocess.run(
            command, env={**os.environ, "MYSQL_PWD": env["MYSQL_PASSWORD"]}, capture_output=True, text=True, timeout=60
        )
        demand(done.returncode == 0, done.stderr)
        return done.stdout.split("\n")[:-1]

    def redis(self, name, port, *options, kind="server", files=ROOT / "compose/redis"):
        """One Redis with compose/redis, its password from a file."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        secret = self.directory / "redis_password"
        if not secret.exists():
            secret.write_text(os.urandom(12).hex())
        env = {"REDIS_PASSWORD_FILE": str(secret), "TMPDIR": str(home), "REDIS_DATA": str(home)}
        here = ["--port", port, "--bind", "127.0.0.1"]
        child = self.start(name, [files / "start", kind, *here, *options], env)
        healthy = [str(files / "healthy"), str(port)] if kind != "sentinel" else ["redis-cli", "-p", str(port), "ping"]
        wait_for(
            name,
            lambda: subprocess.run(healthy, env={**os.environ, **env}, capture_output=True).returncode == 0,
        )
        return child

    def redis_cli(self, port, *words):
        """What a Redis answers."""
        env = {**os.environ, "REDISCLI_AUTH": self.redis_password()}
        return subprocess.run(["redis-cli", "-p", str(port), *words], env=env, capture_output=True, text=True).stdout

    def redis_password(self):
        """The password of the Redis servers of this site."""
        return (self.directory / "redis_password").read_text()
