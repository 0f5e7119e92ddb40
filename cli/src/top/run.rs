//! The loop around the state: keys, samples, signals and time in, pictures out, at most ten a second.

use std::{
    env, io,
    sync::mpsc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crossterm::event::{self as input, Event as Input};

use super::{
    News, Source, TopOptions,
    event::{Event, Wish},
    state::State,
    tape::{self, Playback},
    view,
};
use crate::{
    exit::Exit,
    live::{Sample, recording::Recording},
    report::Failure,
    screen::{Canvas, Screen},
    signals::{self, Asked},
};

/// Least time between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// Samples that are read at most to draw what came before a place in a recording.
const WOUND_MAX: usize = 120;
/// A pause in a recording that is longer is not waited for.
const PAUSE_MAX_MS: u64 = 5_000;

/// Shows until it is ended.
pub(super) fn run(options: TopOptions) -> Result<Exit, Failure> {
    let mut state = State::new(options.title, millis(options.interval), options.theme);
    state.recording_to = options.recording_to.map(|path| path.display().to_string());
    state.ascii = is_ascii_only();
    let mut feed = match options.source {
        Source::Live(samples) => Feed::Live { samples, is_open: true },
        Source::Replay(recording) => Feed::Replay(Player::open(recording, &mut state)?),
    };
    let signals = signals::listen().map_err(Failure::from_error)?;
    let screen = Screen::enter(Canvas::Stdout).map_err(Failure::from_error)?;
    let exit = Looking { state, screen, signals }.until_ended(&mut feed);
    exit.map_err(|error| Failure::from_error(anyhow::Error::new(error).context("drawing the dashboard")))
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether what is shown may only have ASCII in it.
pub(super) fn is_ascii_only() -> bool {
    !is_utf8(|name| env::var(name).ok())
}

/// Whether the terminal's character set is UTF-8, as the environment says. The first of the three that says anything decides.
fn is_utf8(var: impl Fn(&str) -> Option<String>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| var(name).filter(|value| !value.is_empty()));
    let said = said.unwrap_or_default().to_lowercase();
    said.contains("utf-8") || said.contains("utf8")
}

struct Looking {
    state: State,
    screen: Screen,
    signals: mpsc::Receiver<Asked>,
}

impl Looking {
    fn until_ended(mut self, feed: &mut Feed) -> io::Result<Exit> {
        let (width, height) = crossterm::terminal::size()?;
        _ = self.state.update(Event::Resized(width, height));
        let mut drawn: Option<Instant> = None;
        // What is seen changes at least once a second, for ages grow.
        let mut is_new = true;
        let mut second = 0;
        loop {
            let due = drawn.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed()));
            let wishes = self.happenings(feed, due, &mut is_new)?;
            for wish in wishes {
                match wish {
                    Wish::Nothing => {}
                    Wish::Quit(exit) => return Ok(exit),
                    Wish::Redraw => self.screen.resume()?,
                    Wish::Suspend => {
                        if let Some(exit) = self.suspend()? {
                            return Ok(exit);
                        }
                    }
                    Wish::Wind(index) => feed.wind(index, &mut self.state),
                }
            }
            if second != self.state.now_ms / 1_000 {
                second = self.state.now_ms / 1_000;
                is_new = true;
            }
            if is_new && drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                let state = &self.state;
                self.screen.draw(|frame| view::view(state, frame.area(), frame.buffer_mut()))?;
                drawn = Some(Instant::now());
                is_new = false;
            }
        }
    }

    /// Waits until something happened, for a tenth of a second at most, and takes it in.
    fn happenings(&mut self, feed: &mut Feed, due: Duration, is_new: &mut bool) -> io::Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        // Never zero: a key held down must not starve the rest.
        if input::poll(if *is_new { due.max(Duration::from_millis(1)) } else { FRAME })? {
            while input::poll(Duration::ZERO)? {
                let event = match input::read()? {
                    Input::Key(key) => {
                        crate::faults::point("top.key");
                        Event::Key(key)
                    }
                    Input::Resize(width, height) => Event::Resized(width, height),
                    _ => continue,
                };
                wishes.push(self.state.update(event));
                *is_new = true;
            }
        }
        for asked in self.signals.try_iter() {
            match asked {
                Asked::End => wishes.push(Wish::Quit(Exit::Interrupted)),
                Asked::Suspend => wishes.push(Wish::Suspend),
                // Stopped by somebody who did not ask us: the terminal may be in any state.
                Asked::Resume => wishes.push(Wish::Redraw),
            }
        }
        *is_new |= feed.take(&mut self.state);
        Ok(wishes)
    }

    /// Stops, and waits to be continued – or ended.
    fn suspend(&mut self) -> io::Result<Option<Exit>> {
        if !self.screen.suspend() {
            return Ok(None);
        }
        loop {
            match self.signals.recv_timeout(Duration::from_secs(1)) {
                Ok(Asked::End) => return Ok(Some(Exit::Interrupted)),
                Ok(Asked::Suspend) => {}
                // The stop takes effect in its own time; a second without one means that it was refused.
                Ok(Asked::Resume) | Err(_) => return self.screen.resume().map(|()| None),
            }
        }
    }
}

