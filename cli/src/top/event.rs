//! All that can happen to the dashboard, and all that it can wish for.

use crossterm::event::KeyEvent;

use crate::{exit::Exit, live::Sample};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A poll brought something, or playing came to the next sample of a recording.
    Sample(Box<Sample>),
    /// Playing came to this sample of the recording. Comes before the sample itself.
    PlayedTo(usize),
    /// The recording was wound to a place: what came before it, as far as it is drawn, the place's own sample last.
    Wound {
        /// The place.
        index: usize,
        /// In order of time; not every one if there are many.
        samples: Vec<Sample>,
    },
    /// Nothing more is recorded: `FAILED: reason` or `FULL`.
    RecordingEnded(String),
    /// Nothing more will come, for this reason; or a sample could not be read.
    Ended(String),
    /// Time goes on: milliseconds since 1970, by the clock of who looks; of a recording, by its own.
    Tick(u64),
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized(u16, u16),
}

/// What is to be done outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing but drawing.
    Nothing,
    /// End, with this code.
    Quit(Exit),
    /// Give the terminal back and stop for a while.
    Suspend,
    /// Forget what was drawn and draw everything.
    Redraw,
    /// Wind the recording to this sample.
    Wind(usize),
}
