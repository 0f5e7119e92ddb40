//! The daemons as they are at this moment: where they are, what they tell, and what they told in a recording.
//!
//! Feeds the dashboard, the plain lines, `status` and recordings. Draws nothing.

mod sample;

pub(crate) use sample::{Sample, Seen, Told};
