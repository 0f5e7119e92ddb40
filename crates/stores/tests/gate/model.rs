//! The scripts in a real Redis against the pure model in `flash_core::stock`: random sequences of buying, paying, cancelling,
//! expiring and restocking, compared after every step – answers, counters, holds, settlements, buyers, winners.
//!
//! The model is driven with the time that each reply carried, so both decide at the same instant and nothing depends on
//! how fast the test runs. A reply that carries none says that a hold had ended; then the time after it is as good.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::steps::{Sale, Step, Wish, sale, step};
use crate::support::{Bench, PRICE_MINOR, Stand, ask, near_miss};
use flash_core::ids::{Epoch, OrderId, UserId};
use flash_core::limits::LANE_BATCH_MAX;
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId};
use flash_core::settlement::{Cancel, Confirm, Settlement};
use flash_core::stock::{Ask, Counters, Decision, Hold, StockModel, Terms};
use flash_stores::redis::{Fence, Resized, StockError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::HashMap;
use std::time::Duration;

/// The real stand beside the model, and what the test itself adds up from the wins.
struct Pair<'a> {
    bench: &'a Bench,
    stand: Stand<'a>,
    model: StockModel,
    winners: Vec<String>,
    /// Every order that was ever won, with its buyer.
    orders: Vec<(OrderId, UserId)>,
}

