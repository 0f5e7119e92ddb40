//! From sums to findings: the comparison of every SKU, and what else can be seen in MySQL at the same instant.

use super::cut::{Cut, Seen, Stock};
use super::ledger::Books;
use super::{Reconcile, ReconcileError};
use crate::dead_letters::{Desk, LetterStatus};
use crate::projector::ProjectorOptions;
use crate::rebuild::terms;
use flash_core::event::Body;
use flash_core::ids::{Epoch, OrderId, SkuId};
use flash_core::limits::RELEASE_WITHIN_MS;
use flash_core::reconcile::{Count, Finding, GateBooks, Hop, Kind, ORDERS_NAMED_MAX, compare};
use flash_core::stock::{Hold, Terms};
use flash_stores::mysql::reconcile::{Look, Totals};
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::{Audited, Fence};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// Most orders, buyers or payments that are read behind one difference.
const DETAILS_MAX: u32 = 1_000;
/// Orders asked about at once.
const PAGE: u32 = 2_000;
/// A difference between definitions is one if it is still the same after this time: changes go to one store after the other.
const CHANGING: Duration = Duration::from_secs(3);

/// What a run has found.
#[derive(Debug)]
pub struct Report {
    /// The epoch that was compared.
    pub epoch: Epoch,
    /// One row per SKU, by id.
    pub skus: Vec<SkuRow>,
    /// Everything that is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
    pub(super) fence: Fence,
    /// Holds that may be given back early, and since when nobody may have been given them as an answer.
    pub(super) orphans: BTreeMap<SkuId, (Vec<Hold>, u64)>,
    pub(super) definitions: BTreeMap<SkuId, StoredSku>,
}

/// The books of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuRow {
    /// Which SKU.
    pub sku_id: SkuId,
    /// Its name.
    pub name: String,
    /// open, blocked, lost or new.
    pub state: &'static str,
    /// Units that exist, by MySQL.
    pub capacity: u32,
    /// Redis' counters; `None` if it has none.
    pub redis: Option<RedisRow>,
    /// Units on hold by the ledger, up to the same stock change.
    pub mysql_held: i64,
    /// Units sold by the ledger, up to the same stock change.
    pub mysql_sold: i64,
    /// Units that are not on sale in Redis minus units that are given away in MySQL.
    pub difference: i64,
    /// The hop that owns the worst finding.
    pub hop: Option<Hop>,
}

/// Redis' counters at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisRow {
    /// Units that exist.
    pub capacity: i64,
    /// Units on sale.
    pub available: i64,
    /// Units on hold.
    pub held: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units on their way back.
    pub closing: i64,
    /// Stock changes so far.
    pub seq: u64,
}

impl Reconcile {
    /// Compares. `light`: without what takes reading whole tables.
    pub(super) async fn judge(&self, cut: &Cut, mut books: Books, light: bool) -> Result<Report, ReconcileError> {
        let started = Instant::now();
        let mut findings = Vec::new();
        for seen in &cut.skus {
            let before = findings.len();
            self.judge_sku(seen, &books, &mut findings).await?;
            let drifts = |finding: &Finding| finding.kind == Kind::CounterDrift;
            if findings.iter().skip(before).any(drifts) && matches!(seen.stock, Stock::Open(_)) {
                findings.extend(self.lost_holds(seen.stored.sku.sku_id, &mut books.look).await?);
            }
        }
        if !light {
            let only = if let [one] = cut.skus.as_slice() { Some(one.stored.sku.sku_id) } else { None };
            for (sku_id, totals) in &books.totals {
                view(*sku_id, totals, &mut books.look, &mut findings).await?;
            }
            self.caps(cut, only, &mut books.look, &mut findings).await?;
            unconfirmed(only, &mut books.look, &mut findings).await?;
        }
        books.look.end().await;
        self.definitions(cut, &mut findings).await?;
        self.letters(cut, &mut findings).await?;
        findings.sort_by_key(|finding| (finding.kind, finding.sku_id));
        let rows = cut.skus.iter().map(|seen| row(seen, &books.counts, &findings)).collect();
        let since = |sku_id: &SkuId| {
            let open = cut.open().find(|(stored, _)| stored.sku.sku_id == *sku_id);
            open.map_or(0, |(_, audited)| audited.books.now_ms)
        };
        let orphans =
            books.found.orphans.into_iter().map(|(sku_id, holds)| (sku_id, (holds, since(&sku_id)))).collect();
        Ok(Report {
            epoch: cut.fence.epoch,
            skus: rows,
            findings,
            took: started.elapsed() + Duration::from_millis(crate::clock::boot_ms().saturating_sub(cut.taken_ms)),
            fence: cut.fence.clone(),
            orphans,
            definitions: cut.skus.iter().map(|seen| (seen.stored.sku.sku_id, seen.stored.clone())).collect(),
        })
    }

