//! `flashctl demo`: a whole flash sale on this machine, from nothing to the verdict.
//!
//! Starts a site of its own, puts the seed's five SKUs on sale, sends 1,000 buyers until everything is gone and a while
//! longer, judges, and stops what it started. Succeeds only if exactly the capacity was told and is in MySQL.

use std::{fs, path::PathBuf};

use clap::Args;
use flash_core::{ids::SkuId, limits::HOLD_DEFAULT_MS, sale::Sku};
use flash_loadgen::{Plan, Stage};
use flash_stack::{KafkaChoice, StackOptions};

use super::loadtest::{self, JudgeBy, LoadtestOptions, LoadtestReport};
use crate::{
    args::Output,
    exit::Exit,
    interrupt::Interrupt,
    report::Failure,
    site::{DaemonOptions, PartExit, Site, SiteOptions, config_of},
    terminal::Terminal,
    verdict::{Places, Verdict},
};

const EXAMPLES: &str = "\
Examples:
  flashctl demo                        4,350 tickets, 1,000 buyers, one verdict
  flashctl demo --kafka apache         with Apache Kafka as the broker
  flashctl demo --buyers 100 -o json";

/// The seed's sale: id, name, capacity, price in minor units.
const SALE: [(u64, &str, u32, u64); 5] = [
    (1, "Front of stage", 1_000, 14_900),
    (2, "Balcony", 500, 9_900),
    (3, "Standing", 2_000, 4_900),
    (4, "Seated, side", 750, 6_900),
    (5, "Last row", 100, 1_900),
];
/// Longest the buyers may take, and how long they go on after everything is gone.
const LONGEST_MS: u64 = 120_000;
const AFTERWARDS_MS: u64 = 5_000;
/// How long MySQL may stand still before a missing order counts as lost.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Run a whole sale on this machine and judge it.
///
/// Everything is temporary except the report. Exit code 0 only if every ticket was sold exactly once: told to a buyer
/// and found in MySQL.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// The broker: tansu, tansu-sqlite, apache, or HOST:PORT of an empty one that runs elsewhere.
    #[arg(long, default_value = "tansu", value_name = "BROKER")]
    kafka: KafkaChoice,
    /// How many buyers come at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    buyers: u32,
    /// Where the report is kept.
    #[arg(long, default_value = ".flash/demo/report.json", value_name = "FILE")]
    report: PathBuf,
    /// The flashd to run. [default: the one next to flashctl]
    #[arg(long, value_name = "PATH")]
    flashd: Option<PathBuf>,
}

/// The command: site, sale, verdict, stop.
pub(crate) async fn command(args: DemoArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    terminal.talk("starting Redis, MySQL, a broker and flashd …");
    let daemon = DaemonOptions { program: args.flashd, port: Some(0), args: Vec::new() };
    let stack = StackOptions { kafka: args.kafka, ..StackOptions::default() };
    let site = Site::start(SiteOptions { stack, skus: sale(), daemon: Some(daemon) }).await?;
    let result = sell(&site, args.buyers, terminal, &mut interrupt).await;
    terminal.talk("stopping what was started …");
    site.stop_telling(|_, _| ()).await;
    let report = result?;
    keep(&report, &args.report)?;
    match terminal.output() {
        Output::Text => terminal.answer(report.text().trim_end())?,
        Output::Json => terminal.answer(&serde_json::to_string(&report).map_err(Failure::from_error)?)?,
    }
    terminal.talk(&format!("report kept in {}", args.report.display()));
    Ok(exit(&report))
}

async fn sell(
    site: &Site,
    buyers: u32,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<LoadtestReport, Failure> {
    if let Some(reason) = site.unready_reason().await {
        return Err(Failure::message(format!("flashd did not become ready: {reason}")));
    }
    let target = site.api_url().ok_or_else(|| Failure::message("there is no daemon to buy from"))?;
    terminal.talk(&format!("{} tickets are on sale at {target}; {buyers} buyers are coming", tickets()));
    let plan = Plan {
        target,
        stages: vec![Stage { duration_ms: LONGEST_MS, buyers }],
        sold_out_grace_ms: Some(AFTERWARDS_MS),
        ..Plan::default()
    };
    let places = Box::new(Places::of(&config_of(&site.env_map())?));
    let judge_by = JudgeBy::Stores { places, named: true };
    let options = LoadtestOptions { plan, judge_by, patience: PATIENCE, plain: false };
    tokio::select! {
        report = loadtest::run(options, terminal, interrupt) => report,
        died = site.first_exit() => Err(part_died(&died)),
    }
}

fn part_died((name, exit, last_lines): &PartExit) -> Failure {
    Failure::message(format!("{name} ended in the middle of the sale ({exit})\n    {}", last_lines.join("\n    ")))
}

fn sale() -> Vec<Sku> {
    let sku = |(id, name, capacity, price_minor): (u64, &str, u32, u64)| Sku {
        sku_id: SkuId::new(id),
        name: name.to_owned(),
        price_minor,
        currency: "EUR".to_owned(),
        capacity,
        per_user: 10,
        hold_ms: HOLD_DEFAULT_MS,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    };
    SALE.into_iter().map(sku).collect()
}

fn tickets() -> u64 {
    SALE.iter().map(|(_, _, capacity, _)| u64::from(*capacity)).sum()
}

fn keep(report: &LoadtestReport, path: &std::path::Path) -> Result<(), Failure> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(Failure::from_error)?;
    }
    report.save(path)
}

/// A clean verdict is not enough: every ticket must have found its buyer.
fn exit(report: &LoadtestReport) -> Exit {
    let judged = report.exit(false);
    let all_sold = |verdict: &Verdict| verdict.told == tickets() && verdict.in_mysql == Some(tickets());
    if judged == Exit::Ok && !report.verdict.as_ref().is_some_and(all_sold) { Exit::Found } else { judged }
}
