"""What the files must have in common: alerts with tests and advice, one version of each bound, links that lead somewhere."""

import pathlib
import re
import sys

import links

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text(path):
    return (ROOT / path).read_text()


def stats_fields():
    """The structs of `/stats`: field, as JSON spells it, to its type."""
    structs = {}
    for path in (ROOT / "crates/core/src/stats").glob("*.rs"):
        for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", path.read_text(), re.M | re.S):
            camel = lambda field: re.sub("_(.)", lambda letter: letter[1].upper(), field)
            structs[name] = {camel(field): kind for field, kind in re.findall(r"^    pub (\w+): (.*),$", body, re.M)}
    return structs


def is_in_stats(path, structs):
    kind = "Stats"
    for field in path.split("."):
        kind = structs.get(kind, {}).get(field)
        if kind is None:
            return False
        kind = re.sub(r"^(?:Option|Vec)<(.*)>$", r"\1", kind)
    return True


def main():
    wrong = []
    alerts = re.findall(r"- alert: (\w+)", text("compose/prometheus/rules/flash.rules.yml"))
    tests = text("compose/prometheus/rules/flash.test.yml")
    advice = text("docs/operations.md")
    for alert in alerts:
        for case in ("fires", "is quiet"):
            if f"- name: {alert} {case}\n" not in tests:
                wrong.append(f"no test in which {alert} {case}")
        if f"`{alert}`" not in advice:
            wrong.append(f"docs/operations.md does not say what to do about {alert}")
    structs, looked_up = stats_fields(), 0
    for line in advice.splitlines():
        if line.startswith("| `Flash") and "`/stats`" in line:
            for path in re.findall(r"`([a-z][A-Za-z.]*)`", line):
                looked_up += 1
                if not is_in_stats(path, structs):
                    wrong.append(f"docs/operations.md looks for {path} in /stats, which has no such field")
    if not looked_up:
        wrong.append("docs/operations.md looks for nothing in /stats")
    if len(alerts) != len(set(alerts)) or len(alerts) < 30:
        wrong.append(f"{len(alerts)} alerts")

    limits, conf = text("crates/core/src/limits.rs"), text("compose/nginx/nginx.conf")
    bounds = dict(re.findall(r"pub const (\w+): \w+ = ([0-9_ *]+);", limits))
    value = lambda name: eval(bounds[name])
    for name, directive in [
        ("BODY_MAX_BYTES", f"client_max_body_size {value('BODY_MAX_BYTES') // 1024}k;"),
        # Less the first buffer, and less 1k for what nginx adds.
        ("HEAD_MAX_BYTES", f"large_client_header_buffers 1 {value('HEAD_MAX_BYTES') // 1024 - 2}k;"),
        ("HEADERS_MAX", f"HEADERS_MAX, {value('HEADERS_MAX')}, a client has {value('HEADERS_MAX') - 3}"),
        ("HEAD_TIMEOUT_MS", f"client_header_timeout {value('HEAD_TIMEOUT_MS') // 1000}s;"),
        ("BODY_TIMEOUT_MS", f"client_body_timeout {value('BODY_TIMEOUT_MS') // 1000}s;"),
    ]:
        if directive not in conf:
            wrong.append(f"nginx.conf does not say `{directive}`, which is {name} of flashd")

    # The admin thread may only put itself before others where the supervisor lets it.
    nice = int(re.search(r"const NICE: i32 = (-\d+);", text("daemon/src/admin/mod.rs"))[1])
    for path, line in [
        ("deploy/systemd/flashd-api@.service", f"LimitNICE={nice}\n"),
        ("deploy/systemd/flashd-worker@.service", f"LimitNICE={nice}\n"),
        ("compose/compose.yaml", f"nice: {20 - nice} }}\n"),
    ]:
        if line not in text(path):
            wrong.append(f"{path} does not say `{line.strip()}`, which the admin thread asks for")
    broken, count = links.broken(ROOT, links.of_git())
    wrong += broken
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"ok: {len(alerts)} alerts, each with two tests and advice; /stats has its {looked_up} fields; nginx has flashd's bounds; {count} links lead somewhere")


if __name__ == "__main__":
    main()
