//! The pure part of the verdict: told purchases and testimonies in, findings out.

mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flash_loadgen::{Ended, Ending, Finished, key_number, key_text};
use flash_witness::gate::Stock;
use flash_witness::{Gate, Kind as Broken, Log, Terms, Testimonies, View, Violation};

use super::{Basis, Findings, Kind, SkuVerdict, Verdict, alone};

/// What the stores say, read by the witness.
#[derive(Debug)]
pub(super) struct Testimony {
    /// As far as it could be read after MySQL.
    pub(super) log: Log,
    /// The log as far as MySQL has applied it; `None` if that is all of it.
    pub(super) applied: Option<Log>,
    /// MySQL at one instant.
    pub(super) view: View,
    /// What Redis has of the run's SKUs; a SKU that could not be read is not there.
    pub(super) gate: Gate,
    /// SKUs that changed in Redis while everything was read.
    pub(super) moving: BTreeSet<u64>,
    /// What MySQL has had time to apply.
    pub(super) due: BTreeMap<i32, i64>,
    /// The drain was not cut short: what is missing now will not come.
    pub(super) is_settled: bool,
}

impl Testimony {
    fn applied(&self) -> &Log {
        self.applied.as_ref().unwrap_or(&self.log)
    }

    /// Whether MySQL stands where it should.
    pub(super) fn is_level(&self) -> bool {
        self.due.iter().all(|(id, due)| self.view.applied.get(id).is_some_and(|applied| applied >= due))
    }
}

/// Judges one run. `waited_ms` is how long the drain took.
pub(super) fn judge(finished: &Finished, testimony: &Testimony, waited_ms: u64) -> Verdict {
    let case = Case::new(finished, testimony);
    let mut findings = Findings::default();
    alone::contradictions(finished, &mut findings);
    let mut remarks = case.remarks();
    let has_riddles = case.ask_the_witness(&mut findings, &mut remarks);
    let unannounced = case.look_for_phantoms(&mut findings, &mut remarks);
    let skus = case.balances();
    for sku in skus.iter().filter(|sku| sku.oversold > 0) {
        let capacity = sku.capacity.unwrap_or(0);
        findings.add(Kind::Oversold, None, format!("SKU {}: {} units beyond {capacity}", sku.sku_id, sku.oversold));
    }
    let sum = |of: fn(&SkuVerdict) -> Option<u64>| skus.iter().map(of).sum::<Option<u64>>();
    let judged = case.judged();
    let is_complete = !has_riddles && judged.len() == Kind::ALL.len() && alone::unanswered(finished).is_none();
    let mut verdict = Verdict {
        basis: Basis::Witnessed,
        settled: testimony.is_settled,
        remarks,
        judged,
        capacity: sum(|sku| sku.capacity),
        told: skus.iter().map(|sku| sku.told).sum(),
        in_log: Some(case.told_units(|order| testimony.log.orders.contains_key(&order))),
        in_mysql: sum(|sku| sku.in_mysql),
        in_redis: case.is_whole().then(|| units_in(&testimony.gate)),
        unannounced,
        waited_ms,
        skus,
        ..Verdict::default()
    };
    findings.close(&mut verdict, is_complete);
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
    /// Orders that were told.
    told_orders: HashSet<u64>,
    /// Orders that payments were told to have confirmed: for a payment after the end of the hold that is another than was paid for.
    paid_orders: HashSet<u64>,
    /// Buyers who paid and do not know what came of it.
    paying_users: HashSet<u64>,
    /// Keys of which an attempt was not clearly answered, and whether the buyer was refused in the end.
    doubts: HashMap<u64, bool>,
    /// Per SKU, until when the log tells everything.
    known_until_ms: BTreeMap<u64, u64>,
}

impl<'a> Case<'a> {
    fn new(finished: &'a Finished, testimony: &'a Testimony) -> Self {
        let buyers: HashMap<u64, u64> = finished.told.iter().map(|told| (told.order_id, told.user_id)).collect();
        let unclear = finished.endings.iter().filter(|ending| ending.pays && ending.told.is_none());
        let paid = |ending: &Ending| match ending.told {
            Some(Ended::Paid(order)) => Some(order),
            _ => None,
        };
        Self {
            paid_orders: finished.endings.iter().filter_map(paid).collect(),
            paying_users: unclear.filter_map(|ending| buyers.get(&ending.order_id).copied()).collect(),
            finished,
            testimony,
            told_keys: finished.told.iter().map(|told| told.key).collect(),
            told_orders: finished.told.iter().map(|told| told.order_id).collect(),
            doubts: finished.doubts.iter().map(|doubt| (doubt.key, doubt.refused.is_some())).collect(),
            known_until_ms: known_until_ms(finished, testimony),
        }
    }

