//! Comparing the books: what the gate counts against what the log led to, at one instant of one SKU. Pure.
//!
//! Owns the names of what can be wrong and the arithmetic that finds it. Never looks anywhere: whoever calls has read the
//! gate's counters together with the sequence number `N` of its last stock change, and the sums of the ledger up to exactly
//! `N`. Promise kept: if the books agree, nothing is found, however much is sold meanwhile (docs/reconcile.md has the
//! argument); what is found is named with the hop that owns it.

mod books;
mod compare;
mod kind;

pub use books::{Case, Count, Gap, GateBooks, Known};
pub use compare::compare;
pub use kind::{Finding, Hop, Kind, ORDERS_NAMED_MAX};
