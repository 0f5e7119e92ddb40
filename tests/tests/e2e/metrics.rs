//! `/metrics` of real daemons: it tells what buyers were told, everything that is documented and nothing else, and never who
//! the buyers are.

use flash_core::sale::Sku;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::crowd::{crowd, tally};
use flash_tests::eventually;
use flash_tests::exposition::Exposition;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Users whose ids would be noticed anywhere on the page.
const FIRST_USER: u64 = 770_000_000_000;

fn purchases(count: u64, sku_id: u64) -> Vec<Purchase> {
    (1..=count).map(|n| Purchase::new(FIRST_USER + n, sku_id, "k")).collect()
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Series and values that a page must tell.
fn expect(page: &Exposition, expected: &[(&str, f64)]) {
    for (series, value) in expected {
        assert!((page.get(series) - value).abs() < 1e-9, "{series}: {} instead of {value}", page.get(series));
    }
}

/// What the page tells when everything of the first test has come to rest.
const TOLD: &[(&str, f64)] = &[
    ("purchase_attempts_total{status=\"won\",reason=\"reserved\"}", 61.0),
    ("purchase_attempts_total{status=\"won\",reason=\"replayed\"}", 1.0),
    ("purchase_attempts_total{status=\"refused\",reason=\"sold_out\"}", 140.0),
    ("purchase_attempts_total{status=\"refused\",reason=\"validation\"}", 1.0),
    ("purchase_attempts_total{status=\"refused\",reason=\"sku_not_found\"}", 1.0),
    ("purchase_attempts_total{status=\"refused\",reason=\"limit_reached\"}", 1.0),
    ("purchase_attempts_total{status=\"failed\",reason=\"outcome_unknown\"}", 0.0),
    ("purchase_duration_seconds_count{outcome=\"won\"}", 62.0),
    ("purchase_duration_seconds_count{outcome=\"sold_out\"}", 140.0),
    ("purchase_duration_seconds_count{outcome=\"refused\"}", 3.0),
    ("purchase_duration_seconds_count{outcome=\"failed\"}", 0.0),
    ("http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/flash/purchase\",status=\"200\"}", 62.0),
    ("http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/flash/purchase\",status=\"410\"}", 140.0),
    ("http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/flash/purchase\",status=\"404\"}", 1.0),
    (
        "http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/flash/orders/{orderId}/cancel\",status=\"200\"}",
        3.0,
    ),
    ("http_request_duration_seconds_count{method=\"other\",route=\"other\",status=\"404\"}", 1.0),
    ("flash_reserved_total", 61.0),
    // The replayed one was recorded again.
    ("flash_logged_total", 62.0),
    ("inventory_operations_total{operation=\"reserve\",result=\"success\"}", 61.0),
    ("inventory_operations_total{operation=\"reserve\",result=\"replayed\"}", 1.0),
    ("inventory_operations_total{operation=\"confirm\",result=\"success\"}", 5.0),
    ("inventory_operations_total{operation=\"cancel\",result=\"success\"}", 3.0),
    ("inventory_operations_total{operation=\"confirm\",result=\"refused\"}", 1.0),
    ("inventory_operations_total{operation=\"expire\",result=\"success\"}", 1.0),
    ("flash_payments_total{fate=\"confirmed\"}", 5.0),
    ("flash_cancelled_total", 3.0),
    ("flash_settle_refused_total", 1.0),
    ("flash_sku_attempts_total{sku_id=\"1\"}", 200.0),
    ("flash_sku_wins_total{sku_id=\"1\"}", 60.0),
    ("flash_sku_sold_out_total{sku_id=\"1\"}", 140.0),
    ("flash_sku_attempts_total{sku_id=\"2\"}", 3.0),
    ("flash_sku_wins_total{sku_id=\"2\"}", 1.0),
    ("flash_sku_attempts_total{sku_id=\"other\"}", 0.0),
    ("active_reservations{sku_id=\"1\"}", 52.0),
    ("active_reservations{sku_id=\"2\"}", 0.0),
    ("flash_stock_units{sku_id=\"1\",state=\"available\"}", 3.0),
    ("flash_stock_units{sku_id=\"1\",state=\"sold\"}", 5.0),
    ("flash_applied_events_total{type=\"RESERVED\"}", 62.0),
    ("flash_applied_events_total{type=\"CONFIRMED\"}", 5.0),
    ("flash_applied_events_total{type=\"CANCELLED\"}", 3.0),
    ("flash_applied_events_total{type=\"EXPIRED\"}", 1.0),
    ("flash_sweep_delay_seconds_count", 1.0),
    // 62 reservations, five confirmations, three cancellations, one expiry.
    ("flash_events_acknowledged_total", 71.0),
    ("kafka_produce_latency_seconds_count", 71.0),
    ("flash_events_failed_total", 0.0),
    ("flash_unacknowledged_events", 0.0),
    ("flash_dead_letters_total", 0.0),
    ("flash_in_flight", 0.0),
    ("flash_epoch_open", 1.0),
    ("flash_selling_stops_total", 0.0),
    ("flash_stopped_skus", 0.0),
    ("flash_redis_breaker_open", 0.0),
    ("flash_mysql_up", 1.0),
    ("flash_ready", 1.0),
    ("flash_skus", 2.0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_what_buyers_were_told() {
    let site = Site::open(Own::default(), &[ticket(1, 60), Sku { hold_ms: 6_000, ..ticket(2, 10) }]).await;
    let daemon = site.daemon("all").await;
    let said = crowd(&site, &[&daemon], purchases(200, 1), false).await;
    let told = tally(&said);
    assert_eq!((told.get("WON"), told.get("SOLD_OUT")), (Some(&60), Some(&140)), "{told:?}");
    let orders: Vec<u64> = said
        .into_iter()
        .filter_map(|said| if let flash_tests::buyer::Said::Won(told) = said { Some(told.order_id) } else { None })
        .collect();
    let (mut buyer, mut cashier) = (site.buyer(&[&daemon]), site.cashier(&[&daemon]));
    // One of each other kind.
    let winner = site.buyer(&[&daemon]).buy(&Purchase::new(FIRST_USER + 500, 2, "short")).await.won();
    assert!(buyer.buy(&Purchase::new(FIRST_USER + 500, 2, "short")).await.won().replayed);
    let _ = buyer
        .buy(&Purchase { quantity: 11, ..Purchase::new(FIRST_USER + 501, 1, "k") })
        .await
        .refused(400, "VALIDATION_ERROR");
    let _ = buyer.buy(&Purchase::new(FIRST_USER + 501, 9, "k")).await.refused(404, "SKU_NOT_FOUND");
    let _ = buyer
        .buy(&Purchase { quantity: 5, ..Purchase::new(FIRST_USER + 502, 2, "k") })
        .await
        .refused(409, "LIMIT_REACHED");
    for order_id in &orders[..3] {
        assert!(matches!(cashier.cancel(*order_id, None).await, Settled::Cancelled { .. }));
    }
    for order_id in &orders[3..8] {
        let paid = cashier.pay(*order_id, &format!("p-{order_id}"), PRICE).await;
        assert!(matches!(paid, Settled::Confirmed { .. }), "{paid:?}");
    }
    let refused = cashier.pay(orders[8], "p-wrong", PRICE + 1).await;
    assert!(matches!(refused, Settled::Refused(422, _)), "{refused:?}");
    let nobody = Connection::open(&daemon.api).await.unwrap().get("/no/such/path").await.unwrap();
    assert_eq!(nobody.status, 404);

    // What follows a purchase takes its time: the projection, the end of the short hold, the look at stock.
    eventually("the short hold to end, and everything to be applied", || async {
        let page = Exposition::of(&daemon).await;
        page.get("flash_swept_total{state=\"EXPIRED\"}") > 0.5
            && page.get("flash_applied_events_total{type=\"EXPIRED\"}") > 0.5
            && page.get("flash_stock_units{sku_id=\"2\",state=\"available\"}") > 9.5
            && page.get("flash_stock_units{sku_id=\"1\",state=\"closing\"}") < 0.5
            && page.get("flash_stock_units{sku_id=\"1\",state=\"sold\"}") > 4.5
            && page.get("kafka_consumer_lag") < 0.5
    })
    .await;
    let page = Exposition::of(&daemon).await;
    expect(&page, TOLD);
    check_the_rest(&page);
    assert!(!page.text.contains("77000000"), "users are told of:\n{}", page.text);
    assert_eq!(page.promtool().await, "");
    assert_eq!(winner.purchase.sku_id, 2);
    site.finish(&[&daemon]).await;
}

/// What depends on the machine, and on how the crowd was cut into batches.
fn check_the_rest(page: &Exposition) {
    // What the latch has answered never came to a lane.
    let refused = page.get("inventory_operations_total{operation=\"reserve\",result=\"refused\"}");
    let purchases = page.get("flash_lane_purchases_total");
    assert!((refused + 62.0 - purchases).abs() < 1e-9, "{refused} refused of {purchases}");
    let batches = page.get("redis_operation_duration_seconds_count{operation=\"reserve\"}");
    assert!(batches > 0.5 && (batches - page.get("flash_lane_batches_total")).abs() < 1e-9, "{batches} batches");
    for positive in
        ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "flash_lease_age_seconds"]
    {
        assert!(page.get(positive) > 0.0, "{positive}");
    }
    assert!(page.sum("redis_memory_used_bytes") > 100_000.0, "{}", page.text);
    assert!(
        page.get("mysql_pool_connections{state=\"used\"}") + page.get("mysql_pool_connections{state=\"idle\"}") > 0.5
    );
}

/// The table of docs/metrics.md: name → (kind, told by).
fn documented() -> BTreeMap<String, (String, String)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("<!-- metrics: begin").expect("the table begins");
    let (table, _) = table.split_once("<!-- metrics: end").expect("the table ends");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_end_matches('`')).collect::<Vec<_>>());
    rows.map(|row| {
        let [metric, kind, unit, by, meaning, ..] = row[..] else { panic!("{row:?}") };
        assert!(!unit.is_empty() && meaning.ends_with('.'), "{metric} has no unit or no meaning");
        let name = metric.split('{').next().unwrap_or_default();
        (name.to_owned(), (kind.to_owned(), by.to_owned()))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_tells_exactly_what_is_documented() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let documented = documented();
    assert!(documented.len() > 50, "the table of the documentation is not found");
    for (role, by) in [("all", &["all", "api", "worker"][..]), ("api", &["all", "api"]), ("worker", &["all", "worker"])]
    {
        let daemon = site.daemon(role).await;
        let page = Exposition::of(&daemon).await;
        let told_by = |(_, (_, of)): &(&String, &(String, String))| by.contains(&of.as_str());
        let expected: BTreeSet<_> =
            documented.iter().filter(told_by).map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
        assert_eq!(page.families(), expected, "role {role}");
        assert_eq!(page.promtool().await, "", "role {role}");
        daemon.terminate();
        let _ = daemon.ended().await;
    }
    site.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_skus_have_few_labels_and_nothing_is_lost() {
    const SKUS: u64 = 70;
    let skus: Vec<Sku> = (1..=SKUS).map(|sku_id| ticket(sku_id, 10)).collect();
    let site = Site::open(Own::default(), &skus).await;
    let daemon = site.daemon("all").await;
    // The higher the id, the busier.
    let purchases =
        (1..=SKUS).flat_map(|sku| (0..=sku / 10).map(move |n| Purchase::new(1000 * sku + n, sku, "k"))).collect();
    let said = crowd(&site, &[&daemon], purchases, false).await;
    let page = Exposition::of(&daemon).await;
    for name in ["flash_sku_attempts_total", "flash_sku_wins_total", "flash_sku_sold_out_total"] {
        assert_eq!(page.labels(name).len(), 51, "{name}");
    }
    assert!((page.sum("flash_sku_attempts_total") - number(said.len() as u64)).abs() < 1e-9, "{}", page.text);
    assert!(page.get("flash_sku_attempts_total{sku_id=\"70\"}") > 7.5);
    assert!(!page.series.contains_key("flash_sku_attempts_total{sku_id=\"1\"}"), "the idlest is one of the others");
    assert!(page.labels("active_reservations").len() <= 51 && page.labels("flash_stock_units").len() <= 4 * 51);
    eventually("all stock to have been seen", || async {
        let page = Exposition::of(&daemon).await;
        let units = number(10 * SKUS);
        (page.sum("flash_stock_units") - units).abs() < 1e-9
    })
    .await;
    site.finish(&[&daemon]).await;
}

/// One of two SKUs is closed, then all of Redis is gone: only the second is a stop of selling, and the breaker shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_when_nothing_can_be_decided() {
    let site = Site::open(Own::default(), &[ticket(1, 1_000), ticket(2, 1_000)]).await;
    let daemon = site.daemon("api").await;
    let mut buyer = site.buyer(&[&daemon]);
    let mut buy = async |user: u64, sku: u64| buyer.buy(&Purchase::new(user, sku, "k")).await.word();
    assert_eq!((buy(1, 1).await.as_str(), buy(2, 2).await.as_str()), ("WON", "WON"));
    let epoch: String = site.redis(&["HGET", &site.keys(2).stock, "epoch"]).await;
    let _: i64 = site.redis(&["HSET", &site.keys(2).stock, "epoch", "closed"]).await;
    for user in 10..20 {
        assert_eq!(buy(user, 2).await, "STOCK_RECOVERING");
        assert_eq!(buy(user + 100, 1).await, "WON");
    }
    let page = Exposition::of(&daemon).await;
    expect(
        &page,
        &[
            ("flash_selling_stops_total", 0.0),
            ("flash_selling_stopped_seconds", 0.0),
            ("flash_stopped_skus", 1.0),
            ("flash_fenced_total", 10.0),
            ("inventory_operations_total{operation=\"reserve\",result=\"fenced\"}", 10.0),
            ("purchase_attempts_total{status=\"failed\",reason=\"stock_recovering\"}", 10.0),
        ],
    );
    let _: i64 = site.redis(&["HSET", &site.keys(2).stock, "epoch", &epoch]).await;
    assert_eq!(buy(30, 2).await, "WON");
    expect(&Exposition::of(&daemon).await, &[("flash_stopped_skus", 0.0), ("flash_selling_stops_total", 0.0)]);
    site.stack.redis().kill9().await.unwrap();
    assert!(["STOCK_RECOVERING", "OUTCOME_UNKNOWN"].contains(&buy(40, 1).await.as_str()));
    eventually("the stop to be told", || async {
        let page = Exposition::of(&daemon).await;
        page.get("flash_redis_breaker_open") > 0.5 && page.get("flash_redis_breaker_opened_total") > 0.5
    })
    .await;
    assert_eq!(buy(41, 2).await, "STOCK_RECOVERING");
    let page = Exposition::of(&daemon).await;
    expect(&page, &[("flash_selling_stops_total", 1.0), ("flash_ready", 0.0)]);
    site.stack.redis().restart().await.unwrap();
    site.rebuild().await;
    daemon.ready().await;
    // It is over when it is over, not when the next buyer comes.
    eventually("the stop to end", || async {
        let page = Exposition::of(&daemon).await;
        page.get("flash_selling_stopped_seconds") < 0.001 && page.get("flash_stopped_skus") < 0.5
    })
    .await;
    eventually("selling to go on", || async {
        site.buyer(&[&daemon]).buy(&Purchase::new(42, 1, "k")).await.word() == "WON"
    })
    .await;
    let page = Exposition::of(&daemon).await;
    expect(&page, &[("flash_selling_stops_total", 1.0), ("flash_selling_stopped_seconds", 0.0)]);
    assert!(page.get("flash_selling_stopped_seconds_total") > 0.0);
    // Somebody must project what was sold.
    let worker = site.daemon("worker").await;
    site.finish(&[&daemon, &worker]).await;
}
