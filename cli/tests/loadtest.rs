//! `flashctl loadtest` as an operator meets it: the shipped binary against a shop that lies, and against the real thing.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod schema;
mod shop;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use shop::{Shop, Trick};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// What a command came to.
struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

type Env = BTreeMap<String, String>;

/// Runs flashctl with this environment, without a terminal.
async fn flashctl(env: &Env, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().envs(env).args(args).stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { exit: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A shop with this trick, and where it is. Ports on which nobody listens stand for the stores.
async fn shop(trick: Trick) -> Env {
    [("FLASH_API_URL".to_owned(), Shop::open(20, trick).await)].into()
}

/// A run that buys until nothing is left.
const RUN: [&str; 8] =
    ["loadtest", "--stage", "1500ms:8", "--until-sold-out", "300ms", "--max-requests", "20k", "--told-only"];

fn run_with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().chain(more).copied().collect()
}

fn temporary(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    dir.join(format!("{}-{name}", std::process::id()))
}

#[tokio::test]
async fn an_honest_shop_is_acquitted_as_far_as_told() {
    let said = flashctl(&shop(Trick::None).await, &run_with(&["-o", "json"])).await;
    assert_eq!(said.exit, 0, "{} {}", said.stdout, said.stderr);
    let verdict = &said.json()["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["basis"]), (&"clean".into(), &"told_alone".into()), "{verdict}");
    assert_eq!((&verdict["told"], &verdict["capacity"]), (&20.into(), &20.into()), "{verdict}");
    assert!(!verdict["judged"].as_array().unwrap().contains(&"LOST".into()), "{verdict}");
}

#[tokio::test]
async fn a_shop_that_sells_what_it_does_not_have_is_caught() {
    let env = shop(Trick::Oversells).await;
    let said = flashctl(&env, &run_with(&[])).await;
    assert_eq!(said.exit, 3, "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.starts_with("VERDICT: BROKEN"), "{}", said.stdout);
    assert!(said.stdout.contains("OVERSOLD: SKU 1: buyers were told"), "{}", said.stdout);
    assert!(said.stdout.contains("lost not judged"), "{}", said.stdout);
}

#[tokio::test]
async fn a_shop_that_sells_one_order_twice_is_caught() {
    let said = flashctl(&shop(Trick::SellsTwice).await, &run_with(&["-o", "json"])).await;
    assert_eq!(said.exit, 3, "{} {}", said.stdout, said.stderr);
    assert!(said.json()["verdict"]["counts"]["DUPLICATE"].as_u64().unwrap() > 0, "{}", said.stdout);
}

#[tokio::test]
async fn a_shop_that_forgets_its_keys_is_caught() {
    let said = flashctl(&shop(Trick::ForgetsKeys).await, &run_with(&["--retry-share", "1", "-o", "json"])).await;
    assert_eq!(said.exit, 3, "{} {}", said.stdout, said.stderr);
    let counts = &said.json()["verdict"]["counts"];
    assert!(counts["DUPLICATE"].as_u64().unwrap() + counts["CONTRADICTED"].as_u64().unwrap() > 0, "{counts}");
}

#[tokio::test]
async fn stores_that_are_named_must_answer() {
    let mut env = shop(Trick::None).await;
    let port = flash_stack::free_port().unwrap().to_string();
    // Unnamed, and at ports where nobody is: the usual places may be somebody's on this machine.
    let config = temporary("flashd.toml");
    fs::write(&config, format!("[mysql]\nport = {port}\n[kafka]\nbrokers = \"127.0.0.1:{port}\"\n[redis]\nurl = \"redis://127.0.0.1:{port}\"\n")).unwrap();
    let named = flashctl(&env, &["loadtest", "--stage", "1s:2", "--config", config.to_str().unwrap()]).await;
    assert_eq!((named.exit, named.stdout.as_str()), (4, ""), "{}", named.stderr);
    assert!(named.stderr.contains("MySQL at") && named.stderr.contains("--told-only"), "{}", named.stderr);
    env.insert("MYSQL_PORT".to_owned(), port);
    let by_environment = flashctl(&env, &["loadtest", "--stage", "1s:2"]).await;
    assert_eq!(by_environment.exit, 4, "{}", by_environment.stderr);
}

#[tokio::test]
async fn thresholds_decide() {
    let env = shop(Trick::None).await;
    let kept = flashctl(&env, &run_with(&["--threshold", "win.p99<60s", "--threshold", "share.errors<=1%"])).await;
    assert_eq!(kept.exit, 0, "{} {}", kept.stdout, kept.stderr);
    let missed = flashctl(&env, &run_with(&["--threshold", "win.p99<1us", "-o", "json"])).await;
    // The shop is sold out by now: nobody wins, and what did not happen keeps no threshold.
    assert_eq!(missed.exit, 3, "{} {}", missed.stdout, missed.stderr);
    let checked = &missed.json()["thresholds"][0];
    assert_eq!((&checked["kept"], &checked["threshold"]), (&false.into(), &"win.p99<1us".into()), "{checked}");
    let typo = flashctl(&env, &run_with(&["--threshold", "wni.p99<1ms"])).await;
    assert_eq!(typo.exit, 2, "{}", typo.stderr);
    assert!(typo.stderr.contains("win.p99"), "{}", typo.stderr);
    let list = flashctl(&env, &["loadtest", "--list-thresholds"]).await;
    assert!(list.exit == 0 && list.stdout.contains("fairness.inversion_rate"), "{}", list.stdout);
}

#[tokio::test]
async fn a_baseline_is_kept_and_compared_with() {
    let file = temporary("baseline.json");
    let path = file.to_str().unwrap();
    let first = flashctl(&shop(Trick::None).await, &run_with(&["--save-baseline", path])).await;
    assert_eq!(first.exit, 0, "{} {}", first.stdout, first.stderr);
    // Noise of so short a run counts as a quarter; ten thousand per cent is beyond any machine's mood.
    let compare = ["--baseline", path, "--fail-on-regression", "10000", "-o", "json"];
    let second = flashctl(&shop(Trick::None).await, &run_with(&compare)).await;
    assert_eq!(second.exit, 0, "{} {}", second.stdout, second.stderr);
    let report = second.json();
    assert_eq!(report["comparison"]["refused"], Value::Null, "{report}");
    assert!(!report["comparison"]["figures"].as_array().unwrap().is_empty(), "{report}");
    // Half the speed is a regression, if the baseline is twice as fast.
    let mut doctored: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let rate = &mut doctored["run"]["throughput"]["requests_per_s"];
    *rate = (rate.as_f64().unwrap() * 1_000.0).into();
    fs::write(&file, doctored.to_string()).unwrap();
    let worse =
        flashctl(&shop(Trick::None).await, &run_with(&["--baseline", path, "--fail-on-regression", "50"])).await;
    assert_eq!(worse.exit, 3, "{} {}", worse.stdout, worse.stderr);
    let line = worse.stdout.lines().find(|line| line.contains("rate.requests")).unwrap();
    assert!(line.ends_with("WORSE"), "{}", worse.stdout);
    doctored["run"]["host"]["cores"] = 9_999.into();
    fs::write(&file, doctored.to_string()).unwrap();
    let elsewhere = flashctl(&shop(Trick::None).await, &run_with(&["--baseline", path])).await;
    assert_eq!(elsewhere.exit, 0, "nobody asked to fail: {}", elsewhere.stdout);
    assert!(
        elsewhere.stdout.contains("NOT COMPARED") && elsewhere.stdout.contains("another machine"),
        "{}",
        elsewhere.stdout
    );
    fs::remove_file(&file).unwrap();
}

/// The published schema.
fn report_schema() -> Value {
    serde_json::from_str(include_str!("../../docs/reports/loadtest.schema.json")).unwrap()
}

#[track_caller]
fn fits_the_schema(report: &Value) {
    let found = schema::violations(&report_schema(), report);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_report_is_what_its_schema_says() {
    let file = temporary("for-schema.json");
    let path = file.to_str().unwrap();
    let env = shop(Trick::Oversells).await;
    let judged = flashctl(&env, &run_with(&["-o", "json", "--report", path, "--threshold", "win.p99<1us"])).await;
    let report = judged.json();
    fits_the_schema(&report);
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap(), report);
    let measured =
        flashctl(&env, &["loadtest", "--rate", "1s:50", "--no-verdict", "--baseline", path, "-o", "json"]).await;
    fits_the_schema(&measured.json());
    fs::remove_file(&file).unwrap();

    // The check itself: a member too many, one too few, and one of the wrong kind are all seen.
    for (pointer, lie) in [("/run", Value::Null), ("/verdict/told", "x".into()), ("/verdict/outcome", "perfect".into())]
    {
        let mut forged = report.clone();
        *forged.pointer_mut(pointer).unwrap() = lie;
        assert!(!schema::violations(&report_schema(), &forged).is_empty(), "{pointer}");
    }
    let mut more = report.clone();
    more["run"]["surprise"] = 1.into();
    assert_eq!(schema::violations(&report_schema(), &more).len(), 1);
    let mut less = report;
    less["run"].as_object_mut().unwrap().remove("fairness");
    assert_eq!(schema::violations(&report_schema(), &less).len(), 1);
}

#[test]
fn the_reports_in_the_docs_fit_the_schema() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reports");
    let reports = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let reports = reports
        .filter(|path| path.extension().is_some_and(|end| end == "json") && !path.ends_with("loadtest.schema.json"));
    for path in reports {
        let report: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let found = schema::violations(&report_schema(), &report);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

/// A whole site of its own, and where it is.
struct Site {
    up: tokio::process::Child,
    env: Env,
}

impl Site {
    async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
        command.args(["up", "-o", "json", "--port", "0"]).stdin(std::process::Stdio::null());
        let mut up = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut line = String::new();
        tokio::io::BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { up, env: serde_json::from_value(ready["env"].clone()).unwrap() }
    }

    /// One command to Redis, past everything that is ours.
    async fn redis(&self, command: &str) {
        let address = self.env["REDIS_URL"].strip_prefix("redis://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await.unwrap();
        assert_eq!(answer[0], b':', "{command}: {}", String::from_utf8_lossy(&answer[..length]));
    }

    async fn stop(mut self) {
        let id = rustix::process::Pid::from_raw(self.up.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.up.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_real_sale_is_judged_by_log_mysql_and_redis() {
    let site = Site::start().await;
    let setup = flashctl(&site.env, &["setup", "--sku", "1=150@49.00", "--yes"]).await;
    assert_eq!(setup.exit, 0, "{}", setup.stderr);
    let run = ["loadtest", "--rate", "3s:100", "--pay", "0.3", "--cancel", "0.2", "-o", "json"];
    let honest = flashctl(&site.env, &run).await;
    assert_eq!(honest.exit, 0, "{} {}", honest.stdout, honest.stderr);
    let report = honest.json();
    fits_the_schema(&report);
    let verdict = &report["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["basis"]), (&"clean".into(), &"witnessed".into()), "{verdict}");
    assert_eq!(verdict["judged"].as_array().unwrap().len(), 8, "everything was judged: {verdict}");
    assert!(verdict["told"].as_u64().unwrap() >= 150, "{verdict}");
    assert_eq!((&verdict["in_log"], &verdict["in_mysql"]), (&verdict["told"], &verdict["told"]), "{verdict}");
    let servers = &report["run"]["host"]["servers"];
    assert_eq!(servers["broker"], "tansu", "{servers}");
    assert!(servers["redis"].is_string() && servers["mysql"].is_string() && servers["flashd"].is_string(), "{servers}");

    // A unit vanishes from Redis: nobody can buy it, and nobody has it.
    site.redis("HINCRBY {sku:1}:stock available -1").await;
    let stuck = flashctl(&site.env, &["loadtest", "--rate", "1s:20", "-o", "json"]).await;
    assert_eq!(stuck.exit, 3, "{} {}", stuck.stdout, stuck.stderr);
    let counts = &stuck.json()["verdict"]["counts"];
    assert!(counts["STUCK"].as_u64().unwrap() > 0 && counts["LOST"] == 0, "{counts}");
    site.stop().await;
}
