//! Changing a sale while it runs, over a real stack: numbers, journal, two operators, crashes, rebuilds in the middle.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its surroundings may stop at once")]

mod support;

use flash_core::epoch::{EpochRecord, EpochState};
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState::Reserved;
use flash_core::sale::Sku;
use flash_core::stock::{Ask, Decision};
use flash_stores::kafka::append::append;
use flash_stores::kafka::epochs::epoch_record;
use flash_stores::mysql::author::Author;
use flash_stores::mysql::sku_lock::SkuLock;
use flash_stores::mysql::skus;
use flash_stores::redis::{Batch, Fence, Gate, GateSettings, SkuKeys, Snapshot};
use flashd::change::{ChangeError, Desk, Edit, Outcome, Reached, State};
use flashd::rebuild::{Progress, Rebuild, RebuildOptions, Step};
use flashd::setup::{self, SetupOptions};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{PATIENCE, SKU, Site, event, shared_stack};

fn sku(capacity: u32) -> Sku {
    Sku {
        sku_id: SKU,
        name: "Ticket".into(),
        price_minor: 4_900,
        currency: "EUR".into(),
        capacity,
        per_user: 10,
        hold_ms: 300_000,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    }
}

fn ann() -> Author {
    Author::new("ann@desk", "more seats").unwrap()
}

/// A sale of one SKU that is set up and open.
struct Sale {
    site: Site,
    setup: SetupOptions,
    desk: Desk,
    gate: Gate,
    keys: SkuKeys,
}

impl Sale {
    async fn of(capacity: u32) -> Self {
        let site = Site::new(2).await;
        let namespace = site.options.kafka.namespace.clone();
        let url = shared_stack().redis().url().to_owned();
        let redis = GateSettings { url, namespace: namespace.clone(), timeout: Duration::from_secs(2) };
        let (kafka, mysql) = (site.options.kafka.clone(), site.options.mysql.clone());
        let parts = RebuildOptions { kafka, mysql, redis, lease: Duration::from_secs(1) };
        let setup =
            SetupOptions { parts, partitions: None, replication: None, skus: vec![sku(capacity)], who: "tests".into() };
        setup::run(&setup, |_| {}).await.unwrap();
        let desk = Desk::new(&setup.parts).unwrap().with_patience(Duration::from_secs(10));
        let gate = Gate::new(&setup.parts.redis).unwrap();
        gate.wait_connected(PATIENCE).await.unwrap();
        Self { site, setup, desk, gate, keys: SkuKeys::new(&namespace, SKU) }
    }

    async fn fence(&self) -> Fence {
        let epoch = self.stock().await.epoch.parse().unwrap();
        Fence { epoch: Epoch(epoch), replids: self.gate.primaries().await.unwrap().values().collect() }
    }

    async fn stock(&self) -> Snapshot {
        self.gate.snapshot(&self.keys).await.unwrap().expect("stock")
    }

    async fn in_mysql(&self) -> Sku {
        skus::get(&self.site.db, SKU).await.unwrap().expect("a row").sku
    }

    /// Capacity in MySQL, capacity and available in Redis.
    async fn numbers(&self) -> (u32, u32, u32) {
        let stock = self.stock().await;
        (self.in_mysql().await.capacity, stock.capacity, stock.counters.available)
    }

    /// A new buyer wants units.
    async fn buy(&self, quantity: u32) -> Decision {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let ask = Ask {
            user_id: UserId::new(id),
            quantity,
            order_id: OrderId::new(1_000_000 + id),
            reservation_id: ReservationId::new(2_000_000 + id),
            idempotency_key: format!("key-{id}"),
            replay_only: false,
        };
        let fence = self.fence().await;
        let batch = Batch { keys: &self.keys, fence: &fence, unit_price_minor: 4_900, asks: &[ask] };
        self.gate.reserve(&batch).await.unwrap().decisions.remove(0)
    }

    /// The journal, oldest first: what, old, new.
    async fn journal(&self) -> Vec<(String, String, String)> {
        let mut rows = self.desk.journal(Some(SKU), 1_000).await.unwrap();
        rows.reverse();
        let text = |value: Option<String>| value.unwrap_or_default();
        rows.into_iter().map(|row| (row.change.what, text(row.change.old_value), text(row.change.new_value))).collect()
    }
}

