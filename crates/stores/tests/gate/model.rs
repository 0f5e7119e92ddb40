//! `lua/reserve.lua` in a real Redis against the pure model in `flash_core::stock`: random sequences, compared after every
//! step – decisions, counters, holds, buyers, winners.
//!
//! The model is driven with the time that each reply carried, so both decide at the same instant and nothing depends on
//! how fast the test runs.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{Bench, PRICE_MINOR, Stand, ask};
use flash_core::ids::Epoch;
use flash_core::limits::LANE_BATCH_MAX;
use flash_core::stock::{Ask, Decision, StockModel, Terms};
use flash_stores::redis::{Fence, StockError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::HashMap;
use std::time::Duration;

/// One purchase of a random batch: few users and few keys, so that they meet.
#[derive(Debug, Clone)]
struct Wish {
    user: u64,
    quantity: u32,
    /// `None`: a key of its own.
    key: Option<u8>,
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<Wish>),
    /// Time passes: buckets fill, holds end, the sale opens or closes.
    Wait(u64),
    WrongEpoch(Vec<Wish>),
    WrongReplid(Vec<Wish>),
    /// Redis forgets its scripts.
    ScriptFlush,
    /// The price changes.
    Price(u64),
}

/// How the SKU is sold. Times of the window are relative to the start of the case.
#[derive(Debug, Clone)]
struct Sale {
    capacity: u32,
    per_user: u32,
    hold_ms: u64,
    opens_in_ms: Option<u64>,
    closes_in_ms: Option<u64>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let key = prop_oneof![2 => Just(None), 3 => (0..5_u8).prop_map(Some)];
    (1..6_u64, 1..=10_u32, key).prop_map(|(user, quantity, key)| Wish { user, quantity, key })
}

/// Mostly single units, so that a case does not end after three purchases.
fn small_wish() -> impl Strategy<Value = Wish> {
    (wish(), prop_oneof![4 => Just(1_u32), 1 => 1..=3_u32]).prop_map(|(wish, quantity)| Wish { quantity, ..wish })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(prop_oneof![small_wish(), wish()], 1..12).prop_map(Step::Batch),
        2 => vec(small_wish(), 1..=LANE_BATCH_MAX).prop_map(Step::Batch),
        2 => (1..60_u64).prop_map(Step::Wait),
        1 => vec(wish(), 1..4).prop_map(Step::WrongEpoch),
        1 => vec(wish(), 1..4).prop_map(Step::WrongReplid),
        1 => Just(Step::ScriptFlush),
        1 => (0..1_000_000_u64).prop_map(Step::Price),
    ]
}

fn sale() -> impl Strategy<Value = Sale> {
    let capacity = prop_oneof![1..20_u32, 20..400_u32];
    let per_user = prop_oneof![1..12_u32, 12..200_u32];
    let hold_ms = prop_oneof![Just(15_u64), Just(300_000_u64)];
    let edge = || proptest::option::weighted(0.3, 0..80_u64);
    (capacity, per_user, hold_ms, edge(), edge()).prop_map(
        |(capacity, per_user, hold_ms, opens_in_ms, closes_in_ms)| Sale {
            capacity,
            per_user,
            hold_ms,
            opens_in_ms,
            closes_in_ms,
        },
    )
}

/// The real stand beside the model, and what the test itself adds up from the wins.
struct Pair<'a> {
    bench: &'a Bench,
    stand: Stand<'a>,
    model: StockModel,
    capacity: u32,
    units: HashMap<String, u32>,
    winners: Vec<String>,
    orders: Vec<flash_core::ids::OrderId>,
}

