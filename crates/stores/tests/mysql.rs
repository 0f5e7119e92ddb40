//! The MySQL side against a real server: offsets, batches, leases, epochs, definitions.

use flash_core::event::Order;
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId, RefundReason};
use flash_core::sale::Sku;
use flash_stack::{Fault, Proxy, Stack, StackOptions};
use flash_stores::mysql::author::Author;
use flash_stores::mysql::changes;
use flash_stores::mysql::daemons::{self, Announcement};
use flash_stores::mysql::nodes::{self, NodeError};
use flash_stores::mysql::orders::{LedgerRow, OrderRow};
use flash_stores::mysql::payments::PaymentFilter;
use flash_stores::mysql::projection::{Advance, PaymentRow, ProjectionTx, Rows, VoidedRow};
use flash_stores::mysql::{Db, MySqlError, MySqlSettings, epochs, migrate, offsets, orders, payments, skus};
use sqlx::Connection as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const TOPIC: &str = "t'1.order-events";

/// One stack for all tests here, on a runtime of its own; its servers end with the program.
fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let stack = Stack::start(StackOptions::default()).await.expect("a stack");
                assert!(send.send(stack).is_ok());
                std::future::pending::<()>().await;
            });
        });
        receive.recv().expect("the stack starts")
    })
}

/// An empty, migrated database.
async fn database() -> (Db, MySqlSettings) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let stack = tokio::task::spawn_blocking(stack).await.expect("a stack");
    let login = stack.mysql_login().clone();
    let settings = MySqlSettings {
        host: login.host,
        port: login.port,
        user: login.user,
        password: login.password,
        database: format!("stores`{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        connections_max: 8,
    };
    migrate::apply(&settings).await.expect("migrations");
    (Db::open(&settings), settings)
}

fn advance(partition: i32, from: u64, to: u64) -> Advance {
    Advance { partition, from, to, fence_epoch: Epoch(0), applied_ms: to }
}

fn row(id: u64, state: OrderState) -> OrderRow {
    let order = Order {
        order_id: OrderId::new(id),
        reservation_id: ReservationId::new(id + 1),
        user_id: UserId::new(9),
        sku_id: SkuId::new(1),
        quantity: 2,
        unit_price_minor: 100,
        seq: id,
        idempotency_key: "x'); DROP TABLE orders; --\\'\"".into(),
        reserved_at_ms: 5,
        expires_at_ms: 6,
    };
    OrderRow { order, state, epoch: Epoch(1), updated_at_ms: 5 }
}

fn ledger(id: u64, reason: OrderState, seq: u64, delta: i64) -> LedgerRow {
    let (order_id, sku_id, epoch) = (OrderId::new(id), SkuId::new(1), Epoch(1));
    LedgerRow { order_id, reason, sku_id, seq, delta, epoch, partition: 0, offset: 0, at_ms: 5 }
}

#[tokio::test]
async fn migrations_are_told_and_can_be_repeated() {
    let (db, settings) = database().await;
    let status = migrate::status(&settings).await.unwrap();
    assert!(status.database_exists && status.pending == 0 && status.unknown == 0 && status.applied > 0, "{status:?}");
    migrate::apply(&settings).await.unwrap();
    assert_eq!(migrate::status(&settings).await.unwrap(), status);
    let absent = MySqlSettings { database: "nothing here".into(), ..settings };
    assert!(!migrate::status(&absent).await.unwrap().database_exists);
    db.close().await;
}

