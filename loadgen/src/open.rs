//! The open loop: buyers come at their times, however slow the server is.
//!
//! Owns the schedule's cursor, the pool of connections and the buyers who come back. Connections that become free take the next
//! buyer themselves; those that have nothing to do are parked and woken by the keeper, which follows the clock.
//!
//! The generator's own lag is measured for every arrival and kept apart from the server's slowness. A connection that was woken
//! for an arrival was free: whatever passed since the arrival's time is the generator's own. A connection that comes from an
//! answer was not: the wait is the server's, but for as much as the keeper itself was late when the arrival's time came.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::line::Line;
use crate::visit::{Errand, Next, abandon, run};
use crate::worker::Worker;

/// The keeper looks at least this often.
const LONGEST_LOOK_US: u64 = 5_000;
/// A start that much after its time, through no fault of the generator, has waited for a connection.
const WAITED_FROM_US: u64 = 1_000;
/// Most buyers of one thread who are on their way back; more give up.
const MAX_RETURNING: usize = 1_000_000;

/// One thread's part of the open loop.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// The next arrival to begin, as a place in the roster.
    next: Cell<usize>,
    /// The next arrival that the keeper has not seen.
    unseen: Cell<usize>,
    clock_work: ClockWork,
    /// Connections without work.
    parked: RefCell<Vec<Waker>>,
    returning: RefCell<BinaryHeap<Reverse<Returning>>>,
    returned: Cell<u64>,
    busy: Cell<usize>,
}

/// When the keeper looked at the clock, and when it should have.
#[derive(Debug, Default)]
struct ClockWork {
    /// Its last look, and how late that was.
    looked_us: Cell<u64>,
    lag_us: Cell<u64>,
    /// When it means to look again.
    next_us: Cell<u64>,
}

impl ClockWork {
    fn look(&self, now_us: u64) {
        self.lag_us.set(now_us.saturating_sub(self.next_us.get()));
        self.looked_us.set(now_us);
    }

    /// By how much the keeper was late for an arrival of this time. What was due before the last look suffered that look's
    /// lag; what fell due since then waits for the next one, which may be overdue by now.
    fn lag_for(&self, due_us: u64, now_us: u64) -> u64 {
        if due_us <= self.looked_us.get() { self.lag_us.get() } else { now_us.saturating_sub(self.next_us.get()) }
    }
}

/// A buyer who comes back.
#[derive(Debug)]
struct Returning {
    at_us: u64,
    /// First sent away, first served.
    number: u64,
    errand: Errand,
}

impl PartialEq for Returning {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Returning {}

impl PartialOrd for Returning {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Returning {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

impl Desk {
    /// A desk whose first arrival is the thread's own.
    pub(crate) fn new(thread: usize) -> Self {
        let desk = Self::default();
        desk.next.set(thread);
        desk.unseen.set(thread);
        desk
    }

    /// Connections that wait for an answer.
    pub(crate) fn busy(&self) -> usize {
        self.busy.get()
    }

    /// Writes down what is left of those who will not come back.
    pub(crate) fn close(&self, worker: &Worker) {
        for Reverse(returning) in self.returning.borrow_mut().drain() {
            abandon(worker, &returning.errand);
        }
    }

    /// The next thing to do at this moment: those who come back first, they have waited already.
    fn take(&self, worker: &Worker, woken: bool) -> Option<Errand> {
        let now_us = worker.shared.now_us();
        loop {
            let mut returning = self.returning.borrow_mut();
            if returning.peek().is_none_or(|Reverse(first)| first.at_us > now_us) {
                break;
            }
            let errand = returning.pop()?.0.errand;
            let next_is_due = returning.peek().is_some_and(|Reverse(next)| next.at_us <= now_us);
            drop(returning);
            if next_is_due {
                // Each who comes back calls the next one in: the keeper need not count them.
                self.wake(1);
            }
            if worker.permits(&errand) {
                return Some(errand);
            }
            abandon(worker, &errand);
        }
        let place = self.next.get();
        let due_us = *worker.shared.roster.times_us.get(place)?;
        if due_us > now_us || due_us > worker.last_start_us() || !worker.may_settle() {
            return None;
        }
        self.next.set(place + worker.shared.plan.threads);
        let delay_us = now_us - due_us;
        let lag_us = if woken { delay_us } else { delay_us.min(self.clock_work.lag_for(due_us, now_us)) };
        let mut tally = worker.tally.borrow_mut();
        tally.begun(lag_us, worker.shared.plan.late_from_ms * 1_000);
        if delay_us - lag_us > WAITED_FROM_US {
            tally.served.waited += 1;
            tally.served.longest_wait_us = tally.served.longest_wait_us.max(delay_us - lag_us);
        }
        drop(tally);
        Some(Errand::Buy(worker.visit_of(place, due_us)))
    }

