//! Who comes when, and what they are like: the flags of `flashctl loadtest` that make the plan.
//!
//! Owns the order of things: a scenario (built in, from a file, or the canonical one) is the beginning; a pace on the command line
//! replaces the scenario's, and single habits of its buyers are replaced one by one.

use std::{fs::File, io::BufReader, path::PathBuf, str::FromStr};

use clap::Args;
use flash_loadgen::{
    CANONICAL, LoadError, OpenLoop, Phase, Plan, Scenario, Schedule, Stage, Trace, parse_count, parse_duration_ms,
    parse_range_ms,
};
use serde::Serialize;

use crate::{
    exit::Exit,
    files::read_text,
    plain::harmless,
    report::Failure,
    table::{self, Align},
};

/// Longest scenario file.
const SCENARIO_BYTES_MAX: u64 = 1 << 20;
/// How long a pace without a duration lasts.
const DEFAULT_MS: u64 = 30_000;
/// Connections of an open loop from the command line.
const CONNECTIONS: u32 = 1_000;
/// The quiet end that is added to a rush of everybody at once, for its answers.
const QUIET_MS: u64 = 10_000;

/// The flags of the pace.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(crate) struct PaceArgs {
    /// A built-in scenario. [default: canonical, unless a pace is given]
    #[arg(value_name = "SCENARIO")]
    scenario: Option<String>,
    /// A scenario of your own; begin with `--export-scenario canonical > mine.toml`.
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    scenario_file: Option<PathBuf>,
    /// List the built-in scenarios, and do nothing.
    #[arg(long)]
    pub(super) list_scenarios: bool,
    /// Print a built-in scenario as a file, and do nothing.
    #[arg(long, value_name = "NAME")]
    pub(super) export_scenario: Option<String>,
    /// Open loop: buyers per second, whether the server keeps up or not; `10s:0..5k` for a ramp; repeat for several phases.
    #[arg(long = "rate", value_name = "[DURATION:]RATE[..RATE]", conflicts_with_all = ["scenario", "scenario_file"])]
    rates: Vec<Wave>,
    /// Open loop: so many buyers in the very first instant.
    #[arg(long, value_name = "COUNT", value_parser = count, conflicts_with_all = ["scenario", "scenario_file"])]
    at_once: Option<u64>,
    /// Open loop: arrivals recorded in a file, `OFFSET_MS [USER [SKU]]` in each line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "scenario_file", "rates", "at_once"])]
    replay: Option<PathBuf>,
    /// Open loop: buyers come at random (a Poisson process) instead of evenly spaced.
    #[arg(long)]
    poisson: bool,
    /// Open loop: connections in the pool. [default: 1000, or the scenario's]
    #[arg(long, value_name = "N")]
    connections: Option<u32>,
    /// Closed loop, for comparison: so many users, each of whom asks again when answered.
    #[arg(long, value_name = "N", value_parser = users,
        conflicts_with_all = ["scenario", "scenario_file", "rates", "at_once", "replay", "stages"])]
    users: Option<u32>,
    /// Closed loop: a stage with so many users; repeat for several. Between stages users join or leave within half a second.
    #[arg(long = "stage", value_name = "DURATION:USERS",
        conflicts_with_all = ["scenario", "scenario_file", "rates", "at_once", "replay"])]
    stages: Vec<Stage>,
    /// Closed loop: how long a user thinks before asking again, as in 0.5s..1.5s.
    #[arg(long, value_name = "RANGE", value_parser = range)]
    think: Option<Range>,
    /// How long --users, --rate or --at-once lasts. [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
    duration: Option<u64>,
    /// Make the run so many times as long; people think as long as ever.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// Multiply rates and users.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    size_scale: f64,
}

/// The flags of the buyers' habits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Buyers")]
pub(crate) struct HabitArgs {
    /// Share of purchases that are sent once more with the same key, 0 to 1. [default: 0.05, or the scenario's]
    #[arg(long, value_name = "SHARE", visible_alias = "duplicates")]
    retry_share: Option<f64>,
    /// Share of the losers who try again later with a new key.
    #[arg(long, value_name = "SHARE")]
    second_attempts: Option<f64>,
    /// Share of the winners who pay.
    #[arg(long, value_name = "SHARE")]
    pay: Option<f64>,
    /// Share of the winners who cancel; the rest leave their order to expire.
    #[arg(long, value_name = "SHARE")]
    cancel: Option<f64>,
    /// When they pay or cancel, as in 0.5s..3s.
    #[arg(long, value_name = "RANGE", value_parser = range)]
    settle_after: Option<Range>,
    /// Share of the users who are bots: many keys, no pause, no payment.
    #[arg(long, value_name = "SHARE")]
    bots: Option<f64>,
    /// Popularity of the SKUs by Zipf's law with this exponent, in the order of the catalogue or of --sku.
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
}

