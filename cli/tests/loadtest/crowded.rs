//! Verdicts on a system that others use as well, and on one that loses a store in mid-run.

use std::fs;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::real::Site;
use crate::{Env, Said, flashctl, temporary};

/// Everybody buys at once: two on the same SKU, and one where holds end while it is bought and judged.
async fn crowd(env: &Env) -> [Said; 3] {
    let run = ["loadtest", "--rate", "4s:60", "-o", "json", "--sku"];
    let with = |sku| [&run[..], &[sku]].concat();
    // Some pay after the end of their hold: then another order stands for theirs.
    let (same, brief) = (with("1"), [&with("2")[..], &["--pay", "0.5", "--cancel", "0.2"]].concat());
    tokio::join!(flashctl(env, &same), flashctl(env, &same), flashctl(env, &brief)).into()
}

fn verdict(said: &Said) -> Value {
    said.json()["verdict"].clone()
}

#[tokio::test]
async fn others_who_buy_meanwhile_break_no_promise_and_hide_no_oversell() {
    let site = Site::start().await;
    let sale = temporary("crowd.toml");
    let sku = |id, hold| {
        format!("[[sku]]\nid = {id}\nname = \"{id}\"\nprice = \"9.00\"\ncapacity = 5000\nhold_seconds = {hold}\n")
    };
    fs::write(&sale, sku(1, 300) + &sku(2, 2)).unwrap();
    let setup = flashctl(&site.env, &["setup", "--file", sale.to_str().unwrap(), "--yes"]).await;
    assert_eq!(setup.exit, 0, "{}", setup.stderr);
    fs::remove_file(&sale).unwrap();
    for said in crowd(&site.env).await {
        let verdict = verdict(&said);
        assert_ne!(verdict["outcome"], "broken", "{verdict}");
        // Whatever could not be judged is said, and is no success.
        assert_eq!(said.exit, i32::from(verdict["outcome"] != "clean"), "{verdict}");
        assert!(verdict["told"].as_u64().unwrap() > 0, "{verdict}");
    }

    // A thousand units that do not exist: all three runs buy on, and no crowd hides what Redis sells of them.
    assert_eq!(flashctl(&site.env, &["setup", "--sku", "3=20@49.00", "--yes"]).await.exit, 0);
    site.redis("HINCRBY {sku:3}:stock available 1000").await;
    let run = ["loadtest", "--rate", "3s:40", "--sku", "3", "-o", "json"];
    let (one, _, other) = tokio::join!(flashctl(&site.env, &run), crowd(&site.env), flashctl(&site.env, &run));
    for said in [one, other] {
        let verdict = verdict(&said);
        assert_eq!(said.exit, 3, "{verdict}");
        assert!(verdict["counts"]["OVERSOLD"].as_u64().unwrap() > 0, "{verdict}");
    }
    site.stop().await;
}

/// A way to MySQL that is open for so many connections, and then for none.
async fn narrow_way(to: String, connections: usize) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for _ in 0..connections {
            let (mut here, _) = listener.accept().await.unwrap();
            let mut there = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    port
}

#[tokio::test]
async fn a_store_that_falls_silent_takes_the_verdict_but_not_the_report() {
    let site = Site::start().await;
    assert_eq!(flashctl(&site.env, &["setup", "--sku", "1=50@49.00", "--yes"]).await.exit, 0);
    let mut env = site.env.clone();
    // Whether it answers and which version it is are asked before anything is bought.
    let port = narrow_way(format!("{}:{}", env["MYSQL_HOST"], env["MYSQL_PORT"]), 2).await;
    env.insert("MYSQL_PORT".to_owned(), port.to_string());
    let run = ["loadtest", "--rate", "1s:20", "--patience", "1s", "-o", "json"];
    let said = flashctl(&env, &run).await;
    assert_eq!(said.exit, 4, "{} {}", said.stdout, said.stderr);
    crate::reports::fits_the_schema(&said.json());
    let verdict = verdict(&said);
    assert_eq!((&verdict["outcome"], &verdict["told"]), (&"not_judged".into(), &20.into()), "{verdict}");
    assert_eq!((&verdict["counts"]["LOST"], &verdict["counts"]["DUPLICATE"]), (&Value::Null, &0.into()), "{verdict}");
    assert!(verdict["remarks"][0].as_str().unwrap().contains("MySQL"), "{verdict}");
    assert!(said.stderr.contains("could not be read"), "{}", said.stderr);
    site.stop().await;
}
