//! The verdict on many cases, from facts made by hand.

use flash_core::{
    epoch::{EpochRecord, EpochState},
    event::{Body, Event, Order},
    ids::{Epoch, OrderId, ReservationId, SkuId, UserId},
    order::OrderState,
    payment::{Payment, PaymentId, RefundReason},
    settlement::Settlement,
    stock::Hold,
};
use flash_stores::{
    mysql::{
        offsets::PartitionPosition,
        orders::{LedgerRow, OrderRow},
        projection::PaymentRow,
        trace::VoidedEvent,
    },
    redis::{Fate, KeptFate, KeyAnswer, OrderTrace},
};
use flashd::dead_letters::{LetterStatus, Origin};

use super::{
    explain::explain,
    facts::{Facts, GateFacts, LetterFacts, LogEntry, LogFacts, ViewFacts},
    story::{Kind, Story, span},
    timeline::timeline,
};

const ID: u64 = 383_006_771_100_254_208;
const T0: u64 = 1_795_383_130_160;
const HOLD_MS: u64 = 300_000;

fn order() -> Order {
    Order {
        order_id: OrderId::new(ID),
        reservation_id: ReservationId::new(ID + 1),
        user_id: UserId::new(7),
        sku_id: SkuId::new(1),
        quantity: 2,
        unit_price_minor: 4_900,
        seq: 10,
        idempotency_key: "k".to_owned(),
        reserved_at_ms: T0,
        expires_at_ms: T0 + HOLD_MS,
    }
}

fn hold() -> Hold {
    let Order { order_id, reservation_id, user_id, quantity, unit_price_minor, seq, idempotency_key, .. } = order();
    Hold {
        order_id,
        reservation_id,
        user_id,
        quantity,
        unit_price_minor,
        seq,
        idempotency_key,
        reserved_at_ms: T0,
        expires_at_ms: T0 + HOLD_MS,
    }
}

fn row(state: OrderState) -> OrderRow {
    OrderRow { order: order(), state, epoch: Epoch(3), updated_at_ms: T0 + HOLD_MS }
}

fn ledger(reason: OrderState, offset: u64) -> LedgerRow {
    let delta = if reason == OrderState::Reserved { -2 } else { 2 };
    LedgerRow {
        order_id: OrderId::new(ID),
        reason,
        sku_id: SkuId::new(1),
        seq: 10,
        delta,
        epoch: Epoch(3),
        partition: 3,
        offset,
        at_ms: T0,
    }
}

fn event(state: OrderState, epoch: u64) -> Event {
    Event { epoch: Epoch(epoch), at_ms: T0, body: Body::Order { state, seq: 10, order: order(), payment: None } }
}

fn entry(offset: u64, event: Event) -> LogEntry {
    LogEntry { offset, timestamp_ms: T0, event: Ok(event) }
}

fn paid(refund: Option<RefundReason>, paid: u64, confirmed: Option<u64>) -> PaymentRow {
    let payment_id = PaymentId::parse("pi_1").unwrap();
    PaymentRow {
        payment: Payment { payment_id, amount_minor: 9_800, paid_order: OrderId::new(paid) },
        order_id: confirmed.map(OrderId::new),
        user_id: UserId::new(7),
        sku_id: SkuId::new(1),
        refund,
        epoch: Epoch(3),
        at_ms: T0 + 1,
    }
}

fn letter(status: LetterStatus) -> LetterFacts {
    let origin = Origin { topic: "order-events".to_owned(), partition: 3, offset: 100 };
    let action = (status != LetterStatus::Waiting).then(|| (T0, "ann".to_owned(), "a test".to_owned()));
    LetterFacts { origin, status, parked_at_ms: T0, error: "out of range".to_owned(), action }
}

/// A minute after the reservation; everything was asked, epoch 3 is open, the projector stands at offset 200, and nobody
/// knows the order.
fn facts() -> Facts {
    let position = PartitionPosition { partition: 3, next_offset: 200, fence_epoch: Epoch(3), applied_ms: T0 };
    let open = |epoch| EpochRecord { epoch: Epoch(epoch), state: EpochState::Open, replids: [].into(), at_ms: T0 - 5 };
    Facts {
        now_ms: T0 + 60_000,
        order_id: OrderId::new(ID),
        gate: Ok(GateFacts {
            sku_id: Some(SkuId::new(1)),
            trace: OrderTrace { stock_epoch: Some("3".to_owned()), ..OrderTrace::default() },
            ..GateFacts::default()
        }),
        view: Ok(ViewFacts { position: Some(position), currency: Some("EUR".to_owned()), ..ViewFacts::default() }),
        log: Ok(LogFacts { partition: 3, bounds: (0, 200), complete: true, ..LogFacts::default() }),
        letters: Ok(Vec::new()),
        epochs: Ok(vec![open(2), open(3)]),
    }
}

