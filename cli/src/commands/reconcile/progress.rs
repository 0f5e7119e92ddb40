//! What is happening: one changing line on a terminal, otherwise a line where something takes long. All on stderr.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    time::Duration,
};

use flashd::reconcile::Step;
use indicatif::ProgressBar;

use crate::terminal::Terminal;

/// Fewer SKUs than this are read before anybody could read a number.
const COUNTED_MIN: usize = 1_000;

/// The view.
pub(super) struct Progress {
    terminal: Terminal,
    spinner: Option<ProgressBar>,
    tenth: Cell<usize>,
    waiting: Cell<bool>,
}

impl Progress {
    pub(super) fn new(terminal: Terminal) -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        Self { terminal, spinner, tenth: Cell::new(0), waiting: Cell::new(false) }
    }

    pub(super) fn step(&self, step: &Step) {
        let told = text(step);
        match (&self.spinner, step) {
            (Some(spinner), _) => spinner.set_message(told),
            (None, Step::Cutting { done, all }) => {
                let tenth = done * 10 / (*all).max(1);
                if *all >= COUNTED_MIN && tenth != self.tenth.replace(tenth) {
                    self.terminal.talk(&told);
                }
            }
            (None, Step::Waiting { .. }) if !self.waiting.replace(true) => self.terminal.talk(&told),
            (None, Step::Again(_) | Step::Searching) => self.terminal.talk(&told),
            (None, _) => {}
        }
    }

    pub(super) fn done(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}

fn text(step: &Step) -> String {
    match step {
        Step::Cutting { done, all } => format!("reading Redis: {done} of {all} SKUs"),
        Step::Projecting => "waiting for the projector to pass the log's end".to_owned(),
        Step::Summing => "adding up the ledger".to_owned(),
        Step::Waiting { skus, left } => format!(
            "stock changes of {skus} SKUs are not in the ledger; waiting at most {} s for their events",
            left.as_secs().max(1)
        ),
        Step::Searching => "looking for what is missing in the dead letters, the log and Redis".to_owned(),
        Step::Again(reason) => format!("{reason}; starting again"),
    }
}
