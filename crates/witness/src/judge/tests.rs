//! Hand-made histories: an honest one, and one lie at a time.

use super::{Kind, Terms, Testimonies, Violation, judge};
use crate::gate::{Gate, Hold, Stock};
use crate::log::{Log, Record, State};
use crate::view::{LedgerRow, View, ViewOrder, ViewPayment, ViewSku};
use crate::{Settled, SettledTold, Told, ToldList};
use serde_json::{Value, json};

const SKU: u64 = 7;
const PRICE: u64 = 100;

/// A log of two partitions, written by hand.
#[derive(Default)]
struct Pen(Vec<Record>);

impl Pen {
    fn write(&mut self, partition: i32, value: &Value) -> &mut Self {
        let offset = self.0.iter().filter(|record| record.partition == partition).count() as i64;
        self.0.push(Record { partition, offset, payload: value.to_string().into_bytes() });
        self
    }

    fn event(&mut self, kind: &str, epoch: u64, order: u64, at_ms: u64) -> &mut Self {
        let mut event = json!({ "v": 1, "type": kind, "epoch": epoch, "atMs": at_ms, "order": wire(order) });
        if kind != "RESERVED" {
            event["seq"] = json!(9);
        }
        if kind == "CONFIRMED" {
            let (payment, paid) = (format!("pay-{order}"), order.to_string());
            event["payment"] = json!({ "paymentId": payment, "amountMinor": PRICE, "paidOrder": paid });
        }
        self.write(i32::from(order % 2 == 1), &event)
    }

    fn fence(&mut self, epoch: u64) -> &mut Self {
        let fence = json!({ "v": 1, "type": "FENCE", "epoch": epoch, "atMs": 1 });
        self.write(0, &fence).write(1, &fence)
    }

    fn log(&self) -> Log {
        Log::from_records(&self.0)
    }
}

/// Order n: reserved at n * 100 ms by user n with key kn, one unit, for 1,000 ms.
fn wire(order: u64) -> Value {
    let text = order.to_string();
    json!({ "orderId": text, "reservationId": text, "userId": text, "skuId": SKU.to_string(), "quantity": 1,
        "unitPriceMinor": PRICE, "seq": order, "idempotencyKey": format!("k{order}"),
        "reservedAtMs": order * 100, "expiresAtMs": order * 100 + 1_000 })
}

fn told(order: u64) -> Told {
    let at = order * 100;
    Told {
        user_id: order,
        sku_id: SKU,
        quantity: 1,
        key: format!("k{order}"),
        order_id: order,
        reservation_id: order,
        expires_at_ms: at + 1_000,
        at_ms: at + 1,
    }
}

struct World {
    told: ToldList,
    pen: Pen,
    log: Log,
    view: View,
    gate: Gate,
    sold_out: bool,
}

/// Capacity 2. Order 1 is paid, order 2 cancelled, order 3 expires, order 4 is paid: sold out in the end.
fn honest() -> World {
    let mut pen = Pen::default();
    pen.event("RESERVED", 1, 1, 100).event("RESERVED", 1, 2, 200).event("CONFIRMED", 1, 1, 250);
    pen.event("CANCELLED", 1, 2, 280).event("RESERVED", 1, 3, 300).fence(2).event("EXPIRED", 2, 3, 1_300);
    pen.event("RESERVED", 2, 14, 1_400).event("CONFIRMED", 2, 14, 1_500);
    let settle = |order_id: u64, settled| SettledTold {
        order_id,
        payment_id: matches!(settled, Settled::Confirmed { .. }).then(|| format!("pay-{order_id}")),
        settled,
        asked_ms: order_id * 100 + 50,
        at_ms: order_id * 100 + 90,
    };
    let told = ToldList {
        told: [1, 2, 3, 14].map(told).to_vec(),
        settled: vec![
            settle(1, Settled::Confirmed { order_id: 1 }),
            settle(2, Settled::Cancelled),
            settle(14, Settled::Confirmed { order_id: 14 }),
        ],
        cancels_asked: vec![(2, 250)],
        denied: Vec::new(),
    };
    let mut world = World { told, log: pen.log(), pen, view: View::default(), gate: Gate::default(), sold_out: true };
    world.project();
    world
}

