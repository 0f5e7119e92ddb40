//! Changing a sale while it runs: the one path on which price, capacity, terms and pauses change.
//!
//! Owns the order of the two stores. MySQL says what is on sale and who changed it; Redis decides by what it was given last.
//! A raise of capacity and all terms go to MySQL first, a lower capacity goes to Redis first: a crash in between sells too
//! little and never too much, and the same change once more completes it. Operators who change the same SKU wait for one
//! another. After MySQL has been changed the newest epoch is read: a rebuild that was announced by then may have seen the old
//! row, so its opening is waited for; one that is announced later reads the new row. Knows no terminal.

mod capacity;
mod desk;
mod edit;
mod look;
mod stock;

pub use desk::{Desk, Outcome, Reached};
pub use edit::Edit;
pub use look::{SkuView, State, StockView};

use flash_core::ids::SkuId;
use flash_core::sale::SkuError;
use flash_core::stock::Counters;
use flash_stores::kafka::epochs::EpochTopicError;
use flash_stores::mysql::MySqlError;
use flash_stores::mysql::sku_lock::EditError;
use flash_stores::redis::StockError;
use stock::NotApplied;

/// Why a change was not made, or not made everywhere.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such SKU.
    #[error("SKU {0} does not exist")]
    Missing(SkuId),
    /// The result would be out of bounds. Nothing was changed.
    #[error("SKU {sku_id}: {error}")]
    Bounds {
        /// Which SKU.
        sku_id: SkuId,
        /// Which bound.
        error: SkuError,
    },
    /// More units are taken than the wanted capacity. Redis was not changed.
    #[error(
        "SKU {sku_id} cannot have a capacity of {wanted}: {held} held + {sold} sold + {closing} closing = {taken} units are \
         taken; its capacity stays {capacity}",
        held = counters.held, sold = counters.sold, closing = counters.closing, taken = taken(counters)
    )]
    Below {
        /// Which SKU.
        sku_id: SkuId,
        /// The capacity that was asked for.
        wanted: u32,
        /// The capacity Redis has.
        capacity: u32,
        /// What is taken.
        counters: Counters,
    },
    /// A lower capacity must be known to Redis first, and Redis cannot decide now. Nothing was changed.
    #[error("SKU {sku_id}: the capacity can only be lowered while Redis decides: {reason}; nothing was changed")]
    NotDeciding {
        /// Which SKU.
        sku_id: SkuId,
        /// What is wrong with it.
        reason: String,
    },
    /// Redis was filled anew while the capacity was lowered, and by now more units are taken than it allows. MySQL was
    /// put back.
    #[error(
        "SKU {sku_id} keeps its capacity of {capacity}: Redis was refilled while it was lowered to {wanted}, and {taken} units \
         are taken by now; MySQL was put back",
        taken = taken(counters)
    )]
    PutBack {
        /// Which SKU.
        sku_id: SkuId,
        /// The capacity that was asked for.
        wanted: u32,
        /// The capacity it has again.
        capacity: u32,
        /// What is taken.
        counters: Counters,
    },
    /// One store has the change and the other may not. The same change once more completes it.
    #[error("SKU {sku_id} is half changed: {state}")]
    Half {
        /// Which SKU.
        sku_id: SkuId,
        /// Which store has what.
        state: String,
        /// What went wrong.
        source: Box<ChangeError>,
    },
    /// Somebody else is changing the same SKU.
    #[error("somebody else is changing SKU {0}; nothing was changed")]
    Busy(SkuId),
    /// The database.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// Redis.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The control topic.
    #[error(transparent)]
    Epochs(#[from] EpochTopicError),
    /// A task of this process died.
    #[error("a task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ChangeError {
    /// Whether a server could not be reached, so that the same change may succeed later.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::MySql(error) => error.is_outage(),
            Self::Stock(error) => matches!(error, StockError::NotSent(_) | StockError::Unknown(_)),
            Self::Epochs(error) => !matches!(error, EpochTopicError::Malformed { .. }),
            Self::Half { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    fn edit(sku_id: SkuId, error: EditError) -> Self {
        match error {
            EditError::Missing(sku_id) => Self::Missing(sku_id),
            EditError::Bounds(error) => Self::Bounds { sku_id, error },
            EditError::MySql(error) => Self::MySql(error),
        }
    }

    /// A lower capacity that Redis was not told.
    fn not_lowered(sku_id: SkuId, error: NotApplied) -> Self {
        match error {
            NotApplied::NotDeciding(reason) => Self::NotDeciding { sku_id, reason },
            NotApplied::Failed(error @ Self::Stock(StockError::Unknown(_))) => {
                let state = "Redis may have the lower capacity, MySQL has not".to_owned();
                Self::Half { sku_id, state, source: Box::new(error) }
            }
            NotApplied::Failed(error) => error,
        }
    }
}

fn taken(counters: &Counters) -> u64 {
    u64::from(counters.held) + u64::from(counters.sold) + u64::from(counters.closing)
}
