//! What follows from what was told alone: a server can contradict itself, and it can give away more than it says it has.
//!
//! Never looks into a store, so it judges any server that speaks the purchase API. It cannot see what was lost, what is stuck,
//! or what an order became; a verdict on this basis says so.

use std::collections::{BTreeMap, HashMap};

use flash_loadgen::{Finished, SkuOnSale, key_text};

use super::{Basis, Findings, Kind, SkuVerdict, Verdict};

/// Judges one run by what was told. `catalog` is what was on sale before it; `remark` says why nothing else was asked.
pub(crate) fn judge_alone(finished: &Finished, catalog: &[SkuOnSale], remark: String) -> Verdict {
    let mut findings = Findings::default();
    contradictions(finished, &mut findings);
    let capacities: HashMap<u64, u64> = catalog.iter().filter_map(|sku| Some((sku.sku_id, sku.capacity?))).collect();
    let mut units: BTreeMap<u64, u64> = BTreeMap::new();
    for told in &finished.told {
        *units.entry(told.sku_id).or_default() += u64::from(told.quantity);
    }
    let balance = |sku_id: u64| {
        let told = units.get(&sku_id).copied().unwrap_or(0);
        let capacity = capacities.get(&sku_id).copied();
        let oversold = capacity.map_or(0, |capacity| told.saturating_sub(capacity));
        SkuVerdict { sku_id: sku_id.to_string(), capacity, told, oversold, ..SkuVerdict::default() }
    };
    let skus: Vec<SkuVerdict> = finished.report.skus.iter().map(|share| balance(share.sku_id)).collect();
    for sku in skus.iter().filter(|sku| sku.oversold > 0) {
        let capacity = sku.capacity.unwrap_or(0);
        let detail =
            format!("SKU {}: buyers were told {} units, the server says that it has {capacity}", sku.sku_id, sku.told);
        findings.add(Kind::Oversold, None, detail);
    }
    let unknown = skus.iter().filter(|sku| sku.capacity.is_none()).count();
    let mut remarks = vec![remark];
    if unknown > 0 {
        remarks.push(format!("the server does not say how many units {unknown} of the SKUs have"));
    }
    let mut judged = [Kind::Duplicate, Kind::Contradicted].to_vec();
    judged.extend((unknown == 0).then_some(Kind::Oversold));
    let mut verdict = Verdict {
        basis: Basis::ToldAlone,
        settled: true,
        remarks,
        judged: judged.into_iter().collect(),
        capacity: skus.iter().map(|sku| sku.capacity).sum(),
        told: skus.iter().map(|sku| sku.told).sum(),
        skus,
        ..Verdict::default()
    };
    findings.close(&mut verdict, unknown == 0);
    verdict
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
