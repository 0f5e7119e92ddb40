//! The order state machine: the one place that says which transition is legal. The projector, the recovery and the
//! tests all call it, so MySQL, a rebuilt Redis and the test oracle can never disagree about what an order is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where an order stands. Everything but [`OrderState::Reserved`] is final and never changes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Units are held for the buyer until the hold expires.
    Reserved,
    /// Paid: the units are sold.
    Confirmed,
    /// Given back by the buyer.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl OrderState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Reserved, Self::Confirmed, Self::Cancelled, Self::Expired];

    /// The name used in MySQL, in events and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "RESERVED",
            Self::Confirmed => "CONFIRMED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Reads the name written by [`OrderState::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether the order's units count against the capacity.
    #[must_use]
    pub const fn occupies_stock(self) -> bool {
        matches!(self, Self::Reserved | Self::Confirmed)
    }

    /// The state after an event that carries `next`, or `None` if the event changes nothing.
    ///
    /// An order that the projector has never seen takes the event's state as it is: events are self-contained, so an
    /// `EXPIRED` whose `RESERVED` never reached the log still leaves a true row behind.
    #[must_use]
    pub const fn apply(current: Option<Self>, next: Self) -> Option<Self> {
        match (current, next) {
            (None, next) => Some(next),
            (Some(Self::Reserved), Self::Confirmed | Self::Cancelled | Self::Expired) => Some(next),
            (Some(_), _) => None,
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::OrderState::{self, *};

    #[test]
    fn each_order_resolves_at_most_once() {
        let all = [Reserved, Confirmed, Cancelled, Expired];
        for current in all {
            for next in all {
                let expected = (current == Reserved && next != Reserved).then_some(next);
                assert_eq!(OrderState::apply(Some(current), next), expected, "{current} then {next}");
            }
        }
        for next in all {
            assert_eq!(OrderState::apply(None, next), Some(next));
            assert_eq!(OrderState::parse(next.as_str()), Some(next));
        }
    }
}
