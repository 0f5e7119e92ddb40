"""nginx with compose/nginx in front of two real daemons: bounds, refusals, ids – and a daemon killed under load."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import time

from crowd import Crowd
from site_of import BINARIES, ROOT, Site, demand, free_port, get, wait_for

# Everybody behind one address in these checks is on loopback, which is exempt; the limits are tried with this file.
NOBODY_EXEMPT = "192.0.2.1/32 1;\n"


def configure(site, api_ports, exempt=None):
    """A copy of compose/nginx with this site's addresses; `(directory, API port, status port)`."""
    conf = site.directory / f"nginx{free_port()}"
    shutil.copytree(ROOT / "compose/nginx", conf)
    port, status = free_port(), free_port()
    main = (conf / "nginx.conf").read_text()
    demand(main.count("listen 8080") == 1 and main.count("listen 8081") == 1, "nginx.conf has other ports than expected")
    main = main.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("listen 8081", f"listen 127.0.0.1:{status}")
    # Files that are the container's: its temporary directory, its output.
    main = main.replace("/tmp/", f"{conf}/").replace("/dev/stdout", f"{conf}/access.log").replace("/dev/stderr", f"{conf}/error.log")
    (conf / "nginx.conf").write_text(main)
    upstream = (conf / "upstream.conf").read_text()
    for number, api in enumerate(api_ports, 1):
        upstream = upstream.replace(f"server api-{number}:3000", f"server 127.0.0.1:{api}")
    demand("api-" not in upstream, "upstream.conf names more daemons than this check has")
    (conf / "upstream.conf").write_text(upstream)
    if exempt:
        (conf / "exempt.conf").write_text(exempt)
    return conf, port, status


def start(site, conf, port):
    """Tests the configuration, then runs it in the foreground."""
    command = ["nginx", "-p", conf, "-c", conf / "nginx.conf", "-e", conf / "error.log"]
    done = subprocess.run([*command, "-t"], capture_output=True, text=True)
    demand(done.returncode == 0, f"nginx -t: {done.stderr}")
    demand("[warn]" not in done.stderr, f"nginx -t warns: {done.stderr}")
    child = site.start("nginx", [*command, "-g", "daemon off;"])
    wait_for("nginx", lambda: get(f"http://127.0.0.1:{port}/health")[0])
    return child


def ask(port, method, path, body=None, headers=None):
    """`(status, headers, text)` of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def send(port, head):
    """`(status, headers, text)` of a request that no library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers, answer.read().decode()


def is_problem(what, answer, status, code):
    """The answer is nginx's own, and in the words of flashd."""
    told, headers, text = answer
    demand((told, headers["content-type"]) == (status, "application/problem+json"), f"{what}: {told} {dict(headers)} {text}")
    problem = json.loads(text)
    demand((problem["status"], problem["error"], problem["success"]) == (status, code, False), f"{what}: {text}")
    demand(problem["message"] and problem["type"] == f"urn:flash-sale:problem:{code.lower()}", f"{what}: {text}")
    demand(headers["cache-control"] == "no-store" and headers.get_all("x-request-id"), f"{what}: {dict(headers)}")


def broken(port):
    """What is no HTTP has the statuses that flashd gives it."""
    is_problem("TRACE", send(port, "TRACE /health HTTP/1.1\r\nHost: x"), 405, "METHOD_NOT_ALLOWED")
    # Whether it is a method or no HTTP is a matter of nginx's version.
    connect = send(port, "CONNECT x:80 HTTP/1.1\r\nHost: x")
    is_problem("CONNECT", connect, connect[0], {400: "VALIDATION_ERROR", 405: "METHOD_NOT_ALLOWED"}.get(connect[0]))
    for head in [
        "NONSENSE",
        "GET /health HTTP/9.9\r\nHost: x",
        "GET /health HTTP/1.1",
        "GET /health HTTP/1.1\r\nHost: x\r\na b: c",
        "POST /api/v1/flash/purchase HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip",
        "POST /api/v1/flash/purchase HTTP/1.1\r\nHost: x\r\nContent-Length: many",
    ]:
        is_problem(head, send(port, head), 400, "VALIDATION_ERROR")
    status, _, text = send(port, f"GET /{'a' * 17_000} HTTP/1.1\r\nHost: x")
    demand((status, text) == (431, ""), f"a path of 17,000 bytes: {status} {text}")


