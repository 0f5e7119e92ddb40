use flash_core::order::OrderState;
use flash_loadgen::{Code, Conflict, Doubt, Finished, Report, Told, key_text};
use flash_stores::mysql::audit::{AuditedOrder, SkuStock};

use super::*;

const KEY: u64 = 5_000_000_000_000_000;

fn told(number: u64) -> Told {
    Told {
        order_id: 100 + number,
        reservation_id: 200 + number,
        user_id: KEY + number,
        key: KEY + number,
        sku_id: 1,
        quantity: 1,
    }
}

fn row(told: &Told) -> AuditedOrder {
    AuditedOrder {
        order_id: told.order_id,
        reservation_id: told.reservation_id,
        user_id: told.user_id,
        sku_id: told.sku_id,
        quantity: u32::from(told.quantity),
        state: OrderState::Reserved,
        idempotency_key: key_text(told.key),
    }
}

fn finished(orders: u64) -> Finished {
    let report = Report { skus: vec!["1".parse().unwrap()], ..Report::default() };
    Finished { report, told: (0..orders).map(told).collect(), doubts: vec![], conflicts: vec![] }
}

fn stock(capacity: u64, live_units: u64) -> Vec<SkuStock> {
    vec![SkuStock { sku_id: 1, name: "A".to_owned(), capacity, live_units }]
}

/// The verdict when MySQL holds `rows` and the SKU has sold `live` of `capacity`.
fn verdict(finished: &Finished, rows: &[AuditedOrder], capacity: u64, live: u64) -> Verdict {
    let mut judge = Judge::new(finished);
    rows.iter().for_each(|row| judge.see(row));
    judge.finish(&stock(capacity, live), true, 0)
}

#[test]
fn a_clean_run_is_clean() {
    let finished = finished(3);
    let rows: Vec<_> = finished.told.iter().map(row).collect();
    let verdict = verdict(&finished, &rows, 3, 3);
    assert!(verdict.clean, "{verdict:?}");
    assert_eq!((verdict.capacity, verdict.told, verdict.in_mysql), (3, 3, 3));
}

#[test]
fn an_oversell_is_found_whether_or_not_mysql_has_it() {
    let finished = finished(3);
    let rows: Vec<_> = finished.told.iter().map(row).collect();
    assert_eq!(verdict(&finished, &rows, 2, 3).oversold, 1);
    let lost_too = verdict(&finished, &rows[..2], 2, 2);
    assert_eq!((lost_too.oversold, lost_too.lost), (1, 1));
    // Others have bought before this run.
    assert_eq!(verdict(&finished, &rows, 10, 11).oversold, 1);
}

#[test]
fn a_lost_win_is_a_breach_only_after_the_wait() {
    let finished = finished(2);
    let mut judge = Judge::new(&finished);
    judge.see(&row(&finished.told[0]));
    assert_eq!(judge.missing(), 1);
    let cut_short = judge.finish(&stock(5, 1), false, 0);
    assert_eq!((cut_short.lost, cut_short.is_breach(), cut_short.clean), (1, false, false));
    let waited = verdict(&finished, &[row(&finished.told[0])], 5, 1);
    assert!(waited.is_breach() && waited.findings[0].kind == "LOST");
}

#[test]
fn duplicates_of_every_kind_are_found() {
    // MySQL: a second order under a told key, and two under one untold key.
    let mut run = finished(1);
    run.doubts = vec![Doubt { user_id: KEY + 9, key: KEY + 9, sku_id: 1, refused: None }];
    let second = AuditedOrder { order_id: 999, ..row(&run.told[0]) };
    let untold = row(&told(9));
    let untold_again = AuditedOrder { order_id: 998, ..untold.clone() };
    let found = verdict(&run, &[row(&run.told[0]), second, untold, untold_again], 10, 4);
    assert_eq!((found.duplicate, found.unannounced, found.phantom), (2, 1, 0));
    // Told: one order for two keys, and two orders for one key.
    let mut run = finished(2);
    run.told[1].order_id = run.told[0].order_id;
    run.conflicts = vec![Conflict { first: run.told[0], second: Some((7, 8)), code: Code::Won }];
    assert_eq!(Judge::new(&run).verdict.duplicate, 2);
}

#[test]
fn other_broken_promises_are_named() {
    let mut run = finished(1);
    run.conflicts = vec![Conflict { first: run.told[0], second: None, code: Code::SoldOut }];
    let wrong = AuditedOrder { quantity: 2, ..row(&run.told[0]) };
    let phantom = row(&told(5));
    let expired = AuditedOrder { state: OrderState::Expired, ..row(&told(6)) };
    let found = verdict(&run, &[wrong, phantom, expired], 10, 3);
    assert_eq!((found.mismatched, found.contradicted, found.phantom, found.unannounced), (1, 1, 1, 1));
    assert!(found.is_breach());
}

#[test]
fn an_unknown_sku_has_nothing_to_sell() {
    let run = finished(1);
    let mut judge = Judge::new(&run);
    judge.see(&row(&run.told[0]));
    // The row is there, so it is live, but no stock row says so.
    let found = judge.finish(&[], true, 0);
    assert_eq!((found.capacity, found.oversold), (0, 1));
}
