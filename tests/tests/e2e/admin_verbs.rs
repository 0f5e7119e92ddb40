//! Commanding a daemon: who may, what each verb does to buyers, and what it leaves alone.

use flash_stores::mysql::daemons;
use flash_tests::backends::Own;
use flash_tests::buyer::{PURCHASE, Purchase};
use flash_tests::cashier::Settled;
use flash_tests::daemon::Daemon;
use flash_tests::eventually;
use flash_tests::site::{ADMIN_TOKEN, Site, ticket};
use flash_tests::wire::{Answer, Connection};
use serde_json::Value;

/// A request with this authorization and this body, if any.
async fn ask(daemon: &Daemon, method: &str, path: &str, authorization: Option<&str>, body: Option<&str>) -> Answer {
    let mut connection = Connection::open(&daemon.admin).await.unwrap();
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let content = body.map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{authorization}{}\r\n", content.unwrap_or_default());
    connection.send(format!("{head}{}", body.unwrap_or_default()).as_bytes()).await.unwrap();
    connection.answer().await.unwrap()
}

async fn command(daemon: &Daemon, method: &str, path: &str, body: Option<&str>) -> Answer {
    ask(daemon, method, path, Some(&format!("Bearer {ADMIN_TOKEN}")), body).await
}

const VERBS: [(&str, &str, Option<&str>); 4] = [
    ("POST", "/control/pause", Some(r#"{"reason":"x"}"#)),
    ("POST", "/control/resume", None),
    ("POST", "/control/drain?exit=true", None),
    ("PUT", "/control/log-filter", Some(r#"{"filter":"off"}"#)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_commands_a_daemon_without_its_token() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let unset = site.daemon_with("api", &[("FLASH_ADMIN_TOKEN", "")]).await;
    let read_only = site.daemon_with("api", &[("FLASH_ADMIN_READ_ONLY", "true")]).await;
    let right = format!("Bearer {ADMIN_TOKEN}");
    let (longer, shorter) = (format!("{right}x"), &right[..right.len() - 1]);
    let wrong = ["Bearer", "Bearer ", "Bearer the-token-of-the-testz", &longer, shorter, ADMIN_TOKEN, "Basic eDp5"];
    for (method, path, body) in VERBS {
        for authorization in wrong.into_iter().map(Some).chain([None]) {
            let answer = ask(&daemon, method, path, authorization, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHORIZED"), "{path} {authorization:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        for closed in [&unset, &read_only] {
            let answer = ask(closed, method, path, Some(&right), body).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "CONTROL_DISABLED"), "{path}");
        }
        let hint = ask(&unset, method, path, Some(&right), body).await.json()["message"].to_string();
        assert!(hint.contains("FLASH_ADMIN_TOKEN"), "{hint}");
    }
    // A browser that asks whether it may send the header is told nothing.
    let preflight = ask(&daemon, "OPTIONS", "/control/pause", None, None).await;
    assert_eq!(preflight.status, 405);
    assert!(!preflight.headers.iter().any(|(name, _)| name.starts_with("access-control")));
    for daemon in [&daemon, &unset, &read_only] {
        let stats = daemon.stats().await;
        let as_before = (stats.paused, stats.draining, stats.ready, stats.log_filter.as_str());
        assert_eq!(as_before, (None, false, true, "info"));
        // Looking is free.
        assert_eq!(ask(daemon, "GET", "/control/log-filter", None, None).await.json()["filter"], "info");
    }
    site.finish(&[&daemon, &unset, &read_only]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_daemon_sends_buyers_away_and_lets_them_pay() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (paused, other) = (site.daemon("all").await, site.daemon("api").await);
    let mut buyer = site.buyer(&[&paused]);
    let order = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    for _ in 0..2 {
        let answer = command(&paused, "POST", "/control/pause", Some(r#"{"reason":" wrong clock "}"#)).await;
        assert_eq!((answer.status, &answer.json()["paused"]), (200, &Value::from("wrong clock")), "{answer:?}");
    }
    let refused = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(409, "SALE_PAUSED");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let _ = site.buyer(&[&other]).insist(&Purchase::new(2, 1, "k")).await.won();
    let settled = site.cashier(&[&paused]).insist_pay(order, "p", 4_900).await;
    assert!(matches!(settled, Settled::Confirmed { .. }), "{settled:?}");
    let stats = paused.stats().await;
    assert_eq!((stats.paused.as_deref(), stats.ready), (Some("wrong clock"), true));
    let told: Vec<_> = stats.events.iter().filter(|event| event.text.contains("wrong clock")).collect();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    for _ in 0..2 {
        let answer = command(&paused, "POST", "/control/resume", Some("{}")).await;
        assert_eq!((answer.status, &answer.json()["paused"]), (200, &Value::Null));
    }
    let _ = buyer.insist(&Purchase::new(3, 1, "k")).await.won();
    site.finish(&[&paused, &other]).await;
}

/// P4 and P7: whoever was told "yes", or "unknown", before a pause finds out in it. Nobody else gets anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_keeps_its_answer_while_its_daemon_is_paused() {
    let site = Site::open(Own::default(), &[ticket(1, 3), ticket(2, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let purchase = Purchase::new(1, 1, "k");
    let first = buyer.insist(&purchase).await.won();
    let pause = async || {
        let answer = command(&daemon, "POST", "/control/pause", Some(r#"{"reason":"x"}"#)).await;
        assert_eq!(answer.status, 200);
    };
    pause().await;
    let again = buyer.insist(&purchase).await.won();
    assert_eq!((again.order_id, again.reservation_id, again.expires_at_ms), {
        (first.order_id, first.reservation_id, first.expires_at_ms)
    });
    assert!(again.replayed && !first.replayed);
    let _ = buyer.buy(&Purchase { quantity: 2, ..purchase.clone() }).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    let _ = buyer.buy(&Purchase { sku_id: 2, ..purchase.clone() }).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    let refused = buyer.buy(&Purchase::new(1, 1, "new")).await.refused(409, "SALE_PAUSED");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let _ = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(409, "SALE_PAUSED");
    let mut keyless = Connection::open(&daemon.api).await.unwrap();
    let answer = keyless.post(PURCHASE, "", br#"{"userId":"3","skuId":"1"}"#).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (409, "SALE_PAUSED"));
    assert_eq!(site.stock(1).await.counters.held, 1, "a pause sells nothing");

    // A sold-out SKU says the same: paused for everybody but those who have an answer.
    assert_eq!(command(&daemon, "POST", "/control/resume", None).await.status, 200);
    let _ = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(4, 1, "rest") }).await.won();
    let _ = buyer.insist(&Purchase::new(5, 1, "late")).await.refused(410, "SOLD_OUT");
    pause().await;
    let _ = buyer.buy(&Purchase::new(6, 1, "new")).await.refused(409, "SALE_PAUSED");
    assert!(buyer.insist(&purchase).await.won().replayed);
    // The same SKU, paused for everybody by its definition and not by one daemon.
    assert_eq!(command(&daemon, "POST", "/control/resume", None).await.status, 200);
    let other = Purchase::new(8, 2, "k");
    assert!(!buyer.insist(&other).await.won().replayed);
    for (verb, status, code) in [("pause", 409, "SALE_PAUSED"), ("resume", 200, ""), ("close", 410, "SALE_CLOSED")] {
        let done = site.flashctl(&["sale", verb, "2", "--why", "test"]).await;
        assert_eq!(done.exit, 0, "{done:?}");
        if status != 200 {
            let _ = buyer.insist(&Purchase::new(7, 2, "k")).await.refused(status, code);
        }
        assert!(buyer.insist(&other).await.won().replayed, "{verb}");
    }
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_daemon_is_not_ready_finishes_and_ends_when_told_to() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (drained, other) = (site.daemon("api").await, site.daemon("all").await);
    let mut buyer = site.buyer(&[&drained]);
    let order = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    for _ in 0..2 {
        let answer = command(&drained, "POST", "/control/drain", None).await;
        assert_eq!((answer.status, &answer.json()["draining"]), (200, &Value::from(true)), "{answer:?}");
    }
    let ready = drained.admin("/readyz").await.unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.json()["reasons"]["drain"].is_string(), "{ready:?}");
    let _ = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(503, "OVERLOADED");
    let settled = site.cashier(&[&drained]).insist_pay(order, "p", 4_900).await;
    assert!(matches!(settled, Settled::Confirmed { .. }), "{settled:?}");
    assert_eq!(command(&drained, "POST", "/control/resume", None).await.status, 200);
    drained.ready().await;
    let _ = buyer.insist(&Purchase::new(2, 1, "k")).await.won();

    let answer = command(&drained, "POST", "/control/drain?exit=true", None).await;
    assert_eq!((answer.status, &answer.json()["draining"]), (200, &Value::from(true)));
    assert_eq!(drained.ended().await.code, 0);
    let left: Vec<_> = daemons::list(&site.db).await.unwrap().into_iter().map(|daemon| daemon.told.admin_url).collect();
    assert!(!left.contains(&format!("http://{}", drained.admin)), "{left:?}");
    site.finish(&[&other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_filter_changes_at_once() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let logs = |word: &str| daemon.last_lines().iter().any(|line| line.contains(word));
    assert!(!logs("DEBUG") && !logs("TRACE"));
    let set = async |filter: &str| {
        let body = serde_json::json!({ "filter": filter }).to_string();
        command(&daemon, "PUT", "/control/log-filter", Some(&body)).await
    };
    let answer = set("trace").await;
    assert_eq!((answer.status, &answer.json()["filter"]), (200, &Value::from("trace")), "{answer:?}");
    eventually("more to be logged", || async { logs("TRACE") }).await;
    assert_eq!(daemon.stats().await.log_filter, "trace");
    for bad in ["", "debgu", "flashd=loud", "info,", "["] {
        let answer = set(bad).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{bad}");
    }
    assert_eq!(daemon.stats().await.log_filter, "trace", "what cannot be read changes nothing");
    assert_eq!(set("info").await.status, 200);
    assert!(daemon.stats().await.events.iter().any(|event| event.text.contains("info instead of trace")));
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_queries_are_read_strictly() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (daemon, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(201));
    let bad = [
        ("/control/pause", r#"{"reason":""}"#),
        ("/control/pause", r#"{"reason":"  "}"#),
        ("/control/pause", r#"{"reason":"a\nb"}"#),
        ("/control/pause", &long),
        ("/control/pause", r#"{"reason":"x","sku":1}"#),
        ("/control/pause", r#"{"reason":7}"#),
        ("/control/pause", "{}"),
        ("/control/pause", "not json"),
        ("/control/pause", r#"{"reason":"x"} trailing"#),
        ("/control/pause?x=1", r#"{"reason":"x"}"#),
        ("/control/resume", r#"{"why":"x"}"#),
        ("/control/resume?all=true", "{}"),
        ("/control/drain?exit", "{}"),
        ("/control/drain?exit=yes", "{}"),
        ("/control/drain?exit=true&exit=true", "{}"),
        ("/control/drain", "[]"),
    ];
    for (path, body) in bad {
        let answer = command(&daemon, "POST", path, Some(body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{path} {body}");
    }
    assert_eq!(command(&daemon, "POST", "/control/pause", None).await.status, 415);
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(5_000));
    assert_eq!(command(&daemon, "POST", "/control/pause", Some(&huge)).await.status, 413);
    let answer = command(&worker, "POST", "/control/pause", Some(r#"{"reason":"x"}"#)).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "CONFLICT"), "a worker sells nothing");
    let stats = daemon.stats().await;
    assert_eq!((stats.paused, stats.draining, stats.ready), (None, false, true));
    site.finish(&[&daemon, &worker]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_commands_daemons_from_the_terminal() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (sells, works) = (site.daemon("api").await, site.daemon("worker").await);
    eventually("both to be listed", || async { daemons::list(&site.db).await.unwrap().len() == 2 }).await;
    let list = site.flashctl(&["daemon", "list", "-o", "json"]).await;
    assert_eq!(
        (list.exit, &list.json()["version"], list.json()["daemons"].as_array().unwrap().len()),
        (0, &1.into(), 2)
    );

    let pause = ["daemon", "pause", "--why", "clock"];
    let with = |more: &[&'static str]| [pause.as_slice(), more].concat();
    let which = site.flashctl(&with(&["--yes"])).await;
    assert_eq!(which.exit, 2, "two run and none is named: {which:?}");
    assert!(which.stderr.contains("--all"));
    let plan = site.flashctl(&with(&["--all", "--dry-run"])).await;
    assert_eq!(plan.exit, 0, "{plan:?}");
    assert!(plan.stderr.contains("a worker sells nothing") && plan.stdout.contains("nothing was changed"), "{plan:?}");
    assert_eq!(site.flashctl(&with(&["--all"])).await.exit, 2, "nobody can be asked");
    assert_eq!(sells.stats().await.paused, None);

    let done = site.flashctl(&with(&["--all", "--yes", "-o", "json"])).await;
    assert_eq!(done.exit, 0, "{done:?}");
    assert_eq!(sells.stats().await.paused.as_deref(), Some("clock"));
    let admin = ["--admin", sells.admin.as_str(), "--yes"];
    let resume = site.flashctl(&[["daemon", "resume"].as_slice(), &admin].concat()).await;
    assert_eq!((resume.exit, sells.stats().await.paused), (0, None), "{resume:?}");
    let filter = site.flashctl(&[["daemon", "log-filter", "debgu"].as_slice(), &admin].concat()).await;
    assert_eq!((filter.exit, filter.stdout.as_str()), (2, ""), "refused before anybody is asked: {filter:?}");
    assert!(filter.stderr.contains("debgu"), "{filter:?}");
    let drain = site.flashctl(&[["daemon", "drain", "--exit"].as_slice(), &admin].concat()).await;
    assert_eq!((drain.exit, sells.ended().await.code), (0, 0), "{drain:?}");
    let gone = site.flashctl(&["daemon", "list", "--admin", sells.admin.as_str()]).await;
    assert_eq!(gone.exit, 4, "{gone:?}");
    site.finish(&[&works]).await;
}
