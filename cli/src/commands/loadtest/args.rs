//! The flags of `flashctl loadtest`.

use clap::Args;
use flash_loadgen::{Plan, SkuShare};

use super::{
    judging::JudgingArgs,
    pace::{HabitArgs, PaceArgs, count, milliseconds},
};
use crate::report::Failure;

const EXAMPLES: &str = "\
Examples:
  flashctl loadtest                                  the canonical scenario with everything that is on sale
  flashctl loadtest spike --size-scale 0.5           5,000 buyers in the same instant
  flashctl loadtest heavy --time-scale 0.1           the seed's heavy load in a tenth of its time
  flashctl loadtest --rate 5k --poisson --duration 1m --pay 0.6 --cancel 0.1
  flashctl loadtest --rate 10s:0..5k --rate 20s:5k   a ramp, then a constant rate
  flashctl loadtest --users 500 --think 0.5s..1.5s   a closed loop like k6's, for comparison
  flashctl loadtest --stage 2m:1000 --until-sold-out 10s
  flashctl loadtest --sku 1=5 --sku 2 --quantity 2   SKU 1 five times as often as SKU 2
  flashctl loadtest --threshold 'win.p99<50ms' --threshold 'share.errors<=0.1%'
  flashctl loadtest --save-baseline before.json      and later: --baseline before.json --fail-on-regression
  flashctl loadtest -o json --report run.json --html run.html";

/// Let virtual buyers buy, and check that every answer was true.
///
/// Buyers come by a schedule, however slow the server is (an open loop), and latency counts from the moment a buyer meant to
/// come; a generator that falls behind says so and the run is invalid. A closed loop is there for comparison: its users wait
/// for their answers, so stalls of the server show in few samples only. Users and keys are new in every run. At the end the
/// drain is waited for, and what buyers were told is compared with log, MySQL and Redis. Exit code 3: a broken promise, a missed
/// threshold or a regression.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct LoadtestArgs {
    /// Base URL of the API.
    #[arg(long, env = "FLASH_API_URL", default_value = "http://127.0.0.1:3000", value_name = "URL")]
    target: String,
    /// What to buy, and how often in proportion; repeat for several. [default: everything on sale, in turn]
    #[arg(long = "sku", value_name = "ID[=WEIGHT]")]
    skus: Vec<SkuShare>,
    /// Units per purchase. [default: 1, or the scenario's]
    #[arg(long, value_name = "N")]
    quantity: Option<u8>,
    /// End when everything has been sold out for this long; the plan is then the upper bound.
    #[arg(long, value_name = "GRACE", num_args = 0..=1, default_missing_value = "5s", value_parser = milliseconds)]
    until_sold_out: Option<u64>,
    /// Load threads; more than one helps only where there are more cores than the server needs.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// Repeat the users, keys, times and choices of a run (against a fresh system). [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Upper bound of requests, such as 500k or 10M.
    #[arg(long, value_name = "COUNT", value_parser = count, default_value = "200M")]
    max_requests: u64,
    /// A request without an answer for this long counts as unanswered. [default: 10s, or the scenario's]
    #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
    timeout: Option<u64>,
    /// Load a machine other than this one; must be the host of the target.
    #[arg(long, value_name = "HOST")]
    allow_remote: Option<String>,
    #[command(flatten)]
    pub(super) pace: PaceArgs,
    #[command(flatten)]
    habits: HabitArgs,
    #[command(flatten)]
    pub(super) judging: JudgingArgs,
}

