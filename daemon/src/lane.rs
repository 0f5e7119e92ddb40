//! The lane: one ordered queue per SKU, and the task that decides it batch by batch.
//!
//! Promise kept (P6): a purchase takes its place in the queue synchronously, without an await between the end of its body
//! and its place, and batches keep that order. While one batch is at Redis the next gathers; at most one is in flight, so
//! batches grow with the load and an idle lane answers at once – no timer.

use crate::clock::boot_ms;
use crate::crash;
use crate::fenced::Fenced;
use crate::http::problem;
use crate::latch::{LATCH_MS, Latch};
use crate::lease::Lease;
use crate::meters::{Came, Decided, LaneCounts, LaneMeters, Meters, Wish};
use crate::record::{Win, record_all};
use crate::selling::{Mark, Selling};
use flash_core::ids::{Epoch, SkuId};
use flash_core::limits::{LANE_BATCH_MAX, LANE_QUEUE_MAX};
use flash_core::outcome::{Refusal, SoldOut};
use flash_core::stock::{Ask, Counters, Decision, Receipt};
use flash_stores::kafka::producer::Recorder;
use flash_stores::redis::{Batch, Fence, Gate, Reserved, SkuKeys, StockError};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many winners are read at once when a SKU sells out.
const WINNERS_PAGE: u64 = 10_000;

/// What a lane tells a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Units are held and the log knows it. It may be told to the buyer only under a fresh lease of `epoch`.
    Recorded {
        /// What the buyer is told.
        receipt: Receipt,
        /// Under which epoch it was decided.
        epoch: Epoch,
        /// Whether the key already had this answer.
        replayed: bool,
    },
    /// Anything else.
    Refused(Refusal),
}

/// A purchase in the queue.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    buyer: oneshot::Sender<Verdict>,
}

/// What all lanes share.
pub(crate) struct Deciders {
    pub(crate) gate: Gate,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) fenced: Fenced,
    pub(crate) selling: Selling,
}

impl Deciders {
    /// Why nothing can be decided or recorded, one reason per latch.
    pub(crate) fn unready(&self, reasons: &mut Vec<(&'static str, String)>) {
        if let Err(why) = self.gate.connected() {
            reasons.push(("redis", why));
        }
        if self.recorder.partitions() == 0 {
            reasons.push(("kafka", "order-events has not been reached yet".to_owned()));
        }
        if let Some(why) = self.lease.problem() {
            reasons.push(("epoch", why));
        }
        if let Some(why) = self.fenced.recent() {
            let hint = "if it has lost its data, a worker fills it anew";
            reasons.push(("stock", format!("Redis was not allowed to decide: {why}; {hint}")));
        }
    }
}

/// The queue of one SKU. The task ends when the last handle is dropped.
pub(crate) struct Lane {
    queue: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

/// What requests and the task share.
struct Shared {
    sku_id: SkuId,
    price_minor: AtomicU64,
    opens_at_ms: AtomicU64,
    latch: Latch,
    mark: Mark,
    /// Counters, and when they were asked for on the boot clock.
    seen: Mutex<Option<(Counters, u64)>>,
    meters: LaneMeters,
}

impl Shared {
    /// Takes counters that were asked for at this time of the boot clock, unless newer ones are known.
    fn see(&self, counters: Counters, at_ms: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|(_, known_ms)| known_ms <= at_ms) {
            *seen = Some((counters, at_ms));
        }
    }

    fn last_seen(&self) -> Option<(Counters, u64)> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Starts the lane of a SKU. Must be called inside the API runtime.
    pub(crate) fn start(deciders: Arc<Deciders>, sku_id: SkuId, price_minor: u64, opens_at_ms: Option<u64>) -> Self {
        let (queue, waiting) = mpsc::channel(LANE_QUEUE_MAX);
        let shared = Arc::new(Shared {
            sku_id,
            price_minor: AtomicU64::new(price_minor),
            opens_at_ms: AtomicU64::new(opens_at_ms.unwrap_or(0)),
            latch: Latch::default(),
            mark: Mark::default(),
            seen: Mutex::new(None),
            meters: LaneMeters::default(),
        });
        let keys = SkuKeys::new(deciders.gate.namespace(), sku_id);
        tokio::spawn(Task { deciders, keys, shared: Arc::clone(&shared) }.run(waiting));
        Self { queue, shared }
    }

