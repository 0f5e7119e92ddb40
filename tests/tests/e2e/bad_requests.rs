//! Requests that are wrong as HTTP: bad inputs, lines 4 to 12 and 34. Sent byte by byte, because no client library would.

use flash_tests::backends::Own;
use flash_tests::buyer::{PURCHASE, Purchase};
use flash_tests::daemon::Daemon;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::{Answer, Connection};
use std::time::Duration;

const BODY: &str = r#"{"userId":"1","skuId":"1"}"#;
/// A connection that is not to be trusted any more is closed at once; this is for slow machines.
const SOON: Duration = Duration::from_secs(8);

/// Sends bytes and reads the answer; whether the connection was closed after it is told as well.
async fn send(daemon: &Daemon, bytes: &[u8]) -> (Answer, bool) {
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    // The daemon may answer and close before it has read everything.
    let _ = connection.send(bytes).await;
    let answer = connection.answer().await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {shown}"));
    (answer, connection.closed(Duration::from_millis(300)).await)
}

async fn expect(daemon: &Daemon, bytes: impl AsRef<[u8]>, status: u16, closes: bool) {
    let (answer, closed) = send(daemon, bytes.as_ref()).await;
    let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]).into_owned();
    assert_eq!(answer.status, status, "{shown}: {answer:?}");
    assert!(closed || !closes, "the connection stays open after {shown}");
}

fn post(headers: &str, body: &str) -> String {
    format!("POST {PURCHASE} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

async fn finish(site: Site, daemon: &Daemon, seq: u64) {
    assert_eq!(site.stock(1).await.counters.seq, seq, "a bad request moved the stock");
    let _ = site.buyer(&[daemon]).insist(&Purchase::new(99, 1, "still-selling")).await.won();
    assert!(daemon.runs());
    site.finish(&[daemon]).await;
}

#[tokio::test]
async fn lengths_and_framing() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    // Refused by its length, before a byte of it is read.
    for length in ["10000000000", "1000000000000", "4097"] {
        expect(&daemon, post(&format!("Content-Length: {length}\r\n"), ""), 413, true).await;
    }
    for lengths in [
        "Content-Length: +26\r\n",
        "Content-Length: -26\r\n",
        "Content-Length: 26x\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: 26\r\nContent-Length: 27\r\n",
        "Content-Length: 26, 27\r\n",
    ] {
        expect(&daemon, post(lengths, BODY), 400, true).await;
    }
    let chunked = format!("1a\r\n{BODY}\r\n0\r\n\r\n");
    for (encoding, closes) in [
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", true),
        ("Transfer-Encoding: gzip\r\n", true),
        ("Transfer-Encoding: chunked, identity\r\n", true),
    ] {
        expect(&daemon, post(encoding, &chunked), 400, closes).await;
    }
    // Two ways to say where the body ends: the chunks count, as RFC 9112 has it, and nothing behind them is listened to.
    let unknown_sku = r#"{"userId":"1","skuId":"7"}"#;
    let smuggled = format!("1a\r\n{unknown_sku}\r\n0\r\n\r\n{}", post("Content-Length: 26\r\n", BODY));
    for both in [
        "Content-Length: 26\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 26\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut connection = Connection::open(&daemon.api).await.unwrap();
        connection.send(post(both, &smuggled).as_bytes()).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert!(matches!(answer.status, 400 | 404), "{both}: {answer:?}");
        assert!(connection.answer().await.is_err(), "{both}: a second answer");
    }
    for size in ["1ffffffffffffffff", "fffffffffffffffff", "-1", "x", "1a;\n"] {
        let body = format!("{size}\r\n{BODY}\r\n0\r\n\r\n");
        expect(&daemon, post("Transfer-Encoding: chunked\r\n", &body), 400, true).await;
    }
    finish(site, &daemon, 0).await;
}

/// Tiny chunks without end are cut off by the cap on bytes, a body that stops coming by the cap on time.
#[tokio::test]
async fn bodies_without_end() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let endless = post("Transfer-Encoding: chunked\r\n", &"1\r\n \r\n".repeat(6_000));
    expect(&daemon, endless, 413, true).await;
    expect(&daemon, post("Transfer-Encoding: chunked\r\n", "1\r\n{\r\n"), 408, true).await;
    expect(&daemon, post("Content-Length: 26\r\n", "{"), 408, true).await;
    finish(site, &daemon, 0).await;
}

#[tokio::test]
async fn heads() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let length = format!("Content-Length: {}\r\n", BODY.len());
    let head = |line: &str| post(&format!("{length}{line}\r\n"), BODY).into_bytes();
    for line in ["X-Space : 1", "X-Fold: 1\r\n folded", " X-Lead: 1", "X-Nul: a\0b", ": empty", "X(y): 1", "no colon"] {
        expect(&daemon, head(line), 400, true).await;
    }
    let mut latin = head("X-Name: ?");
    for byte in &mut latin {
        if *byte == b'?' {
            *byte = 0xff;
        }
    }
    let (answer, _) = send(&daemon, &latin).await;
    assert!(matches!(answer.status, 200 | 400), "opaque bytes in a header nobody reads are harmless: {answer:?}");
    let sold = u64::from(answer.status == 200);
    let mut key = head("Idempotency-Key: ?");
    for byte in &mut key {
        if *byte == b'?' {
            *byte = 0xff;
        }
    }
    expect(&daemon, key, 400, false).await;

    let hosts = |lines: &str| {
        format!("POST {PURCHASE} HTTP/1.1\r\n{lines}Content-Type: application/json\r\n{length}\r\n{BODY}")
    };
    for lines in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n"] {
        expect(&daemon, hosts(lines), 400, false).await;
    }

    let many: String = (0..1000).map(|n| format!("X-{n}: 1\r\n")).collect();
    expect(&daemon, post(&format!("{length}{many}"), BODY), 431, true).await;
    expect(&daemon, head(&format!("X-Long: {}", "x".repeat(64 * 1024))), 431, true).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(64 * 1024));
    let (answer, closed) = send(&daemon, long.as_bytes()).await;
    assert!(matches!(answer.status, 414 | 431) && closed, "{answer:?}");
    for line in ["GET / HTTP/9.9", "GET", "GET /\0 HTTP/1.1", "\u{16}\u{3}\u{1}", "PRI * HTTP/2.0"] {
        expect(&daemon, format!("{line}\r\nHost: test\r\n\r\n"), 400, true).await;
    }
    finish(site, &daemon, sold).await;
}

