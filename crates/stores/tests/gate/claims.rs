//! Claims of idempotency keys over several servers: who may take them, and whom a dead primary concerns.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{PATIENCE, PRICE_MINOR};
use crate::topologies::{fill, gate};
use flash_core::ids::{OrderId, ReservationId, SkuId, UserId};
use flash_core::stock::Hold;
use flash_stack::{RedisSet, Server, promote, redis_command};
use flash_stores::redis::{Fence, Gate, StockError};
use std::time::{Duration, Instant};

const SKU: SkuId = SkuId::new(7);
/// So many that some live on each primary.
const MANY: u64 = 30;
/// The first of three primaries owns the slots below.
const SLOTS_OF_FIRST: u64 = 16_384 / 3;
const PAUSE: Duration = Duration::from_millis(50);

/// Numbers whose key lives on the first primary, and the others; any node can tell.
async fn sorted(node: &Server, key: impl Fn(u64) -> String) -> (Vec<u64>, Vec<u64>) {
    let (mut of_first, mut others) = (Vec::new(), Vec::new());
    for number in 1..=MANY {
        let slot = redis_command(node, &["CLUSTER", "KEYSLOT", &key(number)]).await.unwrap();
        let slot: u64 = slot.parse().unwrap();
        (if slot < SLOTS_OF_FIRST { &mut of_first } else { &mut others }).push(number);
    }
    assert!(!of_first.is_empty() && !others.is_empty());
    (of_first, others)
}

/// Claims a key of many buyers at once, again and again, until those of `alive` have theirs and `enough` is said of the
/// answers of `gone`, of whom nobody may ever get one.
async fn claim_until(
    gate: &Gate,
    fence: &Fence,
    [alive, gone]: [&[u64]; 2],
    enough: impl Fn(&Result<bool, StockError>) -> bool,
) {
    let started = Instant::now();
    loop {
        let keys: Vec<_> = gone.iter().chain(alive).map(|user| (UserId::new(*user), "k")).collect();
        let claimed = gate.claim_keys(fence, SKU, &keys).await;
        assert_eq!(claimed.len(), keys.len());
        let (of_gone, of_alive) = claimed.split_at(gone.len());
        assert!(of_gone.iter().all(Result::is_err), "nobody may say so: {of_gone:?}");
        if of_gone.iter().all(&enough) && of_alive.iter().all(|ours| *ours == Ok(true)) {
            return;
        }
        assert!(started.elapsed() < PATIENCE * 2, "of the others: {of_alive:?}, of the dead one: {of_gone:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

fn win(user: u64, order: u64) -> Hold {
    Hold {
        order_id: OrderId::new(order),
        reservation_id: ReservationId::new(order),
        user_id: UserId::new(user),
        quantity: 1,
        unit_price_minor: PRICE_MINOR,
        seq: 1,
        reserved_at_ms: 1,
        expires_at_ms: 300_001,
        idempotency_key: "k".to_owned(),
    }
}

/// A dead primary without an heir concerns those whose keys live there, nobody else in their batch; not being able to remember
/// an order's SKU concerns nobody. Then there is an heir: it has not been filled, and its word about keys does not count.
#[tokio::test]
async fn a_dead_primary_stops_only_its_own_buyers_and_its_heir_takes_no_claims() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = RedisSet::start_cluster(dir.path()).await.unwrap();
    let servers = cluster.servers();
    let (first, heir, node) = (&servers[0], &servers[3], &servers[1]);
    let gate = gate(cluster.url().to_owned()).await;
    let (_, fence) = fill(&gate, 1, 7).await;
    let (gone, alive) = sorted(node, |user| format!("t:{{user:{user}}}:key:k")).await;
    let (orders_gone, orders_alive) = sorted(node, |order| format!("t:{{order:{order}}}")).await;
    let everybody = [gone.clone(), alive.clone()].concat();
    claim_until(&gate, &fence, [&everybody, &[]], |_| true).await;

    heir.pause().unwrap();
    first.pause().unwrap();
    claim_until(&gate, &fence, [&alive, &gone], |_| true).await;
    let wins = [win(alive[0], orders_gone[0]), win(gone[0], orders_alive[0]), win(alive[0], orders_alive[0])];
    let started = Instant::now();
    loop {
        let kept = gate.keep_claims(SKU, &wins.iter().collect::<Vec<_>>()).await;
        assert!(kept.len() == 3 && kept[1].is_err(), "its primary is dead: {kept:?}");
        if kept[0].is_ok() && kept[2].is_ok() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{kept:?}");
        tokio::time::sleep(PAUSE).await;
    }

    first.kill9().await.unwrap();
    heir.resume().unwrap();
    // It may have been elected already.
    let _ = redis_command(heir, &["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
    let fenced = |ours: &Result<bool, _>| matches!(ours, Err(StockError::Fenced(why)) if why.starts_with("REPLID"));
    claim_until(&gate, &fence, [&alive, &gone], fenced).await;
    let (_, filled) = fill(&gate, 2, 7).await;
    claim_until(&gate, &filled, [&everybody, &[]], |_| true).await;
}

/// Two primaries, and the gate is led to the one that nobody filled: what it says of keys does not count, and the gate goes to
/// the one of the open epoch. Else a claim would be here and the decision there.
#[tokio::test]
async fn of_two_primaries_the_one_of_the_open_epoch_takes_claims() {
    let dir = tempfile::tempdir().unwrap();
    let pair = RedisSet::start_replicated(dir.path(), 1).await.unwrap();
    let [filled, stranger] = pair.servers() else { panic!() };
    let (_, fence) = fill(&gate(filled.url().to_owned()).await, 1, 7).await;
    promote(stranger).await.unwrap();

    let gate = gate(format!("redis://{},{}", stranger.address(), filled.address())).await;
    let started = Instant::now();
    while gate.claim_keys(&fence, SKU, &[(UserId::new(1), "k")]).await != [Ok(true)] {
        assert!(started.elapsed() < PATIENCE, "the primary of the epoch is not found");
        tokio::time::sleep(PAUSE).await;
    }
    let claimed = redis_command(filled, &["GET", "t:{user:1}:key:k"]).await.unwrap();
    assert_eq!(claimed, SKU.to_string(), "the claim is where the decision will be");
}
