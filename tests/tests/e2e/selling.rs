//! Crowds: nobody gets a ticket that does not exist, nobody gets more than the cap, everybody who was told "yes" has one.

use flash_tests::backends::Own;
use flash_tests::buyer::{Purchase, Said};
use flash_tests::crowd::{crowd, tally};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_buyers_and_a_hundred_tickets() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    let purchases = (1..=1000).map(|user| Purchase::new(user, 1, "the-sale")).collect();
    let said = crowd(&site, &[&daemon], purchases, true).await;
    let tally = tally(&said);
    assert_eq!((tally.get("WON"), tally.get("SOLD_OUT")), (Some(&100), Some(&900)), "{tally:?}");
    for said in said {
        let Said::Refused(answer) = said else { continue };
        let body = answer.json();
        assert_eq!((answer.status, &body["final"], &body["held"]), (410, &false.into(), &100.into()), "{body}");
        assert!(answer.header("retry-after").is_some(), "held units may come back: {answer:?}");
    }
    // Who won and asks again is told the same, although it is sold out; the latch must not answer for Redis.
    let again =
        crowd(&site, &[&daemon], (1..=1000).map(|user| Purchase::new(user, 1, "the-sale")).collect(), true).await;
    assert_eq!(again.iter().filter(|said| matches!(said, Said::Won(told) if told.replayed)).count(), 100);
    assert_eq!(site.stock(1).await.counters.seq, 100, "asking again changes nothing");
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_against_a_hundred_parallel_requests_of_one_user() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    let purchases = (0..100).map(|n| Purchase::new(7, 1, format!("parallel-{n}"))).collect();
    let tally = tally(&crowd(&site, &[&daemon], purchases, false).await);
    let count = |word: &str| tally.get(word).copied().unwrap_or(0);
    assert_eq!(count("WON"), 4, "{tally:?}");
    assert!(count("RATE_LIMIT_EXCEEDED") > 0, "a hundred at once are more than the bucket holds: {tally:?}");
    assert_eq!(count("WON") + count("LIMIT_REACHED") + count("RATE_LIMIT_EXCEEDED"), 100, "{tally:?}");
    // The others are not hurt by one user's storm, and whole orders count against the cap, not their number.
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase { quantity: 3, ..Purchase::new(8, 1, "three") }).await.won();
    let _ =
        buyer.insist(&Purchase { quantity: 2, ..Purchase::new(8, 1, "two-more") }).await.refused(409, "LIMIT_REACHED");
    let _ = buyer.insist(&Purchase::new(8, 1, "one-more")).await.won();
    site.finish(&[&daemon]).await;
}

