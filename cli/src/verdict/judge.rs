//! The pure part of the verdict: told purchases and testimonies in, findings out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use flash_loadgen::{Ended, Finished, key_number, key_text};
use flash_witness::{Gate, Kind as Broken, Log, Settled, SettledTold, Terms, ToldList, View, Violation};

use super::{Basis, Findings, Kind, SkuVerdict, Verdict, alone};

/// What the stores say, read by the witness.
#[derive(Debug)]
pub(super) struct Testimony {
    pub(super) log: Log,
    pub(super) view: View,
    /// `None` if Redis could not be read whole.
    pub(super) gate: Option<Gate>,
    /// Nothing changed while they were read, so that they may be compared with each other.
    pub(super) is_still: bool,
    /// The drain was not cut short: what is missing now will not come.
    pub(super) is_settled: bool,
}

/// Judges one run. `waited_ms` is how long the drain took.
pub(super) fn judge(finished: &Finished, testimony: &Testimony, waited_ms: u64) -> Verdict {
    let case = Case::new(finished, testimony);
    let mut findings = Findings::default();
    alone::contradictions(finished, &mut findings);
    case.ask_the_witness(&mut findings);
    let unannounced = case.look_for_phantoms(&mut findings);
    let skus = case.balances();
    for sku in skus.iter().filter(|sku| sku.oversold > 0) {
        let capacity = sku.capacity.unwrap_or(0);
        findings.add(Kind::Oversold, None, format!("SKU {}: {} units beyond {capacity}", sku.sku_id, sku.oversold));
    }
    let sum = |of: fn(&SkuVerdict) -> Option<u64>| skus.iter().map(of).sum::<Option<u64>>();
    let mut verdict = Verdict {
        basis: Basis::Witnessed,
        settled: testimony.is_settled,
        remarks: case.remarks(),
        judged: case.judged(),
        capacity: sum(|sku| sku.capacity),
        told: skus.iter().map(|sku| sku.told).sum(),
        in_log: Some(case.told_units(|order| testimony.log.orders.contains_key(&order))),
        in_mysql: sum(|sku| sku.in_mysql),
        in_redis: testimony.gate.as_ref().map(units_in),
        unannounced,
        waited_ms,
        skus,
        ..Verdict::default()
    };
    findings.close(&mut verdict, testimony.is_settled && testimony.is_still && testimony.gate.is_some());
    verdict
}

/// Units that Redis does not have for sale.
fn units_in(gate: &Gate) -> u64 {
    gate.stocks.values().map(|stock| (stock.held + stock.sold + stock.closing).unsigned_abs()).sum()
}

/// One run and everything that is known about it.
struct Case<'a> {
    finished: &'a Finished,
    testimony: &'a Testimony,
    /// Keys that were told an order.
    told_keys: HashSet<u64>,
    /// Keys whose buyer does not know.
    open_keys: HashSet<u64>,
}

impl<'a> Case<'a> {
    fn new(finished: &'a Finished, testimony: &'a Testimony) -> Self {
        let open = finished.doubts.iter().filter(|doubt| doubt.refused.is_none());
        Self {
            finished,
            testimony,
            told_keys: finished.told.iter().map(|told| told.key).collect(),
            open_keys: open.map(|doubt| doubt.key).collect(),
        }
    }

    /// The witness compares everything with everything; only what concerns this run is taken over.
    fn ask_the_witness(&self, findings: &mut Findings) {
        let Testimony { log, view, gate, .. } = self.testimony;
        let gate = gate.clone().unwrap_or_default();
        for violation in flash_witness::judge(&self.list(), log, view, &gate, Terms { sold_out: false }) {
            if let Some(kind) = self.kind_of(&violation) {
                findings.add(kind, violation.order_id, violation.text);
            }
        }
    }

    /// What a violation is in a load test; `None` if it is not this run's, or cannot be told from a change under way.
    fn kind_of(&self, violation: &Violation) -> Option<Kind> {
        let Testimony { gate, is_still, is_settled, log, .. } = self.testimony;
        let may_compare = *is_still && *is_settled;
        match violation.order_id {
            Some(order) if !self.is_ours(order) => return None,
            // What is not in the log by now was never there; MySQL may still get it.
            Some(order) if violation.kind == Broken::Lost && !is_settled && log.orders.contains_key(&order) => {
                return None;
            }
            _ => {}
        }
        Some(match violation.kind {
            Broken::Oversold => Kind::Oversold,
            Broken::Lost => Kind::Lost,
            Broken::Duplicate => Kind::Duplicate,
            Broken::Key => Kind::Contradicted,
            Broken::Cap => Kind::CapBroken,
            Broken::Stuck if may_compare && gate.is_some() => Kind::Stuck,
            Broken::Money | Broken::Divergence | Broken::Nonsense if may_compare && violation.order_id.is_some() => {
                Kind::Diverged
            }
            Broken::Ledger if may_compare => Kind::Diverged,
            Broken::Stuck | Broken::Money | Broken::Divergence | Broken::Nonsense | Broken::Ledger => return None,
        })
    }

    /// Whether an order belongs to a buyer of this run.
    fn is_ours(&self, order: u64) -> bool {
        let Testimony { log, view, .. } = self.testimony;
        let in_log = log.orders.get(&order).map(|order| order.terms.user_id);
        let user = in_log.or_else(|| view.orders.get(&order).map(|order| order.terms.user_id));
        // Known to neither, it can only have come from what was told.
        user.is_none_or(|user| self.is_our_buyer(user))
    }

    fn is_our_buyer(&self, user: u64) -> bool {
        (self.finished.report.first_user_id..=self.finished.report.last_user_id).contains(&user)
    }

