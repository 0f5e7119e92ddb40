//! `flashctl compare` as an operator meets it: the shipped binaries, real servers, a short schedule.

use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn the_naive_server_oversells_and_flashd_does_not() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    // Forty users who never pause, and as many transactions at once as there are connections.
    command.args(["compare", "--stage", "3s:40", "--tickets", "60", "--seed", "5", "-o", "json"]);
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["version"], &report["ended_early"]), (&1.into(), &false.into()));
    let turns = report["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 4, "{stderr}");
    let figures = |server: &str| &turns.iter().find(|turn| turn["server"] == server).unwrap()["figures"];
    let count = |server: &str, name: &str| figures(server)[name].as_u64().unwrap();
    assert!(count("mysql", "oversold") > 0, "{}", figures("mysql"));
    for right in ["mysql-lock", "redis-mysql", "flashd"] {
        assert_eq!((count(right, "oversold"), count(right, "lost")), (0, 0), "{right}: {}", figures(right));
        assert!(count(right, "told") > 0, "{right}: {}", figures(right));
    }
    assert_eq!((count("flashd", "told"), &figures("flashd")["clean"]), (60, &true.into()), "{}", figures("flashd"));
}