fn gate(facts: &mut Facts) -> &mut GateFacts {
    facts.gate.as_mut().unwrap()
}

fn view(facts: &mut Facts) -> &mut ViewFacts {
    facts.view.as_mut().unwrap()
}

fn log(facts: &mut Facts) -> &mut LogFacts {
    facts.log.as_mut().unwrap()
}

/// Reserved, recorded, projected and held.
fn bought() -> Facts {
    let mut facts = facts();
    view(&mut facts).order = Some(row(OrderState::Reserved));
    view(&mut facts).ledger = vec![ledger(OrderState::Reserved, 100)];
    log(&mut facts).entries = vec![entry(100, event(OrderState::Reserved, 3))];
    gate(&mut facts).trace.hold = Some(hold());
    facts
}

/// Reserved, and settled as `state`; Redis has let it go.
fn ended(state: OrderState) -> Facts {
    let mut facts = bought();
    view(&mut facts).order = Some(row(state));
    view(&mut facts).ledger.push(ledger(state, 120));
    log(&mut facts).entries.push(entry(120, event(state, 3)));
    gate(&mut facts).trace.hold = None;
    facts.now_ms = T0 + HOLD_MS + 60_000;
    facts
}

/// Its kind and the names of its contradictions.
fn verdict(facts: &Facts) -> (Kind, Vec<&'static str>) {
    let story = explain(facts);
    (story.kind, story.contradictions.iter().map(|found| found.name).collect())
}

fn says(story: &Story, words: &str) {
    assert!(story.stands.contains(words), "{words:?} is not in {:?}", story.stands);
}

#[test]
fn a_live_hold_says_until_when() {
    let facts = bought();
    let story = explain(&facts);
    assert_eq!(verdict(&facts), (Kind::Reserved, vec![]));
    says(&story, "2 units are held for the buyer until");
    says(&story, "(4m00s from now)");
    assert!(story.told.starts_with("The buyer was told yes (200)"));
}

#[test]
fn a_paid_order_names_its_payment() {
    let mut facts = ended(OrderState::Confirmed);
    view(&mut facts).payments = vec![paid(None, ID, Some(ID))];
    assert_eq!(verdict(&facts), (Kind::Sold, vec![]));
    says(&explain(&facts), "Paid by pi_1 with 98.00 EUR.");
    view(&mut facts).payments.clear();
    assert_eq!(verdict(&facts), (Kind::Sold, vec!["CONFIRMED_UNPAID"]));
}

#[test]
fn an_expired_order_says_after_how_long_and_where_the_units_are() {
    let mut facts = ended(OrderState::Expired);
    assert_eq!(verdict(&facts), (Kind::Expired, vec![]));
    says(&explain(&facts), "It expired unpaid after 5m00s; 2 units are back on sale.");
    gate(&mut facts).trace.closing = Some(closing(OrderState::Expired));
    assert_eq!(verdict(&facts), (Kind::Expired, vec![]));
    says(&explain(&facts), "on the way back on sale");
}

fn closing(state: OrderState) -> Settlement {
    Settlement { hold: hold(), state, token: "3-1".to_owned(), seq: 11, at_ms: T0 + HOLD_MS, payment: None }
}

#[test]
fn late_money_is_followed_to_the_other_order_or_back() {
    let other = ID + 4_096;
    let mut facts = ended(OrderState::Expired);
    view(&mut facts).payments = vec![paid(None, ID, Some(other))];
    let story = explain(&facts);
    says(&story, &format!("units were reserved again as order {other}"));
    assert_eq!((verdict(&facts).1, story.next), (vec![], vec![format!("flashctl why {other}")]));
    view(&mut facts).payments = vec![paid(Some(RefundReason::Expired), ID, None)];
    let story = explain(&facts);
    says(&story, "is to be given back: it came after the hold had expired");
    assert_eq!(story.next, [format!("flashctl payments --refund-pending --order {ID}")]);
    let mut facts = ended(OrderState::Confirmed);
    view(&mut facts).payments = vec![paid(None, other, Some(ID))];
    says(&explain(&facts), &format!("The buyer paid late for order {other}"));
}

