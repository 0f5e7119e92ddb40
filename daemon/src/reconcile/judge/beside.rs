//! What stands beside the books: definitions that differ between MySQL and Redis, and dead letters that wait.

use super::super::cut::Cut;
use super::super::{Reconcile, ReconcileError};
use crate::dead_letters::{Desk, LetterStatus};
use crate::projector::ProjectorOptions;
use crate::rebuild::terms;
use flash_core::event::Body;
use flash_core::ids::{OrderId, SkuId};
use flash_core::reconcile::{Finding, Hop, Kind};
use flash_core::stock::Terms;
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::Audited;
use std::collections::BTreeMap;
use std::time::Duration;

/// A difference between definitions is one if it is still the same after this time: changes go to one store after the other.
const CHANGING: Duration = Duration::from_secs(3);

impl Reconcile {
    /// Capacity and terms in both stores; what differs is looked at again after a while, for changes take a moment.
    pub(super) async fn definitions(&self, cut: &Cut, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
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
    pub(super) async fn letters(&self, cut: &Cut, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
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
