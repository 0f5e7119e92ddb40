//! Where the servers are: the same environment variables and configuration file as for flashd.

use std::path::PathBuf;

use clap::Args;
use flash_core::settings::Settings;
use flashd::{config::Config, rebuild::RebuildOptions};

use crate::{exit::Exit, report::Failure};

/// What to do when a server cannot be reached.
pub(crate) const UNREACHABLE_HINT: &str =
    "flashctl up starts servers; REDIS_URL, KAFKA_BROKERS and MYSQL_HOST name others";

/// The flag that names the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// Configuration file of flashd.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ServerArgs {
    /// The log, the view, the gate and the lease, as flashd would read them.
    pub(crate) fn parts(&self) -> Result<RebuildOptions, Failure> {
        let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
        let file = self.config.as_ref().map(|path| {
            std::fs::read_to_string(path)
                .map_err(|error| usage(anyhow::Error::new(error).context(format!("cannot read {}", path.display()))))
        });
        let settings = Settings::layer(|_| None, |name| std::env::var(name).ok(), file.transpose()?.as_deref());
        let config = settings.and_then(|settings| Config::read(&settings)).map_err(|error| usage(error.into()))?;
        Ok(RebuildOptions { kafka: config.kafka, mysql: config.mysql, redis: config.redis, lease: config.epoch_lease })
    }
}