    async fn judge_sku(&self, seen: &Seen, books: &Books, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
        let sku_id = seen.stored.sku.sku_id;
        let audited = match &seen.stock {
            Stock::Open(audited) => audited,
            Stock::New => return Ok(()),
            Stock::Blocked => {
                let detail = "it was left closed when Redis was filled; nobody can buy it".to_owned();
                findings.push(Finding::new(Kind::BlockedSku, sku_id, Hop::Gate, 0, detail));
                return Ok(());
            }
            Stock::Lost => {
                let detail = "Redis was filled with it and has nothing of it any more".to_owned();
                findings.push(Finding::new(Kind::StockLost, sku_id, Hop::Gate, 0, detail));
                return Ok(());
            }
        };
        if !audited.has_opened_seq {
            let detail =
                "Redis does not say where the epoch began: it was filled by an older version, or changed by hand";
            findings.push(Finding::new(Kind::CounterDrift, sku_id, Hop::Gate, 0, detail.to_owned()));
            return Ok(());
        }
        let (gate, count) = (&audited.books, books.counts.get(&sku_id).copied().unwrap_or_default());
        let gaps = books.found.gaps.get(&sku_id).map_or(&[][..], Vec::as_slice);
        let capacity_max = i64::from(seen.stored.sku.capacity).max(gate.capacity);
        findings.extend(compare(sku_id, capacity_max, gate, &count, gaps));
        if gaps.is_empty() && !count.is_complete(gate) || count.has_surplus(gate) {
            let detail = "the ledger has sequence numbers of this epoch twice, or some that Redis never gave out";
            findings.push(Finding::new(Kind::LedgerDiffers, sku_id, Hop::View, 0, detail.to_owned()));
        }
        self.late(sku_id, gate, findings).await
    }

    /// What should have ended or been finished long ago.
    async fn late(&self, sku_id: SkuId, gate: &GateBooks, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
        let late_ms = gate.now_ms.saturating_sub(RELEASE_WITHIN_MS);
        let is_late = |ms: u64| ms > 0 && ms < late_ms;
        if !is_late(gate.first_expiry_ms) && !is_late(gate.first_settling_ms) {
            return Ok(());
        }
        let keys = self.keys(sku_id);
        let traces = self.gate.traces(&keys, |hold| is_late(hold.expires_at_ms), |settling| is_late(settling.at_ms));
        let traces = traces.await?;
        let units = |holds: &mut dyn Iterator<Item = &Hold>| holds.map(|hold| i64::from(hold.quantity)).sum::<i64>();
        if !traces.holds.is_empty() {
            let amount = units(&mut traces.holds.iter());
            let detail = format!("{} holds ended more than {} s ago", traces.holds.len(), RELEASE_WITHIN_MS / 1_000);
            let finding = Finding::new(Kind::ExpiredNotReleased, sku_id, Hop::Gate, amount, detail);
            findings.push(finding.with_orders(traces.holds.iter().map(|hold| hold.order_id)));
        }
        if !traces.settlements.is_empty() {
            let amount = units(&mut traces.settlements.iter().map(|settling| &settling.hold));
            let detail = format!(
                "{} settlements were begun more than {} s ago and are not finished",
                traces.settlements.len(),
                RELEASE_WITHIN_MS / 1_000
            );
            let finding = Finding::new(Kind::SettlementStuck, sku_id, Hop::Gate, amount, detail);
            findings.push(finding.with_orders(traces.settlements.iter().map(|settling| settling.hold.order_id)));
        }
        Ok(())
    }