#[tokio::test]
async fn offsets_move_by_compare_and_set_or_not_at_all() {
    let (db, _) = database().await;
    let opened = offsets::open(&db, TOPIC, &[0, 1]).await.unwrap();
    assert_eq!(opened, [offsets::PartitionPosition::start(0), offsets::PartitionPosition::start(1)]);
    let rows = Rows { orders: vec![row(10, OrderState::Reserved)], ..Rows::default() };
    let mut tx = ProjectionTx::begin(&db, TOPIC, &[advance(1, 0, 7), advance(0, 0, 3)]).await.unwrap();
    tx.write(TOPIC, &rows).await.unwrap();
    tx.commit().await.unwrap();
    // One right and one wrong: nothing of it happens.
    let moved = ProjectionTx::begin(&db, TOPIC, &[advance(0, 3, 4), advance(1, 6, 8)]).await;
    assert!(matches!(moved, Err(MySqlError::Moved)));
    // Nor does anything that was dropped before its commit.
    let mut tx = ProjectionTx::begin(&db, TOPIC, &[advance(0, 3, 4)]).await.unwrap();
    tx.write(TOPIC, &Rows { orders: vec![row(11, OrderState::Reserved)], ..Rows::default() }).await.unwrap();
    drop(tx);
    let next: Vec<u64> = offsets::list(&db, TOPIC).await.unwrap().iter().map(|row| row.next_offset).collect();
    assert_eq!(next, [3, 7]);
    assert!(orders::get(&db, OrderId::new(11)).await.unwrap().is_none());
    assert_eq!(offsets::applied_ms(&db, TOPIC, 2).await.unwrap(), Some(3));
    assert_eq!(offsets::applied_ms(&db, TOPIC, 3).await.unwrap(), None);
    // Of two that expect the same offset one gets it, whatever the order.
    let both = tokio::join!(step(&db), step(&db));
    assert!(matches!(both, (Ok(()), Err(MySqlError::Moved)) | (Err(MySqlError::Moved), Ok(()))), "{both:?}");
}

async fn step(db: &Db) -> Result<(), MySqlError> {
    ProjectionTx::begin(db, TOPIC, &[advance(0, 3, 4)]).await?.commit().await
}

#[tokio::test]
async fn a_batch_written_again_changes_nothing_and_final_states_stay() {
    let (db, _) = database().await;
    offsets::open(&db, TOPIC, &[0]).await.unwrap();
    let voided = VoidedRow {
        partition: 0,
        offset: 4,
        event_type: "RESERVED",
        epoch: Epoch(1),
        fence_epoch: Epoch(2),
        at_ms: 1,
        order: None,
    };
    let first = Rows {
        payments: Vec::new(),
        orders: vec![row(20, OrderState::Reserved), row(21, OrderState::Confirmed)],
        ledger: vec![ledger(20, OrderState::Reserved, 0, -2), ledger(21, OrderState::Reserved, 21, -2)],
        voided: vec![voided],
    };
    for _ in 0..2 {
        write(&db, &first).await;
        assert_eq!(orders::get(&db, OrderId::new(20)).await.unwrap(), Some(row(20, OrderState::Reserved)));
        assert_eq!(orders::occupied(&db, SkuId::new(1)).await.unwrap(), (2, 2));
    }
    // Out of RESERVED once; never out of a final state.
    let expired = OrderRow { updated_at_ms: 99, epoch: Epoch(3), ..row(20, OrderState::Expired) };
    let late = OrderRow { updated_at_ms: 99, epoch: Epoch(3), ..row(21, OrderState::Cancelled) };
    write(&db, &Rows { orders: vec![expired.clone(), late], ..Rows::default() }).await;
    write(&db, &first).await;
    assert_eq!(orders::get(&db, OrderId::new(20)).await.unwrap(), Some(expired));
    assert_eq!(orders::get(&db, OrderId::new(21)).await.unwrap(), Some(row(21, OrderState::Confirmed)));
}

