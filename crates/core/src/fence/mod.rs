//! The fence protocol as pure decisions (DESIGN section 5, docs/recovery.md): how Redis may die without an oversell.
//!
//! Owns every rule of it: what a script may do on which server ([`guard`]), what a coordinator does next
//! ([`coordinator`]), whether stock is sound ([`judge`]), which events count and what may be told ([`rules`]). Never talks
//! to anything and reads no clock: `flashd` performs what is decided here, and `tests/fence` runs the very same code in a
//! simulated world with everything that can go wrong. Promises kept: P1 and P2.

pub mod coordinator;
pub mod guard;
pub mod judge;
pub mod rules;

pub use coordinator::{Action, Coordinator, End, Fact, Primaries, Step};
pub use guard::{Fenced, Mark, Refused, Replids, Role, Server};
pub use judge::{Need, OpenEpoch, Reason, Standing};
