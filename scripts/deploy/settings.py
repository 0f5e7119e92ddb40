"""settings.py KUBERNETES-FILE – flashd itself judges the settings that compose, Kubernetes and systemd give it."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
from urllib.parse import unquote

from containers import environment, merged
from site_of import BINARIES, ROOT, demand
import yaml

# With letters that mean something else in an address.
SECRET = "a%41b/c#d?e@f:g$h&0123456789abcdef"


def judge(who, variables, role, directory):
    """`flashd --check-config` behind the entrypoint, with exactly these variables; files of secrets are ours."""
    given = {}
    for name, value in variables.items():
        if name.endswith("_FILE"):
            file = directory / name
            file.write_text(SECRET)
            value = str(file)
        given[name] = str(value).replace("$(POD_IP)", "10.0.0.7")
    command = [ROOT / "compose/entrypoint", BINARIES / "flashd", "--role", role]
    env = {"PATH": os.environ["PATH"], **given}
    done = subprocess.run([*command, "--check-config"], env=env, capture_output=True, text=True)
    demand(done.returncode == 0, f"{who}: {done.stdout}{done.stderr}")
    shown = subprocess.run([*command, "--print-config"], env=env, capture_output=True, text=True).stdout
    # A variable that no setting has is a typing error that nobody would notice.
    known = set(re.findall(r"\(([A-Z_]+), --", shown)) | {"REDIS_PASSWORD", "POD_IP", "PATH"}
    unknown = {name.removesuffix("_FILE") for name in given} - known
    demand(not unknown, f"{who} sets {sorted(unknown)}, which flashd does not know")
    demand(SECRET not in shown, f"{who}: --print-config shows a secret")
    if "REDIS_PASSWORD_FILE" in given:
        address = subprocess.run([command[0], "printenv", "REDIS_URL"], env=env, capture_output=True, text=True).stdout
        password = re.search("//default:([^@/?#]*)@", address)
        demand(password and unquote(password[1]) == SECRET, f"{who}: the address of Redis lacks its password")
        demand(password[1] not in shown, f"{who}: --print-config shows the password of Redis")


def main():
    judged = []
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        for files in [("compose.yaml",), ("compose.yaml", "cluster.yaml")]:
            services = merged(ROOT / "compose", *files)["services"]
            for service in ["api-1", "api-2", "worker-1", "worker-2"]:
                judge(f"{files[-1]} {service}", environment(services[service]), services[service]["command"][2], directory)
                judged.append(service)
        documents = [one for one in yaml.safe_load_all(open(sys.argv[1])) if one]
        config = next(one["data"] for one in documents if one["kind"] == "ConfigMap")
        for one in documents:
            if one["kind"] == "Deployment":
                container = one["spec"]["template"]["spec"]["containers"][0]
                own = {entry["name"]: entry.get("value", "10.0.0.7") for entry in container["env"]}
                judge(f"Kubernetes {one['metadata']['name']}", {**config, **own}, container["args"][2], directory)
                judged.append(one["metadata"]["name"])
        lines = (ROOT / "deploy/systemd/flashd.env.example").read_text().splitlines()
        shared = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        judge("systemd", shared, "api", directory)
        judged.append("systemd")
    print(f"ok: flashd accepts the settings of {len(judged)} deployments and knows every variable in them")


if __name__ == "__main__":
    main()