#[test]
fn a_void_event_was_told_to_nobody() {
    let mut facts = facts();
    view(&mut facts).voided = vec![VoidedEvent {
        partition: 3,
        offset: 100,
        event_type: "RESERVED".to_owned(),
        epoch: Epoch(2),
        fence_epoch: Epoch(3),
        at_ms: T0,
    }];
    log(&mut facts).entries = vec![entry(100, event(OrderState::Reserved, 2))];
    let story = explain(&facts);
    assert_eq!(verdict(&facts), (Kind::Void, vec![]));
    says(&story, "was decided under epoch 2 and stands behind fence 3");
    assert!(story.told.starts_with("Nobody was told yes"));
    assert!(timeline(&facts).iter().any(|step| step.what == "RESERVED, void"));
}

#[test]
fn an_event_that_is_not_projected_yet_is_judged_by_the_fences_before_it() {
    let mut facts = facts();
    gate(&mut facts).trace.hold = Some(hold());
    log(&mut facts).entries = vec![entry(210, event(OrderState::Reserved, 3))];
    assert_eq!(verdict(&facts), (Kind::Reserved, vec![]));
    says(&explain(&facts), "not yet in MySQL");
    let fence = Event { epoch: Epoch(4), at_ms: T0, body: Body::Fence };
    log(&mut facts).entries.insert(0, entry(205, fence));
    gate(&mut facts).trace.hold = None;
    assert_eq!(verdict(&facts), (Kind::Void, vec![]));
    // A fence behind it voids nothing.
    log(&mut facts).entries[0].offset = 220;
    assert_eq!(verdict(&facts).0, Kind::Reserved);
}

#[test]
fn a_hold_without_an_event_is_young_or_an_orphan() {
    let mut facts = facts();
    gate(&mut facts).trace.hold = Some(hold());
    facts.now_ms = T0 + 5_000;
    assert_eq!(verdict(&facts), (Kind::Unrecorded, vec![]));
    says(&explain(&facts), "its event is still on its way");
    facts.now_ms = T0 + 60_000;
    assert_eq!(verdict(&facts), (Kind::Unrecorded, vec!["ORPHAN_HOLD"]));
    let story = explain(&facts);
    says(&story, "Asking again with key k records it; otherwise it expires at");
    assert!(story.told.starts_with("The buyer was not told yes"));
    assert_eq!(story.contradictions[0].next, "flashctl reconcile --sku 1 --fix");
    // In a Redis that is being filled it counts for nothing.
    gate(&mut facts).trace.stock_epoch = Some("closed:4".to_owned());
    assert_eq!(verdict(&facts), (Kind::Unrecorded, vec![]));
    says(&explain(&facts), "does not carry the open epoch");
    // And without the log nobody knows.
    facts.log = Err("away".to_owned());
    assert_eq!(verdict(&facts), (Kind::Unrecorded, vec![]));
    assert!(explain(&facts).told.starts_with("The log was not asked"));
}

#[test]
fn a_dead_letter_is_named_with_its_next_command() {
    let mut facts = facts();
    facts.letters = Ok(vec![letter(LetterStatus::Waiting)]);
    log(&mut facts).entries = vec![entry(100, event(OrderState::Reserved, 3))];
    gate(&mut facts).trace.hold = Some(hold());
    assert_eq!(verdict(&facts), (Kind::Parked, vec![]));
    assert_eq!(explain(&facts).next[1], "flashctl dlq replay 3/100 --why 'the cause is repaired'");
    facts.letters = Ok(vec![letter(LetterStatus::Dropped)]);
    says(&explain(&facts), "was given up by ann: a test");
    facts.letters = Ok(vec![letter(LetterStatus::Replayed)]);
    assert_eq!(verdict(&facts).1, ["MISSING_ORDER"]);
}

#[test]
fn an_order_the_projector_has_passed_is_missing() {
    let mut facts = facts();
    log(&mut facts).entries = vec![entry(100, event(OrderState::Reserved, 3))];
    assert_eq!(verdict(&facts), (Kind::Missing, vec!["MISSING_ORDER"]));
    facts.letters = Err("away".to_owned());
    assert_eq!(verdict(&facts).1, Vec::<&str>::new(), "it may be parked");
}

#[test]
fn a_hold_that_is_gone_is_a_contradiction_only_if_redis_counts() {
    let mut facts = bought();
    gate(&mut facts).trace.hold = None;
    assert_eq!(verdict(&facts).1, ["MISSING_HOLD"]);
    // Settled in the log already: MySQL is behind, and that is all.
    log(&mut facts).entries.push(entry(210, event(OrderState::Expired, 3)));
    assert_eq!(verdict(&facts), (Kind::Expired, vec![]));
    says(&explain(&facts), "MySQL still says RESERVED");
    log(&mut facts).entries.pop();
    for mark in [None, Some("loading:4".to_owned()), Some("2".to_owned())] {
        gate(&mut facts).trace.stock_epoch = mark;
        assert_eq!(verdict(&facts).1, Vec::<&str>::new());
    }
    facts.gate = Err("away".to_owned());
    assert_eq!(verdict(&facts), (Kind::Reserved, vec![]));
}

