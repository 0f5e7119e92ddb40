//! What is said of the daemons themselves: who answers, who is in service, who sells, who works.

use flash_core::stats::{self, Stats};

use super::{
    Facts, Finding, Level, Part,
    word::{Decides, decides},
};
use crate::table::grouped;

/// Latches that have a part of their own, which says why.
const LATCHES_OF_PARTS: [&str; 4] = ["redis", "kafka", "epoch", "projector"];

/// Those that do not answer.
pub(super) fn silent(facts: &Facts<'_>) -> Vec<Finding> {
    let silent = facts.daemons.iter().filter_map(|known| {
        let finding = Finding::new(Part::Daemon, Level::Down, known.told.err()?);
        Some(finding.by(Some(&known.name)).next("flashctl doctor"))
    });
    silent.collect()
}

/// Those that answer: one line for each that is not as usual, or one for all of them.
pub(super) fn daemons(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (known, stats) in facts.daemons.iter().filter_map(|known| Some((known, known.told.ok()?))) {
        findings.extend([standing(stats), version(stats)].into_iter().flatten().map(|it| it.by(Some(&known.name))));
    }
    let (up, all) = (facts.told().count(), facts.daemons.len());
    if findings.is_empty() && up == all {
        findings.push(Finding::ok(Part::Daemon, format!("{up} of {all} up, ready")));
    }
    findings
}

/// Why it is not in service.
fn standing(stats: &Stats) -> Option<Finding> {
    // Being drained, it is not ready either.
    if stats.draining {
        return Some(Finding::new(Part::Daemon, Level::Found, "draining").next("flashctl daemon resume"));
    }
    if !stats.ready {
        let latches: Vec<String> = stats
            .unready
            .iter()
            .map(|(latch, why)| match LATCHES_OF_PARTS.contains(&latch.as_str()) {
                true => latch.clone(),
                false => format!("{latch}: {why}"),
            })
            .collect();
        let text =
            format!("not ready: {}", if latches.is_empty() { "no reason".to_owned() } else { latches.join("; ") });
        return Some(Finding::new(Part::Daemon, Level::Down, text).next("flashctl doctor"));
    }
    let why = stats.paused.as_ref()?;
    let text = format!("paused by an operator: {why}");
    Some(Finding::new(Part::Daemon, Level::Found, text).next("flashctl daemon resume"))
}

/// A newer daemon is read as far as it is known, which must be said.
fn version(told: &Stats) -> Option<Finding> {
    (told.version > stats::VERSION).then(|| {
        let text = format!(
            "it speaks version {} of /stats, this flashctl knows {}: some of it is not shown, or not right",
            told.version,
            stats::VERSION
        );
        Finding::new(Part::Daemon, Level::Found, text).next("flashctl --version; the one of flashd's own version")
    })
}

/// Whether everything that could be sold can be bought.
pub(super) fn selling(facts: &Facts<'_>) -> Vec<Finding> {
    let sellers: Vec<&Stats> = facts.told().filter(|stats| stats.api.is_some()).collect();
    if sellers.is_empty() {
        return vec![
            Finding::new(Part::Selling, Level::Down, "no daemon that answers sells").next("flashd --role api"),
        ];
    }
    let mut findings = Vec::new();
    let decides: Vec<Decides> = sellers.iter().map(|stats| decides(stats, &facts.units)).collect();
    let nothing = decides.iter().all(|decides| matches!(decides, Decides::Nothing(_)));
    if let (true, Some(Decides::Nothing(why))) = (nothing, decides.first()) {
        let text = format!("nothing can be sold: {why}");
        findings.push(Finding::new(Part::Selling, Level::Down, text).next("flashctl doctor"));
    }
    let parts = decides.into_iter().find_map(|decides| match decides {
        Decides::Some(part) => Some(part),
        Decides::Everything | Decides::Nothing(_) => None,
    });
    findings.extend(parts.map(|part| Finding::new(Part::Selling, Level::Down, part).next("flashctl doctor")));
    let states = &facts.units.states;
    if states.paused > 0 {
        // An order is no error. That nobody can buy anything because of one should not be overlooked.
        let level = if states.selling + states.held_out == 0 { Level::Found } else { Level::Noted };
        let text = format!("{} of {} SKUs paused by an operator", grouped(states.paused), grouped(facts.units.skus));
        findings.push(Finding::new(Part::Selling, level, text).next("flashctl sale resume"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Part::Selling, format!("{} SKUs", grouped(facts.units.skus))));
    }
    findings
}

/// A sale needs somebody who writes it down.
pub(super) fn worker(facts: &Facts<'_>) -> Option<Finding> {
    let workers = facts.told().filter(|stats| stats.worker.is_some()).count();
    let text = "no daemon that answers is a worker: nothing is written to MySQL, no hold expires";
    (workers == 0).then(|| Finding::new(Part::Worker, Level::Down, text).next("flashd --role worker"))
}