#[tokio::test]
async fn expectations_pipelines_and_half_closed_sockets() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    expect(&daemon, post(&format!("Content-Length: {}\r\nExpect: 200-maybe\r\n", BODY.len()), BODY), 417, false).await;
    let mut patient = Connection::open(&daemon.api).await.unwrap();
    let body = r#"{"userId":"2","skuId":"1","idempotencyKey":"k"}"#;
    let head = post(&format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len()), "");
    patient.send(head.as_bytes()).await.unwrap();
    patient.send(body.as_bytes()).await.unwrap();
    assert_eq!(patient.answer().await.unwrap().status, 200);

    // A hundred requests in one write are answered in their order, although sales and refusals take different ways.
    let mut pipelined = Connection::open(&daemon.api).await.unwrap();
    let request = |n: u32| match n % 3 {
        0 => post(&format!("Content-Length: {}\r\n", body.len()), body),
        1 => "GET /api/v1/flash/skus/1 HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(),
        _ => format!("GET /api/v1/flash/nothing/{n} HTTP/1.1\r\nHost: test\r\n\r\n"),
    };
    let all: String = (0..100).map(request).collect();
    pipelined.send(all.as_bytes()).await.unwrap();
    pipelined.half_close().await.unwrap();
    for n in 0..100 {
        let answer = pipelined.answer().await.unwrap();
        let is_in_order = match n % 3 {
            0 => answer.status == 200 && answer.json()["orderId"].is_string(),
            1 => answer.status == 200 && answer.json()["skuId"] == "1",
            _ => answer.status == 404,
        };
        assert!(is_in_order, "{n}: {answer:?}");
    }
    assert!(pipelined.closed(SOON).await, "a half-closed connection ends after its last answer");
    finish(site, &daemon, 1).await;
}

/// A client that goes away leaves its verdict under its key, and nothing else.
#[tokio::test]
async fn clients_that_go_away() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    let purchases: Vec<Purchase> = (1..=40).map(|user| Purchase::new(user, 1, "gone")).collect();
    for purchase in &purchases {
        let body = purchase.body();
        let mut connection = Connection::open(&daemon.api).await.unwrap();
        connection.send(post(&format!("Content-Length: {}\r\n", body.len()), &body).as_bytes()).await.unwrap();
    }
    let mut buyer = site.buyer(&[&daemon]);
    for purchase in &purchases {
        let _ = buyer.insist(purchase).await.won();
    }
    assert_eq!(site.stock(1).await.counters.held, 40, "one unit for each, however often it was asked for");
    assert_eq!(daemon.api_stats().await.in_flight, 0, "no place is lost");
    site.finish(&[&daemon]).await;
}

#[tokio::test]
async fn methods_and_paths() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
        let (answer, _) = send(&daemon, format!("{method} {PURCHASE} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}: {answer:?}");
    }
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    assert_eq!(connection.head(PURCHASE).await.unwrap().status, 405);
    let override_headers =
        "X-HTTP-Method-Override: POST\r\nX-Method-Override: POST\r\nContent-Type: application/json\r\n";
    let overridden =
        format!("GET {PURCHASE} HTTP/1.1\r\nHost: test\r\n{override_headers}Content-Length: 26\r\n\r\n{BODY}");
    expect(&daemon, &overridden, 405, false).await;
    // Who waits for 100 Continue has sent no body: the connection ends, and the answer says so.
    let waiting =
        |request: &str| request.replace("Content-Length", "Expect: 100-continue\r\nContent-Length").replace(BODY, "");
    let wrong_type = post("Content-Length: 26\r\n", BODY).replace("application/json", "text/plain");
    for (request, status) in [(&overridden, 405), (&wrong_type, 415)] {
        let (answer, closed) = send(&daemon, waiting(request).as_bytes()).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{answer:?}");
        assert!(closed, "{status}");
    }
    let (answer, _) = send(&daemon, b"CONNECT example.org:443 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(matches!(answer.status, 400 | 404 | 405), "{answer:?}");
    for path in [
        "//api/v1/flash/purchase",
        "/api//v1/flash/purchase",
        "/api/v1/flash/purchase/",
        "/api/v1/flash/purchase;x=1",
        "/api/v1/flash/%70urchase",
        "/api/v1/flash/x/%2e%2e/purchase",
        "/api/v1/flash/x/../purchase",
        "/API/v1/flash/purchase",
        "/api/v1/flash/skus/01",
        "/api/v1/flash/skus/1/",
        "/api/v1/flash/skus/%31",
        "/api/v1/flash/skus/",
        "/api/v1/flash/orders/../skus",
        "/",
        "/metrics",
        "/readyz",
    ] {
        for method in ["POST", "GET"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{BODY}"
            );
            let (answer, _) = send(&daemon, request.as_bytes()).await;
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {answer:?}");
        }
    }
    finish(site, &daemon, 0).await;
}