impl LoadtestArgs {
    /// What the engine needs.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let mut plan = self.pace.plan()?;
        self.habits.apply(&mut plan);
        Ok(Plan {
            target: self.target.clone(),
            allow_remote: self.allow_remote.clone(),
            skus: self.skus.clone(),
            quantity: self.quantity.unwrap_or(plan.quantity),
            sold_out_grace_ms: self.until_sold_out.or(plan.sold_out_grace_ms),
            threads: self.threads,
            seed: self.seed,
            max_requests: self.max_requests,
            request_timeout_ms: self.timeout.unwrap_or(plan.request_timeout_ms),
            ..plan
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use flash_loadgen::{Pacing, Schedule};

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: LoadtestArgs,
    }

    fn parse(line: &[&str]) -> Result<Plan, String> {
        let words = ["loadtest"].iter().chain(line);
        let only = Only::try_parse_from(words).map_err(|error| error.to_string())?;
        let plan = only.args.plan().map_err(|failure| format!("{failure:?}"))?;
        let skus = if plan.skus.is_empty() { vec!["1".parse().unwrap()] } else { plan.skus.clone() };
        Plan { skus, ..plan.clone() }.check().map_err(|error| error.to_string())?;
        Ok(plan)
    }

    fn schedule(line: &[&str]) -> String {
        parse(line).unwrap().open.unwrap().schedule.words()
    }

    #[test]
    fn nothing_said_is_the_canonical_scenario() {
        let plan = parse(&[]).unwrap();
        assert_eq!((plan.scenario.as_str(), plan.pacing()), ("canonical", Pacing::Open));
        assert!(plan.sold_out_grace_ms.is_none() && plan.buyers.pay_share > 0.0);
    }

    #[test]
    fn a_rate_is_an_open_loop_in_phases() {
        assert_eq!(schedule(&["--rate", "5k"]), "5000/s for 30 s");
        assert_eq!(schedule(&["--rate", "5k", "--poisson", "--duration", "1m"]), "5000/s for 1 min; Poisson");
        let ramp = ["--rate", "10s:0..2.5k", "--rate", "20s:2500", "--at-once", "7"];
        assert_eq!(schedule(&ramp), "7 at once, 0/s to 2500/s within 10 s, then 2500/s for 20 s");
        assert_eq!(schedule(&["--at-once", "1k"]), "1000 at once, nobody else for 10 s");
        assert_eq!(schedule(&["--rate", "100", "--time-scale", "0.1", "--size-scale", "2"]), "200/s for 3 s");
        assert_eq!(parse(&["--rate", "5", "--connections", "9"]).unwrap().open.unwrap().connections, 9);
    }

    #[test]
    fn users_and_stages_are_a_closed_loop() {
        let plan = parse(&["--users", "1k", "--think", "0.5s..1.5s", "--duration", "5s"]).unwrap();
        assert_eq!((plan.pacing(), plan.think_ms, plan.duration_ms()), (Pacing::Closed, (500, 1_500), 5_000));
        let line = ["--stage", "1s:5", "--stage", "500ms:1k", "--sku", "1=3", "--sku", "2", "--until-sold-out"];
        let plan = parse(&line).unwrap();
        assert_eq!(plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1s:5", "500ms:1000"]);
        assert_eq!(plan.skus.iter().map(|sku| (sku.sku_id, sku.weight)).collect::<Vec<_>>(), [(1, 3), (2, 1)]);
        assert_eq!(plan.sold_out_grace_ms, Some(5_000));
    }

    #[test]
    fn a_scenario_is_the_beginning_and_flags_refine_it() {
        let plan =
            parse(&["heavy", "--time-scale", "0.1", "--think", "0s", "--timeout", "3s", "--pay", "0.4"]).unwrap();
        assert_eq!((plan.scenario.as_str(), plan.duration_ms(), plan.think_ms), ("heavy", 54_000, (0, 0)));
        assert_eq!((plan.request_timeout_ms, plan.retry_share), (3_000, 0.0));
        assert!((plan.buyers.pay_share - 0.4).abs() < 1e-9);
        let plan =
            parse(&["spike", "--bots", "0.5", "--retry-share", "1", "--zipf", "1.1", "--quantity", "3"]).unwrap();
        assert_eq!((plan.quantity, plan.zipf, plan.retry_share), (3, Some(1.1), 1.0));
    }

    #[test]
    fn files_bring_scenarios_and_traces() {
        let dir = std::env::temp_dir().join(format!("flash-loadtest-args-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        std::fs::write(at("mine.toml"), "about = \"x\"\n[open]\n[[open.phase]]\nlasts = \"1s\"\nrate = 5\n").unwrap();
        std::fs::write(at("trace"), "0\n250\n").unwrap();
        let plan = parse(&["--scenario-file", &at("mine.toml")]).unwrap();
        assert_eq!((plan.scenario.as_str(), plan.duration_ms()), ("mine", 1_000));
        let trace = parse(&["--replay", &at("trace"), "--time-scale", "2"]).unwrap().open.unwrap().schedule;
        assert!(matches!(&trace, Schedule::Trace(_)) && trace.arrivals_us(0) == [0, 500_000], "{trace:?}");
        std::fs::copy(at("mine.toml"), at("m\u{1b}[2J\u{202E}.toml")).unwrap();
        let odd = parse(&["--scenario-file", &at("m\u{1b}[2J\u{202E}.toml")]).unwrap();
        assert_eq!(odd.scenario, "m\\u{1b}[2J\\u{202e}");
        assert!(parse(&["--replay", &at("absent")]).unwrap_err().contains("cannot read"));
        assert!(parse(&["--replay", &at("trace"), "--poisson"]).unwrap_err().contains("--poisson belongs"));
        // A file that never ends is no scenario, no trace and no baseline.
        assert!(parse(&["--scenario-file", "/dev/zero"]).unwrap_err().contains("longer than"));
        assert!(parse(&["--replay", "/dev/zero"]).unwrap_err().contains("line 1 is longer than"));
        let baseline = super::super::Baseline::read(std::path::Path::new("/dev/zero")).unwrap_err();
        assert!(format!("{baseline:?}").contains("longer than"), "{baseline:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let cases: [(&[&str], &str); 14] = [
            (&["--rate", "5", "--sku", "1", "--sku", "1=4"], "SKU 1 is named twice"),
            (&["--stage", "30:5"], "DURATION:BUYERS"),
            (&["--timeout", "10"], "needs a unit"),
            (&["--rate", "5", "--users", "5"], "cannot be used with"),
            (&["heavy", "--rate", "5"], "cannot be used with"),
            (&["heavy", "--duration", "2s"], "--duration belongs"),
            (&["--duration", "2s"], "--duration belongs"),
            (&["--stage", "1s:5", "--duration", "2s"], "--duration belongs"),
            (&["nonsense"], "there is no scenario"),
            (&["--rate", "fast"], "a rate is"),
            (&["--rate", "5", "--think", "1s"], "--think belongs"),
            (&["--users", "5", "--poisson"], "belongs to an open loop"),
            (&["--rate", "5", "--pay", "1.2"], "payers is 0 to 1"),
            (&["--rate", "5", "--time-scale", "0"], "a scale is"),
        ];
        for (line, reason) in cases {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line:?}: {error}");
        }
    }
}