fn capacity_row(old: u32, new: u32) -> (String, String, String) {
    ("capacity".to_owned(), old.to_string(), new.to_string())
}

fn told(outcome: &Outcome) -> Vec<&str> {
    outcome.changes.iter().map(|change| change.what.as_str()).collect()
}

#[tokio::test]
async fn a_capacity_is_raised_and_lowered_under_holds() {
    let sale = Sale::of(100).await;
    assert!(matches!(sale.buy(10).await, Decision::Won(_)));
    assert!(matches!(sale.buy(2).await, Decision::Won(_)));
    let raised = sale.desk.set_capacity(SKU, 150, &ann()).await.unwrap();
    assert_eq!((raised.reached, raised.counters.unwrap().available), (Reached::Now, 138));
    assert_eq!(sale.numbers().await, (150, 150, 138));
    sale.desk.set_capacity(SKU, 20, &ann()).await.unwrap();
    assert_eq!(sale.numbers().await, (20, 20, 8));
    let again = sale.desk.set_capacity(SKU, 20, &ann()).await.unwrap();
    assert!(again.changes.is_empty());
    assert_eq!(sale.journal().await[1..], [capacity_row(100, 150), capacity_row(150, 20)]);
    let row = &sale.desk.journal(None, 1).await.unwrap()[0];
    assert_eq!((row.who.as_str(), row.why.as_str(), row.sku_id), ("ann@desk", "more seats", SKU));
    assert!(row.at_ms > 1_700_000_000_000);
}

#[tokio::test]
async fn a_capacity_below_what_is_taken_is_refused_with_the_numbers() {
    let sale = Sale::of(100).await;
    assert!(matches!(sale.buy(7).await, Decision::Won(_)));
    let error = sale.desk.set_capacity(SKU, 6, &ann()).await.unwrap_err();
    assert!(matches!(error, ChangeError::Below { wanted: 6, capacity: 100, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("7 held + 0 sold + 0 closing = 7 units are taken; its capacity stays 100"), "{text}");
    for out_of_bounds in [0, 10_000_001] {
        let error = sale.desk.set_capacity(SKU, out_of_bounds, &ann()).await.unwrap_err();
        assert!(matches!(error, ChangeError::Bounds { .. }), "{error}");
    }
    assert!(matches!(sale.desk.set_capacity(SkuId::new(99), 5, &ann()).await, Err(ChangeError::Missing(_))));
    assert_eq!(sale.numbers().await, (100, 100, 93));
    assert_eq!(sale.journal().await.len(), 1, "only the creation");
    sale.desk.set_capacity(SKU, 7, &ann()).await.unwrap();
    assert_eq!(sale.numbers().await, (7, 7, 0));
}

#[tokio::test]
async fn every_change_leaves_its_row_and_a_change_to_the_same_leaves_none() {
    let sale = Sale::of(100).await;
    let far = Some(Some(4_000_000_000_000));
    let edits = [
        (Edit::Price(5_900), "price"),
        (Edit::PerUser(2), "per_user"),
        (Edit::HoldMs(60_000), "hold"),
        (Edit::Window { opens_at_ms: far, closes_at_ms: None }, "window"),
        (Edit::Open, "window"),
        (Edit::Pause, "paused"),
        (Edit::Resume, "paused"),
        (Edit::Close, "window"),
    ];
    for (number, (edit, what)) in edits.into_iter().enumerate() {
        let before = skus::get(&sale.site.db, SKU).await.unwrap().unwrap().version;
        assert_eq!(told(&sale.desk.edit(SKU, edit, &ann()).await.unwrap()), [what], "{edit:?}");
        assert_eq!(told(&sale.desk.edit(SKU, edit, &ann()).await.unwrap()), [""; 0], "{edit:?} again");
        let row = sale.journal().await.pop().unwrap();
        assert_eq!((sale.journal().await.len(), row.0.as_str()), (number + 2, what));
        assert_eq!(skus::get(&sale.site.db, SKU).await.unwrap().unwrap().version, before + 1, "{edit:?}");
    }
    let view = sale.desk.show(SKU).await.unwrap();
    assert_eq!((view.state(), view.stored.sku.price_minor, view.stored.sku.hold_ms), (State::Closed, 5_900, 60_000));
    assert_eq!(sale.buy(1).await, Decision::Closed);
    let error = sale.desk.edit(SKU, Edit::PerUser(0), &ann()).await.unwrap_err();
    assert!(matches!(error, ChangeError::Bounds { .. }), "{error}");
}

#[tokio::test]
async fn the_gate_sees_a_pause_and_its_end() {
    let sale = Sale::of(100).await;
    sale.desk.edit(SKU, Edit::Pause, &ann()).await.unwrap();
    assert_eq!(sale.buy(1).await, Decision::Paused);
    // A setup knows nothing of the pause, and leaves it.
    let mut again = sale.setup.clone();
    again.skus[0].per_user = 3;
    setup::run(&again, |_| {}).await.unwrap();
    assert_eq!(sale.buy(1).await, Decision::Paused);
    sale.desk.edit(SKU, Edit::Resume, &ann()).await.unwrap();
    assert_eq!(sale.buy(4).await, Decision::LimitReached, "the cap of the setup has arrived");
    assert!(matches!(sale.buy(3).await, Decision::Won(_)));
}

#[tokio::test]
async fn setup_writes_the_journal_too() {
    let sale = Sale::of(100).await;
    let mut again = sale.setup.clone();
    again.who = "bob@desk".into();
    again.skus[0] = Sku { price_minor: 5_000, closes_at_ms: Some(4_000_000_000_000), ..sku(100) };
    again.skus.push(Sku { sku_id: SkuId::new(8), ..sku(5) });
    setup::run(&again, |_| {}).await.unwrap();
    setup::run(&again, |_| {}).await.unwrap();
    let rows = sale.desk.journal(None, 100).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.sku_id.get(), row.change.what.as_str(), row.who.as_str())).collect();
    let news = [(8, "created", "bob@desk"), (7, "window", "bob@desk"), (7, "price", "bob@desk")];
    let mut sorted = told[..3].to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((sorted, told[3], told.len()), (news.to_vec(), (7, "created", "tests"), 4));
    assert!(rows.iter().all(|row| row.why == "setup"));
    again.who = " ".into();
    assert!(setup::run(&again, |_| {}).await.is_err(), "somebody must have done it");
}

