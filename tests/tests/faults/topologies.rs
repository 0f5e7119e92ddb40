//! Failovers under load: to a replica that lags, back to the old primary, beside an old primary that lives on, and in a
//! cluster. Nothing is sold twice, what was told stays true, and selling goes on without a human. That somebody promotes a
//! replica is given (Sentinel, an operator's script, the cluster itself); flashd notices and does the rest.

use crate::turn;
use flash_stack::{Server, follow, move_slot, promote, redis_command};
use flash_tests::backends::{Own, RedisTopology};
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::crowd::{Rush, crowd, tally};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use std::time::Instant;

const REBUILT: Exceptions = Exceptions { orphans_max: 0, dead_letters: 0, rebuilt: true };

fn own(redis: RedisTopology) -> Own {
    Own { redis, ..Own::default() }
}

/// A replica that hears nothing from its primary any more, and does not know what was sold since.
async fn lag(replica: &Server) {
    let nowhere = flash_stack::free_port().unwrap().to_string();
    redis_command(replica, &["REPLICAOF", "127.0.0.1", &nowhere]).await.unwrap();
}

/// Waits until somebody buys again, after nobody could, and says how long that took.
async fn sells_again(rush: &Rush, since: Instant, what: &str) {
    rush.more_wins(1).await;
    eprintln!("{what}: {:.1} s without selling", since.elapsed().as_secs_f64());
}

/// A fails, and a B takes over that has not heard of the last sales. Then B fails, and A takes over again: it still has its
/// scripts, and a stock hash of the epoch that B sold under, but not B's last sales.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_replica_takes_over_and_the_old_primary_takes_back() {
    let _turn = turn().await;
    let site = Site::open(own(RedisTopology::Replica), &[ticket(1, 100_000), ticket(2, 12)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let set = site.stack.redis_set().clone();
    let [a, b] = set.servers() else { panic!() };
    let rush = Rush::start(&site, &[&api], 1, 12);
    for (from, to, users) in [(a, b, 1..=5), (b, a, 101..=105)] {
        rush.more_wins(30).await;
        lag(to).await;
        // The replica never hears that these were sold.
        let early = users.clone().map(|user| Purchase::new(user, 2, "early")).collect();
        assert_eq!(tally(&crowd(&site, &[&api], early, true).await)["WON"], 5);
        rush.more_wins(30).await;
        let since = Instant::now();
        from.pause().unwrap();
        promote(to).await.unwrap();
        rush.hear("STOCK_RECOVERING").await;
        sells_again(&rush, since, "failover to a replica that lags").await;
        // The old one wakes up, believes to be the primary, and is told otherwise.
        from.resume().unwrap();
        rush.more_wins(30).await;
        follow(from, to).await.unwrap();
        let again: Vec<Purchase> = users.map(|user| Purchase::new(user, 2, "early")).collect();
        let again = crowd(&site, &[&api], again, true).await;
        assert!(again.iter().all(|said| said.word() == "WON"), "who was told is told the same: {:?}", tally(&again));
    }
    // Twelve there were, and ten are gone, whoever remembers them.
    let rest = (201..=220).map(|user| Purchase::new(user, 2, "rest")).collect();
    assert_eq!(tally(&crowd(&site, &[&api], rest, true).await)["WON"], 2);
    rush.stop().await;
    assert_eq!(worker.worker_stats().await.rebuild.rebuilds, 2);
    site.finish_except(&[&api, &worker], REBUILT).await;
}

/// Two primaries at once. One daemon reaches only the old one, which is alive, has every right number in it, and would sell;
/// a worker reaches only the new one. What the old one decides then is told to nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_split_brain_only_one_side_sells() {
    let _turn = turn().await;
    let site = Site::open(own(RedisTopology::Replica), &[ticket(1, 100_000), ticket(2, 20)]).await;
    let set = site.stack.redis_set().clone();
    let [old, new] = set.servers() else { panic!() };
    let both = site.daemon("api").await;
    let behind = site.daemon_with("api", &[("REDIS_URL", old.url())]).await;
    let rush = Rush::start(&site, &[&both], 1, 8);
    let early = (1..=5).map(|user| Purchase::new(user, 2, "early")).collect();
    assert_eq!(tally(&crowd(&site, &[&behind], early, true).await)["WON"], 5);
    rush.more_wins(30).await;
    lag(new).await;
    rush.more_wins(30).await;
    promote(new).await.unwrap();
    rush.more_wins(30).await;
    let since = Instant::now();
    let worker = site.daemon_with("worker", &[("REDIS_URL", new.url())]).await;
    // The daemon that is cut off sells until its lease shows the new epoch, and then no more.
    let mut cut_off = site.buyer(&[&behind]);
    let mut user = 10_000;
    eventually("the old side to stop", || {
        user += 1;
        let purchase = Purchase::new(user, 1, "old-side");
        let mut asking = site.buyer(&[&behind]);
        async move { asking.buy(&purchase).await.word() == "STOCK_RECOVERING" }
    })
    .await;
    eventually("the new side to be filled", || async { worker.worker_stats().await.rebuild.rebuilds == 1 }).await;
    sells_again(&rush, since, "split brain, the new side filled").await;
    let late = (101..=130).map(|user| Purchase::new(user, 2, "late")).collect();
    assert_eq!(tally(&crowd(&site, &[&both], late, true).await)["WON"], 15);
    let refused = (201..=210).map(|user| Purchase::new(user, 2, "behind")).collect();
    let refused = tally(&crowd(&site, &[&behind], refused, false).await);
    assert_eq!(refused.get("WON"), None, "the old primary has {refused:?}");
    let _ = cut_off.buy(&Purchase::new(211, 1, "behind")).await.refused(503, "STOCK_RECOVERING");
    // It is stopped with whatever it had on its way.
    behind.terminate();
    behind.ended().await;
    rush.more_wins(30).await;
    rush.stop().await;
    site.finish_except(&[&both, &worker], REBUILT).await;
}