/// Line 29 of the bad inputs, with fewer keys: random keys do not help anybody around cap and rate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_keys_of_one_user_meet_the_cap_and_the_rate_limit() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let mut said = Vec::new();
    for n in 0..1000 {
        said.push(buyer.buy(&Purchase::new(7, 1, format!("random-{n}"))).await);
    }
    let tally = tally(&said);
    assert_eq!(tally.get("WON"), Some(&4), "{tally:?}");
    let keys: Vec<String> = site.redis(&["KEYS", "*:key:7:*"]).await;
    assert_eq!(keys.len(), 4, "a refusal costs no memory: {keys:?}");
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_and_two_workers_sell_one_sale() {
    let site = Site::open(Own::default(), &[ticket(1, 150), ticket(2, 40)]).await;
    let (a, b) = (site.daemon("api").await, site.daemon("api").await);
    let (worker, other) = (site.daemon("worker").await, site.daemon("worker").await);
    // Each buyer sends the same two purchases to both daemons at once.
    let both = |user: u64| {
        [(1, "first"), (1, "first"), (2, "second"), (2, "second")].map(|(sku, key)| Purchase::new(user, sku, key))
    };
    let first = crowd(&site, &[&a, &b], (1..=60).flat_map(both).collect(), true).await;
    worker.kill9().await;
    let second = crowd(&site, &[&a, &b], (61..=200).flat_map(both).collect(), true).await;
    let said: Vec<Said> = first.into_iter().chain(second).collect();
    let orders: BTreeSet<u64> = said
        .into_iter()
        .filter_map(|said| if let Said::Won(told) = said { Some(told.order_id) } else { None })
        .collect();
    assert_eq!(orders.len(), 190, "everything is sold, each purchase once");
    let nodes = BTreeSet::from([a.stats().await.node, b.stats().await.node]);
    assert_eq!(nodes.len(), 2, "two daemons never share a node id");
    site.finish(&[&a, &b, &other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_seen_from_the_moment_it_was_told() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let told = site.buyer(&[&daemon]).insist(&Purchase { quantity: 3, ..Purchase::new(5, 1, "k") }).await.won();
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    let path = format!("/api/v1/flash/orders/{}", told.order_id);
    let first = connection.get(&path).await.unwrap();
    assert!(matches!(first.status, 200 | 202), "an order that was told is never 404: {first:?}");
    assert!(first.status == 200 || first.header("retry-after").is_some(), "{first:?}");
    eventually("the order to be written down", || async {
        Connection::open(&daemon.api).await.unwrap().get(&path).await.unwrap().status == 200
    })
    .await;
    let order = connection.get(&path).await.unwrap().json();
    assert_eq!(order["orderId"], told.order_id.to_string(), "ids are strings on the wire");
    assert_eq!(
        (&order["state"], &order["quantity"], &order["total"]),
        (&"RESERVED".into(), &3.into(), &"147.00".into())
    );
    let sku = connection.get("/api/v1/flash/skus/1").await.unwrap().json();
    assert_eq!((&sku["available"], &sku["held"], &sku["sold"]), (&7.into(), &3.into(), &0.into()), "{sku}");
    let all = connection.get("/api/v1/flash/skus").await.unwrap().json();
    assert_eq!(all["skus"].as_array().unwrap().len(), 1, "{all}");
    let health = connection.get("/health").await.unwrap().json();
    assert!(health["status"].is_string() && health["timestamp"].is_u64() && health["uptime"].is_f64(), "{health}");
    site.finish(&[&daemon]).await;
}

/// Bad inputs, lines 19 and 25: a price beyond 32 bits times ten, unknown SKUs, and both ends of the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_unknown_skus_and_the_dearest_ticket() {
    let hour_ms = 3_600_000;
    let now_ms = u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut early = ticket(1, 10);
    early.opens_at_ms = Some(now_ms + hour_ms);
    let mut late = ticket(2, 10);
    (late.opens_at_ms, late.closes_at_ms) = (Some(now_ms - 2 * hour_ms), Some(now_ms - hour_ms));
    let mut dear = ticket(3, 10);
    (dear.price_minor, dear.per_user) = (flash_core::limits::PRICE_MAX_MINOR, 10);
    let site = Site::open(Own::default(), &[early, late, dear]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let early = buyer.buy(&Purchase::new(1, 1, "k")).await.refused(409, "SALE_NOT_OPEN").json();
    assert_eq!(early["opensAt"], now_ms + hour_ms);
    // A key that was refused belongs to its SKU for a minute more; other requests want other keys.
    let _ = buyer.buy(&Purchase::new(1, 2, "k")).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    let _ = buyer.buy(&Purchase::new(1, 2, "k2")).await.refused(410, "SALE_CLOSED");
    for unknown in [4, 77, u64::from(u32::MAX), i64::MAX.unsigned_abs()] {
        let _ = buyer.buy(&Purchase::new(1, unknown, "k")).await.refused(404, "SKU_NOT_FOUND");
    }
    let told = buyer.insist(&Purchase { quantity: 10, ..Purchase::new(1, 3, "k3") }).await.won();
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    let path = format!("/api/v1/flash/orders/{}", told.order_id);
    eventually("the order to be written down", || async {
        Connection::open(&daemon.api).await.unwrap().get(&path).await.unwrap().status == 200
    })
    .await;
    assert_eq!(connection.get(&path).await.unwrap().json()["total"], "10000000000.00");
    let keys: Vec<String> = site.redis(&["KEYS", "*sku:77*"]).await;
    assert!(keys.is_empty(), "an unknown SKU costs no memory: {keys:?}");
    site.finish(&[&daemon]).await;
}