#[tokio::test]
async fn two_operators_end_with_both_stores_agreeing() {
    let sale = Sale::of(500).await;
    let (one, two) = (Desk::new(&sale.setup.parts).unwrap(), Desk::new(&sale.setup.parts).unwrap());
    let (author_one, author_two) = (ann(), Author::new("bob@desk", "fewer").unwrap());
    for round in 1..=10 {
        let (first, second, third) = tokio::join!(
            one.set_capacity(SKU, 500 + round * 10, &author_one),
            two.set_capacity(SKU, 500 - round * 10, &author_two),
            two.edit(SKU, Edit::PerUser(round), &author_two),
        );
        for outcome in [first, second, third] {
            assert_eq!(outcome.unwrap().sku.sku_id, SKU);
        }
        let (mysql, redis, available) = sale.numbers().await;
        assert_eq!((mysql, mysql), (redis, available), "round {round}");
    }
    let journal = sale.journal().await;
    let capacities: Vec<_> = journal.iter().filter(|(what, ..)| what == "capacity").collect();
    assert_eq!(capacities.len(), 20);
    assert!(capacities.windows(2).all(|pair| pair[0].2 == pair[1].1), "each change begins where the last one ended");
}

#[tokio::test]
async fn a_crash_between_the_stores_is_completed_by_the_same_change() {
    let sale = Sale::of(100).await;
    // The first half of a lowering.
    sale.gate.set_capacity(&sale.keys, &sale.fence().await, 80).await.unwrap();
    assert_eq!(sale.numbers().await, (100, 80, 80));
    sale.desk.set_capacity(SKU, 80, &ann()).await.unwrap();
    assert_eq!(sale.numbers().await, (80, 80, 80));
    // The first half of a raise.
    let mut lock = SkuLock::take(&sale.site.db, SKU, PATIENCE).await.unwrap().expect("the lock");
    lock.change(&ann(), |sku| Ok(Sku { capacity: 200, ..sku.clone() })).await.unwrap();
    drop(lock);
    assert_eq!(sale.numbers().await, (200, 80, 80));
    let completed = sale.desk.set_capacity(SKU, 200, &ann()).await.unwrap();
    assert!(completed.changes.is_empty());
    assert_eq!(sale.numbers().await, (200, 200, 200));
    assert_eq!(sale.journal().await[1..], [capacity_row(100, 80), capacity_row(80, 200)]);
}

