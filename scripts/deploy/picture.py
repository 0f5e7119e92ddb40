"""picture.py PICTURE.png – what the dashboards show of a real sale in which a daemon and Redis are killed.

Two daemons behind nginx, a worker, Redis and a Prometheus with compose/prometheus; `flashctl loadtest` buys through nginx. The panels'
own queries are asked of that Prometheus and drawn by a headless browser. The load test's verdict is demanded, not only drawn.
"""

import json
import re
import signal
import subprocess
import sys
import time

import charts
import nginx
from prometheus import Prometheus
from site_of import BINARIES, ROOT, Site, demand, free_port

# (dashboard, panel), in the order in which they are drawn.
SHOWN = [
    ("sale", "Units by state"), ("sale", "Purchases per second"),
    ("sale", "Failed, by reason"), ("sale", "Winning"),
    ("pipeline", "Events per second"), ("sale", "Payments per second"),
    ("pipeline", "Selling stopped"), ("servers", "Processor"),
]
SECONDS = 110
# Half of the winners pay, a tenth cancels. No hold ends before the verdict: the witness compares stores that stand still.
LOAD = ["--rate", "20s:0..250", "--rate", f"{SECONDS - 20}s:250", "--connections", "200", "--pay", "0.5", "--cancel", "0.1"]
SKU = '[[sku]]\nid = 1\nname = "Front standing"\nprice = "49.00"\ncapacity = 30000\nhold_seconds = 300\nper_user = 10\n'


def panels():
    """The panels to show, as the dashboards have them."""
    boards = {name: json.loads((ROOT / f"compose/grafana/dashboards/{name}.json").read_text()) for name, _ in SHOWN}
    for board, title in SHOWN:
        yield next(panel for panel in boards[board]["panels"] if panel["title"] == title)


def series(prometheus, panel, begin, end):
    """`(legend, {time: value})` of everything a panel asks."""
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "5s")
        for row in prometheus.ask("query_range", query=query, start=begin, end=end, step=1)["result"]:
            name = re.sub(r"\{\{(\w+)\}\}", lambda found: row["metric"].get(found[1], ""), target["legendFormat"])
            values = {at: float(value) for at, value in row["values"] if value != "NaN"}
            if values:
                yield name.strip(), values


def start(site):
    """The whole site; `(nginx's port, Prometheus, api-1, Redis' port)`."""
    redis = free_port()
    site.redis("redis-1", redis)
    site.servers("--redis", f"redis://default:{site.redis_password()}@127.0.0.1:{redis}")
    sale = site.directory / "sale.toml"
    sale.write_text(SKU)
    site.flashctl("setup", "--yes", "--file", str(sale))
    daemons = {name: site.daemon(name, name.split("-")[0]) for name in ["worker-1", "api-1", "api-2"]}
    conf, port, _ = nginx.configure(site, [int(daemons[name][1].rsplit(":", 1)[1]) for name in ["api-1", "api-2"]])
    nginx.start(site, conf, port)
    targets = [
        {"targets": [admin.removeprefix("http://")], "labels": {"instance": name, "role": name.split("-")[0]}}
        for name, (_, _, admin) in daemons.items()
    ]
    # What this site does not have is not watched.
    watched = {"flashd": targets, "redis": [], "mysql": [], "nginx": [], "kafka": []}
    return port, Prometheus(site, watched, every_s=1), daemons["api-1"], redis


def sell(site, port, api, redis):
    """A sale in which a daemon and Redis die; `(begin, end, marks, verdict)`."""
    marks = []
    report = site.directory / "report.json"
    load = site.start("loadtest", [BINARIES / "flashctl", "loadtest", "--target", f"http://127.0.0.1:{port}", "--plain", "--report", report, *LOAD])
    begin = time.time()

    def at(second, words):
        time.sleep(max(0, begin + second - time.time()))
        marks.append((time.time(), words))

    at(35, "api-1 killed")
    api[0].kill()
    api[0].wait()
    at(45, "api-1 started again")
    admin = int(api[2].rsplit(":", 1)[1])
    site.daemon("api-1", "api", port=int(api[1].rsplit(":", 1)[1]), admin=admin)
    at(65, "Redis killed, and started again empty")
    victim = next(child for child in site.children if f"{redis}" in map(str, child.args))
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    site.redis("redis-1", redis)
    demand(load.wait(180) == 0, f"the load test ended with {load.returncode}:\n{site.log('loadtest')}")
    words = next(line for line in site.log("loadtest").splitlines() if line.startswith("VERDICT"))
    return begin, begin + SECONDS, marks, words


def main():
    picture = sys.argv[1]
    with Site() as site:
        port, prometheus, api, redis = start(site)
        begin, end, marks, verdict = sell(site, port, api, redis)
        demand("OK" in verdict, verdict)
        drawn = []
        for panel in panels():
            unit = panel["fieldConfig"]["defaults"]["unit"]
            kind = "bars" if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal" else "lines"
            lines = list(series(prometheus, panel, begin, end))
            demand(lines, f"no data for {panel['title']}")
            drawn.append(charts.panel(panel["title"], unit, kind, lines, begin, end, marks))
        below = " · ".join(f"{at - begin:.0f} s: {words}" for at, words in marks)
        html = site.directory / "page.html"
        html.write_text(charts.page("flash sale: two daemons behind nginx, and what breaks", drawn, f"{below}. {verdict}"))
        subprocess.run([ROOT / "scripts/report-picture", html, picture, "1320,1140"], check=True)
    print(f"{picture}: {len(drawn)} panels. {verdict}")


if __name__ == "__main__":
    main()
