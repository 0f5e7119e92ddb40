//! The log away: nobody is told "yes", nobody is told "no"; with their keys buyers find out what became of it.

use crate::turn;
use flash_tests::backends::{Broker, Own};
use flash_tests::buyer::Purchase;
use flash_tests::crowd::Rush;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use std::time::Duration;

/// Ten seconds without Kafka.
const OUTAGE: Duration = Duration::from_secs(10);

fn own(broker: Broker) -> Own {
    Own { kafka: Some(broker), ..Own::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_found_out_with_its_key() {
    let _turn = turn().await;
    let site = Site::open(own(Broker::Memory), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase::new(1, 1, "before")).await.won();
    site.stack.kafka().pause().unwrap();
    let purchase = Purchase { quantity: 2, ..Purchase::new(2, 1, "in-the-dark") };
    let _ = buyer.buy(&purchase).await.refused(503, "OUTCOME_UNKNOWN");
    assert_eq!(site.stock(1).await.counters.held, 3, "the hold stays: nothing is given back on a guess");
    // Without Kafka the lease runs out, and nothing new is decided.
    eventually("the lease to run out", || async {
        site.buyer(&[&daemon]).buy(&Purchase::new(3, 1, "later")).await.word() == "STOCK_RECOVERING"
    })
    .await;
    let held = site.stock(1).await.counters.held;
    let _ = site.buyer(&[&daemon]).buy(&Purchase::new(4, 1, "later")).await.refused(503, "STOCK_RECOVERING");
    assert_eq!(site.stock(1).await.counters.held, held, "nothing is decided without a lease");
    site.stack.kafka().resume().unwrap();
    let told = buyer.insist(&purchase).await.won();
    assert!(told.replayed, "the first attempt's reservation");
    let _ = buyer.insist(&Purchase::new(3, 1, "later")).await;
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_kafka_is_waited_out() {
    let _turn = turn().await;
    let site = Site::open(own(Broker::Memory), &[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 16);
    rush.more_wins(60).await;
    site.stack.kafka().pause().unwrap();
    let wins = rush.wins();
    tokio::time::sleep(OUTAGE).await;
    let during = rush.wins() - wins;
    assert!(during <= 16, "{during} were told yes without the log");
    site.stack.kafka().resume().unwrap();
    rush.more_wins(100).await;
    let words = rush.stop().await;
    assert!(words.contains_key("OUTCOME_UNKNOWN") && words.contains_key("STOCK_RECOVERING"), "{words:?}");
    site.finish(&[&daemon]).await;
}

/// Killed and restarted on the same port: the producer's identity, the group and the lease all have to be found again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_kafka_comes_back_and_selling_goes_on() {
    let _turn = turn().await;
    let site = Site::open(own(Broker::Sqlite), &[ticket(1, 100_000)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let rush = Rush::start(&site, &[&api], 1, 16);
    rush.more_wins(60).await;
    site.stack.kafka().kill9().await.unwrap();
    tokio::time::sleep(OUTAGE).await;
    site.stack.kafka().restart().await.unwrap();
    rush.more_wins(100).await;
    rush.stop().await;
    site.finish(&[&api, &worker]).await;
}
