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
pub const REPORT_VERSION: u32 = 2;

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
    /// Purchase requests sent, repetitions included.
    pub requests: u64,
    /// Purchases accepted.
    pub wins: u64,
    /// Units in them.
    pub units_told: u64,
    /// Attempts by how they ended, zero included.
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
    /// How long there was stock: to the moment everything was sold out, or the whole run.
    pub stock_lasted_ms: u64,
    /// True if everything was sold out before the end.
    pub sold_out: bool,
    /// Accepted purchases per second while there was stock.
    pub accepted_per_s: f64,
    /// Sold-out answers per second after that; 0 if it never came to it.
    pub sold_out_per_s: f64,
}

impl Report {
    /// Draws up the report from merged books.
    pub(crate) fn new(shared: &Shared, tally: &Tally, started_at_ms: u64, ended: EndReason) -> Self {
        let plan = &shared.plan;
        let arrivals = Arrivals::of(shared, tally);
        let due_us = shared.roster.times_us.get(..usize::try_from(arrivals.due).unwrap_or(0)).unwrap_or(&[]);
        let users =
            if shared.roster.users > 0 { tally.served.users.min(shared.roster.users) } else { tally.served.users };
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
            outcomes: Code::all().map(|code| (code.name().to_owned(), tally.counts[code.index()])).collect(),
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
            fairness: Fairness::of(plan, &tally.sampler, &tally.told, users),
            host: Host::default(),
        }
    }
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
        // Wins of the slice in which the stock ended were decided before its end.
        let slice_us = tally.slice_ms * 1_000;
        let boundary = usize::try_from(stock_until_us / slice_us + 1).unwrap_or(usize::MAX);
        let before = tally.slices.iter().take(boundary).map(|slice| u64::from(slice.wins)).sum::<u64>();
        let after = tally.slices.iter().skip(boundary).map(|slice| u64::from(slice.sold_out)).sum::<u64>();
        let boundary_us = (boundary as u64).saturating_mul(slice_us);
        Self {
            requests_per_s: rate(tally.requests, last_us - first_us),
            stock_lasted_ms: (stock_until_us - first_us) / 1_000,
            sold_out: sold_out_us.is_some(),
            accepted_per_s: rate(before, stock_until_us - first_us),
            sold_out_per_s: rate(after, last_us.saturating_sub(boundary_us)),
        }
    }
}

/// Events per second; 0 where no time passed.
fn rate(events: u64, span_us: u64) -> f64 {
    if span_us == 0 { 0.0 } else { events as f64 * 1_000_000.0 / span_us as f64 }
}