#[test]
fn redis_and_the_model_agree_after_every_step() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let config = Config { cases: 100, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&(sale(), vec(step(), 1..40)), |(sale, steps)| {
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
            paused: sale.paused,
        };
        let stand = bench.open(terms).await;
        let model = StockModel::new(stand.fence.epoch, terms);
        Self { bench, stand, model, winners: Vec::new(), orders: Vec::new() }
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (began_ms, was_empty) = (self.bench.gate.now_ms().await.unwrap(), self.model.counters().available == 0);
        let restocked_ms = self.restocked_ms().await;
        match step {
            Step::Batch(wishes) => self.batch(wishes).await?,
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::WrongEpoch(wishes) => {
                let fence = Fence { epoch: Epoch(2), ..self.stand.fence.clone() };
                self.fenced(&fence, wishes, "EPOCH 1").await?;
            }
            Step::WrongReplid(wishes) => {
                let fence =
                    Fence { replids: [near_miss(&self.stand.fence)].into_iter().collect(), ..self.stand.fence.clone() };
                self.fenced(&fence, wishes, "REPLID").await?;
            }
            Step::ScriptFlush => self.bench.raw::<()>(&["SCRIPT", "FLUSH"]).await,
            Step::Price(minor) => self.stand.price_minor = *minor,
            Step::Pay { order, payment, short } => self.pay(*order, *payment, *short).await?,
            Step::Cancel { order, who } => self.cancel(*order, *who).await?,
            Step::Sweep { most, takeover_ms } => self.sweep(*most, *takeover_ms).await?,
            Step::Finish { first, count, overtaken } => self.finish(*first, *count, *overtaken).await?,
            Step::Capacity(capacity) => self.resize(*capacity).await?,
        }
        if was_empty && self.model.counters().available > 0 {
            prop_assert!(self.restocked_ms().await >= began_ms, "units came back and nobody is told when");
        } else {
            prop_assert_eq!(self.restocked_ms().await, restocked_ms);
        }
        self.compare().await
    }

    async fn restocked_ms(&self) -> u64 {
        let noted: Option<u64> = self.bench.raw(&["HGET", &self.stand.keys.stock, "restocked_ms"]).await;
        noted.unwrap_or_default()
    }

    async fn batch(&mut self, wishes: &[Wish]) -> Result<(), TestCaseError> {
        let asks = asks(wishes);
        let before = self.model.counters();
        let reserved = self.stand.reserve(&asks).await.unwrap();
        let expected = self.model.reserve(&asks, self.stand.price_minor, reserved.now_ms);
        prop_assert_eq!(&reserved.decisions, &expected);
        prop_assert_eq!(reserved.counters, self.model.counters());
        prop_assert_eq!(reserved.restocked_ms, self.restocked_ms().await);
        let mut seq = before.seq;
        let mut first_expiry_ms = None;
        for decision in &reserved.decisions {
            let Decision::Won(hold) = decision else { continue };
            seq += 1;
            prop_assert_eq!(hold.seq, seq, "one step of the sequence per win");
            let user = hold.user_id.to_string();
            if !self.winners.contains(&user) {
                self.winners.push(user);
            }
            self.orders.push((hold.order_id, hold.user_id));
        }
        prop_assert_eq!(reserved.counters.seq, seq, "a refusal takes no sequence number");
        if reserved.counters.available == 0 {
            prop_assert_eq!(reserved.winners, self.winners.len() as u64);
            first_expiry_ms = self.model.holds().map(|hold| hold.expires_at_ms).min();
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

    /// One of the orders that were won; none were, perhaps.
    fn one_of(&self, index: usize) -> Option<(OrderId, UserId)> {
        self.orders.get(index % self.orders.len().max(1)).copied()
    }

    async fn pay(&mut self, order: usize, payment: u8, short: bool) -> Result<(), TestCaseError> {
        let Some((order_id, _)) = self.one_of(order) else { return Ok(()) };
        let price = self.model.holds().find(|hold| hold.order_id == order_id).map_or(0, Hold::total_minor);
        let payment = Payment {
            payment_id: PaymentId::parse(&format!("pay-{payment}-{order_id}")).unwrap(),
            amount_minor: if short { price.wrapping_sub(1) >> 1 } else { price },
            paid_order: order_id,
        };
        let (gate, keys) = (&self.bench.gate, &self.stand.keys);
        let told = gate.confirm(keys, &self.stand.fence, order_id, &payment).await.unwrap();
        let now_ms = match &told {
            Confirm::Settling(settlement) => settlement.at_ms,
            Confirm::Amount(hold) => hold.expires_at_ms - 1,
            Confirm::Expired(_) | Confirm::Gone => gate.now_ms().await.unwrap(),
        };
        prop_assert_eq!(told, self.model.confirm(order_id, &payment, now_ms));
        Ok(())
    }

    async fn cancel(&mut self, order: usize, who: Option<bool>) -> Result<(), TestCaseError> {
        let Some((order_id, owner)) = self.one_of(order) else { return Ok(()) };
        let user_id = who.map(|theirs| if theirs { owner } else { UserId::new(owner.get() + 1_000) });
        let (gate, keys) = (&self.bench.gate, &self.stand.keys);
        let told = gate.cancel(keys, &self.stand.fence, order_id, user_id).await.unwrap();
        let now_ms = match &told {
            Cancel::Settling(settlement) => settlement.at_ms,
            _ => gate.now_ms().await.unwrap(),
        };
        prop_assert_eq!(told, self.model.cancel(order_id, user_id, now_ms));
        Ok(())
    }

    async fn sweep(&mut self, most: usize, takeover_ms: u64) -> Result<(), TestCaseError> {
        let (gate, keys) = (&self.bench.gate, &self.stand.keys);
        let due = gate.take_due(keys, &self.stand.fence, most, takeover_ms).await.unwrap();
        prop_assert_eq!(&due.taken, &self.model.take_due(most, takeover_ms, due.now_ms));
        let ends = self.model.holds().map(|hold| hold.expires_at_ms);
        if takeover_ms == 60_000 && self.model.closing().next().is_none() {
            prop_assert_eq!(due.next_ms, ends.min(), "when to look again");
        }
        Ok(())
    }

    async fn finish(&mut self, first: usize, count: usize, overtaken: bool) -> Result<(), TestCaseError> {
        let mut some: Vec<Settlement> = self.model.closing().skip(first).take(count).cloned().collect();
        if overtaken {
            some.iter_mut().for_each(|settlement| settlement.token.push('0'));
        }
        // The same twice in one call is finished once.
        some.extend(some.first().cloned());
        let calls: Vec<&Settlement> = some.iter().collect();
        if calls.is_empty() {
            return Ok(());
        }
        let (gate, keys) = (&self.bench.gate, &self.stand.keys);
        let (_, finished) = gate.finish(keys, &self.stand.fence, &calls).await.unwrap();
        let expected = some.iter().filter(|one| self.model.finish(one.hold.order_id, &one.token)).count();
        prop_assert_eq!(finished, expected as u64);
        Ok(())
    }

    async fn resize(&mut self, capacity: u32) -> Result<(), TestCaseError> {
        let before = self.model.capacity();
        let resized = self.bench.gate.set_capacity(&self.stand.keys, &self.stand.fence, capacity).await.unwrap();
        let done = self.model.set_capacity(capacity);
        let counters = Counters { seq: 0, ..self.model.counters() };
        let expected = if done { Resized::Done { before, counters } } else { Resized::Below { before, counters } };
        prop_assert_eq!(resized, expected);
        Ok(())
    }

    /// Everything Redis keeps, read behind the gate's back.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let keys = &self.stand.keys;
        let snapshot = self.stand.snapshot().await;
        let Counters { available, held, sold, closing, .. } = snapshot.counters;
        prop_assert_eq!(snapshot.counters, self.model.counters());
        prop_assert_eq!(snapshot.capacity, self.model.capacity());
        prop_assert_eq!(available + held + sold + closing, snapshot.capacity);
        let details: HashMap<String, String> = self.bench.raw(&["HGETALL", &keys.hold]).await;
        let ends: HashMap<String, u64> = self.bench.raw(&["ZRANGE", &keys.holds, "0", "-1", "WITHSCORES"]).await;
        let holds: Vec<&Hold> = self.model.holds().collect();
        prop_assert_eq!((details.len(), ends.len(), snapshot.holds), (holds.len(), holds.len(), holds.len() as u64));
        for hold in &holds {
            let order = hold.order_id.to_string();
            prop_assert_eq!(details.get(&order), Some(&written(hold)));
            prop_assert_eq!(ends.get(&order), Some(&hold.expires_at_ms));
        }
        prop_assert_eq!(holds.iter().map(|hold| hold.quantity).sum::<u32>(), held, "the holds add up to the counter");
        let entries: HashMap<String, String> = self.bench.raw(&["HGETALL", &keys.closing]).await;
        let begun: HashMap<String, u64> = self.bench.raw(&["ZRANGE", &keys.closings, "0", "-1", "WITHSCORES"]).await;
        let settling: Vec<&Settlement> = self.model.closing().collect();
        prop_assert_eq!((entries.len(), begun.len()), (settling.len(), settling.len()));
        for one in &settling {
            let entry = entries.get(&one.hold.order_id.to_string());
            let expected = format!("{}:{}:{}:{}:", one.state, one.token, one.seq, one.at_ms);
            let same = entry.is_some_and(|entry| entry.starts_with(&expected) && entry.ends_with(&written(&one.hold)));
            prop_assert!(same, "{entry:?} instead of {one:?}");
        }
        let returning = settling.iter().filter(|one| one.state != OrderState::Confirmed).map(|one| one.hold.quantity);
        prop_assert_eq!(returning.sum::<u32>(), closing, "what is on its way back adds up to the counter");
        let buyers: HashMap<String, String> = self.bench.raw(&["HGETALL", &keys.buyers]).await;
        let units: HashMap<String, u32> = buyers
            .iter()
            .map(|(user, buyer)| (user.clone(), buyer.split(':').next().unwrap().parse().unwrap()))
            .collect();
        let expected: HashMap<String, u32> =
            self.model.units().map(|(user, units)| (user.to_string(), units)).collect();
        prop_assert_eq!(
            units,
            expected,
            "a refusal costs no memory, a win counts against the cap until it is given back"
        );
        let winners: Vec<String> = self.bench.raw(&["LRANGE", &keys.winners, "0", "-1"]).await;
        prop_assert_eq!(&winners, &self.winners);
        Ok(())
    }
}

/// A hold's details as the scripts keep them.
fn written(hold: &Hold) -> String {
    format!(
        "{}:{}:{}:{}:{}:{}:{}:{}",
        hold.reservation_id,
        hold.user_id,
        hold.quantity,
        hold.unit_price_minor,
        hold.seq,
        hold.reserved_at_ms,
        hold.expires_at_ms,
        hold.idempotency_key
    )
}

fn asks(wishes: &[Wish]) -> Vec<Ask> {
    let key = |key: Option<u8>| key.map_or_else(|| format!("own-{}", ask(1, 1, "").order_id), |n| format!("k:{n}"));
    let one = |wish: &Wish| Ask { replay_only: wish.replay_only, ..ask(wish.user, wish.quantity, &key(wish.key)) };
    wishes.iter().map(one).collect()
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
