//! What one load thread has seen: counters, histograms, a timeline, and everything buyers were told.
//!
//! Owns the bookkeeping of a thread; nothing here is shared, so nothing is locked. Tallies of all threads
//! are merged once, at the end.

use hdrhistogram::Histogram;

use crate::LoadError;
use crate::code::{Class, Code};

/// A purchase that was answered 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Left without a clear answer (time-out, overload, lost connection).
    pub unclear: u64,
}

/// What happened to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Connections {
    /// Successful connects.
    pub opened: u64,
    /// Failed connects.
    pub failed: u64,
    /// Closed by the server after a complete answer.
    pub closed_by_server: u64,
    /// Ended while an answer was due.
    pub lost: u64,
}

/// Attempts per class in one slice of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slice {
    /// Purchases accepted.
    pub wins: u32,
    /// Sold-out answers.
    pub sold_out: u32,
    /// Other refusals.
    pub refusals: u32,
    /// Errors.
    pub errors: u32,
}

/// Slowest latency that is told apart; slower ones count as this.
const MAX_LATENCY_US: u64 = 600_000_000;

/// A thread's books.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counts: [u64; Code::COUNT],
    pub(crate) requests: u64,
    pub(crate) final_sold_out: u64,
    pub(crate) replays: Replays,
    pub(crate) connections: Connections,
    pub(crate) histograms: [Histogram<u64>; 4],
    pub(crate) slices: Vec<Slice>,
    pub(crate) slice_ms: u64,
    pub(crate) told: Vec<Told>,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) first_request_us: Option<u64>,
    pub(crate) last_answer_us: u64,
    pub(crate) last_user_id: u64,
}

impl Tally {
    pub(crate) fn new(slice_ms: u64) -> Result<Self, LoadError> {
        let histogram =
            || Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).map_err(|e| LoadError::Internal(e.to_string()));
        Ok(Self {
            counts: [0; Code::COUNT],
            requests: 0,
            final_sold_out: 0,
            replays: Replays::default(),
            connections: Connections::default(),
            histograms: [histogram()?, histogram()?, histogram()?, histogram()?],
            slices: Vec::new(),
            slice_ms,
            told: Vec::new(),
            doubts: Vec::new(),
            conflicts: Vec::new(),
            first_request_us: None,
            last_answer_us: 0,
            last_user_id: 0,
        })
    }

    /// Counts one answered (or failed) attempt. `at_us` is the time in the run, `latency_us` the buyer's wait.
    pub(crate) fn count(&mut self, code: Code, at_us: u64, latency_us: u64) {
        self.counts[code.index()] += 1;
        self.last_answer_us = at_us;
        self.histograms[code.class() as usize].saturating_record(latency_us.max(1));
        let index = usize::try_from(at_us / 1_000 / self.slice_ms).unwrap_or(usize::MAX);
        if index >= self.slices.len() {
            // Bounded: slices are at least as long as the run divided by their greatest number.
            self.slices.resize(index + 1, Slice::default());
        }
        let slice = &mut self.slices[index];
        match code.class() {
            Class::Win => slice.wins += 1,
            Class::SoldOut => slice.sold_out += 1,
            Class::Refusal => slice.refusals += 1,
            Class::Error => slice.errors += 1,
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
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).map_err(|e| LoadError::Internal(e.to_string()))?;
        }
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
        self.slices.resize(self.slices.len().max(other.slices.len()), Slice::default());
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.wins += theirs.wins;
            mine.sold_out += theirs.sold_out;
            mine.refusals += theirs.refusals;
            mine.errors += theirs.errors;
        }
        self.told.extend(other.told);
        self.doubts.extend(other.doubts);
        self.conflicts.extend(other.conflicts);
        self.first_request_us = [self.first_request_us, other.first_request_us].into_iter().flatten().min();
        self.last_answer_us = self.last_answer_us.max(other.last_answer_us);
        self.last_user_id = self.last_user_id.max(other.last_user_id);
        Ok(())
    }
}
