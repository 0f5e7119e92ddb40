//! The dashboard without a terminal: what it makes of samples and keys, and how it looks.

mod fixtures;
mod folding;
mod many;
mod robustness;
mod screens;
mod using;
