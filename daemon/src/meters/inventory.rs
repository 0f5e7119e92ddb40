//! What was asked of the stock, order by order, and what came of it.

use flash_core::stats::Counter;
use flash_core::stock::Decision;
use flash_stores::redis::StockError;

/// What is wanted of the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A buyer wants units.
    Reserve,
    /// A payment that came late wants units again.
    Rebook,
    /// A payment wants its hold sold.
    Confirm,
    /// A buyer gives a hold back.
    Cancel,
    /// A hold has ended.
    Expire,
}

const WISHES: [(Wish, &str); 5] = [
    (Wish::Reserve, "reserve"),
    (Wish::Rebook, "rebook"),
    (Wish::Confirm, "confirm"),
    (Wish::Cancel, "cancel"),
    (Wish::Expire, "expire"),
];

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was done.
    Success,
    /// It had been done before.
    Replayed,
    /// The rules of the sale say no.
    Refused,
    /// This Redis may not decide.
    Fenced,
    /// Redis could not be asked; nothing happened.
    Unavailable,
    /// It may or may not have happened.
    Unknown,
}

const CAME: [(Came, &str); 6] = [
    (Came::Success, "success"),
    (Came::Replayed, "replayed"),
    (Came::Refused, "refused"),
    (Came::Fenced, "fenced"),
    (Came::Unavailable, "unavailable"),
    (Came::Unknown, "unknown"),
];

impl Came {
    /// What an error of Redis means.
    pub(crate) const fn of(error: &StockError) -> Self {
        match error {
            StockError::Fenced(_) => Self::Fenced,
            StockError::NotSent(_) | StockError::Refused(_) => Self::Unavailable,
            StockError::Unknown(_) => Self::Unknown,
        }
    }

    /// What an error means before any stock was asked for: whether or not the call got through, nothing was decided.
    pub(crate) const fn before_deciding(error: &StockError) -> Self {
        match error {
            StockError::Fenced(_) => Self::Fenced,
            StockError::NotSent(_) | StockError::Refused(_) | StockError::Unknown(_) => Self::Unavailable,
        }
    }

    /// What an answer of Redis means, if it is one.
    pub(crate) fn from<T>(result: &Result<T, StockError>, done: impl FnOnce(&T) -> bool) -> Self {
        match result {
            Ok(answer) if done(answer) => Self::Success,
            Ok(_) => Self::Refused,
            Err(error) => Self::of(error),
        }
    }
}

/// What came of one batch of purchases.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decided {
    /// Holds that were made.
    pub(crate) won: u64,
    /// Answers that a key already had.
    pub(crate) replayed: u64,
    /// Purchases for which too few units were left.
    pub(crate) sold_out: u64,
    /// Other refusals.
    pub(crate) refused: u64,
}

impl Decided {
    /// Counts the decisions of a batch.
    pub(crate) fn of(decisions: &[Decision]) -> Self {
        let mut decided = Self::default();
        for decision in decisions {
            *match decision {
                Decision::Won(_) => &mut decided.won,
                Decision::Replayed(_) | Decision::Kept(_) => &mut decided.replayed,
                Decision::SoldOut => &mut decided.sold_out,
                _ => &mut decided.refused,
            } += 1;
        }
        decided
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    counts: [[Counter; CAME.len()]; WISHES.len()],
}

impl Inventory {
    /// Counts so many wishes of which the same came.
    pub(crate) fn count(&self, wish: Wish, came: Came, count: u64) {
        if count > 0 {
            self.counts[wish as usize][came as usize].add(count);
        }
    }

    /// Counts one batch of purchases that Redis decided.
    pub(crate) fn decided(&self, decided: &Decided) {
        self.count(Wish::Reserve, Came::Success, decided.won);
        self.count(Wish::Reserve, Came::Replayed, decided.replayed);
        self.count(Wish::Reserve, Came::Refused, decided.sold_out + decided.refused);
    }

    /// How many wishes came to this.
    pub(super) fn get(&self, wish: Wish, came: Came) -> u64 {
        self.counts[wish as usize][came as usize].get()
    }

    /// `([operation, result], count)`, zeros included.
    pub(super) fn read(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        WISHES.iter().flat_map(move |(wish, operation)| {
            CAME.iter().map(move |(came, result)| ([*operation, *result], self.get(*wish, *came)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_and_result_has_its_own_counter() {
        assert!(WISHES.iter().enumerate().all(|(at, (wish, _))| *wish as usize == at));
        assert!(CAME.iter().enumerate().all(|(at, (came, _))| *came as usize == at));
        let inventory = Inventory::default();
        inventory.decided(&Decided { won: 2, replayed: 1, sold_out: 4, refused: 3 });
        let lost = Err::<(), _>(StockError::Unknown(String::new()));
        inventory.count(Wish::Cancel, Came::from(&lost, |()| true), 1);
        assert_eq!(Came::of(&StockError::Unknown(String::new())), Came::Unknown);
        let unclaimed = Came::before_deciding(&StockError::Unknown(String::new()));
        assert_eq!(unclaimed, Came::Unavailable, "a claim takes no stock: there is nothing that may have happened");
        let counted: Vec<_> = inventory.read().filter(|(_, count)| *count > 0).collect();
        let reserve = [(["reserve", "success"], 2), (["reserve", "replayed"], 1), (["reserve", "refused"], 7)];
        assert_eq!(counted[..3], reserve);
        assert_eq!(counted[3..], [(["cancel", "unknown"], 1)]);
    }
}
