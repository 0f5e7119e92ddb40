//! What one load thread has seen: counters, histograms, a timeline, and everything buyers were told.
//!
//! Owns the bookkeeping of a thread; nothing here is shared, so nothing is locked. Tallies of all threads
//! are merged once, at the end.

use std::io;

use hdrhistogram::Histogram;

use crate::LoadError;
use crate::code::{Class, Code};
use crate::fairness::Sampler;
use crate::moments::Moments;
use crate::people::People;
use crate::report::Behaviour;

/// A purchase that was answered 200.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Order id in the answer.
    pub order_id: u64,
    /// Reservation id in the answer.
    pub reservation_id: u64,
    /// The buyer.
    pub user_id: u64,
    /// Number of the idempotency key; [`crate::key_text`] spells it.
    pub key: u64,
    /// What was bought.
    pub sku_id: u64,
    /// How many units.
    pub quantity: u8,
    /// When the answer had arrived, microseconds since the start.
    pub answered_us: u64,
    /// When the hold ends, milliseconds since 1970 by the server's clock; 0 if the answer did not say.
    pub expires_at_ms: u64,
}

/// A wish to pay for an order or to cancel it, and what its buyer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The order.
    pub order_id: u64,
    /// Its key; the payment's id is `pay-` and [`crate::key_text`] of it.
    pub key: u64,
    /// Paid, or else cancelled.
    pub pays: bool,
    /// When it was first asked for, microseconds since the start: nothing of it can have happened before.
    pub asked_us: u64,
    /// The clear answer; `None` if there was none.
    pub told: Option<Ended>,
    /// When that answer had arrived.
    pub told_us: u64,
}

/// A clear answer to a wish to pay or to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Paid, and for this order: the same, or the one that stands for it.
    Paid(u64),
    /// Cancelled.
    Cancelled,
    /// The money is to be given back.
    Refund,
    /// Refused.
    Refused,
}

/// A purchase whose outcome was unknown at some time and that did not end in a 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// The buyer.
    pub user_id: u64,
    /// Number of the idempotency key.
    pub key: u64,
    /// What should be bought.
    pub sku_id: u64,
    /// The clear refusal in the end; `None` if the run ended in doubt.
    pub refused: Option<Code>,
}

/// One key, two answers: a repetition of a won purchase did not bring the same reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The first answer.
    pub first: Told,
    /// Order and reservation of the second answer, if it was a 200.
    pub second: Option<(u64, u64)>,
    /// Code of the second answer.
    pub code: Code,
}

/// What came of repeating won purchases with the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Replays {
    /// Repetitions sent.
    pub sent: u64,
    /// Answered with the same reservation and order.
    pub same: u64,
    /// Of those, marked by the server with `Idempotent-Replayed: true`.
    pub marked: u64,
    /// Answered with another reservation, or with a refusal: broken promises.
    pub conflicting: u64,
    /// Left without a clear answer (time-out, overload, a 5xx, lost connection); each is asked again like any other attempt.
    pub unclear: u64,
}

/// What happened to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Connections {
    /// Successful connects.
    pub opened: u64,
    /// Failed connects.
    pub failed: u64,
    /// Closed by the server after a complete answer, or while there was nothing to do.
    pub closed_by_server: u64,
    /// Ended while an answer was due.
    pub lost: u64,
}

/// Attempts per class in a tenth of a second or so: fine enough to find the moment when the stock ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) wins: u32,
    pub(crate) sold_out: u32,
}

/// What became of this thread's part of the schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Served {
    /// Purchases of the schedule whose first request was sent.
    pub(crate) arrivals: u64,
    /// All purchases whose first request was sent.
    pub(crate) started: u64,
    /// Of those, the first ones of their users; where a trace sends somebody twice, each time counts (see [`Tally::users`]).
    pub(crate) visitors: u64,
    /// Arrivals that waited for a connection.
    pub(crate) waited: u64,
    pub(crate) longest_wait_us: u64,
    /// Arrivals that the generator began too late.
    pub(crate) late: u64,
    /// When no new purchases were begun any more.
    pub(crate) ended_us: u64,
}

/// Slowest latency that is told apart; slower ones count as this.
const MAX_LATENCY_US: u64 = 600_000_000;

/// Most slices of a tenth of a second; longer runs get longer ones.
const MAX_SLICES: u64 = 36_000;
/// The shortest slice.
const MIN_SLICE_MS: u64 = 100;
/// Most records that fairness is computed from: 40 bytes each.
const MAX_RECORDS: usize = 1_000_000;

/// A thread's books.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counts: [u64; Code::COUNT],
    pub(crate) requests: u64,
    pub(crate) final_sold_out: u64,
    pub(crate) replays: Replays,
    pub(crate) connections: Connections,
    /// Why the last failed connect failed.
    pub(crate) connect_error: Option<io::Error>,
    /// From the intended start, by class.
    pub(crate) histograms: [Histogram<u64>; 4],
    /// From the first byte of the request, by class.
    pub(crate) service: [Histogram<u64>; 4],
    /// The generator's own lag.
    pub(crate) lag: Histogram<u64>,
    pub(crate) served: Served,
    /// Whoever came of a trace; empty without one.
    pub(crate) people: People,
    pub(crate) behaviour: Behaviour,
    pub(crate) moments: Moments,
    pub(crate) sampler: Sampler,
    pub(crate) slices: Vec<Slice>,
    pub(crate) slice_ms: u64,
    pub(crate) told: Vec<Told>,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) endings: Vec<Ending>,
    pub(crate) first_request_us: Option<u64>,
    pub(crate) last_answer_us: u64,
    pub(crate) last_user_id: u64,
}

