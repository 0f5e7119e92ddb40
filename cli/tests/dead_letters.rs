//! `flashctl dlq` and `flashctl payments` as an operator meets them: the shipped binary, a real broker, a real MariaDB.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::{collections::BTreeMap, time::Duration};

use flash_stack::{Stack, StackOptions};
use flash_stores::kafka::{admin, append};
use flashd::projector::{ProjectorOptions, catch_up};
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a command came to.
struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

/// Runs flashctl with this environment, without a terminal.
async fn flashctl(env: &BTreeMap<String, String>, args: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().envs(env).args(args.split(' ')).stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { exit: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A stack whose log holds two records that are no events, projected as far as they go.
async fn site_with_poison() -> (Stack, BTreeMap<String, String>) {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let mut env = stack.env_map();
    env.insert("USER".to_owned(), "ann".to_owned());
    let settings = flash_core::settings::Settings::layer(|_| None, |name| env.get(name).cloned(), None).unwrap();
    let config = flashd::config::Config::read(&settings).unwrap();
    flash_stores::mysql::migrate::apply(&config.mysql).await.unwrap();
    let kafka = config.kafka.clone();
    admin::create(&kafka, &admin::required(&kafka, 2, 1)).await.unwrap();
    let records = vec![(0, "k".to_owned(), b"{\"a\":\"\x1b[2J\"".to_vec()), (1, "k".to_owned(), vec![0xff, 0])];
    let write = move || append::append(&kafka, &kafka.topic_events(), &records, PATIENCE);
    tokio::task::spawn_blocking(write).await.unwrap().unwrap();
    catch_up(&ProjectorOptions { kafka: config.kafka, mysql: config.mysql }, PATIENCE).await.unwrap();
    (stack, env)
}

#[tokio::test]
async fn letters_are_listed_shown_replayed_and_dropped() {
    let (stack, env) = site_with_poison().await;
    let list = flashctl(&env, "dlq list -o json").await;
    assert_eq!(list.exit, 0, "finding letters is no failure: {}", list.stderr);
    assert_eq!(list.json()["counts"], json!({ "waiting": 2, "replayed": 0, "dropped": 0 }));
    let show = flashctl(&env, "dlq show 0/0").await;
    assert!(show.stdout.contains(r"\u{1b}[2J") && !show.stdout.contains('\x1b'), "{}", show.stdout);
    let hex = flashctl(&env, "dlq show order-events/1/0 -o json").await.json();
    assert_eq!((&hex["payloadHex"], &hex["decoded"], &hex["version"]), (&json!("ff00"), &Value::Null, &json!(1)));

    let missing = flashctl(&env, "dlq show 0/99 -o json").await;
    assert_eq!((missing.exit, missing.stdout.as_str()), (1, ""));
    assert!(missing.stderr.contains("dlq list --status all"), "{}", missing.stderr);
    assert_eq!(flashctl(&env, "dlq replay --all").await.exit, 2, "nobody can be asked");
    let dry = flashctl(&env, "dlq replay --all --dry-run -o json").await;
    assert_eq!((dry.exit, &dry.json()["toReplay"]), (0, &json!(2)));
    let replay = flashctl(&env, "dlq replay --all --yes -o json").await;
    assert_eq!((replay.exit, &replay.json()["failed"]), (1, &json!(2)), "{}", replay.stdout);

    assert_eq!(flashctl(&env, "dlq drop 0/0 --yes").await.exit, 2, "without a reason");
    let dropped = flashctl(&env, "dlq drop 0/0 --why torn --yes -o json").await;
    assert_eq!((dropped.exit, &dropped.json()["dropped"]), (0, &json!(["order-events/0/0"])));
    let all = flashctl(&env, "dlq list --status all -o json").await.json();
    let [first, second] = [0, 1].map(|index| all["letters"][index].clone());
    assert_eq!((&first["status"], &first["why"]), (&json!("dropped"), &json!("torn")));
    assert!(first["who"].as_str().is_some_and(|who| who.starts_with("ann@")), "{first}");
    assert_eq!((&second["status"], &second["replays"]), (&json!("waiting"), &json!(1)));
    assert_eq!(flashctl(&env, "dlq replay 0/0 --yes").await.exit, 1, "dropped is dropped");

    let payments = flashctl(&env, "payments -o json").await;
    assert_eq!((payments.exit, &payments.json()["payments"]), (0, &json!([])));
    stack.stop().await;
}

#[tokio::test]
async fn servers_that_cannot_be_reached_are_exit_code_4() {
    let port = flash_stack::free_port().unwrap().to_string();
    let env = [("MYSQL_PORT", port.clone()), ("KAFKA_BROKERS", format!("127.0.0.1:{port}"))];
    let env: BTreeMap<String, String> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for args in ["payments -o json", "dlq list -o json"] {
        let said = flashctl(&env, args).await;
        assert_eq!((said.exit, said.stdout.as_str()), (4, ""), "{args}: {}", said.stderr);
        assert!(said.stderr.contains("KAFKA_BROKERS and MYSQL_HOST name others"), "{args}: {}", said.stderr);
    }
    let nowhere = flashctl(&env, "payments --config /nowhere/flash.toml").await;
    assert_eq!(nowhere.exit, 2, "{}", nowhere.stderr);
}