async fn write(db: &Db, rows: &Rows) {
    let from = offsets::list(db, TOPIC).await.expect("offsets")[0].next_offset;
    let mut tx = ProjectionTx::begin(db, TOPIC, &[advance(0, from, from + 1)]).await.expect("our turn");
    tx.write(TOPIC, rows).await.expect("rows");
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn a_node_id_is_held_by_one_and_its_loss_is_told() {
    let (db, _) = database().await;
    let first = nodes::lease(&db, "first", Some(5)).await.unwrap();
    assert_eq!((first.node_id, first.start_after_ms), (5, 0));
    // The same holder asking again, as after a lost answer, gets the same id.
    assert_eq!(nodes::lease(&db, "first", Some(6)).await.unwrap(), first);
    let second = nodes::lease(&db, "second", Some(5)).await.unwrap();
    assert_ne!(second.node_id, 5);
    nodes::renew(&db, &first, 1_000).await.unwrap();
    nodes::release(&db, &first, 2_000).await.unwrap();
    assert!(matches!(nodes::renew(&db, &first, 3_000).await, Err(NodeError::Lost(5))));
    let third = nodes::lease(&db, "third", Some(5)).await.unwrap();
    assert_eq!((third.node_id, third.start_after_ms), (5, 2_000));
    assert!(matches!(nodes::release(&db, &first, 4_000).await, Err(NodeError::Lost(5))));
}

#[tokio::test]
async fn there_are_1024_node_ids_and_not_one_more() {
    let (db, _) = database().await;
    let mut taken = std::collections::BTreeSet::new();
    for round in 0..64 {
        let leases = (0..16).map(|n| {
            let db = db.clone();
            tokio::spawn(async move { nodes::lease(&db, &format!("holder-{round}-{n}"), None).await })
        });
        for lease in leases.collect::<Vec<_>>() {
            let lease = lease.await.unwrap().unwrap();
            assert!(taken.insert(lease.node_id), "node id {} was given out twice", lease.node_id);
        }
    }
    assert_eq!((taken.first(), taken.last(), taken.len()), (Some(&0), Some(&1023), 1024));
    assert!(matches!(nodes::lease(&db, "one too many", None).await, Err(NodeError::Exhausted)));
}

#[tokio::test]
async fn daemons_are_listed_until_they_leave_or_fall_silent() {
    let (db, settings) = database().await;
    let daemon = |instance: &str, node| Announcement {
        instance: instance.into(),
        role: "api".into(),
        node,
        admin_url: "http://127.0.0.1:1".into(),
        api_url: None,
        build: "1".into(),
    };
    for instance in ["a", "b", "silent", "long gone"] {
        daemons::announce(&db, &daemon(instance, None)).await.unwrap();
    }
    let first = daemons::list(&db).await.unwrap();
    assert_eq!(first.len(), 4);
    rewind(&settings, "silent", daemons::GONE_AFTER_MS + 1_000).await;
    rewind(&settings, "long gone", 25 * 60 * 60 * 1000).await;
    daemons::withdraw(&db, "b").await.unwrap();
    daemons::announce(&db, &daemon("a", Some(7))).await.unwrap();

    let listed = daemons::list(&db).await.unwrap();
    let [only] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&only.told, only.started_at_ms), (&daemon("a", Some(7)), first[0].started_at_ms));
    assert!(only.seen_ms_ago < daemons::GONE_AFTER_MS);
    rewind(&settings, "silent", 0).await;
    assert_eq!(daemons::list(&db).await.unwrap().len(), 2, "the silent one was kept, the long gone one forgotten");
}

/// As if a daemon had last been heard so long ago.
async fn rewind(settings: &MySqlSettings, instance: &str, ago_ms: u64) {
    let options = sqlx::mysql::MySqlConnectOptions::new()
        .host(&settings.host)
        .port(settings.port)
        .username(&settings.user)
        .password(&settings.password)
        .database(&settings.database);
    let mut connection = sqlx::mysql::MySqlConnection::connect_with(&options).await.expect("a connection");
    let sql = "UPDATE daemons SET seen_at_ms = UNIX_TIMESTAMP(NOW(3)) * 1000 - ? WHERE instance = ?";
    let done = sqlx::query(sql).bind(ago_ms).bind(instance).execute(&mut connection).await.expect("an update");
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test]
async fn epochs_only_grow_even_over_a_restored_database() {
    let (db, _) = database().await;
    assert_eq!(epochs::next_epoch(&db, Epoch(0)).await.unwrap(), Epoch(1));
    assert_eq!(epochs::next_epoch(&db, Epoch(0)).await.unwrap(), Epoch(2));
    assert_eq!(epochs::next_epoch(&db, Epoch(40)).await.unwrap(), Epoch(41));
    let (one, two) = tokio::join!(epochs::next_epoch(&db, Epoch(0)), epochs::next_epoch(&db, Epoch(0)));
    assert_ne!(one.unwrap(), two.unwrap());
}

