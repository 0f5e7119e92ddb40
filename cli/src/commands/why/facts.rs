//! What the stores say about one order. Plain values: read by `read`, judged by `explain`.

use flash_core::{
    epoch::EpochRecord,
    event::Event,
    ids::{Epoch, OrderId, SkuId},
    order::OrderState,
    payment::PaymentId,
    stock::Hold,
};
use flash_stores::{
    mysql::{
        offsets::PartitionPosition,
        orders::{LedgerRow, OrderRow},
        projection::PaymentRow,
        trace::VoidedEvent,
    },
    redis::{KeptFate, KeyAnswer, OrderTrace},
};
use flashd::dead_letters::{LetterStatus, Origin};

/// What a part said, or why it could not be asked.
pub(super) type Asked<T> = Result<T, String>;

/// Everything that is known about one order.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The time of the look, in milliseconds since 1970: Redis' clock, or ours.
    pub(super) now_ms: u64,
    pub(super) order_id: OrderId,
    pub(super) gate: Asked<GateFacts>,
    pub(super) view: Asked<ViewFacts>,
    pub(super) log: Asked<LogFacts>,
    pub(super) letters: Asked<Vec<LetterFacts>>,
    /// The control topic, in its order.
    pub(super) epochs: Asked<Vec<EpochRecord>>,
}

/// Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct GateFacts {
    /// The SKU whose keys were looked at; `None`: nobody knows which SKU the order is of, so only the indexes were asked.
    pub(super) sku_id: Option<SkuId>,
    pub(super) trace: OrderTrace,
    /// The answer of the order's idempotency key.
    pub(super) answer: Option<KeyAnswer>,
    /// Units that count against the buyer's cap for this SKU.
    pub(super) buyer_units: Option<u32>,
    /// What the register says about the payments that MySQL has.
    pub(super) fates: Vec<(PaymentId, KeptFate)>,
}

/// MySQL.
#[derive(Debug, Clone, Default)]
pub(super) struct ViewFacts {
    pub(super) order: Option<OrderRow>,
    /// Oldest first.
    pub(super) ledger: Vec<LedgerRow>,
    pub(super) voided: Vec<VoidedEvent>,
    /// Paid for this order, or confirmed it.
    pub(super) payments: Vec<PaymentRow>,
    /// How far the order's partition is projected.
    pub(super) position: Option<PartitionPosition>,
    /// The SKU's currency.
    pub(super) currency: Option<String>,
}

/// The log.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFacts {
    pub(super) partition: i32,
    /// Where the partition begins and ends.
    pub(super) bounds: (u64, u64),
    /// Events about the order, and fences between them, in log order.
    pub(super) entries: Vec<LogEntry>,
    /// Offsets that MySQL names and the log does not have any more.
    pub(super) gone: Vec<u64>,
    /// Whether every record was looked at that can be about the order and that MySQL has not named.
    pub(super) complete: bool,
}

/// One record of the order's partition.
#[derive(Debug, Clone)]
pub(super) struct LogEntry {
    pub(super) offset: u64,
    /// When it was appended or produced.
    pub(super) timestamp_ms: u64,
    /// The event, or why it cannot be read.
    pub(super) event: Result<Event, String>,
}

/// A dead letter about the order.
#[derive(Debug, Clone)]
pub(super) struct LetterFacts {
    pub(super) origin: Origin,
    pub(super) status: LetterStatus,
    pub(super) parked_at_ms: u64,
    pub(super) error: String,
    /// When, by whom and why something was done about it.
    pub(super) action: Option<(u64, String, String)>,
}

impl Facts {
    /// The epoch that may be sold under, if the control topic was asked.
    pub(super) fn open_epoch(&self) -> Option<Epoch> {
        let mut view = flash_core::epoch::EpochView::default();
        self.epochs.as_ref().ok()?.iter().for_each(|record| view.apply(record.clone()));
        view.open().map(|record| record.epoch)
    }

    /// The row, if MySQL has one.
    pub(super) fn row(&self) -> Option<&OrderRow> {
        self.view.as_ref().ok()?.order.as_ref()
    }

    /// The hold behind the order as Redis has it, live or being settled.
    pub(super) fn held(&self) -> Option<&Hold> {
        let trace = &self.gate.as_ref().ok()?.trace;
        trace.closing.as_ref().map(|closing| &closing.hold).or(trace.hold.as_ref())
    }

