//! Waiting until the ledger is complete up to the cut, and what stays missing.

use super::cut::Cut;
use super::search::{Found, Searched};
use super::{Reconcile, ReconcileError, Step};
use crate::clock::boot_ms;
use crate::projector::{log_ends, wait_for_offsets};
use flash_core::ids::{Epoch, SkuId};
use flash_core::limits::SETTLE_TAKEOVER_MS;
use flash_core::reconcile::{Count, GateBooks};
use flash_stores::mysql::reconcile::{Look, Totals};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What was decided a moment ago reaches the log in this time, as a rule; whatever does not is waited for anyway.
const SETTLING: Duration = Duration::from_millis(250);
/// Pauses before it is looked again for what is missing: the first, and the longest. What is late comes in a moment or not
/// at all, and each look adds up ledgers.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How long the projector may take to pass the log's end.
const PROJECTION_PATIENCE: Duration = Duration::from_secs(120);
/// Most runs of missing sequence numbers, and most numbers, that are followed up per SKU.
const RUNS_MAX: u32 = 1_000;
const MISSING_MAX: usize = 10_000;

/// The sums up to the cut, and what is missing in them.
pub(super) struct Books {
    pub(super) counts: BTreeMap<SkuId, Count>,
    /// Everything MySQL has, where it was read.
    pub(super) totals: BTreeMap<SkuId, Totals>,
    /// What is missing for good.
    pub(super) found: Found,
    /// The instant at which MySQL was added up.
    pub(super) look: Look,
}

/// What earlier runs have found out.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Per SKU the epoch, a sequence number, and the sums up to it.
    sums: BTreeMap<SkuId, (Epoch, u64, Count)>,
    /// What was missing for good, and how far the log has been read for it.
    searched: Option<Searched>,
}

