//! The flags of `flashctl loadtest`.

use clap::Args;
use flash_loadgen::{Plan, SkuShare, Stage, parse_count, parse_duration_ms};

use super::judging::JudgingArgs;

const EXAMPLES: &str = "\
Examples:
  flashctl loadtest                                  30 s with 200 buyers, everything that is on sale
  flashctl loadtest --stage 10s:100 --stage 30s:1000 --stage 10s:100
  flashctl loadtest --stage 2m:1000 --until-sold-out 10s
  flashctl loadtest --sku 1=5 --sku 2 --quantity 2   SKU 1 five times as often as SKU 2
  flashctl loadtest --threshold 'win.p99<50ms' --threshold 'share.errors<=0.1%'
  flashctl loadtest --save-baseline before.json      and later: --baseline before.json --fail-on-regression
  flashctl loadtest -o json --report run.json --html run.html";

/// Let virtual buyers buy, and check that every answer was true.
///
/// Every buyer keeps one connection and asks again as soon as it is answered (a closed loop: stalls of the server
/// show in few samples only). Users and keys are new in every run. At the end the drain is waited for, and what
/// buyers were told is compared with log, MySQL and Redis. Exit code 3: a broken promise, a missed threshold or a regression.
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
    #[command(flatten)]
    pub(super) judging: JudgingArgs,
}

impl LoadtestArgs {
    /// What the engine needs.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            target: self.target.clone(),
            allow_remote: self.allow_remote.clone(),
            stages: self.stages.clone(),
            skus: self.skus.clone(),
            quantity: self.quantity,
            retry_share: self.retry_share,
            sold_out_grace_ms: self.until_sold_out,
            threads: self.threads,
            seed: self.seed,
            max_requests: self.max_requests,
            request_timeout_ms: self.timeout,
            ..Plan::default()
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

    fn plan(line: &[&str]) -> Plan {
        let words = ["loadtest"].iter().chain(line);
        Only::try_parse_from(words).map(|only| only.args.plan()).unwrap()
    }

    #[test]
    fn the_default_is_bounded() {
        let plan = plan(&["--sku", "1"]);
        plan.check().unwrap();
        assert_eq!(plan.duration_ms(), 30_000);
        assert!(plan.sold_out_grace_ms.is_none());
    }

    #[test]
    fn stages_and_skus_repeat() {
        let plan = plan(&["--stage", "1s:5", "--stage", "500ms:1k", "--sku", "1=3", "--sku", "2", "--until-sold-out"]);
        assert_eq!(plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1s:5", "500ms:1000"]);
        assert_eq!(plan.skus.iter().map(|sku| (sku.sku_id, sku.weight)).collect::<Vec<_>>(), [(1, 3), (2, 1)]);
        assert_eq!(plan.sold_out_grace_ms, Some(5_000));
    }

    #[test]
    fn a_stage_without_a_unit_is_refused() {
        assert!(Only::try_parse_from(["loadtest", "--stage", "30:5"]).is_err());
        assert!(Only::try_parse_from(["loadtest", "--timeout", "10"]).is_err());
    }
}