    /// Orders on hold in MySQL that Redis does not know, although the log has nothing about their end.
    async fn lost_holds(&self, sku_id: SkuId, look: &mut Look) -> Result<Option<Finding>, ReconcileError> {
        let keys = self.keys(sku_id);
        let (mut after, mut lost) = (OrderId::new(0), Vec::new());
        loop {
            let page = look.on_hold(sku_id, u64::MAX, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.order_id;
            let ids: Vec<OrderId> = page.iter().map(|order| order.order_id).collect();
            let known = self.gate.knows(&keys, &ids).await?;
            lost.extend(page.into_iter().zip(known).filter(|(_, known)| !known).map(|(order, _)| order));
        }
        if lost.is_empty() {
            return Ok(None);
        }
        // Redis forgets an order after the log knows its end; MySQL knows it once it has passed the log's end.
        self.projected(&|_| {}).await?;
        let mut now = Look::begin(&self.db).await?;
        let mut still = HashSet::new();
        for chunk in lost.chunks(PAGE as usize) {
            let ids: Vec<OrderId> = chunk.iter().map(|order| order.order_id).collect();
            still.extend(now.still_on_hold(&ids).await?);
        }
        now.end().await;
        lost.retain(|order| still.contains(&order.order_id));
        let units = lost.iter().map(|order| i64::from(order.quantity)).sum();
        let detail = format!("{} orders are on hold in MySQL and unknown to Redis", lost.len());
        let finding = Finding::new(Kind::HoldLost, sku_id, Hop::Gate, units, detail);
        Ok((!lost.is_empty()).then(|| finding.with_orders(lost.iter().map(|order| order.order_id))))
    }

    /// Buyers above the cap at the cut – not at the instant MySQL was read, when one partition may be ahead of another.
    async fn caps(
        &self,
        cut: &Cut,
        only: Option<SkuId>,
        look: &mut Look,
        findings: &mut Vec<Finding>,
    ) -> Result<(), ReconcileError> {
        let seq_of: BTreeMap<SkuId, u64> =
            cut.open().map(|(stored, audited)| (stored.sku.sku_id, audited.books.seq)).collect();
        for buyer in look.over_cap(only, DETAILS_MAX).await? {
            let Some(seq) = seq_of.get(&buyer.sku_id) else { continue };
            let (units, orders) = look.units_at(&buyer, cut.fence.epoch, *seq).await?;
            let cap = look.largest_cap(buyer.sku_id).await?;
            let above = units - i64::try_from(cap).unwrap_or(i64::MAX);
            if above > 0 {
                let detail = format!("buyer {} has {units} units; the cap was never above {cap}", buyer.user_id);
                let finding = Finding::new(Kind::CapBroken, buyer.sku_id, Hop::View, above, detail);
                findings.push(finding.with_orders(orders));
            }
        }
        Ok(())
    }

    /// Capacity and terms in both stores; what differs is looked at again after a while, for changes take a moment.
    async fn definitions(&self, cut: &Cut, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
        let differs = |stored: &StoredSku, audited: &Audited| difference(&terms(&stored.sku), audited);
        let mut suspects: BTreeMap<SkuId, (u64, Difference)> = BTreeMap::new();
        for (stored, audited) in cut.open() {
            let different = differs(stored, audited);
            if different != Difference::default() {
                suspects.insert(stored.sku.sku_id, (stored.version, different));
            }
        }
        if suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(CHANGING).await;
        for (sku_id, (version, before)) in suspects {
            let Some(stored) = skus::get(&self.db, sku_id).await? else { continue };
            // A Redis that is fenced by now makes the whole run start again.
            let Ok(audited) = self.gate.audit(&self.keys(sku_id), &cut.fence).await else { continue };
            if stored.version != version || differs(&stored, &audited) != before {
                continue;
            }
            if let Some((mysql, redis)) = before.capacity {
                let detail = format!("MySQL says {mysql} units exist, Redis says {redis}: a change was interrupted");
                let finding = Finding::new(Kind::CapacityDiffers, sku_id, Hop::Gate, mysql - redis, detail);
                findings.push(finding);
            }
            if !before.terms.is_empty() {
                findings.push(Finding::new(Kind::TermsDiffer, sku_id, Hop::Gate, 0, before.terms.join("; ")));
            }
        }
        Ok(())
    }

    /// Dead letters that wait, per SKU.
    async fn letters(&self, cut: &Cut, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
        let parts = &self.options.parts;
        let desk = Desk::open(&ProjectorOptions { kafka: parts.kafka.clone(), mysql: parts.mysql.clone() });
        let shelf = desk.letters(|_, status| status == LetterStatus::Waiting).await?;
        let mut waiting: BTreeMap<Option<SkuId>, (i64, Vec<OrderId>)> = BTreeMap::new();
        for letter in &shelf.letters {
            let order = match letter.event().ok().map(|event| event.body) {
                Some(Body::Order { order, .. } | Body::Refund { order, .. }) => Some(order),
                _ => None,
            };
            let entry = waiting.entry(order.as_ref().map(|order| order.sku_id)).or_default();
            entry.0 += 1;
            entry.1.extend(order.map(|order| order.order_id));
        }
        let looked_at = |sku_id: SkuId| cut.skus.iter().any(|seen| seen.stored.sku.sku_id == sku_id);
        for (sku_id, (letters, orders)) in waiting {
            if sku_id.is_some_and(|sku_id| !looked_at(sku_id)) || (sku_id.is_none() && cut.skus.len() == 1) {
                continue;
            }
            let detail = match sku_id {
                Some(_) => format!("{letters} events wait as dead letters; MySQL does not have them"),
                None => format!("{letters} dead letters wait that tell of no SKU"),
            };
            let finding = Finding::new(
                Kind::DeadLettersWaiting,
                sku_id.unwrap_or(SkuId::new(0)),
                Hop::Projector,
                letters,
                detail,
            );
            findings.push(Finding { sku_id, ..finding }.with_orders(orders));
        }
        Ok(())
    }
}

/// How the definition in MySQL and in Redis differ.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// MySQL's and Redis' capacity.
    capacity: Option<(i64, i64)>,
    terms: Vec<String>,
}