impl World {
    /// MySQL and Redis as they should be for this log.
    fn project(&mut self) {
        self.log = self.pen.log();
        let (log, view) = (&self.log, &mut self.view);
        *view = View { applied: log.ends.clone(), ..View::default() };
        view.skus.insert(SKU, ViewSku { capacity: 2, per_user: 1 });
        let mut stock = Stock { epoch: "2".into(), capacity: 2, available: 2, ..Stock::default() };
        for (id, order) in &log.orders {
            view.orders.insert(*id, ViewOrder { terms: order.terms.clone(), state: order.state });
            let mut row = |reason: &str, delta| {
                view.ledger.push(LedgerRow { order_id: *id, sku_id: SKU, reason: reason.into(), delta });
            };
            row("RESERVED", -1);
            match order.state {
                State::Reserved => {}
                State::Confirmed => row("CONFIRMED", 0),
                State::Cancelled => row("CANCELLED", 1),
                State::Expired => row("EXPIRED", 1),
            }
            if order.state.occupies() {
                stock.buyers.insert(order.terms.user_id, 1);
                stock.available -= 1;
            }
            if order.state == State::Reserved {
                stock.held += 1;
                stock.holds.insert(*id, Hold { units: 1, user_id: *id, key: format!("k{id}") });
            }
            if let Some(paid) = &order.paid {
                stock.sold += 1;
                let payment = ViewPayment {
                    paid_order: paid.paid_order,
                    order_id: Some(*id),
                    amount_minor: paid.amount_minor,
                    status: "CAPTURED".into(),
                };
                view.payments.insert(paid.payment_id.clone(), payment);
            }
        }
        self.gate.stocks.insert(SKU, stock);
    }

    fn judge(&self) -> Vec<Violation> {
        let due = self.log.ends.clone();
        self.judge_by(&Terms { sold_out: self.sold_out, due, ..Terms::default() })
    }

    fn judge_by(&self, terms: &Terms) -> Vec<Violation> {
        let applied = Log::until(&self.pen.0, &self.view.applied).unwrap_or_else(|| self.log.clone());
        let Self { told, log, view, gate, .. } = self;
        judge(Testimonies { told, log, applied: &applied, view, gate: Some(gate) }, terms)
    }

    #[track_caller]
    fn is_caught(&self, kind: Kind) {
        let found = self.judge();
        assert!(found.iter().any(|violation| violation.kind == kind), "{kind:?} is not among {found:#?}");
    }

    fn stock(&mut self) -> &mut Stock {
        self.gate.stocks.get_mut(&SKU).unwrap()
    }
}

#[test]
fn an_honest_history_is_clean() {
    assert_eq!(honest().judge(), []);
}

#[test]
fn a_third_unit_of_two_in_the_log() {
    let mut world = honest();
    world.pen.event("RESERVED", 2, 15, 1_500);
    world.project();
    world.is_caught(Kind::Oversold);
}

#[test]
fn a_unit_sold_again_before_it_had_come_back() {
    let mut world = honest();
    // In the end it is all right: 2 is cancelled at 280. But 16 (here reserved at 260) had it before.
    let mut early = wire(16);
    early["reservedAtMs"] = json!(260);
    let event = |kind: &str, at_ms: u64| json!({ "v": 1, "type": kind, "epoch": 1, "atMs": at_ms, "order": early });
    let mut records = Pen::default();
    records.write(0, &event("RESERVED", 260));
    let mut end = event("EXPIRED", 270);
    end["seq"] = json!(9);
    records.write(0, &end);
    for record in &mut world.pen.0 {
        record.offset += if record.partition == 0 { 2 } else { 0 };
    }
    world.pen.0.splice(0..0, records.0);
    world.project();
    world.is_caught(Kind::Oversold);
}

#[test]
fn buyers_were_told_more_than_there_is_although_the_log_looks_right() {
    let mut world = honest();
    // The log forgot that they overlapped.
    world.told.told[2].at_ms = 210;
    world.told.cancels_asked = vec![(2, 400)];
    world.is_caught(Kind::Oversold);
}

