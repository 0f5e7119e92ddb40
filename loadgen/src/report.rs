//! The result of a run as plain data.
//!
//! Owns the versioned JSON shape and the derived figures (rates, percentiles). Never prints. A reader takes what it knows
//! and fills the rest with defaults, so reports of other versions of the program can be compared.

mod behaviour;
mod host;
mod latency;
mod pace;
mod timeline;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::fairness::Fairness;
use crate::plan::Plan;
use crate::shared::{EndReason, Shared};
use crate::stage::{SkuShare, Stage};
use crate::tally::{Connections, Replays, Tally};

pub use behaviour::{Behaviour, Settled};
pub use host::Host;
pub use latency::{Distributions, Latencies, Latency};
pub use pace::{Arrivals, Lag, Pacing, Validity};
pub use timeline::{Moment, Spread, StockPoint};

/// Version of the JSON shape; it grows when a field changes its meaning or goes away.
///
/// 2: `pacing` is a word of its own, `latency` counts from the intended start with `service` beside it, `timeline` has
/// latencies; arrivals, validity, distributions, stock, fairness, behaviour and host are new.
///
/// 3: `requests` is the sum of `outcomes`, failed connects, unanswered requests and repetitions included; the time with stock, and
/// what is accepted in it, include stock that came back; `arrivals.begun` counts the schedule's own beside `started`.
pub const REPORT_VERSION: u32 = 3;

/// The outcome of a request that repeats a won purchase.
const REPEATED_WIN: &str = "REPEATED_WIN";

/// What a run measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Who decided when a purchase began. A closed loop hides stalls: a buyer who waits asks for nothing meanwhile.
    pub pacing: Pacing,
    /// Name of the scenario, or empty.
    pub scenario: String,
    /// The schedule in words, such as `constant 5000/s for 30 s, Poisson`.
    pub schedule: String,
    /// Whether the figures may be believed.
    pub validity: Validity,
    /// What became of the schedule.
    pub arrivals: Arrivals,
    /// Host and port.
    pub target: String,
    /// Seed; the same seed gives the same users, keys, times and choices.
    pub seed: u64,
    /// The first user id of the run.
    pub first_user_id: u64,
    /// The last user id that may have been used; ids between the two belong to this run alone.
    pub last_user_id: u64,
    /// Load threads.
    pub threads: usize,
    /// The stages as planned; empty in an open loop.
    pub stages: Vec<Stage>,
    /// What was bought.
    pub skus: Vec<SkuShare>,
    /// Units per purchase.
    pub quantity: u8,
    /// Wall-clock start, milliseconds since 1970.
    pub started_at_ms: u64,
    /// From the start to the last answer.
    pub duration_ms: u64,
    /// Length of the plan.
    pub planned_ms: u64,
    /// Why it ended.
    pub ended: EndReason,
    /// Purchase requests, repetitions and those for which no connection could be opened included: the sum of `outcomes`.
    pub requests: u64,
    /// Purchases accepted.
    pub wins: u64,
    /// Units in them.
    pub units_told: u64,
    /// Requests by how they ended, zero included. `REPEATED_WIN` are the repetitions of won purchases: what came of them is in
    /// `replays`, and they are in no latency.
    pub outcomes: BTreeMap<String, u64>,
    /// Sold-out answers that were final.
    pub sold_out_final: u64,
    /// Rates.
    pub throughput: Throughput,
    /// Latencies by class, from the intended start of the purchase: waiting for a connection, retries and pauses included.
    /// In a closed loop the intended start is when the buyer got round to it.
    pub latency: Latencies,
    /// Service times by class: one request from its first byte to its answer.
    pub service: Latencies,
    /// The distributions behind `latency`.
    pub latency_histograms: Distributions,
    /// The distributions behind `service`.
    pub service_histograms: Distributions,
    /// What buyers did besides asking once.
    pub behaviour: Behaviour,
    /// Repetitions of won purchases.
    pub replays: Replays,
    /// Purchases whose outcome was unknown for a while and that ended in a refusal.
    pub doubts_refused: u64,
    /// Purchases whose outcome is still unknown to the buyer.
    pub doubts_open: u64,
    /// Connections.
    pub connections: Connections,
    /// Length of a slice of the timeline.
    pub slice_ms: u64,
    /// Outcomes and latencies over time; no slice is left out, the last one may be shorter.
    pub timeline: Vec<Moment>,
    /// The server's stock over time; empty if the catalogue was not asked.
    pub stock: Vec<StockPoint>,
    /// Was first come first served?
    pub fairness: Fairness,
    /// On what it ran.
    pub host: Host,
}

