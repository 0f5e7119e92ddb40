//! What a load test found: the versioned document that `-o json`, `--report` and the HTML page are made from.

use std::{fs, path::Path};

use flash_loadgen::{EndReason, Report};
use serde::{Deserialize, Serialize};

use super::{
    baseline::{self, Baseline, Comparison},
    summary,
    threshold::{Checked, Threshold},
};
use crate::{
    exit::Exit,
    report::Failure,
    report_page,
    terminal::Terminal,
    verdict::{Outcome, Verdict},
};

/// Version of the JSON that `-o json` and `--report` give; its schema is docs/reports/loadtest.schema.json.
///
/// 2: the verdict rests on log, MySQL and Redis and counts by kind; thresholds and comparison are new; `run` is the engine's
/// version 2.
pub(crate) const LOADTEST_VERSION: u32 = 2;

/// The whole result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoadtestReport {
    /// [`LOADTEST_VERSION`].
    pub(crate) version: u32,
    /// The judgement; `null` if none was asked for.
    pub(crate) verdict: Option<Verdict>,
    /// How it did on each threshold.
    pub(crate) thresholds: Vec<Checked>,
    /// How it did against the baseline; `null` without one.
    pub(crate) comparison: Option<Comparison>,
    /// What was measured.
    pub(crate) run: Report,
    /// The earlier run, for the page only.
    #[serde(skip)]
    pub(crate) baseline: Option<Box<Report>>,
}

impl LoadtestReport {
    pub(crate) fn new(verdict: Option<Verdict>, run: Report) -> Self {
        Self { version: LOADTEST_VERSION, verdict, thresholds: Vec::new(), comparison: None, run, baseline: None }
    }

    /// Checks the thresholds.
    pub(super) fn check(&mut self, thresholds: &[Threshold]) {
        self.thresholds = thresholds.iter().map(|threshold| threshold.check(&self.run)).collect();
    }

    /// Compares with an earlier run.
    pub(super) fn compare(&mut self, baseline: &Baseline, bound_percent: Option<f64>, any_host: bool) {
        self.comparison = Some(baseline.compare(&self.run, bound_percent, any_host));
        self.baseline = Some(Box::new(baseline.run.clone()));
    }

    /// The exit code that belongs to this result; a finding outranks an interruption. `regression_fails`: being worse than the
    /// baseline is a finding.
    pub(crate) fn exit(&self, regression_fails: bool) -> Exit {
        let (mut found, mut open, mut unreachable) = (false, false, false);
        let mut interrupted = self.run.ended == EndReason::Stopped;
        if let Some(verdict) = &self.verdict {
            found |= verdict.is_breach();
            interrupted |= !verdict.settled;
            open |= verdict.outcome == Outcome::Open;
            unreachable |= verdict.outcome == Outcome::NotJudged;
        }
        // Without a verdict the engine still knows when a key got two answers.
        found |= self.run.replays.conflicting > 0;
        found |= self.thresholds.iter().any(|checked| !checked.kept);
        found |= regression_fails && self.comparison.as_ref().is_some_and(Comparison::is_regression);
        if found {
            Exit::Found
        } else if unreachable {
            Exit::Unreachable
        } else if interrupted {
            Exit::Interrupted
        } else if open {
            Exit::Failed
        } else {
            Exit::Ok
        }
    }

    /// Writes the JSON to a file, readable by people too.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(self).map_err(Failure::from_error)?;
        write(path, &(json + "\n"))
    }

    /// Writes the page.
    pub(super) fn save_page(&self, path: &Path) -> Result<(), Failure> {
        write(path, &report_page::page(self))
    }

    /// Keeps the run to be compared with later. False if it is not worth that, which is said.
    pub(super) fn save_as_baseline(&self, path: &Path, terminal: &Terminal) -> Result<bool, Failure> {
        let broken = self.verdict.as_ref().is_some_and(Verdict::is_breach).then(|| "broke a promise".to_owned());
        match baseline::unusable(&self.run).or(broken) {
            None => self.save(path).map(|()| true),
            Some(reason) => {
                terminal.talk(&format!("not kept as a baseline: this run {reason}"));
                Ok(false)
            }
        }
    }

    /// The text for people, verdict first.
    pub(crate) fn text(&self) -> String {
        summary::text(self)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let told = |error| Failure::from_error(anyhow::Error::new(error).context(format!("writing {}", path.display())));
    fs::write(path, text).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Basis, Kind};

    fn report(count: u64, outcome: Outcome) -> LoadtestReport {
        let verdict =
            Verdict { outcome, settled: true, counts: [(Kind::Oversold, Some(count))].into(), ..Verdict::default() };
        LoadtestReport::new(Some(verdict), Report::default())
    }

    #[test]
    fn a_finding_outranks_an_interruption() {
        let mut clean = report(0, Outcome::Clean);
        assert_eq!(clean.exit(true), Exit::Ok);
        clean.run.ended = EndReason::Stopped;
        assert_eq!(clean.exit(true), Exit::Interrupted);
        let mut broken = report(1, Outcome::Broken);
        broken.run.ended = EndReason::Stopped;
        assert_eq!(broken.exit(true), Exit::Found);
        assert_eq!(report(0, Outcome::Open).exit(true), Exit::Failed, "what could not be judged is no success");
        let mut told_alone = report(0, Outcome::Open);
        told_alone.verdict.as_mut().unwrap().basis = Basis::ToldAlone;
        assert_eq!(told_alone.exit(true), Exit::Failed, "nor is it if only what was told was asked");
        let mut unreachable = report(0, Outcome::NotJudged);
        unreachable.run.ended = EndReason::Stopped;
        assert_eq!(unreachable.exit(true), Exit::Unreachable);
    }

    #[test]
    fn a_missed_threshold_and_a_regression_are_findings() {
        let mut missed = report(0, Outcome::Clean);
        missed.check(&["win.p99<1ms".parse().unwrap()]);
        assert_eq!(missed.exit(false), Exit::Found, "nobody won: nothing kept the threshold");
        let mut unlike = report(0, Outcome::Clean);
        unlike.comparison = Some(Comparison { refused: Some("other machine".into()), ..Comparison::default() });
        assert_eq!((unlike.exit(false), unlike.exit(true)), (Exit::Ok, Exit::Found));
        let mut invalid = report(0, Outcome::Clean);
        invalid.check(&["count.wins>=0".parse().unwrap()]);
        assert_eq!(invalid.exit(false), Exit::Ok);
        invalid.run.validity.valid = false;
        invalid.check(&["count.wins>=0".parse().unwrap()]);
        assert_eq!(invalid.exit(false), Exit::Found, "what may not be believed keeps nothing");
    }
}
