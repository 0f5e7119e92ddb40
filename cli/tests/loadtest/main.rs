//! `flashctl loadtest` as an operator meets it: the shipped binary against a shop that lies, and against the real thing.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod bounds;
mod crowded;
mod lies;
mod page;
mod real;
mod reports;
mod schema;
mod shop;
mod terminal;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use shop::{Shop, Trick};
use tokio::process::Command;

/// What a command came to.
struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

type Env = BTreeMap<String, String>;

/// Runs flashctl with this environment, without a terminal.
async fn flashctl(env: &Env, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().envs(env).args(args).stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { exit: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A shop with this trick, and where it is. Ports on which nobody listens stand for the stores.
async fn shop(trick: Trick) -> Env {
    [("FLASH_API_URL".to_owned(), Shop::open(20, trick).await)].into()
}

/// A run that buys until nothing is left.
const RUN: [&str; 8] =
    ["loadtest", "--stage", "1500ms:8", "--until-sold-out", "300ms", "--max-requests", "20k", "--told-only"];

fn run_with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().chain(more).copied().collect()
}

fn temporary(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    dir.join(format!("{}-{name}", std::process::id()))
}
