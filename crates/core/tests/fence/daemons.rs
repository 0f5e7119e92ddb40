//! Daemons: what buyers and sweepers do through them. Each step of a daemon may be the last before a long pause.

use crate::redis::Fence;
use crate::rules::Rules;
use crate::world::{LEASE_MS, PRICE_MINOR, SECOND, SKU, World};
use flash_core::epoch::{EpochRecord, EpochView};
use flash_core::event::{Body, Event};
use flash_core::fence::rules::may_tell;
use flash_core::ids::{Epoch, OrderId, ReservationId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId};
use flash_core::settlement::{Cancel, Confirm, Settlement, order_of};
use flash_core::stock::{Ask, Decision, Hold, StockModel};
use std::rc::Rc;

/// How long a settlement may be left unfinished before a sweeper takes it over.
const TAKEOVER_MS: u64 = 12 * SECOND;
const BUYERS: u64 = 5;

/// One daemon, as far as it matters.
#[derive(Default)]
pub(crate) struct Daemon {
    /// The node it is connected to.
    pub(crate) node: usize,
    view: EpochView,
    read: usize,
    /// A query of the control topic that has not been answered: when it began, and up to where it will have read.
    query: Option<(u64, usize)>,
}

/// Something that a daemon is about to do.
pub(crate) struct Task {
    daemon: usize,
    what: What,
}

enum What {
    Buy(Fence, Ask),
    /// The log has acknowledged it.
    Acknowledged(After),
    Finish(Fence, Box<Settlement>),
}

/// What is done about an event once it is acknowledged.
#[derive(Clone)]
enum After {
    Tell { order: u64, key: String, epoch: Epoch },
    TellPaid { order: u64, epoch: Epoch },
    Finish { fence: Fence, settlement: Box<Settlement>, paid: bool },
    Nothing,
}

/// An event on its way to the log.
pub(crate) struct Flight {
    daemon: usize,
    event: Event,
    after: After,
}

impl Daemon {
    /// One that has just been started.
    pub(crate) fn at(node: usize) -> Self {
        Self { node, ..Self::default() }
    }

    /// What it decides under, if the newest epoch it knows is open.
    fn fence(&self) -> Option<Fence> {
        let open = self.view.open()?;
        let replids = open.replids.values().cloned().collect();
        Some(Fence { epoch: open.epoch, replids: Rc::new(replids) })
    }

    fn may_tell(&self, decided: Epoch, now_ms: u64, rules: Rules) -> bool {
        let open = self.view.open().map(|record| record.epoch);
        if !rules.lease {
            return open == Some(decided);
        }
        may_tell(open, self.view.lease_start_ms(), decided, now_ms, LEASE_MS)
    }

    fn know(&mut self, control: &[EpochRecord], end: usize, start_ms: u64) {
        control.iter().take(end).skip(self.read).for_each(|record| self.view.apply(record.clone()));
        self.read = self.read.max(end);
        self.view.completed(start_ms);
    }

    pub(crate) fn read_all(&mut self, control: &[EpochRecord], now_ms: u64) {
        self.query = None;
        self.know(control, control.len(), now_ms);
    }
}

impl World {
    fn some_daemon(&mut self) -> usize {
        self.rng.below(self.daemons.len())
    }

    /// One of the last few orders, or one that does not exist.
    fn some_order(&mut self) -> u64 {
        self.next_id.saturating_sub(self.rng.below(8) as u64).max(1)
    }

    /// Runs a script for a daemon. Whoever is fenced looks for the primary again and may call a coordinator.
    fn call<T>(&mut self, daemon: usize, fence: &Fence, script: impl FnOnce(&mut StockModel) -> T) -> Option<T> {
        let (node, rules) = (self.daemons[daemon].node, self.shape.rules);
        let done = self.redis.run(node, fence, rules, &mut self.rng, script);
        if done.is_none() {
            if !self.redis.split || self.rng.chance(500) {
                self.daemons[daemon].node = self.redis.primary;
            }
            if fence.epoch == self.newest() && self.rng.chance(500) {
                self.call_coordinator();
            }
        }
        done
    }

    pub(crate) fn buy(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        self.ask(id, id);
    }