    /// The witness compares everything with everything; only what concerns this run is taken over. Returns whether the log has
    /// records that nobody can read: they could be anybody's, and then nothing is complete.
    fn ask_the_witness(&self, findings: &mut Findings, remarks: &mut Vec<String>) -> bool {
        let Testimony { log, view, gate, moving, due, is_settled, .. } = self.testimony;
        let told = told::list(self.finished, log);
        let all = Testimonies {
            told: &told,
            log,
            applied: self.testimony.applied(),
            view,
            gate: self.is_whole().then_some(gate),
        };
        let terms = Terms {
            due: if *is_settled { due.clone() } else { BTreeMap::new() },
            known_until_ms: self.known_until_ms.clone(),
            // Without the wait MySQL may be behind Redis.
            moving: if *is_settled { moving.clone() } else { gate.stocks.keys().copied().collect() },
            // A buyer who was refused in the end may have left a hold behind as well.
            doubtful: self.finished.doubts.iter().map(|doubt| key_text(doubt.key)).collect(),
            ..Terms::default()
        };
        let mut has_riddles = false;
        for violation in flash_witness::judge(all, &terms) {
            match self.kind_of(&violation) {
                Some(kind) => findings.add(kind, violation.order_id, violation.text),
                // Whose they are cannot be said: each order of this run is compared by itself.
                None if violation.order_id.is_none() && violation.user_id.is_none() => {
                    has_riddles |= violation.kind == Broken::Nonsense;
                    remarks.push(format!("{}, which no order of this run explains", violation.text));
                }
                None => {}
            }
        }
        has_riddles
    }

    /// What a violation is in a load test; `None` if it is not this run's.
    fn kind_of(&self, violation: &Violation) -> Option<Kind> {
        if violation.order_id.is_some_and(|order| !self.is_ours(order))
            || violation.user_id.is_some_and(|user| !self.is_our_buyer(user))
        {
            return None;
        }
        Some(match violation.kind {
            Broken::Oversold => Kind::Oversold,
            Broken::Lost => Kind::Lost,
            Broken::Duplicate => Kind::Duplicate,
            Broken::Key => Kind::Contradicted,
            Broken::Cap => Kind::CapBroken,
            Broken::Stuck => Kind::Stuck,
            Broken::Divergence => Kind::Diverged,
            Broken::Money | Broken::Nonsense | Broken::Ledger if violation.order_id.is_some() => Kind::Diverged,
            Broken::Money | Broken::Nonsense | Broken::Ledger => return None,
        })
    }

    /// Whether an order belongs to a buyer of this run.
    fn is_ours(&self, order: u64) -> bool {
        let Testimony { log, view, gate, .. } = self.testimony;
        let stocks = || gate.stocks.values();
        let user = log.orders.get(&order).map(|order| order.terms.user_id);
        let user = user.or_else(|| view.orders.get(&order).map(|order| order.terms.user_id));
        let user = user.or_else(|| stocks().find_map(|stock| Some(stock.holds.get(&order)?.user_id)));
        let user = user.or_else(|| stocks().find_map(|stock| stock.settling.get(&order).copied()));
        user.map_or_else(|| self.told_orders.contains(&order), |user| self.is_our_buyer(user))
    }

    /// Whether Redis could be read for every SKU.
    fn is_whole(&self) -> bool {
        self.finished.report.skus.iter().all(|sku| self.testimony.gate.stocks.contains_key(&sku.sku_id))
    }

    fn is_our_buyer(&self, user: u64) -> bool {
        (self.finished.report.first_user_id..=self.finished.report.last_user_id).contains(&user)
    }

    /// Orders that nobody was told: forbidden if the buyer was refused, allowed if the buyer does not know.
    fn look_for_phantoms(&self, findings: &mut Findings, remarks: &mut Vec<String>) -> u64 {
        let (mut unannounced, mut refused) = (0, 0);
        for (order_id, order) in &self.testimony.log.orders {
            if !self.is_our_buyer(order.terms.user_id) {
                continue;
            }
            let key = key_number(&order.terms.key);
            if key.is_some_and(|key| self.told_keys.contains(&key)) || self.paid_orders.contains(order_id) {
                // Told, or a second order for the key, which the witness has named.
            } else if order.state.occupies() && !self.may_not_know(order.terms.user_id, key) {
                let detail =
                    format!("order {order_id} under key {} is live, but its buyer was refused", order.terms.key);
                findings.add(Kind::Phantom, Some(*order_id), detail);
            } else {
                unannounced += 1;
                let was_refused = key.is_some_and(|key| self.doubts.get(&key) == Some(&true));
                refused += u64::from(order.state.occupies() && was_refused);
            }
        }
        if refused > 0 {
            remarks.push(format!(
                "{refused} live orders are of buyers who got no clear answer first and were refused later: the first attempt had \
                 won, or came to its end after the refusal"
            ));
        }
        unannounced
    }

    /// Whether a buyer may have an order without knowing: by an attempt whose outcome is unknown, or by such a payment, which takes
    /// a unit under a key of its own if the hold had ended.
    fn may_not_know(&self, user: u64, key: Option<u64>) -> bool {
        match key {
            Some(key) => self.doubts.contains_key(&key),
            None => self.paying_users.contains(&user),
        }
    }

    fn told_units(&self, counts: impl Fn(u64) -> bool) -> u64 {
        let told = self.finished.told.iter().filter(|told| counts(told.order_id));
        told.map(|told| u64::from(told.quantity)).sum()
    }

