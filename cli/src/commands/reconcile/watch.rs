//! `flashctl reconcile --watch`: one line per run, and each finding when it is new.

use std::{collections::BTreeSet, time::Duration};

use flash_core::{ids::SkuId, reconcile::Kind};
use flash_stores::mysql::author::Author;
use flashd::reconcile::Reconcile;

use super::{explain, keep, view};
use crate::{args::Output, exit::Exit, interrupt::Interrupt, plain::utc, report::Failure, terminal::Terminal};

/// Runs until a signal comes; exit code 3 if any run has found anything. A server that cannot be reached is told of and
/// tried again.
pub(super) async fn command(
    reconcile: &Reconcile,
    sku_id: Option<SkuId>,
    every: Duration,
    author: &Author,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut told: BTreeSet<(Kind, Option<SkuId>)> = BTreeSet::new();
    let mut found = false;
    loop {
        let run = tokio::select! {
            biased;
            () = interrupt.requested() => break,
            run = reconcile.run(sku_id, |_| {}) => run,
        };
        match run {
            Ok(report) => {
                let now: BTreeSet<_> = report.findings.iter().map(|finding| (finding.kind, finding.sku_id)).collect();
                if terminal.output() == Output::Text {
                    terminal.answer(&format!("{}  {}", utc(now_ms()), view::summary(&report)))?;
                    let new = |kind, sku_id| !told.contains(&(kind, sku_id));
                    for finding in report.findings.iter().filter(|finding| new(finding.kind, finding.sku_id)) {
                        for line in view::lines(finding) {
                            terminal.answer(&format!("  {line}"))?;
                        }
                    }
                } else {
                    terminal.answer(&view::json(&report, None).to_string())?;
                }
                if now != told {
                    keep(reconcile, &report, author, None, terminal).await;
                }
                found |= !now.is_empty();
                told = now;
            }
            Err(error) => drop(explain(error).report(terminal)),
        }
        tokio::select! {
            biased;
            () = interrupt.requested() => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    Ok(if found { Exit::Found } else { Exit::Ok })
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
