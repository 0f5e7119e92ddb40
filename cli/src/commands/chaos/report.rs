//! What a run came to, and what all of them came to together.

use std::collections::BTreeMap;

use flash_witness::{Kind as Broken, Log, Violation};
use serde::{Deserialize, Serialize};

use super::{
    buyers::{Book, Totals},
    run::Terms,
    schedule::Planned,
};
use crate::table::{self, Align, grouped};

/// Layout version of the JSON.
const VERSION: u32 = 1;

/// A silence that begins so long after a fault still counts as its: what had been decided before is told first.
const ECHO_MS: u64 = 500;

/// A fault as it was injected. Times are milliseconds since 1970.
pub(super) struct Injected {
    pub(super) planned: Planned,
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// What a run has to tell, beside the testimonies.
pub(super) struct Ran {
    pub(super) injected: Vec<Injected>,
    pub(super) totals: Totals,
    pub(super) quiet_ms: u64,
    pub(super) took_ms: u64,
    pub(super) unasked_ends: usize,
    pub(super) violations: Vec<Violation>,
}

/// A fault in a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FaultReport {
    kind: String,
    text: String,
    /// Longest time without a 200 that touched the fault.
    silence_ms: u64,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunReport {
    version: u32,
    #[serde(rename = "type")]
    kind: String,
    seed: u64,
    broker: String,
    lease_ms: u64,
    duration_ms: u64,
    clean: bool,
    /// Faults in the order of the schedule.
    faults: Vec<FaultReport>,
    /// Purchases wanted, told 200 (each once), and never answered for good.
    wanted: u64,
    told: usize,
    unknown: u64,
    /// Settlements told for good, and never, under load.
    paid: usize,
    cancelled: usize,
    refunds: usize,
    unsettled: u64,
    /// Answers by code, 200 aside.
    answers: BTreeMap<String, u64>,
    /// Tickets bought after everything was quiet.
    told_after: usize,
    events: usize,
    void_events: usize,
    orders: usize,
    /// From the end of the last fault until nothing was held, on its way, or behind.
    quiet_after_ms: u64,
    took_ms: u64,
    /// Daemons that ended although nobody had asked for it; they were started again.
    unasked_ends: usize,
    pub(super) violations: Vec<Violation>,
}

impl RunReport {
    pub(super) fn new(seed: u64, terms: &Terms, ran: &Ran, book: &Book, log: &Log) -> Self {
        let mut times: Vec<u64> = book.list().told.iter().map(|told| told.at_ms).collect();
        times.sort_unstable();
        let Totals { told, paid, cancelled, refunds, tally } = ran.totals.clone();
        let fault = |one: &Injected| FaultReport {
            kind: one.planned.kind.name(),
            text: one.planned.text(),
            silence_ms: silence(&times, one.from_ms, one.until_ms + ECHO_MS),
        };
        Self {
            version: VERSION,
            kind: "run".to_owned(),
            seed,
            broker: terms.broker.clone(),
            lease_ms: u64::try_from(terms.lease.as_millis()).unwrap_or(u64::MAX),
            duration_ms: u64::try_from(terms.duration.as_millis()).unwrap_or(u64::MAX),
            clean: ran.violations.is_empty(),
            faults: ran.injected.iter().map(fault).collect(),
            wanted: tally.wanted,
            told,
            unknown: tally.unknown,
            paid,
            cancelled,
            refunds,
            unsettled: tally.unsettled,
            answers: tally.codes,
            told_after: book.totals().told - told,
            events: log.events,
            void_events: log.void_events,
            orders: log.orders.len(),
            quiet_after_ms: ran.quiet_ms,
            took_ms: ran.took_ms,
            unasked_ends: ran.unasked_ends,
            violations: ran.violations.clone(),
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.clean
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        format!(
            "seed {}: {} · {} faults · {} wanted, {} told, {} paid, {} cancelled, {} refunds, {} unknown · {} events, {} \
             void · quiet after {:.1} s · {:.0} s",
            self.seed,
            if self.clean { "clean".to_owned() } else { format!("{} VIOLATIONS", self.violations.len()) },
            self.faults.len(),
            grouped(self.wanted),
            grouped(self.told as u64),
            grouped(self.paid as u64),
            grouped(self.cancelled as u64),
            grouped(self.refunds as u64),
            self.unknown,
            grouped(self.events as u64),
            self.void_events,
            seconds(self.quiet_after_ms),
            seconds(self.took_ms),
        )
    }

    /// What to say about violations: schedule, findings, and how to repeat it.
    pub(super) fn accusation(&self, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = self.faults.iter().map(|fault| format!("  fault: {}", fault.text)).collect();
        for violation in self.violations.iter().take(most) {
            let order = violation.order_id.map_or_else(String::new, |id| format!(" order {id}:"));
            lines.push(format!("  {}:{order} {}", violation.kind.name(), violation.text));
        }
        if self.violations.len() > most {
            lines.push(format!("  … and {} more, see the kept report", self.violations.len() - most));
        }
        lines
    }
}

fn seconds(ms: u64) -> f64 {
    f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1_000.0
}

/// The longest time without a 200 that touches `from..until`, counted from `from` at the earliest. `times` are sorted.
fn silence(times: &[u64], from: u64, until: u64) -> u64 {
    let mut longest = 0;
    let mut last = from;
    for time in times.iter().copied().filter(|time| *time > from) {
        longest = longest.max(time - last);
        last = time;
        if last > until {
            return longest;
        }
    }
    longest.max(until.saturating_sub(last))
}

/// All runs of an invocation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    version: u32,
    #[serde(rename = "type")]
    kind: String,
    runs: usize,
    clean_runs: usize,
    faults: BTreeMap<String, Silence>,
    wanted: u64,
    told: u64,
    paid: u64,
    cancelled: u64,
    refunds: u64,
    unknown: u64,
    events: u64,
    void_events: u64,
    unasked_ends: u64,
    /// Longest time from the end of the last fault to quiet.
    quiet_after_ms_max: u64,
    violations: BTreeMap<String, usize>,
    /// Seeds of the runs that were not clean.
    guilty_seeds: Vec<u64>,
    /// Seeds of runs that could not be finished; nothing is known about them.
    unfinished_seeds: Vec<u64>,
}

/// Times without selling of one kind of fault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Silence {
    count: usize,
    min_ms: u64,
    median_ms: u64,
    max_ms: u64,
}

