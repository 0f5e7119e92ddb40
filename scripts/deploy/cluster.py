"""compose/cluster.yaml for real: three Apache Kafka brokers and a Redis Cluster of six; one of each is killed under load.

Seller, sweeper, projector, rebuild and reconcile work on them, and the books are right. The daemons are started by compose/entrypoint.

What the image makes of KAFKA_… variables is done here too: names in lower case with dots are Kafka's properties.
"""

import json
import os
import subprocess
import time

from containers import environment, merged
from crowd import Crowd
from gate import ENTRYPOINT, secrets
from nginx import ask, books
from site_of import ROOT, Site, demand, free_port, get, wait_for

# For scripts and the JVM, not properties.
NOT_PROPERTIES = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS"}


def broker(site, name, variables, addresses, agent_port):
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


def brokers(site):
    """Three brokers; `(start one by name, the processes, their client addresses, the agents' ports)`."""
    names = ["kafka-1", "kafka-2", "kafka-3"]
    services = merged(ROOT / "compose", "compose.yaml", "cluster.yaml")["services"]
    addresses = {name: (free_port(), free_port()) for name in names}
    agents = {name: free_port() for name in names}
    begin = lambda name: broker(site, name, environment(services[name]), addresses, agents[name])
    running = {name: begin(name) for name in names}
    wait_for("three brokers", lambda: all(metric(port, "kafka_replicas_partitioncount") is not None for port in agents.values()), 120)
    return begin, running, [f"127.0.0.1:{client}" for client, _ in addresses.values()], agents


def begin_six(site, places):
    """Six nodes at these ports, each with one for the bus; `{port: process}`."""
    begin = lambda number, port, bus: site.redis(f"redis-{number}", port, "--cluster-port", str(bus), kind="cluster")
    return {port: begin(number, port, bus) for number, (port, bus) in enumerate(places.items(), 1)}


def make_cluster(site, ports):
    """compose/redis/make-cluster; its exit code."""
    command = [ROOT / "compose/redis/make-cluster", *(f"127.0.0.1:{port}" for port in ports)]
    return site.start("make-cluster", command, {"REDIS_PASSWORD_FILE": str(site.directory / "redis_password")}).wait(150)


def six(site):
    """Six nodes made a cluster, which is the same after they were stopped and started; `{port: process}`."""
    # By itself the bus would take the port 10,000 above, which may not be free.
    places = {free_port(): free_port() for _ in range(6)}
    ports = list(places)
    nodes = begin_six(site, places)
    site.redis_cli(ports[1], "cluster", "meet", "127.0.0.1", str(ports[2]), str(places[ports[2]]))
    wait_for("half a cluster", lambda: "cluster_known_nodes:2" in site.redis_cli(ports[2], "cluster", "info"))
    demand(make_cluster(site, ports) == 1 and "half made" in site.log("make-cluster"), "nobody says that a cluster is half made")
    for port in ports[1:3]:
        site.redis_cli(port, "cluster", "reset")
    # The second time nothing has changed, the third time they have just been started.
    for _ in range(2):
        demand(make_cluster(site, ports) == 0, site.log("make-cluster"))
    for node in nodes.values():
        node.terminate()
    for node in nodes.values():
        node.wait(20)
    nodes = begin_six(site, places)
    demand(make_cluster(site, ports) == 0, site.log("make-cluster"))
    demand(site.log("make-cluster").count("these nodes are a cluster") == 2, "a cluster that was there was made anew")
    return nodes


def owner(site, ports, key):
    """The port of the primary that a key belongs to."""
    nodes = site.redis_cli(ports[0], "cluster", "nodes").splitlines()
    slot = int(site.redis_cli(ports[0], "cluster", "keyslot", key))
    for words in (line.split() for line in nodes if "master" in line and "fail" not in line.split()[2]):
        spans = [span.split("-") for span in words[8:] if not span.startswith("[")]
        if any(int(span[0]) <= slot <= int(span[-1]) for span in spans):
            return int(words[1].split("@")[0].rsplit(":", 1)[1])
    return None


