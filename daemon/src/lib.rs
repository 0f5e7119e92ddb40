//! `flashd`: the flash-sale daemon, as a library so that the operator's tools and the tests run the very same code.
//!
//! The order of the modules is the order of a purchase: http → admission → lane → record, under the lease, and settle when
//! it is paid for or cancelled; beside it the sweeper, the projector, the stock loader and the admin plane; service ties
//! them together.

pub mod change;
pub mod command_line;
pub mod config;
pub mod crash;
pub mod dead_letters;
pub mod logs;
pub mod openapi;
pub mod projector;
pub mod rebuild;
pub mod reconcile;
pub mod setup;

mod admin;
mod admission;
mod announce;
mod app;
mod catalog;
mod clock;
mod control;
mod events;
mod fenced;
mod http;
mod lane;
mod latch;
mod lease;
#[cfg(test)]
mod made_from_code;
mod meters;
mod nodes;
mod record;
mod recovery;
mod selling;
mod service;
mod settle;
mod sweeper;

pub use app::App;
pub use service::{Addresses, Running, ServiceError, start};