fn difference(wanted: &Terms, audited: &Audited) -> Difference {
    let (mysql, redis) = (i64::from(wanted.capacity), audited.books.capacity);
    let told = |terms: &Terms| {
        [
            ("cap per buyer", u64::from(terms.per_user)),
            ("hold (ms)", terms.hold_ms),
            ("opens (ms)", terms.opens_at_ms),
            ("closes (ms)", terms.closes_at_ms),
            ("paused", u64::from(terms.paused)),
        ]
    };
    let pairs = told(wanted).into_iter().zip(told(&audited.terms)).filter(|((_, mysql), (_, redis))| mysql != redis);
    let terms = pairs.map(|((what, mysql), (_, redis))| format!("{what}: MySQL says {mysql}, Redis says {redis}"));
    Difference { capacity: (mysql != redis).then_some((mysql, redis)), terms: terms.collect() }
}

/// The ledger against the orders, at one instant.
async fn view(
    sku_id: SkuId,
    totals: &Totals,
    look: &mut Look,
    findings: &mut Vec<Finding>,
) -> Result<(), ReconcileError> {
    let Totals { ledger, ledger_rows: [reserved, ends @ ..], orders, held, sold } = totals;
    let [_, ended @ ..] = orders;
    let agree = *reserved == orders.iter().sum::<i64>()
        && ends == ended
        && ledger.occupied == held + sold
        && ledger.sold == *sold;
    if agree {
        return Ok(());
    }
    let (ledger_only, orders_only) = look.one_sided(sku_id, DETAILS_MAX).await?;
    if !ledger_only.is_empty() {
        let detail = format!("{} orders have ledger rows and no row of their own", ledger_only.len());
        let count = i64::try_from(ledger_only.len()).unwrap_or(i64::MAX);
        findings.push(Finding::new(Kind::MissingOrder, sku_id, Hop::View, count, detail).with_orders(ledger_only));
    }
    let mut odd = look.at_odds(sku_id, DETAILS_MAX).await?;
    odd.extend(orders_only);
    if !odd.is_empty() {
        let difference = held + sold - ledger.occupied;
        let detail = format!(
            "{held} held + {sold} sold in orders, {} in the ledger; {} orders and their ledger rows disagree",
            ledger.occupied,
            odd.len()
        );
        findings.push(Finding::new(Kind::LedgerDiffers, sku_id, Hop::View, difference, detail).with_orders(odd));
    }
    Ok(())
}

