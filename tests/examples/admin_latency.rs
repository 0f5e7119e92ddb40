//! How long the admin plane takes to answer while the API is saturated: `flashctl loadtest` against one daemon on this machine,
//! and every page asked again and again meanwhile. Prints a table.
//!
//! `cargo build --profile ci --workspace --bins --example admin_latency --features flashd/faults`, then
//! `target/ci/examples/admin_latency LOADTEST_ARGUMENTS`
//! (default: `--stage 20s:1000`).

#![expect(clippy::unwrap_used, reason = "a measurement: a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is its answer")]

use flash_tests::backends::Own;
use flash_tests::daemon::Daemon;
use flash_tests::site::{Site, ticket};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PAGES: [&str; 4] = ["/livez", "/readyz", "/stats", "/metrics"];
/// How often each page is asked.
const EVERY: Duration = Duration::from_millis(50);
/// How long before the load.
const IDLE: Duration = Duration::from_secs(5);
/// The load begins with connecting, which is not what is measured.
const RAMP: Duration = Duration::from_secs(3);
/// Longest time an answer should take.
const TARGET: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let load: Vec<&str> =
        if given.is_empty() { vec!["--stage", "20s:1000"] } else { given.iter().map(String::as_str).collect() };
    let tickets: Vec<_> = (1..=5).map(|sku| ticket(sku, 100_000)).collect();
    let site = Site::open(Own::default(), &tickets).await;
    let daemon = site.daemon("all").await;
    println!(
        "{:<10} {:<9} {:>6} {:>9} {:>9} {:>9} {:>10}",
        "", "page", "polls", "p50 ms", "p99 ms", "max ms", "over 50 ms"
    );

    let idle = Pollers::start(&daemon);
    tokio::time::sleep(IDLE).await;
    idle.finish("idle");

    let target = format!("http://{}", daemon.api);
    let arguments = [vec!["loadtest", "--target", target.as_str(), "--no-verdict"], load.clone()].concat();
    let began = Instant::now();
    let measure = async {
        tokio::time::sleep(RAMP).await;
        Pollers::start(&daemon)
    };
    let (ran, polled) = tokio::join!(site.flashctl(&arguments), measure);
    polled.finish("saturated");
    let api = daemon.api_stats().await;
    let told: u64 = api.outcomes.iter().map(|outcome| outcome.count).sum();
    println!(
        "flashctl loadtest {}: exit {}, {told} purchases in {:.1} s",
        load.join(" "),
        ran.exit,
        began.elapsed().as_secs_f64()
    );
    site.abandon().await;
}

/// One thread per page.
struct Pollers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

impl Pollers {
    fn start(daemon: &Daemon) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = PAGES.map(|page| {
            let (address, stop) = (daemon.admin.clone(), Arc::clone(&stop));
            std::thread::spawn(move || poll(&address, page, &stop))
        });
        Self { stop, threads: threads.into() }
    }

    fn finish(self, phase: &str) {
        self.stop.store(true, Relaxed);
        for (page, thread) in PAGES.into_iter().zip(self.threads) {
            let mut took = thread.join().unwrap();
            took.sort_unstable();
            let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
            let late = took.iter().filter(|took| **took > TARGET).count();
            println!(
                "{phase:<10} {page:<9} {:>6} {:>9.2} {:>9.2} {:>9.2} {late:>10}",
                took.len(),
                at(50),
                at(99),
                at(100)
            );
        }
    }
}

/// Asks on one connection, as a dashboard does. The time includes that of the asker to be woken up.
fn poll(address: &str, page: &str, stop: &AtomicBool) -> Vec<Duration> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
    let mut took = Vec::new();
    while !stop.load(Relaxed) || took.is_empty() {
        let asked = Instant::now();
        write!(writer, "GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        took.push(asked.elapsed());
        std::thread::sleep(EVERY);
    }
    took
}
