//! Scenarios: whole runs as commented files, compiled in and exportable.
//!
//! Owns the list of built-in scenarios and the way from a file to a [`Plan`]. Never touches the network; a scenario names
//! neither target nor SKUs. The files are in `loadgen/scenarios/`.

mod file;
mod scale;

use crate::LoadError;
use crate::plan::Plan;

/// The scenario of a run that names none.
pub const CANONICAL: &str = "canonical";

/// Most characters of one line of an error.
const LONGEST_LINE: usize = 160;

/// Name and text of every scenario that is compiled in: ours first, then those of the system this one replaces.
const BUILT_IN: [(&str, &str); 11] = [
    (CANONICAL, include_str!("../scenarios/canonical.toml")),
    ("spike", include_str!("../scenarios/spike.toml")),
    ("retry-storm", include_str!("../scenarios/retry-storm.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
    ("expiry-wave", include_str!("../scenarios/expiry-wave.toml")),
    ("hot-and-cold", include_str!("../scenarios/hot-and-cold.toml")),
    ("light", include_str!("../scenarios/light.toml")),
    ("purchase", include_str!("../scenarios/purchase.toml")),
    ("heavy", include_str!("../scenarios/heavy.toml")),
    ("quick-stress", include_str!("../scenarios/quick-stress.toml")),
    ("extreme", include_str!("../scenarios/extreme.toml")),
];

/// A whole run but for where it goes and what it buys.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// The plan, without target and SKUs.
    pub plan: Plan,
}

impl Scenario {
    /// Reads a scenario file. Unknown words are errors, and so is a plan that could not run.
    pub fn parse(name: &str, text: &str) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Plan(format!("scenario {name}: {reason}"));
        let file: file::File = toml::from_str(text).map_err(|error| wrong(readable(&error.to_string())))?;
        let (about, mut plan) = file.into_plan().map_err(wrong)?;
        plan.scenario = name.to_owned();
        // Everything but the SKUs can be judged now.
        Plan { skus: vec![crate::SkuShare { sku_id: 1, weight: 1 }], ..plan.clone() }
            .check()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { name: name.to_owned(), about, plan })
    }

    /// A built-in scenario.
    pub fn built_in(name: &str) -> Result<Self, LoadError> {
        Self::parse(name, Self::text(name)?)
    }

    /// The file of a built-in scenario, comments and all.
    pub fn text(name: &str) -> Result<&'static str, LoadError> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text).ok_or_else(|| {
            let names: Vec<&str> = Self::names().collect();
            LoadError::Plan(format!("there is no scenario {name:?}; there are {}", names.join(", ")))
        })
    }

    /// The names of the built-in scenarios.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

/// An error of a file, which shows the line that it is about: nobody reads more than the beginning of a long one, and what would
/// command a terminal is left out.
fn readable(error: &str) -> String {
    let shown = |line: &str| {
        let mut letters = line.chars().filter(|letter| !letter.is_control());
        let begin: String = letters.by_ref().take(LONGEST_LINE).collect();
        if letters.next().is_some() { begin + "…" } else { begin }
    };
    error.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
