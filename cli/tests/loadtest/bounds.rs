//! Thresholds and baselines.

use std::fs;

use serde_json::Value;

use crate::shop::Trick;
use crate::{flashctl, run_with, shop, temporary};

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
    let listed = flashctl(&env, &["loadtest", "--list-thresholds", "-o", "json"]).await.json();
    assert!(listed["metrics"].as_array().unwrap().iter().any(|metric| metric["metric"] == "win.p99"), "{listed}");
    let list = flashctl(&env, &["loadtest", "--list-thresholds"]).await;
    assert!(list.exit == 0 && list.stdout.contains("fairness.inversion_rate"), "{}", list.stdout);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_before_anything_is_bought() {
    let env = shop(Trick::None).await;
    let file = temporary("both");
    let path = file.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--sku", "1", "--sku", "1=2"], "named twice"),
        (&["--sku", "1", "--sku", "99"], "SKU 99 is not on sale there; on sale: 1"),
        (&["--report", path, "--html", path], "--report and --html name the same file"),
        (&["--report", path, "--save-baseline", path], "--report and --save-baseline name the same file"),
    ];
    for (more, reason) in cases {
        let said = flashctl(&env, &run_with(more)).await;
        assert_eq!((said.exit, said.stdout.as_str()), (2, ""), "{more:?}: {}", said.stderr);
        assert!(said.stderr.contains(reason), "{more:?}: {}", said.stderr);
    }
    assert!(!file.exists(), "nothing was touched");
    let endless = flashctl(&env, &["loadtest", "--scenario-file", "/dev/zero"]).await;
    assert!(endless.exit == 2 && endless.stderr.contains("longer than"), "{}", endless.stderr);
    // All units are still there.
    let run = flashctl(&env, &run_with(&["-o", "json"])).await.json();
    assert_eq!(run["run"]["wins"], 20);
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
