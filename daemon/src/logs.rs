//! What is logged, and changing it while the process runs.

use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Longest filter, in bytes.
pub const FILTER_MAX_BYTES: usize = 500;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

type Apply = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

/// The filter of this process' log; cheap to clone.
#[derive(Clone)]
pub struct LogFilter {
    text: Arc<Mutex<String>>,
    apply: Arc<Apply>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Levels, for all or by module.
    pub filter: String,
    /// How it is written.
    pub format: LogFormat,
}

/// What a filter has to be.
pub(crate) const FILTER_RULE: &str =
    "must be a level (off, error, warn, info, debug or trace) or MODULE=LEVEL, several separated by commas";

/// Starts logging to stderr.
///
/// # Errors
/// If the filter cannot be read.
pub fn start(config: &LogConfig) -> anyhow::Result<LogFilter> {
    let parsed = read(&config.filter).map_err(|why| anyhow::anyhow!("log.filter {why}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    let apply: Arc<Apply> = match config.format {
        LogFormat::Json => {
            let logs = logs.json().with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let logs = logs.with_ansi(ansi).with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
    };
    Ok(LogFilter { text: Arc::new(Mutex::new(config.filter.clone())), apply })
}

impl LogFilter {
    /// The filter as it was given.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs by another filter from now on, and returns the one before.
    ///
    /// # Errors
    /// Why it cannot be read. The old one stays then.
    pub(crate) fn set(&self, filter: &str) -> Result<String, String> {
        let parsed = read(filter)?;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        (self.apply)(parsed)?;
        Ok(std::mem::replace(&mut text, filter.to_owned()))
    }
}

/// Reads a filter more strictly than the library does, which takes a misspelled level for the name of a module and then logs
/// nothing but that module.
pub(crate) fn read(filter: &str) -> Result<EnvFilter, String> {
    if filter.is_empty() || filter.len() > FILTER_MAX_BYTES {
        return Err(format!("must have 1 to {FILTER_MAX_BYTES} characters, like info or info,flashd=debug"));
    }
    for part in filter.split(',').map(str::trim) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level.trim());
        if !LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)) {
            return Err(format!(
                "`{part}` must be a level or MODULE=LEVEL; levels are off, error, warn, info, debug and trace"
            ));
        }
    }
    EnvFilter::try_new(filter).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_or_modules_with_levels() {
        for good in ["info", "off", "WARN", "info,flashd=debug", "flashd::lane=trace, info"] {
            assert!(read(good).is_ok(), "{good}");
        }
        let long = "x=info,".repeat(100);
        for bad in ["", "debgu", "info,", "flashd=loud", "flashd", "3", "flashd=", "=", "[", &long] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