    /// Sends a buyer away for a while.
    fn send_away(&self, worker: &Worker, next: &Next) {
        let mut returning = self.returning.borrow_mut();
        if returning.len() >= MAX_RETURNING {
            drop(returning);
            abandon(worker, &next.errand);
            return;
        }
        let number = self.returned.get();
        self.returned.set(number + 1);
        let at_us = worker.shared.now_us() + next.after_ms * 1_000;
        returning.push(Reverse(Returning { at_us, number, errand: next.errand }));
    }

    /// Whether somebody is served, waits, or is on the way back.
    pub(crate) fn has_work(&self, worker: &Worker) -> bool {
        let due = worker.shared.roster.times_us.get(self.next.get());
        let waits = due.is_some_and(|due_us| *due_us <= worker.last_start_us());
        let permitted = |Reverse(one): &Reverse<Returning>| worker.permits(&one.errand);
        self.busy.get() > 0 || waits || self.returning.borrow().iter().any(permitted)
    }

    /// Wakes as many parked connections as there may be work for.
    fn wake(&self, count: usize) {
        for _ in 0..count {
            let Some(waker) = self.parked.borrow_mut().pop() else { return };
            waker.wake();
        }
    }

    /// Wakes all of them, to look around or to end.
    pub(crate) fn wake_all(&self) {
        self.wake(usize::MAX);
    }
}

/// Opens the pool: tasks only, connections open when they are first needed.
pub(crate) fn open_pool(worker: &Rc<Worker>, thread: usize) {
    let shared = &worker.shared;
    let connections = shared.plan.open.as_ref().map_or(0, |open| open.connections);
    let connections = usize::try_from(connections).unwrap_or(0);
    let share = connections.saturating_sub(thread).div_ceil(shared.plan.threads).max(1);
    for _ in 0..share {
        tokio::task::spawn_local(serve(Rc::clone(worker)));
    }
}

/// One connection of the pool.
async fn serve(worker: Rc<Worker>) {
    let mut line = Line::new(&worker);
    let mut woken = false;
    while worker.may_settle() {
        let Some(errand) = worker.desk.take(&worker, woken) else {
            park(&worker.desk).await;
            woken = true;
            continue;
        };
        if std::mem::take(&mut woken) {
            line.drop_if_stale();
        }
        let busy = Busy::new(&worker);
        let next = run(&mut line, errand).await;
        drop(busy);
        if let Some(next) = next {
            worker.desk.send_away(&worker, &next);
        }
    }
}

/// Counts a connection as busy for as long as it lives.
struct Busy<'a>(&'a Cell<usize>);

impl<'a> Busy<'a> {
    fn new(worker: &'a Worker) -> Self {
        let busy = &worker.desk.busy;
        busy.set(busy.get() + 1);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Waits until the keeper wakes this connection.
async fn park(desk: &Desk) {
    let mut parked = false;
    poll_fn(|context| {
        if parked {
            return Poll::Ready(());
        }
        parked = true;
        desk.parked.borrow_mut().push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Looks at the clock once, notes how late that is, and wakes connections for what has become due.
pub(crate) fn look(worker: &Worker) {
    let (desk, shared) = (&worker.desk, &worker.shared);
    let times_us = &shared.roster.times_us;
    let step = shared.plan.threads;
    let now_us = shared.now_us();
    desk.clock_work.look(now_us);
    let mut place = desk.unseen.get();
    while times_us.get(place).is_some_and(|due_us| *due_us <= now_us) {
        place += step;
    }
    desk.unseen.set(place);
    let waiting = place.saturating_sub(desk.next.get()) / step;
    let back = desk.returning.borrow().peek().is_some_and(|Reverse(first)| first.at_us <= now_us);
    desk.wake(waiting + usize::from(back));
}

/// Sleeps until something becomes due, but not for long.
pub(crate) async fn doze(worker: &Worker) {
    let (desk, shared) = (&worker.desk, &worker.shared);
    let now_us = shared.now_us();
    let arrival = shared.roster.times_us.get(desk.unseen.get()).copied();
    let back = desk.returning.borrow().peek().map(|Reverse(first)| first.at_us);
    let next_us = [arrival, back].into_iter().flatten().fold(now_us + LONGEST_LOOK_US, u64::min);
    // Something overdue still lets the connections run first.
    let next_us = next_us.max(now_us + 1);
    desk.clock_work.next_us.set(next_us);
    let at = shared.started + Duration::from_micros(next_us);
    sleep_until(Instant::from_std(at)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_counts_for_whom_it_concerns() {
        let clock_work = ClockWork::default();
        clock_work.next_us.set(10_000);
        // A look that should have been at 10 ms was at 40 ms.
        clock_work.look(40_000);
        clock_work.next_us.set(45_000);
        assert_eq!(clock_work.lag_for(9_000, 44_000), 30_000, "due before that look");
        assert_eq!(clock_work.lag_for(43_000, 44_000), 0, "due after it, and the next look is not late yet");
        assert_eq!(clock_work.lag_for(43_000, 70_000), 25_000, "the next look is overdue, and nobody has seen it");
        clock_work.look(46_000);
        assert_eq!(clock_work.lag_for(9_000, 80_000), 1_000, "the rest of the wait was for the server");
    }
}