    /// Orders that nobody was told: forbidden if the buyer was refused, allowed if the buyer does not know.
    fn look_for_phantoms(&self, findings: &mut Findings) -> u64 {
        let mut unannounced = 0;
        for (order_id, order) in &self.testimony.view.orders {
            if !self.is_our_buyer(order.terms.user_id) {
                continue;
            }
            let key = key_number(&order.terms.key);
            if key.is_some_and(|key| self.told_keys.contains(&key)) {
                // Told, or a second order for the key, which the witness has named.
            } else if order.state.occupies() && !key.is_some_and(|key| self.open_keys.contains(&key)) {
                let detail =
                    format!("order {order_id} under key {} is live, but its buyer was refused", order.terms.key);
                findings.add(Kind::Phantom, Some(*order_id), detail);
            } else {
                unannounced += 1;
            }
        }
        unannounced
    }

    fn told_units(&self, counts: impl Fn(u64) -> bool) -> u64 {
        let told = self.finished.told.iter().filter(|told| counts(told.order_id));
        told.map(|told| u64::from(told.quantity)).sum()
    }

    /// What each SKU of the run has given away. A told order that MySQL does not have counts all the same: its buyer
    /// relies on it. A SKU that MySQL does not know has no capacity.
    fn balances(&self) -> Vec<SkuVerdict> {
        let Testimony { log, view, .. } = self.testimony;
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        for order in view.orders.values().filter(|order| order.state.occupies()) {
            *live.entry(order.terms.sku_id).or_default() += u64::from(order.terms.quantity);
        }
        // Told, of that in MySQL, and told but not in MySQL although nothing says that it has ended.
        let mut units: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
        for one in &self.finished.told {
            let (told, in_mysql, nowhere) = units.entry(one.sku_id).or_default();
            *told += u64::from(one.quantity);
            if view.orders.contains_key(&one.order_id) {
                *in_mysql += u64::from(one.quantity);
            } else if log.orders.get(&one.order_id).is_none_or(|order| order.state.occupies()) {
                *nowhere += u64::from(one.quantity);
            }
        }
        let balance = |sku_id: u64| {
            let (told, in_mysql, nowhere) = units.get(&sku_id).copied().unwrap_or_default();
            let capacity = view.skus.get(&sku_id).map_or(0, |sku| u64::from(sku.capacity));
            let live = live.get(&sku_id).copied().unwrap_or(0);
            SkuVerdict {
                sku_id: sku_id.to_string(),
                capacity: Some(capacity),
                told,
                in_mysql: Some(in_mysql),
                live: Some(live),
                oversold: (live + nowhere).saturating_sub(capacity),
            }
        };
        self.finished.report.skus.iter().map(|share| balance(share.sku_id)).collect()
    }

    fn judged(&self) -> BTreeSet<Kind> {
        let may_compare = self.testimony.is_still && self.testimony.is_settled;
        let skipped = |kind: &Kind| match kind {
            Kind::Stuck => !may_compare || self.testimony.gate.is_none(),
            Kind::Diverged => !may_compare,
            _ => false,
        };
        Kind::ALL.into_iter().filter(|kind| !skipped(kind)).collect()
    }

    fn remarks(&self) -> Vec<String> {
        let Testimony { gate, is_still, is_settled, .. } = self.testimony;
        let mut remarks = Vec::new();
        if !is_settled {
            remarks.push("the wait for MySQL was cut short: what is missing there may still come".to_owned());
        } else if !is_still {
            remarks.push(
                "others bought, or holds ended, while it was judged: Redis, log and MySQL were not compared".to_owned(),
            );
        }
        if gate.is_none() {
            remarks.push("Redis could not be read for every SKU".to_owned());
        }
        remarks
    }

    /// What was told, as the witness wants it. Our clock need not be Redis': nobody can have been told before it was decided,
    /// and an end counts from the earlier of our wish and Redis' word, so a difference only makes the check milder.
    fn list(&self) -> ToldList {
        let Finished { told, endings, report, .. } = self.finished;
        let wall_ms = |us: u64| report.started_at_ms + us / 1_000;
        let log = &self.testimony.log;
        let told = told.iter().map(|told| {
            let decided_ms = log.orders.get(&told.order_id).map_or(0, |order| order.terms.reserved_at_ms);
            flash_witness::Told {
                user_id: told.user_id,
                sku_id: told.sku_id,
                quantity: u32::from(told.quantity),
                key: key_text(told.key),
                order_id: told.order_id,
                reservation_id: told.reservation_id,
                expires_at_ms: told.expires_at_ms,
                at_ms: wall_ms(told.answered_us).max(decided_ms),
            }
        });
        let settled = endings.iter().filter_map(|ending| {
            let settled = match ending.told? {
                Ended::Paid(order_id) => Settled::Confirmed { order_id },
                Ended::Cancelled => Settled::Cancelled,
                Ended::Refund => Settled::Refund,
                Ended::Refused => return None,
            };
            let payment_id = ending.pays.then(|| format!("pay-{}", key_text(ending.key)));
            let (asked_ms, at_ms) = (wall_ms(ending.asked_us), wall_ms(ending.told_us));
            Some(SettledTold { order_id: ending.order_id, payment_id, settled, asked_ms, at_ms })
        });
        // Others may cancel too, and then only the log knows when.
        let asked =
            endings.iter().filter(|ending| !ending.pays).map(|ending| (ending.order_id, wall_ms(ending.asked_us)));
        let ended = log.orders.iter().filter_map(|(id, order)| Some((*id, order.ended_ms?)));
        ToldList {
            told: told.collect(),
            settled: settled.collect(),
            cancels_asked: asked.chain(ended).collect(),
            ..ToldList::default()
        }
    }
}

#[cfg(test)]
mod tests;