impl Tally {
    /// Empty books of a run of this length, one of so many.
    pub(crate) fn new(duration_ms: u64, threads: usize) -> Result<Self, LoadError> {
        let histogram =
            || Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).map_err(|e| LoadError::Internal(e.to_string()));
        let four = || Ok::<_, LoadError>([histogram()?, histogram()?, histogram()?, histogram()?]);
        Ok(Self {
            counts: [0; Code::COUNT],
            requests: 0,
            final_sold_out: 0,
            replays: Replays::default(),
            connections: Connections::default(),
            connect_error: None,
            histograms: four()?,
            service: four()?,
            lag: histogram()?,
            served: Served::default(),
            people: People::default(),
            behaviour: Behaviour::default(),
            moments: Moments::new(duration_ms),
            sampler: Sampler::new(MAX_RECORDS / threads.max(1)),
            slices: Vec::new(),
            slice_ms: (duration_ms / MAX_SLICES).max(MIN_SLICE_MS),
            told: Vec::new(),
            doubts: Vec::new(),
            conflicts: Vec::new(),
            endings: Vec::new(),
            first_request_us: None,
            last_answer_us: 0,
            last_user_id: 0,
        })
    }

    /// Counts one answered (or failed) attempt. `at_us` is the time in the run, `latency_us` the buyer's wait since the
    /// intended start, `service_us` that since the request left.
    pub(crate) fn count(&mut self, code: Code, at_us: u64, latency_us: u64, service_us: u64) {
        let class = code.class();
        self.counts[code.index()] += 1;
        if code != Code::Unanswered {
            self.last_answer_us = at_us;
        }
        self.histograms[class as usize].saturating_record(latency_us.max(1));
        self.service[class as usize].saturating_record(service_us.max(1));
        self.moments.answered(at_us, class, latency_us, service_us);
        let index = usize::try_from(at_us / 1_000 / self.slice_ms).unwrap_or(usize::MAX);
        if index >= self.slices.len() {
            // Bounded: slices are at least as long as the run divided by their greatest number.
            self.slices.resize(index + 1, Slice::default());
        }
        match class {
            Class::Win => self.slices[index].wins += 1,
            Class::SoldOut => self.slices[index].sold_out += 1,
            Class::Refusal | Class::Error => {}
        }
    }

    /// Notes that an arrival of the schedule is begun, `lag_us` after its time through the generator's own fault.
    pub(crate) fn begun(&mut self, lag_us: u64, late_from_us: u64) {
        self.lag.saturating_record(lag_us.max(1));
        self.served.late += u64::from(lag_us > late_from_us);
    }

    /// Different users who asked.
    pub(crate) fn users(&self) -> u64 {
        match self.people.count() {
            0 => self.served.visitors,
            people => people,
        }
    }

    /// Attempts counted in one class.
    pub(crate) fn of_class(&self, class: Class) -> u64 {
        Code::all().filter(|code| code.class() == class).map(|code| self.counts[code.index()]).sum()
    }

    /// Adds another thread's books to these.
    pub(crate) fn merge(&mut self, other: Tally) -> Result<(), LoadError> {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        let mine = self.histograms.iter_mut().chain(&mut self.service).chain([&mut self.lag]);
        let theirs = other.histograms.iter().chain(&other.service).chain([&other.lag]);
        for (mine, theirs) in mine.zip(theirs) {
            mine.add(theirs).map_err(|e| LoadError::Internal(e.to_string()))?;
        }
        self.moments.merge(&other.moments);
        self.sampler.merge(other.sampler);
        self.behaviour.add(&other.behaviour);
        self.served = Served {
            arrivals: self.served.arrivals + other.served.arrivals,
            started: self.served.started + other.served.started,
            visitors: self.served.visitors + other.served.visitors,
            waited: self.served.waited + other.served.waited,
            longest_wait_us: self.served.longest_wait_us.max(other.served.longest_wait_us),
            late: self.served.late + other.served.late,
            ended_us: self.served.ended_us.max(other.served.ended_us),
        };
        self.people.merge(&other.people);
        self.requests += other.requests;
        self.final_sold_out += other.final_sold_out;
        self.replays = Replays {
            sent: self.replays.sent + other.replays.sent,
            same: self.replays.same + other.replays.same,
            marked: self.replays.marked + other.replays.marked,
            conflicting: self.replays.conflicting + other.replays.conflicting,
            unclear: self.replays.unclear + other.replays.unclear,
        };
        self.connections = Connections {
            opened: self.connections.opened + other.connections.opened,
            failed: self.connections.failed + other.connections.failed,
            closed_by_server: self.connections.closed_by_server + other.connections.closed_by_server,
            lost: self.connections.lost + other.connections.lost,
        };
        self.connect_error = self.connect_error.take().or(other.connect_error);
        self.slices.resize(self.slices.len().max(other.slices.len()), Slice::default());
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.wins += theirs.wins;
            mine.sold_out += theirs.sold_out;
        }
        self.told.extend(other.told);
        self.doubts.extend(other.doubts);
        self.conflicts.extend(other.conflicts);
        self.endings.extend(other.endings);
        self.first_request_us = [self.first_request_us, other.first_request_us].into_iter().flatten().min();
        self.last_answer_us = self.last_answer_us.max(other.last_answer_us);
        self.last_user_id = self.last_user_id.max(other.last_user_id);
        Ok(())
    }
}