    /// A buyer tries again with a key that was used before.
    pub(crate) fn retry(&mut self) {
        let key = self.some_order();
        let id = self.next_id;
        self.next_id += 1;
        self.ask(key, id);
    }

    fn ask(&mut self, key: u64, id: u64) {
        let daemon = self.some_daemon();
        let Some(fence) = self.daemons[daemon].fence() else { return };
        let ask = Ask {
            user_id: UserId::new(1 + key % BUYERS),
            quantity: 1 + u32::from(key.is_multiple_of(7)),
            order_id: OrderId::new(id),
            reservation_id: ReservationId::new(id),
            idempotency_key: format!("k{key}"),
            replay_only: false,
        };
        let task = Task { daemon, what: What::Buy(fence, ask) };
        if self.rng.chance(100) { self.tasks.push(task) } else { self.perform(task) }
    }

    fn decide(&mut self, daemon: usize, fence: &Fence, ask: &Ask) {
        let now_ms = self.now_ms;
        let asked = self.call(daemon, fence, |stock| stock.reserve(std::slice::from_ref(ask), PRICE_MINOR, now_ms));
        match asked.unwrap_or_default().pop() {
            // Some die between the decision and the record.
            Some(Decision::Won(hold) | Decision::Replayed(hold)) if !self.rng.chance(100) => {
                self.record_hold(daemon, &hold, fence.epoch);
            }
            Some(Decision::Kept(receipt)) => {
                let (order, key) = (receipt.order_id.get(), ask.idempotency_key.clone());
                self.acknowledged(daemon, After::Tell { order, key, epoch: fence.epoch });
            }
            _ => {}
        }
    }

    fn record_hold(&mut self, daemon: usize, hold: &Hold, epoch: Epoch) {
        let event = Event { epoch, at_ms: hold.reserved_at_ms, body: Body::reserved(order_of(hold, SKU)) };
        let (order, key) = (hold.order_id.get(), hold.idempotency_key.clone());
        self.flights.push(Flight { daemon, event, after: After::Tell { order, key, epoch } });
    }

    pub(crate) fn pay(&mut self) {
        let (daemon, order, now_ms) = (self.some_daemon(), self.some_order(), self.now_ms);
        let Some(fence) = self.daemons[daemon].fence() else { return };
        let order_id = OrderId::new(order);
        let script = |stock: &mut StockModel| {
            let price = stock.holds().find(|hold| hold.order_id == order_id).map_or(0, Hold::total_minor);
            let payment_id = PaymentId::parse(&format!("p{order}"))?;
            Some(stock.confirm(order_id, &Payment { payment_id, amount_minor: price, paid_order: order_id }, now_ms))
        };
        if let Some(Some(Confirm::Settling(settlement))) = self.call(daemon, &fence, script) {
            let paid = settlement.state == OrderState::Confirmed;
            self.record_settlement(daemon, &fence, settlement, paid);
        }
    }

    pub(crate) fn cancel(&mut self) {
        let (daemon, order, now_ms) = (self.some_daemon(), self.some_order(), self.now_ms);
        let Some(fence) = self.daemons[daemon].fence() else { return };
        let cancelled = self.call(daemon, &fence, |stock| stock.cancel(OrderId::new(order), None, now_ms));
        if let Some(Cancel::Settling(settlement)) = cancelled {
            self.record_settlement(daemon, &fence, settlement, false);
        }
    }

    pub(crate) fn sweep(&mut self) {
        let (daemon, most, now_ms) = (self.some_daemon(), 1 + self.rng.below(3), self.now_ms);
        let Some(fence) = self.daemons[daemon].fence() else { return };
        let taken = self.call(daemon, &fence, |stock| stock.take_due(most, TAKEOVER_MS, now_ms));
        for settlement in taken.unwrap_or_default() {
            self.record_settlement(daemon, &fence, settlement, false);
        }
    }

    fn record_settlement(&mut self, daemon: usize, fence: &Fence, settlement: Settlement, paid: bool) {
        let event = settlement.event(SKU, fence.epoch);
        let settlement = Box::new(settlement);
        let after = if self.shape.rules.log_first {
            After::Finish { fence: fence.clone(), settlement, paid }
        } else {
            self.tasks.push(Task { daemon, what: What::Finish(fence.clone(), settlement) });
            if paid { After::TellPaid { order: event_order(&event), epoch: fence.epoch } } else { After::Nothing }
        };
        self.flights.push(Flight { daemon, event, after });
    }