#[test]
fn holds_that_nobody_takes_back_and_holds_of_ended_orders_are_named() {
    let mut facts = bought();
    facts.now_ms = T0 + HOLD_MS + 20_000;
    assert_eq!(verdict(&facts).1, Vec::<&str>::new(), "a sweeper has 30 s");
    facts.now_ms = T0 + HOLD_MS + 40_000;
    assert_eq!(verdict(&facts).1, ["EXPIRED_NOT_RELEASED"]);
    let mut facts = ended(OrderState::Cancelled);
    gate(&mut facts).trace.hold = Some(hold());
    assert_eq!(verdict(&facts).1, ["COUNTER_DRIFT"]);
    gate(&mut facts).trace.hold = None;
    gate(&mut facts).trace.closing = Some(closing(OrderState::Expired));
    assert_eq!(verdict(&facts).1, ["COUNTER_DRIFT"]);
}

#[test]
fn rows_that_differ_from_the_log_are_named() {
    let mut facts = bought();
    log(&mut facts).gone = vec![100];
    log(&mut facts).entries.clear();
    assert_eq!(verdict(&facts).1, ["LOG_DIFFERS"]);
    log(&mut facts).bounds = (150, 200);
    assert_eq!(verdict(&facts).1, Vec::<&str>::new(), "the log does not reach back so far");
    let mut facts = bought();
    view(&mut facts).ledger.clear();
    assert_eq!(verdict(&facts).1, ["LEDGER_MISSING"]);
    let mut facts = bought();
    view(&mut facts).order.as_mut().unwrap().order.quantity = 3;
    assert_eq!(verdict(&facts).1, ["ROW_DIFFERS"]);
}

#[test]
fn one_key_and_one_payment_have_one_answer() {
    let mut facts = bought();
    let answer = |order_id, epoch| KeyAnswer {
        epoch: Epoch(epoch),
        quantity: 2,
        order_id: OrderId::new(order_id),
        settled: None,
    };
    gate(&mut facts).answer = Some(answer(ID, 3));
    assert_eq!(verdict(&facts).1, Vec::<&str>::new());
    gate(&mut facts).answer = Some(answer(ID + 1, 3));
    assert_eq!(verdict(&facts).1, ["KEY_OF_ANOTHER"]);
    gate(&mut facts).answer = Some(answer(ID + 1, 2));
    assert_eq!(verdict(&facts).1, Vec::<&str>::new(), "an answer of another epoch does not count");
    let mut facts = ended(OrderState::Confirmed);
    let payment = paid(None, ID, Some(ID));
    let kept =
        |fate| (payment.payment.payment_id.clone(), KeptFate { epoch: Epoch(3), order_id: OrderId::new(ID), fate });
    view(&mut facts).payments = vec![payment.clone()];
    gate(&mut facts).fates = vec![kept(Fate::Confirmed(9_800))];
    assert_eq!(verdict(&facts).1, Vec::<&str>::new());
    gate(&mut facts).fates = vec![kept(Fate::Refunded(RefundReason::Expired))];
    assert_eq!(verdict(&facts).1, ["PAYMENT_DIFFERS"]);
}

#[test]
fn what_nobody_knows_is_unknown() {
    let mut facts = facts();
    assert_eq!(verdict(&facts), (Kind::Unknown, vec![]));
    facts.view = Err("away".to_owned());
    facts.gate = Err("away".to_owned());
    assert_eq!(verdict(&facts), (Kind::Unknown, vec![]));
    assert_eq!(facts.not_asked().len(), 2);
}

#[test]
fn steps_are_in_order_of_time() {
    let mut facts = ended(OrderState::Expired);
    facts.letters = Ok(vec![letter(LetterStatus::Dropped)]);
    let steps = timeline(&facts);
    assert!(steps.is_sorted_by_key(|step| step.at_ms), "{steps:?}");
    assert_eq!(steps[0].what, "order id drawn");
}

#[test]
fn spans_are_for_people() {
    assert_eq!(
        [0, 59_999, 60_000, 300_000, 3_600_000, 90_000_000].map(span),
        ["0s", "59s", "1m00s", "5m00s", "1h00m", "25h00m"]
    );
}
