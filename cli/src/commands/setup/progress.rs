//! Progress of a setup, or of filling Redis alone: a bar on a terminal, otherwise a line per step and every ten per cent. All on stderr.

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
pub(crate) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    /// What was told last, where there is no bar: the words and the tenth.
    told: Cell<(&'static str, usize)>,
}

impl Progress {
    pub(crate) fn new(terminal: Terminal) -> Self {
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

    pub(crate) fn show(&self, step: &SetupProgress) {
        match step {
            SetupProgress::Schema => self.step("migrating the schema"),
            SetupProgress::Topics => self.step("creating topics"),
            SetupProgress::Skus { done, all } => self.count("writing SKUs", *done, *all),
            SetupProgress::Stock(step) => self.stock(step),
        }
    }

    /// A step of filling Redis.
    pub(crate) fn stock(&self, step: &rebuild::Progress) {
        match step {
            rebuild::Progress::Began(epoch) => self.step(&format!("filling Redis under epoch {epoch}")),
            rebuild::Progress::At(rebuild::Step::Closing) => self.step("closing every SKU"),
            rebuild::Progress::At(rebuild::Step::Projecting) => self.step("applying the log to MySQL"),
            rebuild::Progress::At(_) => {}
            rebuild::Progress::WaitingForLeases(lease) => {
                self.step(&format!("waiting {} ms for leases of older epochs to end", lease.as_millis()));
            }
            rebuild::Progress::Loading { done, all } => self.count("loading stock", *done, *all),
            rebuild::Progress::Blocked { sku_id, reason } => {
                self.step(&format!("SKU {sku_id} stays closed: {reason}"));
            }
            rebuild::Progress::Opened(epoch) => self.step(&format!("epoch {epoch} is open")),
        }
    }

    /// Clears the bar.
    pub(crate) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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

    fn step(&self, text: &str) {
        let line = self.terminal.dim(text);
        match &self.bar {
            // Above the bar instead of through it.
            Some(bar) => bar.suspend(|| self.terminal.talk(&line)),
            None => self.terminal.talk(&line),
        }
    }
}
