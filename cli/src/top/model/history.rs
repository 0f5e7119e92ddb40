//! Rates over time, in bounded memory: the last quarter of an hour as it was sampled (at one sample a second), two hours before
//! that in steps of ten seconds. What was not sampled is missing; it is never a zero.

use std::collections::VecDeque;

use super::flow::Flow;

/// Points as they were sampled.
const FRESH_MAX: usize = 900;
/// Length of an older point.
const OLD_STEP_MS: u64 = 10_000;
/// How many older points.
const OLD_MAX: usize = 720;

/// Rates during one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// The end of it.
    pub(crate) at_ms: u64,
    /// Its length; what lies between two stretches is unknown.
    pub(crate) span_ms: u64,
    /// Rates. Of an older point: the highest in it.
    pub(crate) flow: Flow,
    /// p99 of wins, the worst of it.
    pub(crate) p99_us: Option<u64>,
    /// Not every daemon is in it.
    pub(crate) partial: bool,
}

impl Point {
    pub(crate) fn new(at_ms: u64, span_ms: u64, flow: Flow, p99_us: Option<u64>, partial: bool) -> Self {
        Self { at_ms, span_ms, flow, p99_us, partial }
    }

    fn start_ms(&self) -> u64 {
        self.at_ms.saturating_sub(self.span_ms)
    }

    fn merge(&mut self, later: &Point) {
        self.span_ms = later.at_ms.saturating_sub(self.start_ms());
        self.at_ms = later.at_ms;
        self.flow = self.flow.max(later.flow);
        self.p99_us = self.p99_us.max(later.p99_us);
        self.partial |= later.partial;
    }
}

/// Points in order of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    fresh: VecDeque<Point>,
    old: VecDeque<Point>,
}

impl History {
    pub(crate) fn push(&mut self, mut point: Point) {
        // A stretch much longer than the ones around it holds polls that failed: only its end was seen.
        if let Some(usual) = self.usual_span_ms()
            && point.span_ms > usual * 2
        {
            point.span_ms = usual;
        }
        self.fresh.push_back(point);
        if self.fresh.len() > FRESH_MAX
            && let Some(point) = self.fresh.pop_front()
        {
            self.keep_old(point);
        }
    }

    /// All points, the oldest first.
    pub(crate) fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.old.iter().chain(&self.fresh)
    }

    /// How much is kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.old.len() + self.fresh.len()
    }

    /// The highest value within the `span_ms` up to `now_ms`.
    pub(crate) fn peak(&self, now_ms: u64, span_ms: u64, value: impl Fn(&Point) -> Option<f32>) -> Option<f32> {
        let since = now_ms.saturating_sub(span_ms);
        let within = self.points().rev().take_while(|point| point.at_ms > since);
        within.filter_map(value).reduce(f32::max)
    }

    /// The highest value in each of `columns` equal parts of the `span_ms` up to `now_ms`; `None` where nothing was sampled.
    pub(crate) fn columns(
        &self,
        now_ms: u64,
        span_ms: u64,
        columns: usize,
        value: impl Fn(&Point) -> Option<f32>,
    ) -> Vec<Option<f32>> {
        let mut highest: Vec<Option<f32>> = vec![None; columns];
        let wide = columns as u64;
        let (since, span_ms) = (now_ms.saturating_sub(span_ms), span_ms.max(1));
        if columns == 0 {
            return highest;
        }
        for point in self.points().rev().take_while(|point| point.at_ms > since) {
            let Some(value) = value(point) else { continue };
            let column = |at_ms: u64| {
                usize::try_from(at_ms.saturating_sub(since).min(span_ms - 1) * wide / span_ms).unwrap_or(0)
            };
            // Times are (start, end]: the first moment of a stretch belongs to the one before.
            let (first, last) = (column(point.start_ms()), column(point.at_ms.saturating_sub(1)));
            for cell in &mut highest[first..=last.max(first)] {
                *cell = Some(cell.map_or(value, |other| other.max(value)));
            }
        }
        highest
    }

    fn usual_span_ms(&self) -> Option<u64> {
        let mut spans: Vec<u64> = self.fresh.iter().rev().take(9).map(|point| point.span_ms).collect();
        spans.sort_unstable();
        spans.get(spans.len() / 2).copied().filter(|span| *span > 0)
    }

    fn keep_old(&mut self, point: Point) {
        match self.old.back_mut() {
            Some(last)
                if point.at_ms.saturating_sub(last.start_ms()) <= OLD_STEP_MS
                    && point.start_ms() <= last.at_ms + last.span_ms =>
            {
                last.merge(&point);
            }
            _ => {
                self.old.push_back(point);
                if self.old.len() > OLD_MAX {
                    self.old.pop_front();
                }
            }
        }
    }
}