    /// One event arrives at the log, or does not; mostly in the order of sending.
    pub(crate) fn deliver(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let at = if self.rng.chance(500) { self.rng.below(self.flights.len()) } else { 0 };
        let Flight { daemon, event, after } = self.flights.remove(at);
        let fate = self.rng.below(100);
        if fate < 8 {
            return;
        }
        if self.rng.chance(60) {
            // The same record arrives a second time, whenever.
            self.flights.push(Flight { daemon, event: event.clone(), after: After::Nothing });
        }
        if let Some(order) = self.log.append(event) {
            self.told.moved(order, &self.log.truth);
        }
        match fate {
            // The acknowledgement is lost.
            8..16 => {}
            // Seen late: a daemon that was paused.
            16..32 => self.tasks.push(Task { daemon, what: What::Acknowledged(after) }),
            _ => self.acknowledged(daemon, after),
        }
    }

    fn acknowledged(&mut self, daemon: usize, after: After) {
        let (now_ms, rules) = (self.now_ms, self.shape.rules);
        let may_tell = |world: &Self, epoch| world.daemons[daemon].may_tell(epoch, now_ms, rules);
        match after {
            After::Tell { order, key, epoch } if may_tell(self, epoch) => self.told.win(order, key, &self.log.truth),
            After::TellPaid { order, epoch } if may_tell(self, epoch) => self.told.payment(order),
            After::Finish { fence, settlement, paid } => {
                let covered = may_tell(self, fence.epoch);
                if paid && covered {
                    self.told.payment(settlement.hold.order_id.get());
                }
                if covered || !rules.release_lease {
                    let task = Task { daemon, what: What::Finish(fence, settlement) };
                    if self.rng.chance(300) { self.tasks.push(task) } else { self.perform(task) }
                }
            }
            After::Tell { .. } | After::TellPaid { .. } | After::Nothing => {}
        }
    }

    pub(crate) fn run_task(&mut self) {
        if let Some(task) = self.rng.take(&mut self.tasks) {
            self.perform(task);
        }
    }

    fn perform(&mut self, Task { daemon, what }: Task) {
        match what {
            What::Buy(fence, ask) => self.decide(daemon, &fence, &ask),
            What::Acknowledged(after) => self.acknowledged(daemon, after),
            What::Finish(fence, settlement) => self.finish(daemon, fence, &settlement),
        }
    }

    fn finish(&mut self, daemon: usize, fence: Fence, settlement: &Settlement) {
        let rules = self.shape.rules;
        let fence = if rules.same_epoch { Some(fence) } else { self.daemons[daemon].fence() };
        let Some(fence) = fence else { return };
        let order_id = settlement.hold.order_id;
        self.call(daemon, &fence, |stock| {
            let begun = stock.closing().find(|begun| begun.hold.order_id == order_id).map(|begun| begun.token.clone());
            let number = |token: &str| token.rsplit('-').next().map(str::to_owned);
            let accepted = match begun {
                Some(begun) if !rules.token => begun,
                Some(begun) if !rules.unique_token && number(&begun) == number(&settlement.token) => begun,
                _ => settlement.token.clone(),
            };
            stock.finish(order_id, &accepted)
        });
    }

    /// A query of the control topic begins, or is answered.
    pub(crate) fn read_control(&mut self) {
        let index = self.some_daemon();
        let (now_ms, end, primary) = (self.now_ms, self.control.len(), self.redis.primary);
        let daemon = &mut self.daemons[index];
        match daemon.query.take() {
            None => daemon.query = Some((now_ms, end)),
            Some((start_ms, end)) => {
                daemon.know(&self.control, end, start_ms);
                if !self.redis.split && self.rng.chance(500) {
                    daemon.node = primary;
                }
            }
        }
    }
}

fn event_order(event: &Event) -> u64 {
    event.body.order().map_or(0, |order| order.order_id.get())
}
