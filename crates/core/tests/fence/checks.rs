//! What must be true, after every step and at rest.

use crate::log::Projection;
use crate::world::{TERMS, World};
use flash_core::order::OrderState;
use std::collections::{BTreeMap, BTreeSet};

/// What buyers were told.
#[derive(Default)]
pub(crate) struct Told {
    wins: BTreeMap<u64, u32>,
    payments: BTreeSet<u64>,
    keys: BTreeMap<String, u64>,
    /// Units of wins that were told and not given back since.
    live_units: u32,
    freed: BTreeSet<u64>,
    broken: Option<String>,
}

fn is_free(state: Option<OrderState>) -> bool {
    state.is_some_and(|state| !state.occupies_stock())
}

impl Told {
    /// "You have it."
    pub(crate) fn win(&mut self, order: u64, key: String, truth: &Projection) {
        let Some((state, known)) = truth.orders.get(&order) else {
            self.broken.get_or_insert_with(|| format!("order {order} was told and is not in the log, or void"));
            return;
        };
        if let Some(other) = self.keys.insert(key, order).filter(|other| *other != order) {
            self.broken.get_or_insert_with(|| format!("one key was told orders {other} and {order}"));
        }
        if self.wins.insert(order, known.quantity).is_some() {
            return;
        }
        if state.occupies_stock() {
            self.live_units += known.quantity;
        } else {
            self.freed.insert(order);
        }
    }

    /// "It is paid."
    pub(crate) fn payment(&mut self, order: u64) {
        self.payments.insert(order);
    }

    /// An order has moved in the log.
    pub(crate) fn moved(&mut self, order: u64, truth: &Projection) {
        if let Some(units) = self.wins.get(&order)
            && is_free(truth.state(order))
            && self.freed.insert(order)
        {
            self.live_units -= units;
        }
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.wins.len() as u64, self.payments.len() as u64)
    }
}

fn no_more(what: &str, units: u32, most: u32) -> Result<(), String> {
    if units > most { Err(format!("OVERSELL {what}: {units} units of {most}")) } else { Ok(()) }
}

impl World {
    /// P1 in what was told and in the log, P4 and P5.
    pub(crate) fn check(&self) -> Result<(), String> {
        no_more("in what was told", self.told.live_units, TERMS.capacity)?;
        no_more("in the log", self.log.truth.live_units, TERMS.capacity)?;
        if let Some((user, units)) = self.log.truth.live_of_user.iter().find(|(_, units)| **units > TERMS.per_user) {
            return Err(format!("user {user} has {units} units of at most {}", TERMS.per_user));
        }
        self.told.broken.clone().map_or(Ok(()), Err)
    }

    /// P2 and P3: nothing that was told is lost, everything that is neither held nor sold is on sale.
    pub(crate) fn check_at_rest(&self) -> Result<(), String> {
        let (truth, told) = (&self.log.truth, &self.told);
        if let Some(order) = told.wins.keys().find(|order| truth.state(**order).is_none()) {
            return Err(format!("LOST WIN {order}"));
        }
        let confirmed = |order: &&u64| truth.state(**order) == Some(OrderState::Confirmed);
        if let Some(order) = told.payments.iter().find(|order| !confirmed(order)) {
            return Err(format!("LOST PAYMENT {order}: {:?}", truth.state(*order)));
        }
        let stock = self.redis.now().stock.as_ref().ok_or("no stock at rest")?;
        let counters = stock.counters();
        if counters.available + counters.held + counters.sold + counters.closing != TERMS.capacity {
            return Err(format!("the books of Redis do not balance: {counters:?}"));
        }
        if truth.live_units != counters.held + counters.sold {
            return Err(format!("the log has {} live units, Redis {counters:?}", truth.live_units));
        }
        Ok(())
    }
}
