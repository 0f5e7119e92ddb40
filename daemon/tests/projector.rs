//! The projector against a real broker and a real MariaDB: what it writes, what it voids, what it parks.

mod support;

use flash_core::event::{Body, Event, Order};
use flash_core::ids::{Epoch, OrderId};
use flash_core::order::OrderState::{Cancelled, Confirmed, Expired, Reserved};
use flash_core::payment::RefundReason;
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::consumer::{LogConsumer, Polled};
use flash_stores::kafka::dead_letter::DeadLetter;
use flash_stores::mysql::{offsets, orders};
use flashd::projector::{CatchUpError, catch_up, wait_for_fence, wait_for_offsets};
use std::time::{Duration, Instant};
use support::{PATIENCE, SKU, Site, event, fence, payment};

#[tokio::test]
async fn orders_go_through_their_life_and_the_ledger_follows() {
    let site = Site::new(3).await;
    let worker = site.start();
    let reserved: Vec<_> = (1..=100).map(|id| event(id, 1, Reserved)).collect();
    site.events(&reserved).await;
    site.until("SELECT COUNT(*) FROM orders WHERE state = 'RESERVED'", 100).await;
    let ends: Vec<_> =
        (1..=100).map(|id| event(id, 1, [Confirmed, Cancelled, Expired][usize::try_from(id % 3).unwrap()])).collect();
    site.events(&ends).await;
    site.until("SELECT COUNT(*) FROM orders WHERE state <> 'RESERVED'", 100).await;
    site.assert_balanced().await;

    // id % 3 == 0 confirmed one unit each, everything else was given back.
    assert_eq!(orders::occupied(&site.db, SKU).await.unwrap(), (0, 33));
    let row = orders::get(&site.db, OrderId::new(4)).await.unwrap().unwrap();
    let Body::Order { order, seq, .. } = event(4, 1, Cancelled).body else { panic!() };
    let order = Order { seq, ..order };
    assert_eq!((row.order, row.state, row.epoch), (order, Cancelled, Epoch(1)));
    worker.stop().await;
}

#[tokio::test]
async fn each_order_resolves_at_most_once_in_one_batch_or_in_many() {
    let site = Site::new(1).await;
    // Everything in one batch, applied by a projector that starts afterwards …
    let all = [
        event(1, 1, Reserved),
        event(1, 1, Reserved),
        event(1, 1, Confirmed),
        event(1, 1, Expired),
        event(2, 1, Reserved),
        event(2, 1, Expired),
        event(2, 1, Confirmed),
        event(2, 1, Reserved),
    ];
    site.events(&all).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    let rows = "SELECT COUNT(*) FROM inventory_audit";
    assert_eq!(site.number(rows).await, 4);
    // … and the same again, one by one: nothing may change.
    for event in &all {
        site.events(std::slice::from_ref(event)).await;
        catch_up(&site.options, PATIENCE).await.unwrap();
    }
    assert_eq!(site.number(rows).await, 4);
    assert_eq!(orders::get(&site.db, OrderId::new(1)).await.unwrap().unwrap().state, Confirmed);
    assert_eq!(orders::get(&site.db, OrderId::new(2)).await.unwrap().unwrap().state, Expired);
    site.assert_balanced().await;
}