impl Reconcile {
    /// Adds up the ledger to the cut. What is not there is waited for until it can not come any more.
    pub(super) async fn ledger(
        &self,
        cut: &Cut,
        mut memory: Option<&mut Memory>,
        progress: &impl Fn(Step),
    ) -> Result<Books, ReconcileError> {
        tokio::time::sleep(SETTLING).await;
        self.projected(progress).await?;
        let mut books = self.add_up(cut, memory.as_deref(), None, progress).await?;
        let mut pause = PAUSES.0;
        let horizon_ms = u64::try_from(self.horizon().as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = cut.taken_ms.saturating_add(horizon_ms);
        loop {
            let incomplete: BTreeSet<SkuId> =
                incomplete(cut, &books.counts).into_iter().map(|(sku_id, _)| sku_id).collect();
            if incomplete.is_empty() {
                break;
            }
            let left_ms = deadline_ms.saturating_sub(boot_ms());
            if left_ms == 0 {
                books.look.end().await;
                books = self.missing_for_good(cut, memory.as_deref_mut(), progress).await?;
                break;
            }
            progress(Step::Waiting { skus: incomplete.len(), left: Duration::from_millis(left_ms) });
            books.look.end().await;
            tokio::time::sleep(pause.min(Duration::from_millis(left_ms))).await;
            pause = (pause * 2).min(PAUSES.1);
            let again = self.add_up(cut, memory.as_deref(), Some(&incomplete), progress).await?;
            // Each SKU's sums are of one instant; not all of them of the same.
            books.counts.extend(again.counts);
            books.totals.extend(again.totals);
            books.look = again.look;
        }
        if let Some(memory) = memory {
            memory.learn(cut, &books.counts);
        }
        Ok(books)
    }

    /// Everything of before the cut that will ever come is in the log by now. Names what is missing in MySQL nevertheless.
    async fn missing_for_good(
        &self,
        cut: &Cut,
        mut memory: Option<&mut Memory>,
        progress: &impl Fn(Step),
    ) -> Result<Books, ReconcileError> {
        let mut searched = memory.as_deref_mut().and_then(|memory| memory.searched.take());
        let mut pause = PAUSES.0;
        let until_ms = boot_ms() + SETTLE_TAKEOVER_MS + SETTLE_TAKEOVER_MS / 2;
        loop {
            let ends = self.projected(progress).await?;
            let mut books = self.add_up(cut, memory.as_deref(), None, progress).await?;
            let missing = self.missing(cut, &mut books).await?;
            if missing.is_empty() {
                return Ok(books);
            }
            progress(Step::Searching);
            let epoch = cut.fence.epoch;
            let before = match searched.take().filter(|searched| searched.covers(epoch, &missing, &ends)) {
                Some(searched) => searched,
                None => Searched::until(books.look.offsets_of_older(epoch).await?),
            };
            // Reading the log takes its time, and MySQL must not keep what its rows were for so long.
            books.look.end().await;
            let (mut found, now) = self.search(cut, &missing, &ends, before).await?;
            searched = Some(now);
            // What a sweeper has just taken is named by the log in a moment.
            if found.is_settling() && boot_ms() < until_ms {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
                continue;
            }
            // The sums and the gaps in them must be of one instant: some may have been filled during the search.
            let mut books = self.add_up(cut, memory.as_deref(), None, progress).await?;
            found.keep(&self.missing(cut, &mut books).await?);
            books.found = found;
            if let Some(memory) = memory {
                memory.searched = searched;
            }
            return Ok(books);
        }
    }

    /// Waits until everything that is in the log now is in MySQL; returns where the log ends.
    pub(super) async fn projected(&self, progress: &impl Fn(Step)) -> Result<Vec<(i32, u64)>, ReconcileError> {
        progress(Step::Projecting);
        let kafka = &self.options.parts.kafka;
        let ends = log_ends(kafka).await?;
        wait_for_offsets(&self.db, &kafka.topic_events(), &ends, PROJECTION_PATIENCE).await?;
        Ok(ends)
    }

    /// One look: the sums of every SKU up to the cut, or of these.
    async fn add_up(
        &self,
        cut: &Cut,
        memory: Option<&Memory>,
        these: Option<&BTreeSet<SkuId>>,
        progress: &impl Fn(Step),
    ) -> Result<Books, ReconcileError> {
        let wanted = || cut.open().filter(|(stored, _)| these.is_none_or(|these| these.contains(&stored.sku.sku_id)));
        progress(Step::Summing);
        let epoch = cut.fence.epoch;
        let mut look = Look::begin(&self.db).await?;
        let mut counts = BTreeMap::new();
        let mut unknown = Vec::new();
        for (stored, audited) in wanted() {
            let (sku_id, gate) = (stored.sku.sku_id, &audited.books);
            match memory.and_then(|memory| memory.before(sku_id, epoch, gate.seq)) {
                Some((seq, count)) if seq == gate.seq => drop(counts.insert(sku_id, count)),
                Some((seq, count)) => {
                    let since = look.range(sku_id, epoch, seq, gate.seq).await?;
                    counts.insert(sku_id, count.plus(since));
                }
                None => unknown.push(sku_id),
            }
        }
        let only = (memory.is_some() || these.is_some() || cut.skus.len() == 1).then_some(unknown.as_slice());
        let mut totals = if unknown.is_empty() { BTreeMap::new() } else { look.totals(epoch, only).await? };
        for (stored, audited) in wanted().filter(|(stored, _)| unknown.binary_search(&stored.sku.sku_id).is_ok()) {
            let (sku_id, gate) = (stored.sku.sku_id, &audited.books);
            let total = totals.entry(sku_id).or_default().ledger;
            let behind = if total.is_complete(gate) {
                Count::default()
            } else {
                look.range(sku_id, epoch, gate.seq, u64::MAX).await?
            };
            counts.insert(sku_id, total.minus(behind));
        }
        Ok(Books { counts, totals, found: Found::default(), look })
    }

    /// The sequence numbers up to the cut that have no row.
    async fn missing(&self, cut: &Cut, books: &mut Books) -> Result<BTreeMap<SkuId, BTreeSet<u64>>, ReconcileError> {
        let mut missing = BTreeMap::new();
        for (sku_id, gate) in incomplete(cut, &books.counts) {
            let runs = books.look.missing(sku_id, cut.fence.epoch, gate.opened_seq, gate.seq, RUNS_MAX).await?;
            let numbers: BTreeSet<u64> = runs.into_iter().flat_map(|(from, to)| from..=to).take(MISSING_MAX).collect();
            if !numbers.is_empty() {
                missing.insert(sku_id, numbers);
            }
        }
        Ok(missing)
    }
}

/// SKUs whose ledger does not have exactly one row for each stock change up to the cut.
fn incomplete(cut: &Cut, counts: &BTreeMap<SkuId, Count>) -> Vec<(SkuId, GateBooks)> {
    let is_open = cut.open().filter(|(_, audited)| audited.has_opened_seq);
    let of = is_open.map(|(stored, audited)| (stored.sku.sku_id, audited.books));
    of.filter(|(sku_id, gate)| !counts.get(sku_id).copied().unwrap_or_default().is_complete(gate)).collect()
}

impl Memory {
    fn before(&self, sku_id: SkuId, epoch: Epoch, seq: u64) -> Option<(u64, Count)> {
        let (of_epoch, upto, count) = self.sums.get(&sku_id)?;
        (*of_epoch == epoch && *upto <= seq).then_some((*upto, *count))
    }

    /// Remembers what is complete; of everything else the whole ledger is added up again.
    fn learn(&mut self, cut: &Cut, counts: &BTreeMap<SkuId, Count>) {
        self.sums.clear();
        for (stored, audited) in cut.open() {
            let (sku_id, gate) = (stored.sku.sku_id, &audited.books);
            if let Some(count) = counts.get(&sku_id).filter(|count| count.is_complete(gate)) {
                self.sums.insert(sku_id, (cut.fence.epoch, gate.seq, *count));
            }
        }
    }
}
