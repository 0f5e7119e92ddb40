//! What follows from what was told alone: a server can contradict itself, and it can give away more than it says it has.
//!
//! Never looks into a store, so it judges any server that speaks the purchase API. It cannot see what was lost, what is stuck,
//! or what an order became; a verdict on this basis says so.

use std::collections::{BTreeMap, HashMap, HashSet};

use flash_loadgen::{Class, Code, Ended, Finished, SkuOnSale, Told, key_text};

use super::{Basis, Findings, Kind, Outcome, SkuVerdict, Verdict};

/// How far the server's clock may be from ours: a hold may have ended by this much earlier than it says.
const CLOCK_SKEW_US: u64 = 5_000_000;

/// Judges one run whose stores fell silent before they were read: what was told can still contradict itself, all else is open.
pub(crate) fn judge_unreachable(finished: &Finished, catalog: &[SkuOnSale], reason: &str) -> Verdict {
    let reason = format!("{reason}: log, MySQL and Redis could not be read, only what buyers were told was looked at");
    let mut verdict = judge_alone(finished, catalog, reason);
    if verdict.outcome != Outcome::Broken {
        verdict.outcome = Outcome::NotJudged;
    }
    verdict
}

/// Judges one run by what was told. `catalog` is what was on sale before it; `remark` says why nothing else was asked.
pub(crate) fn judge_alone(finished: &Finished, catalog: &[SkuOnSale], remark: String) -> Verdict {
    let mut findings = Findings::default();
    contradictions(finished, &mut findings);
    let capacities: HashMap<u64, u64> = catalog.iter().filter_map(|sku| Some((sku.sku_id, sku.capacity?))).collect();
    let peaks = peaks(finished, CLOCK_SKEW_US, Unclear::Cancelled);
    let balance = |sku_id: u64| {
        let (told, at_once) = peaks.get(&sku_id).copied().unwrap_or_default();
        let capacity = capacities.get(&sku_id).copied();
        let oversold = capacity.map_or(0, |capacity| at_once.saturating_sub(capacity));
        SkuVerdict { sku_id: sku_id.to_string(), capacity, told, oversold, ..SkuVerdict::default() }
    };
    let skus: Vec<SkuVerdict> = finished.report.skus.iter().map(|share| balance(share.sku_id)).collect();
    for sku in skus.iter().filter(|sku| sku.oversold > 0) {
        let (capacity, at_once) = (sku.capacity.unwrap_or(0), sku.capacity.unwrap_or(0) + sku.oversold);
        let detail =
            format!("SKU {}: buyers were told {at_once} units at once, the server says {capacity}", sku.sku_id);
        findings.add(Kind::Oversold, None, detail);
    }
    let unknown = skus.iter().filter(|sku| sku.capacity.is_none()).count();
    let mut remarks = vec![remark];
    if unknown > 0 {
        remarks.push(format!("the server does not say how many units {unknown} of the SKUs have"));
    }
    let open = finished.report.doubts_open;
    if open > 0 {
        remarks.push(format!("{open} purchases were never answered clearly: they may have taken units"));
    }
    let others = doubts(finished, &capacities);
    let is_complete = unknown == 0 && open == 0 && others.is_empty();
    remarks.extend(others);
    let mut judged = [Kind::Duplicate, Kind::Contradicted].to_vec();
    // Units that were told too often are found in any case; that there were none can be said only if all answers are known.
    let is_oversold = skus.iter().any(|sku| sku.oversold > 0);
    judged.extend((is_complete || is_oversold).then_some(Kind::Oversold));
    let mut verdict = Verdict {
        basis: Basis::ToldAlone,
        settled: true,
        remarks,
        judged: judged.into_iter().collect(),
        // A server may say any number.
        capacity: skus.iter().try_fold(0_u64, |sum, sku| Some(sum.saturating_add(sku.capacity?))),
        told: skus.iter().map(|sku| sku.told).sum(),
        skus,
        ..Verdict::default()
    };
    findings.close(&mut verdict, is_complete);
    verdict
}

/// What a cancellation that was never answered clearly is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unclear {
    Cancelled,
    Refused,
}