    /// What each SKU of the run has given away, by whichever of log and MySQL says more. A told order that the log does not have
    /// counts all the same: its buyer believes in it.
    fn balances(&self) -> Vec<SkuVerdict> {
        let Testimony { log, view, .. } = self.testimony;
        let is_known = |sku_id: u64, at_ms: u64| self.known_until_ms.get(&sku_id).is_none_or(|until| at_ms <= *until);
        // In the log, in MySQL, and in MySQL as far as it matters.
        let mut live: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
        let in_log = log.orders.values().map(|order| (0, &order.terms, order.state));
        let in_view = view.orders.values().map(|order| (1, &order.terms, order.state));
        for (place, terms, _) in in_log.chain(in_view).filter(|(_, _, state)| state.occupies()) {
            let (units, known) = (u64::from(terms.quantity), is_known(terms.sku_id, terms.reserved_at_ms));
            let live = live.entry(terms.sku_id).or_default();
            match place {
                0 => live[0] += if known { units } else { 0 },
                _ => {
                    live[1] += units;
                    live[2] += if known { units } else { 0 };
                }
            }
        }
        // Told, of that in MySQL, and told but not in the log.
        let mut units: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
        for one in &self.finished.told {
            let (told, in_mysql, nowhere) = units.entry(one.sku_id).or_default();
            *told += u64::from(one.quantity);
            *in_mysql += if view.orders.contains_key(&one.order_id) { u64::from(one.quantity) } else { 0 };
            *nowhere += if log.orders.contains_key(&one.order_id) { 0 } else { u64::from(one.quantity) };
        }
        // Partitions that are not applied equally far may show a unit twice for a moment.
        let is_level = self.testimony.is_level();
        let balance = |sku_id: u64| {
            let (told, in_mysql, nowhere) = units.get(&sku_id).copied().unwrap_or_default();
            let capacity = view.skus.get(&sku_id).map_or(0, |sku| u64::from(sku.capacity));
            let [in_log, in_view, known_in_view] = live.get(&sku_id).copied().unwrap_or_default();
            let given = (in_log + nowhere).max(if is_level { known_in_view } else { 0 });
            SkuVerdict {
                sku_id: sku_id.to_string(),
                capacity: Some(capacity),
                told,
                in_mysql: Some(in_mysql),
                live: Some(in_view),
                oversold: given.saturating_sub(capacity),
            }
        };
        self.finished.report.skus.iter().map(|share| balance(share.sku_id)).collect()
    }

    fn judged(&self) -> BTreeSet<Kind> {
        let Testimony { moving, is_settled, .. } = self.testimony;
        let may_compare = *is_settled && moving.is_empty() && self.is_whole();
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Stuck || may_compare).collect()
    }

    fn remarks(&self) -> Vec<String> {
        let Testimony { moving, is_settled, view, gate, .. } = self.testimony;
        let mut remarks: Vec<String> = alone::unanswered(self.finished).into_iter().collect();
        let skus = || self.finished.report.skus.iter().map(|sku| sku.sku_id);
        if !is_settled {
            remarks.push("the wait for MySQL was cut short: what is missing there may still come".to_owned());
        } else if !moving.is_empty() && self.testimony.is_level() {
            let names = listed(moving.iter().copied());
            remarks.push(format!(
                "others bought, or holds ended, while SKU {names} was judged: whether units are stuck there is not judged"
            ));
        }
        let unknown = listed(skus().filter(|sku| !view.skus.contains_key(sku)));
        if !unknown.is_empty() {
            remarks.push(format!("SKU {unknown} is not in MySQL"));
        }
        let unread = listed(skus().filter(|sku| !gate.stocks.contains_key(sku)));
        if !unread.is_empty() {
            remarks.push(format!("SKU {unread} could not be read from Redis"));
        }
        let of_ours = |stock: &Stock| {
            let unwritten = stock.holds.iter().filter(|(order, _)| !self.testimony.log.orders.contains_key(order));
            unwritten.filter(|(_, hold)| self.is_our_buyer(hold.user_id)).count()
        };
        let held: usize = gate.stocks.values().map(of_ours).sum();
        if held > 0 {
            remarks.push(format!("{held} holds of buyers who were never told are in Redis alone, until they end"));
        }
        remarks
    }
}

/// Up to when the log tells everything that matters, per SKU, by Redis' clock: a unit is released only after the log has its
/// return, so whatever was decided before Redis was read – which was before the log was – is judged with all returns known.
fn known_until_ms(finished: &Finished, testimony: &Testimony) -> BTreeMap<u64, u64> {
    let mut known = testimony.gate.read_at_ms.clone();
    // Without Redis, up to the last purchase of this run: the log was read after that.
    for told in &finished.told {
        if let Some(order) = testimony.log.orders.get(&told.order_id) {
            let until = known.entry(told.sku_id).or_default();
            *until = (*until).max(order.terms.reserved_at_ms);
        }
    }
    known
}

/// The first few of many SKUs.
fn listed(skus: impl Iterator<Item = u64>) -> String {
    const MOST: usize = 5;
    let skus: Vec<String> = skus.map(|sku| sku.to_string()).collect();
    let first = skus.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match skus.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
