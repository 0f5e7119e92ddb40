//! A slot of a cluster moves to another primary, with the stock in it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{PATIENCE, PRICE_MINOR, Stand, ask, connect};
use crate::topologies::{fill, gate};
use flash_core::stock::Decision;
use flash_stack::{RedisSet, Server, redis_command};
use flash_stores::redis::{Fence, Replids, StockError};
use std::time::{Duration, Instant};

async fn ask_node(node: &Server, command: &[&str]) -> String {
    redis_command(node, command).await.unwrap().trim().to_owned()
}

/// Moves the slot of a key from one primary to another, as `redis-cli --cluster reshard` does.
async fn move_slot(key: &str, from: &Server, to: &Server, others: &[Server]) {
    let slot = ask_node(from, &["CLUSTER", "KEYSLOT", key]).await;
    let (from_id, to_id) = (ask_node(from, &["CLUSTER", "MYID"]).await, ask_node(to, &["CLUSTER", "MYID"]).await);
    ask_node(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    ask_node(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    loop {
        let mut list = redis::cmd("CLUSTER");
        list.arg(&["GETKEYSINSLOT", &slot, "100"]);
        let keys: Vec<String> = list.query_async(&mut connect(from).await).await.unwrap();
        if keys.is_empty() {
            break;
        }
        let port = to.port().to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        ask_node(from, &migrate).await;
    }
    for node in [to, from].into_iter().chain(others) {
        // A replica does not need to be told.
        let _ = redis_command(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
}

/// The stock goes on at the new owner if the epoch names it, to the unit; if the epoch names the old owner alone, what has arrived
/// is a copy that nobody has vouched for, and nothing is decided until it is filled anew.
#[tokio::test]
async fn a_slot_that_moves_sells_on_where_the_epoch_names_the_new_owner_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = RedisSet::start_cluster(dir.path()).await.unwrap();
    let gate = gate(cluster.url().to_owned()).await;
    let (keys, fence) = fill(&gate, 1, 7).await;
    let stand =
        |fence: &Fence| Stand { gate: &gate, keys: keys.clone(), fence: fence.clone(), price_minor: PRICE_MINOR };
    let first = stand(&fence).reserve(&[ask(1, 2, "k")]).await.unwrap();
    assert!(matches!(first.decisions[..], [Decision::Won(_)]));

    let slot: usize = ask_node(&cluster.servers()[0], &["CLUSTER", "KEYSLOT", &keys.stock]).await.parse().unwrap();
    let owner = slot * 3 / 16_384;
    let (from, to) = (&cluster.servers()[owner], &cluster.servers()[(owner + 1) % 3]);
    let primaries = gate.primaries().await.unwrap();
    let of_old: Replids = primaries.iter().filter(|(name, _)| *name == from.address()).map(|(_, id)| id).collect();
    move_slot(&keys.stock, from, to, cluster.servers()).await;

    let started = Instant::now();
    loop {
        match stand(&fence).reserve(&[ask(2, 1, "k")]).await {
            Ok(reserved) => {
                assert_eq!((reserved.counters.available, reserved.counters.held), (7, 3), "nothing is lost on the way");
                break;
            }
            Err(error) => assert!(started.elapsed() < PATIENCE, "the new owner is not found: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let only_old = Fence { replids: of_old, ..fence.clone() };
    let fenced = stand(&only_old).reserve(&[ask(3, 1, "k")]).await;
    assert!(matches!(&fenced, Err(StockError::Fenced(why)) if why.starts_with("REPLID")), "{fenced:?}");
    let (_, filled) = fill(&gate, 2, 7).await;
    assert!(matches!(stand(&filled).reserve(&[ask(4, 1, "k")]).await.unwrap().decisions[..], [Decision::Won(_)]));
}