/// Rates over the parts of the run they are true for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throughput {
    /// All requests over the whole run.
    pub requests_per_s: f64,
    /// How long there was stock: to the moment when everything was sold out, or the whole run. Stock may come back (holds end,
    /// buyers cancel): every tenth of a second (more in runs longer than an hour) after that moment in which somebody bought
    /// counts too.
    pub stock_lasted_ms: u64,
    /// When everything was sold out for the first time, milliseconds from the start; `None` if it never was.
    pub sold_out_after_ms: Option<u64>,
    /// True if everything was sold out before the end.
    pub sold_out: bool,
    /// Purchases accepted after that moment, from stock that came back.
    pub came_back: u64,
    /// Accepted purchases per second while there was stock.
    pub accepted_per_s: f64,
    /// Sold-out answers per second while there was none; 0 if it never came to it.
    pub sold_out_per_s: f64,
}

impl Report {
    /// Draws up the report from merged books.
    pub(crate) fn new(shared: &Shared, tally: &Tally, started_at_ms: u64, ended: EndReason) -> Self {
        let plan = &shared.plan;
        let arrivals = Arrivals::of(shared, tally);
        let due_us = shared.roster.times_us.get(..usize::try_from(arrivals.due).unwrap_or(0)).unwrap_or(&[]);
        let refused = tally.doubts.iter().filter(|doubt| doubt.refused.is_some()).count();
        Self {
            version: REPORT_VERSION,
            pacing: plan.pacing(),
            scenario: plan.scenario.clone(),
            schedule: schedule_words(plan),
            validity: Validity::judge(plan, &arrivals, tally, ended),
            arrivals,
            target: shared.target.authority.clone(),
            seed: shared.seed,
            first_user_id: shared.base,
            last_user_id: tally.last_user_id.max(shared.base),
            threads: plan.threads,
            stages: if plan.open.is_some() { Vec::new() } else { plan.stages.clone() },
            skus: plan.skus.clone(),
            quantity: plan.quantity,
            started_at_ms,
            duration_ms: tally.last_answer_us / 1_000,
            planned_ms: plan.duration_ms(),
            ended,
            requests: tally.requests,
            wins: tally.counts[Code::Won.index()],
            units_told: tally.told.iter().map(|told| u64::from(told.quantity)).sum(),
            outcomes: outcomes(tally),
            sold_out_final: tally.final_sold_out,
            throughput: Throughput::of(shared, tally),
            latency: Latencies::of(&tally.histograms),
            service: Latencies::of(&tally.service),
            latency_histograms: Distributions::of(&tally.histograms),
            service_histograms: Distributions::of(&tally.service),
            behaviour: tally.behaviour,
            replays: tally.replays,
            doubts_refused: refused as u64,
            doubts_open: (tally.doubts.len() - refused) as u64,
            connections: tally.connections,
            slice_ms: tally.moments.slice_ms(),
            timeline: tally.moments.timeline(due_us),
            stock: crate::stock::all(shared),
            fairness: Fairness::of(plan, &tally.sampler, &tally.told, tally.users()),
            host: Host::default(),
        }
    }
}

/// Requests by how they ended.
fn outcomes(tally: &Tally) -> BTreeMap<String, u64> {
    let of_code = |code: Code| (code.name().to_owned(), tally.counts[code.index()]);
    Code::all().map(of_code).chain([(REPEATED_WIN.to_owned(), tally.replays.sent)]).collect()
}

