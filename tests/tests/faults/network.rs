//! The network between flashd and each server goes bad, in every way a network can: what buyers are told stays true, every
//! refusal is typed and says when to come back, and everything heals by itself.

use crate::fake_redis::{self, Habit};
use crate::turn;
use flash_stack::{Fault, Proxy};
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::crowd::Rush;
use flash_tests::daemon::Daemon;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use std::time::Duration;

/// Everything that stops the traffic between two programs, one way or another.
const STOPPED: [Fault; 6] = [
    Fault::Cut,
    Fault::HalfOpen,
    Fault::SwallowReplies,
    Fault::ResetInReply { after_bytes: 7 },
    Fault::CutAfter { bytes: 60 },
    Fault::Drip { bytes_per_second: 20 },
];
/// Everything that makes it slow or unsteady, and no more than that.
const SLOW: [Fault; 2] = [
    Fault::Delay {
        requests: Duration::from_millis(60),
        replies: Duration::from_millis(60),
        jitter: Duration::from_millis(40),
    },
    Fault::Drip { bytes_per_second: 40_000 },
];

/// Waits until the fault has met somebody: a buyer was sent away, or got no answer in time.
async fn refused(rush: &Rush, before: u64) {
    eventually("a refusal", || async { refusals(rush) > before }).await;
}

fn refusals(rush: &Rush) -> u64 {
    let words = rush.words();
    ["STOCK_RECOVERING", "OUTCOME_UNKNOWN", "OVERLOADED"].iter().filter_map(|word| words.get(*word)).sum()
}

/// Nothing but wins and typed refusals, whatever the network did.
fn only_typed(words: &std::collections::BTreeMap<String, u64>) {
    const KNOWN: [&str; 5] = ["WON", "STOCK_RECOVERING", "OUTCOME_UNKNOWN", "OVERLOADED", "REQUEST_IN_PROGRESS"];
    assert!(words.keys().all(|word| KNOWN.contains(&word.as_str())), "{words:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_way_to_redis() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 8);
    rush.more_wins(20).await;
    for fault in STOPPED {
        let before = refusals(&rush);
        links.redis.set(fault).await;
        refused(&rush, before).await;
        links.redis.heal().await;
        rush.more_wins(20).await;
    }
    for fault in SLOW {
        links.redis.set(fault).await;
        rush.more_wins(20).await;
        links.redis.heal().await;
    }
    let words = rush.stop().await;
    only_typed(&words);
    daemon.ready().await;
    // It was never taken for a Redis that has lost its data.
    assert_eq!(daemon.worker_stats().await.rebuild.rebuilds, 0);
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_way_to_kafka() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 8);
    rush.more_wins(20).await;
    for fault in STOPPED {
        let before = refusals(&rush);
        links.kafka.set(fault).await;
        refused(&rush, before).await;
        links.kafka.heal().await;
        rush.more_wins(20).await;
    }
    for fault in SLOW {
        links.kafka.set(fault).await;
        rush.more_wins(20).await;
        links.kafka.heal().await;
    }
    let words = rush.stop().await;
    only_typed(&words);
    daemon.ready().await;
    site.finish(&[&daemon]).await;
}

/// Buyers notice nothing of what happens between the projector and MySQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_way_to_mysql() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 8);
    rush.more_wins(20).await;
    for fault in STOPPED.into_iter().chain(SLOW) {
        links.mysql.set(fault).await;
        rush.more_wins(20).await;
        links.mysql.heal().await;
        let projected = site.orders().await;
        eventually("more orders in MySQL", || async { site.orders().await > projected }).await;
    }
    let words = rush.stop().await;
    assert!(words.keys().all(|word| word == "WON"), "buyers notice nothing: {words:?}");
    site.finish(&[&daemon]).await;
}

/// The event is in the log and its acknowledgement is lost: nobody knows, so nobody is told; the key finds out, and the order
/// is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_that_is_lost() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 10)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let mut buyer = site.buyer(&[&api]);
    let _ = buyer.insist(&Purchase::new(1, 1, "before")).await.won();
    links.kafka.set(Fault::SwallowReplies).await;
    let purchase = Purchase { quantity: 2, ..Purchase::new(2, 1, "in-the-dark") };
    let _ = buyer.buy(&purchase).await.refused(503, "OUTCOME_UNKNOWN");
    assert!(links.kafka.traffic().swallowed_bytes > 0);
    assert_eq!(site.stock(1).await.counters.held, 3, "the hold stays: nothing is given back on a guess");
    links.kafka.heal().await;
    let told = buyer.insist(&purchase).await.won();
    assert!(told.replayed, "the reservation of the first attempt");
    assert_eq!(site.stock(1).await.counters.held, 3);
    site.finish(&[&api, &worker]).await;
}

