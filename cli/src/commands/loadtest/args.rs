//! The flags of `flashctl loadtest`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use flash_loadgen::{Plan, SkuShare, Stage, parse_count, parse_duration_ms};
use flash_stores::mysql::MySqlSettings;

use super::LoadtestOptions;

const EXAMPLES: &str = "\
Examples:
  flashctl loadtest                                  30 s with 200 buyers, everything that is on sale
  flashctl loadtest --stage 10s:100 --stage 30s:1000 --stage 10s:100
  flashctl loadtest --stage 2m:1000 --until-sold-out 10s
  flashctl loadtest --sku 1=5 --sku 2 --quantity 2   SKU 1 five times as often as SKU 2
  flashctl loadtest -o json --report run.json";

/// Let virtual buyers buy, and check that every answer was true.
///
/// Every buyer keeps one connection and asks again as soon as it is answered (a closed loop: stalls of the server
/// show in few samples only). Users and keys are new in every run. At the end the projector is waited for, and what
/// buyers were told is compared with MySQL. Exit code 3: oversold, lost, duplicate or contradicted orders.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct LoadtestArgs {
    /// Base URL of the API.
    #[arg(long, env = "FLASH_API_URL", default_value = "http://127.0.0.1:3000", value_name = "URL")]
    target: String,
    /// A stage of the run; repeat for several. Between stages buyers join or leave within half a second.
    #[arg(long = "stage", value_name = "DURATION:BUYERS", default_value = "30s:200")]
    stages: Vec<Stage>,
    /// What to buy, and how often in proportion; repeat for several. [default: everything on sale, in turn]
    #[arg(long = "sku", value_name = "ID[=WEIGHT]")]
    skus: Vec<SkuShare>,
    /// Units per purchase.
    #[arg(long, default_value_t = 1, value_name = "N")]
    quantity: u8,
    /// Share of purchases that are sent once more with the same key, 0 to 1.
    #[arg(long, default_value_t = 0.05, value_name = "SHARE")]
    retry_share: f64,
    /// End when everything has been sold out for this long; the stages are then the upper bound.
    #[arg(long, value_name = "GRACE", num_args = 0..=1, default_missing_value = "5s", value_parser = milliseconds)]
    until_sold_out: Option<u64>,
    /// Load threads; more than one helps only where there are more cores than the server needs.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// Repeat the users, keys and choices of a run (against a fresh system). [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Upper bound of requests, such as 500k or 10M.
    #[arg(long, value_name = "COUNT", value_parser = count, default_value = "200M")]
    max_requests: u64,
    /// A request without an answer for this long counts as unanswered.
    #[arg(long, value_name = "DURATION", value_parser = milliseconds, default_value = "10s")]
    timeout: u64,
    /// Load a machine other than this one; must be the host of the target.
    #[arg(long, value_name = "HOST")]
    allow_remote: Option<String>,
    /// Do not look into MySQL: measure only.
    #[arg(long)]
    no_verdict: bool,
    /// How long MySQL may stand still before a missing order counts as lost.
    #[arg(long, value_name = "DURATION", value_parser = milliseconds, default_value = "60s")]
    patience: u64,
    /// Write the report as JSON to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    mysql: MySqlArgs,
}

/// Where the orders are.
#[derive(Debug, Args)]
#[command(next_help_heading = "MySQL")]
struct MySqlArgs {
    /// Host.
    #[arg(long, env = "MYSQL_HOST", default_value = "127.0.0.1", value_name = "HOST")]
    mysql_host: String,
    /// Port.
    #[arg(long, env = "MYSQL_PORT", default_value_t = 3306, value_name = "PORT")]
    mysql_port: u16,
    /// User.
    #[arg(long, env = "MYSQL_USER", default_value = "flashuser", value_name = "USER")]
    mysql_user: String,
    /// Password; better in the environment than here.
    #[arg(long, env = "MYSQL_PASSWORD", default_value = "", hide_env_values = true, value_name = "PASSWORD")]
    mysql_password: String,
    /// Database.
    #[arg(long, env = "MYSQL_DATABASE", default_value = "flash_sale", value_name = "NAME")]
    mysql_database: String,
}

impl LoadtestArgs {
    /// What the engine and the judge need.
    pub(super) fn into_options(self) -> LoadtestOptions {
        let mysql = MySqlSettings {
            host: self.mysql.mysql_host,
            port: self.mysql.mysql_port,
            user: self.mysql.mysql_user,
            password: self.mysql.mysql_password,
            database: self.mysql.mysql_database,
            ..MySqlSettings::default()
        };
        let plan = Plan {
            target: self.target,
            allow_remote: self.allow_remote,
            stages: self.stages,
            skus: self.skus,
            quantity: self.quantity,
            retry_share: self.retry_share,
            sold_out_grace_ms: self.until_sold_out,
            threads: self.threads,
            seed: self.seed,
            max_requests: self.max_requests,
            request_timeout_ms: self.timeout,
            ..Plan::default()
        };
        LoadtestOptions {
            plan,
            judge_by: (!self.no_verdict).then_some(mysql),
            patience: Duration::from_millis(self.patience),
        }
    }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    parse_duration_ms(text).ok_or_else(|| "a duration needs a unit, as in 500ms, 30s, 5m or 1h".to_owned())
}

fn count(text: &str) -> Result<u64, String> {
    parse_count(text).ok_or_else(|| "a count is a number such as 500, 10k or 2M".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: LoadtestArgs,
    }

    fn options(line: &[&str]) -> LoadtestOptions {
        let words = ["loadtest"].iter().chain(line);
        Only::try_parse_from(words).map(|only| only.args.into_options()).unwrap()
    }

    #[test]
    fn the_default_is_bounded_and_judged() {
        let options = options(&["--sku", "1"]);
        options.plan.check().unwrap();
        assert_eq!(options.plan.duration_ms(), 30_000);
        assert!(options.judge_by.is_some() && options.plan.sold_out_grace_ms.is_none());
    }

    #[test]
    fn stages_and_skus_repeat() {
        let options =
            options(&["--stage", "1s:5", "--stage", "500ms:1k", "--sku", "1=3", "--sku", "2", "--until-sold-out"]);
        assert_eq!(options.plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1s:5", "500ms:1000"]);
        assert_eq!(options.plan.skus.iter().map(|sku| (sku.sku_id, sku.weight)).collect::<Vec<_>>(), [(1, 3), (2, 1)]);
        assert_eq!(options.plan.sold_out_grace_ms, Some(5_000));
    }

    #[test]
    fn a_stage_without_a_unit_is_refused() {
        assert!(Only::try_parse_from(["loadtest", "--stage", "30:5"]).is_err());
        assert!(Only::try_parse_from(["loadtest", "--timeout", "10"]).is_err());
    }
}
