//! Folding a batch into rows. Pure: log entries and known states in, rows out. The one state machine in `core` decides
//! which transition counts; this module only says what a counted transition leaves behind.
//!
//! Invariant kept: an order has a row exactly when it has a `RESERVED` ledger row, and the deltas of an order's ledger rows
//! sum up to minus the units it occupies.

use super::batch::Entry;
use super::position::Positions;
use flash_core::event::{Body, Event, Order};
use flash_core::ids::OrderId;
use flash_core::order::OrderState;
use flash_stores::mysql::orders::OrderRow;
use flash_stores::mysql::projection::{Advance, LedgerRow, Rows, VoidedOrder, VoidedRow};
use std::collections::{BTreeMap, HashMap};

/// One counted event of an order.
struct Change<'a> {
    entry: &'a Entry,
    event: &'a Event,
    state: OrderState,
    order: &'a Order,
}

/// A batch sorted into what moves, what is void and what each order went through.
pub(super) struct Fold<'a> {
    pub(super) advances: Vec<Advance>,
    voided: Vec<VoidedRow>,
    /// By order, each order's events in log order.
    changes: Vec<Change<'a>>,
}

impl<'a> Fold<'a> {
    /// Walks the entries in log order, moving the fence of each partition along.
    pub(super) fn new(entries: &'a [Entry], positions: &Positions) -> Self {
        let mut advances: BTreeMap<i32, Advance> = BTreeMap::new();
        let (mut voided, mut changes) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entry in entries {
            let advance = advances.entry(entry.partition).or_insert_with(|| start(entry, positions));
            advance.to = entry.offset + 1;
            advance.applied_ms = entry.timestamp_ms;
            let Ok(event) = &entry.event else { continue };
            match &event.body {
                _ if event.epoch < advance.fence_epoch => voided.push(void(entry, event, advance)),
                Body::Fence => advance.fence_epoch = event.epoch,
                Body::Order { state, order } => changes.push(Change { entry, event, state: *state, order }),
            }
        }
        // Stable, so the events of one order stay in log order. Rows sorted by key are cheaper to insert and deadlock less.
        changes.sort_by_key(|change| change.order.order_id);
        Self { advances: advances.into_values().collect(), voided, changes }
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

    /// The rows, given the states of the orders that [`Fold::orders_to_look_up`] named and that exist.
    pub(super) fn rows(self, states: &HashMap<OrderId, OrderState>) -> Rows {
        let mut rows = Rows::default();
        rows.orders.reserve(self.changes.len());
        rows.ledger.reserve(self.changes.len());
        for changes in self.by_order() {
            fold_order(changes, states, &mut rows);
        }
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
    let first_ledger = rows.ledger.len();
    let mut row = None;
    for change in changes {
        let before = state;
        let Some(after) = OrderState::apply(before, change.state) else {
            // A reservation published again may still bring the sequence number that its ledger row lacks.
            if change.state == OrderState::Reserved {
                ledger(rows, first_ledger, change, OrderState::Reserved, change.order.seq);
            }
            continue;
        };
        if before.is_none() {
            // Every order was reserved, even if this batch is the first to hear of it and only sees the end.
            let known = change.state == OrderState::Reserved;
            ledger(rows, first_ledger, change, OrderState::Reserved, if known { change.order.seq } else { 0 });
        }
        if after != OrderState::Reserved {
            ledger(rows, first_ledger, change, after, change.order.seq);
        }
        state = Some(after);
        row = Some((change, after));
    }
    rows.orders.extend(row.map(|(change, state)| OrderRow {
        order: change.order.clone(),
        state,
        epoch: change.event.epoch,
        updated_at_ms: change.event.at_ms,
    }));
}

/// Adds a ledger row, at most one per order and reason.
fn ledger(rows: &mut Rows, first: usize, change: &Change<'_>, reason: OrderState, seq: u64) {
    let same = rows.ledger.iter_mut().skip(first).find(|row| row.reason == reason);
    if let Some(row) = same {
        if row.seq == 0 {
            row.seq = seq;
        }
        return;
    }
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
    let (event_type, order) = match &event.body {
        Body::Fence => ("FENCE", None),
        Body::Order { state, order } => (
            state.as_str(),
            Some(VoidedOrder {
                order_id: order.order_id,
                user_id: order.user_id,
                sku_id: order.sku_id,
                quantity: order.quantity,
                seq: order.seq,
            }),
        ),
    };
    VoidedRow {
        partition: entry.partition,
        offset: entry.offset,
        event_type,
        epoch: event.epoch,
        fence_epoch: advance.fence_epoch,
        at_ms: event.at_ms,
        order,
    }
}
