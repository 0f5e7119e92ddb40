//! What is seen while runs are going on: a bar on a terminal, otherwise a line per fault and per run. All on stderr.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// The view.
pub(super) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(terminal: Terminal, runs: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(runs);
            // A wrong template would only cost the looks of the bar.
            if let Ok(style) = ProgressStyle::with_template("{spinner} run {pos}/{len} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { terminal, bar }
    }

    /// A run begins.
    pub(super) fn begin(&self, seed: u64) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("seed {seed}")),
            None => self.terminal.talk(&format!("seed {seed}:")),
        }
    }

    /// A fault begins.
    pub(super) fn tell(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.to_owned()),
            None => self.terminal.talk(&format!("  {line}")),
        }
    }

    /// A run has ended.
    pub(super) fn end(&mut self, line: &str) {
        self.line(line);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A line that stays.
    pub(super) fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.terminal.talk(line),
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
