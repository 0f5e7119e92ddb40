//! The place in a recording: where playing is, how fast, and where a key leads.

use super::keys::Action;

/// Speeds to choose from, in percent of the real one.
const SPEEDS: [u64; 9] = [25, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400];
/// The real one.
const SPEED: usize = 2;

/// Where playing is.
#[derive(Debug, Clone)]
pub(crate) struct Playback {
    /// Samples of the recording; at least one.
    pub(crate) len: usize,
    /// The one that is shown.
    pub(crate) index: usize,
    /// When the first and the last one were taken.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    pub(crate) playing: bool,
    speed: usize,
}

impl Playback {
    pub(crate) fn new(len: usize, first_ms: u64, last_ms: u64) -> Playback {
        Playback { len: len.max(1), index: 0, first_ms, last_ms: last_ms.max(first_ms), playing: true, speed: SPEED }
    }

    /// In percent of the real one.
    pub(crate) fn speed_percent(&self) -> u64 {
        SPEEDS[self.speed]
    }

    /// The speed, as people say it.
    pub(crate) fn speed_text(&self) -> String {
        match self.speed_percent() {
            25 => "¼×".to_owned(),
            50 => "½×".to_owned(),
            percent => format!("{}×", percent / 100),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.index + 1 >= self.len
    }

    /// Does what a key asks; gives the place to wind to, if it is another one. Stepping stops playing, for one wants to look.
    pub(crate) fn act(&mut self, action: Action) -> Option<usize> {
        let last = self.len - 1;
        let jump = (self.len / 20).max(1);
        let to = match action {
            Action::StepBack => self.index.saturating_sub(1),
            Action::StepOn => (self.index + 1).min(last),
            Action::JumpBack => self.index.saturating_sub(jump),
            Action::JumpOn => (self.index + jump).min(last),
            Action::TapeStart => 0,
            Action::TapeEnd => last,
            Action::Slower => {
                self.speed = self.speed.saturating_sub(1);
                return None;
            }
            Action::Faster => {
                self.speed = (self.speed + 1).min(SPEEDS.len() - 1);
                return None;
            }
            _ => return None,
        };
        if matches!(action, Action::StepBack | Action::StepOn) {
            self.playing = false;
        }
        (to != self.index).then_some(to)
    }
}

/// Which samples to read to draw what came before `index`: all of the last `most`, or evenly spread ones out of more, with the
/// last two next to each other so that the rates of the moment are those of the moment.
pub(crate) fn wound(index: usize, back: usize, most: usize) -> Vec<usize> {
    let first = index.saturating_sub(back);
    let step = ((index - first) / most.max(1)).max(1);
    let mut places: Vec<usize> = (first..index.saturating_sub(1)).step_by(step).collect();
    places.extend(index.saturating_sub(1)..=index);
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winding_reads_a_bounded_number_and_ends_with_neighbours() {
        assert_eq!(wound(0, 100, 10), [0]);
        assert_eq!(wound(3, 100, 10), [0, 1, 2, 3]);
        let many = wound(10_000, 3_600, 120);
        assert!(many.len() <= 130 && many[0] == 6_400, "{}", many.len());
        assert_eq!(many[many.len() - 2..], [9_999, 10_000]);
        assert!(many.is_sorted());
    }

    #[test]
    fn keys_lead_to_places_within_the_recording() {
        let mut tape = Playback::new(100, 0, 99_000);
        assert_eq!(tape.act(Action::StepBack), None);
        assert!(!tape.playing);
        assert_eq!((tape.act(Action::StepOn), tape.act(Action::JumpOn)), (Some(1), Some(5)));
        tape.index = 97;
        assert_eq!((tape.act(Action::JumpOn), tape.act(Action::TapeStart)), (Some(99), Some(0)));
        (0..20).for_each(|_| _ = tape.act(Action::Faster));
        assert_eq!((tape.speed_text(), tape.speed_percent()), ("64×".into(), 6_400));
        (0..20).for_each(|_| _ = tape.act(Action::Slower));
        assert_eq!(tape.speed_text(), "¼×");
    }
}