def heads(port):
    """Up to 14 KiB pass, in one header or in as many as a client has. Above it nginx refuses; that flashd never does, its log shows."""
    for size, expected in [(14_000, 200), (17_000, 431)]:
        status, _, _ = ask(port, "GET", "/health", headers={"x-long": "x" * size})
        demand(status == expected, f"a header of {size:,} bytes: {status}")
    for size in range(200, 300):
        head = "GET /health HTTP/1.1\r\nHost: x" + f"\r\nx: {'x' * size}" * 60
        status, _, _ = send(port, head)
        demand(status == 200 or (status == 431 and len(head) > 14_000), f"a head of {len(head):,} bytes: {status}")


def nobody_answers(site):
    """With no daemon at all, who asks hears that nothing was decided, and who sent something that nobody knows."""
    conf, port, _ = configure(site, [free_port(), free_port()])
    start(site, conf, port)
    for path in ["/health", "/api/v1/flash/skus"]:
        answer = ask(port, "GET", path)
        is_problem(f"GET {path} of nobody", answer, 503, "OVERLOADED")
        demand(answer[1]["retry-after"] == "1", f"GET {path} of nobody: {dict(answer[1])}")
    is_problem("a purchase of nobody", ask(port, "POST", "/api/v1/flash/purchase", "{}"), 503, "OUTCOME_UNKNOWN")
    print("ok: without a daemon a GET hears OVERLOADED, a POST OUTCOME_UNKNOWN")


def refusals(port, api_port):
    """What nginx refuses by itself looks like flashd's refusals, and nothing private has a way through."""
    purchase = "/api/v1/flash/purchase"
    json_type = {"content-type": "application/json"}
    too_large = ask(port, "POST", purchase, "{" + " " * 5000 + "}", json_type)
    is_problem("a body of 5,000 bytes", too_large, 413, "PAYLOAD_TOO_LARGE")
    broken(port)
    # 4 KiB exactly pass nginx; flashd reads them too and finds no purchase.
    status, _, text = ask(port, "POST", purchase, "{" + " " * 4094 + "}", json_type)
    demand((status, json.loads(text)["error"]) == (400, "VALIDATION_ERROR"), f"a body of 4,096 bytes: {status} {text}")
    heads(port)
    for path in ["/metrics", "/stats", "/livez", "/readyz", "/admin", "/stub_status", "/", "/api/v1/flash", "/api/v1/flash/../../../metrics"]:
        is_problem(path, ask(port, "GET", path), 404, "NOT_FOUND")
    _, headers, _ = ask(port, "GET", "/health", headers={"x-request-id": "from-the-client.1"})
    demand(headers.get_all("x-request-id") == ["from-the-client.1"], f"the client's request id came back as {headers.get_all('x-request-id')}")
    _, headers, _ = ask(port, "GET", "/health", headers={"x-request-id": "bad id\t<>"})
    demand(re.fullmatch("[0-9a-f]{32}", headers["x-request-id"]), f"made-up id {headers['x-request-id']}")
    # The API's description comes from the daemon, whatever the daemon says.
    through, direct = (ask(one, "GET", "/openapi.json") for one in (port, api_port))
    demand((through[0], through[2]) == (direct[0], direct[2]), f"/openapi.json: {through[0]} through nginx, {direct[0]} without")
    print("ok: what passes is not too large for flashd, refusals look like flashd's, nothing private has a way through, ids are kept")


def limits(site, api_ports):
    """One address that takes everything is slowed down; a few hundred buyers behind it are not."""
    conf, port, _ = configure(site, api_ports, NOBODY_EXEMPT)
    start(site, conf, port)
    with Crowd(port, buyers=40, sku="2", pause_s=0.05) as crowd:
        time.sleep(3)
    demand(not crowd.undecided, f"a school behind one address was limited: {crowd.undecided[:3]}")
    done = subprocess.run(
        ["wrk", "-t1", "-c50", "-d4s", f"http://127.0.0.1:{port}/health"], capture_output=True, text=True, timeout=60
    )
    refused = int((re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout) or [0, 0])[1])
    total = int(re.search(r"(\d+) requests in", done.stdout)[1])
    passed = total - refused
    demand(passed <= 1000 * 6 + 2000, f"{passed:,} requests of one address passed in 4 s")
    demand(refused > 0, f"a flood of {total:,} requests was not limited")
    status, headers, text = flooded(port)
    is_problem("a limited request", (status, headers, text), 429, "RATE_LIMIT_EXCEEDED")
    demand(headers["retry-after"] == "1", f"a limited request: {dict(headers)}")
    print(f"ok: limits: {len(crowd.orders):,} purchases of one address passed; of a flood of {total:,} only {passed:,}")


