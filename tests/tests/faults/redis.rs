//! The gate away: typed refusals, recovery by itself, and no ticket sold twice by a Redis that has forgotten.

use crate::turn;
use flash_core::ids::SkuId;
use flash_stores::mysql::author::Author;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::crowd::{Rush, crowd, tally};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flashd::dead_letters::{Desk, Outcome};
use flashd::projector::ProjectorOptions;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_refused_at_once_and_comes_back_by_itself() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 16);
    rush.more_wins(60).await;
    site.stack.redis().pause().unwrap();
    rush.hear("STOCK_RECOVERING").await;
    // Once the connection is given up, a refusal does not wait for Redis' silence.
    let asked = Instant::now();
    let _ = site.buyer(&[&daemon]).buy(&Purchase::new(1, 1, "k")).await.refused(503, "STOCK_RECOVERING");
    assert!(asked.elapsed() < Duration::from_millis(900), "a refusal took {:?}", asked.elapsed());
    let wins = rush.wins();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rush.wins(), wins, "nobody is told yes without the gate");
    assert!(daemon.admin("/livez").await.is_some_and(|answer| answer.status == 200), "the admin plane stays alive");
    site.stack.redis().resume().unwrap();
    rush.more_wins(100).await;
    // Whether somebody's decision was on its way when Redis froze is chance; that it is then unknown, and never "no", the
    // books show: a purchase that was refused may not be found in them.
    let _ = rush.stop().await;
    let _ = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won();
    site.finish(&[&daemon]).await;
}

