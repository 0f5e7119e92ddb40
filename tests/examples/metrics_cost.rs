//! What counting costs: two builds of `flashd`, one that counts nothing, take turns on the same servers. Prints a table.
//!
//! ```text
//! cargo build --profile ci --workspace --bins && cp target/ci/flashd target/counts
//! cargo build --profile ci --workspace --bins --features flashd/unmetered && cp target/ci/flashd target/counts-not
//! cargo run --profile ci --workspace --features flashd/faults --example metrics_cost -- target/counts target/counts-not [ROUNDS]
//! ```
//!
//! Compared is the processor time of the daemon per purchase, which a busy machine disturbs less than it disturbs latency.
//! Both builds read the clock when something begins; only one reads it again at the end and counts.

#![expect(clippy::unwrap_used, reason = "a measurement: a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is its answer")]

use flash_tests::backends::Own;
use flash_tests::buyer::{PURCHASE, Purchase};
use flash_tests::daemon::Daemon;
use flash_tests::exposition::Exposition;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

/// Purchases of one turn, and buyers at a time.
const PURCHASES: u64 = 8_000;
const BUYERS: u64 = 64;
/// A SKU that everybody gets, and one that is sold out.
const PLENTY: u64 = 1;
const GONE: u64 = 2;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [counts, counts_not, ..] = &args[..] else { panic!("two builds of flashd") };
    let rounds: usize = args.get(2).map_or(10, |rounds| rounds.parse().unwrap());
    let site = Site::open(Own::default(), &[ticket(PLENTY, 10_000_000), ticket(GONE, 1)]).await;
    let daemons = [
        site.daemon_from(&PathBuf::from(counts), "api").await,
        site.daemon_from(&PathBuf::from(counts_not), "api").await,
    ];
    check(&daemons, &site).await;
    println!("{PURCHASES} purchases a turn, {BUYERS} buyers at a time, {rounds} rounds of two turns\n");
    println!(
        "{:<10} {:>16} {:>16} {:>8}   ratio of each round",
        "answers", "counting, µs", "not counting, µs", "ratio"
    );
    for (what, sku_id) in [("won", PLENTY), ("sold out", GONE)] {
        let mut spent: [Vec<f64>; 2] = Default::default();
        // The first round warms both up.
        for round in 0..=rounds {
            for turn in 0..2 {
                let which = (turn + round) % 2;
                let us = turn_of(&daemons[which], sku_id).await;
                if round > 0 {
                    spent[which].push(us);
                }
            }
        }
        let mut ratios: Vec<f64> = spent[0].iter().zip(&spent[1]).map(|(with, without)| with / without).collect();
        ratios.sort_by(f64::total_cmp);
        let [with, without] = spent.map(median);
        let each = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ");
        println!("{what:<10} {with:>16.1} {without:>16.1} {:>8.3}   {each}", median(ratios));
    }
    site.abandon().await;
}

/// Sells the last ticket, and makes sure that the builds are what they are said to be.
async fn check(daemons: &[Daemon; 2], site: &Site) {
    let _ = site.buyer(&[&daemons[0]]).insist(&Purchase::new(1, GONE, "k")).await.won();
    for (daemon, counts) in daemons.iter().zip([true, false]) {
        let _ = site.buyer(&[daemon]).insist(&Purchase::new(2, PLENTY, "k")).await.won();
        let counted = Exposition::of(daemon).await.sum("purchase_attempts_total");
        assert_eq!(counted > 0.0, counts, "the builds are the wrong way round, or the same");
    }
}

/// Processor time of the daemon per purchase, in microseconds.
async fn turn_of(daemon: &Daemon, sku_id: u64) -> f64 {
    static USERS: AtomicU64 = AtomicU64::new(1_000);
    let cpu_s = async || Exposition::of(daemon).await.get("process_cpu_seconds_total");
    let mut connections = Vec::new();
    for _ in 0..BUYERS {
        connections.push(Connection::open(&daemon.api).await.unwrap());
    }
    let (before, left) = (cpu_s().await, Arc::new(AtomicU64::new(PURCHASES)));
    let mut buyers = JoinSet::new();
    for mut connection in connections {
        let left = Arc::clone(&left);
        buyers.spawn(async move {
            while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let user = USERS.fetch_add(1, Ordering::Relaxed);
                let body = Purchase::new(user, sku_id, format!("cost-{user}")).body();
                let answer = connection.post(PURCHASE, "", body.as_bytes()).await.unwrap();
                assert_eq!(answer.status, if sku_id == PLENTY { 200 } else { 410 }, "{answer:?}");
            }
        });
    }
    buyers.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let purchases = PURCHASES as f64;
    (cpu_s().await - before) * 1e6 / purchases
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
