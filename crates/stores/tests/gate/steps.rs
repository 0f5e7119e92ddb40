//! Random sales, and random things that happen to them.

use flash_core::limits::LANE_BATCH_MAX;
use proptest::collection::vec;
use proptest::prelude::*;

/// One purchase of a random batch: few users and few keys, so that they meet.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) user: u64,
    pub(crate) quantity: u32,
    /// `None`: a key of its own.
    pub(crate) key: Option<u8>,
    /// Only the answer that the key already has is wanted.
    pub(crate) replay_only: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Batch(Vec<Wish>),
    /// Time passes: buckets fill, holds end, the sale opens or closes.
    Wait(u64),
    WrongEpoch(Vec<Wish>),
    WrongReplid(Vec<Wish>),
    /// Redis forgets its scripts.
    ScriptFlush,
    /// The price changes.
    Price(u64),
    /// Somebody pays for one of the orders, perhaps too little, perhaps again, perhaps with another payment.
    Pay {
        order: usize,
        payment: u8,
        short: bool,
    },
    /// Somebody cancels one of the orders: its buyer, a stranger, or nobody in particular.
    Cancel {
        order: usize,
        who: Option<bool>,
    },
    /// A sweeper comes by. With no patience it takes over what another has just begun.
    Sweep {
        most: usize,
        takeover_ms: u64,
    },
    /// Settlements are finished, by whoever may or by whoever was overtaken.
    Finish {
        first: usize,
        count: usize,
        overtaken: bool,
    },
    /// More or fewer units exist.
    Capacity(u32),
}

/// How the SKU is sold. Times of the window are relative to the start of the case.
#[derive(Debug, Clone)]
pub(crate) struct Sale {
    pub(crate) capacity: u32,
    pub(crate) per_user: u32,
    pub(crate) hold_ms: u64,
    pub(crate) opens_in_ms: Option<u64>,
    pub(crate) closes_in_ms: Option<u64>,
    pub(crate) paused: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    let key = prop_oneof![2 => Just(None), 3 => (0..5_u8).prop_map(Some)];
    let replay_only = proptest::bool::weighted(0.1);
    (1..6_u64, 1..=10_u32, key, replay_only).prop_map(|(user, quantity, key, replay_only)| Wish {
        user,
        quantity,
        key,
        replay_only,
    })
}

/// Mostly single units, so that a case does not end after three purchases.
fn small_wish() -> impl Strategy<Value = Wish> {
    (wish(), prop_oneof![4 => Just(1_u32), 1 => 1..=3_u32]).prop_map(|(wish, quantity)| Wish { quantity, ..wish })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(prop_oneof![small_wish(), wish()], 1..12).prop_map(Step::Batch),
        2 => vec(small_wish(), 1..=LANE_BATCH_MAX).prop_map(Step::Batch),
        2 => (1..60_u64).prop_map(Step::Wait),
        1 => vec(wish(), 1..4).prop_map(Step::WrongEpoch),
        1 => vec(wish(), 1..4).prop_map(Step::WrongReplid),
        1 => Just(Step::ScriptFlush),
        1 => (0..1_000_000_u64).prop_map(Step::Price),
        8 => settling(),
    ]
}

fn settling() -> impl Strategy<Value = Step> {
    let pay = (0..400_usize, 0..3_u8, proptest::bool::weighted(0.1));
    let who = prop_oneof![1 => Just(None), 3 => Just(Some(true)), 1 => Just(Some(false))];
    let takeover_ms = prop_oneof![3 => Just(60_000_u64), 1 => Just(0_u64), 1 => Just(15_u64)];
    let finish = (0..8_usize, 1..40_usize, proptest::bool::weighted(0.2));
    prop_oneof![
        4 => pay.prop_map(|(order, payment, short)| Step::Pay { order, payment, short }),
        3 => (0..400_usize, who).prop_map(|(order, who)| Step::Cancel { order, who }),
        3 => (1..80_usize, takeover_ms).prop_map(|(most, takeover_ms)| Step::Sweep { most, takeover_ms }),
        3 => finish.prop_map(|(first, count, overtaken)| Step::Finish { first, count, overtaken }),
        1 => (1..500_u32).prop_map(Step::Capacity),
    ]
}

pub(crate) fn sale() -> impl Strategy<Value = Sale> {
    let capacity = prop_oneof![1..20_u32, 20..400_u32];
    let per_user = prop_oneof![1..12_u32, 12..200_u32];
    let hold_ms = prop_oneof![Just(15_u64), Just(300_000_u64)];
    let edge = || proptest::option::weighted(0.3, 0..80_u64);
    let paused = proptest::bool::weighted(0.05);
    (capacity, per_user, hold_ms, edge(), edge(), paused).prop_map(
        |(capacity, per_user, hold_ms, opens_in_ms, closes_in_ms, paused)| Sale {
            capacity,
            per_user,
            hold_ms,
            opens_in_ms,
            closes_in_ms,
            paused,
        },
    )
}
