//! A load thread: one runtime, its share of the buyers, one set of books.
//!
//! Owns the end of the run as this thread sees it. All buyers of a thread are tasks of one single-threaded runtime, so they
//! share templates, read buffer and books through plain cells: no lock and no channel stands between a buyer and the socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::LoadError;
use crate::closed::{self, Crowd};
use crate::code::Class;
use crate::conn::{Scratch, new_scratch};
use crate::identity::{Numbers, SplitMix};
use crate::open::{self, Desk};
use crate::report::Pacing;
use crate::request::RequestTemplate;
use crate::shared::{EndReason, Shared};
use crate::tally::Tally;
use crate::visit::{Errand, Visit};

/// How often a thread looks at stages, end and sold-out marks.
const TICK: Duration = Duration::from_millis(10);
/// How often the live numbers are written.
const PULSE_US: u64 = 100_000;

/// What the buyers of one thread share.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) templates: RefCell<Vec<RequestTemplate>>,
    pub(crate) scratch: Scratch,
    pub(crate) dice: RefCell<SplitMix>,
    /// The users of a closed loop.
    pub(crate) crowd: Crowd,
    /// The pool of an open loop.
    pub(crate) desk: Desk,
    /// Numbers that nobody has: users with their keys in a closed loop, further keys in both.
    numbers: RefCell<Numbers>,
    cursor: Cell<usize>,
    requests_left: Cell<u64>,
    /// Set when the run is over: when that was, and until when doubts may be settled.
    over: Cell<Option<(u64, Instant)>>,
}

/// What is bought, by whom, under which key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purchase {
    pub(crate) sku: usize,
    pub(crate) user_id: u64,
    pub(crate) key: u64,
}

impl Worker {
    fn new(shared: &Arc<Shared>, thread: usize) -> Result<Self, LoadError> {
        let plan = &shared.plan;
        let offset = u64::try_from(thread).unwrap_or(0);
        let threads = u64::try_from(plan.threads).unwrap_or(1);
        // The users of a schedule have their numbers already, one for each arrival.
        let first = shared.roster.times_us.len() as u64 + offset;
        let templates =
            plan.skus.iter().map(|sku| RequestTemplate::new(&shared.target, sku.sku_id, plan.quantity)).collect();
        Ok(Self {
            shared: Arc::clone(shared),
            tally: RefCell::new(Tally::new(plan.duration_ms(), plan.threads)?),
            templates: RefCell::new(templates),
            scratch: new_scratch(),
            dice: RefCell::new(SplitMix(shared.seed ^ offset.wrapping_mul(0xA5A5_A5A5_A5A5_A5A5))),
            crowd: Crowd::default(),
            desk: Desk::new(thread),
            numbers: RefCell::new(Numbers::new(shared.base, first, threads)),
            cursor: Cell::new(thread * shared.rotation.len() / plan.threads),
            requests_left: Cell::new((plan.max_requests / threads).max(1)),
            over: Cell::new(None),
        })
    }

    /// Closed loop: the next purchase in this thread's rotation, by a user nobody else is, now.
    pub(crate) fn next_visit(&self) -> Visit {
        let number = self.numbers.borrow_mut().draw();
        let cursor = self.cursor.get();
        self.cursor.set(if cursor + 1 >= self.shared.rotation.len() { 0 } else { cursor + 1 });
        let purchase = Purchase { sku: self.sku_of(cursor, number), user_id: number, key: number };
        Visit { scheduled: false, ..self.visit(purchase, self.shared.now_us()) }
    }

    /// Open loop: the purchase at a place of the schedule. Who buys what does not depend on anything that happened before.
    pub(crate) fn visit_of(&self, place: usize, due_us: u64) -> Visit {
        let (shared, roster) = (&self.shared, &self.shared.roster);
        let key = shared.base + place as u64;
        let sku = roster.sku(place).unwrap_or_else(|| self.sku_of(place, key));
        self.visit(Purchase { sku, user_id: shared.base + roster.person(place), key }, due_us)
    }

    fn visit(&self, purchase: Purchase, intended_us: u64) -> Visit {
        let plan = &self.shared.plan;
        let mut tally = self.tally.borrow_mut();
        tally.last_user_id = tally.last_user_id.max(purchase.user_id);
        Visit {
            purchase,
            character: plan.buyers.character(self.shared.seed, purchase.key, plan.retry_share),
            intended_us,
            scheduled: true,
            again: false,
            keys_left: plan.buyers.bot_keys.saturating_sub(1),
            first_sent_us: None,
            attempt: 0,
            in_doubt: false,
            repeats_refusal: false,
        }
    }

    /// In turn by weight; with a law of popularity, drawn by it.
    fn sku_of(&self, turn: usize, key: u64) -> usize {
        let rotation = &self.shared.rotation;
        let length = rotation.len();
        let turn = if self.shared.plan.zipf.is_some() {
            usize::try_from(SplitMix(self.shared.seed.rotate_left(17) ^ key).next() >> 1).unwrap_or(turn)
        } else {
            turn
        };
        usize::from(rotation[turn % length])
    }

    /// A key that nobody has used.
    pub(crate) fn fresh_key(&self) -> u64 {
        self.numbers.borrow_mut().draw()
    }

