//! `flashctl reconcile --fix`: shows what will be repaired and what is left, asks, does it.

use flash_stores::mysql::author::Author;
use flashd::reconcile::{Fixed, Reconcile, Repair, Report, Stopped};

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
            terminal.answer(&planned(repair))?;
        }
    } else if wanted > 0 && !consent.dry_run && !consent.yes {
        // Stdout is for the program; whoever is about to be asked must see what about.
        repairs.iter().for_each(|repair| terminal.talk(&planned(repair)));
    }
    let (mut fixed, mut stopped): (Vec<Fixed>, _) = (Vec::new(), None);
    if wanted > 0 && !consent.dry_run {
        if !consent.given(terminal, "flashctl reconcile --fix --yes --why …").await? {
            terminal.talk("nothing was changed");
            return Ok(Exit::Failed);
        }
        // What was done before it failed is kept and told of like anything else.
        (fixed, stopped) = match reconcile.fix(report, author).await {
            Ok(done) => (done, None),
            Err(Stopped { done, error }) => (done, Some(explain(*error))),
        };
    }
    if !consent.dry_run {
        keep(reconcile, report, author, Some(&fixed), terminal).await;
    }
    if !text {
        terminal.answer(&view::json(report, Some((consent.dry_run, &fixed))).to_string())?;
        return stopped.map_or_else(|| Ok(outcome(report, &fixed)), Err);
    }
    let left = repairs.len() - wanted;
    for done in &fixed {
        let verb = if done.whole { "done" } else { "part" };
        terminal.answer(&format!(
            "{verb:<5}  {}  SKU {}: {}",
            done.repair.kind.as_str(),
            done.repair.sku_id,
            done.outcome
        ))?;
    }
    if let Some(stopped) = stopped {
        return Err(stopped);
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

/// One line of the plan.
fn planned(repair: &Repair) -> String {
    let (verb, what) = match (&repair.what, &repair.why_not) {
        (Some(what), _) => ("fix", what.as_str()),
        (None, why_not) => ("leave", why_not.as_deref().unwrap_or_default()),
    };
    format!("{verb:<5}  {}  SKU {}: {what}", repair.kind.as_str(), repair.sku_id)
}

fn outcome(report: &Report, fixed: &[Fixed]) -> Exit {
    if fixed.iter().all(|fixed| fixed.whole) { exit(report) } else { Exit::Failed }
}