    /// Takes the definition's current price and opening time.
    pub(crate) fn update(&self, price_minor: u64, opens_at_ms: Option<u64>) {
        self.shared.price_minor.store(price_minor, Relaxed);
        self.shared.opens_at_ms.store(opens_at_ms.unwrap_or(0), Relaxed);
    }

    /// The latch.
    pub(crate) fn latch(&self) -> &Latch {
        &self.shared.latch
    }

    /// Counters as Redis last reported them to this daemon.
    pub(crate) fn seen(&self) -> Option<Counters> {
        self.shared.last_seen().map(|(counters, _)| counters)
    }

    /// Age of these counters in milliseconds.
    pub(crate) fn seen_ms_ago(&self) -> Option<u64> {
        self.shared.last_seen().map(|(_, at_ms)| boot_ms().saturating_sub(at_ms))
    }

    /// Takes counters that somebody else has asked for at this time of the boot clock.
    pub(crate) fn see(&self, counters: Counters, at_ms: u64) {
        self.shared.see(counters, at_ms);
    }

    /// What is counted of it.
    pub(crate) fn meters(&self) -> &LaneMeters {
        &self.shared.meters
    }

    /// What is counted so far.
    pub(crate) fn counts(&self) -> LaneCounts {
        self.shared.meters.read()
    }

    /// Purchases waiting in the queue.
    pub(crate) fn depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes a place in the queue. Never waits.
    pub(crate) fn enqueue(&self, ask: Ask) -> Result<oneshot::Receiver<Verdict>, Refusal> {
        let (buyer, verdict) = oneshot::channel();
        self.queue.try_send(Waiting { ask, buyer }).map_err(|_| Refusal::Overloaded)?;
        Ok(verdict)
    }
}

struct Task {
    deciders: Arc<Deciders>,
    keys: SkuKeys,
    shared: Arc<Shared>,
}

impl Task {
    async fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(LANE_BATCH_MAX);
        let (mut asks, mut buyers) = (Vec::with_capacity(LANE_BATCH_MAX), Vec::with_capacity(LANE_BATCH_MAX));
        while waiting.recv_many(&mut batch, LANE_BATCH_MAX).await > 0 {
            // Nothing is decided for clients that are gone already.
            for Waiting { ask, buyer } in batch.drain(..).filter(|waiting| !waiting.buyer.is_closed()) {
                asks.push(ask);
                buyers.push(buyer);
            }
            if !asks.is_empty() {
                self.decide(&mut asks, &mut buyers).await;
            }
            asks.clear();
            buyers.clear();
        }
        self.deciders.selling.forget(self.shared.sku_id);
    }

    async fn decide(&self, asks: &mut Vec<Ask>, buyers: &mut Vec<oneshot::Sender<Verdict>>) {
        let deciders = &*self.deciders;
        let Some(fence) = deciders.lease.fence() else {
            deciders.selling.nothing_is_decided();
            deciders.meters.inventory.count(Wish::Reserve, Came::Unavailable, asks.len() as u64);
            return refuse_all(buyers, asks, |_| Refusal::StockRecovering);
        };
        crash::point("purchase.gathered");
        self.refuse_foreign_keys(&fence, asks, buyers).await;
        crash::point("purchase.claimed");
        if asks.is_empty() {
            return;
        }
        let began_ms = boot_ms();
        let unit_price_minor = self.shared.price_minor.load(Relaxed);
        let batch = Batch { keys: &self.keys, fence: &fence, unit_price_minor, asks };
        let result = deciders.gate.reserve(&batch).await;
        deciders.meters.batch(asks.len(), &result);
        match result {
            Ok(mut reserved) => {
                crash::point("purchase.decided");
                deciders.fenced.clear();
                deciders.selling.is_decided(self.shared.sku_id, &self.shared.mark);
                let decisions = std::mem::take(&mut reserved.decisions);
                self.count(&decisions);
                self.answer(decisions.into_iter().zip(buyers.drain(..)), fence.epoch, &reserved, began_ms);
                self.learn(&reserved, &fence, began_ms).await;
            }
            Err(StockError::Unknown(reason)) => {
                self.is_undecided();
                tracing::warn!(sku = %self.shared.sku_id, batch = asks.len(), reason, "a batch's outcome is unknown");
                refuse_all(buyers, asks, |ask| Refusal::OutcomeUnknown {
                    idempotency_key: ask.idempotency_key.clone(),
                });
            }
            Err(error) => {
                self.is_undecided();
                if let StockError::Fenced(reason) = &error {
                    deciders.lease.suspect();
                    deciders.fenced.note(reason);
                }
                tracing::debug!(sku = %self.shared.sku_id, %error, "nothing was decided");
                refuse_all(buyers, asks, |_| Refusal::StockRecovering);
            }
        }
    }

