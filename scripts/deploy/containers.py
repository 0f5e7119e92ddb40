"""The compose files, put together by the specification's own parser, and the rules of this house for what they may contain."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Programs without a shell or a client to ask themselves with; Prometheus asks them.
UNASKED = {"redis-exporter", "mysql-exporter", "nginx-exporter", "setup", "loadtest", "redis-cluster"}


class Failed(Exception):
    """A rule that does not hold."""


def demand(holds, words):
    if not holds:
        raise Failed(words)


def merged(directory, *files):
    """The model of these files; what compose would run."""
    command = [os.environ["COMPOSE_CONFIG"], "-format", "json", *files]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    demand(done.returncode == 0, f"{files}: {done.stderr}")
    return json.loads(done.stdout)


def environment(service):
    """Its variables; the parser leaves both notations as they are."""
    told = service.get("environment") or {}
    return told if isinstance(told, dict) else dict(entry.split("=", 1) for entry in told)


def has_no_way_out(name, service, networks):
    """Only what publishes a port is in a network with a way out: without one the engine publishes nothing."""
    outward = {network for network in service.get("networks") or {"default"} if not networks[network].get("internal")}
    demand(bool(outward) == bool(service.get("ports")), f"{name} publishes {service.get('ports')} and has a way out through {outward}")


def service_is_safe(name, service):
    demand(service.get("read_only"), f"{name} can write to its file system")
    demand(service.get("cap_drop") == ["ALL"], f"{name} keeps capabilities")
    demand("no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges")
    demand(not service.get("privileged"), f"{name} is privileged")
    image = service["image"]
    # Ours says in its Dockerfile who it runs as.
    user = str(service.get("user", "10001" if image == "flash-sale:local" else "0"))
    demand(user.split(":")[0] not in ("", "0", "root"), f"{name} runs as root")
    demand(re.search(r":[^:]*\d", image) or image.endswith(":local"), f"{name}: {image} is no version")
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    demand(name in ("setup", "loadtest") or limits.get("memory"), f"{name} has no bound of memory")
    demand(service.get("pids_limit"), f"{name} has no bound of processes")
    demand(service.get("logging", {}).get("options", {}).get("max-size"), f"{name} has no bound of its log")
    for port in service.get("ports", []):
        address = port.get("host_ip") if isinstance(port, dict) else str(port).split(":")[0]
        demand(address == "127.0.0.1", f"{name} publishes {port} beyond loopback")
    demand(name in UNASKED or service.get("healthcheck", {}).get("test"), f"{name} has no health check")
    for variable, value in environment(service).items():
        secret = re.search("PASSWORD|SECRET|TOKEN", variable) and not re.search("_FILE$|^GF_.*__FILE$", variable)
        demand(not secret, f"{name} has {variable} in its environment")
    for mount in service.get("volumes", []):
        if isinstance(mount, dict):
            writable = mount["type"] == "bind" and not mount.get("read_only")
        else:
            writable = mount.startswith((".", "/")) and not mount.endswith(":ro")
        demand(not writable, f"{name} may write to {mount}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "compose"
        shutil.copytree(ROOT / "compose", copy, ignore=shutil.ignore_patterns("secrets"))
        for _ in range(2):
            subprocess.run([copy / "make-secrets"], check=True, capture_output=True)
        made = {path.name: path.read_text() for path in (copy / "secrets").iterdir()}
        demand(len(set(made.values())) == len(made) and all(len(text) >= 24 for text in made.values()), "secrets repeat or are short")
        demand((copy / "secrets").stat().st_mode & 0o077 == 0, "secrets are open to others")
        for files in [("compose.yaml",), ("compose.yaml", "cluster.yaml")]:
            model = merged(copy, *files)
            services = model["services"]
            for name, service in services.items():
                service_is_safe(name, service)
                has_no_way_out(name, service, model["networks"])
                for other in service.get("depends_on") or {}:
                    demand(other in services, f"{name} waits for {other}, which is not there")
            for name, secret in model["secrets"].items():
                demand((copy / secret["file"]).exists(), f"make-secrets does not make {name}")
            exempt = set(re.findall(r"^(\S+) 1;", (copy / "nginx/exempt.conf").read_text(), re.MULTILINE))
            tester = services["loadtest"]["networks"]["sale"]["ipv4_address"]
            demand(exempt == {"127.0.0.0/8", "::1/128", f"{tester}/32"}, f"nginx does not limit {exempt}; the load test is {tester}")
            published = {name for name, service in services.items() if service.get("ports")}
            demand(published == {"nginx", "prometheus", "grafana", "kafka-ui"}, f"ports are published by {published}")
            for name in ["api-1", "api-2"]:
                demand("ipv4_address" in services[name]["networks"]["sale"], f"nginx loses {name} when that is made anew")
            print(f"ok: {' + '.join(files)}: {len(services)} services; none as root, none writes, none is published beyond loopback")
            print(f"ok: only {', '.join(sorted(published))} have a way out")
        watched = {"targets": False, "targets-cluster": True}
        for folder, whole in watched.items():
            names = set(re.findall(r'"([a-z0-9-]+):\d+"', "".join(path.read_text() for path in (copy / "prometheus" / folder).iterdir())))
            unknown = names - services.keys()
            demand(not unknown, f"{folder} watches {unknown}, which do not run")
            missing = {name for name in services if re.match(r"(api|worker|redis|kafka)-\d", name)} - names
            demand(not (whole and missing), f"{folder} does not watch {missing}")
        nodes = [service["networks"]["inside"] for name, service in services.items() if re.match(r"redis-\d", name)]
        addresses = {(inside or {}).get("ipv4_address") for inside in nodes}
        demand(len(addresses) == len(nodes) and None not in addresses, f"nodes of the Redis Cluster lose one another: {addresses}")
        demand(not services["redis-2"].get("depends_on"), "in the cluster redis-2 waits for redis-1")
        demand(environment(services["api-1"])["REDIS_URL"].startswith("redis-cluster://"), "the overlay has not reached api-1")


if __name__ == "__main__":
    main()
