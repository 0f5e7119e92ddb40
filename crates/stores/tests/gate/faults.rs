//! The gate while Redis misbehaves: whatever it does, a purchase is decided by a Redis whose past is accounted for, or the
//! answer says what is known – "fenced" and "refused" mean nothing changed, "unknown" means nobody can tell.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{Bench, PATIENCE, SKU, Stand, TERMS, ask, connect, near_miss};
use flash_core::order::OrderState;
use flash_core::stock::{Ask, Decision, Hold, Terms};
use flash_stores::redis::{LoadError, LoadKey, LoadStock, Loader, Snapshot, StockError};
use std::time::{Duration, Instant};

fn fenced(result: Result<impl std::fmt::Debug, StockError>, why: &str) {
    match result {
        Err(StockError::Fenced(reason)) if reason.starts_with(why) => {}
        other => panic!("{other:?} instead of a fence because of {why}"),
    }
}

fn refused(result: Result<impl std::fmt::Debug, StockError>, code: &str) {
    match result {
        Err(StockError::Refused(reason)) if reason.contains(code) => {}
        other => panic!("{other:?} instead of a refusal because of {code}"),
    }
}

async fn win(stand: &Stand<'_>, ask: &Ask) -> Hold {
    match stand.reserve(std::slice::from_ref(ask)).await.unwrap().decisions.remove(0) {
        Decision::Won(hold) => hold,
        other => panic!("{other:?} instead of a win"),
    }
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again_and_decide_once() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    for round in 1..=3 {
        bench.raw::<()>(&["SCRIPT", "FLUSH"]).await;
        win(&stand, &ask(round, 2, "k")).await;
    }
    assert_eq!(stand.snapshot().await.counters.available, 4);
}

#[tokio::test]
async fn flushed_or_restarted_redis_is_fenced() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    win(&stand, &ask(1, 2, "k")).await;
    bench.raw::<()>(&["FLUSHALL"]).await;
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "MISSING");
    assert_eq!(bench.raw::<u64>(&["DBSIZE"]).await, 0, "a fenced call leaves nothing behind");

    bench.server.restart().await.unwrap();
    let gone = stand.reserve(&[ask(2, 1, "k")]).await;
    assert!(matches!(gone, Err(StockError::Unknown(_) | StockError::NotSent(_))), "{gone:?}");
    assert_eq!(back(&bench, &stand).await, None, "it has forgotten everything");
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "MISSING");
}

/// The dangerous kind: a restart that loads an older state, stock hash and epoch included.
#[tokio::test]
async fn a_redis_that_comes_back_with_its_stock_but_without_its_tail_is_fenced() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    bench.raw::<()>(&["SAVE"]).await;
    win(&stand, &ask(1, 2, "k")).await;
    bench.server.kill9().await.unwrap();
    bench.server.restart().await.unwrap();
    let forgot = back(&bench, &stand).await.expect("the old state is there");
    assert_eq!((forgot.counters.available, forgot.epoch.as_str()), (TERMS.capacity, "1"), "it has forgotten the win");
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "REPLID");
    fenced(bench.gate.configure(&stand.keys, &stand.fence, &TERMS).await, "REPLID");
}

