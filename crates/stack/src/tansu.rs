//! Tansu: a Kafka-protocol broker in one binary, ready in some 30 ms; the default for demos and tests.
//!
//! Traps, all measured (state the broker with every figure):
//! - record headers make fetches from SQLite storage crawl (20,000 records with one header: 10 s instead of
//!   0.9 s), so everything belongs into the payload;
//! - `fetch.wait.max.ms` above 50 slows consumers down;
//! - librdkafka 2.0 (Debian's kcat) cannot talk to it, 2.12 and later can;
//! - the first produce after a start takes 0.4–0.9 s (producer id, metadata): warm up before becoming ready;
//! - in memory, a restart forgets every topic.

use std::{path::PathBuf, time::Duration};

use crate::{ProcessSpec, StackError, probe::Probe, program, server::Recipe};

/// Where the records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Memory,
    Sqlite,
}

pub(crate) struct TansuRecipe {
    pub(crate) dir: PathBuf,
    pub(crate) storage: Storage,
    /// What clients are told, if not where it listens.
    pub(crate) advertised: Option<String>,
}

impl Recipe for TansuRecipe {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn prepare(&self, ports: &[u16]) -> Result<ProcessSpec, StackError> {
        let program = program::TANSU.find()?;
        let dir = std::path::absolute(&self.dir).map_err(StackError::io("resolving the data directory"))?;
        let storage = match self.storage {
            Storage::Memory => "memory://tansu/".to_owned(),
            // Tansu takes the path of this URL as relative to where it stands, even an absolute one.
            Storage::Sqlite => "sqlite:///tansu.db".to_owned(),
        };
        let url = format!("tcp://127.0.0.1:{}", ports[0]);
        let advertised = self.advertised.as_ref().map_or_else(|| url.clone(), |address| format!("tcp://{address}"));
        let mut spec = ProcessSpec::new(self.name(), program)
            .args(["broker", "--storage-engine", &storage, "--listener-url", &url])
            .args(["--advertised-listener-url", &advertised])
            // Our own log filter is not meant for the broker.
            .env("RUST_LOG", "warn")
            .env("NO_COLOR", "1");
        // It reads a `.env` file from where it stands; there is none in its own directory.
        spec.dir = Some(dir);
        Ok(spec)
    }

    fn probe(&self) -> Probe {
        Probe::Kafka
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn url(&self, address: &str) -> String {
        address.to_owned()
    }

    fn keeps_data(&self) -> bool {
        self.storage == Storage::Sqlite
    }
}
