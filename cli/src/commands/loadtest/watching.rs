//! Watching a run: on a terminal as a picture, otherwise as lines.
//!
//! Owns the way from a running load to whoever looks at it, and the wish to end early. [`state`] is plain data, [`view`] draws it
//! and does nothing else. The picture is talk: it goes to stderr, and what is answered stays on stdout.

mod state;
mod view;

use std::{process, time::Duration};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use flash_loadgen::{Finished, Run, Snapshot};

use super::{explain, progress::Progress};
use crate::{
    exit::Exit,
    interrupt::Interrupt,
    report::Failure,
    screen::{self, Canvas, Screen},
    terminal::Terminal,
};
use state::State;

/// Ten pictures a second, and as often the keys are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Where a run is shown.
enum Shown {
    Picture(Box<(Screen, State)>),
    Lines(Box<Progress>),
}

/// Shows a run until its threads are done, and joins them. The first Ctrl-C ends it early, the second the program.
pub(crate) async fn watch(
    load: Run,
    title: String,
    plain: bool,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<Finished, Failure> {
    let picture = (!plain && Canvas::Stderr.is_interactive()).then(|| Screen::enter(Canvas::Stderr));
    let mut shown = match picture {
        // A terminal that cannot be taken over can still be written to.
        Some(Ok(screen)) => Shown::Picture(Box::new((screen, State::new(title, terminal.is_colored())))),
        _ => Shown::Lines(Box::new(Progress::new(*terminal))),
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut stopping = false;
    while !load.is_finished() {
        let asked = tokio::select! {
            _ = ticks.tick() => shown.tick(&load, terminal),
            () = interrupt.requested(), if !stopping => 1,
        };
        if asked + u32::from(stopping) >= 2 {
            // Only keys come here: the second signal ends the program by itself.
            screen::restore();
            process::exit(i32::from(Exit::Interrupted.code()));
        }
        if asked > 0 {
            stopping = true;
            load.stop();
            shown.say_stopping();
        }
    }
    shown.tick(&load, terminal);
    shown.done();
    // The threads have ended: joining merges their books, which is work for a thread that may block.
    tokio::task::spawn_blocking(|| load.join()).await.map_err(Failure::from_error)?.map_err(explain)
}

impl Shown {
    /// Shows the present numbers. Says how often somebody pressed a key that asks for the end.
    fn tick(&mut self, load: &Run, terminal: &Terminal) -> u32 {
        let now = load.snapshot();
        let drawn = match self {
            Self::Lines(progress) => {
                progress.load(&now);
                return 0;
            }
            Self::Picture(picture) => picture_of(picture, load, &now),
        };
        drawn.unwrap_or_else(|error| {
            // The picture is talk. Without a terminal it ends; the run goes on, and so does its report.
            *self = Self::Lines(Box::new(Progress::new(*terminal)));
            terminal.talk(&format!("the live view has ended: {error}"));
            0
        })
    }

    fn say_stopping(&mut self) {
        match self {
            Self::Lines(progress) => progress.note("ending early – once more to exit at once"),
            Self::Picture(picture) => picture.1.stopping = true,
        }
    }

    /// Gives the terminal back.
    fn done(self) {
        if let Self::Lines(progress) = self {
            progress.done();
        }
    }
}

/// Draws the present numbers; how often the end was asked for.
fn picture_of((screen, state): &mut (Screen, State), load: &Run, now: &Snapshot) -> std::io::Result<u32> {
    state.update(now, load.stage_words(now.stage));
    screen.draw(|frame| view::draw(state, frame))?;
    wishes_to_end()
}

/// How often Ctrl-C or q is among the keys that were pressed. In raw mode Ctrl-C is a key and no signal.
fn wishes_to_end() -> std::io::Result<u32> {
    let mut asked = 0;
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            let ends = matches!((key.code, control), (KeyCode::Char('c'), true) | (KeyCode::Char('q'), false));
            asked += u32::from(ends);
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests;
