//! `flashctl top` and `flashctl status` as an operator meets them: the shipped binaries, real servers, a real terminal.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod lines;
mod replay;
mod screen;
mod status;
mod tmux;
