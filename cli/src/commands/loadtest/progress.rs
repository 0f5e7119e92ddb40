//! How a load test looks while it runs: a bar on a terminal, otherwise a line every ten per cent.
//!
//! Owns nothing but the view, all of it on stderr.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use flash_loadgen::Snapshot;
use indicatif::{ProgressBar, ProgressStyle};

use super::summary::micros;
use crate::{table::grouped, terminal::Terminal, verdict::Settling};

/// Longest silence where there is no bar.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// The view of one phase.
pub(super) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    /// Tenth of the phase that was told last, where there is no bar.
    told_tenth: Option<u64>,
    told_at: Instant,
    previous: (Instant, Snapshot),
    rate: String,
}

impl Progress {
    pub(super) fn new(terminal: Terminal) -> Self {
        let now = Instant::now();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1);
            // A wrong template would only cost the looks of the bar.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            terminal,
            bar,
            told_tenth: None,
            told_at: now,
            previous: (now, Snapshot::default()),
            rate: String::new(),
        }
    }

    /// Shows the load.
    pub(super) fn load(&mut self, now: &Snapshot) {
        self.measure(now);
        let message = format!(
            "{} buyers · {} accepted · {} sold out · {} refused · {} errors · {} · p99 win {}",
            grouped(now.buyers),
            grouped(now.wins),
            grouped(now.sold_out),
            grouped(now.refusals),
            grouped(now.errors),
            self.rate,
            micros(now.win_p99_us),
        );
        let seconds = format!("{:>4.1} s ", now.elapsed_ms.min(now.duration_ms) as f64 / 1_000.0);
        self.show(now.elapsed_ms, now.duration_ms, &(seconds + &message));
    }

    /// Shows the wait for the drain.
    pub(super) fn settling(&mut self, now: Settling) {
        let (applied, in_log) = (grouped(now.applied), grouped(now.in_log));
        let message =
            format!("MySQL has applied {applied} of {in_log} events · {} on their way back", grouped(now.closing));
        self.show(now.applied, now.in_log, &message);
    }

    /// Says something once.
    pub(super) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.terminal.talk(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// The rate over the last half second or more.
    fn measure(&mut self, now: &Snapshot) {
        let (at, before) = &self.previous;
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 0.5 && !self.rate.is_empty() {
            return;
        }
        let requests = now.requests.saturating_sub(before.requests);
        self.rate = format!("{:.0} requests/s", requests as f64 / seconds.max(0.001));
        self.previous = (Instant::now(), *now);
    }

    fn show(&mut self, position: u64, length: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(length.max(1));
            bar.set_position(position.min(length));
            bar.set_message(message.to_owned());
            return;
        }
        let tenth = position.min(length) * 10 / length.max(1);
        if self.told_tenth != Some(tenth) || self.told_at.elapsed() >= LONGEST_SILENCE {
            (self.told_tenth, self.told_at) = (Some(tenth), Instant::now());
            self.terminal.talk(message);
        }
    }
}
