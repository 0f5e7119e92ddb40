//! The gate: the scripts that decide stock, and the connections they run over – to one primary, to the primary among several
//! servers, or to every primary of a cluster.
//!
//! Owns every Redis command of the product. It never retries anything that may have been executed: a time-out or a lost
//! connection is [`StockError::Unknown`], a type of its own, so that no caller can mistake it for "no".

mod address;
mod audit;
mod binding;
mod cluster;
mod connection;
mod fence;
mod info;
mod keys;
mod link;
mod load;
mod meters;
mod payments;
mod reply;
mod scripts;
mod search;
mod settle;
mod slots;
mod stock;
mod trace;
mod walk;
mod watch;

pub use address::is_address;
pub use audit::{Audited, Early, Traces};
pub use connection::{Gate, GateSettings};
pub use fence::{Fence, Replids};
pub use info::ServerInfo;
pub use keys::SkuKeys;
pub use load::{LoadError, LoadKey, LoadStock, Loader, marked_epoch};
pub use payments::{Fate, Register};
pub use settle::Due;
pub use stock::{Batch, Reserved, Resized, Snapshot};
pub use trace::{KeptFate, KeyAnswer, OrderTrace};

/// Why a script gave no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// There is no working connection: the script was certainly not run.
    #[error("Redis is not connected: {0}")]
    NotSent(String),
    /// Redis answered with an error that proves the script changed nothing.
    #[error("Redis refused: {0}")]
    Refused(String),
    /// The script found that this Redis may not decide under this epoch. Nothing was changed.
    #[error("fenced: {0}")]
    Fenced(String),
    /// No answer, or one that cannot be understood: the script may have run.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}
