//! Bodies and keys that are wrong: bad inputs, lines 13 to 18, 20 to 23 and 28. Every one of them is answered with 4xx that
//! says what was wrong, and none of them moves the stock.

use flash_tests::backends::Own;
use flash_tests::buyer::{PURCHASE, Purchase};
use flash_tests::daemon::Daemon;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::{Answer, Connection};

const GOOD: &str = r#"{"userId":"1","skuId":"1","quantity":1,"idempotencyKey":"k"}"#;

/// Sends a body and checks everything that is true of a refusal.
async fn refused(daemon: &Daemon, headers: &str, body: &[u8], status: u16) -> Answer {
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    let head = format!("POST {PURCHASE} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    connection.send(&[head.as_bytes(), body].concat()).await.unwrap();
    let answer = connection.answer().await.unwrap();
    let shown = String::from_utf8_lossy(&body[..body.len().min(120)]);
    assert_eq!(answer.status, status, "{headers:?} {shown:?}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown:?}");
    let problem = answer.json();
    assert_eq!((&problem["success"], &problem["status"]), (&false.into(), &status.into()), "{shown:?}");
    assert!(problem["message"].as_str().is_some_and(|message| !message.is_empty() && message.len() < 400), "{problem}");
    answer
}

async fn bad_json(daemon: &Daemon, bodies: &[&[u8]]) {
    for body in bodies {
        let answer = refused(daemon, "Content-Type: application/json\r\n", body, 400).await;
        assert_eq!(answer.code(), "VALIDATION_ERROR");
    }
}

/// Nothing was taken, and the daemon still sells to the same user with the same key.
async fn finish(site: Site, daemon: &Daemon) {
    assert_eq!(site.stock(1).await.counters.seq, 0, "a bad request moved the stock");
    let keys: Vec<String> = site.redis(&["KEYS", "*"]).await;
    assert_eq!(keys.len(), 1, "a bad request left something in Redis: {keys:?}");
    let _ = site.buyer(&[daemon]).insist(&Purchase::new(1, 1, "k")).await.won();
    assert!(daemon.runs());
    site.finish(&[daemon]).await;
}

#[tokio::test]
async fn bodies_that_are_not_a_purchase() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let deep = [br#"{"userId":"#.as_slice(), &b"[".repeat(3_900)].concat();
    let bodies: [&[u8]; 25] = [
        b"",
        b"null",
        b"[]",
        b"\"x\"",
        b"123",
        b"true",
        b"{}",
        b"{",
        b" ",
        br#"{"userId":"1","skuId":"1"} x"#,
        br#"{"userId":"1","skuId":"1"}{"userId":"1","skuId":"1"}"#,
        br#"[{"userId":"1","skuId":"1"}]"#,
        br#"{"userId":"1","skuId":"1","quantity":1,"quantity":1}"#,
        br#"{"userId":"1","userId":"1","skuId":"1"}"#,
        br#"{"userId":"1","skuId":"1","price":0}"#,
        br#"{"userId":"1","skuId":"1","Quantity":1}"#,
        br#"{"userId":"1","skuId":"1","__proto__":{}}"#,
        br#"{"userId":null,"skuId":"1"}"#,
        br#"{"userId":["1"],"skuId":"1"}"#,
        br#"{'userId':'1','skuId':'1'}"#,
        br#"{"userId":"1","skuId":"1",}"#,
        br#"{"userId":"1","skuId":"1"/**/}"#,
        br#"{"userId":"1"}"#,
        br#"{"skuId":"1"}"#,
        &deep,
    ];
    bad_json(&daemon, &bodies).await;
    // The same nesting, ten thousand deep, is larger than any purchase: refused before it is parsed.
    let deeper = b"[".repeat(10_000);
    refused(&daemon, "Content-Type: application/json\r\n", &deeper, 413).await;
    finish(site, &daemon).await;
}

#[tokio::test]
async fn quantities_ids_and_encodings() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let with = |name: &str, value: &str| match name {
        "quantity" => format!(r#"{{"userId":"1","skuId":"1","quantity":{value}}}"#),
        "userId" => format!(r#"{{"userId":"{value}","skuId":"1"}}"#),
        _ => format!(r#"{{"userId":"1","skuId":"{value}"}}"#),
    };
    let quantities = [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e0",
        "1e400",
        "11",
        "2147483648",
        "9223372036854775808",
        "18446744073709551616",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "NaN",
        "0x1",
        "+1",
        "01",
    ];
    for quantity in quantities {
        bad_json(&daemon, &[with("quantity", quantity).as_bytes()]).await;
    }
    let ids = [
        "",
        "0",
        "01",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "1:2",
        "{1}",
        "}",
        "*",
        "1\\n",
        "1\\u0000",
        "1\\r\\nSET x 1",
        "\u{ff11}",
        "\u{661}",
        "1\u{200b}",
        "\u{feff}1",
        "\\ud800",
        "9223372036854775808",
        "99999999999999999999",
        "a",
        "1'--",
        "../1",
    ];
    for id in ids {
        for name in ["userId", "skuId"] {
            bad_json(&daemon, &[with(name, id).as_bytes()]).await;
        }
    }
    let bytes: [&[u8]; 5] = [
        b"{\"userId\":\"\xff\",\"skuId\":\"1\"}",
        b"{\"userId\":\"1\",\"skuId\":\"1\",\"idempotencyKey\":\"\xc0\xaf\"}",
        b"{\"userId\":\"\xed\xa0\x80\",\"skuId\":\"1\"}",
        b"\xef\xbb\xbf{\"userId\":\"1\",\"skuId\":\"1\"}",
        b"\xff\xfe{\x00\"\x00",
    ];
    bad_json(&daemon, &bytes).await;
    finish(site, &daemon).await;
}

#[tokio::test]
async fn keys_and_content_types() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let long = "k".repeat(129);
    let keys = ["", " ", "a b", "\\n", "\\u0000", "\\u007f", "é", "\\u200b", long.as_str()];
    for key in keys {
        let body = format!(r#"{{"userId":"1","skuId":"1","idempotencyKey":"{key}"}}"#);
        bad_json(&daemon, &[body.as_bytes()]).await;
    }
    let bare = br#"{"userId":"1","skuId":"1"}"#;
    for key in ["", long.as_str(), "a b", "a\tb"] {
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        refused(&daemon, &headers, bare, 400).await;
    }
    let ten_kilobytes = format!(r#"{{"userId":"1","skuId":"1","idempotencyKey":"{}"}}"#, "k".repeat(10_000));
    refused(&daemon, "Content-Type: application/json\r\n", ten_kilobytes.as_bytes(), 413).await;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br\r\n",
    ] {
        refused(&daemon, headers, GOOD.as_bytes(), 415).await;
    }
    // A compressed bomb is refused by its header and never opened.
    let bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    refused(&daemon, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", bomb, 415).await;
    finish(site, &daemon).await;
}