#[tokio::test]
async fn definitions_change_but_never_their_capacity() {
    let (db, _) = database().await;
    let sku = Sku {
        sku_id: SkuId::new(1),
        name: "Träume 🎫".into(),
        price_minor: 4_900,
        currency: "EUR".into(),
        capacity: 100,
        per_user: 4,
        hold_ms: 1_000,
        opens_at_ms: None,
        closes_at_ms: Some(9),
        paused: false,
    };
    let author = Author::new("ann@desk", "setup").unwrap();
    skus::upsert(&db, std::slice::from_ref(&sku), &author).await.unwrap();
    let stored = skus::get(&db, sku.sku_id).await.unwrap().unwrap();
    assert_eq!((&stored.sku, stored.loaded_epoch, stored.version), (&sku, None, 1));
    let changed = Sku { capacity: 500, price_minor: 1, ..sku.clone() };
    skus::upsert(&db, std::slice::from_ref(&changed), &author).await.unwrap();
    skus::upsert(&db, &[changed], &author).await.unwrap();
    let told = changes::list(&db, Some(sku.sku_id), 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|row| (row.change.what.as_str(), row.who.as_str(), row.why.as_str())).collect();
    assert_eq!(told, [("price", "ann@desk", "setup"), ("created", "ann@desk", "setup")], "once, newest first");
    skus::mark_loaded(&db, &[sku.sku_id], Epoch(3)).await.unwrap();
    skus::mark_loaded(&db, &[sku.sku_id], Epoch(2)).await.unwrap();
    let stored = &skus::list(&db).await.unwrap()[0];
    assert_eq!((stored.sku.capacity, stored.sku.price_minor, stored.version), (100, 1, 2));
    assert_eq!(stored.loaded_epoch, Some(Epoch(3)));
}

fn paid(number: u64, refund: Option<RefundReason>) -> PaymentRow {
    let payment_id = PaymentId::parse(&format!("pay-{number:03}")).expect("an id");
    let paid_order = OrderId::new(number + 1);
    PaymentRow {
        payment: Payment { payment_id, amount_minor: 100 + number, paid_order },
        order_id: refund.is_none().then_some(paid_order),
        user_id: UserId::new(9),
        sku_id: SkuId::new(number % 2 + 1),
        refund,
        epoch: Epoch(1),
        // Several at the same time, so that a page may end among them.
        at_ms: number / 4,
    }
}

