//! The dashboard: `flashctl top` on a screen.
//!
//! Owns what is shown and what keys do; never asks a daemon anything itself. Data flows one way: samples, keys and time are
//! [`event::Event`]s, [`state::State::update`] takes them in, `view` draws the state. Nothing that a daemon did not tell is
//! drawn as a number.

mod event;
mod format;
mod keys;
mod list;
mod model;
mod run;
mod state;
mod tape;
mod theme;
mod tone;
mod view;

use std::{path::PathBuf, sync::mpsc, time::Duration};

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

use crate::{
    exit::Exit,
    live::{Sample, recording::Recording},
    report::Failure,
};
use event::Event;
use state::State;
pub(crate) use theme::Theme;

/// Where samples come from.
pub(crate) enum Source {
    /// From daemons, one per interval. When the sender is gone, the last sample goes stale.
    Live(mpsc::Receiver<News>),
    /// Out of a file.
    Replay(Recording),
}

/// What comes from those who ask the daemons.
pub(crate) enum News {
    Sample(Sample),
    /// Nothing more is recorded: `FAILED: reason` or `FULL`.
    RecordingEnded(String),
}

/// What to show, and how.
pub(crate) struct TopOptions {
    pub(crate) source: Source,
    pub(crate) theme: Theme,
    /// How often daemons are asked.
    pub(crate) interval: Duration,
    /// What is watched, in a few words.
    pub(crate) title: String,
    /// Where samples are recorded to.
    pub(crate) recording_to: Option<PathBuf>,
}

/// Shows the dashboard until somebody ends it. Blocks; draws from a thread of its own.
pub(crate) fn run(options: TopOptions) -> Result<Exit, Failure> {
    let thread = std::thread::Builder::new().name("top".into()).spawn(|| run::run(options));
    let thread = thread.map_err(Failure::from_error)?;
    // The panic's message has been printed already, on a terminal that was given back before.
    thread.join().unwrap_or_else(|_| Err(Failure::message("the dashboard failed")))
}

/// The screen as text, in the character set that the environment names, as it looks after these samples; with ANSI colours if there is a theme. The last sample is "now".
pub(crate) fn picture(
    samples: impl IntoIterator<Item = Sample>,
    title: &str,
    interval: Duration,
    (width, height): (u16, u16),
    theme: Option<Theme>,
) -> String {
    let mut state = State::new(title, run::millis(interval), theme.unwrap_or(Theme::Mono));
    state.ascii = run::is_ascii_only();
    for sample in samples {
        _ = state.update(Event::Sample(Box::new(sample)));
    }
    text(&state, width, height, theme.is_some())
}

/// A state's picture as text.
fn text(state: &State, width: u16, height: u16, is_coloured: bool) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view::view(state, area, &mut buffer);
    let mut text = String::new();
    for row in area.rows() {
        let mut line = String::new();
        let mut style = String::new();
        for position in row.positions() {
            let cell = &buffer[position];
            let wanted = if is_coloured { sgr(cell) } else { String::new() };
            if wanted != style {
                line += "\x1b[0m";
                line += &wanted;
                style = wanted;
            }
            line += cell.symbol();
        }
        text += if style.is_empty() { line.trim_end() } else { &line };
        text += if style.is_empty() { "\n" } else { "\x1b[0m\n" };
    }
    text
}

/// The escape sequence of a cell's style.
fn sgr(cell: &Cell) -> String {
    let mut codes = Vec::new();
    for (modifier, code) in [(Modifier::BOLD, "1"), (Modifier::DIM, "2"), (Modifier::REVERSED, "7")] {
        if cell.modifier.contains(modifier) {
            codes.push(code.to_owned());
        }
    }
    for (color, plane) in [(cell.fg, 38), (cell.bg, 48)] {
        if let Color::Indexed(shade) = color {
            codes.push(format!("{plane};5;{shade}"));
        }
    }
    if codes.is_empty() { String::new() } else { format!("\x1b[{}m", codes.join(";")) }
}

#[cfg(test)]
mod tests;