    /// Takes out of the batch what may not be decided: purchases whose key their buyer has used for another SKU, and those
    /// of which that cannot be found out – a claim alone holds no stock.
    async fn refuse_foreign_keys(
        &self,
        fence: &Fence,
        asks: &mut Vec<Ask>,
        buyers: &mut Vec<oneshot::Sender<Verdict>>,
    ) {
        let deciders = &*self.deciders;
        let keys: Vec<_> = asks.iter().map(|ask| (ask.user_id, ask.idempotency_key.as_str())).collect();
        let claimed = deciders.gate.claim_keys(fence, self.shared.sku_id, &keys).await;
        if claimed.iter().all(|ours| matches!(ours, Ok(true))) {
            return;
        }
        let unclaimed = claimed.iter().any(Result::is_err);
        self.note_unclaimed(claimed.iter().filter_map(|ours| ours.as_ref().err()));
        let all = asks.drain(..).zip(buyers.drain(..)).zip(claimed).collect::<Vec<_>>();
        for ((ask, buyer), ours) in all {
            let refusal = match ours {
                Ok(true) => {
                    asks.push(ask);
                    buyers.push(buyer);
                    continue;
                }
                Ok(false) => {
                    deciders.meters.inventory.count(Wish::Reserve, Came::Refused, 1);
                    Refusal::KeyReused
                }
                Err(error) => {
                    deciders.meters.inventory.count(Wish::Reserve, Came::before_deciding(&error), 1);
                    Refusal::StockRecovering
                }
            };
            let _ = buyer.send(Verdict::Refused(refusal));
        }
        // If any are left, whether they are decided will show.
        if unclaimed && asks.is_empty() {
            self.is_undecided();
        }
    }

