//! `flashctl reconcile`: whether Redis, the log and MySQL agree, to the unit, while selling goes on – and repairing what can be
//! repaired safely.

mod history;
mod progress;
mod repair;
mod view;
mod watch;

use std::time::Duration;

use clap::Args;
use flash_core::{ids::SkuId, settings::parse_duration_ms};
use flash_stores::mysql::{
    author::Author,
    reconcile::{NewRun, record},
};
use flashd::reconcile::{Fixed, Reconcile, ReconcileError, Report};
use progress::Progress;

use crate::{
    args::Output,
    ask::Consent,
    exit::Exit,
    operator,
    report::{Failure, ended},
    servers::{self, ServerArgs},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl reconcile                            every SKU, while it sells; exit code 3 if anything was found
  flashctl reconcile --sku 1 -o json            one SKU, for programs
  flashctl reconcile --fix --dry-run            what would be repaired, and what would be left to you
  flashctl reconcile --fix --yes --why 'INC-7'  repair it without asking
  flashctl reconcile --watch 30s                again and again, one line each, until Ctrl-C
  flashctl reconcile --history                  past runs: who, what was found, what was repaired";

/// Compare Redis, log and MySQL to the unit, while selling goes on.
///
/// Each SKU's counters are read together with the number of its last stock change; then the ledger is added up to exactly that
/// number. A number that is missing is waited for until its event cannot come any more (about the producers' time-out), so
/// nothing is called wrong that is only on its way. Every finding is named with the hop that owns it – gate (Redis), log,
/// projector, view (MySQL) or payments –, the orders behind it, and what to do.
///
/// --fix repairs only what can be proved to be safe: nothing goes on sale that the log does not know to be free.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ReconcileArgs {
    /// Only this SKU.
    #[arg(long, value_name = "ID")]
    sku: Option<SkuId>,
    /// Repair what can be repaired safely; shows a plan and asks.
    #[arg(long, conflicts_with_all = ["watch", "history"])]
    fix: bool,
    /// Again and again until Ctrl-C, with a pause of INTERVAL in between.
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "10s", value_parser = interval)]
    watch: Option<Duration>,
    /// The last N runs, of operators and of the workers' auditor.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", conflicts_with = "watch")]
    history: Option<u32>,
    /// Why something is repaired, for the record.
    #[arg(long, value_name = "TEXT", default_value = "reconcile --fix")]
    why: String,
    /// Who repairs. Unless given, $USER@host.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    servers: ServerArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).filter(|ms| (1_000..=86_400_000).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "must be a duration with a unit, from 1s to 24h".to_owned())
}

/// The command.
pub(crate) async fn command(args: ReconcileArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.consent.dry_run && !args.fix {
        let failure = Failure::new(Exit::Usage, anyhow::anyhow!("--dry-run says what --fix would do"));
        return Err(failure.hint("flashctl reconcile --fix --dry-run"));
    }
    let author = operator::author(args.who.clone(), &args.why)?;
    let config = args.servers.config()?;
    if let Some(most) = args.history {
        return history::command(&config, most, terminal).await;
    }
    let reconcile = Reconcile::connect(config.reconcile_options()).await.map_err(explain)?;
    if let Some(every) = args.watch {
        return watch::command(&reconcile, args.sku, every, &author, terminal).await;
    }
    let progress = Progress::new(*terminal);
    let report = reconcile.run(args.sku, |step| progress.step(&step)).await.map_err(explain)?;
    progress.done();
    if args.fix {
        return repair::command(&reconcile, &report, &author, args.consent, terminal).await;
    }
    keep(&reconcile, &report, &author, None, terminal).await;
    let told = match terminal.output() {
        Output::Text => view::text(&report, terminal),
        Output::Json => terminal.answer(&view::json(&report, None).to_string()),
    };
    ended(told, exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.findings.is_empty() { Exit::Ok } else { Exit::Found }
}

/// Keeps the run for `--history`. That it could not be kept is no reason to hide what was found.
async fn keep(reconcile: &Reconcile, report: &Report, author: &Author, fixed: Option<&[Fixed]>, terminal: &Terminal) {
    let told = |fixed: &Fixed| format!("{} SKU {}: {}", fixed.repair.kind.as_str(), fixed.repair.sku_id, fixed.outcome);
    let repairs: Vec<String> = fixed.unwrap_or_default().iter().map(told).collect();
    let run = NewRun {
        took: report.took,
        who: author.who(),
        why: if fixed.is_some() { author.why() } else { "" },
        epoch: report.epoch,
        skus: report.skus.len(),
        findings: &report.findings,
        repairs: &repairs,
        fixed: fixed.unwrap_or_default().iter().filter(|fixed| fixed.whole).count(),
    };
    if let Err(error) = record(reconcile.db(), &run).await {
        terminal.talk(&format!("this run could not be kept for --history: {error}"));
    }
}

/// Exit code and hint of an error.
fn explain(error: ReconcileError) -> Failure {
    match &error {
        ReconcileError::Missing(_) => Failure::from_error(error).hint("flashctl sku list"),
        ReconcileError::NotOpen(_) | ReconcileError::Restless => Failure::new(Exit::Unreachable, error)
            .hint("GET /stats of a worker says what it waits for, under worker.rebuild"),
        error if error.is_unreachable() => servers::unreachable(anyhow::anyhow!("{error}")),
        _ => Failure::from_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_a_unit_and_is_bounded() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        for bad in ["30", "0s", "999ms", "25h", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
