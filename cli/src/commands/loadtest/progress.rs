//! How a load test looks while it runs: a bar on a terminal, otherwise a line every ten per cent.
//!
//! Owns nothing but the view, all of it on stderr.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use flash_loadgen::{Pacing, Snapshot};
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
            rate: "– requests/s".to_owned(),
        }
    }

    /// Shows the load.
    pub(super) fn load(&mut self, now: &Snapshot) {
        self.measure(now);
        let message = format!(
            "{} · {} accepted · {} sold out · {} refused · {} errors · {} · p99 win {}",
            who_came(now),
            grouped(now.wins),
            grouped(now.sold_out),
            grouped(now.refusals),
            grouped(now.errors),
            self.rate,
            if now.wins == 0 { "–".to_owned() } else { micros(now.win_p99_us) },
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

    /// The rate over the last half second or more; a dash as long as there was none.
    fn measure(&mut self, now: &Snapshot) {
        let (at, before) = &self.previous;
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 0.5 {
            return;
        }
        let requests = now.requests.saturating_sub(before.requests);
        self.rate = format!("{:.0} requests/s", requests as f64 / seconds);
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

/// In a closed loop the users there are. In an open one nobody stays: those who came, of those whose time has come.
fn who_came(now: &Snapshot) -> String {
    match now.pacing {
        Pacing::Closed => format!("{} users", grouped(now.buyers)),
        Pacing::Open => format!("{} of {} due came", grouped(now.served), grouped(now.due)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_tells_who_came_and_not_who_is_waiting() {
        let now = Snapshot { pacing: Pacing::Open, buyers: 0, served: 990, due: 1_000, ..Snapshot::default() };
        assert_eq!(who_came(&now), "990 of 1,000 due came");
        assert_eq!(who_came(&Snapshot { pacing: Pacing::Closed, buyers: 7, ..now }), "7 users");
    }
}
