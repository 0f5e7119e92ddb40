//! A load thread: one runtime, its share of the buyers, one set of books.
//!
//! Owns the number of buyers over time and the end of the run as this thread sees it. All buyers of a
//! thread are tasks of one single-threaded runtime, so they share templates, read buffer and books through
//! plain cells: no lock and no channel stands between a buyer and the socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::LoadError;
use crate::buyer;
use crate::code::Class;
use crate::conn::{Scratch, new_scratch};
use crate::identity::{Numbers, SplitMix};
use crate::request::RequestTemplate;
use crate::shared::{EndReason, Shared};
use crate::tally::Tally;

/// How often a thread looks at stages, end and sold-out marks.
const TICK: Duration = Duration::from_millis(10);
/// Ticks between two updates of the live numbers.
const TICKS_PER_PULSE: u32 = 10;
/// Most buyers that begin in one tick: a listener's backlog is finite.
const MAX_NEW_BUYERS: usize = 250;
/// Most slices of the timeline; longer runs get longer slices.
const MAX_SLICES: u64 = 36_000;
/// The shortest slice.
const MIN_SLICE_MS: u64 = 100;

/// What the buyers of one thread share.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) templates: RefCell<Vec<RequestTemplate>>,
    pub(crate) scratch: Scratch,
    pub(crate) dice: RefCell<SplitMix>,
    numbers: RefCell<Numbers>,
    cursor: Cell<usize>,
    requests_left: Cell<u64>,
    /// Buyers that may go on; the others leave after their answer.
    wanted: Cell<usize>,
    /// Which buyers exist.
    present: RefCell<Vec<bool>>,
    /// Set when the run is over: after this moment nobody keeps trying.
    drain_until: Cell<Option<Instant>>,
}

/// One purchase that a buyer is about to make.
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
        let slice_ms = (plan.duration_ms() / MAX_SLICES).max(MIN_SLICE_MS);
        let templates =
            plan.skus.iter().map(|sku| RequestTemplate::new(&shared.target, sku.sku_id, plan.quantity)).collect();
        Ok(Self {
            shared: Arc::clone(shared),
            tally: RefCell::new(Tally::new(slice_ms)?),
            templates: RefCell::new(templates),
            scratch: new_scratch(),
            dice: RefCell::new(SplitMix(shared.seed ^ offset.wrapping_mul(0xA5A5_A5A5_A5A5_A5A5))),
            numbers: RefCell::new(Numbers::new(shared.base, offset, threads)),
            cursor: Cell::new(thread * shared.rotation.len() / plan.threads),
            requests_left: Cell::new((plan.max_requests / threads).max(1)),
            wanted: Cell::new(0),
            present: RefCell::new(Vec::new()),
            drain_until: Cell::new(None),
        })
    }

    /// The next purchase in this thread's rotation, by a user nobody else is.
    pub(crate) fn next_purchase(&self) -> Purchase {
        let rotation = &self.shared.rotation;
        let cursor = self.cursor.get();
        self.cursor.set(if cursor + 1 >= rotation.len() { 0 } else { cursor + 1 });
        let number = self.numbers.borrow_mut().draw();
        self.tally.borrow_mut().last_user_id = number;
        Purchase { sku: usize::from(rotation[cursor]), user_id: number, key: number }
    }

    /// Whether this buyer shall begin another purchase.
    pub(crate) fn wants(&self, buyer: usize) -> bool {
        buyer < self.wanted.get() && !self.is_over()
    }

    /// Whether the run is over; purchases under way may still be settled.
    pub(crate) fn is_over(&self) -> bool {
        self.drain_until.get().is_some()
    }

    /// Whether a purchase in doubt may be tried once more.
    pub(crate) fn may_settle(&self) -> bool {
        self.drain_until.get().is_none_or(|until| Instant::now() < until)
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

    /// Called by a buyer that leaves.
    pub(crate) fn leave(&self, buyer: usize) {
        self.present.borrow_mut()[buyer] = false;
    }

    fn begin_drain(&self) {
        if !self.is_over() {
            self.drain_until.set(Some(Instant::now() + Duration::from_millis(self.shared.plan.drain_ms)));
        }
    }

    fn buyers_present(&self) -> usize {
        self.present.borrow().iter().filter(|present| **present).count()
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
    publish(&worker, thread);
    let worker = Rc::try_unwrap(worker).map_err(|_| LoadError::Internal("a buyer outlived its thread".to_owned()))?;
    Ok((worker.tally.into_inner(), reason))
}

/// Keeps the number of buyers at the plan until the run ends, then waits for those in the middle of a purchase.
async fn conduct(worker: Rc<Worker>, thread: usize) -> EndReason {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count = 0_u32;
    let reason = loop {
        ticks.tick().await;
        if let Some(reason) = worker.shared.ended() {
            break reason;
        }
        worker.shared.latch_sold_out(false);
        adjust_buyers(&worker, thread);
        count = count.wrapping_add(1);
        if count.is_multiple_of(TICKS_PER_PULSE) {
            publish(&worker, thread);
        }
    };
    worker.shared.latch_sold_out(true);
    worker.begin_drain();
    while worker.buyers_present() > 0 && worker.may_settle() {
        ticks.tick().await;
    }
    reason
}

/// Brings this thread's share of the buyers to where the plan wants it.
fn adjust_buyers(worker: &Rc<Worker>, thread: usize) {
    let shared = &worker.shared;
    let total = shared.plan.buyers_at(shared.now_us() / 1_000);
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let wanted = total.saturating_sub(thread).div_ceil(shared.plan.threads);
    worker.wanted.set(wanted);
    let missing: Vec<usize> = {
        let mut present = worker.present.borrow_mut();
        if present.len() < wanted {
            present.resize(wanted, false);
        }
        let missing: Vec<usize> = (0..wanted).filter(|buyer| !present[*buyer]).take(MAX_NEW_BUYERS).collect();
        missing.iter().for_each(|buyer| present[*buyer] = true);
        missing
    };
    for buyer in missing {
        tokio::task::spawn_local(buyer::run(Rc::clone(worker), buyer));
    }
}

/// Writes this thread's numbers for the live view.
fn publish(worker: &Worker, thread: usize) {
    let pulse = &worker.shared.pulses[thread];
    let tally = worker.tally.borrow();
    let set = |cell: &AtomicU64, value: u64| cell.store(value, Relaxed);
    set(&pulse.buyers, u64::try_from(worker.buyers_present()).unwrap_or(u64::MAX));
    set(&pulse.requests, tally.requests);
    set(&pulse.wins, tally.of_class(Class::Win));
    set(&pulse.sold_out, tally.of_class(Class::SoldOut));
    set(&pulse.refusals, tally.of_class(Class::Refusal));
    set(&pulse.errors, tally.of_class(Class::Error));
    set(&pulse.connect_failures, tally.connections.failed);
    set(&pulse.win_p99_us, tally.histograms[Class::Win as usize].value_at_quantile(0.99));
    set(&pulse.sold_out_p99_us, tally.histograms[Class::SoldOut as usize].value_at_quantile(0.99));
}
