//! The gate over several servers: the primary among candidates, wherever it has gone, and a cluster, whoever owns what.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{PATIENCE, PRICE_MINOR, Stand, TERMS, ask};
use flash_core::epoch::SINGLE_PRIMARY;
use flash_core::ids::{Epoch, OrderId, SkuId};
use flash_core::payment::PaymentId;
use flash_core::stock::{Ask, Counters, Decision};
use flash_stack::{RedisSet, Server, follow, promote, redis_command};
use flash_stores::redis::{Fate, Fence, Gate, GateSettings, LoadStock, Loader, Register, SkuKeys, StockError};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_millis(800);

pub(crate) async fn gate(url: String) -> Gate {
    let gate = Gate::new(&GateSettings { url, namespace: "t".to_owned(), timeout: TIMEOUT }).unwrap();
    gate.wait_connected(PATIENCE).await.unwrap();
    gate
}

/// Opens an epoch with the primaries there are, and puts a SKU on sale under it.
pub(crate) async fn fill(gate: &Gate, epoch: u64, sku: u64) -> (SkuKeys, Fence) {
    let keys = SkuKeys::new("t", SkuId::new(sku));
    let fence = Fence { epoch: Epoch(epoch), replids: gate.primaries().await.unwrap().values().collect() };
    let counters = Counters { available: TERMS.capacity, ..Counters::default() };
    let loader = Loader::new(gate, &keys, &fence);
    loader.begin().await.unwrap();
    loader.open(&LoadStock { terms: TERMS, counters }).await.unwrap();
    (keys, fence)
}

fn stand<'a>(gate: &'a Gate, (keys, fence): &(SkuKeys, Fence)) -> Stand<'a> {
    Stand { gate, keys: keys.clone(), fence: fence.clone(), price_minor: PRICE_MINOR }
}

fn won(decisions: &[Decision]) -> bool {
    decisions.iter().all(|decision| matches!(decision, Decision::Won(_)))
}

/// Buys as a buyer does: again with the same key, until there is an answer.
async fn insist(stand: &Stand<'_>, ask: &Ask) -> Decision {
    let started = Instant::now();
    loop {
        match stand.reserve(std::slice::from_ref(ask)).await {
            Ok(mut reserved) => return reserved.decisions.remove(0),
            Err(error) => assert!(started.elapsed() < PATIENCE, "nothing is decided: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn replid_of(server: &Server) -> String {
    let info = redis_command(server, &["INFO", "replication"]).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().trim().to_owned()
}

/// The list may be in any order, and after a failover and a fail-back the gate is where the primary is.
#[tokio::test]
async fn the_primary_is_found_wherever_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let pair = RedisSet::start_replicated(dir.path(), 1).await.unwrap();
    let [first, second] = pair.servers() else { panic!() };
    let gate = gate(format!("redis://{},{}/3", second.address(), first.address())).await;
    let site = fill(&gate, 1, 7).await;
    assert!(won(&stand(&gate, &site).reserve(&[ask(1, 1, "k")]).await.unwrap().decisions));
    assert_eq!(site.1.replids.as_str(), replid_of(first).await);

    for (epoch, old, new) in [(2, first, second), (3, second, first)] {
        promote(new).await.unwrap();
        follow(old, new).await.unwrap();
        let replid = replid_of(new).await;
        let started = Instant::now();
        // Nobody buys meanwhile: the gate notices by itself.
        while gate.primaries().await.ok().is_none_or(|primaries| primaries[SINGLE_PRIMARY] != replid) {
            assert!(started.elapsed() < PATIENCE, "the new primary is not found");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let fenced = stand(&gate, &site).reserve(&[ask(epoch, 1, "old")]).await;
        assert!(matches!(fenced, Err(StockError::Fenced(_))), "its past is not accounted for: {fenced:?}");
        let site = fill(&gate, epoch, 7).await;
        assert!(won(&stand(&gate, &site).reserve(&[ask(epoch, 1, "k")]).await.unwrap().decisions));
    }
}

/// Two primaries: the old one lives on, and a daemon is still connected to it. A newer epoch, opened elsewhere, leads it
/// away; and who connects anew asks for the right one, whichever comes first in the list.
#[tokio::test]
async fn of_two_primaries_the_one_of_the_open_epoch_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let pair = RedisSet::start_replicated(dir.path(), 1).await.unwrap();
    let [old, new] = pair.servers() else { panic!() };
    let stays = gate(format!("redis://{},{}", old.address(), new.address())).await;
    let before = fill(&stays, 1, 7).await;
    promote(new).await.unwrap();
    let elsewhere = gate(new.url().to_owned()).await;
    let after = fill(&elsewhere, 2, 7).await;

    assert!(
        won(&stand(&stays, &before).reserve(&[ask(1, 1, "k")]).await.unwrap().decisions),
        "for now it is as it was"
    );
    let payment = PaymentId::parse("pi_1").unwrap();
    let fate = stays.propose(&after.1, &payment, OrderId::new(1), Fate::Open, Fate::Open).await;
    assert!(matches!(fate, Err(StockError::Fenced(_))), "and gives no word about money: {fate:?}");
    assert!(matches!(insist(&stand(&stays, &after), &ask(2, 1, "k")).await, Decision::Won(_)));
    assert_eq!(stays.primaries().await.unwrap()[SINGLE_PRIMARY], replid_of(new).await);
    let fate = stays.propose(&after.1, &payment, OrderId::new(1), Fate::Open, Fate::Open).await.unwrap();
    assert_eq!(fate, Register::Fate(Fate::Open));

    let late = gate(format!("redis://{},{}", old.address(), new.address())).await;
    late.look_for(&after.1).await;
    assert_eq!(late.primaries().await.unwrap()[SINGLE_PRIMARY], replid_of(new).await);
    assert_eq!(stand(&elsewhere, &after).snapshot().await.counters.held, 1, "one unit of the new epoch is held, once");
}

/// Password and database go to every candidate.
#[tokio::test]
async fn several_servers_share_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let pair = RedisSet::start_replicated(dir.path(), 1).await.unwrap();
    for server in pair.servers() {
        redis_command(server, &["CONFIG", "SET", "masterauth", "p@w"]).await.unwrap();
        redis_command(server, &["CONFIG", "SET", "requirepass", "p@w"]).await.unwrap();
    }
    let hosts = pair.url().strip_prefix("redis://").unwrap();
    let gate = gate(format!("redis://default:p%40w@{hosts}")).await;
    let site = fill(&gate, 1, 7).await;
    assert!(won(&stand(&gate, &site).reserve(&[ask(1, 1, "k")]).await.unwrap().decisions));
    let wrong = GateSettings { url: format!("redis://:no@{hosts}"), namespace: String::new(), timeout: TIMEOUT };
    let refused = Gate::new(&wrong).unwrap().wait_connected(Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(StockError::NotSent(_))), "{refused:?}");
}

