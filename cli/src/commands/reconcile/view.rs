//! The answer: a table of the books, and the findings.

use flash_core::reconcile::{Finding, Hop};
use flashd::reconcile::{Fixed, Report, SkuRow};
use serde_json::{Value, json};

use crate::{
    plain::harmless,
    report::Failure,
    table::{self, Align, grouped},
    terminal::Terminal,
};

/// Version of the JSON answer.
const VERSION: u32 = 1;
/// With more SKUs than this only those with a finding are listed.
const LISTED_MAX: usize = 50;
/// Orders that are named in a line.
const ORDERS_SHOWN: usize = 10;

/// Prints the table and the findings.
pub(super) fn text(report: &Report, terminal: &Terminal) -> Result<(), Failure> {
    table(report, terminal)?;
    for finding in &report.findings {
        terminal.answer("")?;
        for line in lines(finding) {
            terminal.answer(&line)?;
        }
    }
    terminal.answer("")?;
    terminal.answer(&summary(report))
}

fn table(report: &Report, terminal: &Terminal) -> Result<(), Failure> {
    let headings = [
        ("SKU", Align::Right),
        ("CAPACITY", Align::Right),
        ("AVAILABLE", Align::Right),
        ("HELD", Align::Right),
        ("SOLD", Align::Right),
        ("CLOSING", Align::Right),
        ("MYSQL HELD", Align::Right),
        ("MYSQL SOLD", Align::Right),
        ("DIFFERENCE", Align::Right),
        ("HOP", Align::Left),
    ];
    let all = report.skus.len() <= LISTED_MAX;
    let listed: Vec<Vec<String>> =
        report.skus.iter().filter(|row| all || row.hop.is_some()).map(|row| cells(row).to_vec()).collect();
    if !listed.is_empty() {
        for line in table::lines(&headings, &listed) {
            terminal.answer(&line)?;
        }
    }
    match report.skus.len() - listed.len() {
        0 => Ok(()),
        more => terminal.answer(&format!("… and {} SKUs without a finding", grouped(more as u64))),
    }
}

fn cells(row: &SkuRow) -> [String; 10] {
    let redis = |of: fn(&flashd::reconcile::RedisRow) -> i64| {
        row.redis.as_ref().map_or_else(|| row.state.to_owned(), |redis| signed(of(redis)))
    };
    [
        row.sku_id.to_string(),
        grouped(u64::from(row.capacity)),
        redis(|redis| redis.available),
        redis(|redis| redis.held),
        redis(|redis| redis.sold),
        redis(|redis| redis.closing),
        signed(row.mysql_held),
        signed(row.mysql_sold),
        signed(row.difference),
        row.hop.map_or("", Hop::as_str).to_owned(),
    ]
}

fn signed(number: i64) -> String {
    let digits = grouped(number.unsigned_abs());
    if number < 0 { format!("-{digits}") } else { digits }
}

/// One finding, in lines.
pub(super) fn lines(finding: &Finding) -> Vec<String> {
    let sku = finding.sku_id.map_or_else(|| "no SKU".to_owned(), |sku_id| format!("SKU {sku_id}"));
    let mut lines = vec![
        format!("{}  {sku}  {}  {}", finding.kind.as_str(), finding.hop.as_str(), signed(finding.amount)),
        format!("  {}", harmless(&finding.detail)),
    ];
    if !finding.orders.is_empty() {
        let shown: Vec<String> = finding.orders.iter().take(ORDERS_SHOWN).map(ToString::to_string).collect();
        let more = finding.orders_all.saturating_sub(shown.len() as u64);
        let more = if more > 0 { format!(" … and {more} more") } else { String::new() };
        lines.push(format!("  orders: {}{more}", shown.join(", ")));
    }
    lines.push(format!("  to do: {}", finding.remedy));
    lines
}

/// One line about a run.
pub(super) fn summary(report: &Report) -> String {
    let (skus, took) = (grouped(report.skus.len() as u64), report.took.as_secs_f64());
    match report.findings.len() {
        0 => format!("OK – Redis, log and MySQL agree on {skus} SKUs under epoch {} ({took:.1} s)", report.epoch),
        found => format!("FOUND {found} – of {skus} SKUs under epoch {} ({took:.1} s)", report.epoch),
    }
}

/// The whole answer for programs; with what `--fix` did, if it was asked for.
pub(super) fn json(report: &Report, fix: Option<(bool, &[Fixed])>) -> Value {
    let repairs = |fixed: &[Fixed]| -> Vec<Value> {
        let outcome = |kind, sku| fixed.iter().find(|one| one.repair.kind == kind && one.repair.sku_id == sku);
        let of = |repair: &flashd::reconcile::Repair| {
            let done = outcome(repair.kind, repair.sku_id).filter(|_| repair.what.is_some());
            json!({
                "kind": repair.kind,
                "skuId": repair.sku_id,
                "what": repair.what,
                "left": repair.why_not,
                "outcome": done.map(|done| &done.outcome),
                "whole": done.map(|done| done.whole),
            })
        };
        report.repairs().iter().map(of).collect()
    };
    let mut answer = json!({
        "version": VERSION,
        "epoch": report.epoch,
        "tookMs": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "skus": report.skus,
        "findings": report.findings,
    });
    if let Some((dry_run, fixed)) = fix {
        answer["dryRun"] = dry_run.into();
        answer["repairs"] = repairs(fixed).into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use flash_core::{
        ids::{OrderId, SkuId},
        reconcile::Kind,
    };

    use super::*;

    #[test]
    fn a_finding_says_what_where_how_much_and_what_to_do() {
        let orders = (1..=12).map(OrderId::new);
        let finding = Finding::new(Kind::OrphanHold, SkuId::new(7), Hop::Gate, 24, "12 holds\u{1b}".to_owned());
        let lines = lines(&finding.with_orders(orders));
        assert_eq!(lines[0], "ORPHAN_HOLD  SKU 7  gate  24");
        assert_eq!(lines[1], "  12 holds\\u{1b}");
        assert_eq!(lines[2], "  orders: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 … and 2 more");
        assert!(lines[3].starts_with("  to do: --fix "), "{lines:?}");
        assert_eq!(signed(-1_234), "-1,234");
    }
}
