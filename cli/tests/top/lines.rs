//! `top` in a pipe: lines of a sale that is going on.

use std::{process::Stdio, time::Duration};

use flash_tests::{
    backends::Own,
    crowd::Rush,
    site::{AUDITED, Site, ticket},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The lines of an answer.
fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// `flashctl top` of one daemon, still running.
fn top(admin: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.args(["top", "--admin", admin, "--interval", "200ms"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn ended(child: &mut Child) -> i32 {
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("top does not end");
    status.unwrap().code().unwrap()
}

/// Reads a line, so that it is known to be at work.
async fn first_line(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_sale_is_told_line_by_line_and_replayed_to_the_letter() {
    let site = Site::open(Own::default(), &[ticket(1, 1_000), ticket(2, 50)]).await;
    let daemon = site.daemon_with("all", &AUDITED).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sale.ndjson");
    let file = file.to_str().unwrap();
    let rush = Rush::start(&site, &[&daemon], 1, 4);
    rush.more_wins(1).await;
    // Found through MySQL: nothing names the daemon.
    let seen = site.flashctl(&["top", "--record", file, "--interval", "500ms", "--count", "6", "-o", "json"]).await;
    assert_eq!(seen.exit, 0, "{seen:?}");
    let told = lines(&seen.stdout);
    assert_eq!(told.len(), 6);
    assert_eq!(
        (&told[0]["version"], &told[0]["perS"]),
        (&json!(2), &Value::Null),
        "one look has no rates: {}",
        told[0]
    );
    let wins = |line: &Value| line["perS"]["wins"].as_f64().unwrap();
    assert!(told[1..].iter().any(|line| wins(line) > 0.0), "{told:?}");
    for line in &told {
        assert_eq!((&line["state"], &line["daemons"]["ready"]), (&json!("selling"), &json!(1)), "{line}");
        let stock = &line["stock"];
        let unit = |name: &str| stock[name].as_u64().unwrap();
        assert_eq!(unit("skus"), 2, "{line}");
        assert!(unit("left") + unit("held") + unit("sold") + unit("closing") <= 1_050, "{line}");
    }
    let last = &told[5]["stock"];
    assert_eq!((&last["skusCounted"], &last["capacity"]), (&json!(2), &json!(1_050)), "{last}");
    rush.stop().await;

    // The same samples make the same lines.
    let again = site.flashctl(&["top", "--replay", file, "-o", "json"]).await;
    assert_eq!((again.exit, &again.stdout), (0, &seen.stdout), "{again:?}");
    let two = site.flashctl(&["top", "--replay", file, "--count", "2"]).await;
    assert_eq!(two.stdout.lines().count(), 3, "a heading and two lines: {two:?}");
    let refused = site.flashctl(&["top", "--record", file, "--once"]).await;
    assert_eq!((refused.exit, refused.stdout.as_str()), (2, ""), "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(site.flashctl(&["top", "--record", file, "--force", "--once"]).await.exit, 0);

    let once = site.flashctl(&["top", "--once"]).await;
    let text: Vec<&str> = once.stdout.lines().collect();
    assert!(text.len() == 2 && text[0].starts_with("TIME ") && text[1].ends_with("selling"), "{once:?}");
    assert!(
        !text[1].contains('–') || text[1].matches('–').count() <= 2,
        "a line that stands alone has rates: {once:?}"
    );
    site.finish(&[&daemon]).await;
}

#[tokio::test]
async fn a_daemon_that_dies_is_a_gap_and_its_successor_is_found() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let [first, second] = [site.daemon_with("api", &AUDITED).await, site.daemon_with("worker", &AUDITED).await];
    let look = || async {
        lines(&site.flashctl(&["top", "--once", "-o", "json", "--interval", "500ms"]).await.stdout).remove(0)
    };
    let line = look().await;
    assert_eq!(line["daemons"], json!({ "watched": 2, "answering": 2, "ready": 2, "stale": 0 }), "{line}");
    first.kill9().await;
    let line = look().await;
    assert_eq!(line["daemons"], json!({ "watched": 2, "answering": 1, "ready": 1, "stale": 0 }), "{line}");
    assert_eq!(
        (&line["state"], &line["stock"]),
        (&json!("no seller"), &Value::Null),
        "what is not known is null: {line}"
    );
    assert!(line["reasons"][0].as_str().unwrap().starts_with(&format!("http://{}: ", first.admin)), "{line}");
    let third = site.daemon_with("api", &AUDITED).await;
    let line = look().await;
    assert_eq!((&line["daemons"]["answering"], &line["state"]), (&json!(2), &json!("selling")), "{line}");
    site.finish(&[&third, &second]).await;
}

#[tokio::test]
async fn the_end_of_watching_is_no_error_and_nobody_to_watch_is_one() {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let nobody = site.flashctl(&["top", "--once"]).await;
    assert_eq!((nobody.exit, nobody.stdout.as_str()), (4, ""), "{nobody:?}");
    assert!(
        nobody.stderr.contains("none has said in MySQL that it runs") && nobody.stderr.contains("hint: flashctl up"),
        "{nobody:?}"
    );
    let away = format!("127.0.0.1:{}", flash_stack::free_port().unwrap());
    let refused = site.flashctl(&["top", "--once", "--admin", &away, "-o", "json", "--interval", "200ms"]).await;
    assert_eq!((refused.exit, refused.stdout.as_str()), (4, ""), "{refused:?}");
    assert!(refused.stderr.contains("no daemon answers"), "{refused:?}");
    assert_eq!(site.flashctl(&["top", "--admin", "nonsense", "--once"]).await.exit, 2);

    let daemon = site.daemon_with("all", &AUDITED).await;
    // Ctrl-C is how watching usually ends; what was to be counted was cut short.
    for (arguments, exit) in [(vec![], 0), (vec!["--count", "9999"], 130)] {
        let mut child = top(&daemon.admin, &arguments);
        first_line(&mut child).await;
        let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        assert_eq!(ended(&mut child).await, exit, "{arguments:?}");
    }
    // As `flashctl top | head -1`.
    let mut child = top(&daemon.admin, &[]);
    first_line(&mut child).await;
    drop(child.stdout.take());
    assert_eq!(ended(&mut child).await, 0);
    site.finish(&[&daemon]).await;
}
