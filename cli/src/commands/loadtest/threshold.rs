//! Thresholds: `win.p99<50ms` and whether a run keeps it.

use std::str::FromStr;

use flash_loadgen::Report;
use serde::{Deserialize, Serialize};

use super::metric::{self, Metric};
use crate::table::{Align, lines};

/// How a figure is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// The longer ones first, because the shorter are their beginnings.
const OPERATORS: [(&str, Operator); 4] =
    [("<=", Operator::LessOrEqual), (">=", Operator::MoreOrEqual), ("<", Operator::Less), (">", Operator::More)];

/// One condition.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    /// As it was written.
    text: String,
    metric: Metric,
    operator: Operator,
    bound: f64,
}

/// How a run did on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checked {
    /// The threshold as it was written.
    pub(crate) threshold: String,
    /// The figure; times in microseconds, shares 0 to 1. `null`: the run has none, which keeps no threshold.
    pub(crate) value: Option<f64>,
    /// The figure for people.
    pub(crate) shown: String,
    /// Whether it was kept; an invalid run keeps none.
    pub(crate) kept: bool,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let spaceless: String = text.split_whitespace().collect();
        let at =
            spaceless.find(['<', '>']).ok_or("a threshold is METRIC, one of < <= > >=, and a value: win.p99<50ms")?;
        let (name, rest) = spaceless.split_at(at);
        let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or("no operator")?;
        let metric = metric::find(name).map_err(|near| match near.as_slice() {
            [] => format!("there is no metric {name:?}; --list-thresholds shows them"),
            near => format!("there is no metric {name:?}; is it {}?", near.join(" or ")),
        })?;
        let bound = metric.unit.parse(&rest[sign.len()..]);
        let bound = bound.ok_or_else(|| format!("the value of {name} is written like {}", metric.unit.example()))?;
        Ok(Self { text: spaceless, metric, operator, bound })
    }
}

impl Threshold {
    /// Looks at a run.
    pub(crate) fn check(&self, run: &Report) -> Checked {
        let value = self.metric.read(run);
        let holds = value.is_some_and(|value| match self.operator {
            Operator::Less => value < self.bound,
            Operator::LessOrEqual => value <= self.bound,
            Operator::More => value > self.bound,
            Operator::MoreOrEqual => value >= self.bound,
        });
        // A figure that may not be believed keeps nothing, and whoever reads MISSED beside a good figure must see why.
        let kept = holds && run.validity.valid;
        let shown = match value.map(|value| self.metric.unit.text(value)) {
            None => "no such event".to_owned(),
            Some(shown) if holds && !kept => format!("{shown}, but the run is invalid"),
            Some(shown) => shown,
        };
        Checked { threshold: self.text.clone(), value, shown, kept }
    }
}

/// What `--list-thresholds` prints.
pub(crate) fn listing() -> String {
    let rows: Vec<Vec<String>> = metric::all()
        .iter()
        .map(|metric| vec![metric.name(), metric.unit.example().to_owned(), metric.help.to_owned()])
        .collect();
    lines(&[("METRIC", Align::Left), ("VALUES LIKE", Align::Left), ("WHAT", Align::Left)], &rows).join("\n")
}

/// The same for programs.
pub(crate) fn listing_json() -> serde_json::Value {
    let metric = |metric: &Metric| serde_json::json!({ "metric": metric.name(), "values": metric.unit.example(), "what": metric.help });
    serde_json::json!({ "version": 1, "metrics": metric::all().iter().map(metric).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use flash_loadgen::{Latencies, Latency};

    use super::*;

    fn run() -> Report {
        let wins = Latency { count: 10, p99_us: 49_999, ..Latency::default() };
        Report { latency: Latencies { wins, ..Latencies::default() }, ..Report::default() }
    }

    fn kept(text: &str) -> bool {
        text.parse::<Threshold>().unwrap().check(&run()).kept
    }

    #[test]
    fn figures_are_compared_as_written() {
        assert!(kept("win.p99<50ms") && kept("win.p99 <= 49999us") && kept("win.p99>=49.999ms") && kept("win.p99>0us"));
        assert!(!kept("win.p99<49999us") && !kept("win.p99>50ms"));
    }

    #[test]
    fn a_figure_that_is_missing_keeps_nothing() {
        let checked = "sold_out.p99<1s".parse::<Threshold>().unwrap().check(&run());
        assert_eq!((checked.kept, checked.value), (false, None));
    }

    #[test]
    fn an_invalid_run_keeps_nothing_and_says_why() {
        let mut run = run();
        run.validity.valid = false;
        let check = |text: &str| text.parse::<Threshold>().unwrap().check(&run);
        let (good, bad) = (check("win.p99<50ms"), check("win.p99<1ms"));
        assert_eq!((good.kept, good.shown.as_str()), (false, "50.0 ms, but the run is invalid"));
        assert_eq!((bad.kept, bad.shown.as_str()), (false, "50.0 ms"), "this one was missed in any case");
    }

    #[test]
    fn a_typo_is_answered_with_what_was_meant() {
        let said = |text: &str| text.parse::<Threshold>().unwrap_err();
        assert!(said("wn.p99<50ms").contains("win.p99"), "{}", said("wn.p99<50ms"));
        assert!(said("win.p99<50").contains("50ms"));
        assert!(said("win.p99=50ms").contains("< <= > >="));
        assert!(said("zzzzzzzzzzzzzzzzzzzz<1").contains("--list-thresholds"));
    }

    #[test]
    fn every_metric_is_listed_and_documented() {
        let (listing, page) = (listing(), include_str!("../../../../docs/reports.md"));
        for metric in metric::all() {
            let name = metric.name();
            let (group, point) = name.rsplit_once('.').unwrap();
            let group = group.rsplit('.').next().unwrap();
            assert!(page.contains(&format!(".{point}")) && page.contains(group), "{name} is not in docs/reports.md");
        }
        assert!(metric::all().iter().all(|metric| listing.contains(&metric.name())), "{listing}");
    }
}
