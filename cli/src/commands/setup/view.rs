//! How a plan is told.

use flashd::setup::{Action, Item, Kind, Plan, SetupReport};

use crate::{report::Failure, terminal::Terminal};

/// Version of the JSON answer.
const SETUP_VERSION: u32 = 1;
/// From this many SKUs on with the same action, they are counted instead of listed.
const LISTED_MAX: usize = 20;

/// Prints the plan, one line per item; many SKUs of one kind become one line.
pub(super) fn plan(plan: &Plan, terminal: &Terminal) -> Result<(), Failure> {
    for action in [Action::Create, Action::Change, Action::Unchanged] {
        let skus = count(plan, |item| item.kind == Kind::Sku && item.action == action);
        if skus > LISTED_MAX {
            terminal.answer(&format!("{:<9}  {:<6}  {skus} SKUs", action.as_str(), Kind::Sku.as_str()))?;
        }
        let listed = plan.items.iter().filter(|item| item.action == action);
        for item in listed.filter(|item| item.kind != Kind::Sku || skus <= LISTED_MAX) {
            terminal.answer(&line(item))?;
        }
    }
    Ok(())
}

fn line(item: &Item) -> String {
    let Item { kind, name, action, detail } = item;
    format!("{:<9}  {:<6}  {name}  {detail}", action.as_str(), kind.as_str())
}

/// Prints what came of it.
pub(super) fn summary(plan: &Plan, report: Option<&SetupReport>, terminal: &Terminal) -> Result<(), Failure> {
    let of = |action| count(plan, |item| item.action == action);
    let (create, change, unchanged) = (of(Action::Create), of(Action::Change), of(Action::Unchanged));
    terminal.answer(&match report {
        Some(_) => format!("done: {create} created, {change} changed, {unchanged} unchanged"),
        None => format!("dry run: {create} to create, {change} to change, {unchanged} unchanged; nothing was done"),
    })
}

/// The answer for programs.
pub(super) fn json(plan: &Plan, report: Option<&SetupReport>) -> String {
    let of = |action| count(plan, |item| item.action == action);
    serde_json::json!({
        "version": SETUP_VERSION,
        "applied": report.is_some(),
        "create": of(Action::Create),
        "change": of(Action::Change),
        "unchanged": of(Action::Unchanged),
        "plan": plan.items,
        "topicsWithoutConfig": report.map_or(&[][..], |report| &report.topics_without_config),
    })
    .to_string()
}

fn count(plan: &Plan, which: impl Fn(&Item) -> bool) -> usize {
    plan.items.iter().filter(|item| which(item)).count()
}
