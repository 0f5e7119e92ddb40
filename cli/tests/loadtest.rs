//! `flashctl loadtest` as an operator meets it: the shipped binary against a shop that lies, and against the real thing.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod shop;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use shop::{Shop, Trick};
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