def flooded(port):
    """The first 429 that a burst of requests meets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(20_000):
        connection.request("GET", "/api/v1/flash/skus")
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status == 429:
            return answer.status, answer.headers, text
    return answer.status, answer.headers, text


def older_http2(example):
    """The example in the words of this nginx: Debian's may be older than the image, and does not know `http2 on`."""
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
    version = tuple(int(part) for part in re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", told).groups())
    if version >= (1, 25, 1):
        return example
    demand(example.count("    http2 on;\n") == 1, "tls.conf.example has no HTTP/2")
    return example.replace("    http2 on;\n", "").replace("listen 8443 ssl", "listen 8443 ssl http2")


def tls(site, api_ports):
    """The TLS example, as it is in the file, with a certificate of our own."""
    conf, port, _ = configure(site, api_ports)
    main = (conf / "nginx.conf").read_text()
    plain = re.search(r"    server \{\n        listen 127\.0\.0\.1:\d+ backlog.*?\n    \}\n", main, re.S)[0]
    secure = free_port()
    example = older_http2((conf / "tls.conf.example").read_text())
    secrets = conf / "secrets"
    secrets.mkdir()
    for told, ours in [("8080", f"127.0.0.1:{port}"), ("8443", f"127.0.0.1:{secure}")]:
        example = example.replace(f"listen {told}", f"listen {ours}")
    example = example.replace(":8443$", f":{secure}$").replace("sale.example", "localhost").replace("/run/secrets", str(secrets))
    (conf / "nginx.conf").write_text(main.replace(plain, example))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-keyout", secrets / "tls_key", "-out", secrets / "tls_certificate"],
        check=True,
        capture_output=True,
    )
    start(site, conf, port)
    demand(ask(port, "GET", "/health")[0] == 200, "no health without TLS")
    status, headers, _ = ask(port, "GET", "/api/v1/flash/skus?a=b", headers={"host": "evil.example"})
    demand((status, headers["location"]) == (308, f"https://localhost:{secure}/api/v1/flash/skus?a=b"), f"plain HTTP: {status} {dict(headers)}")
    is_problem("no TLS where it is spoken", ask(secure, "GET", "/health"), 400, "VALIDATION_ERROR")
    for path in ["/health", "/nowhere"]:
        command = ["curl", "--silent", "--insecure", "-o", "/dev/null", "--write-out", "%header{strict-transport-security}"]
        done = subprocess.run([*command, f"https://localhost:{secure}{path}"], capture_output=True, text=True)
        demand(done.stdout == "max-age=31536000", f"{path}: HSTS is {done.stdout!r}")
    for version, accepted in [("--tls-max 1.1 --tlsv1.0", False), ("--tls-max 1.2 --tlsv1.2", True), ("--tlsv1.3", True)]:
        command = ["curl", "--silent", "--insecure", *version.split(), "-o", "/dev/null", f"https://127.0.0.1:{secure}/api/v1/flash/skus"]
        done = subprocess.run([*command, "--write-out", "%{http_code} HTTP/%{http_version}"], capture_output=True, text=True)
        demand((done.stdout == "200 HTTP/2") == accepted, f"TLS {version}: {done.stdout}")
    print("ok: the TLS example serves HTTP/2 with TLS 1.2 and 1.3, nothing older, and sends plain requests to its port; HSTS is on problems too")


def kill_one(site, daemons, port):
    """`kill -9` of one of two daemons under load: only what it had in hand is without an answer, and is found out."""
    with Crowd(port, buyers=60) as crowd:
        time.sleep(3)
        child = daemons[0][0]
        child.kill()
        # Until it is reaped it may still have taken something into its hands.
        child.wait()
        killed = time.time()
        time.sleep(4)
        after_kill = len(crowd.orders)
        port_of_dead = int(daemons[0][1].rsplit(":", 1)[1])
        daemons[0] = site.daemon("api-1", "api", port=port_of_dead)
        time.sleep(6)
    in_hand = [one for one in crowd.undecided if one[0] <= killed]
    later = [one for one in crowd.undecided if one[0] > killed]
    demand(not later, f"{len(later)} purchases that began after the kill failed: {later[:5]}")
    demand(len(in_hand) <= 60, f"{len(in_hand)} in hand of 60 buyers")
    demand(not crowd.given_up, f"never decided: {crowd.given_up[:3]}")
    books(site, crowd, "1")
    counts = [len(crowd.orders), after_kill, len(in_hand)]
    print("ok: kill -9: {:,} purchases, {:,} of them when the daemon had been away for 4 s; {} in its hands were repeated with their keys, none failed".format(*counts))
    return crowd


