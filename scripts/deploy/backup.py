"""The backup of docs/operations.md: MySQL dumped while it sells, lost with all orders since, restored – and nothing is missing."""

import os
import signal
import subprocess
import time

from crowd import Crowd
from nginx import books
from site_of import Site, demand


def client(site, program, *words, **more):
    """A program of MariaDB against this site's server."""
    env = site.env
    command = [program, "--host", env["MYSQL_HOST"], "--port", env["MYSQL_PORT"], "--user", env["MYSQL_USER"], *words]
    done = subprocess.run(command, env={**os.environ, "MYSQL_PWD": env["MYSQL_PASSWORD"]}, capture_output=True, text=True, timeout=120, **more)
    demand(done.returncode == 0, f"{program}: {done.stderr}")
    return done.stdout


def main():
    with Site() as site:
        site.servers()
        site.flashctl("setup", "--yes", "--sku", "1=900000@49.00")
        worker, _, _ = site.daemon("worker-1", "worker")
        _, url, _ = site.daemon("api-1", "api")
        database = site.env["MYSQL_DATABASE"]
        with Crowd(int(url.rsplit(":", 1)[1]), buyers=10) as crowd:
            time.sleep(4)
            dump = client(site, "mariadb-dump", "--single-transaction", "--routines", "--hex-blob", database)
            time.sleep(4)
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
            client(site, "mariadb", "--execute", f"DROP DATABASE {database}; CREATE DATABASE {database}")
            client(site, "mariadb", database, input=dump)
            kept = int(site.sql("SELECT COUNT(*) FROM orders")[0])
            site.flashctl("setup", "--yes")
            site.daemon("worker-1", "worker")
            time.sleep(4)
        demand(0 < kept < len(crowd.orders), f"the backup had {kept} of {len(crowd.orders)} orders")
        demand(not crowd.undecided, f"buyers noticed: {crowd.undecided[:3]}")
        books(site, crowd, "1")
        site.flashctl("rebuild", "--yes")
        site.flashctl("reconcile")
        print(f"ok: MySQL restored to {kept:,} orders while it sold; all {len(crowd.orders):,} are there again, reconcile finds nothing")


if __name__ == "__main__":
    main()
