//! One dead letter: what was parked, and what was done about it since.

use super::{LetterStatus, Origin, Standing};
use flash_core::event::Event;
use flash_core::limits::REPLAYS_MAX;
use flash_stores::kafka::dead_letter::DeadLetter;

/// A letter as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What was parked; the newest copy if there are several.
    pub parked: DeadLetter,
    /// How often it was parked: a projector that dies before it has passed the record parks it again.
    pub copies: u32,
    /// The last thing that was done about it; nothing yet if `None`.
    pub standing: Option<Standing>,
}

impl Letter {
    /// Where the record stands in the log.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.parked.origin()
    }

    /// Whether somebody still has to look at it.
    #[must_use]
    pub fn status(&self) -> LetterStatus {
        self.standing.as_ref().map_or(LetterStatus::Waiting, |standing| standing.status)
    }

    /// Replays so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.standing.as_ref().map_or(0, |standing| standing.attempts)
    }

    /// Whether it may be replayed once more without force.
    #[must_use]
    pub fn has_attempts_left(&self) -> bool {
        self.attempts() < REPLAYS_MAX
    }

    /// The event, if this program can read it.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn event(&self) -> Result<Event, String> {
        let payload = self.parked.payload().ok_or("the letter carries no payload that can be read")?;
        Event::decode(&payload).map_err(|error| error.to_string())
    }
}
