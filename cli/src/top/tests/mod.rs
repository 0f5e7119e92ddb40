//! The dashboard without a terminal: what it makes of samples and keys, and how it looks.

mod cost;
mod fixtures;
mod folding;
mod robustness;
mod screens;
mod using;
