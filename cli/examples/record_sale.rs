//! Makes the recording that tests replay: a real sale with a sell-out, a daemon that dies and a Redis that dies. Run it when the
//! `/stats` document has changed, from built binaries:
//! `cargo run --profile ci --workspace --features flashd/faults --example record_sale`

#![expect(clippy::unwrap_used, reason = "a tool for whoever changes the document: a panic says where")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use flash_tests::{
    backends::Own,
    crowd::Rush,
    eventually,
    site::{AUDITED, Site, ticket},
};
use serde_json::{Value, json};
use tokio::{process::Command, time::sleep};

/// Where it is kept.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/sale.ndjson");
/// It is part of the repository.
const BYTES_MAX: usize = 200 * 1024;

/// Of the latest events so many are kept in each sample.
const EVENTS_MAX: usize = 3;

#[tokio::main]
async fn main() {
    let mut skus = [ticket(1, 300), ticket(2, 900), ticket(3, 40)];
    for (sku, name) in skus.iter_mut().zip(["Stalls", "Balcony", "Royal box"]) {
        sku.name = name.to_owned();
    }
    skus[2].hold_ms = 6_000;
    let site = Site::open(Own::default(), &skus).await;
    let settings = [AUDITED[0], ("FLASH_AUDIT_EVERY", "10s")];
    let seller = site.daemon_with("api", &settings).await;
    let worker = site.daemon_with("all", &settings).await;
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw.ndjson");
    let mut top = Command::new(flashctl());
    top.args(["top", "--admin", &seller.admin, "--admin", &worker.admin, "--count", "45", "-o", "json", "--record"]);
    let mut top = top.arg(&raw).stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();

    sleep(Duration::from_secs(3)).await;
    let daemons = [&seller, &worker];
    let rushes: Vec<Rush> =
        [(1, 4), (2, 2), (3, 1)].into_iter().map(|(sku, width)| Rush::start(&site, &daemons, sku, width)).collect();
    rushes[0].hear("SOLD_OUT").await;
    sleep(Duration::from_secs(5)).await;
    seller.kill9().await;
    sleep(Duration::from_secs(4)).await;
    let seller = seller.restart().await;
    seller.ready().await;
    sleep(Duration::from_secs(5)).await;
    site.stack.redis().kill9().await.unwrap();
    sleep(Duration::from_secs(4)).await;
    site.stack.redis().restart().await.unwrap();
    eventually("selling to go on", || async {
        worker.api_stats().await.epoch.latest.0 > 1 && worker.api_stats().await.epoch.open
    })
    .await;
    sleep(Duration::from_secs(6)).await;
    for rush in rushes {
        rush.stop().await;
    }
    assert!(top.wait().await.unwrap().success());
    let lines: Vec<String> = fs::read_to_string(&raw).unwrap().lines().map(smaller).collect();
    let text = lines.join("\n") + "\n";
    assert!(text.len() <= BYTES_MAX, "{} bytes", text.len());
    fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
    fs::write(FILE, text).unwrap();
    site.finish(&[&seller, &worker]).await;
}

/// The program that was built along with this one.
fn flashctl() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().with_file_name("flashctl")
}

/// A line without what a reader fills in anyway, with the latest events only, and with the addresses of a deployment instead of
/// this machine's.
fn smaller(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    for (index, daemon) in value["daemons"].as_array_mut().into_iter().flatten().enumerate() {
        daemon["url"] = format!("http://10.0.0.{}:3900", index + 7).into();
        let Some(stats) = daemon.get_mut("stats") else { continue };
        if let Some(events) = stats["events"].as_array_mut() {
            events.drain(..events.len().saturating_sub(EVENTS_MAX));
        }
        if let Some(outcomes) = stats["api"]["outcomes"].as_array_mut() {
            outcomes.retain(|outcome| !is_default(&outcome["count"]));
        }
        if let Some(redis) = stats["stores"]["redis"].as_object_mut() {
            redis.remove("operations");
        }
        prune(stats);
    }
    value.to_string()
}

/// Numbers whose absence says that they are not known, which zero is not.
const OPTIONAL: [&str; 16] = [
    "available",
    "held",
    "sold",
    "closing",
    "seenMsAgo",
    "opensAtMs",
    "closesAtMs",
    "node",
    "leaseAgeMs",
    "stoppedForMs",
    "lastStopMs",
    "lagMs",
    "runningMs",
    "lastTookMs",
    "lastAtMs",
    "cpuMs",
];

/// Takes members away that have the value they have by default. A histogram that has counted something stays.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) if members.contains_key("buckets") => coarsen(&mut members["buckets"]),
        Value::Object(members) => {
            members.values_mut().for_each(prune);
            members.retain(|name, member| {
                !is_default(member) || (member.is_number() && OPTIONAL.contains(&name.as_str()))
            });
        }
        Value::Array(all) => all.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Makes one bucket out of sixteen: durations become up to twice as long, and counts stay.
fn coarsen(buckets: &mut Value) {
    let mut coarse: BTreeMap<u64, u64> = BTreeMap::new();
    for bucket in buckets.as_array().into_iter().flatten() {
        *coarse.entry(bucket[0].as_u64().unwrap() | 15).or_default() += bucket[1].as_u64().unwrap();
    }
    *buckets = coarse.into_iter().map(|(bucket, count)| json!([bucket, count])).collect();
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(members) => {
            members.is_empty() || members.get("count").is_some_and(is_default) && members.contains_key("buckets")
        }
    }
}
