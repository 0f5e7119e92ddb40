//! What a closed loop hides: the same stalled server, seen by an open loop and by a closed one, side by side.
//!
//! ```sh
//! cargo run --release -p flash-loadgen --example stall -- http://127.0.0.1:3000 PID
//! ```
//!
//! Both runs last six seconds; after two of them the process PID (a flashd, or whatever serves the URL) is stopped with
//! SIGSTOP for two seconds. The open loop brings 500 buyers per second, the closed loop has 20 users who ask again as soon as
//! they are answered. Everything that is on sale is bought; being sold out is an answer too. Prints a Markdown table.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use flash_loadgen::{OpenLoop, Plan, Report, Schedule, SkuShare, Target, fetch_catalog, start};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Begin and length of the stall.
const STALL_AT: Duration = Duration::from_secs(2);
const STALL_FOR: Duration = Duration::from_secs(2);
/// Who comes.
const RATE_PER_S: f64 = 500.0;
const USERS: u32 = 20;
/// Length of a run.
const RUN_MS: u64 = 6_000;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(pid)) = (arguments.next(), arguments.next()) else {
        return Err("give the URL of a server and its process id".into());
    };
    let pid: u32 = pid.parse()?;
    let target = Target::resolve(&url, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let skus = runtime.block_on(fetch_catalog(&target, Duration::from_secs(5)))?;
    let base = Plan {
        target: url,
        skus: skus.iter().map(|sku| SkuShare { sku_id: sku.sku_id, weight: 1 }).collect(),
        retry_share: 0.0,
        ..Plan::default()
    };
    let open = OpenLoop { schedule: Schedule::constant(RATE_PER_S, RUN_MS), connections: 1_000 };
    let opened = measure(Plan { open: Some(open), ..base.clone() }, pid)?;
    let closed = measure(Plan { stages: vec![format!("{RUN_MS}ms:{USERS}").parse()?], ramp_ms: 0, ..base }, pid)?;
    print(&opened, &closed);
    Ok(())
}

/// One run with a stall in its middle.
fn measure(plan: Plan, pid: u32) -> Outcome<Report> {
    let run = start(plan)?;
    sleep(STALL_AT);
    let stopped = signal("-STOP", pid);
    sleep(STALL_FOR);
    // Whatever happened, the process must go on.
    signal("-CONT", pid)?;
    stopped?;
    Ok(run.join()?.report)
}

fn signal(name: &str, pid: u32) -> Outcome<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {name} {pid} failed").into()) }
}

/// All answers together, as a reader of one table would compare them.
fn print(opened: &Report, closed: &Report) {
    println!("| 2 s of SIGSTOP in 6 s | open loop, {RATE_PER_S:.0}/s | closed loop, {USERS} users |");
    println!("|---|---:|---:|");
    let all = |report: &Report| {
        let mut all = report.latency_histograms.wins.clone();
        all.add(&report.latency_histograms.sold_out);
        all.add(&report.latency_histograms.refusals);
        all.add(&report.latency_histograms.errors);
        all
    };
    let (open, shut) = (all(opened), all(closed));
    println!("| answers | {} | {} |", open.count(), shut.count());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)]
    {
        let ms = |histogram: &flash_core::stats::Histogram| histogram.quantile_us(share).unwrap_or(0) as f64 / 1_000.0;
        println!("| {name} | {:.1} ms | {:.1} ms |", ms(&open), ms(&shut));
    }
    let late = &opened.validity.lag;
    let percent = if late.count == 0 { 0.0 } else { 100.0 * late.late as f64 / late.count as f64 };
    println!("| begun more than {} ms late by the generator | {percent:.1} % | – |", late.late_from_us / 1_000);
    for reason in &opened.validity.reasons {
        println!("\nThe open run is invalid: {reason}.");
    }
}