/// A built-in scenario as `--list-scenarios` tells it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    name: &'static str,
    pacing: flash_loadgen::Pacing,
    duration_ms: u64,
    about: String,
}

impl PaceArgs {
    /// The plan so far: who comes when.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        if self.duration.is_some() && self.users.is_none() && self.rates.is_empty() && self.at_once.is_none() {
            let told =
                "--duration belongs to --users, --rate or --at-once; --time-scale makes a scenario longer or shorter";
            return Err(usage(LoadError::Plan(told.to_owned())));
        }
        let plan = match self.open_loop()? {
            Some(open) => Plan { open: Some(open), ..Plan::default() },
            None if self.is_closed() => self.closed_loop(),
            None => self.scenario()?,
        };
        let plan = self.refine(plan)?;
        plan.scaled(self.time_scale, self.size_scale).map_err(usage)
    }

    fn is_closed(&self) -> bool {
        self.users.is_some() || !self.stages.is_empty()
    }

    fn closed_loop(&self) -> Plan {
        let whole = |buyers| vec![Stage { duration_ms: self.duration.unwrap_or(DEFAULT_MS), buyers }];
        Plan { stages: self.users.map_or_else(|| self.stages.clone(), whole), ..Plan::default() }
    }

    fn open_loop(&self) -> Result<Option<OpenLoop>, Failure> {
        let connections = CONNECTIONS;
        if let Some(path) = &self.replay {
            let told =
                |error: std::io::Error| anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
            let file = File::open(path).map_err(|error| Failure::new(Exit::Usage, told(error)))?;
            let trace = Trace::read(BufReader::new(file)).map_err(usage)?;
            return Ok(Some(OpenLoop { schedule: Schedule::Trace(trace), connections }));
        }
        if self.rates.is_empty() && self.at_once.is_none() {
            return Ok(None);
        }
        let fallback_ms = self.duration.unwrap_or(if self.rates.is_empty() { QUIET_MS } else { DEFAULT_MS });
        let mut phases: Vec<Phase> = self.rates.iter().map(|wave| wave.phase(fallback_ms)).collect();
        if phases.is_empty() {
            phases.push(Phase { duration_ms: fallback_ms, ..Phase::default() });
        }
        phases[0].at_once = self.at_once.unwrap_or(0);
        Ok(Some(OpenLoop { schedule: Schedule::Phases { phases, poisson: false }, connections }))
    }

    fn scenario(&self) -> Result<Plan, Failure> {
        if let Some(path) = &self.scenario_file {
            let name = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.display().to_string());
            // It stands in every report.
            let name = harmless(&name);
            let text = read_text(path, SCENARIO_BYTES_MAX).map_err(|error| Failure::new(Exit::Usage, error))?;
            return Ok(Scenario::parse(&name, &text).map_err(usage)?.plan);
        }
        let name = self.scenario.as_deref().unwrap_or(CANONICAL);
        let scenario = Scenario::built_in(name);
        Ok(scenario.map_err(|error| usage(error).hint("flashctl loadtest --list-scenarios"))?.plan)
    }

    /// Applies what refines a pace, and refuses what does not belong to it: a flag without effect is a mistake.
    fn refine(&self, mut plan: Plan) -> Result<Plan, Failure> {
        let misplaced = |flag: &str, what: &str| Err(usage(LoadError::Plan(format!("{flag} belongs to {what}"))));
        let Some(open) = &mut plan.open else {
            if self.poisson || self.connections.is_some() {
                return misplaced("--poisson and --connections", "an open loop: --rate, --at-once or such a scenario");
            }
            plan.think_ms = self.think.map_or(plan.think_ms, |range| range.0);
            return Ok(plan);
        };
        if self.think.is_some() {
            return misplaced("--think", "a closed loop: --users, --stage or such a scenario");
        }
        open.connections = self.connections.unwrap_or(open.connections);
        match &mut open.schedule {
            Schedule::Phases { poisson, .. } => *poisson |= self.poisson,
            Schedule::Trace(_) if self.poisson => return misplaced("--poisson", "a rate, not to a recorded trace"),
            Schedule::Trace(_) => {}
        }
        Ok(plan)
    }
}

