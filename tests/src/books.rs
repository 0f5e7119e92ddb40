//! Whether everything adds up: what buyers were told, what the log led to in MySQL, and what Redis counts.
//!
//! Checked at the end of every test, whatever the test was about:
//! * P1: told, MySQL and Redis each give away at most the capacity; available + held + sold + closing = capacity;
//! * P2: every 200 is exactly one order in MySQL, as it was told;
//! * P3: nothing is left on its way back, and each order has ended at most once;
//! * whoever was told that an order is paid, cancelled or to be refunded was told the truth, and no money is missing;
//! * P4: one user and key is one reservation; P5: nobody has more than the cap;
//! * Redis and MySQL agree order by order, the ledger with both, and its sequence numbers have no gap.

use crate::buyer::Told;
use crate::cashier::{Settled, SettledTold};
use crate::daemon::Daemon;
use crate::site::{PARTITIONS, Site};
use crate::{PATIENCE, eventually};
use flash_core::ids::OrderId;
use flash_core::order::OrderState;
use flash_core::sale::Sku;
use flash_stores::kafka::consumer::LogConsumer;
use flash_stores::mysql::orders::{self, OrderRow};
use flash_stores::mysql::skus;
use flashd::projector::wait_for_offsets;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

/// Everything buyers were told with a 200.
#[derive(Debug, Default)]
pub struct Book {
    told: Mutex<Vec<Told>>,
    settled: Mutex<Vec<SettledTold>>,
}

impl Book {
    pub(crate) fn write(&self, told: Told) {
        self.told.lock().unwrap().push(told);
    }

    pub(crate) fn settled(&self, told: SettledTold) {
        self.settled.lock().unwrap().push(told);
    }

