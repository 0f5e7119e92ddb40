//! Setting up over a real stack: twice, changed, contradicted, and in the middle of a sale.

mod support;

use flash_core::ids::SkuId;
use flash_core::order::OrderState::Reserved;
use flash_core::sale::Sku;
use flash_stores::mysql::skus;
use flash_stores::redis::{Gate, GateSettings, SkuKeys, Snapshot};
use flashd::rebuild::RebuildOptions;
use flashd::setup::{self, Action, Kind, SetupError, SetupOptions};
use std::time::Duration;
use support::{SKU, Site, event, shared_stack};

const PATIENCE: Duration = Duration::from_secs(10);

fn sku(id: u64, capacity: u32) -> Sku {
    Sku {
        sku_id: SkuId::new(id),
        name: format!("Ticket {id}"),
        price_minor: 4_900,
        currency: "EUR".into(),
        capacity,
        per_user: 4,
        hold_ms: 300_000,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    }
}

/// A site that nothing was set up on: its namespace and database are new.
async fn untouched(skus: Vec<Sku>) -> (Site, SetupOptions) {
    let mut site = Site::new(1).await;
    let fresh = format!("{}-setup", site.options.kafka.namespace);
    site.options.kafka.namespace.clone_from(&fresh);
    site.options.mysql.database = format!("setup_{fresh}");
    let redis = GateSettings {
        url: shared_stack().redis().url().to_owned(),
        namespace: fresh,
        timeout: Duration::from_secs(2),
    };
    let parts = RebuildOptions {
        kafka: site.options.kafka.clone(),
        mysql: site.options.mysql.clone(),
        redis,
        lease: Duration::from_secs(1),
    };
    site.db = flash_stores::mysql::Db::open(&site.options.mysql);
    site.partitions = setup::PARTITIONS_DEFAULT;
    (site, SetupOptions { parts, partitions: None, replication: None, skus, who: "tests".into() })
}

async fn stock(options: &SetupOptions, id: u64) -> Option<Snapshot> {
    let gate = Gate::new(&options.parts.redis).expect("a gate");
    gate.wait_connected(PATIENCE).await.expect("Redis");
    gate.snapshot(&SkuKeys::new(&options.parts.redis.namespace, SkuId::new(id))).await.expect("a snapshot")
}

async fn actions(options: &SetupOptions) -> Vec<(Kind, Action)> {
    let plan = setup::inspect(options).await.expect("a plan");
    plan.items.iter().map(|item| (item.kind, item.action)).collect()
}

#[tokio::test]
async fn the_first_run_creates_and_the_second_changes_nothing() {
    let (site, options) = untouched(vec![sku(1, 100), sku(2, 50)]).await;
    assert!(actions(&options).await.iter().all(|(_, action)| *action == Action::Create));
    // Looking has changed nothing.
    assert!(actions(&options).await.iter().all(|(_, action)| *action == Action::Create));
    setup::run(&options, |_| {}).await.unwrap();
    let loaded = stock(&options, 1).await.expect("SKU 1 is on sale");
    assert_eq!((loaded.capacity, loaded.counters.available, loaded.epoch.as_str()), (100, 100, "1"));

    assert!(actions(&options).await.iter().all(|(_, action)| *action == Action::Unchanged));
    setup::run(&options, |_| {}).await.unwrap();
    assert_eq!(
        stock(&options, 1).await.map(|stock| (stock.epoch, stock.counters)),
        Some((loaded.epoch, loaded.counters))
    );
    assert_eq!(skus::list(&site.db).await.unwrap().len(), 2);
}

