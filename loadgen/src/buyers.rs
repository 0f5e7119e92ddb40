//! What buyers do besides asking once, and what a single buyer is like.
//!
//! Owns the shares and the dice. A buyer's character is a pure function of seed and key: it does not depend on who was
//! answered first.

use crate::LoadError;
use crate::identity::SplitMix;

/// Shares of the buyers' behaviour; all 0 to 1, all independent of each other but paying and cancelling.
#[derive(Debug, Clone, PartialEq)]
pub struct Buyers {
    /// Share of the losers (sold out) who try again later with a new key, once.
    pub second_attempt_share: f64,
    /// Shortest and longest time until then.
    pub second_attempt_after_ms: (u64, u64),
    /// Share of the winners who pay.
    pub pay_share: f64,
    /// Share of the winners who cancel; the rest leave their order to expire.
    pub cancel_share: f64,
    /// Shortest and longest time from winning to paying or cancelling.
    pub settle_after_ms: (u64, u64),
    /// Share of the users who hammer: several keys, one after the other without a pause, and no payment.
    pub bot_share: f64,
    /// How many keys a bot uses.
    pub bot_keys: u32,
}

impl Default for Buyers {
    /// Everybody asks once and leaves their order alone.
    fn default() -> Self {
        Self {
            second_attempt_share: 0.0,
            second_attempt_after_ms: (1_000, 5_000),
            pay_share: 0.0,
            cancel_share: 0.0,
            settle_after_ms: (500, 3_000),
            bot_share: 0.0,
            bot_keys: 10,
        }
    }
}

/// What a winner does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Pay,
    Cancel,
    Abandon,
}

/// What one buyer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Character {
    pub(crate) repeats: bool,
    pub(crate) bot: bool,
    pub(crate) intent: Intent,
    pub(crate) settle_after_ms: u64,
    /// When to try again after losing, if at all.
    pub(crate) second_after_ms: Option<u64>,
}

impl Buyers {
    /// Refuses shares and times that make no sense, with the reason.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let shares = [
            ("second attempts", self.second_attempt_share),
            ("payers", self.pay_share),
            ("cancellers", self.cancel_share),
            ("bots", self.bot_share),
        ];
        if let Some((name, _)) = shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(LoadError::Plan(format!("the share of {name} is 0 to 1")));
        }
        let wrong = |reason: &str| Err(LoadError::Plan(reason.to_owned()));
        let upside_down = |range: (u64, u64)| range.0 > range.1 || range.1 > crate::MAX_RUN_MS;
        match self {
            b if b.pay_share + b.cancel_share > 1.0 => {
                wrong("payers and cancellers together are more than all winners")
            }
            b if upside_down(b.second_attempt_after_ms) || upside_down(b.settle_after_ms) => {
                wrong("a time range goes from the shorter to the longer, at most 24 hours")
            }
            b if !(1..=10_000).contains(&b.bot_keys) => wrong("a bot uses 1 to 10,000 keys"),
            _ => Ok(()),
        }
    }

    /// The character that belongs to a key.
    pub(crate) fn character(&self, seed: u64, key: u64, retry_share: f64) -> Character {
        let mut dice = SplitMix(seed ^ key.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let repeats = dice.chance(threshold(retry_share));
        let bot = dice.chance(threshold(self.bot_share));
        let second = dice.chance(threshold(self.second_attempt_share));
        let second_after_ms = dice.within(self.second_attempt_after_ms);
        let settling = dice.next() >> 32;
        let pays_below = threshold(self.pay_share);
        let cancels_below = threshold((self.pay_share + self.cancel_share).min(1.0));
        let intent = match settling {
            draw if draw < pays_below => Intent::Pay,
            draw if draw < cancels_below => Intent::Cancel,
            _ => Intent::Abandon,
        };
        Character {
            repeats,
            bot,
            intent,
            settle_after_ms: dice.within(self.settle_after_ms),
            second_after_ms: second.then_some(second_after_ms),
        }
    }
}

/// A share as a threshold for 32 random bits.
fn threshold(share: f64) -> u64 {
    // Bounded by 2^32 through the plan's check, so nothing is cut off.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= share <= 1")]
    let threshold = (share * 4_294_967_296.0) as u64;
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_and_belong_to_the_key() {
        let buyers = Buyers {
            second_attempt_share: 0.5,
            pay_share: 0.6,
            cancel_share: 0.3,
            bot_share: 0.1,
            ..Buyers::default()
        };
        buyers.check().unwrap();
        let people: Vec<Character> = (0..20_000).map(|key| buyers.character(7, key, 0.25)).collect();
        let share = |of: fn(&Character) -> bool| people.iter().filter(|c| of(c)).count() as f64 / 20_000.0;
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.02, "{found} for {wanted}");
        near(share(|c| c.repeats), 0.25);
        near(share(|c| c.bot), 0.1);
        near(share(|c| c.second_after_ms.is_some()), 0.5);
        near(share(|c| c.intent == Intent::Pay), 0.6);
        near(share(|c| c.intent == Intent::Cancel), 0.3);
        assert!(people.iter().all(|c| (500..=3_000).contains(&c.settle_after_ms)));
        assert_eq!(buyers.character(7, 123, 0.25), people[123]);
        assert_ne!((0..50).map(|key| buyers.character(8, key, 0.25)).collect::<Vec<_>>(), people[..50]);
    }

    #[test]
    fn senseless_shares_are_refused() {
        let good = Buyers::default();
        let cases = [
            Buyers { pay_share: 0.7, cancel_share: 0.4, ..good.clone() },
            Buyers { bot_share: f64::NAN, ..good.clone() },
            Buyers { bot_keys: 0, ..good.clone() },
            Buyers { settle_after_ms: (5, 4), ..good },
        ];
        for case in cases {
            assert!(case.check().is_err(), "{case:?}");
        }
    }
}