#[tokio::test]
async fn an_end_without_a_beginning_still_balances() {
    let site = Site::new(1).await;
    site.events(&[event(5, 1, Expired), event(6, 1, Confirmed)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    site.assert_balanced().await;
    // Each event carries the reservation whole, so the ledger is complete without its own event …
    let seqs = "SELECT CAST(SUM(seq) AS SIGNED) FROM inventory_audit";
    assert_eq!(site.number(seqs).await, 10 + 11 + 12 + 13);
    assert_eq!(site.number("SELECT COUNT(*) FROM payments WHERE order_id = 6 AND status = 'CAPTURED'").await, 1);
    // … and when it does come, late, it changes nothing.
    site.events(&[event(5, 1, Reserved), event(6, 1, Reserved)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    assert_eq!(site.number(seqs).await, 10 + 11 + 12 + 13);
    assert_eq!(orders::get(&site.db, OrderId::new(5)).await.unwrap().unwrap().state, Expired);
    site.assert_balanced().await;
}

/// Money is never lost: what bought nothing is to be given back, whichever way the log says so; the first word counts.
#[tokio::test]
async fn payments_that_bought_nothing_are_to_be_given_back() {
    let site = Site::new(1).await;
    let Body::Order { order, .. } = event(9, 1, Reserved).body else { panic!() };
    let refund = |id| Body::Refund { order: order.clone(), payment: payment(id), reason: RefundReason::AlreadyPaid };
    let refund = |id, epoch| Event { epoch: Epoch(epoch), at_ms: 7, body: refund(id) };
    site.events(&[
        event(8, 1, Expired),
        event(8, 1, Confirmed),
        event(9, 1, Confirmed),
        refund(9, 1),
        refund(10, 1),
        refund(10, 1),
        fence(2),
        refund(11, 1),
    ])
    .await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    let pending = "SELECT COUNT(*) FROM payments WHERE status = 'REFUND_PENDING' AND order_id IS NULL";
    assert_eq!(site.number(pending).await, 2, "8 found its order expired, 10 was said to be given back");
    assert_eq!(site.number("SELECT COUNT(*) FROM payments WHERE payment_id = 'pay-9' AND order_id = 9").await, 1);
    assert_eq!(site.number("SELECT COUNT(*) FROM payments").await, 3, "behind the fence nothing counts");
    assert_eq!(site.number("SELECT COUNT(*) FROM voided_events WHERE event_type = 'REFUND_PENDING'").await, 1);
    site.assert_balanced().await;
}

#[tokio::test]
async fn older_epochs_behind_a_fence_are_void_in_every_type() {
    let site = Site::new(2).await;
    let worker = site.start();
    site.events(&[event(1, 1, Reserved), event(2, 1, Reserved), event(3, 1, Reserved), event(4, 1, Reserved)]).await;
    site.until("SELECT COUNT(*) FROM orders", 4).await;
    site.events(&[
        fence(2),
        event(1, 1, Confirmed),
        event(2, 1, Cancelled),
        event(3, 1, Expired),
        event(10, 1, Reserved),
        event(4, 2, Confirmed),
        fence(1),
        event(11, 2, Reserved),
    ])
    .await;
    wait_for_fence(&site.db, &site.topic(), 2, Epoch(2), PATIENCE).await.unwrap();
    site.until("SELECT COUNT(*) FROM orders WHERE order_id = 11", 1).await;
    site.until("SELECT COUNT(*) FROM orders WHERE state = 'CONFIRMED'", 1).await;
    assert_eq!(site.number("SELECT COUNT(*) FROM orders WHERE state = 'RESERVED'").await, 4);
    // Four order events and, in each of the two partitions, the fence that came too late.
    site.until("SELECT COUNT(*) FROM voided_events", 6).await;
    assert_eq!(site.number("SELECT COUNT(*) FROM voided_events WHERE event_type = 'FENCE'").await, 2);
    assert_eq!(worker.handle.snapshot().voided, 6);
    site.assert_balanced().await;
    // A fence that nobody wrote is not waited for for ever.
    assert!(wait_for_fence(&site.db, &site.topic(), 2, Epoch(3), Duration::from_millis(100)).await.is_err());
    worker.stop().await;
}

#[tokio::test]
async fn poison_is_parked_with_its_origin_and_everything_else_goes_on() {
    let site = Site::new(1).await;
    // The database refuses one order for a reason of its own, so its batch has to be split down to it.
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW \
                   IF NEW.order_id = 37 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF";
    sqlx::raw_sql(trigger).execute(&site.sql).await.unwrap();
    let mut records: Vec<(i32, Vec<u8>)> = (1..=100).map(|id| (0, event(id, 1, Reserved).encode().unwrap())).collect();
    records.insert(50, (0, b"{\"v\":1,\"type\":\"RESERVED\"".to_vec()));
    records.insert(60, (0, b"\xff\x00not text".to_vec()));
    records.push((0, Vec::new()));
    site.append(records).await;

    let worker = site.start();
    site.until("SELECT COUNT(*) FROM orders", 99).await;
    wait_for_offsets(&site.db, &site.topic(), &[(0, 103)], PATIENCE).await.unwrap();
    assert_eq!(worker.handle.snapshot().dead_letters, 4);
    worker.stop().await;

    let mut letters = read_dead_letters(&site, 4).await;
    letters.sort_by_key(|letter| letter.offset);
    let origins: Vec<u64> = letters.iter().map(|letter| letter.offset).collect();
    assert_eq!(origins, [36, 50, 60, 102]);
    assert!(letters[0].error.contains("not this one"), "{:?}", letters[0]);
    assert_eq!(letters[0].payload_text.as_deref().map(str::as_bytes), Some(&*event(37, 1, Reserved).encode().unwrap()));
    assert_eq!(letters[2].payload_hex.as_deref(), Some("ff006e6f742074657874"));
    assert!(letters.iter().all(|letter| letter.topic == site.topic() && letter.partition == 0));
    site.assert_balanced().await;
}

/// Reads the dead letters with the consumer of the log.
#[expect(clippy::unwrap_used, reason = "part of a test")]
async fn read_dead_letters(site: &Site, count: usize) -> Vec<DeadLetter> {
    let kafka = site.options.kafka.clone();
    let read = move || {
        let reader = LogConsumer::standalone_on(&kafka, &kafka.topic_dead_letter()).unwrap();
        reader.read_from(&[(0, 0)]).unwrap();
        let (mut letters, started) = (Vec::new(), Instant::now());
        while letters.len() < count && started.elapsed() < PATIENCE {
            if let Ok(Polled::Record(record)) = reader.poll(Duration::from_millis(100)) {
                letters.push(serde_json::from_slice(record.payload()).unwrap());
            }
        }
        letters
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test]
async fn applied_ms_moves_on_while_nothing_happens() {
    let site = Site::new(2).await;
    let worker = site.start();
    site.events(&[event(1, 1, Reserved)]).await;
    site.until("SELECT COUNT(*) FROM orders", 1).await;
    let mut seen = 0;
    for _ in 0..3 {
        let started = Instant::now();
        loop {
            let now = offsets::applied_ms(&site.db, &site.topic(), 2).await.unwrap().unwrap_or(0);
            if now > seen {
                seen = now;
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "applied_ms stands still at {seen}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let snapshot = worker.handle.snapshot();
    assert_eq!((snapshot.lag_events, snapshot.partitions, snapshot.last_error), (0, 2, None));
    assert!(snapshot.lag_ms.is_some_and(|lag| lag < 5_000), "{:?}", snapshot.lag_ms);
    worker.stop().await;
}

#[tokio::test]
async fn a_log_that_is_shorter_than_what_was_applied_is_refused() {
    let site = Site::new(1).await;
    site.events(&[event(1, 1, Reserved)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    // The same database, but another log.
    let mut options = site.options.clone();
    sqlx::raw_sql("UPDATE projector_offsets SET next_offset = 500").execute(&site.sql).await.unwrap();
    site.events(&[event(2, 1, Reserved)]).await;
    let refused = catch_up(&options, Duration::from_secs(2)).await.unwrap_err();
    let CatchUpError::Timeout(_, Some(reason)) = &refused else { panic!("{refused}") };
    assert!(reason.contains("not the log this database was filled from"), "{reason}");
    assert_eq!(site.number("SELECT COUNT(*) FROM orders").await, 1);
    // And a log that does not exist at all is said to.
    options.kafka = KafkaSettings { namespace: "nobody".into(), ..options.kafka };
    assert!(matches!(catch_up(&options, PATIENCE).await, Err(CatchUpError::NoTopic(_))));
}
