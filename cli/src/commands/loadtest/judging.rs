//! What a run is judged by: the flags for verdict, thresholds, baseline and reports.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use flash_loadgen::parse_duration_ms;

use super::threshold::Threshold;
use crate::{report::Failure, servers::ServerArgs, verdict::Places};

/// What names the stores. If none of them is set, nobody has said that there are any.
const NAMES_STORES: [&str; 4] = ["REDIS_URL", "KAFKA_BROKERS", "MYSQL_HOST", "MYSQL_PORT"];

/// What the verdict rests on.
#[derive(Debug, Clone)]
pub(crate) enum JudgeBy {
    /// No verdict.
    Nothing,
    /// What was told, for a server whose stores are out of reach.
    ToldAlone,
    /// Log, MySQL and Redis.
    Stores {
        /// Where they are.
        places: Box<Places>,
        /// They were named, so that it is an error if they do not answer. Otherwise what was told alone will do.
        named: bool,
    },
}

/// The flags that judge.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub(crate) struct JudgingArgs {
    /// Measure only: no verdict.
    #[arg(long)]
    no_verdict: bool,
    /// Judge by what buyers were told alone, for a server whose log, MySQL and Redis are out of reach. This happens by itself
    /// if nothing names them (environment or --config) and none answers at the usual places, or they know none of the orders.
    #[arg(long, conflicts_with = "no_verdict")]
    told_only: bool,
    /// How long the drain may stand still before what is missing counts as lost.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub(super) patience: Duration,
    #[command(flatten)]
    servers: ServerArgs,
    /// What must hold, as in 'win.p99<50ms'; repeat for several. Missed: exit code 3.
    #[arg(long = "threshold", value_name = "METRIC<VALUE")]
    pub(super) thresholds: Vec<Threshold>,
    /// List the metrics for --threshold, and do nothing.
    #[arg(long)]
    pub(super) list_thresholds: bool,
    #[command(flatten)]
    pub(super) baseline: BaselineArgs,
    #[command(flatten)]
    pub(super) files: FileArgs,
}

/// What to compare with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Baseline")]
pub(crate) struct BaselineArgs {
    /// Compare with the run in this file.
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Keep this run as a baseline.
    #[arg(long, value_name = "FILE")]
    pub(super) save_baseline: Option<PathBuf>,
    /// Exit code 3 if the run is worse than the baseline by more than this, and by more than noise.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, default_missing_value = "10", value_parser = percent)]
    #[arg(requires = "baseline")]
    pub(super) fail_on_regression: Option<f64>,
    /// Compare also with a baseline of another machine.
    #[arg(long, requires = "baseline")]
    pub(super) baseline_any_host: bool,
}

/// Where the report goes beside stdout.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(crate) struct FileArgs {
    /// Write the report as JSON to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write the report as one HTML page that needs no network.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Plain lines while it runs, also on a terminal.
    #[arg(long)]
    pub(super) plain: bool,
}

impl JudgingArgs {
    /// What the verdict rests on.
    pub(super) fn judge_by(&self) -> Result<JudgeBy, Failure> {
        if self.no_verdict {
            return Ok(JudgeBy::Nothing);
        }
        if self.told_only {
            return Ok(JudgeBy::ToldAlone);
        }
        let named = self.servers.is_named() || NAMES_STORES.iter().any(|name| std::env::var_os(name).is_some());
        Ok(JudgeBy::Stores { places: Box::new(Places::of(&self.servers.config()?)), named })
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    percent.filter(|percent| percent.is_finite() && *percent >= 0.0).ok_or_else(|| "a percentage, as in 10".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).ok_or("a duration needs a unit, as in 500ms, 30s, 5m or 1h")?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_bound_that_nothing_can_cross_is_refused() {
        assert_eq!((percent("10"), percent("12.5%")), (Ok(10.0), Ok(12.5)));
        assert!(["NaN", "-1", "inf", "ten", ""].iter().all(|bad| percent(bad).is_err()));
    }
}
