//! The daemons as they are at this moment: where they are, what they tell, and what they told in a recording.
//!
//! Feeds the dashboard, the plain lines, `status` and recordings. Draws nothing. The way of a sample: [`discover`] says whom to
//! ask, [`poll`] asks them, [`recording`] keeps it, [`figures`] derives what a [`mod@line`] says of it.

pub(crate) mod discover;
pub(crate) mod figures;
pub(crate) mod flow;
pub(crate) mod judge;
pub(crate) mod line;
pub(crate) mod poll;
pub(crate) mod recording;
mod sample;
pub(crate) mod stock;
pub(crate) mod watch;

pub(crate) use sample::{Sample, Seen, Told};