    /// Tells people, and whoever may mend it, why keys could not be claimed.
    fn note_unclaimed<'a>(&self, errors: impl Iterator<Item = &'a StockError> + Clone) {
        let fenced =
            errors.clone().find_map(|error| if let StockError::Fenced(why) = error { Some(why) } else { None });
        if let Some(reason) = fenced {
            self.deciders.meters.claims_fenced();
            self.deciders.lease.suspect();
            self.deciders.fenced.note(reason);
        }
        if let Some(error) = errors.clone().next() {
            tracing::debug!(sku = %self.shared.sku_id, keys = errors.count(), %error, "keys could not be claimed");
        }
    }

    /// Remembers what a reply says about the SKU: the counters, and whether "no" can be said locally for a moment.
    async fn learn(&self, reserved: &Reserved, fence: &Fence, began_ms: u64) {
        let shared = &*self.shared;
        shared.see(reserved.counters, began_ms);
        if reserved.counters.available > 0 {
            return shared.latch.clear();
        }
        if self.read_winners(fence, reserved.winners).await {
            let sold_out = sold_out(reserved);
            shared.latch.set(began_ms, sold_out, problem::sold_out_body(&sold_out));
        }
    }

    /// Reads the list of winners up to `total`; false if it could not be read, and then there is no latch.
    async fn read_winners(&self, fence: &Fence, total: u64) -> bool {
        let latch = &self.shared.latch;
        loop {
            let known = latch.winners_known(fence.epoch);
            if known >= total {
                return known == total;
            }
            match self.deciders.gate.winners(&self.keys, known, WINNERS_PAGE.min(total - known)).await {
                Ok(users) if !users.is_empty() => latch.learn_winners(&users),
                _ => return false,
            }
        }
    }

    /// Notes that nothing was decided: here only, or nowhere if Redis is not to be reached at all.
    fn is_undecided(&self) {
        let selling = &self.deciders.selling;
        match self.deciders.gate.connected() {
            Ok(()) => selling.is_undecided(self.shared.sku_id, &self.shared.mark),
            Err(_) => selling.nothing_is_decided(),
        }
    }

    /// Counts what was decided, before anybody is told.
    fn count(&self, decisions: &[Decision]) {
        let decided = Decided::of(decisions);
        self.deciders.meters.inventory.decided(&decided);
        self.shared.meters.decided(&decided);
    }

    /// Answers what is decided and hands the wins on to be recorded; the lane does not wait for that.
    fn answer(
        &self,
        decisions: impl Iterator<Item = (Decision, oneshot::Sender<Verdict>)>,
        epoch: Epoch,
        reserved: &Reserved,
        began_ms: u64,
    ) {
        let mut wins = Vec::new();
        for (decision, buyer) in decisions {
            let refusal = match decision {
                Decision::Won(hold) => {
                    wins.push(Win { hold, replayed: false, buyer });
                    continue;
                }
                Decision::Replayed(hold) => {
                    wins.push(Win { hold, replayed: true, buyer });
                    continue;
                }
                // The log has more than the reservation: there is nothing to record again.
                Decision::Kept(receipt) => {
                    let _ = buyer.send(Verdict::Recorded { receipt, epoch, replayed: true });
                    continue;
                }
                Decision::KeyReused => Refusal::KeyReused,
                Decision::RateLimited => Refusal::RateLimited,
                Decision::NotOpen => Refusal::SaleNotOpen { opens_at_ms: self.shared.opens_at_ms.load(Relaxed) },
                Decision::Paused => Refusal::SalePaused,
                Decision::Closed => Refusal::SaleClosed,
                Decision::LimitReached => Refusal::LimitReached,
                Decision::SoldOut => Refusal::SoldOut(sold_out(reserved)),
                Decision::Expired => Refusal::ReservationExpired,
                Decision::Cancelled => Refusal::ReservationCancelled,
            };
            // The client may be gone; nothing was decided for it.
            let _ = buyer.send(Verdict::Refused(refusal));
        }
        if !wins.is_empty() {
            let (deciders, sku_id, wait) = (Arc::clone(&self.deciders), self.shared.sku_id, until_all_know(reserved));
            tokio::spawn(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                record_all(deciders, sku_id, epoch, wins, began_ms).await;
            });
        }
    }
}

/// How soon somebody may ask again while units are on their way back.
const RETURNING: Duration = Duration::from_secs(1);

/// For how long other daemons may still say "sold out" from memory, because units came back only a moment ago. A win is not
/// told before: its buyer may ask any of them again and must hear the same (one answer per key).
fn until_all_know(reserved: &Reserved) -> Duration {
    let since_ms = reserved.now_ms.saturating_sub(reserved.restocked_ms);
    Duration::from_millis(LATCH_MS.saturating_sub(since_ms))
}

fn sold_out(reserved: &Reserved) -> SoldOut {
    let Counters { available, held, closing, .. } = reserved.counters;
    let is_final = available == 0 && held == 0 && closing == 0;
    let first = reserved.first_expiry_ms.map(|ms| Duration::from_millis(ms.saturating_sub(reserved.now_ms)));
    let wait = if closing > 0 { Some(RETURNING) } else { first };
    SoldOut { is_final, held: held + closing, retry_after: wait.filter(|_| !is_final) }
}

fn refuse_all(buyers: &mut Vec<oneshot::Sender<Verdict>>, asks: &[Ask], refusal: impl Fn(&Ask) -> Refusal) {
    for (buyer, ask) in buyers.drain(..).zip(asks) {
        let _ = buyer.send(Verdict::Refused(refusal(ask)));
    }
}
