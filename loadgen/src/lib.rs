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
mod buyers;
mod catalog;
mod closed;
mod code;
mod conn;
mod error;
mod fairness;
mod frame;
mod identity;
mod line;
mod moments;
mod open;
mod people;
mod plan;
mod report;
mod request;
mod roster;
mod run;
mod scenario;
mod schedule;
mod settle;
mod shared;
mod stage;
mod stock;
mod tally;
mod target;
mod units;
mod visit;
mod worker;

pub use buyers::Buyers;
pub use catalog::{SkuOnSale, fetch_catalog};
pub use code::{Class, Code};
pub use error::LoadError;
pub use fairness::{Concentration, Decided, Fairness, Figures, Sampling, SkuFairness, figures};
pub use identity::{key_number, key_text};
pub use plan::{MAX_BUYERS, MAX_RUN_MS, MAX_SKUS, MAX_THREADS, OpenLoop, Plan, WHOLE_STAGE};
pub use report::{
    Arrivals, Behaviour, Distributions, Host, Lag, Latencies, Latency, Moment, Pacing, REPORT_VERSION, Report, Settled,
    Spread, StockPoint, Throughput, Validity,
};
pub use run::{Finished, Run, Snapshot, Stopper, start};
pub use scenario::{CANONICAL, Scenario};
pub use schedule::{MAX_ARRIVALS, Phase, Recorded, Schedule, Trace};
pub use shared::EndReason;
pub use stage::{SkuShare, Stage};
pub use tally::{Conflict, Connections, Doubt, Ended, Ending, Replays, Told};
pub use target::Target;
pub use units::{parse_count, parse_duration_ms, parse_range_ms};

/// Most SKUs whose stock is drawn one by one.
pub const MAX_STOCK_LINES: usize = 16;
/// Most SKUs whose fairness is told one by one.
pub const MAX_FAIRNESS_SKUS: usize = 50;
