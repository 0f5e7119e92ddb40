"""Three Apache Kafka brokers as compose/cluster.yaml configures them; one is killed under load, and buyers go on.

What the image makes of KAFKA_… variables is done here too: names in lower case with dots are Kafka's properties.
"""

import os
import subprocess
import time

from containers import environment, merged
from crowd import Crowd
from nginx import books
from site_of import ROOT, Site, demand, free_port, get, wait_for

# For scripts and the JVM, not properties.
NOT_PROPERTIES = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS"}


def start(site, name, variables, addresses, agent_port):
    """One broker on loopback."""
    home = site.directory / name
    lines = {}
    for variable, value in variables.items():
        if variable.startswith("KAFKA_") and variable not in NOT_PROPERTIES:
            lines[variable.removeprefix("KAFKA_").lower().replace("_", ".")] = value
    listen, control = addresses[name]
    for other, (client, controller) in addresses.items():
        for key, value in lines.items():
            lines[key] = value.replace(f"{other}:19092", f"127.0.0.1:{client}").replace(f"{other}:29093", f"127.0.0.1:{controller}")
    lines["listeners"] = lines["listeners"].replace("://:19092", f"://127.0.0.1:{listen}").replace("://:29093", f"://127.0.0.1:{control}")
    lines["log.dirs"] = f"{home}/data"
    # The dedupe buffer of the cleaner is larger than these small heaps are worth.
    lines["log.cleaner.dedupe.buffer.size"] = "2097152"
    home.mkdir(exist_ok=True)
    properties = home / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    java = ["java", "-Xmx256m", "-cp", f"{os.environ['KAFKA_LIBS']}/*"]
    cluster = variables["CLUSTER_ID"]
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster, "--config", properties], capture_output=True, text=True
    )
    demand(done.returncode == 0, f"formatting {name}: {done.stdout}{done.stderr}")
    agent = f"-javaagent:{os.environ['JMX_AGENT']}=127.0.0.1:{agent_port}:{ROOT}/compose/kafka/kafka.yml"
    return site.start(name, [java[0], agent, *java[1:], "kafka.Kafka", properties])


def metric(port, name):
    """The value of a broker's metric, None if it is not told."""
    lines = [line for line in get(f"http://127.0.0.1:{port}/metrics")[1].splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[1]) if lines else None


def main():
    names = ["kafka-1", "kafka-2", "kafka-3"]
    services = merged(ROOT / "compose", "compose.yaml", "cluster.yaml")["services"]
    with Site() as site:
        addresses = {name: (free_port(), free_port()) for name in names}
        agents = {name: free_port() for name in names}
        begin = lambda name: start(site, name, environment(services[name]), addresses, agents[name])
        brokers = {name: begin(name) for name in names}
        wait_for("three brokers", lambda: all((metric(agents[name], "kafka_replicas_partitioncount") is not None) for name in names), 120)
        site.servers("--kafka", f"127.0.0.1:{addresses['kafka-1'][0]}")
        site.env["KAFKA_BROKERS"] = ",".join(f"127.0.0.1:{client}" for client, _ in addresses.values())
        site.flashctl("setup", "--yes", "--sku", "1=900000@49.00")
        site.daemon("worker-1", "worker")
        _, url, _ = site.daemon("api-1", "api")
        wait_for("all copies", lambda: all(metric(port, "kafka_replicas_underreplicatedpartitions") == 0 for port in agents.values()))
        with Crowd(int(url.rsplit(":", 1)[1]), buyers=10) as crowd:
            time.sleep(4)
            brokers["kafka-3"].kill()
            killed = time.time()
            before = len(crowd.orders)
            time.sleep(12)
            demand(len(crowd.orders) > before + 20, "nothing is sold with two of three brokers")
            lacking = wait_for("missing copies that are told", lambda: metric(agents["kafka-1"], "kafka_replicas_underreplicatedpartitions"))
        demand(not crowd.given_up, f"never decided: {crowd.given_up[:3]}")
        books(site, crowd, "1")
        begin("kafka-3")
        wait_for("all copies again", lambda: all(metric(port, "kafka_replicas_underreplicatedpartitions") == 0 for port in agents.values()), 120)
        site.flashctl("reconcile")
        late = [one for one in crowd.undecided if one[0] > killed + 10]
        demand(not late, f"10 s after the death of a broker buyers still heard {late[:3]}")
        print(f"ok: three brokers, one killed: {len(crowd.orders):,} orders, {len(crowd.undecided)} asked twice, {lacking:.0f} partitions lack a copy on one broker, reconcile finds nothing")


if __name__ == "__main__":
    main()
