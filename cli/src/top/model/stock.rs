//! Stock per SKU: of each, what the daemon said that has read it most recently, and how fast it has been shrinking.

use std::borrow::Cow;

use flash_core::{
    ids::SkuId,
    stats::{SkuState, SkuStats},
};

use crate::live::judge::Units;

/// Looks back at one SKU's stock, and how far they are apart: together about twenty seconds.
const LOOKS: usize = 8;
const LOOK_EVERY_MS: u64 = 3_000;
/// Nothing is foretold from less than this.
const PACE_MIN_MS: u64 = 4_000;
/// Farther ahead nothing is foretold.
const FORESEEN_MAX_MS: u64 = 24 * 3_600_000;

/// One SKU.
#[derive(Debug, Clone)]
pub(crate) struct SkuRow {
    /// What was told, by whoever read it last. Waiting, attempts, wins and sold-outs are those of all daemons.
    pub(crate) told: SkuStats,
    /// When its counters were read, by the clock of who looks; `None` before the first time.
    pub(crate) read_at_ms: Option<u64>,
    /// When how much was left, the oldest first.
    looks: [(u64, u64); LOOKS],
    looks_len: usize,
    looked_capacity: u64,
    /// Whether this round has seen it.
    fresh: bool,
}

impl SkuRow {
    fn new(sku_id: SkuId) -> Self {
        let looks = [(0, 0); LOOKS];
        Self { told: SkuStats::of(sku_id), read_at_ms: None, looks, looks_len: 0, looked_capacity: 0, fresh: false }
    }

    /// Its name, or its id if it has none.
    pub(crate) fn label(&self) -> Cow<'_, str> {
        match self.told.name.as_str() {
            "" => Cow::Owned(format!("SKU {}", self.told.sku_id)),
            name => Cow::Borrowed(name),
        }
    }

    /// Units sold, held (units on their way back included), and left; `None` until Redis has been read.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let told = &self.told;
        let held = told.held?.saturating_add(told.closing.unwrap_or(0));
        Some(Parts { sold: told.sold?, held, left: told.available? })
    }

    /// Units that leave the stock per second, coming back ones taken off; `None` if it has not been watched long enough.
    pub(crate) fn pace(&self) -> Option<f32> {
        let looks = &self.looks[..self.looks_len];
        let ((from_ms, before), (to_ms, after)) = (looks.first()?, looks.last()?);
        let span_ms = to_ms.saturating_sub(*from_ms);
        let gone = super::flow::per_second(before.saturating_sub(*after), span_ms);
        (span_ms >= PACE_MIN_MS).then_some(gone)
    }

    /// The pace of a SKU that is on sale; what has stopped has none.
    pub(crate) fn selling_pace(&self) -> Option<f32> {
        self.pace().filter(|_| self.told.state == SkuState::Selling)
    }

    /// When nothing will be left if it goes on like this; `None` if that cannot be said.
    pub(crate) fn lasts_ms(&self) -> Option<u64> {
        lasts_ms(self.told.available.filter(|left| *left > 0)?, self.selling_pace()?)
    }

    fn see(&mut self, now_ms: u64, sku: SkuStats) {
        let read_at_ms = sku.seen_ms_ago.map(|age| now_ms.saturating_sub(age));
        let (waiting, attempts, wins, sold_out) = (sku.waiting, sku.attempts, sku.wins, sku.sold_out);
        let (of_all, first) =
            ((self.told.waiting, self.told.attempts, self.told.wins, self.told.sold_out), !self.fresh);
        // The first of a round replaces what an earlier round told, unless it has nothing to tell.
        if (first && (read_at_ms.is_some() || self.read_at_ms.is_none())) || read_at_ms > self.read_at_ms {
            self.told = sku;
            self.read_at_ms = read_at_ms;
        }
        let of_all = if first { (0, 0, 0, 0) } else { of_all };
        self.told.waiting = of_all.0.saturating_add(waiting);
        self.told.attempts = of_all.1.saturating_add(attempts);
        self.told.wins = of_all.2.saturating_add(wins);
        self.told.sold_out = of_all.3.saturating_add(sold_out);
        self.fresh = true;
    }

    /// Remembers what is left. The last look always is the newest; the ones before are apart.
    fn look(&mut self) {
        let (Some(at_ms), Some(left)) = (self.read_at_ms, self.told.available) else { return };
        let len = self.looks_len;
        // Another capacity is another stock: what was before foretells nothing.
        if self.looked_capacity != self.told.capacity {
            self.looked_capacity = self.told.capacity;
            self.looks[0] = (at_ms, left);
            self.looks_len = 1;
            return;
        }
        if len >= 2 && at_ms < self.looks[len - 2].0 + LOOK_EVERY_MS {
            self.looks[len - 1] = (at_ms, left);
            return;
        }
        if len == LOOKS {
            self.looks.copy_within(1.., 0);
            self.looks_len -= 1;
        }
        self.looks[self.looks_len] = (at_ms, left);
        self.looks_len += 1;
    }
}

