//! How bad something is, as it is drawn.

use crate::live::judge::{Level, Word};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Not known, or nothing to judge.
    Quiet,
    Good,
    /// Somebody should look.
    Warn,
    /// Buyers are affected, or a promise is at stake.
    Bad,
}

impl Tone {
    pub(crate) const fn of(level: Level) -> Self {
        match level {
            Level::Ok => Self::Good,
            Level::Unknown | Level::Noted => Self::Quiet,
            Level::Found => Self::Warn,
            Level::Broken | Level::Down => Self::Bad,
        }
    }

    /// That of a word; what is sold in part only is worth a look.
    pub(crate) const fn of_word(word: Word, has_reason: bool) -> Self {
        match word {
            Word::Selling if has_reason => Self::Warn,
            Word::Selling | Word::SoldOut => Self::Good,
            Word::Waiting | Word::Empty | Word::Upcoming | Word::Closed => Self::Quiet,
            Word::NotReady | Word::Draining | Word::Paused | Word::HeldOut => Self::Warn,
            Word::Unreachable | Word::Stale | Word::NoSeller | Word::Recovering | Word::Stopped => Self::Bad,
        }
    }

    /// Its sign, so that none is told by colour alone.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Quiet => "○",
            Self::Good => "✔",
            Self::Warn => "▲",
            Self::Bad => "✖",
        }
    }
}