#[tokio::test]
async fn without_an_open_epoch_a_raise_waits_in_mysql_and_a_lowering_is_refused() {
    let sale = Sale::of(100).await;
    let kafka = sale.setup.parts.kafka.clone();
    let record = EpochRecord { epoch: Epoch(9), state: EpochState::Rebuilding, replids: BTreeMap::new(), at_ms: 1 };
    let record = [epoch_record(&record).unwrap()];
    let write = move || append(&kafka, &kafka.topic_epochs(), &record, PATIENCE);
    tokio::task::spawn_blocking(write).await.unwrap().unwrap();
    let desk = sale.desk.clone().with_patience(Duration::ZERO);
    let error = desk.set_capacity(SKU, 50, &ann()).await.unwrap_err();
    assert!(matches!(error, ChangeError::NotDeciding { .. }), "{error}");
    let raised = desk.set_capacity(SKU, 120, &ann()).await.unwrap();
    assert_eq!(raised.reached, Reached::Later("Redis is being filled under epoch 9".into()));
    let paused = desk.edit(SKU, Edit::Pause, &ann()).await.unwrap();
    assert!(matches!(paused.reached, Reached::Later(_)));
    assert_eq!(sale.numbers().await, (120, 100, 100));
    Rebuild::connect(sale.setup.parts.clone()).await.unwrap().run(|_| {}).await.unwrap();
    assert_eq!(sale.numbers().await, (120, 120, 120));
    assert_eq!(sale.buy(1).await, Decision::Paused);
}

/// Lowers the capacity to 20 while a rebuild goes on that has read the old one: Redis is told, then MySQL is held up until
/// the rebuild is past its reading.
async fn lowered_during_a_rebuild(sale: &Sale) -> Result<Outcome, ChangeError> {
    let mut held_up = sale.site.sql.begin().await.unwrap();
    sqlx::query("SELECT sku_id FROM skus WHERE sku_id = 7 FOR UPDATE").execute(&mut *held_up).await.unwrap();
    let desk = sale.desk.clone();
    let lowering = tokio::spawn(async move { desk.set_capacity(SKU, 20, &ann()).await });
    while sale.stock().await.capacity != 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (past, mut is_past) = tokio::sync::mpsc::unbounded_channel();
    let parts = sale.setup.parts.clone();
    let rebuilding = tokio::spawn(async move {
        let told = |step| {
            if step == Progress::At(Step::Projecting) {
                past.send(()).unwrap();
            }
        };
        Rebuild::connect(parts).await.unwrap().run(told).await.unwrap()
    });
    is_past.recv().await.expect("the rebuild has read the old capacity");
    held_up.rollback().await.unwrap();
    let result = lowering.await.unwrap();
    assert_eq!(rebuilding.await.unwrap(), Epoch(2));
    result
}

#[tokio::test]
async fn a_rebuild_in_the_middle_of_a_lowering_does_not_undo_it() {
    let sale = Sale::of(100).await;
    let lowered = lowered_during_a_rebuild(&sale).await.unwrap();
    assert_eq!((lowered.reached, lowered.counters.unwrap().available), (Reached::Now, 20));
    assert_eq!((sale.numbers().await, sale.stock().await.epoch.as_str()), ((20, 20, 20), "2"));
}

#[tokio::test]
async fn a_lowering_that_a_rebuild_proves_wrong_is_put_back() {
    let sale = Sale::of(100).await;
    // Orders that the log knows of and Redis, being another one by now, does not: 24 units.
    sale.site.events(&(1..=12).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    let error = lowered_during_a_rebuild(&sale).await.unwrap_err();
    assert!(matches!(error, ChangeError::PutBack { wanted: 20, capacity: 100, .. }), "{error}");
    assert!(error.to_string().contains("24 units are taken by now; MySQL was put back"), "{error}");
    assert_eq!(sale.numbers().await, (100, 100, 76));
    assert_eq!(sale.journal().await[1..], [capacity_row(100, 20), capacity_row(20, 100)]);
    let row = &sale.desk.journal(Some(SKU), 1).await.unwrap()[0];
    assert!(row.why.starts_with("put back, 20 is below the 24 units"), "{}", row.why);
}
