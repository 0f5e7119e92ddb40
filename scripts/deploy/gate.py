"""compose/redis for real: a primary that is killed under load and replaced by Sentinel. The cluster of six: cluster.py.

The daemons are started by compose/entrypoint, with their secrets in files.
"""

import shutil
import time

from crowd import Crowd
from nginx import books
from site_of import ROOT, Site, demand, free_port, wait_for

ENTRYPOINT = [ROOT / "compose/entrypoint"]


def secrets(site, url):
    """The environment of compose.yaml: an address without a password, and files."""
    mysql = site.directory / "mysql_password"
    mysql.write_text(site.env["MYSQL_PASSWORD"])
    return {
        "REDIS_URL": url,
        "REDIS_PASSWORD_FILE": str(site.directory / "redis_password"),
        "MYSQL_PASSWORD": "",
        "MYSQL_PASSWORD_FILE": str(mysql),
    }


def sentinels(site, primary):
    """Three, with compose/redis/sentinel.conf at this site's address; their ports."""
    files = site.directory / "sentinel-files"
    shutil.copytree(ROOT / "compose/redis", files)
    text = (files / "sentinel.conf").read_text()
    demand("monitor flash redis-1 6379 2" in text, "sentinel.conf watches something else than expected")
    (files / "sentinel.conf").write_text(text.replace("redis-1 6379", f"127.0.0.1 {primary}"))
    ports = [free_port() for _ in range(3)]
    for number, port in enumerate(ports, 1):
        site.redis(f"sentinel-{number}", port, kind="sentinel", files=files)
    return ports


def failover():
    """`kill -9` of the primary under load: Sentinel promotes, a worker fills it, selling goes on, the books are right."""
    with Site() as site:
        one, two = free_port(), free_port()
        primary = site.redis("redis-1", one)
        site.redis("redis-2", two, "--replicaof", f"127.0.0.1 {one}")
        wait_for("the replica", lambda: "state=online" in site.redis_cli(one, "info", "replication"))
        watching = sentinels(site, one)
        wait_for("sentinels that know of one another", lambda: all("num-other-sentinels\n2" in site.redis_cli(port, "sentinel", "master", "flash") for port in watching))
        plain = f"redis://127.0.0.1:{one},127.0.0.1:{two}"
        site.servers("--redis", plain.replace("redis://", f"redis://default:{site.redis_password()}@"))
        site.flashctl("setup", "--yes", "--sku", "1=900000@49.00")
        env = secrets(site, plain)
        site.daemon("worker-1", "worker", env=env, through=ENTRYPOINT)
        _, url, _ = site.daemon("api-1", "api", env=env, through=ENTRYPOINT)
        with Crowd(int(url.rsplit(":", 1)[1]), buyers=20) as crowd:
            time.sleep(3)
            primary.kill()
            killed = time.monotonic()
            wait_for("a promotion by Sentinel", lambda: "role:master" in site.redis_cli(two, "info", "replication"))
            promoted = time.monotonic() - killed
            before = len(crowd.orders)
            wait_for("sales on the new primary", lambda: len(crowd.orders) > before + 100, 90)
            selling = time.monotonic() - killed
            # The container would be started again, and comes back as what it was.
            primary.wait()
            site.redis("redis-1", one)
            wait_for("the old primary as a replica", lambda: "role:slave" in site.redis_cli(one, "info", "replication"), 90)
            before = len(crowd.orders)
            wait_for("sales afterwards", lambda: len(crowd.orders) > before + 100, 90)
        demand(not crowd.given_up, f"never decided: {crowd.given_up[:3]}")
        books(site, crowd, "1")
        site.flashctl("reconcile")
        print(f"ok: Sentinel promoted {promoted:.1f} s after the kill, sales again after {selling:.1f} s; {len(crowd.orders):,} orders, as told; reconcile finds nothing")


if __name__ == "__main__":
    failover()
