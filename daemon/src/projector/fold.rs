//! Folding a batch into rows. Pure: log entries and known states in, rows out. The one state machine in `core` decides
//! which transition counts; this module only says what a counted transition leaves behind.
//!
//! Invariant kept: an order has a row exactly when it has a `RESERVED` ledger row, and the deltas of an order's ledger rows
//! sum up to minus the units it occupies.

use super::batch::Entry;
use super::position::Positions;
use flash_core::event::{Body, Event, Order};
use flash_core::fence::rules::is_void;
use flash_core::ids::OrderId;
use flash_core::order::OrderState;
use flash_core::payment::{Payment, RefundReason};
use flash_stores::mysql::orders::{LedgerRow, OrderRow};
use flash_stores::mysql::projection::{Advance, PaymentRow, Rows, VoidedOrder, VoidedRow};
use std::collections::{BTreeMap, HashMap};

/// One counted event of an order.
struct Change<'a> {
    entry: &'a Entry,
    event: &'a Event,
    state: OrderState,
    /// Sequence number of this change of stock.
    seq: u64,
    order: &'a Order,
    payment: Option<&'a Payment>,
}

/// A batch sorted into what moves, what is void and what each order went through.
pub(super) struct Fold<'a> {
    pub(super) advances: Vec<Advance>,
    voided: Vec<VoidedRow>,
    refunds: Vec<PaymentRow>,
    /// By order, each order's events in log order.
    changes: Vec<Change<'a>>,
}

impl<'a> Fold<'a> {
    /// Walks the entries in log order, moving the fence of each partition along.
    pub(super) fn new(entries: &'a [Entry], positions: &Positions) -> Self {
        let mut advances: BTreeMap<i32, Advance> = BTreeMap::new();
        let (mut voided, mut refunds) = (Vec::new(), Vec::new());
        let mut changes = Vec::with_capacity(entries.len());
        for entry in entries {
            let advance = advances.entry(entry.partition).or_insert_with(|| start(entry, positions));
            advance.to = entry.offset + 1;
            advance.applied_ms = entry.timestamp_ms;
            let Ok(event) = &entry.event else { continue };
            match &event.body {
                _ if is_void(event.epoch, advance.fence_epoch) => voided.push(void(entry, event, advance)),
                Body::Fence => advance.fence_epoch = event.epoch,
                Body::Order { state, seq, order, payment } => {
                    let (state, seq, payment) = (*state, *seq, payment.as_ref());
                    changes.push(Change { entry, event, state, seq, order, payment });
                }
                Body::Refund { order, payment, reason } => refunds.push(refund(event, order, payment, *reason)),
            }
        }
        // Stable, so the events of one order stay in log order. Rows sorted by key are cheaper to insert and deadlock less.
        changes.sort_by_key(|change| change.order.order_id);
        Self { advances: advances.into_values().collect(), voided, refunds, changes }
    }

    /// The orders whose present state decides what their events do. A batch of fresh reservations needs none: a
    /// reservation is written blindly, and a row that exists already stays as it is.
    pub(super) fn orders_to_look_up(&self) -> Vec<OrderId> {
        let settling =
            self.by_order().filter(|changes| changes.iter().any(|change| change.state != OrderState::Reserved));
        settling.filter_map(|changes| changes.first().map(|change| change.order.order_id)).collect()
    }

    /// How many events were void.
    pub(super) fn voided(&self) -> usize {
        self.voided.len()
    }

    /// How many events of orders are not void, by the state they carry, in the order of [`OrderState::ALL`].
    pub(super) fn events_by_state(&self) -> [u64; OrderState::ALL.len()] {
        OrderState::ALL.map(|state| self.changes.iter().filter(|change| change.state == state).count() as u64)
    }

    /// The rows, given the states of the orders that [`Fold::orders_to_look_up`] named and that exist.
    pub(super) fn rows(self, states: &HashMap<OrderId, OrderState>) -> Rows {
        let mut rows = Rows::default();
        rows.orders.reserve(self.changes.len());
        rows.ledger.reserve(self.changes.len());
        for changes in self.by_order() {
            fold_order(changes, states, &mut rows);
        }
        rows.payments.extend(self.refunds);
        rows.voided = self.voided;
        rows
    }

