//! An operator at a terminal: the shipped `flashctl`, as a child process without a terminal.

use crate::daemon::binary;
use crate::site::Site;
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

/// What a command came to.
#[derive(Debug)]
pub struct Answered {
    /// Exit code.
    pub exit: i32,
    /// The answer.
    pub stdout: String,
    /// The talk.
    pub stderr: String,
}

impl Answered {
    /// The answer of `-o json`.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Site {
    /// Runs `flashctl` on this site.
    ///
    /// # Panics
    /// If it cannot be started or does not end by itself.
    pub async fn flashctl(&self, args: &[&str]) -> Answered {
        let mut command = Command::new(binary("flashctl"));
        command.env_clear().envs(&self.env).args(args).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let exit = output.status.code().expect("it exits by itself");
        Answered { exit, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
