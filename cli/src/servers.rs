//! Where the servers are: from the same environment variables and configuration file as for flashd.

use std::path::PathBuf;

use clap::Args;
use flash_core::settings::Settings;
use flashd::{config::Config, rebuild::RebuildOptions};

use crate::{exit::Exit, report::Failure};

/// What to do when a server cannot be reached.
pub(crate) const UNREACHABLE_HINT: &str = "flashctl up starts servers; REDIS_URL, KAFKA_BROKERS and MYSQL_HOST name others; flashctl setup makes topics and tables";

/// The flag that names the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// Configuration file of flashd.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ServerArgs {
    /// Whether a configuration file was given.
    pub(crate) fn is_named(&self) -> bool {
        self.config.is_some()
    }

    /// Reads and checks the settings.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
        let read = |path: &PathBuf| {
            let unreadable = |error| anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
            std::fs::read_to_string(path).map_err(|error| usage(unreadable(error)))
        };
        let file = self.config.as_ref().map(read).transpose()?;
        let settings = Settings::layer(|_| None, |name| std::env::var(name).ok(), file.as_deref());
        settings.and_then(|settings| Config::read(&settings)).map_err(|error| usage(error.into()))
    }

    /// The log, the view, the gate and the lease, as flashd would read them.
    pub(crate) fn parts(&self) -> Result<RebuildOptions, Failure> {
        Ok(self.config()?.rebuild_options())
    }
}

/// A server that does not serve, and what may help.
pub(crate) fn unreachable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Unreachable, error).hint(UNREACHABLE_HINT)
}