#[tokio::test]
async fn payments_come_newest_first_without_a_gap_between_pages() {
    let (db, _) = database().await;
    let reason = |number: u64| number.is_multiple_of(3).then_some(RefundReason::Expired);
    let all: Vec<PaymentRow> = (0..40).map(|number| paid(number, reason(number))).collect();
    offsets::open(&db, TOPIC, &[0]).await.unwrap();
    write(&db, &Rows { payments: all.clone(), ..Rows::default() }).await;
    let filters = [
        PaymentFilter::default(),
        PaymentFilter { refund_pending: true, ..PaymentFilter::default() },
        PaymentFilter { sku_id: Some(SkuId::new(2)), ..PaymentFilter::default() },
        PaymentFilter { refund_pending: true, sku_id: Some(SkuId::new(1)), order_id: None },
        PaymentFilter { order_id: Some(OrderId::new(8)), ..PaymentFilter::default() },
        PaymentFilter { order_id: Some(OrderId::new(404)), ..PaymentFilter::default() },
    ];
    for filter in filters {
        let wanted = |row: &&PaymentRow| {
            (!filter.refund_pending || row.refund.is_some())
                && filter.sku_id.is_none_or(|sku| sku == row.sku_id)
                && filter.order_id.is_none_or(|order| order == row.payment.paid_order || Some(order) == row.order_id)
        };
        let mut expected: Vec<PaymentRow> = all.iter().filter(wanted).cloned().collect();
        expected.reverse();
        let mut got: Vec<PaymentRow> = Vec::new();
        loop {
            let after = got.last().map(|row| (row.at_ms, &row.payment.payment_id));
            let page = payments::page(&db, &filter, after, 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            got.extend(page);
        }
        assert_eq!(got, expected, "{filter:?}");
        let totals = payments::totals(&db, &filter).await.unwrap();
        assert_eq!(totals.iter().map(|total| total.count).sum::<u64>(), expected.len() as u64, "{totals:?}");
        let sum: u64 = expected.iter().map(|row| row.payment.amount_minor).sum();
        assert_eq!(totals.iter().map(|total| total.amount_minor).sum::<u64>(), sum, "{totals:?}");
    }
    assert_eq!(payments::of_order(&db, OrderId::new(8)).await.unwrap(), [paid(7, None)]);
}

#[tokio::test]
async fn two_setups_at_once_create_each_sku_once() {
    let (db, _) = database().await;
    let sku = |id: u64| Sku {
        sku_id: SkuId::new(id),
        name: format!("Seat {id}"),
        price_minor: 100,
        currency: "EUR".into(),
        capacity: 5,
        per_user: 1,
        hold_ms: 1_000,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    };
    let (forwards, backwards): (Vec<Sku>, Vec<Sku>) =
        ((1..=450).map(sku).collect(), (1..=450).rev().map(sku).collect());
    let (ann, bob) = (Author::new("ann", "setup").unwrap(), Author::new("bob", "setup").unwrap());
    let (one, two) = tokio::join!(skus::upsert(&db, &forwards, &ann), skus::upsert(&db, &backwards, &bob));
    one.unwrap();
    two.unwrap();
    let rows = changes::list(&db, None, 10_000).await.unwrap();
    assert_eq!((rows.len(), skus::list(&db).await.unwrap().len()), (450, 450));
    assert!(rows.iter().all(|row| row.change.what == "created"));
}

/// A pool whose only connection is busy with a statement that will never be answered, the address that it was given, and the one
/// behind which nobody answers any more.
async fn stuck() -> (Db, Proxy, Proxy, String) {
    let (_, settings) = database().await;
    let server = format!("{}:{}", settings.host, settings.port);
    let old = Proxy::start(&server, 1).await.expect("a proxy");
    let name = Proxy::start(&old.address(), 1).await.expect("a proxy");
    let db = Db::open(&MySqlSettings { host: "127.0.0.1".into(), port: name.port(), connections_max: 1, ..settings });
    db.ping().await.expect("it answers");
    old.set(Fault::SwallowAfter { request: b"DO 1" }).await;
    let given_up = tokio::time::timeout(Duration::from_millis(500), db.ping()).await;
    assert!(given_up.is_err() && old.traffic().swallowed_bytes > 0, "{given_up:?}");
    // The pool begins to ask whether the connection can be used again.
    tokio::time::sleep(Duration::from_millis(100)).await;
    (db, name, old, server)
}

/// A server that has vanished from the network closes nothing; its successor is found all the same.
#[tokio::test]
async fn a_server_that_has_vanished_does_not_keep_the_pool() {
    let (db, name, _old, server) = stuck().await;
    name.set_target(&server);
    let since = Instant::now();
    while let Err(error) = db.ping().await {
        assert!(since.elapsed() < Duration::from_secs(60), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_has_vanished_does_not_keep_a_process_from_ending() {
    let (db, _name, _old, _) = stuck().await;
    let closed = tokio::time::timeout(Duration::from_secs(10), db.close()).await;
    assert!(closed.is_ok(), "it waits for an answer that does not come");
}
