//! A slot of a cluster moves to another primary, with the stock in it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{PATIENCE, PRICE_MINOR, Stand, TERMS, ask};
use crate::topologies::{fill, gate};
use flash_core::ids::OrderId;
use flash_core::payment::{Payment, PaymentId};
use flash_core::stock::Decision;
use flash_stack::{RedisSet, Server, move_slot, redis_command};
use flash_stores::redis::{Fence, Gate, SkuKeys, StockError};
use std::time::{Duration, Instant};

/// A SKU of a cluster, its primary, and another that the same epoch names.
struct Cluster {
    set: RedisSet,
    gate: Gate,
    keys: SkuKeys,
    fence: Fence,
    owner: usize,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let set = RedisSet::start_cluster(dir.path()).await.unwrap();
        let gate = gate(set.url().to_owned()).await;
        let (keys, fence) = fill(&gate, 1, 7).await;
        let slot = redis_command(&set.servers()[0], &["CLUSTER", "KEYSLOT", &keys.stock]).await.unwrap();
        let owner = slot.parse::<usize>().unwrap() * 3 / 16_384;
        Self { set, gate, keys, fence, owner, _dir: dir }
    }

    fn owner(&self) -> &Server {
        &self.set.servers()[self.owner]
    }

    fn other(&self) -> &Server {
        &self.set.servers()[(self.owner + 1) % 3]
    }

    fn stand(&self) -> Stand<'_> {
        Stand { gate: &self.gate, keys: self.keys.clone(), fence: self.fence.clone(), price_minor: PRICE_MINOR }
    }

    async fn win(&self, user: u64, quantity: u32) {
        let decided = self.stand().reserve(&[ask(user, quantity, "k")]).await.unwrap();
        assert!(matches!(decided.decisions[..], [Decision::Won(_)]), "{decided:?}");
    }

    /// Asks until whoever owns the slot now is found, and says why it decides nothing.
    async fn why_fenced(&self) -> String {
        let started = Instant::now();
        loop {
            match self.stand().reserve(&[ask(100, 1, "k")]).await {
                Err(StockError::Fenced(why)) => return why,
                Err(error) => assert!(started.elapsed() < PATIENCE, "the new owner is not found: {error}"),
                Ok(decided) => panic!("decided where it was not filled: {decided:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn replid(server: &Server) -> String {
    let info = redis_command(server, &["INFO", "replication"]).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().to_owned()
}

/// The epoch names the new owner, and the stock is the last word: still nobody at the new owner can know that. It is filled there,
/// or it moves back to where it was filled.
#[tokio::test]
async fn a_slot_that_moves_is_fenced_until_it_is_filled_where_it_is() {
    let cluster = Cluster::start().await;
    cluster.win(1, 2).await;
    let home = replid(cluster.owner()).await;
    assert!(cluster.fence.replids.contains(&replid(cluster.other()).await), "the epoch names both");

    move_slot(&cluster.keys.stock, cluster.owner(), cluster.other()).await.unwrap();
    assert_eq!(cluster.why_fenced().await, format!("HOME {home}"));
    let Cluster { gate, keys, fence, .. } = &cluster;
    let home_of = |why: &StockError| matches!(why, StockError::Fenced(why) if *why == format!("HOME {home}"));
    let configured = gate.configure(keys, fence, &TERMS).await.unwrap_err();
    let resized = gate.set_capacity(keys, fence, 1).await.unwrap_err();
    let swept = gate.take_due(keys, fence, 1, 1).await.unwrap_err();
    let cancelled = gate.cancel(keys, fence, OrderId::new(1), None).await.unwrap_err();
    let payment_id = PaymentId::parse("pi_1").unwrap();
    let payment = Payment { payment_id, amount_minor: 1, paid_order: OrderId::new(1) };
    let paid = gate.confirm(keys, fence, OrderId::new(1), &payment).await.unwrap_err();
    let finished = gate.finish(keys, fence, &[]).await.unwrap_err();
    let audited = gate.audit(keys, fence).await.unwrap_err();
    for error in [configured, resized, swept, cancelled, paid, finished, audited] {
        assert!(home_of(&error), "{error:?}");
    }
    let seen = cluster.stand().snapshot().await;
    assert_eq!(
        (seen.at_home, seen.counters.available, seen.counters.held),
        (false, 8, 2),
        "nothing is lost on the way"
    );

    move_slot(&cluster.keys.stock, cluster.other(), cluster.owner()).await.unwrap();
    let started = Instant::now();
    while cluster.stand().reserve(&[ask(2, 1, "k")]).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "at home it is sold again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(cluster.stand().snapshot().await.at_home);

    move_slot(&cluster.keys.stock, cluster.owner(), cluster.other()).await.unwrap();
    cluster.why_fenced().await;
    let (_, filled) = fill(&cluster.gate, 2, 7).await;
    let filled = Stand { fence: filled, ..cluster.stand() };
    assert!(matches!(filled.reserve(&[ask(4, 1, "k")]).await.unwrap().decisions[..], [Decision::Won(_)]));
}

/// The owner comes back from a restart without its last sale, and the slot is moved away at once to a primary that the epoch names:
/// what was sold twice there would be an oversell.
#[tokio::test]
async fn stock_that_a_restart_has_made_old_is_fenced_wherever_it_is_moved() {
    let cluster = Cluster::start().await;
    redis_command(cluster.owner(), &["SAVE"]).await.unwrap();
    cluster.win(1, 4).await;
    cluster.win(2, 4).await;
    let home = replid(cluster.owner()).await;
    // Back before anybody could promote its replica.
    cluster.owner().kill9().await.unwrap();
    cluster.owner().restart().await.unwrap();
    assert_ne!(replid(cluster.owner()).await, home);
    let started = Instant::now();
    while !redis_command(cluster.owner(), &["CLUSTER", "INFO"]).await.unwrap().contains("cluster_state:ok") {
        assert!(started.elapsed() < PATIENCE, "it has found the others");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    move_slot(&cluster.keys.stock, cluster.owner(), cluster.other()).await.unwrap();
    assert_eq!(cluster.why_fenced().await, format!("HOME {home}"));
    assert_eq!(cluster.stand().snapshot().await.counters.available, TERMS.capacity, "it has forgotten eight units");
}

/// A stock hash that an older version has filled does not say where: it is filled anew.
#[tokio::test]
async fn stock_without_a_home_is_fenced() {
    let bench = crate::support::Bench::start().await;
    let stand = bench.open(TERMS).await;
    assert_eq!(bench.raw::<i64>(&["HDEL", &stand.keys.stock, "home"]).await, 1);
    let fenced = stand.reserve(&[ask(1, 1, "k")]).await;
    assert!(matches!(&fenced, Err(StockError::Fenced(why)) if why == "HOME unknown"), "{fenced:?}");
    assert!(!stand.snapshot().await.at_home);
}
