//! The figures of one SKU, in O(n log n).

use super::{Decided, Figures};

/// The figures of the purchases of one SKU. `share` is the share of the purchases that were kept (see
/// [`super::Sampling`]); skips are divided by it. Order and completeness of the records do not matter.
#[must_use]
pub fn figures(records: &[Decided], share: f64) -> Figures {
    let mut winners: Vec<(u64, u64)> = records.iter().filter(|r| r.won).map(|r| (r.arrived_us, r.decided_us)).collect();
    let losers: Vec<&Decided> = records.iter().filter(|r| !r.won).collect();
    // Where two arrived at the same microsecond the order between them means nothing: sorted by decision, they never invert.
    winners.sort_unstable();
    let skips = skips(&winners);
    let count = winners.len() as u64;
    let pairs = count * count.saturating_sub(1) / 2;
    let inversions: u64 = skips.iter().sum();
    let mut sorted = skips;
    sorted.sort_unstable();
    let scaled = |skip: u64| scale(skip, share);
    let overtaken: Vec<u64> = losers.iter().filter_map(|loser| overtaken_by_us(loser, &winners)).collect();
    let earlier = overtaken.len() as u64;
    let first_loser_us = losers.iter().map(|loser| loser.arrived_us).min();
    let jumped = first_loser_us.map_or(0, |first| winners.iter().filter(|winner| winner.0 > first).count() as u64);
    Figures {
        winners: count,
        losers: losers.len() as u64,
        pairs,
        inversions,
        inversion_rate: ratio(inversions, pairs),
        p99_skip: sorted.get(rank(sorted.len(), 99)).copied().map_or(0, scaled),
        max_skip: sorted.last().copied().map_or(0, scaled),
        epsilon_us: epsilon_us(&winners),
        earlier_losers: earlier,
        earlier_loser_share: ratio(earlier, losers.len() as u64),
        loser_epsilon_us: overtaken.into_iter().max().unwrap_or(0),
        jump_ratio: ratio(jumped, count),
    }
}

impl Figures {
    /// Adds another SKU's figures: counts are summed, extremes kept, rates computed anew. The p99 of the skips is the
    /// larger one of the two, an upper bound.
    pub(crate) fn join(&mut self, other: &Self) {
        let jumped = self.jump_ratio * self.winners as f64 + other.jump_ratio * other.winners as f64;
        self.winners += other.winners;
        self.losers += other.losers;
        self.pairs += other.pairs;
        self.inversions += other.inversions;
        self.earlier_losers += other.earlier_losers;
        self.p99_skip = self.p99_skip.max(other.p99_skip);
        self.max_skip = self.max_skip.max(other.max_skip);
        self.epsilon_us = self.epsilon_us.max(other.epsilon_us);
        self.loser_epsilon_us = self.loser_epsilon_us.max(other.loser_epsilon_us);
        self.inversion_rate = ratio(self.inversions, self.pairs);
        self.earlier_loser_share = ratio(self.earlier_losers, self.losers);
        self.jump_ratio = if self.winners == 0 { 0.0 } else { jumped / self.winners as f64 };
    }
}

/// How much later the last of those winners arrived who came while this loser was waiting for the answer. Who came after that
/// answer took nothing from the loser: a unit must have come back.
fn overtaken_by_us(loser: &Decided, winners: &[(u64, u64)]) -> Option<u64> {
    let before = winners.partition_point(|winner| winner.0 < loser.decided_us);
    let latest = winners[..before].last()?;
    latest.0.checked_sub(loser.arrived_us).filter(|later| *later > 0)
}

/// For every winner, in order of arrival: how many arrived later and were decided earlier. Fenwick tree over the decisions,
/// filled from the last arrival to the first.
fn skips(winners: &[(u64, u64)]) -> Vec<u64> {
    let mut decisions: Vec<u64> = winners.iter().map(|w| w.1).collect();
    decisions.sort_unstable();
    decisions.dedup();
    let mut tree = vec![0_u64; decisions.len() + 1];
    let mut skips = vec![0; winners.len()];
    for (index, (_, decided)) in winners.iter().enumerate().rev() {
        // Places below this decision hold later arrivals that were decided strictly earlier.
        let place = decisions.partition_point(|d| d < decided);
        skips[index] = sum_below(&tree, place);
        add(&mut tree, place);
    }
    skips
}

fn sum_below(tree: &[u64], mut place: usize) -> u64 {
    let mut sum = 0;
    while place > 0 {
        sum += tree[place];
        place &= place - 1;
    }
    sum
}

fn add(tree: &mut [u64], place: usize) {
    let mut at = place + 1;
    while at < tree.len() {
        tree[at] += 1;
        at += at & at.wrapping_neg();
    }
}

/// The longest time between the arrivals of two winners who were decided in the wrong order. For every winner, the earliest
/// earlier arrival that was decided later: walking by arrival, keep those whose decision is later than all before –
/// their decisions grow, so the first one later than the current decision is found by bisection.
fn epsilon_us(winners: &[(u64, u64)]) -> u64 {
    let mut stairs: Vec<(u64, u64)> = Vec::new();
    let mut longest = 0;
    for (arrived, decided) in winners.iter().copied() {
        let at = stairs.partition_point(|stair| stair.1 <= decided);
        match stairs.get(at) {
            Some(stair) => longest = longest.max(arrived - stair.0),
            None => stairs.push((arrived, decided)),
        }
    }
    longest
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Index of a percentile in a sorted list.
fn rank(len: usize, percent: usize) -> usize {
    (len * percent).div_ceil(100).saturating_sub(1)
}

fn scale(skip: u64, share: f64) -> u64 {
    if share >= 1.0 || share <= 0.0 {
        return skip;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count divided by a share above 0")]
    let scaled = (skip as f64 / share).round() as u64;
    scaled
}

#[cfg(test)]
mod tests;