    /// Whether the run is over; purchases under way may still be settled.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// Whether something in doubt may be tried once more.
    pub(crate) fn may_settle(&self) -> bool {
        self.over.get().is_none_or(|(_, until)| Instant::now() < until)
    }

    /// Arrivals after this moment are not begun any more.
    pub(crate) fn last_start_us(&self) -> u64 {
        self.over.get().map_or(u64::MAX, |(since_us, _)| since_us)
    }

    /// Whether an errand is still worth doing: after the end, only what somebody was promised or does not know.
    pub(crate) fn permits(&self, errand: &Errand) -> bool {
        let promised = match errand {
            Errand::Buy(visit) => visit.in_doubt,
            Errand::Repeat(..) | Errand::Settle(_) => true,
        };
        !self.is_over() || (promised && self.may_settle())
    }

    /// Takes one request from the thread's budget; the last one ends the run.
    pub(crate) fn spend_request(&self) {
        let left = self.requests_left.get().saturating_sub(1);
        self.requests_left.set(left);
        if left == 0 {
            self.shared.reach_limit();
            self.begin_drain();
        }
    }

    fn begin_drain(&self) {
        if !self.is_over() {
            let until = Instant::now() + Duration::from_millis(self.shared.plan.drain_ms);
            let now_us = self.shared.now_us();
            self.over.set(Some((now_us, until)));
        }
    }

    /// Buyers at work.
    fn size(&self) -> usize {
        self.crowd.size() + self.desk.busy()
    }

    fn has_work(&self) -> bool {
        self.crowd.size() > 0 || self.desk.has_work(self)
    }
}

/// Runs a load thread from the first buyer to the last and returns its books.
pub(crate) fn run_thread(shared: &Arc<Shared>, thread: usize) -> Result<(Tally, EndReason), LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(|e| LoadError::Internal(format!("cannot start a runtime: {e}")))?;
    let worker = Rc::new(Worker::new(shared, thread)?);
    let reason = runtime.block_on(conduct(Rc::clone(&worker), thread));
    // Buyers that are still waiting for an answer end here and write down their doubts.
    drop(runtime);
    worker.desk.close(&worker);
    publish(&worker, thread);
    let worker = Rc::try_unwrap(worker).map_err(|_| LoadError::Internal("a buyer outlived its thread".to_owned()))?;
    Ok((worker.tally.into_inner(), reason))
}

/// Keeps the plan until the run ends, then waits for those in the middle of something.
async fn conduct(worker: Rc<Worker>, thread: usize) -> EndReason {
    let reason = match worker.shared.plan.pacing() {
        Pacing::Closed => conduct_closed(&worker, thread).await,
        Pacing::Open => conduct_open(&worker, thread).await,
    };
    worker.shared.latch_sold_out(true);
    worker.begin_drain();
    worker.tally.borrow_mut().served.ended_us = worker.last_start_us();
    while worker.has_work() && worker.may_settle() {
        worker.desk.wake_all();
        sleep(TICK).await;
    }
    reason
}

async fn conduct_closed(worker: &Rc<Worker>, thread: usize) -> EndReason {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut pulse_us = 0;
    loop {
        ticks.tick().await;
        if let Some(reason) = worker.shared.ended() {
            return reason;
        }
        worker.shared.latch_sold_out(false);
        closed::adjust(worker, thread);
        pulse(worker, thread, &mut pulse_us);
    }
}

async fn conduct_open(worker: &Rc<Worker>, thread: usize) -> EndReason {
    open::open_pool(worker, thread);
    let mut pulse_us = 0;
    loop {
        open::look(worker);
        if let Some(reason) = worker.shared.ended() {
            return reason;
        }
        worker.shared.latch_sold_out(false);
        pulse(worker, thread, &mut pulse_us);
        open::doze(worker).await;
    }
}

/// Writes the live numbers when it is time again.
fn pulse(worker: &Worker, thread: usize, next_us: &mut u64) {
    let now_us = worker.shared.now_us();
    if now_us >= *next_us {
        *next_us = now_us + PULSE_US;
        publish(worker, thread);
    }
}

/// Writes this thread's numbers for the live view.
fn publish(worker: &Worker, thread: usize) {
    let pulse = &worker.shared.pulses[thread];
    let tally = worker.tally.borrow();
    let set = |cell: &AtomicU64, value: u64| cell.store(value, Relaxed);
    set(&pulse.buyers, u64::try_from(worker.size()).unwrap_or(u64::MAX));
    set(&pulse.requests, tally.requests);
    set(&pulse.started, tally.served.started);
    set(&pulse.served, tally.served.arrivals);
    set(&pulse.lag_max_us, if tally.lag.is_empty() { 0 } else { tally.lag.max() });
    set(&pulse.late, tally.served.late);
    set(&pulse.wins, tally.of_class(Class::Win));
    set(&pulse.sold_out, tally.of_class(Class::SoldOut));
    set(&pulse.refusals, tally.of_class(Class::Refusal));
    set(&pulse.errors, tally.of_class(Class::Error));
    set(&pulse.connect_failures, tally.connections.failed);
    set(&pulse.win_p99_us, tally.histograms[Class::Win as usize].value_at_quantile(0.99));
    set(&pulse.sold_out_p99_us, tally.histograms[Class::SoldOut as usize].value_at_quantile(0.99));
}
