//! The closed loop: so many users, each asking again when they were answered.
//!
//! Owns the number of users over time. Its figures flatter the server: while a user waits, nobody asks in their place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::line::Line;
use crate::visit::{Errand, Visit, abandon, note_no_connection, pause_ms, run};
use crate::worker::Worker;

/// Most users that begin in one tick: a listener's backlog is finite.
const MAX_NEW_USERS: usize = 250;
/// A pause is slept in pieces, so that the end of the run is noticed.
const PAUSE_PIECE_MS: u64 = 50;

/// One thread's share of the users.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Users that may go on; the others leave after their answer.
    wanted: Cell<usize>,
    /// Which users exist.
    present: RefCell<Vec<bool>>,
}

impl Crowd {
    /// How many users exist.
    pub(crate) fn size(&self) -> usize {
        self.present.borrow().iter().filter(|present| **present).count()
    }

    /// Sets how many users there shall be and tells which ones are missing; those count as present from now on.
    fn grow_to(&self, wanted: usize) -> Vec<usize> {
        self.wanted.set(wanted);
        let mut present = self.present.borrow_mut();
        if present.len() < wanted {
            present.resize(wanted, false);
        }
        let missing: Vec<usize> = (0..wanted).filter(|user| !present[*user]).take(MAX_NEW_USERS).collect();
        missing.iter().for_each(|user| present[*user] = true);
        missing
    }
}

/// Brings this thread's share of the users to where the plan wants it.
pub(crate) fn adjust(worker: &Rc<Worker>, thread: usize) {
    let shared = &worker.shared;
    let total = shared.plan.buyers_at(shared.now_us() / 1_000);
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let share = total.saturating_sub(thread).div_ceil(shared.plan.threads);
    for user in worker.crowd.grow_to(share) {
        tokio::task::spawn_local(live(Rc::clone(worker), user));
    }
}

/// Buys until the run or this user's part in it is over.
async fn live(worker: Rc<Worker>, user: usize) {
    let mut line = Line::new(&worker);
    while user < worker.crowd.wanted.get() && !worker.is_over() {
        let began_us = worker.shared.now_us();
        if !line.connect().await {
            note_no_connection(&worker, began_us, began_us);
            wait(&worker, pause_ms(&worker, None, line.failures), |worker| worker.is_over()).await;
            continue;
        }
        let visit = worker.next_visit();
        follow(&mut line, visit).await;
        let think_ms = worker.dice.borrow_mut().within(worker.shared.plan.think_ms);
        if think_ms > 0 {
            wait(&worker, think_ms, |worker| user >= worker.crowd.wanted.get() || worker.is_over()).await;
            line.drop_if_stale();
        }
    }
    worker.crowd.present.borrow_mut()[user] = false;
}

/// Stays with a purchase and what comes of it until nothing is left to do.
async fn follow(line: &mut Line, visit: Visit) {
    let worker = Rc::clone(&line.worker);
    let mut errand = Errand::Buy(visit);
    while let Some(next) = run(line, errand).await {
        let mut held = Held { worker: &worker, errand: Some(next.errand) };
        if next.after_ms > 0 {
            wait(&worker, next.after_ms, |worker| !worker.permits(&next.errand)).await;
            line.drop_if_stale();
        }
        if !worker.permits(&next.errand) {
            return;
        }
        held.errand = None;
        errand = next.errand;
    }
}

/// An errand whose time has not come: dropped, what is left of it is written down.
struct Held<'a> {
    worker: &'a Worker,
    errand: Option<Errand>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(errand) = &self.errand {
            abandon(self.worker, errand);
        }
    }
}

/// Waits, but not longer than there is a reason to.
async fn wait(worker: &Worker, ms: u64, in_vain: impl Fn(&Worker) -> bool) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until && !in_vain(worker) {
        let piece = Duration::from_millis(PAUSE_PIECE_MS);
        sleep(piece.min(until.saturating_duration_since(Instant::now()))).await;
    }
}