def verdict(site, daemons, port):
    """`flashctl loadtest` through nginx, a daemon killed in the middle: its witness finds nothing wrong with what buyers were told."""
    command = [BINARIES / "flashctl", "loadtest", "--target", f"http://127.0.0.1:{port}", "--plain", "-o", "json"]
    report = site.directory / "loadtest.json"
    with open(report, "wb") as out:
        load = site.start("loadtest", [*command, "--sku", "1", "--stage", "15s:60", "--pay", "0.5", "--cancel", "0.1"], stdout=out)
    time.sleep(5)
    daemons[1][0].kill()
    daemons[1][0].wait()
    time.sleep(3)
    daemons[1] = site.daemon("api-2", "api", port=int(daemons[1][1].rsplit(":", 1)[1]))
    demand(load.wait(150) == 0, f"flashctl loadtest through nginx ended with {load.returncode}:\n{site.log('loadtest')}{report.read_text()}")
    judged = json.loads(report.read_text())["verdict"]
    demand(judged["outcome"] == "clean" and judged["basis"] == "witnessed", f"the verdict: {judged}")
    print(f"ok: flashctl loadtest through nginx with a daemon killed: {judged['told']:,} told, {judged['in_mysql']:,} in MySQL, the witness says {judged['outcome']}")


def books(site, crowd, sku):
    """What buyers were told is what MySQL has, to the order."""
    told = set(crowd.orders.values())
    demand(len(told) == len(crowd.orders), "two keys got one order")

    def landed():
        return {line.strip() for line in site.sql(f"SELECT order_id FROM orders WHERE sku_id = {sku}")} >= told

    wait_for("every order in MySQL", landed, 60)
    rows = {line.strip() for line in site.sql(f"SELECT order_id FROM orders WHERE sku_id = {sku}")}
    demand(rows == told, f"MySQL has {len(rows):,} orders, buyers were told {len(told):,}")


def rolling(site, daemons, port):
    """SIGTERM to one after the other, as an upgrade does: hardly anybody notices, and whoever asks again gets an answer.

    A daemon that ends closes its idle connections, and nginx may be sending on one of them just then.
    """
    with Crowd(port, buyers=40, sku="3") as crowd:
        for number in range(2):
            # Longer than fail_timeout: until then nginx believes that the other one is still gone.
            time.sleep(3)
            child, url, _ = daemons[number]
            child.send_signal(signal.SIGTERM)
            demand(child.wait(30) == 0, "a daemon did not end well")
            daemons[number] = site.daemon(f"api-{number + 1}", "api", port=int(url.rsplit(":", 1)[1]))
        time.sleep(6)
    again = crowd.undecided
    demand(len(again) <= 20, f"{len(again)} purchases were not answered while daemons were replaced: {again[:5]}")
    demand(not crowd.given_up, f"never decided: {crowd.given_up[:3]}")
    books(site, crowd, "3")
    print(f"ok: both daemons replaced one after the other, {len(crowd.orders):,} purchases, {len(again)} asked twice, none failed")


def main():
    with Site() as site:
        site.servers()
        site.flashctl("setup", "--yes", *(word for sku in "123" for word in ("--sku", f"{sku}=900000@49.00")))
        site.daemon("worker", "worker")
        daemons = [site.daemon("api-1", "api"), site.daemon("api-2", "api")]
        ports = [int(url.rsplit(":", 1)[1]) for _, url, _ in daemons]
        conf, port, status = configure(site, ports)
        start(site, conf, port)
        refusals(port, ports[0])
        text = get(f"http://127.0.0.1:{status}/stub_status")[1]
        demand("Active connections" in text, text)
        kill_one(site, daemons, port)
        verdict(site, daemons, port)
        rolling(site, daemons, port)
        lines = [json.loads(line) for line in (conf / "access.log").read_text().splitlines()]
        demand(not [line for line in lines if line["daemon_status"] == "431"], "nginx let a head pass that flashd does not take")
        served = {line["daemon"] for line in lines if line["status"] == 200 and "purchase" in line["request"]}
        demand(len(served) >= 2, f"all purchases went to {served}")
        nobody_answers(site)
        tls(site, ports)
        limits(site, ports)


if __name__ == "__main__":
    main()