    /// Whether what Redis has of the SKU counts: it carries the open epoch.
    pub(super) fn gate_counts(&self) -> bool {
        let mark = self.gate.as_ref().ok().and_then(|gate| gate.trace.stock_epoch.clone());
        mark.is_some() && mark == self.open_epoch().map(|epoch| epoch.to_string())
    }

    /// The SKU, from whoever knows.
    pub(super) fn sku_id(&self) -> Option<SkuId> {
        let of_event =
            |entry: &LogEntry| entry.event.as_ref().ok().and_then(|event| event.body.order()).map(|o| o.sku_id);
        let of_log = || self.log.as_ref().ok().and_then(|log| log.entries.iter().find_map(of_event));
        self.row().map(|row| row.order.sku_id).or_else(of_log).or_else(|| self.gate.as_ref().ok()?.sku_id)
    }

    /// Why an event stands for nothing: the newer fence before it.
    pub(super) fn void_behind(&self, entry: &LogEntry) -> Option<Epoch> {
        let (Ok(event), Ok(log)) = (&entry.event, &self.log) else { return None };
        let view = self.view.as_ref().ok();
        if let Some(row) = view.and_then(|view| view.voided.iter().find(|row| row.offset == entry.offset)) {
            return Some(row.fence_epoch);
        }
        let position = view.and_then(|view| view.position);
        if position.is_some_and(|position| entry.offset < position.next_offset) {
            return None;
        }
        // Not projected yet: judged by the fences that are known to stand before it.
        let fence_of = |other: &LogEntry| {
            let is_fence = |event: &&Event| matches!(event.body, flash_core::event::Body::Fence);
            other.event.as_ref().ok().filter(is_fence).map(|event| event.epoch)
        };
        let before = log.entries.iter().filter(|other| other.offset < entry.offset).filter_map(fence_of);
        let known = position.map(|position| position.fence_epoch);
        before.chain(known).max().filter(|fence| *fence > event.epoch)
    }

    /// Events about the order that count, with their offsets, in log order.
    pub(super) fn valid_events(&self) -> Vec<(u64, &Event)> {
        let Ok(log) = &self.log else { return Vec::new() };
        let about = |event: &Event| event.body.order().is_some_and(|order| order.order_id == self.order_id);
        let valid = log.entries.iter().filter(|entry| self.void_behind(entry).is_none());
        valid
            .filter_map(|entry| entry.event.as_ref().ok().filter(|event| about(event)).map(|e| (entry.offset, e)))
            .collect()
    }

    /// The state that the valid events of the log lead to, if they were read.
    pub(super) fn state_by_log(&self) -> Option<OrderState> {
        self.valid_events().iter().fold(None, |state, (_, event)| match event.body {
            flash_core::event::Body::Order { state: next, .. } => OrderState::apply(state, next).or(state),
            _ => state,
        })
    }

    /// Events about the order that stand for nothing: offset, event, and the fence before them.
    pub(super) fn void_events(&self) -> Vec<(u64, Epoch, Epoch)> {
        let by_view = self.view.iter().flat_map(|view| &view.voided);
        let mut all: Vec<(u64, Epoch, Epoch)> = by_view.map(|row| (row.offset, row.epoch, row.fence_epoch)).collect();
        for entry in self.log.iter().flat_map(|log| &log.entries) {
            let Ok(event) = &entry.event else { continue };
            let about = event.body.order().is_some_and(|order| order.order_id == self.order_id);
            if let Some(fence) = self.void_behind(entry).filter(|_| about)
                && all.iter().all(|(offset, ..)| *offset != entry.offset)
            {
                all.push((entry.offset, event.epoch, fence));
            }
        }
        all
    }

    /// The parts that could not be asked, and why.
    pub(super) fn not_asked(&self) -> Vec<(&'static str, &str)> {
        [
            ("Redis", self.gate.as_ref().err()),
            ("MySQL", self.view.as_ref().err()),
            ("log", self.log.as_ref().err()),
            ("dead letters", self.letters.as_ref().err()),
            ("epochs", self.epochs.as_ref().err()),
        ]
        .into_iter()
        .filter_map(|(part, why)| why.map(|why| (part, why.as_str())))
        .collect()
    }
}
