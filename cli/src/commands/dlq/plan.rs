//! What will be done about some letters, before it is done.

use flashd::dead_letters::{Letter, LetterStatus};

use super::view;
use crate::{plain::harmless, report::Failure, terminal::Terminal};

/// From this many letters on the rest is counted instead of listed.
const LISTED_MAX: usize = 20;

/// One letter of a plan.
pub(super) struct Step {
    pub(super) letter: Letter,
    /// Why it is left alone; `None`: it is not.
    pub(super) skipped: Option<String>,
}

/// What a replay would do with each letter. Whatever has changed until then is found out by the replay itself.
pub(super) fn replay(letters: Vec<Letter>, events_topic: &str, force: bool) -> Vec<Step> {
    let skip = |letter: &Letter| {
        if letter.parked.topic != events_topic {
            return Some(format!("only records of {events_topic} can be replayed"));
        }
        if letter.status() == LetterStatus::Dropped && !force {
            return Some("was dropped; --force replays it anyway".to_owned());
        }
        let bounded = !force && !letter.has_attempts_left();
        bounded.then(|| format!("was replayed {} times; --force tries once more", letter.attempts()))
    };
    letters.into_iter().map(|letter| Step { skipped: skip(&letter), letter }).collect()
}

/// What giving up would do with each letter.
pub(super) fn drop_all(letters: Vec<Letter>) -> Vec<Step> {
    let skip = |letter: &Letter| match letter.status() {
        LetterStatus::Replayed => Some("was replayed: its event is in MySQL".to_owned()),
        LetterStatus::Dropped => Some("was dropped before".to_owned()),
        LetterStatus::Waiting => None,
    };
    letters.into_iter().map(|letter| Step { skipped: skip(&letter), letter }).collect()
}

/// How many letters something will be done about.
pub(super) fn size(plan: &[Step]) -> usize {
    plan.iter().filter(|step| step.skipped.is_none()).count()
}

/// Prints a plan, one line per letter.
pub(super) fn print(plan: &[Step], verb: &str, terminal: &Terminal) -> Result<(), Failure> {
    for Step { letter, skipped } in plan.iter().take(LISTED_MAX) {
        let (verb, detail) = match skipped {
            Some(reason) => ("skip", reason.clone()),
            None => (verb, detail(letter)),
        };
        terminal.answer(&format!("{verb:<6}  {}  {detail}", harmless(&letter.origin().to_string())))?;
    }
    match plan.len().saturating_sub(LISTED_MAX) {
        0 => Ok(()),
        more => terminal.answer(&format!("… and {more} more")),
    }
}

fn detail(letter: &Letter) -> String {
    let before = match (letter.status(), letter.attempts()) {
        (LetterStatus::Replayed, _) => ", replayed before",
        (_, 0) => "",
        (_, _) => ", failed before",
    };
    format!("{}{before}", view::about(letter))
}
