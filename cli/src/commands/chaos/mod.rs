//! `flashctl chaos`: breaks a whole system on this machine in every way it should survive, while it sells, and lets an
//! independent witness decide whether a promise was broken.
//!
//! Order of the modules is the order of a run: `kind`, `schedule` (what will go wrong) → `servers`, `daemons` (what it goes
//! wrong with) → `wire`, `buyers` (the load) → `inject` → `after` (quiet, the last tickets, the witness) → `report`.

mod after;
mod buyers;
mod daemons;
mod dice;
mod inject;
mod kind;
mod progress;
mod report;
mod run;
mod schedule;
mod servers;
mod wire;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use flash_stack::KafkaChoice;

use self::{
    kind::Kind,
    progress::Progress,
    report::{RunReport, Summary},
    run::Terms,
    servers::Servers,
};
use crate::{
    args::Output,
    exit::Exit,
    interrupt::Interrupt,
    report::{Failure, ended},
    site::find_flashd,
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl chaos                                 ten runs, seeds 1 to 10
  flashctl chaos --runs 1 --seed 7               the schedule of seed 7 again
  flashctl chaos --runs 30 --kafka apache        with Apache Kafka as the broker
  flashctl chaos --faults redis,flashd-pause     only what Redis suffers, and frozen daemons
  flashctl chaos --apart --duration 90s          one fault at a time: how long it keeps the sale from selling
  flashctl chaos -o json >> runs.jsonl           a line per run, and one for all
  flashctl chaos --sum runs.jsonl                several invocations added up";

/// Runs that could not be finished before we give up: something is wrong with this machine, not with a seed.
const UNFINISHED_MAX: usize = 3;

/// What has been done until now; what is there when somebody interrupts.
#[derive(Default)]
struct Done {
    runs: Vec<RunReport>,
    /// Seeds whose run could not be finished: a server did not come back, or the witness could not read.
    unfinished: Vec<u64>,
}

/// Violations that are shown; all are in the kept report.
const SHOWN: usize = 20;

/// Break everything while it sells, and judge.
///
/// Each run is a fresh sale on servers of its own: load from buyers who ask again until they know, a schedule of kills,
/// freezes, bad networks and failovers drawn from the seed, everything healed, whatever is left sold to the last ticket.
/// Then what buyers were told is compared with the log, MySQL and Redis by code that shares nothing with flashd but the
/// wire formats. Exit code 3 if a promise was broken; the evidence is kept.
///
/// The epoch lease D is 2 s here instead of the usual 5 s, for more faults per minute.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ChaosArgs {
    /// How many runs.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Seed of the first run; each further run has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The broker: tansu-sqlite, tansu (in memory: frozen and cut off, but never killed) or apache.
    #[arg(long, default_value = "tansu-sqlite", value_name = "BROKER")]
    kafka: KafkaChoice,
    /// How long things go wrong in each run.
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = duration)]
    duration: Duration,
    /// The epoch lease D.
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration)]
    lease: Duration,
    /// Which faults, by name or by what their names begin with. [default: all the broker survives]
    #[arg(long, value_name = "KIND,…")]
    faults: Option<String>,
    /// One fault at a time, with 10 s to recover after each: for how long each keeps a sale from selling.
    #[arg(long)]
    apart: bool,
    /// Where evidence is kept. Given here, also that of clean runs. [default: .flash/chaos, of unclean runs]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The flashd to run. [default: the one next to flashctl]
    #[arg(long, value_name = "PATH")]
    flashd: Option<PathBuf>,
    /// Run nothing; add up the runs in these files of JSON lines.
    #[arg(long, value_name = "FILE", num_args = 1.., exclusive = true)]
    sum: Vec<PathBuf>,
}

/// The command: servers, runs, summary, stop.
pub(crate) async fn command(args: ChaosArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if !args.sum.is_empty() {
        return conclude(&Done { runs: read(&args.sum)?, unfinished: Vec::new() }, terminal);
    }
    let terms = terms(&args)?;
    let mut interrupt = Interrupt::listen()?;
    terminal.talk(&format!("starting two Redis, MariaDB and a broker ({}) …", terms.broker));
    let servers = Servers::start(args.kafka).await?;
    let mut done = Done::default();
    let seeds = args.seed..args.seed.saturating_add(u64::from(args.runs));
    let ended = tokio::select! {
        ended = run_all(seeds, &terms, &servers, terminal, &mut done) => ended.map(|()| None),
        () = interrupt.requested() => Ok(Some(Exit::Interrupted)),
    };
    terminal.talk("stopping what was started …");
    servers.stop().await;
    // A partial result is a result, also when a run could not be finished.
    let judged = if done.runs.is_empty() { Ok(Exit::Failed) } else { conclude(&done, terminal) };
    match ended? {
        Some(interrupted) => judged.map(|_| interrupted),
        None => judged,
    }
}