/// One of three primaries is killed. The cluster promotes its replica by itself, and the sale goes on with an epoch that all
/// three were filled for; the killed one comes back as a replica and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_a_primary_and_sells_on() {
    let _turn = turn().await;
    let skus: Vec<_> = (1..=6).map(|sku_id| ticket(sku_id, 100_000)).chain([ticket(7, 12)]).collect();
    let site = Site::open(own(RedisTopology::Cluster), &skus).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let rushes: Vec<Rush> = (1..=6).map(|sku_id| Rush::start(&site, &[&api], sku_id, 2)).collect();
    for rush in &rushes {
        rush.more_wins(10).await;
    }
    let early: Vec<Purchase> = (1..=10).map(|user| Purchase::new(user, 7, "early")).collect();
    assert_eq!(tally(&crowd(&site, &[&api], early.clone(), true).await)["WON"], 10);
    let killed = &site.stack.redis_set().servers()[1];
    let since = Instant::now();
    killed.kill9().await.unwrap();
    eventually("the rebuild", || async { worker.worker_stats().await.rebuild.rebuilds == 1 }).await;
    sells_again(&rushes[0], since, "a primary of the cluster killed").await;
    for rush in &rushes {
        rush.more_wins(5).await;
    }
    let again = crowd(&site, &[&api], early, true).await;
    assert!(again.iter().all(|said| said.word() == "WON"), "{:?}", tally(&again));
    let rest = (101..=120).map(|user| Purchase::new(user, 7, "rest")).collect();
    assert_eq!(tally(&crowd(&site, &[&api], rest, true).await)["WON"], 2);
    killed.restart().await.unwrap();
    let back = || async { redis_command(killed, &["INFO", "replication"]).await.unwrap().contains("role:slave") };
    eventually("the killed one to follow", back).await;
    for rush in rushes {
        rush.more_wins(5).await;
        rush.stop().await;
    }
    assert_eq!(worker.worker_stats().await.rebuild.rebuilds, 1, "a replica is no reason to fill anything");
    site.finish_except(&[&api, &worker], REBUILT).await;
}

/// Two slots are moved while their SKUs are being sold, to a primary that the open epoch names. What has arrived there is not
/// believed: a worker fills everything anew, by itself and once, and the sale goes on where the SKUs live now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_are_moved_under_load_are_filled_where_they_are() {
    let _turn = turn().await;
    let site = Site::open(own(RedisTopology::Cluster), &[ticket(1, 100_000), ticket(2, 12)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let rush = Rush::start(&site, &[&api], 1, 4);
    rush.more_wins(30).await;
    let early: Vec<Purchase> = (1..=10).map(|user| Purchase::new(user, 2, "early")).collect();
    assert_eq!(tally(&crowd(&site, &[&api], early.clone(), true).await)["WON"], 10);

    let primaries = &site.stack.redis_set().servers()[..3];
    let since = Instant::now();
    for sku_id in [1, 2] {
        let key = site.keys(sku_id).stock;
        let slot = redis_command(&primaries[0], &["CLUSTER", "KEYSLOT", &key]).await.unwrap();
        let owner = slot.parse::<usize>().unwrap() * 3 / 16_384;
        move_slot(&key, &primaries[owner], &primaries[(owner + 1) % 3]).await.unwrap();
    }
    rush.hear("STOCK_RECOVERING").await;
    eventually("the rebuild", || async { worker.worker_stats().await.rebuild.rebuilds == 1 }).await;
    sells_again(&rush, since, "two slots moved").await;
    let again = crowd(&site, &[&api], early, true).await;
    assert!(again.iter().all(|said| said.word() == "WON"), "{:?}", tally(&again));
    let rest = (101..=120).map(|user| Purchase::new(user, 2, "rest")).collect();
    assert_eq!(tally(&crowd(&site, &[&api], rest, true).await)["WON"], 2);
    rush.more_wins(30).await;
    rush.stop().await;
    assert_eq!(worker.worker_stats().await.rebuild.rebuilds, 1, "once is enough");
    site.finish_except(&[&api, &worker], REBUILT).await;
}