/// A fails over to B and back again: A still knows its scripts, and its stock, but not the sales of the time between.
#[tokio::test]
async fn replicas_promotions_and_fail_backs_are_fenced() {
    let (bench, other) = (Bench::start().await, Bench::start().await);
    let stand = bench.open(TERMS).await;
    win(&stand, &ask(1, 1, "k")).await;
    let (old_port, new_port) = (bench.server.port().to_string(), other.server.port().to_string());
    other.raw::<()>(&["REPLICAOF", "127.0.0.1", &old_port]).await;
    until(&other, "master_link_status:up").await;
    let copy = Stand { gate: &other.gate, keys: stand.keys.clone(), fence: stand.fence.clone(), price_minor: 1 };
    refused(copy.reserve(&[ask(2, 1, "k")]).await, "ReadOnly");
    assert!(matches!(other.gate.primaries().await, Err(StockError::Refused(_))), "a replica is no primary");

    other.raw::<()>(&["CONFIG", "SET", "replica-read-only", "no"]).await;
    fenced(copy.reserve(&[ask(2, 1, "k")]).await, "ROLE");
    other.raw::<()>(&["CONFIG", "SET", "replica-read-only", "yes"]).await;

    other.raw::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    fenced(copy.reserve(&[ask(2, 1, "k")]).await, "REPLID");
    bench.raw::<()>(&["REPLICAOF", "127.0.0.1", &new_port]).await;
    until(&bench, "master_link_status:up").await;
    bench.raw::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "REPLID");
    assert_eq!(stand.snapshot().await.counters.available, TERMS.capacity - 1, "and nothing was decided anywhere");
}

#[tokio::test]
async fn a_replica_without_its_primary_refuses() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    bench.raw::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await;
    bench.raw::<()>(&["CONFIG", "SET", "replica-read-only", "no"]).await;
    let closed = flash_stack::free_port().unwrap().to_string();
    bench.raw::<()>(&["REPLICAOF", "127.0.0.1", &closed]).await;
    refused(stand.reserve(&[ask(1, 1, "k")]).await, "MasterDown");
}

/// Wrong types make a script fail on purpose: before its first write, and between its writes.
#[tokio::test]
async fn a_script_that_dies_is_unknown_and_can_only_undersell() {
    let bench = Bench::start().await;
    let before = bench.open(TERMS).await;
    bench.raw::<()>(&["SET", &before.keys.buyers, "not a hash"]).await;
    let died = before.reserve(&[ask(1, 2, "k")]).await;
    assert!(matches!(died, Err(StockError::Unknown(_))), "{died:?}");
    assert_eq!(back(&bench, &before).await.unwrap().counters.available, TERMS.capacity, "it died before it wrote");

    let halfway = bench.open(TERMS).await;
    bench.raw::<()>(&["SET", &halfway.keys.hold, "not a hash"]).await;
    let died = halfway.reserve(&[ask(1, 2, "k"), ask(2, 1, "k")]).await;
    assert!(matches!(died, Err(StockError::Unknown(_))), "{died:?}");
    let counters = back(&bench, &halfway).await.unwrap().counters;
    assert_eq!((counters.available, counters.held, counters.sold), (TERMS.capacity - 3, 3, 0), "stock went down first");
    let answer: Option<String> = bench.raw(&["GET", &halfway.keys.answer(ask(1, 1, "k").user_id, "k")]).await;
    assert_eq!(answer, None, "a key never answers with a hold that is not there");
}

#[tokio::test]
async fn a_redis_without_memory_or_with_a_runaway_script_refuses() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    bench.raw::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    refused(stand.reserve(&[ask(1, 1, "k")]).await, "OOM");
    bench.raw::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;

    bench.raw::<()>(&["CONFIG", "SET", "busy-reply-threshold", "20"]).await;
    let mut other = connect(&bench.server).await;
    let runaway = tokio::spawn(async move {
        // Its end is an error: it is killed.
        let _ = redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<()>(&mut other).await;
    });
    let deadline = Instant::now() + PATIENCE;
    let busy = loop {
        match stand.reserve(&[ask(1, 1, "busy")]).await {
            Ok(_) if Instant::now() < deadline => {}
            other => break other,
        }
    };
    refused(busy, "BUSY");
    bench.raw::<()>(&["SCRIPT", "KILL"]).await;
    runaway.await.unwrap();
    let answer = stand.reserve(&[ask(1, 1, "k")]).await.unwrap();
    assert!(!matches!(answer.decisions[0], Decision::KeyReused), "and it decides again: {answer:?}");
}