/// How long `left` units last at a pace; `None` if that is not within a day.
fn lasts_ms(left: u64, pace: f32) -> Option<u64> {
    if pace <= 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    let ms = (left as f64 * 1_000.0 / f64::from(pace)) as u64;
    (ms <= FORESEEN_MAX_MS).then_some(ms)
}

/// Where the units of one or all SKUs are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Paid for.
    pub(crate) sold: u64,
    /// On hold, or on their way back.
    pub(crate) held: u64,
    /// Can be bought.
    pub(crate) left: u64,
}

impl Parts {
    pub(crate) fn total(&self) -> u64 {
        self.sold.saturating_add(self.held).saturating_add(self.left)
    }
}

/// All SKUs together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    /// Units.
    pub(crate) parts: Parts,
    /// Units that exist.
    pub(crate) capacity: u64,
    /// The largest capacity of one SKU, and the longest name in characters: columns do not move while one scrolls.
    pub(crate) capacity_max: u64,
    pub(crate) label_max: usize,
    /// SKUs whose stock has not been read yet.
    pub(crate) unread: usize,
    /// SKUs that are selling now.
    pub(crate) selling: usize,
    /// What the word about the sale depends on.
    pub(crate) units: Units,
    /// Units that leave the stock per second; `None` if not all selling SKUs have been watched long enough.
    pub(crate) pace: Option<f32>,
    /// When the last of the selling SKUs will be gone if it goes on like this; `None` if that cannot be said of all of them.
    pub(crate) lasts_ms: Option<u64>,
}

/// What is on sale.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stock {
    /// In order of their ids.
    rows: Vec<SkuRow>,
    /// SKUs that exist, which may be more than were told.
    pub(crate) on_sale: u64,
    /// All of them together.
    pub(crate) sum: Sum,
    now_ms: u64,
    seen: bool,
}

impl Stock {
    /// The SKUs, in order of their ids.
    pub(crate) fn rows(&self) -> &[SkuRow] {
        &self.rows
    }

    pub(crate) fn find(&self, sku_id: SkuId) -> Option<&SkuRow> {
        let index = self.rows.binary_search_by_key(&sku_id, |row| row.told.sku_id).ok()?;
        self.rows.get(index)
    }

    /// A new round of answers begins.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.seen = false;
        self.rows.iter_mut().for_each(|row| row.fresh = false);
    }

    /// What one daemon tells.
    pub(crate) fn see(&mut self, skus: Vec<SkuStats>, sku_count: u64) {
        self.on_sale = if self.seen { self.on_sale.max(sku_count) } else { sku_count };
        self.seen = true;
        // Both are in order, so the place is nearly always the next one.
        let mut next = 0;
        for sku in skus {
            if self.rows.get(next).is_none_or(|row| row.told.sku_id != sku.sku_id) {
                next = match self.rows.binary_search_by_key(&sku.sku_id, |row| row.told.sku_id) {
                    Ok(index) => index,
                    Err(index) => {
                        self.rows.insert(index, SkuRow::new(sku.sku_id));
                        index
                    }
                };
            }
            self.rows[next].see(self.now_ms, sku);
            next += 1;
        }
    }

    /// All daemons have told. What nobody told any more is gone, if anybody told anything.
    pub(crate) fn end(&mut self) {
        if !self.seen {
            return;
        }
        self.rows.retain(|row| row.fresh);
        self.rows.iter_mut().for_each(SkuRow::look);
        self.add_up();
    }

    fn add_up(&mut self) {
        let mut sum = Sum { pace: Some(0.0), lasts_ms: Some(0), ..Sum::default() };
        for row in &self.rows {
            sum.capacity = sum.capacity.saturating_add(row.told.capacity);
            sum.capacity_max = sum.capacity_max.max(row.told.capacity);
            sum.label_max = sum.label_max.max(row.label().chars().count());
            match row.parts() {
                Some(parts) => {
                    sum.parts.sold = sum.parts.sold.saturating_add(parts.sold);
                    sum.parts.held = sum.parts.held.saturating_add(parts.held);
                    sum.parts.left = sum.parts.left.saturating_add(parts.left);
                }
                None => sum.unread += 1,
            }
            if row.told.state == SkuState::Selling {
                sum.selling += 1;
                sum.pace = sum.pace.zip(row.selling_pace()).map(|(all, one)| all + one);
                sum.lasts_ms = sum.lasts_ms.zip(row.lasts_ms()).map(|(all, one)| all.max(one));
            }
        }
        sum.units = Units::of(self.rows.iter().map(|row| &row.told), self.on_sale);
        if sum.selling == 0 {
            (sum.pace, sum.lasts_ms) = (None, None);
        }
        self.sum = sum;
    }
}
