//! How fast the engine is against wrk: both load the same bare hyper server on the same machine, in turn.
//!
//! ```sh
//! cargo run --release -p flash-loadgen --example versus_wrk -- 1000 5
//! ```
//!
//! Arguments: connections (default 1,000) and seconds per measurement (default 5). Needs `wrk` in the path (`scripts/install-tools --wrk`).
//! wrk sends one fixed request; the engine sends unique users and keys, reads every answer and keeps books. The open loop is
//! given more arrivals than anybody could serve, so that every connection is always busy: what it reaches is its ceiling.
//! Prints a Markdown table of medians; every round is told on stderr.

mod server;

use std::io::Write;
use std::process::Command;

use flash_loadgen::{OpenLoop, Plan, Schedule, SkuShare, Stage};

/// An odd number, so that there is one in the middle.
const ROUNDS: u32 = 3;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let connections: u32 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    println!("| answers, {connections} connections | wrk | closed loop | open loop | closed ÷ wrk | open ÷ wrk |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, behaviour) in [("sold out", server::Behaviour::SoldOut), ("wins", server::Behaviour::Wins)] {
        let address = server::start(behaviour)?;
        let mut figures: [Vec<f64>; 5] = Default::default();
        for round in 1..=ROUNDS {
            let wrk = run_wrk(address, connections, seconds)?;
            let closed = run_engine(closed_loop(address, connections, seconds))?;
            let open = run_engine(open_loop(address, connections, seconds, wrk))?;
            let (of_closed, of_open) = (closed / wrk, open / wrk);
            eprintln!(
                "{name} round {round}: wrk {wrk:.0}/s, closed loop {closed:.0}/s ({of_closed:.2}), open loop {open:.0}/s ({of_open:.2})"
            );
            figures.iter_mut().zip([wrk, closed, open, of_closed, of_open]).for_each(|(all, one)| all.push(one));
        }
        let [wrk, closed, open, of_closed, of_open] = figures.map(median);
        println!("| {name} | {wrk:.0}/s | {closed:.0}/s | {open:.0}/s | {of_closed:.2} | {of_open:.2} |");
    }
    Ok(())
}

/// Requests per second of wrk with one thread.
fn run_wrk(address: std::net::SocketAddr, connections: u32, seconds: u64) -> Outcome<f64> {
    let mut script = std::env::temp_dir();
    script.push(format!("versus-wrk-{}.lua", std::process::id()));
    let body = r#"{"userId":"1234567890123456","skuId":"1","quantity":1,"idempotencyKey":"lt-1234567890123456"}"#;
    write!(
        std::fs::File::create(&script)?,
        "wrk.method='POST'\nwrk.headers['Content-Type']='application/json'\nwrk.body='{body}'\n"
    )?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .arg(format!("http://{address}/api/v1/flash/purchase"))
        .output()?;
    std::fs::remove_file(&script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(rate.ok_or("wrk printed no rate")?.trim().parse()?)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn closed_loop(address: std::net::SocketAddr, connections: u32, seconds: u64) -> Plan {
    Plan {
        target: format!("http://{address}"),
        stages: vec![Stage { duration_ms: seconds * 1_000, buyers: connections }],
        ramp_ms: 0,
        skus: vec![SkuShare { sku_id: 1, weight: 1 }],
        retry_share: 0.0,
        watch_stock: false,
        ..Plan::default()
    }
}

/// Half as many arrivals again as wrk could make.
fn open_loop(address: std::net::SocketAddr, connections: u32, seconds: u64, wrk_per_s: f64) -> Plan {
    let schedule = Schedule::constant((wrk_per_s * 1.5).round(), seconds * 1_000);
    // Those who were not served by then need not be.
    let open = Some(OpenLoop { schedule, connections });
    Plan { open, drain_ms: 100, ..closed_loop(address, connections, seconds) }
}

/// Requests per second of the engine with one thread.
fn run_engine(plan: Plan) -> Outcome<f64> {
    let is_open = plan.open.is_some();
    let report = flash_loadgen::start(plan)?.join()?.report;
    let answered = report.latency.wins.count + report.latency.sold_out.count;
    if answered < report.requests && !is_open {
        return Err(format!("only {answered} of {} requests were answered", report.requests).into());
    }
    Ok(report.throughput.requests_per_s)
}
