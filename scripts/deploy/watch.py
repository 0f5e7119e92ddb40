"""Prometheus with compose/prometheus watches a real site: every target, every rule, every query of every dashboard.

Then things are broken, and the alerts about them fire on what was scraped.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

import nginx
from crowd import Crowd
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
# What breaks below must be told by these.
BROKEN = {
    "FlashDaemonDown", "FlashRedisGone", "FlashSellingStopped", "FlashNobodySells", "FlashNotReady", "FlashNobodyProjects",
    "FlashTargetDown", "NginxDown",
}


class Prometheus:
    """A running Prometheus and its HTTP API."""

    def __init__(self, site, targets):
        conf = site.directory / "prometheus"
        shutil.copytree(ROOT / "compose/prometheus", conf)
        self.port = free_port()
        # Its own address is all that is not in targets/.
        text = (conf / "prometheus.yml").read_text()
        demand("127.0.0.1:9090" in text, "prometheus.yml does not watch itself")
        (conf / "prometheus.yml").write_text(text.replace("127.0.0.1:9090", f"127.0.0.1:{self.port}"))
        for job, groups in targets.items():
            demand((conf / f"targets/{job}.yml").exists(), f"no targets/{job}.yml in compose/prometheus")
            (conf / f"targets/{job}.yml").write_text(json.dumps(groups))
        site.start(
            "prometheus",
            ["prometheus", f"--config.file={conf}/prometheus.yml", f"--storage.tsdb.path={site.directory}/tsdb"]
            + [f"--web.listen-address=127.0.0.1:{self.port}"],
        )
        wait_for("Prometheus", lambda: get(f"http://127.0.0.1:{self.port}/-/ready")[0] == 200)

    def ask(self, path, **parameters):
        """Member `data` of an answer."""
        query = urllib.parse.urlencode(parameters)
        status, text = get(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}")
        demand(status == 200, f"{path} {parameters}: {status} {text}")
        return json.loads(text)["data"]

    def values(self, query):
        """The numbers an instant query brings, those that are none left out."""
        values = [float(row["value"][1]) for row in self.ask("query", query=query)["result"]]
        return [value for value in values if value == value]

    def firing(self):
        """Names of the alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def exporters(site, status_port, redis_ports):
    """The exporters that Debian has, and the targets to write down for each job."""
    env = site.env
    cnf = site.directory / "exporter.cnf"
    cnf.write_text(
        f"[client]\nhost={env['MYSQL_HOST']}\nport={env['MYSQL_PORT']}\nuser={env['MYSQL_USER']}\npassword={env['MYSQL_PASSWORD']}\n"
    )
    mysql, redis, web = free_port(), free_port(), free_port()
    site.start("mysql-exporter", ["prometheus-mysqld-exporter", f"--config.my-cnf={cnf}", f"--web.listen-address=127.0.0.1:{mysql}"])
    site.start(
        "redis-exporter",
        ["prometheus-redis-exporter", "--redis.addr=", f"--web.listen-address=127.0.0.1:{redis}"],
        {"REDIS_PASSWORD": site.redis_password()},
    )
    site.start(
        "nginx-exporter",
        ["prometheus-nginx-exporter", f"-nginx.scrape-uri=http://127.0.0.1:{status_port}/stub_status", f"-web.listen-address=127.0.0.1:{web}"],
    )
    servers = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name, "exporter": f"127.0.0.1:{redis}"}}
        for name, port in redis_ports.items()
    ]
    one = lambda name, port: [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}]
    return {"mysql": one("mysql", mysql), "nginx": one("nginx", web), "redis": servers}


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


def queries():
    """`(dashboard, panel, query)` of everything the dashboards ask."""
    for path in sorted((ROOT / "compose/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel["title"], target["expr"].replace("$__rate_interval", "20s")
        for note in board["annotations"]["list"]:
            yield path.stem, "annotations", note["expr"]


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
    """Every query brings data, now."""
    asked, empty = 0, []
    for board, panel, query in queries():
        if panel == "annotations":
            prometheus.ask("query", query=query)
            continue
        asked += 1
        if not prometheus.values(query):
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


def broken(site, prometheus, victims, api_port):
    """One daemon, both workers, an exporter and nginx are gone, Redis is frozen: the alerts about it fire."""
    with Crowd(api_port, buyers=5):
        for child in victims["killed"]:
            child.kill()
        # A killed nginx leaves its workers behind, and they go on.
        victims["nginx"].terminate()
        for child in victims["frozen"]:
            child.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            seen = {}

            def all_of_them():
                for name in prometheus.firing():
                    seen.setdefault(name, round(time.monotonic() - began))
                return seen.keys() >= BROKEN

            try:
                wait_for(f"alerts {sorted(BROKEN)}", all_of_them, 150)
            finally:
                print(f"    fired, seconds after the break: {dict(sorted(seen.items(), key=lambda one: one[1]))}")
        finally:
            for child in victims["frozen"]:
                child.send_signal(signal.SIGCONT)
    print(f"ok: {len(BROKEN)} alerts fire on scraped data when what they are about happens")


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
        mysql_exporter = next(child for child in site.children if "mysqld-exporter" in str(child.args))
        gone = [daemons["api-1"][0], daemons["worker-1"][0], daemons["worker-2"][0], mysql_exporter]
        broken(site, prometheus, {"killed": gone, "nginx": web, "frozen": [first]}, api_ports[1])


if __name__ == "__main__":
    main()
