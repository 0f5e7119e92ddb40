//! `flashctl loadtest`: virtual buyers against a running system, and a verdict about what they were told.

mod args;
mod progress;
mod summary;

use std::{fs, path::Path, time::Duration};

use flash_loadgen::{EndReason, Finished, LoadError, Plan, Run, SkuShare, Target};
use flash_stores::mysql::{Db, MySqlSettings};
use serde::Serialize;

pub(crate) use args::LoadtestArgs;

use crate::{
    args::Output,
    exit::Exit,
    interrupt::Interrupt,
    report::Failure,
    terminal::Terminal,
    verdict::{self, Verdict},
};
use progress::Progress;

/// Version of the JSON that `-o json` and `--report` give.
const LOADTEST_VERSION: u32 = 1;
/// How long the list of SKUs may take.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);
/// How often progress is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// What to run, and what to judge it by.
#[derive(Debug, Clone)]
pub(crate) struct LoadtestOptions {
    /// The plan; without SKUs, those on sale are asked for.
    pub(crate) plan: Plan,
    /// The database the verdict is read from; `None` means no verdict.
    pub(crate) judge_by: Option<MySqlSettings>,
    /// How long MySQL may stand still before a missing order counts as lost.
    pub(crate) patience: Duration,
}

/// What a load test found. The first version of this JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadtestReport {
    /// [`LOADTEST_VERSION`].
    pub(crate) version: u32,
    /// The judgement; `null` without a database.
    pub(crate) verdict: Option<Verdict>,
    /// What was measured.
    pub(crate) run: flash_loadgen::Report,
}

impl LoadtestReport {
    /// The exit code that belongs to this result; a breach outranks an interruption.
    pub(crate) fn exit(&self) -> Exit {
        // Without a database the engine still knows when a key got two answers.
        let conflicts = self.run.replays.conflicting > 0;
        if conflicts || self.verdict.as_ref().is_some_and(Verdict::is_breach) {
            Exit::Found
        } else if self.run.ended == EndReason::Stopped || self.verdict.as_ref().is_some_and(|v| !v.settled) {
            Exit::Interrupted
        } else {
            Exit::Ok
        }
    }

    /// Writes the JSON to a file, readable by people too.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let told = |error: anyhow::Error| Failure::from_error(error.context(format!("writing {}", path.display())));
        let json = serde_json::to_string_pretty(self).map_err(|error| told(error.into()))?;
        fs::write(path, json + "\n").map_err(|error| told(error.into()))
    }

    /// The text for people, verdict first.
    pub(crate) fn text(&self) -> String {
        summary::text(self)
    }
}

/// The command: run, print, exit code.
pub(crate) async fn command(args: LoadtestArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let file = args.report.clone();
    let report = run(args.into_options(), terminal, &mut interrupt).await?;
    if let Some(file) = file {
        report.save(&file)?;
    }
    match terminal.output() {
        Output::Text => terminal.answer(report.text().trim_end())?,
        Output::Json => terminal.answer(&serde_json::to_string(&report).map_err(Failure::from_error)?)?,
    }
    Ok(report.exit())
}

/// Runs a load test to its end, or until the interrupt, and judges it. Progress goes to stderr.
pub(crate) async fn run(
    options: LoadtestOptions,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<LoadtestReport, Failure> {
    let mut plan = options.plan;
    let target = Target::resolve(&plan.target, plan.allow_remote.as_deref()).map_err(explain)?;
    // Before anything is bought, make sure that the outcome can be judged.
    let db = match &options.judge_by {
        Some(settings) => Some(open(settings).await?),
        None => None,
    };
    if plan.skus.is_empty() {
        plan.skus = discover(&target).await?;
    }
    let started = tokio::task::spawn_blocking(|| flash_loadgen::start(plan)).await;
    let load = started.map_err(Failure::from_error)?.map_err(explain)?;
    let finished = watch(load, terminal, interrupt).await?;
    let verdict = match &db {
        Some(db) => Some(judge(db, &finished, options.patience, terminal, interrupt).await?),
        None => None,
    };
    Ok(LoadtestReport { version: LOADTEST_VERSION, verdict, run: finished.report })
}

/// Shows progress until the load threads are done.
async fn watch(load: Run, terminal: &Terminal, interrupt: &mut Interrupt) -> Result<Finished, Failure> {
    let mut progress = Progress::new(*terminal);
    let mut ticks = tokio::time::interval(WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut stopping = false;
    while !load.is_finished() {
        tokio::select! {
            _ = ticks.tick() => progress.load(&load.snapshot()),
            () = interrupt.requested(), if !stopping => {
                stopping = true;
                progress.note("ending early – once more to exit at once");
                load.stop();
            }
        }
    }
    progress.load(&load.snapshot());
    progress.done();
    // The threads have ended: joining merges their books, which is work for a thread that may block.
    tokio::task::spawn_blocking(|| load.join()).await.map_err(Failure::from_error)?.map_err(explain)
}

/// Waits for the projector and judges. An interrupt cuts the wait short, unless it has ended the run already.
async fn judge(
    db: &Db,
    finished: &Finished,
    patience: Duration,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<Verdict, Failure> {
    let mut progress = Progress::new(*terminal);
    let was_stopped = finished.report.ended == EndReason::Stopped;
    let cut = async {
        if was_stopped {
            std::future::pending::<()>().await;
        }
        interrupt.requested().await;
    };
    let verdict = verdict::settle(db, finished, patience, |settling| progress.settling(settling), cut).await;
    progress.done();
    verdict.map_err(|error| Failure::new(Exit::Unreachable, error).hint("flashctl loadtest --no-verdict measures only"))
}

async fn open(settings: &MySqlSettings) -> Result<Db, Failure> {
    let db = Db::open(settings);
    db.ping().await.map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("cannot read orders from {settings:?}"));
        Failure::new(Exit::Unreachable, error).hint("flashctl loadtest --no-verdict measures only")
    })?;
    Ok(db)
}

/// Everything the target has on sale.
async fn discover(target: &Target) -> Result<Vec<SkuShare>, Failure> {
    let skus = flash_loadgen::fetch_catalog(target, CATALOG_TIMEOUT).await.map_err(explain)?;
    if skus.is_empty() {
        return Err(Failure::message("nothing is on sale").hint("flashctl setup --sku 1=1000@49.00"));
    }
    Ok(skus.iter().map(|sku| SkuShare { sku_id: sku.sku_id, weight: 1 }).collect())
}

/// Exit code and hint of an engine error.
fn explain(error: LoadError) -> Failure {
    match &error {
        LoadError::Plan(_) => Failure::new(Exit::Usage, error),
        LoadError::NotLoopback { host } => {
            let hint = format!("flashctl loadtest --allow-remote {host} …, if that machine is yours to load");
            Failure::new(Exit::Usage, error).hint(hint)
        }
        LoadError::Unreachable { .. } => Failure::new(Exit::Unreachable, error).hint("flashctl up"),
        LoadError::Catalog(_) => Failure::new(Exit::Failed, error).hint("name what to buy: --sku 1"),
        LoadError::Internal(_) => Failure::new(Exit::Failed, error),
    }
}
