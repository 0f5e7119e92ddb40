//! What a SKU's orders add up to when its stock is written afresh: available = capacity − held − sold.

use super::Counters;
use crate::ids::UserId;
use crate::order::OrderState;
use std::collections::BTreeMap;

/// More units are held and sold than exist: selling must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{held} held + {sold} sold exceed the capacity of {capacity}")]
pub struct Oversold {
    /// Units on hold.
    pub held: u64,
    /// Units sold.
    pub sold: u64,
    /// Units that exist.
    pub capacity: u32,
}

/// The sum of a SKU's orders, order by order.
#[derive(Debug, Clone, Default)]
pub struct Filling {
    held: u64,
    sold: u64,
    seq: u64,
    buyers: BTreeMap<UserId, u32>,
}

impl Filling {
    /// Adds an order. What was given back occupies nothing; its sequence number was used all the same.
    pub fn add(&mut self, user_id: UserId, quantity: u32, seq: u64, state: OrderState) {
        self.seq = self.seq.max(seq);
        match state {
            OrderState::Reserved => self.held += u64::from(quantity),
            OrderState::Confirmed => self.sold += u64::from(quantity),
            OrderState::Cancelled | OrderState::Expired => return,
        }
        *self.buyers.entry(user_id).or_default() += quantity;
    }

    /// Whoever has an answer is known as a winner, also without units: no latch may answer in its place.
    pub fn know(&mut self, user_id: UserId) {
        self.buyers.entry(user_id).or_default();
    }

    /// Everybody who is known, and the units they hold or own.
    pub fn buyers(&self) -> impl Iterator<Item = (UserId, u32)> + '_ {
        self.buyers.iter().map(|(user_id, units)| (*user_id, *units))
    }

    /// The counters of stock with this many units.
    ///
    /// # Errors
    /// [`Oversold`].
    pub fn counters(&self, capacity: u32) -> Result<Counters, Oversold> {
        let Self { held, sold, seq, .. } = *self;
        let oversold = Oversold { held, sold, capacity };
        let small = |units: u64| u32::try_from(units).map_err(|_| oversold);
        let available = u64::from(capacity).checked_sub(held + sold).ok_or(oversold)?;
        Ok(Counters { available: small(available)?, held: small(held)?, sold: small(sold)?, closing: 0, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_free_and_more_than_there_is_is_refused() {
        let mut filling = Filling::default();
        filling.add(UserId::new(1), 2, 7, OrderState::Reserved);
        filling.add(UserId::new(1), 1, 3, OrderState::Confirmed);
        filling.add(UserId::new(2), 4, 9, OrderState::Expired);
        filling.know(UserId::new(2));
        let counters = filling.counters(5).unwrap();
        assert_eq!(counters, Counters { available: 2, held: 2, sold: 1, closing: 0, seq: 9 });
        assert_eq!(filling.buyers().collect::<Vec<_>>(), [(UserId::new(1), 3), (UserId::new(2), 0)]);
        assert_eq!(filling.counters(2), Err(Oversold { held: 2, sold: 1, capacity: 2 }));
    }
}
