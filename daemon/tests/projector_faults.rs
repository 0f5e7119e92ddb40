//! The projector while its surroundings fail: MySQL away, Kafka away, workers that come, go and die.

mod support;

use flash_core::order::OrderState::{Confirmed, Reserved};
use flash_stack::{Stack, StackOptions};
use std::time::Duration;
use support::{PATIENCE, Site, event};

const ORDERS: &str = "SELECT COUNT(*) FROM orders";

#[tokio::test]
async fn an_outage_of_mysql_delays_orders_and_parks_none() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let site = Site::on(&stack, 4).await;
    let worker = site.start();
    site.events(&(1..=200).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    site.until(ORDERS, 200).await;

    stack.mysql().kill9().await.unwrap();
    site.events(&(201..=400).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(worker.handle.snapshot().last_error.is_some(), "an outage is told");
    stack.mysql().restart().await.unwrap();
    site.until(ORDERS, 400).await;

    // Frozen instead of dead: connections stay open and say nothing.
    stack.mysql().pause().unwrap();
    site.events(&(1..=400).map(|id| event(id, 1, Confirmed)).collect::<Vec<_>>()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stack.mysql().resume().unwrap();
    site.until("SELECT COUNT(*) FROM orders WHERE state = 'CONFIRMED'", 400).await;

    site.assert_balanced().await;
    let snapshot = worker.handle.snapshot();
    assert_eq!((snapshot.dead_letters, snapshot.voided, snapshot.missing_events), (0, 0, 0));
    worker.stop().await;
    stack.stop().await;
}

#[tokio::test]
async fn an_outage_of_kafka_is_waited_out() {
    let options = StackOptions { kafka: flash_stack::KafkaChoice::TansuSqlite, ..StackOptions::default() };
    let stack = Stack::start(options).await.unwrap();
    let site = Site::on(&stack, 2).await;
    let worker = site.start();
    site.events(&(1..=100).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    site.until(ORDERS, 100).await;
    stack.kafka().kill9().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stack.kafka().restart().await.unwrap();
    site.events(&(101..=200).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
    site.until(ORDERS, 200).await;
    site.assert_balanced().await;
    worker.stop().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_come_go_and_die_and_nothing_is_written_twice_or_never() {
    let site = Site::new(4).await;
    let first = site.start();
    let batch = |from: u64| (from..from + 500).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>();
    site.events(&batch(1)).await;
    site.until(ORDERS, 500).await;

    let second = site.start();
    let started = std::time::Instant::now();
    while second.handle.snapshot().partitions != 2 || first.handle.snapshot().partitions != 2 {
        site.events(&[event(1, 1, Reserved)]).await;
        assert!(started.elapsed() < PATIENCE, "{:?} {:?}", first.handle.snapshot(), second.handle.snapshot());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    site.events(&batch(501)).await;
    site.until(ORDERS, 1_000).await;

    // One leaves politely in the middle of a stream, another comes, and one dies without a word.
    site.events(&batch(1_001)).await;
    first.stop().await;
    let third = site.start();
    site.events(&batch(1_501)).await;
    site.until(ORDERS, 2_000).await;
    second.abort();
    site.events(&batch(2_001)).await;
    site.until(ORDERS, 2_500).await;
    site.assert_balanced().await;
    assert_eq!(third.handle.snapshot().dead_letters, 0);
    third.stop().await;
}

#[tokio::test]
async fn a_catch_up_beside_a_worker_does_no_harm() {
    let site = Site::new(2).await;
    let worker = site.start();
    for from in [1, 1_001, 2_001] {
        site.events(&(from..from + 1_000).map(|id| event(id, 1, Reserved)).collect::<Vec<_>>()).await;
        let (one, two) = tokio::join!(
            flashd::projector::catch_up(&site.options, PATIENCE),
            flashd::projector::catch_up(&site.options, PATIENCE),
        );
        assert_eq!(one.unwrap(), two.unwrap());
    }
    assert_eq!(site.number(ORDERS).await, 3_000);
    assert_eq!(site.passed().await, 3_000);
    site.assert_balanced().await;
    worker.stop().await;
}
