//! Outcomes and latencies per second of the run, while it goes on.
//!
//! Owns the timeline's books of one thread: plain counters in buckets of the shared histogram. Bounded: a longer run gets
//! longer slices.

use flash_core::stats::{BUCKETS, bucket_of, highest_up_to_us};

use crate::code::Class;
use crate::report::{Moment, Spread};

/// Most slices; with their buckets about 5 kB each.
const MAX_MOMENTS: u64 = 1_200;
/// The shortest slice.
const MIN_MOMENT_MS: u64 = 1_000;

/// The timeline of one thread.
#[derive(Debug)]
pub(crate) struct Moments {
    slice_ms: u64,
    slices: Vec<Books>,
}

/// One slice.
#[derive(Debug, Clone, Default)]
struct Books {
    started: u64,
    answers: [u64; 4],
    win: Buckets,
    all: Buckets,
    service: Buckets,
}

/// Counts per bucket; nothing is allocated before the first.
#[derive(Debug, Clone, Default)]
struct Buckets {
    counts: Option<Box<[u32; BUCKETS]>>,
    max_us: u64,
}

impl Moments {
    pub(crate) fn new(duration_ms: u64) -> Self {
        Self { slice_ms: duration_ms.div_ceil(MAX_MOMENTS).max(MIN_MOMENT_MS), slices: Vec::new() }
    }

    pub(crate) fn slice_ms(&self) -> u64 {
        self.slice_ms
    }

    fn at(&mut self, at_us: u64) -> &mut Books {
        let index = usize::try_from(at_us / 1_000 / self.slice_ms).unwrap_or(0);
        if index >= self.slices.len() {
            self.slices.resize(index + 1, Books::default());
        }
        &mut self.slices[index]
    }

    pub(crate) fn started(&mut self, at_us: u64) {
        self.at(at_us).started += 1;
    }

    pub(crate) fn answered(&mut self, at_us: u64, class: Class, latency_us: u64, service_us: u64) {
        let books = self.at(at_us);
        books.answers[class as usize] += 1;
        if class == Class::Win {
            books.win.count(latency_us);
        }
        books.all.count(latency_us);
        books.service.count(service_us);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.slices.resize(self.slices.len().max(other.slices.len()), Books::default());
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.started += theirs.started;
            mine.answers.iter_mut().zip(theirs.answers).for_each(|(mine, theirs)| *mine += theirs);
            mine.win.merge(&theirs.win);
            mine.all.merge(&theirs.all);
            mine.service.merge(&theirs.service);
        }
    }

    /// The timeline, with the times (in order, microseconds) at which the schedule had arrivals.
    pub(crate) fn timeline(&self, due_us: &[u64]) -> Vec<Moment> {
        let slice_us = self.slice_ms * 1_000;
        let last_due = due_us.last().map_or(0, |at| usize::try_from(at / slice_us).unwrap_or(0) + 1);
        let nothing = Books::default();
        let mut begun = 0;
        let moment = |index: usize| {
            let books = self.slices.get(index).unwrap_or(&nothing);
            let end_us = (index as u64 + 1) * slice_us;
            let before = std::mem::replace(&mut begun, due_us.partition_point(|at| *at < end_us));
            let [wins, sold_out, refusals, errors] = books.answers;
            Moment {
                at_ms: index as u64 * self.slice_ms,
                due: (begun - before) as u64,
                started: books.started,
                wins,
                sold_out,
                refusals,
                errors,
                win_latency: books.win.spread(),
                latency: books.all.spread(),
                service: books.service.spread(),
            }
        };
        (0..self.slices.len().max(last_due)).map(moment).collect()
    }
}

impl Buckets {
    fn count(&mut self, us: u64) {
        let counts = self.counts.get_or_insert_with(|| Box::new([0; BUCKETS]));
        counts[bucket_of(us)] += 1;
        self.max_us = self.max_us.max(us);
    }

    fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.counts else { return };
        let mine = self.counts.get_or_insert_with(|| Box::new([0; BUCKETS]));
        mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
        self.max_us = self.max_us.max(other.max_us);
    }

    fn spread(&self) -> Spread {
        let Some(counts) = &self.counts else { return Spread::default() };
        let count: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        let at = |percent: u64| {
            let rank = (count * percent).div_ceil(100);
            let mut seen = 0;
            let reached = counts.iter().position(|n| {
                seen += u64::from(*n);
                seen >= rank
            });
            reached.map_or(0, |bucket| highest_up_to_us(bucket, self.max_us))
        };
        Spread { count, p50_us: at(50), p95_us: at(95), p99_us: at(99), max_us: self.max_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_its_own_figures_and_none_is_left_out() {
        let mut one = Moments::new(10_000);
        let mut other = Moments::new(10_000);
        one.started(100);
        one.answered(900_000, Class::Win, 5_000, 400);
        other.answered(999_999, Class::SoldOut, 100, 90);
        other.answered(3_000_000, Class::Error, 7_000_000, 7_000_000);
        one.merge(&other);
        let line = one.timeline(&[0, 10, 1_000_000, 4_999_999]);
        assert_eq!(line.len(), 5);
        assert_eq!(line.iter().map(|m| m.due).collect::<Vec<_>>(), [2, 1, 0, 0, 1]);
        assert_eq!((line[0].started, line[0].wins, line[0].sold_out, line[3].errors), (1, 1, 1, 1));
        assert_eq!((line[0].win_latency.count, line[0].win_latency.p50_us, line[0].latency.max_us), (1, 5_000, 5_000));
        assert!((100..=106).contains(&line[0].latency.p50_us), "{:?}", line[0]);
        assert_eq!((line[2].latency, line[3].at_ms), (Spread::default(), 3_000));
    }

    #[test]
    fn what_no_bucket_can_tell_is_as_slow_as_the_slowest() {
        let mut buckets = Buckets::default();
        (0..50).for_each(|_| buckets.count(1_000));
        (0..50).for_each(|n| buckets.count(200_000_000 + n));
        let spread = buckets.spread();
        assert_eq!(
            (spread.count, spread.p95_us, spread.p99_us, spread.max_us),
            (100, 200_000_049, 200_000_049, 200_000_049)
        );
        assert!((1_000..=1_062).contains(&spread.p50_us), "{spread:?}");
    }

    #[test]
    fn a_long_run_gets_longer_slices() {
        assert_eq!(Moments::new(24 * 3_600_000).slice_ms(), 72_000);
        assert_eq!(Moments::new(500).slice_ms(), 1_000);
    }
}
