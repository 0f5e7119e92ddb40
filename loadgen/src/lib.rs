//! Load engine without a face: virtual buyers against anything that speaks the purchase API.
//!
//! Owns schedules, workers, histograms and the record of everything buyers were told. Never prints, never
//! names a database: whether what was told is true is judged elsewhere, from [`Finished`].
//!
//! ```text
//! Plan ── start ──► Run ──► one thread per `threads`: buyers ── frames ── answers ──► Tally
//!                    │ snapshot / stop                                                  │
//!                    └── join ◄────────────────────── merged once ──────────────────────┘ ──► Finished
//! ```
//!
//! The engine shares its machine with the server it measures, so a request must cost next to nothing: it is
//! a prepared template with two numbers overwritten, one write, one read, one pass over the answer.

mod answer;
mod buyer;
mod catalog;
mod code;
mod conn;
mod error;
mod fairness;
mod frame;
mod identity;
mod plan;
mod report;
mod request;
mod run;
mod shared;
mod tally;
mod target;
mod worker;

pub use catalog::{SkuOnSale, fetch_catalog};
pub use code::{Class, Code};
pub use error::LoadError;
/// Most SKUs whose stock is drawn one by one.
pub const MAX_STOCK_LINES: usize = 16;
/// Most SKUs whose fairness is told one by one.
pub const MAX_FAIRNESS_SKUS: usize = 50;

pub use fairness::{Concentration, Decided, Fairness, Figures, Sampling, SkuFairness, figures};
pub use identity::{key_number, key_text};
pub use plan::{MAX_BUYERS, MAX_RUN_MS, MAX_SKUS, MAX_THREADS, Plan, SkuShare, Stage, parse_count, parse_duration_ms};
pub use report::{
    Arrivals, Behaviour, Distributions, Host, Lag, Latencies, Latency, Moment, Pacing, REPORT_VERSION, Report, Settled,
    Spread, StockPoint, Throughput, Validity,
};
pub use run::{Finished, Run, Snapshot, Stopper, start};
pub use shared::EndReason;
pub use tally::{Conflict, Connections, Doubt, Replays, Slice, Told};
pub use target::Target;
