//! `flashctl compare`: the same buyers at the same times against what one would write first, and against `flashd`.
//!
//! Owns the order of things: a site of its own, one server after the other, rest in between, and the table. What is naive about
//! the other servers is told in `crates/naive`, where they are.
//!
//! | module | does |
//! |---|---|
//! | [`contest`] | one server's turn: start, warm, load, judge, stop |
//! | [`figures`] | pure: what counts of a turn |
//! | [`result`] | the versioned document, and the exit code |
//! | [`view`] | the table and the words around it |

mod contest;
mod figures;
mod result;
mod view;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use flash_core::{ids::SkuId, limits::HOLD_DEFAULT_MS, sale::Sku};
use flash_loadgen::{OpenLoop, Phase, Plan, Schedule, Stage};
use flash_stack::{KafkaChoice, StackOptions};

pub(crate) use contest::Contestant;
pub(crate) use result::CompareReport;
pub(crate) use view::{headline, notes, quotients, rows, title};

use super::loadtest::{self, Wave, count, milliseconds};
use crate::{
    args::Output,
    exit::Exit,
    files::check_writable,
    interrupt::Interrupt,
    report::{Failure, ended},
    report_page,
    site::{DaemonOptions, Site, SiteOptions, find_flashd, find_program},
    terminal::Terminal,
};
use contest::Contest;

const EXAMPLES: &str = "\
Examples:
  flashctl compare                                  1,000 tickets, 5,000 buyers per second for 10 s, four servers
  flashctl compare --rate 10k --tickets 20k --duration 20s
  flashctl compare --rate 5s:0..4k --rate 5s:4k --poisson
  flashctl compare --stage 20s:200                  a closed loop: 200 users who ask again when answered
  flashctl compare --rounds 3 --html compare.html   each server three times, in another order every time
  flashctl compare -o json --report compare.json";

/// Buyers per second where nothing is said.
const DEFAULT_RATE: f64 = 5_000.0;
/// What is bought while a server gets warm.
pub(crate) const WARM_UP_SKU: u64 = 1_000;
/// More than a warm-up can buy.
const WARM_UP_UNITS: u32 = 100_000;
/// How long the machine is left alone between two servers.
const REST: Duration = Duration::from_secs(2);

/// Run one schedule against three naive servers and against flashd, and say who oversells and who is fast.
///
/// The naive servers are what one would write first: MySQL alone (read the stock, write one less), the same with the row locked,
/// and Redis with MySQL before the answer. All run on temporary servers of this machine, one after the other, with the same
/// generator, connections, buyers and times. Exit code 0 also if a naive server oversells – that is what it is there for; 3 if
/// flashd breaks a promise. If a turn fails, the turns before it are shown, said to be incomplete, and the exit code is the
/// failure's. A generator that falls behind its schedule changes no exit code: the table says which turns are invalid, and
/// `invalid_turns` in JSON counts them.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// Open loop: buyers per second, whether a server keeps up or not; `10s:0..5k` for a ramp; repeat for several phases.
    /// [default: 5k]
    #[arg(long = "rate", value_name = "[DURATION:]RATE[..RATE]", conflicts_with = "stages")]
    rates: Vec<Wave>,
    /// Closed loop: so many users, each of whom asks again when answered; repeat for several stages.
    #[arg(long = "stage", value_name = "DURATION:USERS")]
    stages: Vec<Stage>,
    /// Open loop: buyers come at random (a Poisson process) instead of evenly spaced.
    #[arg(long, conflicts_with = "stages")]
    poisson: bool,
    /// Open loop: connections in the pool, the same number for each server.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// How long a --rate without a duration lasts.
    #[arg(long, value_name = "DURATION", value_parser = milliseconds, default_value = "10s")]
    duration: u64,
    /// Units for sale.
    #[arg(long, value_name = "COUNT", value_parser = count, default_value = "1000")]
    tickets: u64,
    /// How often each server has its turn, in another order every time. The table shows the round with the median rate.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    rounds: u8,
    /// Repeat the users, keys and times of a run. [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// The broker of flashd: tansu, tansu-sqlite or apache.
    #[arg(long, default_value = "tansu", value_name = "BROKER")]
    kafka: KafkaChoice,
    /// Write the result as JSON to this file as well.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the result as one HTML page that needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The flashd to run. [default: the one next to flashctl]
    #[arg(long, value_name = "PATH")]
    flashd: Option<PathBuf>,
    /// The naive server to run. [default: the flash-naive next to flashctl]
    #[arg(long, value_name = "PATH")]
    flash_naive: Option<PathBuf>,
}

