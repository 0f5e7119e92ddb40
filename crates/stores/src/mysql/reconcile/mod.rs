//! Reading the view for an audit: one consistent look at ledger, orders and payments, and the record of past runs.
//!
//! Owns the statements, and that all statements of one [`Look`] see the same instant: projector transactions are seen whole
//! or not at all. Never writes anything but `reconcile_runs`, and never judges.

mod details;
mod look;
mod runs;

pub use details::{OverCap, Overdue, Unconfirmed};
pub use look::{Look, Totals};
pub use runs::{NewRun, Run, list, record};
