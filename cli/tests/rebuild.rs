//! `flashctl rebuild` as an operator meets it: the shipped binary and real servers.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::{collections::BTreeMap, time::Duration};

use flash_stack::{Stack, StackOptions};
use flashd::rebuild::Rebuild;
use serde_json::{Value, json};
use tokio::process::Command;

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

#[tokio::test]
async fn redis_is_filled_anew_by_hand() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let env = stack.env_map();
    let none = flashctl(&env, "rebuild --yes -o json").await;
    assert_eq!((none.exit, none.stdout.as_str()), (1, ""), "nothing was set up: {}", none.stderr);
    let setup = flashctl(&env, "setup --sku 1=10@49.00 --yes -o json").await;
    assert_eq!(setup.exit, 0, "{}", setup.stderr);

    let dry = flashctl(&env, "rebuild --dry-run -o json").await;
    assert_eq!(dry.exit, 0, "{}", dry.stderr);
    let plan = dry.json();
    let expected = [("version", json!(1)), ("dryRun", json!(true)), ("needed", json!(false)), ("skus", json!(1))];
    for (name, value) in expected {
        assert_eq!(plan[name], value, "{name}: {plan}");
    }
    assert_eq!((&plan["waitMs"], &plan["before"]["epoch"]), (&json!(5_500), &json!(1)), "{plan}");
    let shown = flashctl(&env, "rebuild --dry-run").await;
    assert!(shown.stdout.contains("1, open since") && shown.stdout.contains("5.5 s for leases"), "{}", shown.stdout);
    let asked = flashctl(&env, "rebuild").await;
    assert_eq!(asked.exit, 2, "nobody can be asked: {}", asked.stderr);
    assert!(asked.stderr.contains("flashctl rebuild --yes"), "{}", asked.stderr);

    let settings = flash_core::settings::Settings::layer(|_| None, |name| env.get(name).cloned(), None).unwrap();
    let parts = flashd::config::Config::read(&settings).unwrap().rebuild_options();
    let other = Rebuild::connect(parts).await.unwrap();
    let lock = other.lock(Duration::ZERO).await.unwrap().unwrap();
    let busy = flashctl(&env, "rebuild --yes --wait 1s").await;
    assert_eq!(busy.exit, 1, "{}", busy.stderr);
    assert!(busy.stderr.contains("a coordinator on ") && busy.stderr.contains("hint:"), "{}", busy.stderr);
    lock.release().await;

    let done = flashctl(&env, "rebuild --yes -o json").await;
    assert_eq!(done.exit, 0, "{}", done.stderr);
    let result = &done.json()["result"];
    assert_eq!((&result["epoch"], &result["blocked"]), (&json!(2), &json!([])), "{result}");
    assert!(result["tookMs"].as_u64().unwrap() >= 5_500, "leases were waited out: {result}");
    assert!(done.stderr.contains("epoch 2 is open"), "{}", done.stderr);
    assert_eq!(flashctl(&env, "rebuild --dry-run -o json").await.json()["before"]["epoch"], json!(2));
    stack.stop().await;
}

#[tokio::test]
async fn servers_that_cannot_be_reached_are_exit_code_4() {
    let port = flash_stack::free_port().unwrap().to_string();
    let addresses = [
        ("MYSQL_PORT", port.clone()),
        ("KAFKA_BROKERS", format!("127.0.0.1:{port}")),
        ("REDIS_URL", format!("redis://127.0.0.1:{port}")),
    ];
    let env: BTreeMap<String, String> = addresses.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let said = flashctl(&env, "rebuild --dry-run -o json").await;
    assert_eq!((said.exit, said.stdout.as_str()), (4, ""), "{}", said.stderr);
    assert!(said.stderr.contains("REDIS_URL"), "{}", said.stderr);
}
