//! A real terminal: the live view, Ctrl-C in it, and a terminal that goes away in the middle of a run.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::reports::fits_the_schema;
use crate::shop::{Shop, Trick};

/// How long anything may take. Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// One command of a tmux server that lives in this directory; what it says.
fn tmux(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(dir.join("tmux")).args(["-f", "/dev/null", "-u"]).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C.UTF-8").env("HOME", dir);
    let output = command.output().expect("tmux: make tools installs it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a long run whose picture is in a terminal and whose answer goes to `out` beside it, and waits for the picture.
async fn watch_a_run(dir: &Path) {
    let (flashctl, target) = (env!("CARGO_BIN_EXE_flashctl"), Shop::open(100_000, Trick::None).await);
    let at = dir.display();
    let run = format!(
        "FLASH_API_URL={target} {flashctl} loadtest --rate 5m:40 --told-only -o json > {at}/out; echo $? > {at}/code"
    );
    fs::write(dir.join("run"), run).unwrap();
    tmux(dir, &["new-session", "-d", "-x", "100", "-y", "30", &format!("bash {at}/run")]);
    let picture = || Some(tmux(dir, &["capture-pane", "-p"])).filter(|text| text.contains("accepted"));
    let picture = wait_for("the picture", picture).await;
    assert!(picture.contains("Arrivals") && picture.contains("Ctrl-C"), "{picture}");
}

/// The answer, once it is there.
async fn answer(dir: &Path) -> Value {
    wait_for("the report", || serde_json::from_slice(&fs::read(dir.join("out")).ok()?).ok()).await
}

#[tokio::test]
async fn ctrl_c_ends_early_with_a_valid_report() {
    let dir = tempfile::tempdir().unwrap();
    watch_a_run(dir.path()).await;
    tmux(dir.path(), &["send-keys", "C-c"]);
    let report = answer(dir.path()).await;
    fits_the_schema(&report);
    assert_eq!(report["run"]["ended"], "stopped");
    assert!(report["run"]["requests"].as_u64().unwrap() > 0, "{report}");
    let code =
        wait_for("the exit code", || fs::read_to_string(dir.path().join("code")).ok().filter(|code| !code.is_empty()));
    assert_eq!(code.await.trim(), "130");
    tmux(dir.path(), &["kill-server"]);
}

#[tokio::test]
async fn a_terminal_that_goes_away_takes_no_report_with_it() {
    let dir = tempfile::tempdir().unwrap();
    watch_a_run(dir.path()).await;
    tmux(dir.path(), &["kill-server"]);
    let report = answer(dir.path()).await;
    fits_the_schema(&report);
    assert_eq!(report["run"]["ended"], "stopped");
}
