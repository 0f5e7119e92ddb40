//! A real sale, judged by the real stores.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::reports::fits_the_schema;
use crate::{Env, flashctl};

/// A whole site of its own, and where it is.
pub(crate) struct Site {
    up: tokio::process::Child,
    pub(crate) env: Env,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
        command.args(["up", "-o", "json", "--port", "0"]).stdin(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let mut up = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut line = String::new();
        tokio::io::BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { up, env: serde_json::from_value(ready["env"].clone()).unwrap() }
    }

    /// One command to Redis, past everything that is ours.
    pub(crate) async fn redis(&self, command: &str) {
        let address = self.env["REDIS_URL"].strip_prefix("redis://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await.unwrap();
        assert_eq!(answer[0], b':', "{command}: {}", String::from_utf8_lossy(&answer[..length]));
    }

    pub(crate) async fn stop(mut self) {
        let id = rustix::process::Pid::from_raw(self.up.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.up.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_real_sale_is_judged_by_log_mysql_and_redis() {
    let mut site = Site::start().await;
    // A list, as everywhere.
    let admin = site.env["FLASH_ADMIN_URL"].clone();
    site.env.insert("FLASH_ADMIN_URL".to_owned(), format!("{admin}, {admin}"));
    let setup = flashctl(&site.env, &["setup", "--sku", "1=150@49.00", "--yes"]).await;
    assert_eq!(setup.exit, 0, "{}", setup.stderr);
    let run = ["loadtest", "--rate", "3s:100", "--pay", "0.3", "--cancel", "0.2", "-o", "json"];
    let honest = flashctl(&site.env, &run).await;
    assert_eq!(honest.exit, 0, "{} {}", honest.stdout, honest.stderr);
    let report = honest.json();
    fits_the_schema(&report);
    let verdict = &report["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["basis"]), (&"clean".into(), &"witnessed".into()), "{verdict}");
    assert_eq!(verdict["judged"].as_array().unwrap().len(), 8, "everything was judged: {verdict}");
    assert!(verdict["told"].as_u64().unwrap() >= 150, "{verdict}");
    assert_eq!((&verdict["in_log"], &verdict["in_mysql"]), (&verdict["told"], &verdict["told"]), "{verdict}");
    let servers = &report["run"]["host"]["servers"];
    assert_eq!(servers["broker"], "tansu", "{servers}");
    assert!(servers["redis"].is_string() && servers["mysql"].is_string() && servers["flashd"].is_string(), "{servers}");

    // A unit vanishes from Redis: nobody can buy it, and nobody has it.
    site.redis("HINCRBY {sku:1}:stock available -1").await;
    // Nor does anything name the daemon now: MySQL lists it.
    site.env.remove("FLASH_ADMIN_URL");
    let stuck = flashctl(&site.env, &["loadtest", "--rate", "1s:20", "-o", "json"]).await;
    assert_eq!(stuck.exit, 3, "{} {}", stuck.stdout, stuck.stderr);
    let servers = &stuck.json()["run"]["host"]["servers"];
    assert!(servers["flashd"].is_string(), "{servers}");
    let counts = &stuck.json()["verdict"]["counts"];
    assert!(counts["STUCK"].as_u64().unwrap() > 0 && counts["LOST"] == 0, "{counts}");
    site.stop().await;
}
