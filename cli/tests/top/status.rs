//! `status`: well, found, down – each with its exit code.

use flash_tests::{
    backends::Own,
    eventually,
    site::{AUDITED, Site, ticket},
};
use serde_json::{Value, json};

/// What is said of a part.
fn part<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["parts"].as_array().unwrap().iter().find(|part| part["part"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn each_part_is_told_and_the_exit_code_is_the_worst_of_them() {
    let site = Site::open(Own::default(), &[ticket(1, 10), ticket(2, 5)]).await;
    let nobody = site.flashctl(&["status"]).await;
    assert_eq!((nobody.exit, nobody.stdout.as_str()), (4, ""), "{nobody:?}");

    let daemon = site.daemon_with("all", &AUDITED).await;
    let well = site.flashctl(&["status", "-o", "json"]).await;
    assert_eq!(well.exit, 0, "{well:?}");
    let answer = well.json();
    assert_eq!(
        (&answer["version"], &answer["verdict"], &answer["state"]),
        (&json!(2), &json!("ok"), &json!("selling"))
    );
    assert_eq!((&answer["daemons"][0]["answers"], &answer["daemons"][0]["role"]), (&json!(true), &json!("all")));
    for name in ["daemon", "redis", "kafka", "mysql", "epoch", "projector", "letters", "rebuild", "blocked"] {
        assert_eq!(part(&answer, name)["state"], "ok", "{name}: {answer}");
    }
    eventually("all stock to be counted", || async {
        let text = site.flashctl(&["status"]).await.stdout;
        text.contains("capacity 15 · left 15") && text.contains("OK – selling")
    })
    .await;

    site.append(0, b"this is no event").await;
    eventually("the event to be parked", || async { daemon.worker_stats().await.projector.dead_letters == 1 }).await;
    let found = site.flashctl(&["status", "-o", "json"]).await;
    assert_eq!((found.exit, &part(&found.json(), "letters")["state"]), (3, &json!("found")), "{found:?}");
    let text = site.flashctl(&["status"]).await;
    assert!(
        text.stdout.contains("FOUND – selling · found: letters") && text.stdout.contains("next: flashctl dlq list"),
        "{}",
        text.stdout
    );

    site.stack.redis().kill9().await.unwrap();
    eventually("the daemon to notice", || async {
        let down = site.flashctl(&["status", "-o", "json"]).await;
        let answer = down.json();
        (down.exit, &answer["verdict"], &part(&answer, "redis")["state"]) == (4, &json!("down"), &json!("down"))
    })
    .await;
    let text = site.flashctl(&["status"]).await;
    assert!(text.stdout.contains("DOWN – ") && text.stdout.contains("next: flashctl doctor"), "{}", text.stdout);
    let line = site.flashctl(&["top", "--once"]).await;
    assert!(line.stdout.contains("stopped · redis: "), "{line:?}");
    site.abandon().await;
}