/// SKUs live on different primaries, keys of buyers on others again; one primary dies, and only what it owned stops. Its heir
/// is fenced, then filled, and nothing was decided twice.
#[tokio::test]
async fn a_cluster_decides_where_the_sku_lives() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = RedisSet::start_cluster(dir.path()).await.unwrap();
    // One node is enough to find the others.
    let gate = gate(format!("redis-cluster://{}", cluster.servers()[4].address())).await;
    assert_eq!(gate.primaries().await.unwrap().len(), 3);
    let mut sites = Vec::new();
    for sku in 1..=9 {
        sites.push(fill(&gate, 1, sku).await);
    }
    for (sku, site) in (1..).zip(&sites) {
        let users: Vec<_> = (1..=20).map(|user| ask(user, 1, &format!("{sku}"))).collect();
        let keys: Vec<_> = users.iter().map(|ask| (ask.user_id, ask.idempotency_key.as_str())).collect();
        let claimed = gate.claim_keys(&site.1, SkuId::new(sku), &keys).await;
        assert_eq!(claimed, vec![Ok(true); 20], "over all primaries, in order");
        let other = SkuId::new(sku + 100);
        let fresh = format!("fresh {sku}");
        let mut mixed = keys.clone();
        mixed[3].1 = &fresh;
        let claimed = gate.claim_keys(&site.1, other, &mixed).await;
        let ours = claimed.iter().position(|ours| *ours == Ok(true));
        assert_eq!(ours, Some(3), "and the answers are told apart: {claimed:?}");
        let decisions = stand(&gate, site).reserve(&users[..TERMS.capacity as usize / 2]).await.unwrap().decisions;
        assert!(won(&decisions), "{decisions:?}");
    }
    assert!(gate.now_ms().await.unwrap() > 0);
    assert_eq!(gate.sku_of_order(OrderId::new(1)).await.unwrap(), None);

    let victim = &cluster.servers()[0];
    victim.kill9().await.unwrap();
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    for (index, site) in sites.iter().enumerate() {
        match stand(&gate, site).reserve(&[ask(50, 1, "after")]).await {
            Ok(reserved) => {
                assert!(won(&reserved.decisions));
                alive.push(index);
            }
            Err(StockError::NotSent(_) | StockError::Unknown(_) | StockError::Refused(_)) => dead.push(index),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(!alive.is_empty() && !dead.is_empty(), "alive {alive:?}, dead {dead:?}");
    // The heir has everything its primary had told it, and may not decide: nobody knows whether that is all.
    let started = Instant::now();
    for index in dead {
        let site = &sites[index];
        loop {
            match stand(&gate, site).reserve(&[ask(50, 1, "after")]).await {
                Err(StockError::Fenced(reason)) if reason.starts_with("REPLID") => break,
                Err(error) => assert!(started.elapsed() < PATIENCE * 2, "the heir is not found: {error}"),
                Ok(decided) => panic!("decided by an heir: {decided:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let primaries = gate.primaries().await.unwrap();
    assert!(!primaries.contains_key(victim.address()), "{primaries:?}");
    let again = fill(&gate, 2, 1).await;
    assert!(won(&stand(&gate, &again).reserve(&[ask(60, 1, "k")]).await.unwrap().decisions));
}