impl Summary {
    pub(super) fn of(runs: &[RunReport], unfinished: &[u64]) -> Self {
        let mut silences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for fault in runs.iter().flat_map(|run| &run.faults) {
            silences.entry(fault.kind.clone()).or_default().push(fault.silence_ms);
        }
        let mut violations: BTreeMap<String, usize> =
            Broken::ALL.iter().map(|kind| (kind.name().to_owned(), 0)).collect();
        for violation in runs.iter().flat_map(|run| &run.violations) {
            *violations.entry(violation.kind.name().to_owned()).or_default() += 1;
        }
        let sum = |of: fn(&RunReport) -> u64| runs.iter().map(of).sum();
        Self {
            version: VERSION,
            kind: "summary".to_owned(),
            runs: runs.len(),
            clean_runs: runs.iter().filter(|run| run.clean).count(),
            faults: silences.into_iter().map(|(kind, times)| (kind, Silence::of(times))).collect(),
            wanted: sum(|run| run.wanted),
            told: sum(|run| run.told as u64),
            paid: sum(|run| run.paid as u64),
            cancelled: sum(|run| run.cancelled as u64),
            refunds: sum(|run| run.refunds as u64),
            unknown: sum(|run| run.unknown),
            events: sum(|run| run.events as u64),
            void_events: sum(|run| run.void_events as u64),
            unasked_ends: sum(|run| run.unasked_ends as u64),
            quiet_after_ms_max: runs.iter().map(|run| run.quiet_after_ms).max().unwrap_or(0),
            violations,
            guilty_seeds: runs.iter().filter(|run| !run.clean).map(|run| run.seed).collect(),
            unfinished_seeds: unfinished.to_vec(),
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.guilty_seeds.is_empty()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let headings = [
            ("FAULT", Align::Left),
            ("COUNT", Align::Right),
            ("NOT SELLING MIN", Align::Right),
            ("MEDIAN", Align::Right),
            ("MAX", Align::Right),
        ];
        let row = |(kind, silence): (&String, &Silence)| {
            let time = |ms| format!("{:.2} s", seconds(ms));
            let (min, median, max) = (time(silence.min_ms), time(silence.median_ms), time(silence.max_ms));
            vec![kind.clone(), silence.count.to_string(), min, median, max]
        };
        let mut lines = table::lines(&headings, &self.faults.iter().map(row).collect::<Vec<_>>());
        let all: usize = self.faults.values().map(|silence| silence.count).sum();
        let broken: Vec<String> = self.violations.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        lines.push(String::new());
        lines.push(format!("{} runs, {} clean, {all} faults", self.runs, self.clean_runs));
        lines.push(format!(
            "{} purchases wanted, {} told, {} paid, {} cancelled, {} to be refunded, {} unknown for good",
            grouped(self.wanted),
            grouped(self.told),
            grouped(self.paid),
            grouped(self.cancelled),
            grouped(self.refunds),
            self.unknown
        ));
        lines.push(format!(
            "{} events, {} of them void · quiet at most {:.1} s after the last fault · {} unasked ends of flashd",
            grouped(self.events),
            self.void_events,
            seconds(self.quiet_after_ms_max),
            self.unasked_ends
        ));
        lines.push(format!("violations: {}", broken.join(", ")));
        if !self.guilty_seeds.is_empty() {
            lines.push(format!("seeds with violations: {:?}", self.guilty_seeds));
        }
        if !self.unfinished_seeds.is_empty() {
            lines.push(format!("seeds that could not be finished: {:?}", self.unfinished_seeds));
        }
        lines.join("\n")
    }
}

impl Silence {
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |index: usize| times.get(index).copied().unwrap_or(0);
        Self {
            count: times.len(),
            min_ms: at(0),
            median_ms: at(times.len() / 2),
            max_ms: at(times.len().saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_longest_gap_that_touches_the_fault() {
        let times = [90, 100, 110, 400, 410, 2_000];
        assert_eq!(silence(&times, 105, 200), 290, "from the last yes within it to the next");
        assert_eq!(silence(&times, 105, 405), 290);
        assert_eq!(silence(&times, 410, 500), 1_590);
        assert_eq!(silence(&times, 3_000, 3_500), 500, "nothing came any more");
    }
}
