//! How a change is told, and how its errors are.

use flash_core::{ids::SkuId, stock::Counters};
use flash_stores::redis::StockError;
use flashd::change::{ChangeError, Outcome, Reached};
use serde_json::{Value, json};

use crate::{
    args::Output,
    exit::Exit,
    report::Failure,
    servers::UNREACHABLE_HINT,
    table::{self, Align, grouped},
    terminal::Terminal,
};

/// Version of the JSON answer.
const CHANGE_VERSION: u32 = 1;

/// What came of a change of one or many SKUs.
pub(crate) struct Told {
    done: Vec<Outcome>,
    failed: Vec<(SkuId, ChangeError)>,
}

impl Told {
    /// One SKU, changed.
    pub(crate) fn one(outcome: Outcome) -> Self {
        Self { done: vec![outcome], failed: Vec::new() }
    }

    /// Many SKUs, each changed or not.
    pub(crate) fn many(results: Vec<(SkuId, Result<Outcome, ChangeError>)>) -> Self {
        let mut told = Self { done: Vec::new(), failed: Vec::new() };
        for (sku_id, result) in results {
            match result {
                Ok(outcome) => told.done.push(outcome),
                Err(error) => told.failed.push((sku_id, error)),
            }
        }
        told
    }

    fn exit(&self) -> Exit {
        match self.failed.first() {
            None => Exit::Ok,
            Some(_) if self.failed.iter().all(|(_, error)| error.is_unreachable()) => Exit::Unreachable,
            Some(_) => Exit::Failed,
        }
    }
}

/// Prints it; the exit code says whether every SKU was changed.
pub(crate) fn show(told: &Told, terminal: &Terminal) -> Result<Exit, Failure> {
    match terminal.output() {
        Output::Text => text(told, terminal)?,
        Output::Json => {
            let results: Vec<Value> = told.done.iter().map(outcome_json).collect();
            let failed: Vec<Value> = told
                .failed
                .iter()
                .map(|(sku_id, error)| json!({ "skuId": sku_id, "error": sentence(error) }))
                .collect();
            let answer = json!({ "version": CHANGE_VERSION, "results": results, "failed": failed });
            terminal.answer(&answer.to_string())?;
        }
    }
    Ok(told.exit())
}

fn text(told: &Told, terminal: &Terminal) -> Result<(), Failure> {
    let headings = [
        ("SKU", Align::Right),
        ("WHAT", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("REDIS", Align::Left),
    ];
    let rows: Vec<Vec<String>> = told.done.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        for line in table::lines(&headings, &rows) {
            terminal.answer(&line)?;
        }
    }
    if let [Outcome { counters: Some(counters), sku, .. }] = told.done.as_slice() {
        terminal.answer(&format!("capacity {} · {}", grouped(sku.capacity.into()), count(counters)))?;
    }
    if let Some(reason) = told.done.iter().find_map(later) {
        terminal.talk(&format!("{} in MySQL, but not in Redis yet: {reason}", terminal.red("warning:")));
        terminal.talk(&format!("{} flashctl setup --yes, then the same command once more", terminal.cyan("hint:")));
    }
    for (_, error) in &told.failed {
        terminal.talk(&format!("{} {}", terminal.red("error:"), sentence(error)));
    }
    if !told.failed.is_empty() {
        let (failed, all) = (told.failed.len(), told.failed.len() + told.done.len());
        terminal.talk(&format!("{} {failed} of {all} failed; the same command once more", terminal.cyan("hint:")));
    }
    Ok(())
}

fn count(counters: &Counters) -> String {
    let Counters { available, held, sold, closing, .. } = *counters;
    let told = [("available", available), ("held", held), ("sold", sold), ("closing", closing)];
    told.map(|(name, units)| format!("{name} {}", grouped(units.into()))).join(" · ")
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let redis = match &outcome.reached {
        Reached::Now => "now",
        Reached::NotNeeded => "",
        Reached::Later(_) => "later",
    };
    let id = outcome.sku.sku_id.to_string();
    if outcome.changes.is_empty() {
        return vec![[id.as_str(), "nothing", "", "was so already", redis].map(str::to_owned).to_vec()];
    }
    let row = |change: &flash_stores::mysql::changes::Change| {
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![id.clone(), change.what.clone(), value(&change.old_value), value(&change.new_value), redis.to_owned()]
    };
    outcome.changes.iter().map(row).collect()
}

fn later(outcome: &Outcome) -> Option<&str> {
    match &outcome.reached {
        Reached::Later(reason) => Some(reason),
        Reached::Now | Reached::NotNeeded => None,
    }
}

fn outcome_json(outcome: &Outcome) -> Value {
    let redis = match &outcome.reached {
        Reached::Now => "now",
        Reached::NotNeeded => "not_needed",
        Reached::Later(_) => "later",
    };
    json!({
        "skuId": outcome.sku.sku_id,
        "changes": outcome.changes,
        "redis": redis,
        "reason": later(outcome),
        "stock": outcome.counters.as_ref().map(|counters| counters_json(outcome.sku.capacity, counters)),
    })
}

/// Capacity and counters for programs.
pub(crate) fn counters_json(capacity: u32, counters: &Counters) -> Value {
    json!({
        "capacity": capacity,
        "available": counters.available,
        "held": counters.held,
        "sold": counters.sold,
        "closing": counters.closing,
    })
}

/// An error with its causes, on one line.
fn sentence(error: &ChangeError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Exit code and hint of a change that was not made.
pub(crate) fn explain(error: ChangeError) -> Failure {
    let hint = match &error {
        ChangeError::Missing(_) => "flashctl sku list".to_owned(),
        ChangeError::Below { sku_id, counters, .. } => {
            let taken = u64::from(counters.held) + u64::from(counters.sold) + u64::from(counters.closing);
            format!(
                "flashctl sku set-capacity {sku_id} {} is the least; flashctl sale close sells no more",
                taken.max(1)
            )
        }
        ChangeError::NotDeciding { .. } => {
            "flashctl setup --yes fills Redis; then the same command once more".to_owned()
        }
        ChangeError::Half { .. } => "the same command once more completes it".to_owned(),
        ChangeError::PutBack { sku_id, .. } => format!("flashctl sku show {sku_id}"),
        ChangeError::Busy(sku_id) => format!("flashctl sku changes {sku_id} shows who, when they are done"),
        ChangeError::Stock(StockError::Refused(_)) => {
            "REDIS_URL must name the primary, or all servers among which it is".to_owned()
        }
        error if error.is_unreachable() => UNREACHABLE_HINT.to_owned(),
        _ => "flashctl sku --help".to_owned(),
    };
    let exit = match &error {
        ChangeError::Bounds { .. } => Exit::Usage,
        error if error.is_unreachable() => Exit::Unreachable,
        _ => Exit::Failed,
    };
    Failure::new(exit, error).hint(hint)
}
