"""Prometheus with compose/prometheus watches a real site: every target, every rule, every query of every dashboard.

Then things are broken, and the alerts about them fire on what was scraped.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time

import nginx
from crowd import Crowd
from prometheus import Prometheus, exporters, queries
from site_of import ROOT, Site, demand, free_port, get, wait_for

SALE = """
[[sku]]
id = 1
name = "plenty"
price = "49.00"
capacity = 5000000
hold_seconds = 5
per_user = 10
[[sku]]
id = 2
name = "gone"
price = "1.00"
capacity = 5
per_user = 10
"""
# What breaks below must be told by these. First the log and the view are frozen:
FROZEN = {"FlashLogSilent", "FlashLeaseStale", "FlashMysqlGone"}
# Then a daemon, both workers, an exporter and nginx go away, and Redis is frozen:
GONE = {
    "FlashDaemonDown", "FlashRedisGone", "FlashSellingStopped", "FlashNobodySells", "FlashNotReady", "FlashNobodyProjects",
    "FlashTargetDown", "NginxDown",
}


def settle_all(crowd, port, stop):
    """Pays for one order, cancels the next, leaves the third to the sweeper; and asks nonsense in between."""
    done, turn = set(), 0
    while not stop.wait(0.05):
        with crowd.lock:
            fresh = [order for order in list(crowd.orders.values())[-200:] if order not in done][:3]
        done |= set(fresh)
        for order in fresh:
            turn += 1
            path = f"/api/v1/flash/orders/{order}"
            typed = {"content-type": "application/json"}
            if turn % 3 == 1:
                nginx.ask(port, "POST", f"{path}/pay", json.dumps({"paymentId": f"pi-{order}", "amount": 4900}), typed)
            elif turn % 3 == 2:
                nginx.ask(port, "POST", f"{path}/cancel")
        nginx.ask(port, "POST", "/api/v1/flash/purchase", "{}", {"content-type": "application/json"})


def names_are_documented():
    """Every metric of flashd that a rule or a dashboard names is one that docs/metrics.md has."""
    known = set(re.findall(r"^\| `([a-z_]+)", (ROOT / "docs/metrics.md").read_text(), re.M))
    rules = (ROOT / "compose/prometheus/rules/flash.rules.yml").read_text()
    expressions = re.sub(r"annotations:.*", "", rules) + "\n".join(query for _, _, query in queries())
    named = set(re.findall(r"\b(?:flash|purchase|inventory|active|http_request)_[a-z_]+", expressions))
    unknown = {name for name in named if name not in known and re.sub("_(bucket|count|sum)$", "", name) not in known}
    demand(not unknown, f"docs/metrics.md knows nothing of {sorted(unknown)}")
    print(f"ok: {len(named)} metrics of flashd that rules and dashboards name are documented")


def dashboards(prometheus):
    """Every query brings data, now; a table of what."""
    asked, empty = 0, []
    print(f"    {'DASHBOARD':<10}{'PANEL':<36}{'SERIES':>6}  {'LARGEST':>12}  QUERY")
    for board, panel, query in queries():
        if panel == "annotations":
            prometheus.ask("query", query=query)
            continue
        asked += 1
        values = prometheus.values(query)
        largest = f"{max(values):,.4g}" if values else "NONE"
        print(f"    {board:<10}{panel:<36}{len(values):>6}  {largest:>12}  {query}")
        if not values:
            empty.append(f"{board} · {panel}: {query}")
    demand(not empty, "queries without data:\n  " + "\n  ".join(empty))
    print(f"ok: {asked} queries of the dashboards, each with data")


def healthy(prometheus):
    """All targets are up, all rules can be evaluated, nothing fires."""
    targets = prometheus.ask("targets")["activeTargets"]
    down = [f"{one['scrapeUrl']}: {one['lastError']}" for one in targets if one["health"] != "up"]
    demand(not down, f"targets are down: {down}")
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    bad = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    demand(not bad, f"rules fail: {bad}")
    demand(not prometheus.firing(), f"alerts on a healthy site: {prometheus.firing()}")
    print(f"ok: {len(targets)} targets are scraped, {len(rules)} rules are evaluated, none fires on a healthy site")


def pages_are_clean(admins):
    """`promtool check metrics` on what the daemons tell."""
    for admin in admins:
        page = get(f"{admin}/metrics")[1]
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        demand(done.returncode == 0, f"promtool check metrics: {done.stdout}{done.stderr}")
    print(f"ok: promtool has nothing against the pages of {len(admins)} daemons")


def tell(prometheus, expected, api_port, pids, gone=()):
    """While these processes are frozen and the others gone, the alerts about it fire. The frozen ones go on afterwards."""
    with Crowd(api_port, buyers=5):
        for child in gone:
            # A killed nginx would leave its workers behind, and they go on.
            child.terminate() if "nginx" in child.args[0] else child.kill()
        began, seen = time.monotonic(), {}

        def all_of_them():
            for name in prometheus.firing():
                seen.setdefault(name, round(time.monotonic() - began))
            return seen.keys() >= expected

        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            wait_for(f"alerts {sorted(expected)}", all_of_them, 180)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            print(f"    fired, seconds after the break: {dict(sorted(seen.items(), key=lambda one: one[1]))}")
    print(f"ok: {len(expected)} alerts fire on scraped data when what they are about happens")


def servers_of(site, *names):
    """Processes below `flashctl up` with these names."""
    up = next(child for child in site.children if "up" in child.args)
    lines = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True).stdout.splitlines()
    all_of_them = [(int(pid), int(parent), name) for pid, parent, name in (line.split(None, 2) for line in lines)]
    family = {up.pid}
    while more := {pid for pid, parent, _ in all_of_them if parent in family} - family:
        family |= more
    pids = [pid for pid, _, name in all_of_them if pid in family and name.strip() in names]
    demand(len(pids) == len(names), f"below flashctl up: {[one for one in all_of_them if one[0] in family]}")
    return pids


def main():
    names_are_documented()
    with Site() as site:
        ports = {"redis-1": free_port(), "redis-2": free_port()}
        first = site.redis("redis-1", ports["redis-1"])
        site.redis("redis-2", ports["redis-2"], "--replicaof", f"127.0.0.1 {ports['redis-1']}")
        password = site.redis_password()
        url = f"redis://default:{password}@127.0.0.1:{ports['redis-1']},127.0.0.1:{ports['redis-2']}"
        agent, kafka = os.environ["JMX_AGENT"], free_port()
        os.environ["JAVA_TOOL_OPTIONS"] = f"-javaagent:{agent}=127.0.0.1:{kafka}:{ROOT}/compose/kafka/kafka.yml"
        site.servers("--redis", url, "--kafka", "apache")
        del os.environ["JAVA_TOOL_OPTIONS"]
        sale = site.directory / "sale.toml"
        sale.write_text(SALE)
        site.flashctl("setup", "--yes", "--file", str(sale))
        quick = {"FLASH_AUDIT_EVERY": "10s"}
        daemons = {name: site.daemon(name, name.split("-")[0], env=quick) for name in ["worker-1", "worker-2", "api-1", "api-2"]}
        api_ports = [int(daemons[name][1].rsplit(":", 1)[1]) for name in ["api-1", "api-2"]]
        conf, port, status = nginx.configure(site, api_ports)
        web = nginx.start(site, conf, port)
        targets = exporters(site, status, ports)
        targets["kafka"] = [{"targets": [f"127.0.0.1:{kafka}"], "labels": {"instance": "kafka-1"}}]
        targets["flashd"] = [
            {"targets": [admin.removeprefix("http://")], "labels": {"instance": name, "role": name.split("-")[0]}}
            for name, (_, _, admin) in daemons.items()
        ]
        prometheus = Prometheus(site, targets)
        stop = threading.Event()
        with Crowd(port, buyers=15, pause_s=0.05) as crowd, Crowd(port, buyers=5, sku="2", pause_s=0.05):
            settling = threading.Thread(target=settle_all, args=(crowd, port, stop), daemon=True)
            settling.start()
            # Four scrapes for rates, a hold that ends, an audit.
            time.sleep(45)
            try:
                healthy(prometheus)
                dashboards(prometheus)
                pages_are_clean([admin for _, _, admin in daemons.values()])
            finally:
                stop.set()
                settling.join()
        tell(prometheus, FROZEN, port, servers_of(site, "java", "mariadbd"))
        # Each must fire for what is broken next, not still for this.
        wait_for("a site that sells again, and quiet", lambda: not prometheus.firing() & (FROZEN | GONE), 180)
        mysql_exporter = next(child for child in site.children if "mysqld-exporter" in str(child.args))
        gone = [daemons["api-1"][0], daemons["worker-1"][0], daemons["worker-2"][0], mysql_exporter, web]
        tell(prometheus, GONE, api_ports[1], [first.pid], gone)


if __name__ == "__main__":
    main()