#[test]
fn redis_and_the_model_agree_after_every_step() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let config = Config { cases: 60, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&(sale(), vec(step(), 1..24)), |(sale, steps)| {
        runtime.block_on(async {
            let mut pair = Pair::start(&bench, &sale).await;
            for step in &steps {
                pair.take(step).await?;
            }
            Ok(())
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

impl<'a> Pair<'a> {
    async fn start(bench: &'a Bench, sale: &Sale) -> Self {
        let clock: (u64, u64) = bench.raw(&["TIME"]).await;
        let now_ms = clock.0 * 1000 + clock.1 / 1000;
        let at = |edge: Option<u64>| edge.map_or(0, |in_ms| now_ms + in_ms);
        let terms = Terms {
            capacity: sale.capacity,
            per_user: sale.per_user,
            hold_ms: sale.hold_ms,
            opens_at_ms: at(sale.opens_in_ms),
            closes_at_ms: at(sale.closes_in_ms),
            paused: false,
        };
        let stand = bench.open(terms).await;
        let model = StockModel::new(terms);
        let capacity = terms.capacity;
        Self { bench, stand, model, capacity, units: HashMap::new(), winners: Vec::new(), orders: Vec::new() }
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Batch(wishes) => self.batch(wishes).await?,
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::WrongEpoch(wishes) => {
                let fence = Fence { epoch: Epoch(2), ..self.stand.fence.clone() };
                self.fenced(&fence, wishes, "EPOCH 1").await?;
            }
            Step::WrongReplid(wishes) => {
                let fence = Fence { replid: "0".repeat(40), ..self.stand.fence.clone() };
                self.fenced(&fence, wishes, "REPLID").await?;
            }
            Step::ScriptFlush => self.bench.raw::<()>(&["SCRIPT", "FLUSH"]).await,
            Step::Price(minor) => self.stand.price_minor = *minor,
        }
        self.compare().await
    }

    async fn batch(&mut self, wishes: &[Wish]) -> Result<(), TestCaseError> {
        let asks = asks(wishes);
        let before = self.model.counters();
        let reserved = self.stand.reserve(&asks).await.unwrap();
        let expected = self.model.reserve(&asks, self.stand.price_minor, reserved.now_ms);
        prop_assert_eq!(&reserved.decisions, &expected);
        prop_assert_eq!(reserved.counters, self.model.counters());
        let mut seq = before.seq;
        let mut first_expiry_ms = None;
        for decision in &reserved.decisions {
            let Decision::Won(hold) = decision else { continue };
            seq += 1;
            prop_assert_eq!(hold.seq, seq, "one step of the sequence per win");
            let user = hold.user_id.to_string();
            if !self.units.contains_key(&user) {
                self.winners.push(user.clone());
            }
            *self.units.entry(user).or_default() += hold.quantity;
            self.orders.push(hold.order_id);
        }
        prop_assert_eq!(reserved.counters.seq, seq, "a refusal takes no sequence number");
        if reserved.counters.available == 0 {
            prop_assert_eq!(reserved.winners, self.winners.len() as u64);
            let ends = self.orders.iter().filter_map(|order| self.model.hold(*order)).map(|hold| hold.expires_at_ms);
            first_expiry_ms = ends.min();
        }
        prop_assert_eq!(reserved.first_expiry_ms, first_expiry_ms);
        Ok(())
    }

    async fn fenced(&self, fence: &Fence, wishes: &[Wish], why: &str) -> Result<(), TestCaseError> {
        let refused = self.stand.reserve_behind(fence, &asks(wishes)).await;
        let fenced = matches!(&refused, Err(StockError::Fenced(reason)) if reason.starts_with(why));
        prop_assert!(fenced, "{refused:?} instead of a fence because of {why}");
        Ok(())
    }

    /// Everything Redis keeps, read behind the gate's back.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let keys = &self.stand.keys;
        let snapshot = self.stand.snapshot().await;
        let counters = snapshot.counters;
        prop_assert_eq!(counters, self.model.counters());
        prop_assert_eq!(snapshot.capacity, self.capacity);
        prop_assert_eq!(counters.available + counters.held + counters.sold, self.capacity);
        prop_assert_eq!(snapshot.holds, self.orders.len() as u64);
        let details: HashMap<String, String> = self.bench.raw(&["HGETALL", &keys.hold]).await;
        let ends: HashMap<String, u64> = self.bench.raw(&["ZRANGE", &keys.holds, "0", "-1", "WITHSCORES"]).await;
        prop_assert_eq!(details.len(), self.orders.len());
        let mut held = 0;
        for order in &self.orders {
            let hold = self.model.hold(*order).unwrap();
            let expected = format!(
                "{}:{}:{}:{}:{}:{}:{}:{}",
                hold.reservation_id,
                hold.user_id,
                hold.quantity,
                hold.unit_price_minor,
                hold.seq,
                hold.reserved_at_ms,
                hold.expires_at_ms,
                hold.idempotency_key
            );
            prop_assert_eq!(details.get(&order.to_string()), Some(&expected));
            prop_assert_eq!(ends.get(&order.to_string()), Some(&hold.expires_at_ms));
            held += hold.quantity;
        }
        prop_assert_eq!(held, counters.held, "the holds add up to the counter");
        let buyers: HashMap<String, String> = self.bench.raw(&["HGETALL", &keys.buyers]).await;
        let units: HashMap<String, u32> = buyers
            .iter()
            .map(|(user, buyer)| (user.clone(), buyer.split(':').next().unwrap().parse().unwrap()))
            .collect();
        prop_assert_eq!(&units, &self.units, "a refusal costs no memory, a win counts against the cap");
        let winners: Vec<String> = self.bench.raw(&["LRANGE", &keys.winners, "0", "-1"]).await;
        prop_assert_eq!(&winners, &self.winners);
        Ok(())
    }
}

fn asks(wishes: &[Wish]) -> Vec<Ask> {
    let key = |key: Option<u8>| key.map_or_else(|| format!("own-{}", ask(1, 1, "").order_id), |n| format!("k:{n}"));
    wishes.iter().map(|wish| ask(wish.user, wish.quantity, &key(wish.key))).collect()
}

/// The longest batch of new buyers, in one call: keys and arguments of all of them fit, and the order is kept.
#[tokio::test]
async fn the_longest_batch_is_decided_in_order() {
    let bench = Bench::start().await;
    let stand = bench.open(Terms { capacity: 200, ..crate::support::TERMS }).await;
    let asks: Vec<Ask> = (0..LANE_BATCH_MAX as u64).map(|user| ask(user + 1, 1, &"k".repeat(128))).collect();
    let reserved = stand.reserve(&asks).await.unwrap();
    for (index, (decision, ask)) in reserved.decisions.iter().zip(&asks).enumerate() {
        match decision {
            Decision::Won(hold) => {
                assert!(index < 200 && hold.seq == index as u64 + 1, "first come, first served");
                assert_eq!((hold.order_id, hold.unit_price_minor), (ask.order_id, PRICE_MINOR));
            }
            other => assert!(index >= 200 && *other == Decision::SoldOut, "{index}: {other:?}"),
        }
    }
    assert_eq!((reserved.counters.available, reserved.winners), (0, 200));
    assert_eq!(bench.gate.winners(&stand.keys, 190, 100).await.unwrap(), (191..=200).collect::<Vec<u64>>());
}