#[test]
fn more_in_mysql_than_exists() {
    let mut world = honest();
    world.view.skus.get_mut(&SKU).unwrap().capacity = 1;
    world.is_caught(Kind::Oversold);
}

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
fn a_payment_with_two_fates() {
    let mut world = honest();
    let payment = json!({ "paymentId": "pay-1", "amountMinor": PRICE, "paidOrder": "1" });
    let refund = json!({ "v": 1, "type": "REFUND_PENDING", "epoch": 2, "atMs": 9, "order": wire(1),
        "payment": payment, "reason": "EXPIRED" });
    world.pen.write(1, &refund);
    world.project();
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

#[test]
fn two_orders_for_one_key() {
    let mut world = honest();
    world.log.orders.get_mut(&3).unwrap().terms.user_id = 1;
    world.log.orders.get_mut(&3).unwrap().terms.key = "k1".into();
    world.is_caught(Kind::Duplicate);
}

#[test]
fn more_than_the_cap_for_one_buyer() {
    let mut world = honest();
    for id in [1, 2] {
        world.log.orders.get_mut(&id).unwrap().terms.user_id = 99;
    }
    world.is_caught(Kind::Cap);
}

#[test]
fn a_unit_that_never_comes_back() {
    let mut world = honest();
    world.pen.0.retain(|record| !String::from_utf8_lossy(&record.payload).contains("\"14\""));
    world.told.told.retain(|told| told.order_id != 14);
    world.told.settled.retain(|told| told.order_id != 14);
    world.project();
    world.is_caught(Kind::Stuck);
    world.sold_out = false;
    assert_eq!(world.judge(), [], "nothing is stuck if nobody has tried to buy it");
}

#[test]
fn redis_that_counts_differently() {
    let lies: [fn(&mut Stock); 7] = [
        |stock| stock.available += 1,
        |stock| stock.sold -= 1,
        |stock| stock.held += 1,
        |stock| _ = stock.settling.insert(3, 3),
        |stock| _ = stock.holds.insert(3, Hold { units: 0, user_id: 3, key: "k3".into() }),
        |stock| _ = stock.buyers.insert(3, 1),
        |stock| stock.epoch = "closed:3".into(),
    ];
    for lie in lies {
        let mut world = honest();
        lie(world.stock());
        world.is_caught(Kind::Stuck);
    }
}

#[test]
fn a_reserved_order_without_its_hold() {
    let mut world = honest();
    world.pen.0.retain(|record| !String::from_utf8_lossy(&record.payload).contains("pay-14"));
    world.told.settled.pop();
    world.project();
    assert_eq!(world.judge(), []);
    world.stock().holds.clear();
    world.is_caught(Kind::Stuck);
}

#[test]
fn a_projection_that_stands_still() {
    let mut world = honest();
    world.view.applied.insert(0, 1);
    world.is_caught(Kind::Stuck);
}

#[test]
fn an_order_that_only_mysql_has() {
    let mut world = honest();
    let order = world.view.orders[&1].clone();
    world.view.orders.insert(77, order);
    world.is_caught(Kind::Divergence);
}

#[test]
fn a_ledger_with_a_row_too_few_or_too_many() {
    let mut world = honest();
    world.view.ledger.pop();
    world.is_caught(Kind::Ledger);
    let mut world = honest();
    world.view.ledger.push(LedgerRow { order_id: 88, sku_id: SKU, reason: "EXPIRED".into(), delta: 1 });
    world.is_caught(Kind::Ledger);
}

#[test]
fn an_order_that_ends_twice_and_a_record_that_is_none() {
    let mut world = honest();
    world.pen.event("EXPIRED", 2, 14, 3_000);
    world.project();
    world.is_caught(Kind::Nonsense);
    let mut world = honest();
    world.pen.write(0, &json!({ "v": 1, "type": "RESERVED" }));
    world.project();
    world.is_caught(Kind::Nonsense);
}

#[test]
fn mysql_is_compared_with_the_log_as_far_as_it_has_applied_it() {
    let mut world = honest();
    let view = world.view.clone();
    // The log goes on, MySQL does not yet: unless it has had its time, that is no contradiction.
    world.pen.event("EXPIRED", 2, 14, 3_000).event("RESERVED", 2, 15, 1_500);
    world.log = world.pen.log();
    world.view = view;
    world.log.nonsense.clear();
    let until = Terms { known_until_ms: [(SKU, 1_450)].into(), ..Terms::default() };
    assert_eq!(world.judge_by(&until), []);
    // Decided later than the log is known, or not: that decides whether it is one unit too many.
    let known = world.judge_by(&Terms::default());
    assert!(known.iter().any(|violation| violation.kind == Kind::Oversold), "{known:#?}");
    let due = world.judge_by(&Terms { due: world.log.ends.clone(), ..until });
    assert!(due.iter().all(|violation| violation.kind == Kind::Stuck) && !due.is_empty(), "{due:#?}");
    // What MySQL has applied and does not have is missing, however far the log is.
    world.view.orders.remove(&3);
    world.is_caught(Kind::Lost);
}

#[test]
fn a_log_that_is_shorter_than_what_was_applied() {
    let mut world = honest();
    *world.view.applied.get_mut(&1).unwrap() += 1;
    world.is_caught(Kind::Divergence);
}

#[test]
fn a_stock_that_moves_is_compared_with_itself_alone() {
    let mut world = honest();
    world.stock().sold -= 1;
    let moving = Terms { moving: [SKU].into(), ..Terms::default() };
    assert!(!world.judge_by(&moving).is_empty(), "it does not add up");
    world.stock().available += 1;
    assert_eq!(world.judge_by(&moving), []);
    world.is_caught(Kind::Stuck);
}
