//! The pure vocabulary and decisions of the flash sale: identifiers, bounds, requests, outcomes, events and the order
//! state machine. Nothing in this crate performs I/O or reads a clock, so every rule here can be tested by itself and
//! the same rule is shared by the daemon, the projector, the operator's tools and the tests.

pub mod epoch;
pub mod event;
pub mod fence;
pub mod ids;
pub mod limits;
pub mod order;
pub mod outcome;
pub mod payment;
pub mod purchase;
pub mod reconcile;
pub mod sale;
pub mod settings;
pub mod settlement;
pub mod snowflake;
pub mod stats;
pub mod stock;
