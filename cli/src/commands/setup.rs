//! `flashctl setup`: shows what will be done, asks, does it.

pub(crate) mod progress;
mod view;

use std::path::PathBuf;

use clap::Args;
use flash_core::sale::Sku;
use flashd::setup::{self, Plan, SetupError, SetupOptions, SetupReport};

use crate::{
    args::Output,
    ask::Consent,
    exit::Exit,
    operator,
    report::Failure,
    sale_file::{self, SkuFlag},
    servers::{ServerArgs, UNREACHABLE_HINT},
    terminal::Terminal,
};
use progress::Progress;

const EXAMPLES: &str = "\
Examples:
  flashctl setup                                   tables, topics and an open stock epoch, nothing on sale yet
  flashctl setup --sku 1=1000@49.00 --sku 2=10k@9.50
  flashctl setup --file sale.toml --dry-run        what would be done
  flashctl setup --file sale.csv --yes             without asking
  flashctl setup --partitions 16 --replication 3   shape of the topics, when they are created";

/// Create or complete everything a sale needs: tables, topics, SKUs, stock.
///
/// Looks first, shows a plan, and asks. Safe to run again at any time, also while a sale is on: stock that has been
/// sold from is never reset, and the capacity of a SKU that exists is never changed here (`flashctl sku set-capacity` does).
/// Changes of SKUs are kept in the journal (`flashctl sku changes`). Where the servers are comes
/// from the same environment variables and configuration file as for flashd.
///
/// A sale file has `[[sku]]` tables with id, name, price = "49.00", currency, capacity, opens_at, closes_at, per_user and
/// hold_seconds; a CSV file has the same columns.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct SetupArgs {
    /// Put a SKU on sale; repeat for several.
    #[arg(long = "sku", value_name = "ID=CAPACITY@PRICE")]
    skus: Vec<SkuFlag>,
    /// Put the SKUs of a TOML or CSV file on sale.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Partitions of order-events. It can never change afterwards. [default: 8, or as it is]
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// Copies of each partition. [default: one per broker, at most 3, or as it is]
    #[arg(long, value_name = "N")]
    replication: Option<i32>,
    #[command(flatten)]
    consent: Consent,
    /// Who does it, for the journal of changes. Unless given, $USER@host.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command: look, show, ask, do.
pub(crate) async fn command(args: SetupArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let options = options(&args)?;
    let plan = setup::inspect(&options).await.map_err(explain)?;
    let text = terminal.output() == Output::Text;
    if text {
        view::plan(&plan, terminal)?;
    }
    let wanted = plan.changes() && !args.consent.dry_run;
    if wanted && !args.consent.given(terminal, "flashctl setup --yes …").await? {
        terminal.talk("nothing was changed");
        return Ok(Exit::Failed);
    }
    let mut report = None;
    if !args.consent.dry_run {
        // Also when nothing changes: it completes what an interrupted run has left half-way.
        report = Some(run(&options, &plan, terminal).await?);
    }
    if text {
        view::summary(&plan, report.as_ref(), terminal)?;
    } else {
        terminal.answer(&view::json(&plan, report.as_ref()))?;
    }
    Ok(Exit::Ok)
}

/// Carries a plan out, with progress on stderr.
pub(crate) async fn run(options: &SetupOptions, plan: &Plan, terminal: &Terminal) -> Result<SetupReport, Failure> {
    let progress = Progress::new(*terminal);
    let report = setup::apply(options, plan, |step| progress.show(&step)).await;
    progress.done();
    let report = report.map_err(explain)?;
    for topic in &report.topics_without_config {
        terminal.talk(&format!("the broker refused the settings of {topic}; it has the broker's defaults"));
    }
    Ok(report)
}

fn options(args: &SetupArgs) -> Result<SetupOptions, Failure> {
    let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
    let parts = args.servers.parts()?;
    let mut skus: Vec<Sku> = args.file.as_deref().map(sale_file::read).transpose().map_err(usage)?.unwrap_or_default();
    skus.extend(args.skus.iter().map(|flag| flag.0.clone()));
    Ok(SetupOptions {
        parts,
        partitions: args.partitions,
        replication: args.replication,
        skus,
        who: args.who.clone().unwrap_or_else(operator::name),
    })
}

/// Exit code and hint of a setup error.
fn explain(error: SetupError) -> Failure {
    match &error {
        SetupError::Sku { .. }
        | SetupError::Duplicate(_)
        | SetupError::TooMany(_)
        | SetupError::Range(_)
        | SetupError::Author(_) => Failure::new(Exit::Usage, error),
        _ if error.is_unreachable() => Failure::new(Exit::Unreachable, error).hint(UNREACHABLE_HINT),
        _ => Failure::new(Exit::Failed, error),
    }
}
