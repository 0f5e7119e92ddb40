//! Progress of many letters: a bar on a terminal, otherwise a line every ten per cent. All on stderr.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// Fewer letters than this are done before anybody could read a number.
const COUNTED_MIN: usize = 100;

/// The view.
pub(super) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    all: usize,
    done: usize,
}

impl Progress {
    pub(super) fn new(terminal: Terminal, all: usize) -> Self {
        let bar = (all >= COUNTED_MIN && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(all as u64);
            // A wrong template would only cost the looks of the bar.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} replaying {pos}/{len}") {
                bar.set_style(style);
            }
            bar
        });
        Self { terminal, bar, all, done: 0 }
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        let tenth = |done: usize| done * 10 / self.all.max(1);
        let before = tenth(self.done);
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.all >= COUNTED_MIN && tenth(self.done) != before => {
                self.terminal.talk(&format!("replaying: {} of {}", self.done, self.all));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