fn terms(args: &ChaosArgs) -> Result<Terms, Failure> {
    let (broker, survives) = match &args.kafka {
        KafkaChoice::Tansu => ("tansu", false),
        KafkaChoice::TansuSqlite => ("tansu-sqlite", true),
        KafkaChoice::Apache => ("apache", true),
        KafkaChoice::External(_) => return Err(usage("a broker that is not ours cannot be broken".to_owned())),
    };
    let mut kinds = args.faults.as_deref().map_or_else(|| Ok(Kind::all()), kind::chosen).map_err(usage)?;
    // A log in memory would be gone, and with it the truth.
    kinds.retain(|kind| survives || *kind != Kind::KafkaKill);
    if kinds.is_empty() {
        return Err(usage("none of these faults can be done to this broker".to_owned()));
    }
    if !(Duration::from_secs(3)..=Duration::from_secs(600)).contains(&args.duration) {
        return Err(usage("--duration is from 3s to 10m".to_owned()));
    }
    Ok(Terms {
        program: find_flashd(args.flashd.as_deref())?,
        duration: args.duration,
        lease: args.lease,
        kinds,
        apart: args.apart,
        broker: broker.to_owned(),
        keep: args.keep.clone().unwrap_or_else(|| PathBuf::from(".flash/chaos")),
        keep_always: args.keep.is_some(),
    })
}

/// A time with a unit, in the daemon's own spelling.
fn duration(text: &str) -> Result<Duration, String> {
    let ms = flash_core::settings::parse_duration_ms(text);
    ms.map(Duration::from_millis).ok_or_else(|| "expected a time with a unit, like 15s".to_owned())
}

fn usage(text: String) -> Failure {
    Failure::new(Exit::Usage, anyhow::Error::msg(text))
}

async fn run_all(
    seeds: std::ops::Range<u64>,
    terms: &Terms,
    servers: &Servers,
    terminal: &Terminal,
    done: &mut Done,
) -> Result<(), Failure> {
    let mut progress = Progress::new(*terminal, seeds.end - seeds.start);
    for seed in seeds {
        progress.begin(seed);
        let report = match run::run(seed, terms, servers, &|line| progress.tell(line)).await {
            Ok(report) => report,
            Err(failure) => {
                done.unfinished.push(seed);
                progress.line(&format!("seed {seed}: not finished, so nothing is known about it"));
                failure.report(terminal);
                if done.unfinished.len() >= UNFINISHED_MAX {
                    return Err(Failure::message(format!("{UNFINISHED_MAX} runs could not be finished")));
                }
                continue;
            }
        };
        progress.end(&report.line());
        if terminal.output() == Output::Json {
            terminal.answer(&serde_json::to_string(&report).map_err(Failure::from_error)?)?;
        }
        if !report.is_clean() {
            for line in report.accusation(SHOWN) {
                progress.line(&line);
            }
            let kept = terms.keep.join(format!("seed-{seed}"));
            progress.line(&format!("  kept in {}; again: {}", kept.display(), repeat(seed, terms)));
        }
        done.runs.push(report);
    }
    Ok(())
}

/// The command that repeats a run.
fn repeat(seed: u64, terms: &Terms) -> String {
    let kinds: Vec<String> = terms.kinds.iter().map(|kind| kind.name()).collect();
    let faults =
        if kinds.len() >= Kind::all().len() - 1 { String::new() } else { format!(" --faults {}", kinds.join(",")) };
    let faults = if terms.apart { format!("{faults} --apart") } else { faults };
    let (duration, lease) = (terms.duration.as_millis(), terms.lease.as_millis());
    let broker = &terms.broker;
    format!("flashctl chaos --runs 1 --seed {seed} --kafka {broker} --duration {duration}ms --lease {lease}ms{faults}")
}

fn conclude(done: &Done, terminal: &Terminal) -> Result<Exit, Failure> {
    let summary = Summary::of(&done.runs, &done.unfinished);
    let exit = match (summary.is_clean(), done.unfinished.is_empty()) {
        (false, _) => Exit::Found,
        (true, false) => Exit::Failed,
        (true, true) => Exit::Ok,
    };
    let answered = match terminal.output() {
        Output::Text => terminal.answer(&summary.text()),
        Output::Json => terminal.answer(&serde_json::to_string(&summary).map_err(Failure::from_error)?),
    };
    ended(answered, exit)
}

/// The runs in files of JSON lines; summaries among them are left out.
fn read(files: &[PathBuf]) -> Result<Vec<RunReport>, Failure> {
    let mut runs = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::from_error(anyhow::Error::new(error).context(file.display().to_string())))?;
        for line in text.lines().filter(|line| line.contains(r#""type":"run""#)) {
            runs.push(serde_json::from_str(line).map_err(Failure::from_error)?);
        }
    }
    if runs.is_empty() {
        return Err(Failure::message("there are no runs in these files"));
    }
    Ok(runs)
}
