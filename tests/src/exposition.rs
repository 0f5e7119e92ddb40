//! Reading `/metrics` as strictly as a monitoring system might: every series once, under a family that was introduced, every
//! histogram whole and cumulative.

use crate::daemon::Daemon;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A page of metrics.
#[derive(Debug)]
pub struct Exposition {
    /// The page itself.
    pub text: String,
    /// Kind of every family, by name.
    pub kinds: BTreeMap<String, String>,
    /// Value of every series, by name and labels as they are written.
    pub series: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads what a daemon tells now.
    ///
    /// # Panics
    /// If it tells nothing, or nonsense.
    pub async fn of(daemon: &Daemon) -> Self {
        let answer = daemon.admin("/metrics").await.expect("/metrics answers");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::read(String::from_utf8(answer.body.to_vec()).unwrap())
    }

    /// Reads a page.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn read(text: String) -> Self {
        let (mut kinds, mut series) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a kind");
                assert!(helped.contains(name), "{name} has no help");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is introduced twice");
                name.clone_into(&mut family);
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                let own = name.split('{').next().unwrap_or_default();
                let of = if kinds[&family] == "histogram" {
                    ["_bucket", "_sum", "_count"].into_iter().find_map(|end| own.strip_suffix(end)).unwrap_or(own)
                } else {
                    own
                };
                assert_eq!(of, family, "{line} stands under another family");
                assert!(series.insert(name.to_owned(), value).is_none(), "{name} is told twice");
            }
        }
        let page = Self { text, kinds, series };
        page.check_histograms();
        page
    }

    /// One series, as it is written: `name{label="value"}`.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("{series} is not told:\n{}", self.text))
    }

    /// All series of a name, added up.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        self.labels(name).iter().map(|series| self.get(series)).sum()
    }

    /// All series of a name.
    #[must_use]
    pub fn labels(&self, name: &str) -> Vec<&str> {
        let of = |series: &&String| series.split('{').next() == Some(name);
        self.series.keys().filter(of).map(String::as_str).collect()
    }

    /// Names of the families, with their kinds.
    #[must_use]
    pub fn families(&self) -> BTreeSet<(String, String)> {
        self.kinds.iter().map(|(name, kind)| (name.clone(), kind.clone())).collect()
    }

    fn check_histograms(&self) {
        for name in self.kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            for count in self.labels(&format!("{name}_count")) {
                let labels = count.strip_prefix(&format!("{name}_count")).unwrap_or_default();
                assert!(self.get(&format!("{name}_sum{labels}")) >= 0.0, "{count}");
                let labels = labels.trim_start_matches('{').trim_end_matches('}');
                let comma = if labels.is_empty() { "" } else { "," };
                let begin = format!("{name}_bucket{{{labels}{comma}le=\"");
                let mut buckets: Vec<(f64, f64)> = Vec::new();
                for (series, value) in
                    self.series.range(begin.clone()..).take_while(|(series, _)| series.starts_with(&begin))
                {
                    let le = series[begin.len()..].trim_end_matches("\"}").replace("+Inf", "inf");
                    buckets.push((le.parse().unwrap(), *value));
                }
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{count} is not cumulative: {buckets:?}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, self.get(count))), "{count}");
            }
        }
    }

    /// What `promtool check metrics` says about it: nothing, if all is well.
    ///
    /// # Panics
    /// If there is no promtool; `scripts/install-tools` installs it.
    pub async fn promtool(&self) -> String {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is installed by scripts/install-tools");
        promtool.stdin.take().unwrap().write_all(self.text.as_bytes()).await.unwrap();
        let output = promtool.wait_with_output().await.unwrap();
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said += &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            said += &format!("ended with {}", output.status);
        }
        said
    }
}
