//! The log and its projection. The projection is applied twice: at once, as the truth that everything is checked against,
//! and late, partition by partition, as MySQL knows it.

use flash_core::event::{Body, Event, Order};
use flash_core::fence::rules::is_void;
use flash_core::ids::Epoch;
use flash_core::order::OrderState;
use flash_core::stock::Hold;
use std::collections::BTreeMap;

#[derive(Clone)]
struct Position {
    next: usize,
    fence: Epoch,
}

/// Where every order stands, and what that adds up to.
#[derive(Default)]
pub(crate) struct Projection {
    positions: Vec<Position>,
    pub(crate) orders: BTreeMap<u64, (OrderState, Order)>,
    pub(crate) live_units: u32,
    pub(crate) live_of_user: BTreeMap<u64, u32>,
}

impl Projection {
    fn new(partitions: usize) -> Self {
        Self { positions: vec![Position { next: 0, fence: Epoch(0) }; partitions], ..Self::default() }
    }

    pub(crate) fn state(&self, order: u64) -> Option<OrderState> {
        self.orders.get(&order).map(|(state, _)| *state)
    }

    /// Applies the next event of a partition; the order that has changed, if one has.
    fn apply(&mut self, partition: usize, event: &Event, void: bool) -> Option<u64> {
        let position = &mut self.positions[partition];
        position.next += 1;
        if void && is_void(event.epoch, position.fence) {
            return None;
        }
        match &event.body {
            Body::Fence => {
                position.fence = position.fence.max(event.epoch);
                None
            }
            Body::Order { state, order, .. } => {
                let id = order.order_id.get();
                let before = self.state(id);
                let after = OrderState::apply(before, *state)?;
                let occupied = |state: Option<OrderState>| state.is_some_and(OrderState::occupies_stock);
                let of_user = self.live_of_user.entry(order.user_id.get()).or_default();
                if occupied(before) {
                    (self.live_units, *of_user) = (self.live_units - order.quantity, *of_user - order.quantity);
                }
                if occupied(Some(after)) {
                    (self.live_units, *of_user) = (self.live_units + order.quantity, *of_user + order.quantity);
                }
                self.orders.insert(id, (after, order.clone()));
                Some(id)
            }
            Body::Refund { .. } => None,
        }
    }
}

pub(crate) struct Log {
    partitions: Vec<Vec<Event>>,
    /// Everything that is in the log.
    pub(crate) truth: Projection,
    /// What MySQL has of it.
    pub(crate) view: Projection,
    void: bool,
}

impl Log {
    pub(crate) fn new(partitions: usize, void: bool) -> Self {
        let (truth, view) = (Projection::new(partitions), Projection::new(partitions));
        Self { partitions: vec![Vec::new(); partitions], truth, view, void }
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Appends an event of an order; the order, if its state has changed.
    pub(crate) fn append(&mut self, event: Event) -> Option<u64> {
        let order = event.body.order()?.order_id.get();
        let partition = usize::try_from(order).ok()? % self.partitions.len();
        self.append_to(partition, event)
    }

    fn append_to(&mut self, partition: usize, event: Event) -> Option<u64> {
        let changed = self.truth.apply(partition, &event, self.void);
        self.partitions[partition].push(event);
        changed
    }

    pub(crate) fn append_fence(&mut self, partition: usize, epoch: Epoch) {
        self.append_to(partition, Event { epoch, at_ms: 0, body: Body::Fence });
    }

    /// The projector applies a few more events of one partition.
    pub(crate) fn project(&mut self, partition: usize, most: usize) {
        for _ in 0..most {
            let next = self.view.positions[partition].next;
            let Some(event) = self.partitions[partition].get(next) else { return };
            self.view.apply(partition, event, self.void);
        }
    }

    /// Whether MySQL has passed the fence of this epoch, or of a newer one, in every partition.
    pub(crate) fn projected(&self, epoch: Epoch) -> bool {
        self.view.positions.iter().all(|position| position.fence >= epoch)
    }

    /// The orders as MySQL has them, as a loader reads them.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (Hold, OrderState)> + '_ {
        self.view.orders.values().map(|(state, order)| (hold_of(order), *state))
    }
}

fn hold_of(order: &Order) -> Hold {
    Hold {
        order_id: order.order_id,
        reservation_id: order.reservation_id,
        user_id: order.user_id,
        quantity: order.quantity,
        unit_price_minor: order.unit_price_minor,
        seq: order.seq,
        reserved_at_ms: order.reserved_at_ms,
        expires_at_ms: order.expires_at_ms,
        idempotency_key: order.idempotency_key.clone(),
    }
}
