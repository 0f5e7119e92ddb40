//! `flashctl` as a child process: what an operator runs, and where it may be told to die.

use crate::daemon::shipped;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::process::Command;

/// The exit code, as a shell tells it, of a process that was killed with SIGKILL.
pub const KILLED: i32 = 128 + 9;

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; [`KILLED`] if it died of SIGKILL.
    pub exit: i32,
    /// The answer.
    pub stdout: String,
    /// The talk.
    pub stderr: String,
}

impl Ran {
    /// The answer to `-o json`.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it died at this crash point, and nowhere else.
    ///
    /// # Panics
    /// If it did not.
    pub fn died_at(&self, point: &str) {
        let there = self.stderr.lines().any(|line| line == format!("crash point {point}"));
        assert!(self.exit == KILLED && there, "it has not died at {point}: {self:?}");
    }
}

pub(crate) async fn run(env: &BTreeMap<String, String>, args: &[&str], crash_at: Option<&str>) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    let mut command = Command::new(shipped("flashctl"));
    command.env_clear().envs(env).env("USER", "ann").args(args).stdin(Stdio::null()).kill_on_drop(true);
    // An audit has to know how long daemons may take to record: those of `AUDITED` take no longer.
    command.env("FLASH_KAFKA_MESSAGE_TIMEOUT", "5s");
    command.envs(crash_at.map(|point| ("FLASHD_CRASH_AT", point)));
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let exit = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
    Ran { exit, stdout: text(output.stdout), stderr: text(output.stderr) }
}
