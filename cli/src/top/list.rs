//! What is listed, and in which order.

use std::cmp::{Ordering, Reverse};

use flash_core::stats::SkuState;

use super::model::{Entry, Model, SkuRow};

/// Orders of the stock list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// By id: nothing moves.
    Id,
    /// The smallest share left first.
    Left,
    /// What goes fastest first.
    Pace,
    /// What is gone soonest first.
    SellsOut,
    /// What most buyers have asked for first.
    Asked,
}

impl Sort {
    pub(crate) fn next(self) -> Sort {
        match self {
            Sort::Id => Sort::Left,
            Sort::Left => Sort::Pace,
            Sort::Pace => Sort::SellsOut,
            Sort::SellsOut => Sort::Asked,
            Sort::Asked => Sort::Id,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Sort::Id => "by id",
            Sort::Left => "least left first",
            Sort::Pace => "fastest first",
            Sort::SellsOut => "soonest gone first",
            Sort::Asked => "most asked for first",
        }
    }
}

/// Indices of the SKUs that contain the filter, in order. What is not known goes last, whichever way round.
pub(crate) fn listed(rows: &[SkuRow], filter: &str, sort: Sort, reversed: bool) -> Vec<u32> {
    let wanted = filter.to_lowercase();
    let numbered = (0_u32..).zip(rows);
    let mut listed: Vec<(u32, &SkuRow)> = numbered.filter(|(_, row)| contains(row, &wanted)).collect();
    let turn = |order: Ordering| if reversed { order.reverse() } else { order };
    match sort {
        Sort::Id => {
            if reversed {
                listed.reverse();
            }
        }
        Sort::Left => listed.sort_by(|a, b| known_first(share_left(a.1), share_left(b.1), |a, b| turn(a.cmp(b)))),
        Sort::Pace => {
            listed.sort_by(|a, b| known_first(a.1.selling_pace(), b.1.selling_pace(), |a, b| turn(b.total_cmp(a))))
        }
        Sort::SellsOut => listed.sort_by(|a, b| known_first(a.1.lasts_ms(), b.1.lasts_ms(), |a, b| turn(a.cmp(b)))),
        Sort::Asked => listed.sort_by(|a, b| turn(Reverse(a.1.told.attempts).cmp(&Reverse(b.1.told.attempts)))),
    }
    listed.into_iter().map(|(index, _)| index).collect()
}

/// Events that contain the filter, the newest first.
pub(crate) fn events<'a>(model: &'a Model, filter: &str) -> impl Iterator<Item = &'a Entry> {
    let wanted = filter.to_lowercase();
    model.log.newest().filter(move |entry| {
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        wanted.is_empty()
            || has(&entry.text)
            || entry.daemons.iter().any(|name| has(name))
            || entry.sku_id.is_some_and(|id| has(&id.to_string()))
    })
}

/// What a state is called, for lists and filters.
pub(crate) fn state_word(state: SkuState) -> &'static str {
    match state {
        SkuState::Selling => "selling",
        SkuState::HeldOut => "held out",
        SkuState::SoldOut => "sold out",
        SkuState::Upcoming => "upcoming",
        SkuState::Closed => "closed",
        SkuState::Paused => "paused",
        SkuState::Unknown => "unknown",
    }
}

fn contains(row: &SkuRow, wanted: &str) -> bool {
    wanted.is_empty()
        || row.told.name.to_lowercase().contains(wanted)
        || row.told.sku_id.to_string().contains(wanted)
        || state_word(row.told.state).contains(wanted)
}

/// Left of everything, in millionths.
fn share_left(row: &SkuRow) -> Option<u128> {
    let parts = row.parts()?;
    Some(u128::from(parts.left) * 1_000_000 / u128::from(parts.total().max(1)))
}

fn known_first<T>(a: Option<T>, b: Option<T>, order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => order(&a, &b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}
