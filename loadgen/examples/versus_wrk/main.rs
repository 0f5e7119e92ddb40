//! How fast the engine is against wrk: both load the same bare hyper server on the same machine, in turn.
//!
//! ```sh
//! cargo run --release -p flash-loadgen --example versus_wrk -- 1000 5
//! ```
//!
//! Arguments: connections (default 1,000) and seconds per measurement (default 5). Needs `wrk` in the path.
//! wrk sends one fixed request; the engine sends unique users and keys, reads every answer and keeps books.

mod server;

use std::io::Write;
use std::process::Command;

use flash_loadgen::{Plan, SkuShare, Stage};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let connections: u32 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    for (name, behaviour) in [("sold out", server::Behaviour::SoldOut), ("wins", server::Behaviour::Wins)] {
        let address = server::start(behaviour)?;
        let mut rates = Vec::new();
        for round in 1..=3 {
            let wrk = run_wrk(address, connections, seconds)?;
            let engine = run_engine(address, connections, seconds)?;
            println!("{name} round {round}: wrk {wrk:.0}/s, engine {engine:.0}/s, ratio {:.2}", engine / wrk);
            rates.push(engine / wrk);
        }
        rates.sort_by(f64::total_cmp);
        println!("{name}: median ratio {:.2} at {connections} connections", rates[1]);
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

/// Requests per second of the engine with one thread.
fn run_engine(address: std::net::SocketAddr, connections: u32, seconds: u64) -> Outcome<f64> {
    let plan = Plan {
        target: format!("http://{address}"),
        stages: vec![Stage { duration_ms: seconds * 1_000, buyers: connections }],
        ramp_ms: 0,
        skus: vec![SkuShare { sku_id: 1, weight: 1 }],
        retry_share: 0.0,
        ..Plan::default()
    };
    let report = flash_loadgen::start(plan)?.join()?.report;
    let answered = report.latency.wins.count + report.latency.sold_out.count;
    if answered != report.requests {
        return Err(format!("only {answered} of {} requests were answered", report.requests).into());
    }
    Ok(report.throughput.requests_per_s)
}
