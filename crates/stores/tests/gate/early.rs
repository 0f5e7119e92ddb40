//! Giving a hold back before its end, against a buyer who asks again: whichever of the two is first in Redis wins, and the
//! other one hears of it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{Bench, Stand, TERMS, ask};
use flash_core::order::OrderState;
use flash_core::stock::{Ask, Decision, Hold};
use flash_stores::redis::{Early, StockError};
use std::time::Duration;

/// Redis' clock may step back by so much (`lua/claim.lua`).
const CLOCK_MARGIN_MS: u64 = 60_000;

async fn decided(stand: &Stand<'_>, ask: &Ask) -> Decision {
    stand.reserve(std::slice::from_ref(ask)).await.unwrap().decisions.remove(0)
}

async fn win(stand: &Stand<'_>, ask: &Ask) -> Hold {
    match decided(stand, ask).await {
        Decision::Won(hold) => hold,
        other => panic!("{other:?} instead of a win"),
    }
}

async fn take(stand: &Stand<'_>, hold: &Hold, since_ms: u64) -> Result<Early, StockError> {
    stand.gate.take_early(&stand.keys, &stand.fence, hold, since_ms).await
}

#[tokio::test]
async fn a_hold_that_was_given_as_an_answer_since_the_cut_is_left_alone() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    let (first, second, third) = (ask(1, 2, "a:b"), ask(2, 1, "k"), ask(3, 1, "k"));
    let (forgotten, before, since) = (win(&stand, &first).await, win(&stand, &second).await, win(&stand, &third).await);
    assert_eq!(decided(&stand, &second).await, Decision::Replayed(before.clone()));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let audited = stand.gate.audit(&stand.keys, &stand.fence).await.unwrap();
    assert!(audited.has_opened_seq);
    let books = audited.books;
    assert_eq!((books.seq, books.opened_seq, books.held, books.hold_units), (3, 0, 4, Some(4)));
    assert_eq!((books.holds, books.holds_by_expiry, books.first_settling_ms), (3, 3, 0));
    assert_eq!(decided(&stand, &third).await, Decision::Replayed(since.clone()));

    assert_eq!(take(&stand, &since, books.now_ms).await.unwrap(), Early::Retried);
    // As if the clock had stepped back by the whole margin behind the cut.
    let later = books.now_ms + CLOCK_MARGIN_MS;
    assert_eq!(take(&stand, &since, later).await.unwrap(), Early::Retried);
    // Asked again a moment before the cut: nobody can tell that from behind it.
    assert_eq!(take(&stand, &before, books.now_ms).await.unwrap(), Early::Retried);
    // Asked again long before the cut: whatever that has led to is in the log or never will be.
    for (hold, asked) in [(&forgotten, &first), (&before, &second)] {
        let Early::Begun(settlement) = take(&stand, hold, later).await.unwrap() else { panic!("{hold:?}") };
        assert_eq!((settlement.state, &settlement.hold), (OrderState::Expired, hold));
        // Who asks from now on is told that it is over, before and after the log knows.
        assert_eq!(decided(&stand, asked).await, Decision::Expired);
        stand.gate.finish(&stand.keys, &stand.fence, &[&settlement]).await.unwrap();
        assert_eq!(decided(&stand, asked).await, Decision::Expired);
        assert_eq!(take(&stand, hold, later).await.unwrap(), Early::Gone);
    }
    let counters = stand.snapshot().await.counters;
    assert_eq!((counters.available, counters.held, counters.closing, counters.seq), (9, 1, 0, 5));
}

#[tokio::test]
async fn only_the_very_hold_that_was_meant_is_taken_and_never_by_another_epoch() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    let hold = win(&stand, &ask(1, 2, "k")).await;
    let other = Hold { seq: hold.seq + 1, ..hold.clone() };
    assert_eq!(take(&stand, &other, 0).await.unwrap(), Early::Gone);
    let mut fence = stand.fence.clone();
    fence.epoch.0 += 1;
    let fenced = stand.gate.take_early(&stand.keys, &fence, &hold, u64::MAX).await;
    assert!(matches!(fenced, Err(StockError::Fenced(_))), "{fenced:?}");
    assert_eq!(stand.snapshot().await.counters.held, 2);
}

#[tokio::test]
async fn an_audit_reads_what_was_written_by_hand() {
    let bench = Bench::start().await;
    let stand = bench.open(TERMS).await;
    let hold = win(&stand, &ask(1, 2, "k")).await;
    bench.raw::<i64>(&["HINCRBY", &stand.keys.stock, "available", "-20"]).await;
    bench.raw::<i64>(&["HSET", &stand.keys.stock, "sold", "many"]).await;
    bench.raw::<i64>(&["HDEL", &stand.keys.stock, "opened_seq"]).await;
    bench.raw::<i64>(&["DEL", &stand.keys.holds]).await;
    let audited = stand.gate.audit(&stand.keys, &stand.fence).await.unwrap();
    let books = audited.books;
    assert_eq!((books.available, books.sold, audited.has_opened_seq), (-12, 0, false));
    assert_eq!((books.holds, books.holds_by_expiry, books.first_expiry_ms), (1, 0, 0));
    let traces = stand.gate.traces(&stand.keys, |_| true, |_| true).await.unwrap();
    assert_eq!((traces.holds, traces.settlements), (vec![hold.clone()], vec![]));
    let unknown = flash_core::ids::OrderId::new(1);
    assert_eq!(stand.gate.knows(&stand.keys, &[unknown, hold.order_id]).await.unwrap(), [false, true]);
}
