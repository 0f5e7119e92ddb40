//! `flashctl reconcile --fix`: shows what will be repaired and what is left, asks, does it.

use flash_stores::mysql::author::Author;
use flashd::reconcile::{Fixed, Reconcile, Report};

use super::{exit, explain, keep, view};
use crate::{args::Output, ask::Consent, exit::Exit, report::Failure, terminal::Terminal};

/// The second half of the command. What was found stays found: the exit code is 3 also when all of it was repaired.
pub(super) async fn command(
    reconcile: &Reconcile,
    report: &Report,
    author: &Author,
    consent: Consent,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let repairs = report.repairs();
    let text = terminal.output() == Output::Text;
    let wanted = repairs.iter().filter(|repair| repair.what.is_some()).count();
    if text {
        view::text(report, terminal)?;
        for repair in &repairs {
            let (verb, what) = match (&repair.what, &repair.why_not) {
                (Some(what), _) => ("fix", what.as_str()),
                (None, why_not) => ("leave", why_not.as_deref().unwrap_or_default()),
            };
            terminal.answer(&format!("{verb:<5}  {}  SKU {}: {what}", repair.kind.as_str(), repair.sku_id))?;
        }
    }
    let mut fixed: Vec<Fixed> = Vec::new();
    if wanted > 0 && !consent.dry_run {
        if !consent.given(terminal, "flashctl reconcile --fix --yes --why …").await? {
            terminal.talk("nothing was changed");
            return Ok(Exit::Failed);
        }
        fixed = reconcile.fix(report, author).await.map_err(explain)?;
    }
    if !consent.dry_run {
        keep(reconcile, report, author, Some(&fixed), terminal).await;
    }
    if !text {
        terminal.answer(&view::json(report, Some((consent.dry_run, &fixed))).to_string())?;
        return Ok(outcome(report, &fixed));
    }
    let left = repairs.len() - wanted;
    for done in &fixed {
        terminal.answer(&format!(
            "done   {}  SKU {}: {}",
            done.repair.kind.as_str(),
            done.repair.sku_id,
            done.outcome
        ))?;
    }
    terminal.answer(&match (wanted, consent.dry_run) {
        (_, true) => format!("dry run: {wanted} to repair, {left} left to you; nothing was done"),
        (0, false) => format!("nothing to repair, {left} left to you"),
        (_, false) => {
            let whole = fixed.iter().filter(|fixed| fixed.whole).count();
            format!("done: {whole} of {wanted} repaired, {left} left to you")
        }
    })?;
    Ok(outcome(report, &fixed))
}

fn outcome(report: &Report, fixed: &[Fixed]) -> Exit {
    if fixed.iter().all(|fixed| fixed.whole) { exit(report) } else { Exit::Failed }
}
