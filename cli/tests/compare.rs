//! `flashctl compare` as an operator meets it: the shipped binaries, real servers, a short schedule.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

#[path = "loadtest/schema.rs"]
mod schema;

use serde_json::Value;
use tokio::process::Command;

/// The published schema, with what it takes from the load test's put into it.
fn compare_schema() -> Value {
    let text = include_str!("../../docs/reports/compare.schema.json").replace("loadtest.schema.json#", "#");
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    let loadtest: Value = serde_json::from_str(include_str!("../../docs/reports/loadtest.schema.json")).unwrap();
    for (name, definition) in loadtest["$defs"].as_object().unwrap() {
        let earlier = schema["$defs"].as_object_mut().unwrap().insert(name.clone(), definition.clone());
        assert!(earlier.is_none(), "{name} is described twice");
    }
    schema
}

#[tokio::test]
async fn the_naive_server_oversells_and_flashd_does_not() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    // Users come one after the other within the first half second, and are forty then, with as many transactions at once as there
    // are connections. The stock outlasts their coming: what is gone before is sold to one user at a time, and right by luck.
    // (That two transactions at once oversell is shown without any luck in `shops.rs`.)
    command.args(["compare", "--stage", "3s:40", "--tickets", "1500", "--seed", "5", "-o", "json"]);
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["version"], &report["ended_early"]), (&1.into(), &false.into()));
    assert!(report["failure"].is_null(), "{}", report["failure"]);
    let schema = compare_schema();
    let found = schema::violations(&schema, &report);
    assert!(found.is_empty(), "{found:#?}");
    // The check itself: what is missing, and what nobody described, is seen.
    let mut forged = report.clone();
    forged["turns"][0]["figures"].as_object_mut().unwrap().remove("invalid");
    forged["turns"][1]["run"]["surprise"] = 1.into();
    assert_eq!(schema::violations(&schema, &forged).len(), 2);
    let turns = report["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 4, "{stderr}");
    let figures = |server: &str| &turns.iter().find(|turn| turn["server"] == server).unwrap()["figures"];
    let count = |server: &str, name: &str| figures(server)[name].as_u64().unwrap();
    assert!(count("mysql", "oversold") > 0, "{}", figures("mysql"));
    for right in ["mysql-lock", "redis-mysql", "flashd"] {
        assert_eq!((count(right, "oversold"), count(right, "lost")), (0, 0), "{right}: {}", figures(right));
        assert!(count(right, "told") > 0, "{right}: {}", figures(right));
    }
    assert_eq!((count("flashd", "told"), &figures("flashd")["clean"]), (1_500, &true.into()), "{}", figures("flashd"));
}

#[tokio::test]
async fn a_turn_that_fails_takes_nothing_from_those_before_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare-incomplete.json");
    // With this seed flashd comes second; this one ends as soon as it is started.
    command
        .args(["compare", "--stage", "1s:5", "--seed", "2", "--flashd", "/bin/false", "-o", "json", "--report"])
        .arg(&file);
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = schema::violations(&compare_schema(), &report);
    assert!(found.is_empty(), "{found:#?}");
    let turns = report["turns"].as_array().unwrap();
    assert_eq!((turns.len(), &turns[0]["server"]), (1, &"redis-mysql".into()), "{stderr}");
    assert!(turns[0]["figures"]["told"].as_u64().unwrap() > 0, "{}", turns[0]["figures"]);
    assert_eq!(report["ended_early"], true);
    let failure = report["failure"].as_str().unwrap();
    assert!(failure.starts_with("round 1, flashd: "), "{failure}");
    // The error is the last word, and the file says the same as the answer.
    let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert!(failure.contains(error["error"].as_str().unwrap()) && error["exit"] == 1, "{error} {failure}");
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(), report);
}

#[tokio::test]
async fn one_file_for_two_answers_is_refused_before_anything_is_started() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare-both");
    command.args(["compare", "--report"]).arg(&path).arg("--html").arg(&path);
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("name the same file") && !stderr.contains("starting"), "{stderr}");
}