    fn read(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

/// A hold that may end while the books are read.
const SHORT_HOLD_MS: u64 = 30_000;

/// What a test has left behind on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exceptions {
    /// Holds whose event may never have reached the log, because a daemon was killed in between and nobody asked again.
    pub orphans_max: usize,
    /// Records that were parked as dead letters.
    pub dead_letters: u64,
    /// Redis was filled anew: sequence numbers of forgotten decisions may be missing or void.
    pub rebuilt: bool,
}

/// One row of the ledger.
#[derive(Debug, sqlx::FromRow)]
struct Ledger {
    order_id: u64,
    reason: String,
    seq: u64,
    delta: i32,
}

pub(crate) async fn check(site: &Site, daemons: &[&Daemon], exceptions: Exceptions) {
    // The books are read one after the other, so nothing may end meanwhile: short holds are waited for, long ones stay.
    for sku in &on_sale(site).await {
        eventually("everything to be back", || async {
            let stock = site.stock(sku.sku_id.get()).await;
            let next_ms = stock.first_expiry_ms.map(|ends_ms| ends_ms.saturating_sub(stock.now_ms));
            stock.counters.closing == 0 && next_ms.is_none_or(|ms| ms > SHORT_HOLD_MS)
        })
        .await;
    }
    projected(site, daemons).await;
    let settled = site.book.settled.lock().unwrap().clone();
    check_settled(site, &settled).await;
    let told = one_answer_per_key(&site.book.read());
    for sku in &on_sale(site).await {
        let told: Vec<&Told> = told.values().filter(|told| told.purchase.sku_id == sku.sku_id.get()).collect();
        let orders = orders_of(site, sku).await;
        check_told(sku, &told, &orders);
        check_orders(sku, &orders);
        let orphans = check_redis(site, sku, &orders, exceptions).await;
        check_ledger(site, sku, &orders, orphans, exceptions).await;
    }
    let letters = ends(site, site.kafka.topic_dead_letter(), 1).await;
    assert_eq!(letters[0].1, exceptions.dead_letters, "dead letters");
}

/// Waits until nothing is on its way any more and MySQL stands at the end of the log.
async fn projected(site: &Site, daemons: &[&Daemon]) {
    for daemon in daemons.iter().filter(|daemon| daemon.runs()) {
        eventually("the producers to be answered", || async {
            let stats = daemon.stats().await;
            stats.api.is_none_or(|api| api.in_flight == 0 && api.unacknowledged == 0)
        })
        .await;
    }
    let topic = site.kafka.topic_events();
    let ends = ends(site, topic.clone(), PARTITIONS).await;
    wait_for_offsets(&site.db, &topic, &ends, PATIENCE).await.unwrap();
}

/// The definitions as MySQL has them now: a test may have changed them.
async fn on_sale(site: &Site) -> Vec<Sku> {
    skus::list(&site.db).await.unwrap().into_iter().map(|stored| stored.sku).collect()
}

async fn ends(site: &Site, topic: String, partitions: i32) -> Vec<(i32, u64)> {
    let kafka = site.kafka.clone();
    let all: Vec<i32> = (0..partitions).collect();
    let ask = move || LogConsumer::standalone_on(&kafka, &topic)?.ends(&all, PATIENCE);
    tokio::task::spawn_blocking(ask).await.unwrap().unwrap()
}

/// Every order id that was told, with what was told about it; the same answer may have been told again and again.
fn one_answer_per_key(told: &[Told]) -> BTreeMap<u64, Told> {
    let mut by_key: HashMap<(u64, &str), &Told> = HashMap::new();
    let mut by_order = BTreeMap::new();
    for one in told {
        let asked = (one.purchase.user_id, one.purchase.key.as_str());
        let first = by_key.entry(asked).or_insert(one);
        let same = |a: &Told, b: &Told| {
            a.purchase == b.purchase
                && (a.order_id, a.reservation_id, a.expires_at_ms) == (b.order_id, b.reservation_id, b.expires_at_ms)
        };
        assert!(same(first, one), "one key, two answers: {first:?} and {one:?}");
        let known = by_order.entry(one.order_id).or_insert_with(|| one.clone());
        assert!(same(known, one), "one order for two purchases: {known:?} and {one:?}");
    }
    by_order
}

async fn orders_of(site: &Site, sku: &Sku) -> BTreeMap<u64, OrderRow> {
    let mut all = BTreeMap::new();
    for state in [OrderState::Reserved, OrderState::Confirmed, OrderState::Cancelled, OrderState::Expired] {
        let page = orders::page_of_sku(&site.db, sku.sku_id, state, OrderId::new(0), u32::MAX).await.unwrap();
        all.extend(page.into_iter().map(|row| (row.order.order_id.get(), row)));
    }
    all
}

/// One row of `payments`.
#[derive(Debug, sqlx::FromRow)]
struct Payment {
    payment_id: String,
    paid_order_id: u64,
    order_id: Option<u64>,
    amount_minor: u64,
    status: String,
    reason: String,
}

/// Whatever was told about settling is true, every paid order has its one payment, and every payment its one fate.
async fn check_settled(site: &Site, told: &[SettledTold]) {
    let sql = "SELECT payment_id, paid_order_id, order_id, amount_minor, status, reason FROM payments";
    let payments: Vec<Payment> = sqlx::query_as(sql).fetch_all(&site.sql).await.unwrap();
    let by_id: HashMap<&str, &Payment> = payments.iter().map(|row| (row.payment_id.as_str(), row)).collect();
    let captured: HashMap<u64, &Payment> = payments
        .iter()
        .filter_map(|row| Some((row.order_id?, row)))
        .inspect(|(_, row)| assert_eq!(row.status, "CAPTURED"))
        .collect();
    assert_eq!(captured.len(), payments.iter().filter(|row| row.status == "CAPTURED").count(), "one payment per order");
    let sql = "SELECT order_id, state, quantity * unit_price_minor FROM orders";
    let orders: Vec<(u64, String, u64)> = sqlx::query_as(sql).fetch_all(&site.sql).await.unwrap();
    for (order_id, state, price) in &orders {
        let paid = captured.get(order_id).map(|row| row.amount_minor);
        assert_eq!(paid, (state == "CONFIRMED").then_some(*price), "what was paid for order {order_id}, {state}");
    }
    let states: HashMap<u64, &str> = orders.iter().map(|(order_id, state, _)| (*order_id, state.as_str())).collect();
    for one in told {
        let payment = one.payment_id.as_deref().and_then(|id| by_id.get(id).copied());
        match &one.settled {
            Settled::Confirmed { order_id, .. } => {
                assert_eq!(states.get(order_id), Some(&"CONFIRMED"), "{one:?}");
                let row = payment.unwrap_or_else(|| panic!("a lost payment: {one:?}"));
                assert_eq!((row.order_id, row.paid_order_id), (Some(*order_id), one.order_id), "{one:?}");
            }
            Settled::Cancelled { .. } => assert_eq!(states.get(&one.order_id), Some(&"CANCELLED"), "{one:?}"),
            Settled::Refund(reason) => {
                let row = payment.unwrap_or_else(|| panic!("a lost payment: {one:?}"));
                assert_eq!((row.status.as_str(), &row.reason), ("REFUND_PENDING", reason), "{one:?}");
            }
            Settled::Refused(..) | Settled::Lost => {}
        }
    }
}

/// No win is lost, and none is told that does not exist.
fn check_told(sku: &Sku, told: &[&Told], orders: &BTreeMap<u64, OrderRow>) {
    let occupies = |told: &Told| orders.get(&told.order_id).is_none_or(|row| row.state.occupies_stock());
    let units: u32 = told.iter().filter(|told| occupies(told)).map(|told| told.purchase.quantity).sum();
    assert!(units <= sku.capacity, "SKU {}: {units} units of {} were told to buyers", sku.sku_id, sku.capacity);
    for told in told {
        let row = orders.get(&told.order_id).unwrap_or_else(|| panic!("a lost win: {told:?}"));
        let order = &row.order;
        let stored = (order.reservation_id.get(), order.user_id.get(), order.quantity, order.expires_at_ms);
        let purchase = &told.purchase;
        assert_eq!(stored, (told.reservation_id, purchase.user_id, purchase.quantity, told.expires_at_ms), "{told:?}");
        assert_eq!((&order.idempotency_key, order.unit_price_minor), (&purchase.key, sku.price_minor), "{told:?}");
    }
}

fn check_orders(sku: &Sku, orders: &BTreeMap<u64, OrderRow>) {
    let occupied = orders.values().filter(|row| row.state.occupies_stock());
    let mut units_of: HashMap<u64, u32> = HashMap::new();
    for row in occupied {
        *units_of.entry(row.order.user_id.get()).or_default() += row.order.quantity;
    }
    let units: u32 = units_of.values().sum();
    assert!(units <= sku.capacity, "SKU {}: {units} units of {} are in MySQL", sku.sku_id, sku.capacity);
    let most = units_of.iter().max_by_key(|(_, units)| **units);
    assert!(most.is_none_or(|(_, units)| *units <= sku.per_user), "over the cap of {}: {most:?}", sku.per_user);
    let keys: BTreeSet<_> = orders.values().map(|row| (row.order.user_id, &row.order.idempotency_key)).collect();
    assert_eq!(keys.len(), orders.len(), "SKU {}: two orders of one user have the same key", sku.sku_id);
}

/// Redis' counters add up, and its holds are MySQL's reserved orders. Gives back the number of holds without an order.
async fn check_redis(site: &Site, sku: &Sku, orders: &BTreeMap<u64, OrderRow>, exceptions: Exceptions) -> u64 {
    let id = sku.sku_id.get();
    let counters = site.stock(id).await.counters;
    let all = counters.available + counters.held + counters.sold + counters.closing;
    assert_eq!(all, sku.capacity, "SKU {id}: {counters:?}");
    let details: HashMap<u64, String> = site.redis(&["HGETALL", &site.keys(id).hold]).await;
    let quantity = |details: &String| details.split(':').nth(2).unwrap().parse::<u32>().unwrap();
    assert_eq!(details.values().map(quantity).sum::<u32>(), counters.held, "SKU {id}: holds and {counters:?}");
    for (order_id, row) in orders.iter().filter(|(_, row)| row.state == OrderState::Reserved) {
        let order = &row.order;
        let expected = format!(
            "{}:{}:{}:{}:{}:{}:{}:{}",
            order.reservation_id,
            order.user_id,
            order.quantity,
            order.unit_price_minor,
            order.seq,
            order.reserved_at_ms,
            order.expires_at_ms,
            order.idempotency_key
        );
        assert_eq!(details.get(order_id), Some(&expected), "order {order_id} of SKU {id} in Redis");
    }
    let sold = orders.values().filter(|row| row.state == OrderState::Confirmed).map(|row| row.order.quantity);
    assert_eq!(sold.sum::<u32>(), counters.sold, "SKU {id}: sold");
    let orphans: Vec<_> = details.iter().filter(|(order, _)| !orders.contains_key(order)).collect();
    assert!(orphans.len() <= exceptions.orphans_max, "SKU {id}: holds without an order: {orphans:?}");
    orphans.len() as u64
}

/// One reservation per order, sums that agree with the orders, and a sequence without gaps.
async fn check_ledger(site: &Site, sku: &Sku, orders: &BTreeMap<u64, OrderRow>, orphans: u64, exceptions: Exceptions) {
    let sql = "SELECT order_id, reason, seq, delta FROM inventory_audit WHERE sku_id = ?";
    let ledger: Vec<Ledger> = sqlx::query_as(sql).bind(sku.sku_id.get()).fetch_all(&site.sql).await.unwrap();
    let occupied = orders.values().filter(|row| row.state.occupies_stock());
    let occupied: i64 = occupied.map(|row| i64::from(row.order.quantity)).sum();
    let delta: i64 = ledger.iter().map(|row| i64::from(row.delta)).sum();
    assert_eq!(delta, -occupied, "SKU {}: the ledger and the orders disagree", sku.sku_id);
    let reserved: BTreeSet<u64> =
        ledger.iter().filter(|row| row.reason == "RESERVED").map(|row| row.order_id).collect();
    assert!(reserved.iter().eq(orders.keys()), "SKU {}: an order without its reservation, or the reverse", sku.sku_id);
    let mut ends: HashMap<u64, Vec<&str>> = HashMap::new();
    for line in ledger.iter().filter(|line| line.reason != "RESERVED") {
        ends.entry(line.order_id).or_default().push(&line.reason);
    }
    for (order_id, row) in orders {
        let end = ends.remove(order_id).unwrap_or_default();
        let expected: &[&str] = if row.state == OrderState::Reserved { &[] } else { &[row.state.as_str()] };
        assert_eq!(end, expected, "order {order_id} of SKU {} has ended exactly once", sku.sku_id);
    }
    let steps: BTreeSet<u64> = ledger.iter().map(|row| row.seq).collect();
    assert_eq!(steps.len(), ledger.len(), "SKU {}: one sequence number, two stock changes", sku.sku_id);
    if !exceptions.rebuilt {
        let counters = site.stock(sku.sku_id.get()).await.counters;
        assert_eq!(steps.len() as u64 + orphans, counters.seq, "SKU {}: a gap in the sequence", sku.sku_id);
    }
}
