//! Shops that lie, judged by what they told; and stores that do not answer.

use std::{fs, process::Stdio};

use crate::shop::Trick;
use crate::{flashctl, run_with, shop, temporary};

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
async fn a_reader_who_leaves_acquits_nobody() {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().envs(shop(Trick::Oversells).await).args(run_with(&[])).stdin(Stdio::null());
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().await.unwrap().code(), Some(3));
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
async fn a_server_whose_stores_nobody_names_is_judged_by_what_it_told() {
    let env = shop(Trick::None).await;
    let args = ["loadtest", "--rate", "1s:30", "-o", "json"];
    let said = flashctl(&env, &args).await;
    assert_eq!(said.exit, 0, "{} {}", said.stdout, said.stderr);
    let verdict = &said.json()["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["basis"]), (&"clean".into(), &"told_alone".into()), "{verdict}");
    assert!(verdict["remarks"][0].as_str().unwrap().contains("nothing names"), "{verdict}");
}