/// A frozen Redis costs one call its answer; the next ones are refused without being sent; then it heals by itself, and
/// the key finds out what became of the purchase.
#[tokio::test]
async fn a_frozen_redis_is_unknown_once_and_then_not_asked() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    win(&stand, &ask(9, 1, "warm")).await;
    let purchase = ask(1, 3, "k");
    bench.server.pause().unwrap();
    let first = stand.reserve(std::slice::from_ref(&purchase)).await;
    assert!(matches!(first, Err(StockError::Unknown(_))), "{first:?}");
    // The connection is given up by a task of its own.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    let second = stand.reserve(std::slice::from_ref(&purchase)).await;
    assert!(matches!(second, Err(StockError::NotSent(_))), "{second:?}");
    assert!(asked.elapsed() < Duration::from_millis(100), "a refusal never waits");
    bench.server.resume().unwrap();
    back(&bench, &stand).await.expect("it has lost nothing");
    let retry = ask(1, 3, "k");
    let told = stand.reserve(std::slice::from_ref(&retry)).await.unwrap().decisions.remove(0);
    let (Decision::Won(hold) | Decision::Replayed(hold)) = told else { panic!("{told:?}") };
    assert_eq!(hold.quantity, 3);
    assert_eq!(stand.snapshot().await.counters.held, 4, "taken once, whether the first call arrived or not");
}

#[tokio::test]
async fn terms_change_and_stock_does_not() {
    let bench = Bench::start().await;
    let mut stand = bench.open(TERMS).await;
    let told = win(&stand, &ask(1, 4, "k")).await;
    let terms = Terms { capacity: 99, per_user: 6, hold_ms: 60_000, opens_at_ms: 0, closes_at_ms: 0, paused: false };
    stand.gate.configure(&stand.keys, &stand.fence, &terms).await.unwrap();
    let more = win(&stand, &ask(1, 2, "k2")).await;
    assert_eq!(more.expires_at_ms - more.reserved_at_ms, 60_000);
    let again = stand.reserve(&[ask(1, 4, "k")]).await.unwrap().decisions.remove(0);
    assert_eq!(again, Decision::Replayed(told), "a hold keeps the expiry it was told");
    let snapshot = stand.snapshot().await;
    assert_eq!((snapshot.capacity, snapshot.counters.available), (TERMS.capacity, TERMS.capacity - 6));
    stand.fence.epoch.0 += 1;
    fenced(stand.gate.configure(&stand.keys, &stand.fence, &terms).await, "EPOCH");
}

/// In a cluster an epoch is opened with several primaries; each of them knows itself among the others.
#[tokio::test]
async fn one_of_several_primaries_may_decide_and_a_stranger_may_not() {
    let bench = Bench::start().await;
    let mut stand = bench.open(TERMS).await;
    let (own, others) = (stand.fence.replids.as_str().to_owned(), ["0".repeat(40), "f".repeat(40)]);
    stand.fence.replids = others.iter().chain([&own]).collect();
    win(&stand, &ask(1, 1, "k")).await;
    stand.fence.replids = others.iter().chain([&format!("{own}0")]).collect();
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "REPLID");
    stand.fence.replids = others.iter().collect();
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "REPLID");
    stand.fence.replids = flash_stores::redis::Replids::default();
    fenced(stand.reserve(&[ask(2, 1, "k")]).await, "REPLID");
}