/// The whole life of the fence: killed under load, restarted empty, refused until a worker has filled it anew, then selling on
/// behind the same daemon, without a human – with the same answers, and not one ticket too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_sells_nothing_until_it_is_rebuilt_and_nothing_twice_after() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 400)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let early: Vec<Purchase> =
        (1..=100).map(|user| Purchase { quantity: 2, ..Purchase::new(user, 1, "early") }).collect();
    let told = tally(&crowd(&site, &[&api], early.clone(), true).await);
    assert_eq!(told["WON"], 100, "{told:?}");
    let rush = Rush::start(&site, &[&api], 1, 16);
    rush.more_wins(40).await;
    site.stack.redis().kill9().await.unwrap();
    rush.hear("STOCK_RECOVERING").await;
    site.stack.redis().restart().await.unwrap();
    let wins = rush.wins();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rush.wins(), wins, "an empty Redis sells nothing");
    let ready = api.admin("/readyz").await.unwrap();
    assert!(ready.status == 200 || ready.status == 503, "{ready:?}");
    rush.more_wins(20).await;
    assert_eq!(worker.worker_stats().await.rebuild.rebuilds, 1);
    // Who was told before is told the same, from a Redis that was not there then.
    let again = crowd(&site, &[&api], early, true).await;
    assert!(again.iter().all(|said| said.word() == "WON"), "{:?}", tally(&again));
    // To the last ticket, and not one further.
    eventually("everything to be sold", || async { rush.words().contains_key("SOLD_OUT") }).await;
    rush.stop().await;
    assert_eq!(site.stock(1).await.counters.available, 0);
    site.finish_except(&[&api, &worker], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

/// The stock is flushed, by mistake say, while everything runs: the gate misses its stock and decides nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_is_not_refilled_by_anybody_but_a_rebuild() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 50)]).await;
    let (daemon, worker) = (site.daemon("api").await, site.daemon("worker").await);
    // Nobody projects: what was told is in the log alone, and the rebuild has to find it there.
    worker.terminate();
    worker.ended().await;
    let first =
        tally(&crowd(&site, &[&daemon], (1..=50).map(|user| Purchase::new(user, 1, "k")).collect(), true).await);
    assert_eq!(first["WON"], 50);
    site.redis::<()>(&["FLUSHALL"]).await;
    let again = (100..=150).map(|user| Purchase::new(user, 1, "k")).collect();
    let refused = tally(&crowd(&site, &[&daemon], again, false).await);
    // A latch that was still closed may have said so for its last tenth of a second.
    assert!(refused.keys().all(|word| word == "STOCK_RECOVERING" || word == "SOLD_OUT"), "{refused:?}");
    site.rebuild().await;
    let after =
        tally(&crowd(&site, &[&daemon], (200..=250).map(|user| Purchase::new(user, 1, "k")).collect(), true).await);
    assert_eq!(after["SOLD_OUT"], 51, "{after:?}");
    let worker = worker.restart().await;
    site.finish_except(&[&daemon, &worker], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

/// Events that MySQL refused are in the log and were told: a Redis that is filled anew must not sell their units again. Their
/// SKU stays closed, the others sell, and it opens by itself when the letters are replayed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sku_with_waiting_dead_letters_stays_closed_until_they_are_replayed() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 2), ticket(2, 2)]).await;
    let daemon = site.daemon("all").await;
    let refuse = "ALTER TABLE orders ADD CONSTRAINT refused CHECK (user_id <> 777)";
    sqlx::query(refuse).execute(&site.sql).await.unwrap();
    let mut buyer = site.buyer(&[&daemon]);
    let purchase = Purchase { quantity: 2, ..Purchase::new(777, 1, "k") };
    let told = buyer.insist(&purchase).await.won();
    eventually("the letter", || async { daemon.worker_stats().await.projector.dead_letters == 1 }).await;
    site.redis::<()>(&["FLUSHALL"]).await;
    // The other SKU sells again; this one does not, although MySQL knows of nobody who has its units.
    let _ = buyer.insist(&Purchase::new(1, 2, "k")).await.won();
    let blocked = || async { daemon.worker_stats().await.rebuild.blocked.remove(&SkuId::new(1)) };
    eventually("the reason", || async { blocked().await.is_some_and(|why| why.contains("flashctl dlq replay")) }).await;
    let _ = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(503, "STOCK_RECOVERING");
    sqlx::query("ALTER TABLE orders DROP CONSTRAINT refused").execute(&site.sql).await.unwrap();
    let parts = site.parts();
    let desk = Desk::open(&ProjectorOptions { kafka: parts.kafka, mysql: parts.mysql });
    let letters = desk.letters(|_, _| true).await.unwrap().letters;
    let author = Author::new("the tests", "repaired").unwrap();
    assert!(matches!(desk.replay(&letters[0], &author, false).await.unwrap(), Outcome::Applied { .. }));
    let _ = buyer.insist(&Purchase::new(2, 1, "k")).await.refused(410, "SOLD_OUT");
    let again = buyer.insist(&purchase).await.won();
    assert_eq!((again.order_id, again.replayed), (told.order_id, true));
    assert_eq!(blocked().await, None);
    let left = Exceptions { dead_letters: 1, rebuilt: true, ..Exceptions::default() };
    site.finish_except(&[&daemon], left).await;
}

/// An order that somebody has deleted from MySQL was told to a buyer: the ledger still knows of it, so a Redis that is filled anew
/// does not sell its units again. The SKU stays closed until the row is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_deleted_by_hand_is_not_sold_again() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 1)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let purchase = Purchase::new(1, 1, "k");
    let told = buyer.insist(&purchase).await.won();
    eventually("the order", || async { site.orders().await == 1 }).await;
    for sql in ["CREATE TABLE kept AS SELECT * FROM orders", "DELETE FROM orders"] {
        sqlx::query(sql).execute(&site.sql).await.unwrap();
    }
    site.redis::<()>(&["FLUSHALL"]).await;
    let blocked = || async { daemon.worker_stats().await.rebuild.blocked.remove(&SkuId::new(1)) };
    eventually("the reason", || async { blocked().await.is_some_and(|why| why.contains("flashctl reconcile")) }).await;
    let _ = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(503, "STOCK_RECOVERING");
    sqlx::query("INSERT INTO orders SELECT * FROM kept").execute(&site.sql).await.unwrap();
    let again = buyer.insist(&purchase).await.won();
    assert_eq!((again.order_id, again.replayed), (told.order_id, true));
    let _ = buyer.insist(&Purchase::new(2, 1, "k")).await.refused(410, "SOLD_OUT");
    site.finish_except(&[&daemon], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

/// The lost win that the lease prevents: a daemon decides, freezes before its event is in the log, and wakes up when Redis has
/// been filled anew without that purchase. Its event is void, so nobody may be told yes; the same key buys again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_frozen_between_decision_and_record_tells_nobody_yes() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 12)]).await;
    // Events are gathered for a tenth of a second, long enough to freeze the daemon with its decisions unrecorded.
    let slow = site.daemon_with("api", &[("FLASH_KAFKA_LINGER", "100ms")]).await;
    let worker = site.daemon("worker").await;
    let _ = site.buyer(&[&slow]).insist(&Purchase::new(1_000, 1, "first")).await.won();
    let purchases: Vec<Purchase> = (1..=10).map(|user| Purchase::new(user, 1, "frozen")).collect();
    let daemons = [&slow];
    let rebuilder = async {
        while site.stock(1).await.counters.held < 11 {}
        slow.pause();
        site.rebuild().await;
        // The tickets that the frozen daemon had given away are on sale again, and are sold elsewhere.
        let other = site.daemon("api").await;
        let others = (100..=120).map(|user| Purchase::new(user, 1, "meanwhile")).collect();
        let sold = tally(&crowd(&site, &[&other], others, true).await);
        slow.resume();
        (other, sold["WON"])
    };
    let (said, (other, sold)) = tokio::join!(crowd(&site, &daemons, purchases.clone(), false), rebuilder);
    let frozen = tally(&said);
    let told = frozen.get("WON").copied().unwrap_or(0);
    assert!(told + sold <= 11, "{told} told by the frozen daemon and {sold} by the other, of 11: {frozen:?}");
    let again = tally(&crowd(&site, &[&other], purchases, true).await);
    assert!(again.keys().all(|word| word == "WON" || word == "SOLD_OUT"), "{again:?}");
    site.finish_except(&[&slow, &worker, &other], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}
