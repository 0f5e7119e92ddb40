//! Counters of SKUs with a bounded number of labels: the busiest by name, all others together.
//!
//! Promise kept: every series only grows, and all of them add up to what was counted. A SKU that becomes one of the busiest
//! takes nothing out of `other`; its own series begins with what is counted from then on. What a SKU had counted when it was
//! taken off the catalogue is told as part of `other`, and nothing else is remembered of it: there are never more entries than
//! SKUs on sale.

use super::LaneCounts;
use crate::catalog::Offer;
use flash_core::ids::SkuId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// SKUs that are told by name; all others together are [`OTHER`].
pub(crate) const SKUS_NAMED: usize = 50;
/// The label of all others.
pub(crate) const OTHER: &str = "other";

/// What a lane counts, as far as it is told under one label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    seen: LaneCounts,
    own: LaneCounts,
}

#[derive(Debug, Default)]
struct Book {
    shares: HashMap<SkuId, Share>,
    other: LaneCounts,
}

/// Which SKUs are told by name, and what is told of them.
#[derive(Debug, Default)]
pub(crate) struct SkuBook(Mutex<Book>);

/// One reading.
pub(crate) struct Told<'a> {
    /// The busiest SKUs, in order of their ids, with their counters.
    pub(crate) named: Vec<(&'a Arc<Offer>, LaneCounts)>,
    /// The rest.
    pub(crate) rest: Vec<&'a Arc<Offer>>,
    /// What was counted for SKUs while they were among the rest.
    pub(crate) other: LaneCounts,
}

impl SkuBook {
    /// Reads the counters of all SKUs. For the admin plane: takes a lock that nothing else takes.
    pub(crate) fn tell<'a>(&self, offers: &'a [Arc<Offer>]) -> Told<'a> {
        let counts: Vec<_> = offers.iter().map(|offer| offer.lane.counts()).collect();
        let named = busiest(&counts.iter().map(|counts| counts.attempts).collect::<Vec<_>>(), SKUS_NAMED);
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Told { named: Vec::new(), rest: Vec::new(), other: LaneCounts::default() };
        for ((offer, now), named) in offers.iter().zip(counts).zip(named) {
            match book.take(offer.sku.sku_id, now, named) {
                Some(own) => told.named.push((offer, own)),
                None => told.rest.push(offer),
            }
        }
        told.other = book.other;
        told
    }

    /// A SKU is not sold any more; this is all it has counted, but for what is being decided at this moment.
    pub(crate) fn retire(&self, sku_id: SkuId, counts: LaneCounts) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retire(sku_id, counts);
    }
}

impl Book {
    /// Puts down what is new under the SKU's own name or under `other`; returns its own counters if it has a name.
    fn take(&mut self, sku_id: SkuId, now: LaneCounts, named: bool) -> Option<LaneCounts> {
        let share = self.shares.entry(sku_id).or_default();
        let new = now.since(&share.seen);
        share.seen = now;
        if named {
            share.own.add(&new)
        } else {
            self.other.add(&new)
        }
        named.then_some(share.own)
    }

    fn retire(&mut self, sku_id: SkuId, last: LaneCounts) {
        let share = self.shares.remove(&sku_id).unwrap_or_default();
        self.other.add(&share.own);
        self.other.add(&last.since(&share.seen));
    }
}

/// For each of the numbers, whether it is one of the `most` largest; of equal ones the first.
fn busiest(numbers: &[u64], most: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(numbers[*at]));
    let mut named = vec![false; numbers.len()];
    order.into_iter().take(most).for_each(|at| named[at] = true);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(attempts: u64) -> LaneCounts {
        LaneCounts { attempts, wins: attempts / 2, sold_out: 0 }
    }

    #[test]
    fn the_busiest_are_named() {
        assert_eq!(busiest(&[1, 9, 3, 9], 2), [false, true, false, true]);
        assert_eq!(busiest(&[0, 0, 0], 2), [true, true, false]);
        assert_eq!(busiest(&[], 2), [false; 0]);
    }

    /// Prometheus takes a counter that shrinks for a restart, and would count everything again.
    #[test]
    fn no_series_shrinks_when_a_sku_gets_a_name_or_loses_it() {
        let (mut book, sku) = (Book::default(), SkuId::new(7));
        assert_eq!(book.take(sku, counts(10), true), Some(counts(10)));
        assert_eq!(book.take(sku, counts(14), false), None);
        assert_eq!(book.other, counts(4));
        assert_eq!(book.take(sku, counts(20), true), Some(counts(16)));
        assert_eq!(book.other, counts(4), "together they are what was counted");
        // Its lane began anew, without anybody having said so.
        assert_eq!(book.take(sku, counts(2), true), Some(counts(18)));
    }

    #[test]
    fn what_a_sku_had_counted_is_not_lost_with_it_and_no_entry_stays() {
        let (mut book, named, unseen) = (Book::default(), SkuId::new(7), SkuId::new(8));
        book.take(named, counts(10), true);
        book.take(named, counts(14), false);
        book.retire(named, counts(20));
        assert_eq!(book.other, counts(20), "under its own name, under `other`, and since the last reading");
        book.retire(unseen, counts(6));
        assert_eq!(book.other, counts(26), "nobody had ever read it");
        assert!(book.shares.is_empty());
        // It is put on sale again, with a lane of its own.
        assert_eq!(book.take(named, counts(2), true), Some(counts(2)));
    }
}