#[tokio::test]
async fn terms_change_and_new_skus_join_under_the_open_epoch() {
    let (site, mut options) = untouched(vec![sku(1, 100)]).await;
    setup::run(&options, |_| {}).await.unwrap();
    options.skus = vec![Sku { price_minor: 5_900, per_user: 2, ..sku(1, 100) }, sku(3, 7)];
    let plan = setup::inspect(&options).await.unwrap();
    let changed = plan.items.iter().find(|item| item.action == Action::Change).expect("a change");
    assert_eq!(changed.detail, "price 49.00 → 59.00, per_user 4 → 2");
    setup::apply(&options, &plan, |_| {}).await.unwrap();
    assert_eq!(skus::get(&site.db, SkuId::new(1)).await.unwrap().unwrap().sku, options.skus[0]);
    let (old, new) = (stock(&options, 1).await.unwrap(), stock(&options, 3).await.unwrap());
    assert_eq!((old.epoch.as_str(), new.epoch.as_str(), new.counters.available), ("1", "1", 7));
}

#[tokio::test]
async fn contradictions_are_refused_all_at_once_and_nothing_is_done() {
    let (site, mut options) = untouched(vec![sku(1, 100), sku(2, 50)]).await;
    setup::run(&options, |_| {}).await.unwrap();
    options.skus = vec![sku(1, 101), Sku { currency: "USD".into(), ..sku(2, 50) }, sku(3, 1)];
    options.partitions = Some(4);
    let error = setup::run(&options, |_| {}).await.unwrap_err();
    let SetupError::Refused(reasons) = &error else { panic!("{error}") };
    assert_eq!(reasons.len(), 3, "{error}");
    assert_eq!(skus::list(&site.db).await.unwrap().len(), 2);
    options.skus = vec![sku(1, 100), sku(1, 100)];
    assert!(matches!(setup::run(&options, |_| {}).await, Err(SetupError::Duplicate(_))));
    options.skus = vec![sku(1, 0)];
    assert!(matches!(setup::run(&options, |_| {}).await, Err(SetupError::Sku { .. })));
}

#[tokio::test]
async fn stock_that_was_sold_from_is_never_reset() {
    let (site, options) = untouched(vec![sku(SKU.get(), 100)]).await;
    setup::run(&options, |_| {}).await.unwrap();
    // Twelve orders that the log knows of and MySQL does not yet; no worker is running.
    site.events(&(1..=12).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    let units: u32 = (1..=12).map(|id| id % 3 + 1).sum();
    // Redis loses everything it had of this sale.
    let gate = redis::Client::open(options.parts.redis.url.as_str()).unwrap();
    let mut connection = gate.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("*{}*", options.parts.redis.namespace);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    let _: () = redis::cmd("DEL").arg(&keys).query_async(&mut connection).await.unwrap();

    assert_eq!(actions(&options).await.last(), Some(&(Kind::Stock, Action::Create)));
    setup::run(&options, |_| {}).await.unwrap();
    let stock = stock(&options, SKU.get()).await.unwrap();
    assert_eq!(stock.epoch, "2");
    assert_eq!(stock.counters.available + stock.counters.held, 100);
    // The holds of the test are long over, so they are still held until somebody expires them through the log.
    assert_eq!(stock.counters.held, units);
}

/// As an older version has filled it, or as a slot that was moved brings it: nothing is decided there, and one look finds out.
#[tokio::test]
async fn stock_that_does_not_say_where_it_was_filled_is_filled_anew_once() {
    let (_site, options) = untouched(vec![sku(SKU.get(), 100)]).await;
    setup::run(&options, |_| {}).await.unwrap();
    let keys = SkuKeys::new(&options.parts.redis.namespace, SKU);
    let client = redis::Client::open(options.parts.redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let gone: i64 = redis::cmd("HDEL").arg(&keys.stock).arg("home").query_async(&mut connection).await.unwrap();
    assert_eq!(gone, 1);
    for _ in 0..2 {
        setup::run(&options, |_| {}).await.unwrap();
        let stock = stock(&options, SKU.get()).await.unwrap();
        assert_eq!((stock.epoch.as_str(), stock.at_home, stock.counters.available), ("2", true, 100));
    }
}
