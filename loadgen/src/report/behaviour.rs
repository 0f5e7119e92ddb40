//! What buyers did besides asking once.

use serde::{Deserialize, Serialize};

/// Counts of the buyers' behaviour. Repetitions of won purchases and what came of them are in the report's `replays`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Behaviour {
    /// Attempts sent again with the same key because the outcome was unknown or the server asked to come back.
    pub retries: u64,
    /// Of those, how many waited as long as the server's Retry-After said.
    pub retry_after_honoured: u64,
    /// Retry-After longer than the plan's bound: the buyer came back earlier than told.
    pub retry_after_cut_short: u64,
    /// Purchases given up after the last permitted attempt, or at the end, without a clear answer.
    pub given_up: u64,
    /// Purchases sent once more although the answer was clear: won ones (see `replays`) and refused ones.
    pub duplicates: u64,
    /// Losers who tried again later with a new key.
    pub second_attempts: u64,
    /// Of those, how many won.
    pub second_attempts_won: u64,
    /// Won orders that were paid.
    pub paid: Settled,
    /// Won orders that were cancelled by the buyer.
    pub cancelled: Settled,
    /// Won orders that were left alone, to expire.
    pub abandoned: u64,
    /// Users who hammer with many keys.
    pub bots: u64,
    /// Their purchases.
    pub bot_purchases: u64,
    /// Of those, how many won.
    pub bot_wins: u64,
}

impl Behaviour {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.retries, other.retries),
            (&mut self.retry_after_honoured, other.retry_after_honoured),
            (&mut self.retry_after_cut_short, other.retry_after_cut_short),
            (&mut self.given_up, other.given_up),
            (&mut self.duplicates, other.duplicates),
            (&mut self.second_attempts, other.second_attempts),
            (&mut self.second_attempts_won, other.second_attempts_won),
            (&mut self.abandoned, other.abandoned),
            (&mut self.bots, other.bots),
            (&mut self.bot_purchases, other.bot_purchases),
            (&mut self.bot_wins, other.bot_wins),
        ];
        pairs.into_iter().for_each(|(mine, theirs)| *mine += theirs);
        self.paid.add(&other.paid);
        self.cancelled.add(&other.cancelled);
    }
}

impl Settled {
    fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.done += other.done;
        self.refunds += other.refunds;
        self.refused += other.refused;
        self.unclear += other.unclear;
    }
}

/// What came of paying or cancelling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settled {
    /// Buyers who meant to.
    pub wanted: u64,
    /// Told that it is done.
    pub done: u64,
    /// Told that the money is to be given back.
    pub refunds: u64,
    /// Clearly refused.
    pub refused: u64,
    /// Without a clear answer after all attempts, or still waiting at the end.
    pub unclear: u64,
}
