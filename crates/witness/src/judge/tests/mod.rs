//! Hand-made histories: an honest one, and one lie at a time.

mod stock;
mod told;
mod view;

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
        view.skus.insert(SKU, ViewSku::unchanged(2, 1));
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
                    user_id: order.terms.user_id,
                    paid_order: paid.paid_order,
                    order_id: Some(*id),
                    amount_minor: paid.amount_minor,
                    status: "CAPTURED".into(),
                };
                view.payments.insert(paid.payment_id.clone(), payment);
            }
        }
        for (payment_id, refund) in &log.refunds {
            let (paid_order, amount_minor) = (refund.paid_order, refund.amount_minor);
            let user_id = log.orders.get(&paid_order).map_or(0, |order| order.terms.user_id);
            let row =
                ViewPayment { user_id, paid_order, order_id: None, amount_minor, status: "REFUND_PENDING".into() };
            view.payments.insert(payment_id.clone(), row);
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
