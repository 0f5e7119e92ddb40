//! `flashctl doctor` as an operator meets it: the shipped binary on real servers, whole and damaged.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::collections::BTreeMap;

use flash_stack::{Stack, StackOptions};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

/// Exit code and stdout.
async fn flashctl(env: &BTreeMap<String, String>, args: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().envs(env).args(args.split(' ')).stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Exit code and the findings by `group.check`: state and value.
async fn doctor(env: &BTreeMap<String, String>, flags: &str) -> (i32, BTreeMap<String, (String, String)>) {
    let (exit, stdout) = flashctl(env, format!("doctor -o json {flags}").trim()).await;
    let answer: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    assert_eq!(answer["version"], 1);
    assert!(answer["losses"].as_array().is_some_and(|losses| losses.len() == 8), "{stdout}");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = answer["findings"].as_array().unwrap().iter();
    let named = |finding: &Value| {
        let name = format!("{}.{}", word(&finding["group"]), word(&finding["check"]));
        (name, (word(&finding["state"]), word(&finding["value"])))
    };
    (exit, findings.map(named).collect())
}

/// A command to Redis, as its own protocol takes it from a terminal.
async fn redis(stack: &Stack, command: &str) {
    let mut stream = TcpStream::connect(stack.redis().address()).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(read > 0 && answer[0] != b'-', "{command}: {}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_named_and_told_apart_from_silence() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let mut env = stack.env_map();
    env.insert("USER".to_owned(), "ann".to_owned());

    let (exit, bare) = doctor(&env, "").await;
    assert_eq!((exit, bare["mysql.schema"].0.as_str()), (3, "bad"), "nothing is set up: {bare:?}");
    assert_eq!(bare["kafka.order-events"].0, "bad");

    let (exit, said) = flashctl(&env, "setup --sku 1=10@49.00 --sku 2=10@49.00 --yes").await;
    assert_eq!(exit, 0, "{said}");
    let (exit, sound) = doctor(&env, "").await;
    let bad = sound.values().filter(|(state, _)| state == "bad" || state == "not_asked").count();
    assert_eq!((exit, bad), (0, 0), "{sound:?}");
    for check in
        ["sale.epoch", "sale.stock", "mysql.schema", "redis.maxmemory-policy", "mysql.isolation of our sessions"]
    {
        assert_eq!(sound[check].0, "ok", "{check}: {sound:?}");
    }
    assert_eq!((sound["kafka.order-events"].0.as_str(), sound["kafka.brokers"].0.as_str()), ("warn", "warn"));
    assert!(sound["versions.broker"].1.starts_with("Tansu"), "{sound:?}");
    assert_eq!(doctor(&env, "--strict").await.0, 3, "one broker is a warning");
    let (_, text) = flashctl(&env, "doctor").await;
    assert!(text.contains("What this deployment would lose") && text.contains("[LOSES]: There is one copy"), "{text}");
    assert!(!text.contains(&env["MYSQL_PASSWORD"]), "a secret is printed");

    redis(&stack, "CONFIG SET maxmemory-policy allkeys-lru").await;
    redis(&stack, "DEL {sku:2}:stock").await;
    let (exit, damaged) = doctor(&env, "").await;
    assert_eq!((exit, damaged["redis.maxmemory-policy"].0.as_str()), (3, "bad"), "{damaged:?}");
    assert_eq!(damaged["sale.stock"], ("bad".to_owned(), "lost: SKU 2".to_owned()));

    let (exit, stray) = doctor(&env, "--admin 127.0.0.1:1").await;
    assert_eq!((exit, stray["flashd.daemon"].0.as_str()), (4, "not_asked"));
    stack.redis().stop().await.unwrap();
    let (exit, silent) = doctor(&env, "").await;
    assert_eq!((exit, silent["redis.reachable"].0.as_str()), (4, "not_asked"), "{silent:?}");
    assert_eq!(silent["mysql.schema"].0, "ok", "the others are asked all the same");
    stack.stop().await;
}