/// What the plan says about time, in words.
fn schedule_words(plan: &Plan) -> String {
    if let Some(open) = &plan.open {
        return open.schedule.words();
    }
    let stages: Vec<String> = plan.stages_in_words().into_iter().map(|(_, words)| words).collect();
    let think = match plan.think_ms {
        (0, 0) => String::new(),
        (from, to) => format!("; thinking {from} to {to} ms"),
    };
    stages.join(", then ") + &think
}

impl Throughput {
    fn of(shared: &Shared, tally: &Tally) -> Self {
        let first_us = tally.first_request_us.unwrap_or(0);
        let last_us = tally.last_answer_us.max(first_us);
        let sold_out_us = shared.all_sold_out_at_us().map(|at| at.clamp(first_us, last_us));
        let stock_until_us = sold_out_us.unwrap_or(last_us);
        let later = Later::after(stock_until_us, last_us, tally);
        let stock_us = stock_until_us - first_us + later.with_stock_us;
        let accepted: u64 = tally.slices.iter().map(|slice| u64::from(slice.wins)).sum();
        let sent = tally.requests - tally.counts[Code::ConnectFailed.index()];
        Self {
            requests_per_s: rate(sent, last_us - first_us),
            stock_lasted_ms: stock_us / 1_000,
            sold_out_after_ms: sold_out_us.map(|at| at / 1_000),
            sold_out: sold_out_us.is_some(),
            came_back: later.wins,
            accepted_per_s: rate(accepted, stock_us),
            sold_out_per_s: rate(later.sold_out, later.without_us),
        }
    }
}

/// What happened after everything had been sold out for the first time.
#[derive(Debug, Default)]
struct Later {
    /// In slices in which somebody bought what had come back.
    wins: u64,
    with_stock_us: u64,
    /// In all others.
    sold_out: u64,
    without_us: u64,
}

impl Later {
    fn after(sold_out_us: u64, last_us: u64, tally: &Tally) -> Self {
        let slice_us = tally.slice_ms * 1_000;
        // Wins of the slice in which the stock ended were decided before its end.
        let boundary = sold_out_us / slice_us + 1;
        let mut later = Self::default();
        for (index, slice) in (0_u64..).zip(&tally.slices).filter(|(index, _)| *index >= boundary) {
            let span_us = slice_us.min(last_us.saturating_sub(index * slice_us));
            if slice.wins > 0 {
                later.wins += u64::from(slice.wins);
                later.with_stock_us += span_us;
            } else {
                later.sold_out += u64::from(slice.sold_out);
                later.without_us += span_us;
            }
        }
        later
    }
}

/// Events per second; 0 where no time passed.
fn rate(events: u64, span_us: u64) -> f64 {
    if span_us == 0 { 0.0 } else { events as f64 * 1_000_000.0 / span_us as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Slice;

    /// Books with so many wins and sold-out answers in each tenth of a second.
    fn books(slices: &[(u32, u32)]) -> Tally {
        let mut tally = Tally::new(10_000, 1).unwrap();
        tally.slices = slices.iter().map(|&(wins, sold_out)| Slice { wins, sold_out }).collect();
        tally
    }

    #[test]
    fn what_comes_back_is_sold_while_there_is_stock() {
        // Sold out after 150 ms; at 500 ms forty units come back, and are gone again.
        let tally = books(&[(50, 0), (30, 10), (0, 70), (0, 70), (0, 70), (40, 30), (0, 60)]);
        let later = Later::after(150_000, 700_000, &tally);
        assert_eq!((later.wins, later.with_stock_us), (40, 100_000));
        assert_eq!((later.sold_out, later.without_us), (270, 400_000));
        // The last slice is not whole.
        assert_eq!(Later::after(150_000, 650_000, &tally).without_us, 350_000);
        let nothing = Later::after(700_000, 700_000, &tally);
        assert_eq!((nothing.wins, nothing.sold_out, nothing.without_us), (0, 0, 0));
    }
}
