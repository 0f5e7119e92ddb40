//! `flashctl loadtest`: virtual buyers against a running system, and a verdict about what they were told.

mod args;
mod baseline;
mod judging;
mod metric;
mod origin;
mod pace;
mod progress;
mod result;
mod summary;
mod threshold;
mod watching;

use std::{collections::HashSet, time::Duration};

use flash_loadgen::{Finished, LoadError, Plan, SkuOnSale, SkuShare, Target};
use flash_witness::WitnessError;

pub(crate) use args::LoadtestArgs;
pub(crate) use baseline::{Change, Comparison};
pub(crate) use judging::JudgeBy;
pub(crate) use origin::{command_line, servers};
pub(crate) use pace::{Wave, count, milliseconds};
pub(crate) use result::LoadtestReport;
pub(crate) use summary::{headline, measured, micros, rounded, settled};
pub(crate) use threshold::Checked;
pub(crate) use watching::watch;

use crate::{
    args::Output,
    exit::Exit,
    files::check_writable,
    interrupt::Interrupt,
    report::{Failure, ended},
    terminal::Terminal,
    verdict::{self, Places, Verdict},
};
use baseline::Baseline;
use progress::Progress;

/// How long the list of SKUs may take.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// SKUs that an error names.
const NAMED_SKUS: usize = 10;

/// What to run, and what to judge it by.
#[derive(Debug, Clone)]
pub(crate) struct LoadtestOptions {
    /// The plan; without SKUs, those on sale are asked for.
    pub(crate) plan: Plan,
    /// What the verdict rests on.
    pub(crate) judge_by: JudgeBy,
    /// How long the drain may stand still before what is missing counts as lost.
    pub(crate) patience: Duration,
    /// Lines instead of a picture, also on a terminal.
    pub(crate) plain: bool,
}

/// The command: run, print, exit code.
pub(crate) async fn command(args: LoadtestArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.judging.list_thresholds {
        return list_thresholds(terminal);
    }
    if args.pace.list_scenarios {
        return list_scenarios(terminal);
    }
    if let Some(name) = &args.pace.export_scenario {
        terminal.answer(pace::exported(name)?.trim_end())?;
        return Ok(Exit::Ok);
    }
    let plan = args.plan()?;
    let mut interrupt = Interrupt::listen()?;
    let LoadtestArgs { judging, .. } = &args;
    // Whatever is wrong with the question is said before anything is bought.
    let baseline = judging.baseline.baseline.as_deref().map(Baseline::read).transpose()?;
    let judge_by = judging.judge_by()?;
    check_writable(&[
        ("--report", judging.files.report.as_ref()),
        ("--html", judging.files.html.as_ref()),
        ("--save-baseline", judging.baseline.save_baseline.as_ref()),
    ])?;
    let options = LoadtestOptions { judge_by, patience: judging.patience, plain: judging.files.plain, plan };
    let mut report = run(options, terminal, &mut interrupt).await?;
    report.check(&judging.thresholds);
    let bound = judging.baseline.fail_on_regression;
    if let Some(baseline) = baseline {
        report.compare(&baseline, bound, judging.baseline.baseline_any_host);
    }
    // The answer first: whatever becomes of the files, the verdict has been said. And if nobody listens any more, there are still
    // the files.
    let answered = match terminal.output() {
        Output::Text => terminal.answer(report.text().trim_end()),
        Output::Json => terminal.answer(&serde_json::to_string(&report).map_err(Failure::from_error)?),
    };
    if let Some(file) = &judging.files.report {
        report.save(file)?;
    }
    if let Some(file) = &judging.files.html {
        report.save_page(file)?;
    }
    let kept = match &judging.baseline.save_baseline {
        Some(file) => report.save_as_baseline(file, terminal)?,
        None => true,
    };
    let exit = report.exit(bound.is_some());
    let exit = if exit == Exit::Ok && !kept { Exit::Found } else { exit };
    ended(answered, exit)
}

fn list_thresholds(terminal: &Terminal) -> Result<Exit, Failure> {
    match terminal.output() {
        Output::Text => terminal.answer(&threshold::listing())?,
        Output::Json => terminal.answer(&threshold::listing_json().to_string())?,
    }
    Ok(Exit::Ok)
}

fn list_scenarios(terminal: &Terminal) -> Result<Exit, Failure> {
    let scenarios = pace::listed()?;
    match terminal.output() {
        Output::Text => terminal.answer(&pace::listing(&scenarios))?,
        Output::Json => terminal.answer(&serde_json::to_string(&scenarios).map_err(Failure::from_error)?)?,
    }
    Ok(Exit::Ok)
}

