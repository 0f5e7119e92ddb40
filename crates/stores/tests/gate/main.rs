//! The gate over a real Redis: the scripts against the model, and under every fault.

mod claims;
mod early;
mod faults;
mod guards;
mod model;
mod resharding;
mod steps;
mod support;
mod topologies;
