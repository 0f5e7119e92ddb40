//! `flashd` as a child process: the very binary that is shipped, started, watched, frozen, stopped and killed.

use crate::wire::{self, Answer};
use crate::{PATIENCE, eventually};
use flash_core::stats::{Api, Stats, Worker};
use flash_stack::{Exit, Process, ProcessSpec, free_port};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A running `flashd`.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    /// `host:port` of the purchase API.
    pub api: String,
    /// `host:port` of the admin listener.
    pub admin: String,
    env: BTreeMap<String, String>,
    binary: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it listens; being ready is another question.
    pub(crate) async fn start(binary: PathBuf, mut env: BTreeMap<String, String>) -> Self {
        // Between finding a free port and binding it another process may take it.
        for _ in 0..5 {
            let (api, admin) = (free_port().unwrap(), free_port().unwrap());
            env.insert("PORT".to_owned(), api.to_string());
            env.insert("FLASH_ADMIN_PORT".to_owned(), admin.to_string());
            if let Some(daemon) = Self::launch(&binary, &env).await {
                return daemon;
            }
        }
        panic!("flashd found no free port five times");
    }

    /// `None` if a port was taken.
    async fn launch(binary: &Path, env: &BTreeMap<String, String>) -> Option<Self> {
        let mut spec = ProcessSpec::new("flashd", binary);
        for (name, value) in env {
            spec = spec.env(name, value);
        }
        // Longer than its own phases of stopping may take.
        spec.grace = Duration::from_secs(40);
        let process = Process::spawn(spec).unwrap();
        let address = |name: &str| format!("127.0.0.1:{}", env[name]);
        let daemon = Self {
            process,
            api: address("PORT"),
            admin: address("FLASH_ADMIN_PORT"),
            env: env.clone(),
            binary: binary.to_owned(),
        };
        let started = Instant::now();
        loop {
            // The port may be answered by somebody else; only our own log says that it is ours.
            if daemon.process.last_lines().iter().any(|line| line.contains("listening")) {
                return Some(daemon);
            }
            if daemon.process.exit().is_some() {
                let lines = daemon.process.last_lines();
                assert!(lines.iter().any(|line| line.contains("cannot listen")), "flashd ended: {lines:#?}");
                return None;
            }
            assert!(started.elapsed() < PATIENCE, "flashd does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until `GET /readyz` says yes.
    pub async fn ready(&self) {
        eventually("flashd to be ready", || async {
            matches!(self.admin("/readyz").await, Some(Answer { status: 200, .. }))
        })
        .await;
    }

    /// Asks the admin listener; `None` if it gives no answer.
    pub async fn admin(&self, path: &str) -> Option<Answer> {
        let ask = async {
            let mut connection = wire::Connection::open(&self.admin).await.ok()?;
            connection.get(path).await.ok()
        };
        tokio::time::timeout(Duration::from_secs(3), ask).await.ok().flatten()
    }

    /// The document behind `/stats`.
    ///
    /// # Panics
    /// If there is none, or it is another one.
    pub async fn stats(&self) -> Stats {
        let body = self.admin("/stats").await.expect("/stats answers").body;
        let stats: Stats =
            serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
        assert_eq!(stats.version, flash_core::stats::VERSION);
        stats
    }

    /// What it tells of selling.
    ///
    /// # Panics
    /// If it sells nothing.
    pub async fn api_stats(&self) -> Api {
        self.stats().await.api.expect("it sells")
    }

    /// What it tells of working.
    ///
    /// # Panics
    /// If it does no work.
    pub async fn worker_stats(&self) -> Worker {
        self.stats().await.worker.expect("it works")
    }

    /// SIGKILL, waiting for the end.
    pub async fn kill9(&self) {
        self.process.kill9();
        self.process.ended().await;
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Waits for the end.
    pub async fn ended(&self) -> Exit {
        self.process.ended().await
    }

    /// Waits until it has died at this crash point, and nowhere else.
    ///
    /// # Panics
    /// If it lives on for [`PATIENCE`], or died otherwise.
    pub async fn died_at(&self, point: &str) {
        let exit = tokio::time::timeout(PATIENCE, self.ended()).await;
        let exit = exit.unwrap_or_else(|_| panic!("it never came to {point}"));
        assert_eq!(exit.code, crate::operator::KILLED, "at {point}: {:?}", self.last_lines());
        // Its last words may still be on their way through the pipe.
        let name = point.split(':').next().unwrap();
        let words = format!("crash point {name}");
        eventually(&words, || async { self.last_lines().iter().any(|line| line.contains(&words)) }).await;
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.process.exit().is_none()
    }

    /// Starts it again on the same ports with the same settings, after it has ended.
    pub async fn restart(self) -> Self {
        let (binary, env) = (self.binary.clone(), self.env.clone());
        assert!(!self.runs(), "only an ended daemon is restarted");
        drop(self);
        let started = Instant::now();
        loop {
            if let Some(daemon) = Self::launch(&binary, &env).await {
                return daemon;
            }
            assert!(started.elapsed() < PATIENCE, "flashd does not get its ports back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of its log.
    pub fn last_lines(&self) -> Vec<String> {
        self.process.last_lines()
    }
}

/// A failing test shows what the daemon had to say.
impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("last lines of the flashd at {}:\n{}", self.api, self.process.last_lines().join("\n"));
        }
        self.process.kill9();
    }
}

/// The binary next to the test's own: `target/PROFILE/deps/test-…` and `target/PROFILE/flashd`.
pub(crate) fn binary() -> PathBuf {
    shipped("flashd")
}

/// A binary of this workspace, built with the profile of the tests.
pub(crate) fn shipped(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    let binary = profile.join(name);
    assert!(
        binary.is_file(),
        "{} is not built; run `make test`, or build it first with the same profile and features: cargo build --bins",
        binary.display()
    );
    binary
}