/// Per SKU: units told in all, and the most at one instant. A unit is taken from the answer on, until its buyer asked for a
/// cancellation that was granted, or the hold had ended by what the server said – unless it was paid, which keeps it for ever.
///
/// The hold counts as ended `skew_us` earlier than the server says.
fn peaks(finished: &Finished, skew_us: u64, unclear: Unclear) -> BTreeMap<u64, (u64, u64)> {
    let mut ends: HashMap<u64, u64> = HashMap::new();
    let mut paid: HashSet<u64> = HashSet::new();
    for ending in &finished.endings {
        let is_cancelled = match ending.told {
            Some(Ended::Paid(order)) => {
                paid.insert(order);
                false
            }
            Some(Ended::Cancelled) => true,
            Some(Ended::Refund | Ended::Refused) => false,
            None => !ending.pays && unclear == Unclear::Cancelled,
        };
        if is_cancelled {
            ends.insert(ending.order_id, ending.asked_us);
        }
    }
    // SKU, time, units taken (negative: given back).
    let mut steps: Vec<(u64, u64, i64)> = Vec::with_capacity(finished.told.len() * 2);
    for told in &finished.told {
        let (from_us, units) = (told.answered_us, i64::from(told.quantity));
        steps.push((told.sku_id, from_us, units));
        let expires = held_us(finished, told).map(|held_us| from_us.saturating_add(held_us.saturating_sub(skew_us)));
        let end = ends.get(&told.order_id).copied().into_iter().chain(expires).min();
        // Nothing ends before it began, whatever the server's clock says.
        let end = end.filter(|_| !paid.contains(&told.order_id)).map(|at| at.max(from_us.saturating_add(1)));
        steps.extend(end.map(|at| (told.sku_id, at, -units)));
    }
    // In the same microsecond units come back before they are given away again.
    steps.sort_unstable();
    let mut peaks: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let (mut of_sku, mut taken) = (0, 0_i64);
    for (sku, _, units) in steps {
        if sku != of_sku {
            (of_sku, taken) = (sku, 0);
        }
        taken += units;
        let (told, most) = peaks.entry(sku).or_default();
        *told += units.max(0).unsigned_abs();
        *most = (*most).max(taken.max(0).unsigned_abs());
    }
    peaks
}

/// How long a buyer has the hold from the answer on, by the server's word and our clock; `None` if the server does not say, or
/// says that it had ended before it was told.
fn held_us(finished: &Finished, told: &Told) -> Option<u64> {
    let expires_us = told.expires_at_ms.saturating_sub(finished.report.started_at_ms).saturating_mul(1_000);
    expires_us.checked_sub(told.answered_us).filter(|us| *us > 0)
}

/// Why units may have been taken that are not counted, in words.
fn doubts(finished: &Finished, capacities: &HashMap<u64, u64>) -> Vec<String> {
    let mut doubts: Vec<String> = unanswered(finished).into_iter().collect();
    let unreadable = finished.report.outcomes.get(Code::UnreadableWin.name()).copied().unwrap_or(0);
    if unreadable > 0 {
        doubts.push(format!("{unreadable} answers were 200 without a readable order: they may have taken units"));
    }
    // Such holds count as ended as soon as they are told, so that none is ever seen beside another.
    let is_short = |told: &&Told| held_us(finished, told).is_some_and(|us| us <= CLOCK_SKEW_US);
    let short = finished.told.iter().filter(is_short).count();
    let beyond = |skew_us, unclear| -> u64 {
        let too_many =
            |sku: &u64, at_once: u64| capacities.get(sku).map_or(0, |capacity| at_once.saturating_sub(*capacity));
        peaks(finished, skew_us, unclear).iter().map(|(sku, (_, at_once))| too_many(sku, *at_once)).sum()
    };
    if short > 0 {
        let beyond = beyond(0, Unclear::Cancelled);
        doubts.push(format!(
            "{short} holds were no longer than the {} s by which clocks may differ: whether units were sold twice meanwhile \
             is not judged; if the clocks agree, {beyond} were",
            CLOCK_SKEW_US / 1_000_000
        ));
    }
    let (least, most) = (beyond(CLOCK_SKEW_US, Unclear::Cancelled), beyond(CLOCK_SKEW_US, Unclear::Refused));
    if most > least {
        let unclear = finished.endings.iter().filter(|ending| !ending.pays && ending.told.is_none()).count();
        doubts.push(format!(
            "{unclear} cancellations were never answered clearly: if they did not happen, {most} units were sold twice"
        ));
    }
    doubts
}

/// Nobody got a proper answer – "later" is none –: then there is nothing that could be judged.
pub(super) fn unanswered(finished: &Finished) -> Option<String> {
    let is_answer = |code: &Code| code.class() != Class::Error && !code.asks_to_return();
    let count = |code: Code| finished.report.outcomes.get(code.name()).copied().unwrap_or(0);
    let answered: u64 = Code::all().filter(is_answer).map(count).sum();
    (answered == 0 && finished.told.is_empty()).then(|| {
        let failed = finished.report.connections.failed;
        format!("no purchase was properly answered ({failed} connections failed): there is nothing to judge")
    })
}

/// Where what was told contradicts itself.
pub(super) fn contradictions(finished: &Finished, findings: &mut Findings) {
    let mut by_order: HashMap<u64, u64> = HashMap::with_capacity(finished.told.len());
    for told in &finished.told {
        if by_order.insert(told.order_id, told.key).is_some_and(|key| key != told.key) {
            findings.add(
                Kind::Duplicate,
                Some(told.order_id),
                format!("order {} was told for two keys", told.order_id),
            );
        }
    }
    for conflict in &finished.conflicts {
        let (key, first) = (key_text(conflict.first.key), conflict.first.order_id);
        match conflict.second {
            Some((second, _)) => {
                findings.add(Kind::Duplicate, Some(first), format!("key {key} was told orders {first} and {second}"));
            }
            None => {
                let detail = format!("key {key} was told order {first} and then {}", conflict.code.name());
                findings.add(Kind::Contradicted, Some(first), detail);
            }
        }
    }
}
