//! What a change does to a definition. Pure.

use flash_core::sale::Sku;

/// A change of anything but the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Price of one unit, in minor units. Holds keep the price they were made at.
    Price(u64),
    /// Most units one buyer may hold or own.
    PerUser(u32),
    /// How long a unit is held for payment, in milliseconds. Holds that exist keep their end.
    HoldMs(u64),
    /// The window, in milliseconds since 1970.
    Window {
        /// When it opens: `None` as it is, `Some(None)` from the start.
        opens_at_ms: Option<Option<u64>>,
        /// When it closes: `None` as it is, `Some(None)` never.
        closes_at_ms: Option<Option<u64>>,
    },
    /// Sells from now on, if the window or a pause does not let it.
    Open,
    /// Sells nothing any more. A SKU that has not opened yet loses its opening time.
    Close,
    /// Sells nothing for the moment.
    Pause,
    /// Ends a pause.
    Resume,
}

impl Edit {
    /// Whether it depends on what time it is.
    #[must_use]
    pub const fn needs_clock(self) -> bool {
        matches!(self, Self::Open | Self::Close)
    }

    /// Whether Redis decides by it. A price is told to Redis with every purchase.
    #[must_use]
    pub const fn is_term(self) -> bool {
        !matches!(self, Self::Price(_))
    }

    /// The definition afterwards. `now_ms` is Redis' clock; it is looked at only if [`Edit::needs_clock`].
    #[must_use]
    pub fn apply(self, sku: &Sku, now_ms: u64) -> Sku {
        let mut sku = sku.clone();
        match self {
            Self::Price(minor) => sku.price_minor = minor,
            Self::PerUser(units) => sku.per_user = units,
            Self::HoldMs(ms) => sku.hold_ms = ms,
            Self::Window { opens_at_ms, closes_at_ms } => {
                sku.opens_at_ms = opens_at_ms.unwrap_or(sku.opens_at_ms);
                sku.closes_at_ms = closes_at_ms.unwrap_or(sku.closes_at_ms);
            }
            Self::Open => {
                sku.opens_at_ms = sku.opens_at_ms.map(|opens| opens.min(now_ms));
                sku.closes_at_ms = sku.closes_at_ms.filter(|closes| *closes > now_ms);
                sku.paused = false;
            }
            Self::Close => {
                sku.opens_at_ms = sku.opens_at_ms.filter(|opens| *opens < now_ms);
                sku.closes_at_ms = Some(sku.closes_at_ms.map_or(now_ms, |closes| closes.min(now_ms)));
            }
            Self::Pause => sku.paused = true,
            Self::Resume => sku.paused = false,
        }
        sku
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_core::ids::SkuId;

    const NOW_MS: u64 = 1_000;

    fn sku(opens_at_ms: Option<u64>, closes_at_ms: Option<u64>) -> Sku {
        Sku {
            sku_id: SkuId::new(1),
            name: "Ticket".into(),
            price_minor: 100,
            currency: "EUR".into(),
            capacity: 10,
            per_user: 4,
            hold_ms: 300_000,
            opens_at_ms,
            closes_at_ms,
            paused: true,
        }
    }

    fn window(edit: Edit, opens: Option<u64>, closes: Option<u64>) -> (Option<u64>, Option<u64>) {
        let after = edit.apply(&sku(opens, closes), NOW_MS);
        assert_eq!(after.check(), Ok(()), "{edit:?} of {opens:?} to {closes:?}");
        (after.opens_at_ms, after.closes_at_ms)
    }

    #[test]
    fn opening_moves_only_what_is_in_the_way() {
        assert_eq!(window(Edit::Open, None, None), (None, None));
        assert_eq!(window(Edit::Open, Some(500), Some(2_000)), (Some(500), Some(2_000)));
        assert_eq!(window(Edit::Open, Some(1_500), Some(2_000)), (Some(1_000), Some(2_000)));
        assert_eq!(window(Edit::Open, Some(500), Some(900)), (Some(500), None));
        assert!(!Edit::Open.apply(&sku(None, None), NOW_MS).paused);
    }

    #[test]
    fn closing_is_for_good_and_can_be_repeated() {
        assert_eq!(window(Edit::Close, None, None), (None, Some(1_000)));
        assert_eq!(window(Edit::Close, Some(500), Some(2_000)), (Some(500), Some(1_000)));
        assert_eq!(window(Edit::Close, Some(1_500), Some(2_000)), (None, Some(1_000)));
        assert_eq!(window(Edit::Close, Some(500), Some(900)), (Some(500), Some(900)), "it was closed already");
    }

    #[test]
    fn a_window_changes_by_halves() {
        let edit = |opens_at_ms, closes_at_ms| Edit::Window { opens_at_ms, closes_at_ms };
        assert_eq!(window(edit(None, Some(Some(9))), Some(5), None), (Some(5), Some(9)));
        assert_eq!(window(edit(Some(None), None), Some(5), Some(9)), (None, Some(9)));
        assert!(edit(Some(Some(9)), None).apply(&sku(None, Some(9)), 0).check().is_err());
    }
}
