//! Progress of a search through the log: a bar on a terminal, otherwise a line every ten per cent. All on stderr, and only
//! if it takes a while.

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// Fewer records than this are read before anybody could read a number.
const COUNTED_MIN: u64 = 50_000;

/// The view. Clones show the same.
#[derive(Clone)]
pub(super) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    tenth: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn new(terminal: Terminal) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            // A wrong template would only cost the looks of the bar.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} searching the log {pos}/{len}") {
                bar.set_style(style);
            }
            bar
        });
        Self { terminal, bar, tenth: Arc::default() }
    }

    /// `done` of `all` records are read.
    pub(super) fn step(&self, done: u64, all: u64) {
        if all < COUNTED_MIN {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            return;
        }
        let tenth = done * 10 / all;
        if self.tenth.swap(tenth, Ordering::Relaxed) != tenth {
            self.terminal.talk(&format!("searching the log: {done} of {all} records"));
        }
    }

    /// Takes the bar away.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