    fn by_order(&self) -> impl Iterator<Item = &[Change<'a>]> {
        self.changes.chunk_by(|left, right| left.order.order_id == right.order.order_id)
    }
}

fn start(entry: &Entry, positions: &Positions) -> Advance {
    let position = positions.get(entry.partition);
    Advance {
        partition: entry.partition,
        from: position.map_or(entry.offset, |position| position.next),
        to: entry.offset,
        fence_epoch: position.map_or(flash_core::ids::Epoch(0), |position| position.fence),
        applied_ms: 0,
    }
}

fn fold_order(changes: &[Change<'_>], states: &HashMap<OrderId, OrderState>, rows: &mut Rows) {
    let mut state = changes.first().and_then(|change| states.get(&change.order.order_id)).copied();
    let mut row = None;
    for change in changes {
        let before = state;
        let after = OrderState::apply(before, change.state);
        rows.payments.extend(change.payment.map(|payment| paid(change, payment, before, after)));
        let Some(after) = after else { continue };
        if before.is_none() {
            // Every order was reserved, even if the log only tells its end. Each event carries the reservation whole.
            ledger(rows, change, OrderState::Reserved);
        }
        if after != OrderState::Reserved {
            ledger(rows, change, after);
        }
        state = Some(after);
        row = Some((change, after));
    }
    rows.orders.extend(row.map(|(change, state)| OrderRow {
        order: Order { seq: change.seq, ..change.order.clone() },
        state,
        epoch: change.event.epoch,
        updated_at_ms: change.event.at_ms,
    }));
}

/// What a `CONFIRMED` event says about its payment. One that finds the order ended otherwise is not what the gate would
/// publish; if it ever comes, the money is to be given back rather than lost.
fn paid(change: &Change<'_>, payment: &Payment, before: Option<OrderState>, after: Option<OrderState>) -> PaymentRow {
    let refund = match (before, after) {
        (Some(OrderState::Cancelled), None) => Some(RefundReason::Cancelled),
        (Some(OrderState::Expired), None) => Some(RefundReason::Expired),
        _ => None,
    };
    PaymentRow {
        order_id: refund.is_none().then_some(change.order.order_id),
        refund,
        ..payment_row(change.event, change.order, payment)
    }
}

fn refund(event: &Event, order: &Order, payment: &Payment, reason: RefundReason) -> PaymentRow {
    PaymentRow { refund: Some(reason), ..payment_row(event, order, payment) }
}

fn payment_row(event: &Event, order: &Order, payment: &Payment) -> PaymentRow {
    PaymentRow {
        payment: payment.clone(),
        order_id: None,
        user_id: order.user_id,
        sku_id: order.sku_id,
        refund: None,
        epoch: event.epoch,
        at_ms: event.at_ms,
    }
}

/// Adds a ledger row. Each state is entered once, so there is at most one row per order and reason.
fn ledger(rows: &mut Rows, change: &Change<'_>, reason: OrderState) {
    let seq = if reason == OrderState::Reserved { change.order.seq } else { change.seq };
    let units = i64::from(change.order.quantity);
    let delta = match reason {
        OrderState::Reserved => -units,
        OrderState::Confirmed => 0,
        OrderState::Cancelled | OrderState::Expired => units,
    };
    rows.ledger.push(LedgerRow {
        order_id: change.order.order_id,
        reason,
        sku_id: change.order.sku_id,
        seq,
        delta,
        epoch: change.event.epoch,
        partition: change.entry.partition,
        offset: change.entry.offset,
        at_ms: change.event.at_ms,
    });
}

fn void(entry: &Entry, event: &Event, advance: &Advance) -> VoidedRow {
    let order = event.body.order().map(|order| VoidedOrder {
        order_id: order.order_id,
        user_id: order.user_id,
        sku_id: order.sku_id,
        quantity: order.quantity,
        seq: order.seq,
    });
    VoidedRow {
        partition: entry.partition,
        offset: entry.offset,
        event_type: event.body.type_name(),
        epoch: event.epoch,
        fence_epoch: advance.fence_epoch,
        at_ms: event.at_ms,
        order,
    }
}
