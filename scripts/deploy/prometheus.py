"""A Prometheus that runs with compose/prometheus, the exporters around it, and what the dashboards ask."""

import json
import re
import shutil
import urllib.parse

from site_of import ROOT, demand, free_port, get, wait_for


class Prometheus:
    """A running Prometheus and its HTTP API."""

    def __init__(self, site, targets, every_s=None):
        """`every_s`: how often to look, instead of what the file says."""
        conf = site.directory / "prometheus"
        shutil.copytree(ROOT / "compose/prometheus", conf)
        self.port = free_port()
        # Its own address is all that is not in targets/.
        text = (conf / "prometheus.yml").read_text()
        demand("127.0.0.1:9090" in text, "prometheus.yml does not watch itself")
        text = text.replace("127.0.0.1:9090", f"127.0.0.1:{self.port}")
        if every_s:
            text, count = re.subn(r"(scrape_interval|scrape_timeout|evaluation_interval): \d+s", rf"\1: {every_s}s", text)
            demand(count == 3, "prometheus.yml says otherwise how often it looks")
        (conf / "prometheus.yml").write_text(text)
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


def queries(rate_interval="20s"):
    """`(dashboard, panel, query)` of everything the dashboards ask, with this in place of Grafana's `$__rate_interval`."""
    for path in sorted((ROOT / "compose/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel["title"], target["expr"].replace("$__rate_interval", rate_interval)
        for note in board["annotations"]["list"]:
            yield path.stem, "annotations", note["expr"]