impl CompareArgs {
    fn tickets(&self) -> Result<u32, Failure> {
        let tickets = u32::try_from(self.tickets).ok().filter(|units| (1..=1_000_000).contains(units));
        tickets.ok_or_else(|| Failure::new(Exit::Usage, anyhow::anyhow!("--tickets is 1 to 1,000,000")))
    }

    /// Who comes when; the same for every server. Nobody asks twice: all shall have the same work.
    fn plan(&self, seed: u64) -> Result<Plan, Failure> {
        let mut plan = Plan { seed: Some(seed), retry_share: 0.0, stages: self.stages.clone(), ..Plan::default() };
        if self.stages.is_empty() {
            let mut phases: Vec<Phase> = self.rates.iter().map(|wave| wave.phase(self.duration)).collect();
            if phases.is_empty() {
                let (from_per_s, to_per_s) = (DEFAULT_RATE, DEFAULT_RATE);
                phases.push(Phase { duration_ms: self.duration, from_per_s, to_per_s, ..Phase::default() });
            }
            let schedule = Schedule::Phases { phases, poisson: self.poisson };
            plan.open = Some(OpenLoop { schedule, connections: self.connections });
        }
        // What is wrong with the question is said before anything is started.
        let skus = vec![flash_loadgen::SkuShare { sku_id: 1, weight: 1 }];
        Plan { skus, ..plan.clone() }.check().map_err(loadtest::explain)?;
        Ok(plan)
    }
}

/// The command: site, turns, table, stop.
pub(crate) async fn command(args: CompareArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    // 53 bits: a seed must survive a JSON reader that knows only doubles.
    let seed = args.seed.unwrap_or_else(|| now_ms().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11);
    let (plan, tickets) = (args.plan(seed)?, args.tickets()?);
    let programs = (find_program("flash-naive", args.flash_naive.as_deref())?, find_flashd(args.flashd.as_deref())?);
    check_writable(&[("--report", args.report.as_ref()), ("--html", args.html.as_ref())])?;
    let mut interrupt = Interrupt::listen()?;
    terminal.talk("starting Redis, MySQL and a broker …");
    let stack = StackOptions { kafka: args.kafka, ..StackOptions::default() };
    let skus = (1..=args.rounds).map(|round| sku(u64::from(round), tickets)).collect::<Vec<_>>();
    let skus = [skus, vec![sku(WARM_UP_SKU, WARM_UP_UNITS)]].concat();
    let site = Site::start(SiteOptions { stack, skus, daemon: None }).await?;
    let daemon = DaemonOptions { program: Some(programs.1), port: Some(0), args: Vec::new() };
    let mut contest = Contest { site, naive: programs.0, daemon, plan, tickets, terminal: *terminal };
    let result = all_turns(&mut contest, args.rounds, seed, &mut interrupt).await;
    terminal.talk("stopping what was started …");
    contest.site.stop_telling(|_, _| ()).await;
    let (report, failure) = result?;
    let answered = answer(&report, terminal);
    let kept = keep(&report, args.report.as_deref(), args.html.as_deref());
    let Some(failure) = failure else {
        kept?;
        return ended(answered, report.exit());
    };
    // Told in this order, the failure of the turn is the last word – unless flashd broke its own before that.
    if let Err(failure) = kept {
        failure.report(terminal);
    }
    if report.exit() == Exit::Found {
        failure.report(terminal);
        return ended(answered, Exit::Found);
    }
    Err(failure)
}

/// The answer, before any file: it is given whatever becomes of them.
fn answer(report: &CompareReport, terminal: &Terminal) -> Result<(), Failure> {
    match terminal.output() {
        Output::Text => terminal.answer(view::text(report).trim_end()),
        Output::Json => terminal.answer(&serde_json::to_string(report).map_err(Failure::from_error)?),
    }
}