impl HabitArgs {
    /// Replaces the habits that are given.
    pub(super) fn apply(&self, plan: &mut Plan) {
        let buyers = &mut plan.buyers;
        let shares = [
            (&mut plan.retry_share, self.retry_share),
            (&mut buyers.second_attempt_share, self.second_attempts),
            (&mut buyers.pay_share, self.pay),
            (&mut buyers.cancel_share, self.cancel),
            (&mut buyers.bot_share, self.bots),
        ];
        for (share, given) in shares {
            *share = given.unwrap_or(*share);
        }
        buyers.settle_after_ms = self.settle_after.map_or(buyers.settle_after_ms, |range| range.0);
        plan.zipf = self.zipf.or(plan.zipf);
    }
}

/// Every built-in scenario.
pub(super) fn listed() -> Result<Vec<Listed>, Failure> {
    let listed = |name| {
        let Scenario { about, plan, .. } = Scenario::built_in(name).map_err(Failure::from_error)?;
        Ok(Listed { name, pacing: plan.pacing(), duration_ms: plan.duration_ms(), about })
    };
    Scenario::names().map(listed).collect()
}

/// The same for people.
pub(super) fn listing(scenarios: &[Listed]) -> String {
    let headings =
        [("SCENARIO", Align::Left), ("LOOP", Align::Left), ("SECONDS", Align::Right), ("WHAT FOR", Align::Left)];
    let row = |scenario: &Listed| {
        let seconds = (scenario.duration_ms / 1_000).to_string();
        let pacing = scenario.pacing.name().trim_end_matches(" loop").to_owned();
        vec![scenario.name.to_owned(), pacing, seconds, scenario.about.clone()]
    };
    let rows: Vec<Vec<String>> = scenarios.iter().map(row).collect();
    table::lines(&headings, &rows).join("\n")
}

/// The file of a built-in scenario.
pub(super) fn exported(name: &str) -> Result<&'static str, Failure> {
    Scenario::text(name).map_err(|error| usage(error).hint("flashctl loadtest --list-scenarios"))
}

fn usage(error: LoadError) -> Failure {
    Failure::new(Exit::Usage, error)
}

/// A phase as it is written: `5k`, `10s:5k`, `10s:0..5k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wave {
    duration_ms: Option<u64>,
    from_per_s: u64,
    to_per_s: u64,
}

impl Wave {
    /// The phase; `fallback_ms` is its length if it has none of its own.
    pub(crate) fn phase(&self, fallback_ms: u64) -> Phase {
        let duration_ms = self.duration_ms.unwrap_or(fallback_ms);
        Phase { duration_ms, from_per_s: self.from_per_s as f64, to_per_s: self.to_per_s as f64, at_once: 0 }
    }
}

impl FromStr for Wave {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wave = || {
            let (duration_ms, rate) = match text.split_once(':') {
                Some((duration, rate)) => (Some(parse_duration_ms(duration)?), rate),
                None => (None, text),
            };
            let (from, to) = rate.split_once("..").unwrap_or((rate, rate));
            Some(Self { duration_ms, from_per_s: parse_count(from)?, to_per_s: parse_count(to)? })
        };
        wave().ok_or_else(|| "a rate is 5k, 10s:5k or 10s:0..5k (buyers per second)".to_owned())
    }
}

#[derive(Debug, Clone, Copy)]
struct Range((u64, u64));

fn range(text: &str) -> Result<Range, String> {
    parse_range_ms(text).map(Range).ok_or_else(|| "a range is 0.5s..1.5s, or one duration".to_owned())
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    parse_duration_ms(text).ok_or_else(|| "a duration needs a unit, as in 500ms, 30s, 5m or 1h".to_owned())
}

/// A count.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    parse_count(text).ok_or_else(|| "a count is a number such as 500, 10k or 2M".to_owned())
}

fn users(text: &str) -> Result<u32, String> {
    u32::try_from(count(text)?).map_err(|_| "that many users are too many".to_owned())
}
