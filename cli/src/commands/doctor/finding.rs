//! One check and what it came to.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// It works, and something is weaker than it could be.
    Warn,
    /// A promise is broken or will be.
    Bad,
    /// The part could not be reached.
    NotAsked,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Bad => "bad",
            Level::NotAsked => "not asked",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) group: &'static str,
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What was measured.
    pub(super) value: String,
    /// Why it matters; empty if all is well.
    pub(super) why: String,
    /// What to do, exactly; empty if all is well.
    pub(super) remedy: String,
}

/// Findings of one group.
pub(super) struct Group {
    name: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl Group {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, findings: Vec::new() }
    }

    /// All is well.
    pub(super) fn ok(&mut self, check: &'static str, value: impl Into<String>) {
        self.add(Level::Ok, check, value, "", "");
    }

    pub(super) fn warn(&mut self, check: &'static str, value: impl Into<String>, why: &str, remedy: &str) {
        self.add(Level::Warn, check, value, why, remedy);
    }

    pub(super) fn bad(&mut self, check: &'static str, value: impl Into<String>, why: &str, remedy: &str) {
        self.add(Level::Bad, check, value, why, remedy);
    }

    pub(super) fn not_asked(&mut self, check: &'static str, reason: &str) {
        self.add(Level::NotAsked, check, reason, "", "");
    }

    fn add(&mut self, level: Level, check: &'static str, value: impl Into<String>, why: &str, remedy: &str) {
        self.findings.push(Finding {
            group: self.name,
            check,
            level,
            value: value.into(),
            why: why.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
}