/// A SKU is closed, loaded from the truth and opened under a higher epoch: no decision in between, the same answers after.
#[tokio::test]
async fn loading_keeps_holds_caps_and_keys() {
    let bench = Bench::start().await;
    let old = bench.open(TERMS).await;
    let hold = win(&old, &ask(1, 3, "a:b")).await;
    let counters = old.snapshot().await.counters;
    // A win that the truth does not know, so that nobody was told of it; only its key's answer stays behind.
    win(&old, &ask(3, 1, "void")).await;
    let mut new = Stand { gate: &bench.gate, keys: old.keys.clone(), fence: old.fence.clone(), price_minor: 1 };
    new.fence.epoch.0 = 2;
    let loader = Loader::new(&bench.gate, &new.keys, &new.fence);
    loader.close().await.unwrap();
    for stand in [&old, &new] {
        fenced(stand.reserve(&[ask(2, 1, "k")]).await, "EPOCH closed:2");
    }
    loader.begin().await.unwrap();
    loader.holds(std::slice::from_ref(&hold)).await.unwrap();
    let key = LoadKey {
        user_id: hold.user_id,
        idempotency_key: hold.idempotency_key.clone(),
        quantity: hold.quantity,
        state: OrderState::Reserved,
        receipt: hold.receipt(),
        life_ms: 60_000,
    };
    loader.answers(SKU, std::slice::from_ref(&key)).await.unwrap();
    loader.buyers(&[(hold.user_id, hold.quantity)]).await.unwrap();
    for stand in [&old, &new] {
        fenced(stand.reserve(&[ask(2, 1, "k")]).await, "EPOCH loading:2");
    }
    let stock = LoadStock { terms: TERMS, counters };
    loader.open(&stock).await.unwrap();
    fenced(old.reserve(&[ask(2, 1, "k")]).await, "EPOCH 2");
    let asks = [ask(1, 3, "a:b"), ask(1, 2, "a:b"), ask(1, 2, "new"), ask(1, 1, "new")];
    let decisions = new.reserve(&asks).await.unwrap().decisions;
    assert_eq!(decisions[..3], [Decision::Replayed(hold), Decision::KeyReused, Decision::LimitReached]);
    assert!(matches!(&decisions[3], Decision::Won(hold) if hold.seq == 2), "{decisions:?}");
    assert_eq!(bench.gate.winners(&new.keys, 0, 9).await.unwrap(), [1], "who won before is not a new winner");
    let fresh = win(&new, &ask(3, 1, "void")).await;
    assert_eq!(fresh.seq, 3, "an answer of an older epoch is none");
    let late = loader.open(&stock).await;
    assert!(matches!(late, Err(LoadError::Refused(_))), "a late duplicate resets nothing: {late:?}");
}

/// The loader's guard: an older coordinator, another server's replication id, and a SKU that is there already.
#[tokio::test]
async fn the_loader_is_guarded() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    let stock = LoadStock { terms: TERMS, counters: stand.snapshot().await.counters };
    let mut newer = stand.fence.clone();
    newer.epoch.0 = 5;
    Loader::new(&bench.gate, &stand.keys, &newer).begin().await.unwrap();
    let mut older = stand.fence.clone();
    older.epoch.0 = 4;
    let late = Loader::new(&bench.gate, &stand.keys, &older);
    for result in [late.begin().await, late.close().await, late.open(&stock).await, late.create(&stock).await] {
        assert!(matches!(result, Err(LoadError::Refused(_))), "{result:?}");
    }
    let mut elsewhere = newer.clone();
    elsewhere.replids = [near_miss(&newer), "0".repeat(40)].into_iter().collect();
    let stranger = Loader::new(&bench.gate, &stand.keys, &elsewhere);
    for result in [stranger.begin().await, stranger.open(&stock).await] {
        assert!(matches!(&result, Err(LoadError::Refused(why)) if why.starts_with("REPLID")), "{result:?}");
    }
    assert_eq!(stand.snapshot().await.epoch, "loading:5");
}

/// Waits until the gate has healed itself, and looks at the SKU.
async fn back(bench: &Bench, stand: &Stand<'_>) -> Option<Snapshot> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bench.gate.snapshot(&stand.keys).await {
            Ok(snapshot) => return snapshot,
            Err(error) => assert!(Instant::now() < deadline, "the gate does not come back: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until(bench: &Bench, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !bench.raw::<String>(&["INFO", "replication"]).await.contains(line) {
        assert!(Instant::now() < deadline, "no {line}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