/// The commit has happened and its answer is lost: the projector reads its positions again and applies nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost() {
    const ROUNDS: i64 = 20;
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 100)]).await;
    let direct = site.stack.mysql_login().port.to_string();
    let api = site.daemon_with("api", &[("MYSQL_PORT", &direct)]).await;
    let worker = site.daemon("worker").await;
    let mut buyer = site.buyer(&[&api]);
    let mut lost = 0;
    for round in 1..=ROUNDS {
        let swallowed = links.mysql.traffic().swallowed_bytes;
        links.mysql.set(Fault::SwallowAfter { request: b"COMMIT" }).await;
        let _ = buyer.insist(&Purchase::new(round.unsigned_abs(), 1, "k")).await.won();
        eventually("a lost answer", || async { links.mysql.traffic().swallowed_bytes > swallowed }).await;
        // The commit may have been of the order, or of how far the projector has come.
        lost += i64::from(site.orders().await == round);
        links.mysql.heal().await;
        eventually("the order", || async { site.orders().await == round }).await;
        if lost == 2 {
            break;
        }
    }
    assert!(lost > 0, "no order was ever written without the worker hearing of it");
    site.finish(&[&api, &worker]).await;
}

/// The coordinator loses Redis, then Kafka, then MySQL in the middle of filling: nothing opens half-filled, and it ends by
/// itself when the network is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_in_the_middle_of_a_rebuild() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 60), ticket(2, 60)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let told = buyer.insist(&Purchase::new(1, 1, "before")).await.won();
    for (round, link) in (2..).zip([&links.redis, &links.kafka, &links.mysql]) {
        site.redis::<()>(&["FLUSHALL"]).await;
        rebuilding(&site, &daemon).await;
        silence(link).await;
        let _ = buyer.insist(&Purchase::new(round, 1, "after")).await.won();
        let again = buyer.insist(&Purchase::new(1, 1, "before")).await.won();
        assert_eq!((again.order_id, again.replayed), (told.order_id, true));
    }
    site.finish_except(&[&daemon], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

/// Waits until the stock is being filled.
async fn rebuilding(site: &Site, daemon: &Daemon) {
    let mut buyer = site.buyer(&[daemon]);
    eventually("a rebuild", || async { daemon.worker_stats().await.rebuild.step.is_some() }).await;
    let _ = buyer.buy(&Purchase::new(9_999, 2, "meanwhile")).await.refused(503, "STOCK_RECOVERING");
}

/// Three seconds in which nothing gets through and nothing is closed.
async fn silence(link: &Proxy) {
    link.set(Fault::HalfOpen).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    link.heal().await;
}

/// Bad inputs, line 39: a Redis that answers, and answers nonsense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_answers_nonsense() {
    let _turn = turn().await;
    let (site, links) = Site::linked(&[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let real = site.stack.redis().address();
    let habits = fake_redis::HABITS.iter().flat_map(|habit| [(habit, false), (habit, true)]);
    for (user, (&habit, claims)) in (1..).zip(habits) {
        let _ = buyer.insist(&Purchase::new(user, 1, "before")).await.won();
        let fake = fake_redis::start(Habit { answer: habit, claims }).await;
        links.redis.set_target(&fake);
        links.redis.disconnect().await;
        // Whatever the first of them meets, a connection that ends, no new one, or the nonsense.
        for attempt in 0..3 {
            let said = buyer.buy(&Purchase::new(user, 1, format!("nonsense-{attempt}"))).await;
            assert!(["STOCK_RECOVERING", "OUTCOME_UNKNOWN"].contains(&said.word().as_str()), "{habit:?}: {said:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        links.redis.set_target(real);
        links.redis.disconnect().await;
    }
    let _ = buyer.insist(&Purchase::new(1_000, 1, "after")).await.won();
    daemon.ready().await;
    assert_eq!(daemon.worker_stats().await.rebuild.rebuilds, 0, "nonsense is no reason to fill Redis anew");
    site.finish(&[&daemon]).await;
}
