//! Progress of a setup: a bar on a terminal, otherwise a line per step and every ten per cent. All on stderr.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
};

use flashd::{rebuild, setup::SetupProgress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// Fewer things than this are done before anybody could read a number.
const COUNTED_MIN: usize = 100;

/// The view.
pub(super) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    /// What was told last, where there is no bar: the words and the tenth.
    told: Cell<(&'static str, usize)>,
}

impl Progress {
    pub(super) fn new(terminal: Terminal) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            // A wrong template would only cost the looks of the bar.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg} {pos}/{len}") {
                bar.set_style(style);
            }
            bar
        });
        Self { terminal, bar, told: Cell::new(("", 0)) }
    }

    pub(super) fn show(&self, step: &SetupProgress) {
        match step {
            SetupProgress::Schema => self.step("migrating the schema"),
            SetupProgress::Topics => self.step("creating topics"),
            SetupProgress::Skus { done, all } => self.count("writing SKUs", *done, *all),
            SetupProgress::Stock(rebuild::Progress::Began(_)) => self.step("filling Redis under a new epoch"),
            SetupProgress::Stock(rebuild::Progress::WaitingForLeases(lease)) => {
                self.terminal_line(&format!("waiting {} ms for leases of the last epoch to end", lease.as_millis()));
            }
            SetupProgress::Stock(rebuild::Progress::At(rebuild::Step::Projecting)) => {
                self.step("applying the log to MySQL");
            }
            SetupProgress::Stock(rebuild::Progress::At(_)) => {}
            SetupProgress::Stock(rebuild::Progress::Loading { done, all }) => self.count("loading stock", *done, *all),
            SetupProgress::Stock(rebuild::Progress::Blocked { sku_id, reason }) => {
                self.terminal_line(&format!("SKU {sku_id} stays closed: {reason}"));
            }
            SetupProgress::Stock(rebuild::Progress::Opened(epoch)) => {
                self.terminal_line(&format!("epoch {epoch} is open"));
            }
        }
    }

    /// Clears the bar.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn step(&self, what: &'static str) {
        self.terminal_line(what);
    }

    fn count(&self, what: &'static str, done: usize, all: usize) {
        if all < COUNTED_MIN {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_length(all as u64);
            bar.set_message(what);
            bar.set_position(done as u64);
            return;
        }
        let tenth = done * 10 / all;
        if self.told.replace((what, tenth)) != (what, tenth) {
            self.terminal.talk(&format!("{what}: {done} of {all}"));
        }
    }

    fn terminal_line(&self, text: &str) {
        let line = self.terminal.dim(text);
        match &self.bar {
            // Above the bar instead of through it.
            Some(bar) => bar.suspend(|| self.terminal.talk(&line)),
            None => self.terminal.talk(&line),
        }
    }
}