/// What brings samples and time.
enum Feed {
    Live { samples: mpsc::Receiver<News>, is_open: bool },
    Replay(Player),
}

impl Feed {
    /// Takes in what has come since. True if there was something.
    fn take(&mut self, state: &mut State) -> bool {
        match self {
            Feed::Live { samples, is_open } => {
                _ = state.update(Event::Tick(now_ms()));
                let mut is_new = false;
                while *is_open {
                    match samples.try_recv() {
                        Ok(News::Sample(sample)) => _ = state.update(Event::Sample(Box::new(sample))),
                        Ok(News::RecordingEnded(why)) => _ = state.update(Event::RecordingEnded(why)),
                        Err(mpsc::TryRecvError::Empty) => break,
                        Err(mpsc::TryRecvError::Disconnected) => {
                            *is_open = false;
                            _ = state.update(Event::Ended("nobody asks the daemons any more".to_owned()));
                        }
                    }
                    is_new = true;
                }
                is_new
            }
            Feed::Replay(player) => player.play(state),
        }
    }

    fn wind(&mut self, index: usize, state: &mut State) {
        if let Feed::Replay(player) = self {
            player.wind(index, state);
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Plays a recording.
struct Player {
    recording: Recording,
    /// The recording's own time.
    clock_ms: u64,
    played: Instant,
    /// The next sample, read ahead.
    next: Option<(usize, Sample)>,
}

impl Player {
    fn open(mut recording: Recording, state: &mut State) -> Result<Player, Failure> {
        let (index, first) = recording.first().map_err(Failure::from_error)?;
        state.tape = Some(Playback::new(recording.len(), recording.started_ms(), recording.ended_ms()));
        state.interval_ms = recording.interval_ms();
        let clock_ms = first.at_ms;
        _ = state.update(Event::Wound { index, samples: vec![first] });
        Ok(Player { recording, clock_ms, played: Instant::now(), next: None })
    }

    /// Lets time go on as fast as is wished for. True if a sample came.
    fn play(&mut self, state: &mut State) -> bool {
        let passed_ms = millis(self.played.elapsed());
        self.played = Instant::now();
        let Some(tape) = state.tape.as_ref().filter(|tape| tape.playing && !tape.is_at_end()) else { return false };
        let (mut index, speed_percent) = (tape.index, tape.speed_percent());
        self.clock_ms += passed_ms * speed_percent / 100;
        let mut came = false;
        while let Some(at_ms) = self.read_ahead(index + 1, state) {
            if at_ms > self.clock_ms + PAUSE_MAX_MS.max(state.interval_ms * 2) {
                self.clock_ms = at_ms;
            }
            if at_ms > self.clock_ms {
                break;
            }
            if let Some((place, sample)) = self.next.take() {
                // Damaged ones were passed over.
                index = place;
                _ = state.update(Event::PlayedTo(index));
                _ = state.update(Event::Sample(Box::new(sample)));
                came = true;
            }
        }
        _ = state.update(Event::Tick(self.clock_ms));
        came
    }

    /// When the first whole sample from this place on was taken; `None` behind the last one. One that is damaged is told of.
    fn read_ahead(&mut self, from: usize, state: &mut State) -> Option<u64> {
        if self.next.as_ref().is_none_or(|(place, _)| *place < from) {
            self.next = (from..self.recording.len()).find_map(|index| match self.recording.read(index) {
                Ok(sample) => Some((index, sample)),
                Err(error) => {
                    _ = state.update(Event::Ended(format!("{error:#}")));
                    None
                }
            });
        }
        self.next.as_ref().map(|(_, sample)| sample.at_ms)
    }

    fn wind(&mut self, index: usize, state: &mut State) {
        let interval_ms = state.interval_ms.max(1);
        let back = usize::try_from(state.zoom_ms() / interval_ms).unwrap_or(WOUND_MAX) + 10;
        let mut samples = Vec::new();
        for place in tape::wound(index, back, WOUND_MAX) {
            match self.recording.read(place) {
                Ok(sample) => samples.push(sample),
                Err(error) => _ = state.update(Event::Ended(format!("{error:#}"))),
            }
        }
        self.clock_ms = samples.last().map_or(self.clock_ms, |sample| sample.at_ms);
        self.played = Instant::now();
        self.next = None;
        _ = state.update(Event::Wound { index, samples });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_anything_decides_on_the_character_set() {
        let of = |all: &str, lang: &str| {
            is_utf8(|name| match name {
                "LC_ALL" => Some(all.to_owned()),
                "LANG" => Some(lang.to_owned()),
                _ => None,
            })
        };
        assert!(of("", "en_GB.UTF-8") && of("C.utf8", "C"));
        assert!(!of("C", "en_GB.UTF-8") && !of("", "") && !of("", "de_DE.ISO-8859-1"));
    }
}