/// Runs a load test to its end, or until the interrupt, and judges it. Progress goes to stderr.
pub(crate) async fn run(
    options: LoadtestOptions,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<LoadtestReport, Failure> {
    let mut plan = options.plan;
    let target = Target::resolve(&plan.target, plan.allow_remote.as_deref()).map_err(explain)?;
    let catalog = look_at_catalog(&target, &plan).await?;
    if plan.skus.is_empty() {
        plan.skus = catalog.iter().map(|sku| SkuShare { sku_id: sku.sku_id, weight: 1 }).collect();
    }
    // Before anything is bought, make sure that the outcome can be judged.
    let skus: Vec<u64> = plan.skus.iter().map(|sku| sku.sku_id).collect();
    let bench = Bench::seat(options.judge_by, &skus).await?;
    let mut servers = origin::servers(bench.places()).await;
    let scenario = if plan.scenario.is_empty() { "load test" } else { plan.scenario.as_str() };
    let title = format!("{scenario} at {}", plan.target);
    let started = tokio::task::spawn_blocking(|| flash_loadgen::start(plan)).await;
    let load = started.map_err(Failure::from_error)?.map_err(explain)?;
    let mut finished = watching::watch(load, title, options.plain, terminal, interrupt).await?;
    let verdict = match &bench {
        Bench::Nobody => None,
        Bench::Alone(remark) => Some(verdict::judge_alone(&finished, &catalog, remark.clone())),
        Bench::Stores { places, named } => {
            let judged = judge_by_stores(places, &finished, options.patience, terminal, interrupt).await;
            Some(match judged {
                Ok(judged) if !named && judged.knows_none() => {
                    servers = origin::servers(None).await;
                    verdict::judge_alone(&finished, &catalog, FOREIGN.to_owned())
                }
                Ok(judged) => judged,
                // What buyers saw is a report all the same.
                Err(error) => {
                    let reason = error.to_string();
                    terminal.talk(&format!("{} the stores could not be read: {reason}", terminal.red("error:")));
                    verdict::judge_unreachable(&finished, &catalog, &reason)
                }
            })
        }
    };
    finished.report.host.servers = servers;
    finished.report.host.command_line = origin::command_line();
    Ok(LoadtestReport::new(verdict, finished.report))
}

/// Who judges.
enum Bench {
    Nobody,
    /// By what was told alone, and why.
    Alone(String),
    Stores {
        places: Box<Places>,
        /// Somebody has said that they are this server's.
        named: bool,
    },
}

/// Why stores that were found by luck are not believed.
const FOREIGN: &str = "log, MySQL and Redis at the usual places know none of these orders, so they are taken for another \
                       system's; name them (environment or --config) to hold the server to them";

impl Bench {
    async fn seat(judge_by: JudgeBy, skus: &[u64]) -> Result<Self, Failure> {
        let (places, named) = match judge_by {
            JudgeBy::Nothing => return Ok(Self::Nobody),
            JudgeBy::ToldAlone => return Ok(Self::Alone("log, MySQL and Redis were not asked".to_owned())),
            JudgeBy::Stores { places, named } => (places, named),
        };
        let silent = places.silent(skus).await;
        if silent.is_empty() {
            return Ok(Self::Stores { places, named });
        }
        let silent = silent.join("; ");
        if !named {
            return Ok(Self::Alone(format!("nothing names log, MySQL and Redis, and at the usual places: {silent}")));
        }
        let error = anyhow::anyhow!("{silent}").context("what buyers are told could not be judged");
        Err(Failure::new(Exit::Unreachable, error)
            .hint("flashctl loadtest --told-only, or --no-verdict to measure only"))
    }

    fn places(&self) -> Option<&Places> {
        match self {
            Self::Stores { places, .. } => Some(places),
            Self::Nobody | Self::Alone(_) => None,
        }
    }
}

/// Waits for the drain and judges, or fails if a store is out of reach. Whose stores they are knows the caller, and so what to do.
pub(crate) async fn judge(
    places: &Places,
    finished: &Finished,
    patience: Duration,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<Verdict, Failure> {
    let verdict = judge_by_stores(places, finished, patience, terminal, interrupt).await;
    verdict.map_err(|error| Failure::new(Exit::Unreachable, error))
}

/// A signal cuts the wait short, unless it was what has ended the run.
async fn judge_by_stores(
    places: &Places,
    finished: &Finished,
    patience: Duration,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<Verdict, WitnessError> {
    let mut progress = Progress::new(*terminal);
    let is_old = interrupt.was_requested();
    let cut = async {
        if is_old {
            std::future::pending::<()>().await;
        }
        interrupt.requested().await;
    };
    let verdict = verdict::settle(places, finished, patience, |settling| progress.settling(settling), cut).await;
    progress.done();
    verdict
}

/// What the target has on sale. A target that does not tell can be loaded all the same if it is said what to buy; one that does
/// must have it.
async fn look_at_catalog(target: &Target, plan: &Plan) -> Result<Vec<SkuOnSale>, Failure> {
    match flash_loadgen::fetch_catalog(target, CATALOG_TIMEOUT).await {
        Ok(skus) if skus.is_empty() && plan.skus.is_empty() => {
            Err(Failure::message("nothing is on sale").hint("flashctl setup --sku 1=1000@49.00"))
        }
        Ok(skus) => check_on_sale(plan, &skus).map(|()| skus),
        Err(LoadError::Catalog(_)) if !plan.skus.is_empty() => Ok(Vec::new()),
        Err(error) => Err(explain(error)),
    }
}

/// A whole run of 404s would only say that somebody mistyped a number.
fn check_on_sale(plan: &Plan, catalog: &[SkuOnSale]) -> Result<(), Failure> {
    let on_sale: HashSet<u64> = catalog.iter().map(|sku| sku.sku_id).collect();
    let Some(missing) = plan.skus.iter().find(|sku| !on_sale.contains(&sku.sku_id)) else { return Ok(()) };
    let some: Vec<String> = catalog.iter().take(NAMED_SKUS).map(|sku| sku.sku_id.to_string()).collect();
    let more = if catalog.len() > NAMED_SKUS { ", …" } else { "" };
    let error = anyhow::anyhow!("SKU {} is not on sale there; on sale: {}{more}", missing.sku_id, some.join(", "));
    Err(Failure::new(Exit::Usage, error).hint("flashctl sku list shows what there is"))
}

/// Exit code and hint of an engine error.
pub(crate) fn explain(error: LoadError) -> Failure {
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