def settle(site, port):
    """SKU 3 has holds of 5 s: one of its orders is paid, one is cancelled, the sweeper gives the others back."""
    typed = {"content-type": "application/json"}
    orders = []
    for user in range(12):
        status, _, text = ask(port, "POST", "/api/v1/flash/purchase", json.dumps({"userId": str(user + 1), "skuId": "3"}), typed)
        demand(status == 200, f"a purchase of SKU 3: {status} {text}")
        orders.append(json.loads(text)["orderId"])
    path = "/api/v1/flash/orders/{}/{}"
    pay = lambda: ask(port, "POST", path.format(orders[0], "pay"), json.dumps({"paymentId": "pi-1", "amount": 4900}), typed)[0] == 200
    cancel = lambda: ask(port, "POST", path.format(orders[1], "cancel"))[0] == 200
    wait_for("a payment", pay, 4)
    wait_for("a cancellation", cancel, 4)
    count = lambda: dict(line.split("\t") for line in site.sql("SELECT state, COUNT(*) FROM orders WHERE sku_id = 3 GROUP BY state"))
    expected = {"CONFIRMED": "1", "CANCELLED": "1", "EXPIRED": "10"}
    wait_for(f"{expected} in MySQL", lambda: count() == expected, 60)


def main():
    with Site() as site:
        begin, running, addresses, agents = brokers(site)
        nodes = six(site)
        plain = "redis-cluster://" + ",".join(f"127.0.0.1:{port}" for port in nodes)
        site.servers("--kafka", addresses[0], "--redis", plain.replace("://", f"://default:{site.redis_password()}@"))
        site.env["KAFKA_BROKERS"] = ",".join(addresses)
        sale = site.directory / "sale.toml"
        hold = {1: 600, 2: 600, 3: 5}
        sku = '[[sku]]\nid = {}\nname = "SKU {}"\nprice = "49.00"\ncapacity = 900000\nhold_seconds = {}\nper_user = 10\n'
        sale.write_text("".join(sku.format(number, number, seconds) for number, seconds in hold.items()))
        site.flashctl("setup", "--yes", "--file", str(sale))
        env = secrets(site, plain)
        site.daemon("worker-1", "worker", env=env, through=ENTRYPOINT)
        _, url, _ = site.daemon("api-1", "api", env=env, through=ENTRYPOINT)
        port = int(url.rsplit(":", 1)[1])
        complete = lambda: all(metric(agent, "kafka_replicas_underreplicatedpartitions") == 0 for agent in agents.values())
        wait_for("all copies", complete)
        settle(site, port)
        with Crowd(port, buyers=5) as crowd, Crowd(port, buyers=5, sku="2") as other:
            time.sleep(4)
            running["kafka-3"].kill()
            killed = time.time()
            before = len(crowd.orders)
            time.sleep(12)
            demand(len(crowd.orders) > before + 10, "nothing is sold with two of three brokers")
            lacking = wait_for("missing copies that are told", lambda: metric(agents["kafka-1"], "kafka_replicas_underreplicatedpartitions"))
            late = [one for one in crowd.undecided if one[0] > killed + 10]
            demand(not late, f"10 s after the death of a broker buyers still heard {late[:3]}")
            before = len(crowd.orders)
            dead = owner(site, list(nodes), "{sku:1}:stock")
            nodes[dead].kill()
            gone = time.monotonic()
            wait_for("sales of SKU 1 on the promoted node", lambda: len(crowd.orders) > before + 20, 120)
            promoted = time.monotonic() - gone
        demand(not crowd.given_up and not other.given_up, f"never decided: {crowd.given_up[:3]} {other.given_up[:3]}")
        books(site, crowd, "1")
        books(site, other, "2")
        begin("kafka-3")
        wait_for("all copies again", complete, 120)
        site.flashctl("rebuild", "--yes")
        site.flashctl("reconcile")
        sold, asked = len(crowd.orders) + len(other.orders), len(crowd.undecided) + len(other.undecided)
        print(f"ok: three brokers and a cluster of six: {sold:,} orders as told, {asked} asked again; 1 paid, 1 cancelled, 10 swept")
        print(f"    a broker killed: {lacking:.0f} partitions lack a copy on one broker; a primary killed: its SKU is sold again after {promoted:.1f} s")
        print("    rebuilt by hand; reconcile finds nothing")


if __name__ == "__main__":
    main()