/// The files, also if nobody listens to the answer any more.
fn keep(report: &CompareReport, json: Option<&Path>, html: Option<&Path>) -> Result<(), Failure> {
    if let Some(file) = json {
        report.save(file)?;
    }
    if let Some(file) = html {
        let told = |error| anyhow::Error::new(error).context(format!("writing {}", file.display()));
        std::fs::write(file, report_page::contest_page(report)).map_err(told)?;
    }
    Ok(())
}

/// Plays until all had their turns, the end is asked for, or a turn fails. What was measured before that is worth as much as ever,
/// so it comes with the failure; only where there is nothing yet, the failure is all there is.
async fn all_turns(
    contest: &mut Contest,
    rounds: u8,
    seed: u64,
    interrupt: &mut Interrupt,
) -> Result<(CompareReport, Option<Failure>), Failure> {
    let mut report = CompareReport::new(contest, seed).await?;
    for round in 0..rounds {
        for contestant in order(seed, round) {
            if is_requested(interrupt, if report.turns.is_empty() { Duration::ZERO } else { REST }).await {
                report.ended_early = true;
                return Ok((report, None));
            }
            match contest.turn(contestant, round, interrupt).await {
                Ok(turn) => report.add(turn),
                Err(failure) if report.turns.is_empty() => return Err(failure),
                Err(failure) => {
                    report.fail(contestant, round + 1, &failure);
                    return Ok((report, Some(failure)));
                }
            }
        }
    }
    Ok((report, None))
}

/// The order of a round: chosen by the seed, and moved by one from round to round.
fn order(seed: u64, round: u8) -> [Contestant; 4] {
    let mut order = Contestant::ALL;
    let by = (seed % 4 + u64::from(round)) % 4;
    order.rotate_left(usize::try_from(by).unwrap_or(0));
    order
}

/// Waits so long; true as soon as the end is asked for.
async fn is_requested(interrupt: &mut Interrupt, wait: Duration) -> bool {
    tokio::select! {
        biased;
        () = interrupt.requested() => true,
        () = tokio::time::sleep(wait) => false,
    }
}

fn sku(id: u64, capacity: u32) -> Sku {
    Sku {
        sku_id: SkuId::new(id),
        name: if id == WARM_UP_SKU { "Warm-up".to_owned() } else { format!("Round {id}") },
        price_minor: 4_900,
        currency: "EUR".to_owned(),
        capacity,
        per_user: 10,
        hold_ms: HOLD_DEFAULT_MS,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: CompareArgs,
    }

    fn plan(line: &[&str]) -> Result<Plan, String> {
        let words = ["compare"].iter().chain(line);
        let only = Only::try_parse_from(words).map_err(|error| error.to_string())?;
        only.args.tickets().map_err(|failure| format!("{failure:?}"))?;
        only.args.plan(7).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_plan_is_open_unless_stages_are_given() {
        let words = |line: &[&str]| plan(line).unwrap().open.unwrap().schedule.words();
        assert_eq!(words(&[]), "5000/s for 10 s");
        assert_eq!(words(&["--rate", "6k", "--duration", "3s", "--poisson"]), "6000/s for 3 s; Poisson");
        let closed = plan(&["--stage", "2s:50"]).unwrap();
        assert!(closed.open.is_none() && closed.duration_ms() == 2_000 && closed.retry_share == 0.0);
        assert_eq!(closed.seed, Some(7));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let cases: [(&[&str], &str); 4] = [
            (&["--stage", "2s:50", "--rate", "5"], "cannot be used with"),
            (&["--tickets", "0"], "1 to 1,000,000"),
            (&["--rounds", "10"], "10"),
            (&["--rate", "25h:5"], "24 hours"),
        ];
        for (line, reason) in cases {
            let error = plan(line).unwrap_err();
            assert!(error.contains(reason), "{line:?}: {error}");
        }
    }

    #[test]
    fn everybody_is_first_once_in_four_rounds() {
        let mut first: Vec<Contestant> = (0..4).map(|round| order(6, round)[0]).collect();
        first.sort_unstable();
        assert_eq!(first, Contestant::ALL);
    }
}
