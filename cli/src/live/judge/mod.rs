//! The one judge: what a sale does in a word, and what is to be said of each part, the worst first, each with what to do.
//!
//! The dashboard, `status`, the lines and the JSON all say what it says. Pure: it reads no clock and asks nobody. What is not
//! known is never said to be well.

mod facts;
mod people;
mod stores;
mod word;
mod work;

pub(crate) use facts::{Facts, Known, P99s, Units};
pub(crate) use word::Word;

use crate::plain::harmless;

/// How a part is, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Ok,
    /// Nothing can be said.
    Unknown,
    /// It is as somebody ordered it, and worth knowing.
    Noted,
    /// It works, and somebody should look.
    Found,
    /// It works, and a promise is at stake.
    Broken,
    /// It does not do its work.
    Down,
}

impl Level {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Noted => "noted",
            Self::Found => "found",
            Self::Broken => "broken",
            Self::Down => "down",
        }
    }
}

/// What is looked after, in the order in which it is shown: what stands first is what the others need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Daemon,
    Redis,
    Kafka,
    MySql,
    Epoch,
    /// Whether there is somebody who sells, and all of it.
    Selling,
    /// Whether there is somebody who writes to MySQL and lets holds expire.
    Worker,
    Projector,
    Letters,
    Rebuild,
    Blocked,
    Audit,
}

impl Part {
    pub(crate) const ALL: [Part; 12] = [
        Self::Daemon,
        Self::Redis,
        Self::Kafka,
        Self::MySql,
        Self::Epoch,
        Self::Selling,
        Self::Worker,
        Self::Projector,
        Self::Letters,
        Self::Rebuild,
        Self::Blocked,
        Self::Audit,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::MySql => "mysql",
            Self::Epoch => "epoch",
            Self::Selling => "sale",
            Self::Worker => "worker",
            Self::Projector => "projector",
            Self::Letters => "letters",
            Self::Rebuild => "rebuild",
            Self::Blocked => "blocked",
            Self::Audit => "audit",
        }
    }
}

/// What is said of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) part: Part,
    pub(crate) level: Level,
    /// The daemon that says so; `None`: all that know, or the only one there is.
    pub(crate) daemon: Option<String>,
    /// The most important first, for it may be cut.
    pub(crate) text: String,
    /// The next command, if there is one.
    pub(crate) next: Option<&'static str>,
}

impl Finding {
    fn new(part: Part, level: Level, text: impl AsRef<str>) -> Self {
        Self { part, level, daemon: None, text: harmless(text.as_ref()), next: None }
    }

    fn ok(part: Part, text: impl AsRef<str>) -> Self {
        Self::new(part, Level::Ok, text)
    }

    fn by(self, daemon: Option<&str>) -> Self {
        Self { daemon: daemon.map(harmless), ..self }
    }

    fn next(self, next: &'static str) -> Self {
        Self { next: Some(next), ..self }
    }

    /// In one line, with who says it and what of; a daemon that says something of itself needs no part.
    pub(crate) fn words(&self) -> String {
        let daemon = self.daemon.as_ref().map_or_else(String::new, |daemon| format!("{daemon}: "));
        let part = if self.part == Part::Daemon { String::new() } else { format!("{}: ", self.part.as_str()) };
        format!("{daemon}{part}{}", self.text)
    }
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) word: Word,
    /// Why; empty if the word says it all.
    pub(crate) why: String,
    /// The worst first; of equal ones the cause before what follows from it. At least one of each part that can be judged.
    pub(crate) findings: Vec<Finding>,
}

impl Judgement {
    /// The worst level of all. Nobody to judge is the worst that can be.
    pub(crate) fn worst(&self) -> Level {
        self.findings.first().map_or(Level::Down, |finding| finding.level)
    }

    /// What is not as usual, the worst first.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.level >= Level::Noted)
    }
}

/// Judges.
pub(crate) fn judge(facts: &Facts<'_>) -> Judgement {
    let (word, why) = word::of(facts);
    // In the order of causes, which sorting by level keeps.
    let mut findings = people::silent(facts);
    if facts.told().next().is_some() {
        findings.extend(stores::redis(facts));
        findings.extend(stores::kafka(facts));
        findings.extend(stores::mysql(facts));
        findings.extend(work::epoch(facts));
        findings.extend(people::selling(facts));
        findings.extend(people::worker(facts));
        findings.extend(work::projector(facts));
        findings.extend(work::letters(facts));
        findings.extend(work::rebuild(facts));
        findings.extend(work::blocked(facts));
        findings.extend(work::audit(facts));
        findings.extend(people::daemons(facts));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Judgement { word, why: harmless(&why), findings }
}

#[cfg(test)]
mod tests;