/// Money for orders that are not confirmed.
async fn unconfirmed(only: Option<SkuId>, look: &mut Look, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
    let mut by_sku: BTreeMap<SkuId, Vec<_>> = BTreeMap::new();
    for payment in look.unconfirmed(only, DETAILS_MAX).await? {
        by_sku.entry(payment.sku_id).or_default().push(payment);
    }
    for (sku_id, payments) in by_sku {
        let told = payments.iter().take(ORDERS_NAMED_MAX.min(5)).map(|payment| {
            format!(
                "{} for order {} ({})",
                payment.payment_id,
                payment.order_id,
                payment.state.as_deref().unwrap_or("no row")
            )
        });
        let detail = format!(
            "{} payments are recorded for orders that are not confirmed: {}",
            payments.len(),
            told.collect::<Vec<_>>().join(", ")
        );
        let count = i64::try_from(payments.len()).unwrap_or(i64::MAX);
        let finding = Finding::new(Kind::PaidNotConfirmed, sku_id, Hop::Payments, count, detail);
        findings.push(finding.with_orders(payments.iter().map(|payment| payment.order_id)));
    }
    Ok(())
}

fn row(seen: &Seen, counts: &BTreeMap<SkuId, Count>, findings: &[Finding]) -> SkuRow {
    let sku = &seen.stored.sku;
    let count = counts.get(&sku.sku_id).copied().unwrap_or_default();
    let (state, redis) = match &seen.stock {
        Stock::Open(audited) => {
            let GateBooks { capacity, available, held, sold, closing, seq, .. } = audited.books;
            ("open", Some(RedisRow { capacity, available, held, sold, closing, seq }))
        }
        Stock::Blocked => ("blocked", None),
        Stock::Lost => ("lost", None),
        Stock::New => ("new", None),
    };
    let given_away = |redis: RedisRow| redis.capacity - redis.available - redis.closing;
    SkuRow {
        sku_id: sku.sku_id,
        name: sku.name.clone(),
        state,
        capacity: sku.capacity,
        redis,
        mysql_held: count.occupied - count.sold,
        mysql_sold: count.sold,
        difference: redis.map_or(0, |redis| given_away(redis) - count.occupied),
        hop: findings.iter().find(|finding| finding.sku_id == Some(sku.sku_id)).map(|finding| finding.hop),
    }
}
