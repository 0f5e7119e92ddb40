//! The pure part of the verdict: told purchases in, rows in, findings out.

use std::collections::{HashMap, HashSet};

use flash_loadgen::{Finished, Told, key_number, key_text};
use flash_stores::mysql::audit::{AuditedOrder, SkuStock};

use super::{Finding, MAX_EXAMPLES, SkuVerdict, Verdict};

/// Compares rows with what was told, one by one; nothing but the told orders is kept in memory.
pub(crate) struct Judge<'a> {
    finished: &'a Finished,
    by_order: HashMap<u64, usize>,
    told_keys: HashSet<u64>,
    open_keys: HashSet<u64>,
    /// Keys of orders that nobody was told, to notice two of them.
    untold_keys: HashSet<u64>,
    found: Vec<bool>,
    verdict: Verdict,
}

impl<'a> Judge<'a> {
    /// Looks first at what was told alone: it can contradict itself.
    pub(crate) fn new(finished: &'a Finished) -> Self {
        let told = &finished.told;
        let open = finished.doubts.iter().filter(|doubt| doubt.refused.is_none());
        let mut judge = Self {
            finished,
            by_order: HashMap::with_capacity(told.len()),
            told_keys: told.iter().map(|told| told.key).collect(),
            open_keys: open.map(|doubt| doubt.key).collect(),
            untold_keys: HashSet::new(),
            found: vec![false; told.len()],
            verdict: Verdict::default(),
        };
        for (index, told) in told.iter().enumerate() {
            if judge.by_order.insert(told.order_id, index).is_some() {
                judge.duplicate(format!("order {} was told for two keys", told.order_id));
            }
        }
        for conflict in &finished.conflicts {
            let key = key_text(conflict.first.key);
            match conflict.second {
                Some((order, _)) => {
                    judge.duplicate(format!("key {key} was told orders {} and {order}", conflict.first.order_id));
                }
                None => judge.contradicted(format!(
                    "key {key} was told order {} and then {}",
                    conflict.first.order_id,
                    conflict.code.name()
                )),
            }
        }
        judge
    }

    /// Takes in one order of the run's users.
    pub(crate) fn see(&mut self, row: &AuditedOrder) {
        if let Some(&index) = self.by_order.get(&row.order_id) {
            self.found[index] = true;
            if let Some(what) = difference(&self.finished.told[index], row) {
                self.verdict.mismatched += 1;
                self.example("MISMATCHED", self.verdict.mismatched, format!("order {}: {what}", row.order_id));
            }
            return;
        }
        let key = key_number(&row.idempotency_key);
        let order = format!("order {} under key {}", row.order_id, row.idempotency_key);
        if key.is_some_and(|key| self.told_keys.contains(&key) || !self.untold_keys.insert(key)) {
            self.duplicate(format!("{order} is a second one"));
        } else if row.state.occupies_stock() && !key.is_some_and(|key| self.open_keys.contains(&key)) {
            self.verdict.phantom += 1;
            self.example("PHANTOM", self.verdict.phantom, format!("{order} is live, but its buyer was refused"));
        } else {
            self.verdict.unannounced += 1;
        }
    }

    /// How many told orders have not been seen.
    pub(crate) fn missing(&self) -> usize {
        self.found.iter().filter(|found| !**found).count()
    }

    /// Adds the balance of each SKU and closes the verdict.
    pub(crate) fn finish(mut self, stock: &[SkuStock], settled: bool, waited_ms: u64) -> Verdict {
        let told = &self.finished.told;
        for (told, _) in told.iter().zip(&self.found).filter(|(_, found)| !**found) {
            self.verdict.lost += 1;
            let detail = format!("order {} under key {} is not in MySQL", told.order_id, key_text(told.key));
            push_example(&mut self.verdict.findings, "LOST", self.verdict.lost, detail);
        }
        for balance in self.balances(stock) {
            let verdict = &mut self.verdict;
            verdict.capacity += balance.capacity;
            verdict.told += balance.told;
            verdict.in_mysql += balance.in_mysql;
            if balance.oversold > 0 {
                verdict.oversold += balance.oversold;
                let detail = format!("SKU {}: {} units beyond {}", balance.sku_id, balance.oversold, balance.capacity);
                push_example(&mut verdict.findings, "OVERSOLD", 1, detail);
            }
            verdict.skus.push(balance);
        }
        self.verdict.settled = settled;
        self.verdict.waited_ms = waited_ms;
        self.verdict.clean = settled && !self.verdict.is_breach();
        self.verdict
    }

    /// What each SKU of the run has given away. A told order that MySQL does not have counts all the same: its buyer
    /// relies on it. A SKU that MySQL does not know has no capacity.
    fn balances(&self, stock: &[SkuStock]) -> Vec<SkuVerdict> {
        let stock: HashMap<u64, &SkuStock> = stock.iter().map(|stock| (stock.sku_id, stock)).collect();
        let mut units: HashMap<u64, (u64, u64)> = HashMap::new();
        for (told, found) in self.finished.told.iter().zip(&self.found) {
            let (told_units, in_mysql) = units.entry(told.sku_id).or_default();
            *told_units += u64::from(told.quantity);
            *in_mysql += if *found { u64::from(told.quantity) } else { 0 };
        }
        let balance = |sku_id: u64| {
            let (told, in_mysql) = units.get(&sku_id).copied().unwrap_or_default();
            let known = stock.get(&sku_id);
            let (capacity, live) = known.map_or((0, in_mysql), |stock| (stock.capacity, stock.live_units));
            SkuVerdict {
                sku_id: sku_id.to_string(),
                name: known.map_or_else(String::new, |stock| stock.name.clone()),
                capacity,
                told,
                in_mysql,
                live,
                oversold: (live + told - in_mysql).saturating_sub(capacity),
            }
        };
        self.finished.report.skus.iter().map(|share| balance(share.sku_id)).collect()
    }

    fn duplicate(&mut self, detail: String) {
        self.verdict.duplicate += 1;
        self.example("DUPLICATE", self.verdict.duplicate, detail);
    }

    fn contradicted(&mut self, detail: String) {
        self.verdict.contradicted += 1;
        self.example("CONTRADICTED", self.verdict.contradicted, detail);
    }

    fn example(&mut self, kind: &'static str, number: u64, detail: String) {
        push_example(&mut self.verdict.findings, kind, number, detail);
    }
}

fn push_example(findings: &mut Vec<Finding>, kind: &'static str, number: u64, detail: String) {
    if number <= MAX_EXAMPLES {
        findings.push(Finding { kind, detail });
    }
}

/// What a row says differently from what was told.
fn difference(told: &Told, row: &AuditedOrder) -> Option<String> {
    let pairs = [
        ("reservation", told.reservation_id, row.reservation_id),
        ("user", told.user_id, row.user_id),
        ("SKU", told.sku_id, row.sku_id),
        ("quantity", u64::from(told.quantity), u64::from(row.quantity)),
    ];
    let number = pairs.iter().find(|(_, told, row)| told != row);
    let key = (key_number(&row.idempotency_key) != Some(told.key)).then(|| "another key".to_owned());
    number.map(|(what, told, row)| format!("{what} told {told}, in MySQL {row}")).or(key)
}

#[cfg(test)]
mod tests;
