//! Lies that were told to buyers.

use super::*;

#[test]
fn a_win_that_nobody_wrote_down() {
    let mut world = honest();
    world.told.told.push(told(20));
    world.is_caught(Kind::Lost);
}

#[test]
fn a_win_that_is_void() {
    let mut world = honest();
    world.pen.event("RESERVED", 1, 20, 2_000);
    world.told.told.push(told(20));
    world.project();
    assert_eq!((world.log.void_events, world.log.voided.len()), (1, 1));
    world.is_caught(Kind::Lost);
}

#[test]
fn a_win_that_only_the_log_knows() {
    let mut world = honest();
    world.view.orders.remove(&3);
    world.is_caught(Kind::Lost);
    world.is_caught(Kind::Divergence);
}

#[test]
fn a_win_that_became_another() {
    let mut world = honest();
    world.told.told[0].quantity = 2;
    world.is_caught(Kind::Lost);
}

#[test]
fn a_payment_that_was_told_and_lost() {
    let mut world = honest();
    world.pen.0.retain(|record| !String::from_utf8_lossy(&record.payload).contains("pay-14"));
    world.project();
    world.is_caught(Kind::Lost);
    world.is_caught(Kind::Money);
}

#[test]
fn a_refund_that_was_told_and_is_nowhere() {
    let mut world = honest();
    world.told.settled.push(SettledTold {
        order_id: 3,
        payment_id: Some("late".into()),
        settled: Settled::Refund,
        asked_ms: 1,
        at_ms: 2,
    });
    world.is_caught(Kind::Money);
}

#[test]
fn a_cancellation_that_was_told_and_expired_instead() {
    let mut world = honest();
    let mut told = world.told.settled[1].clone();
    told.order_id = 3;
    world.told.settled.push(told);
    world.is_caught(Kind::Lost);
}

#[test]
fn an_order_that_was_told_and_then_denied() {
    let mut world = honest();
    world.told.denied.push((3, 900));
    world.is_caught(Kind::Lost);
}

#[test]
fn one_key_two_answers() {
    let mut world = honest();
    let mut other = told(1);
    other.order_id = 3;
    world.told.told.push(other);
    world.is_caught(Kind::Key);
}
