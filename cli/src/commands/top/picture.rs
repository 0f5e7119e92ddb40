//! `top --picture`: the screen as text, for those who cannot look at it now.

use std::io::{self, IsTerminal};

use super::screen::Look;
use crate::{
    args::Color,
    exit::Exit,
    live::{Sample, recording::Recording, watch::Watch},
    report::Failure,
    terminal::Terminal,
    top::{self, Theme},
};

/// Samples of a recording that are folded at most: ten minutes at one a second.
const SAMPLES_MAX: usize = 600;

/// A size such as `120x40`.
pub(super) fn size(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let size = parsed.filter(|(width, height)| (1..=500).contains(width) && (1..=200).contains(height));
    size.ok_or_else(|| "must be WIDTHxHEIGHT, such as 120x40, of at most 500x200".to_owned())
}

/// As it is: rates need two looks.
pub(super) async fn live(
    mut watch: Watch,
    size: (u16, u16),
    look: &Look,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let samples = vec![watch.next().await, watch.next().await];
    print(samples, size, look, terminal)
}

/// As it was at the end of a recording. A sample that is damaged is told of and left out.
pub(super) fn replay(
    mut recording: Recording,
    size: (u16, u16),
    look: &Look,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let first = recording.len().saturating_sub(SAMPLES_MAX);
    let mut samples = Vec::new();
    for index in first..recording.len() {
        match recording.read(index) {
            Ok(sample) => samples.push(sample),
            Err(error) => terminal.talk(&format!("{error:#}")),
        }
    }
    if samples.is_empty() {
        return Err(Failure::message("the end of the recording is damaged: there is no whole sample in it"));
    }
    print(samples, size, look, terminal)
}

fn print(samples: Vec<Sample>, size: (u16, u16), look: &Look, terminal: &Terminal) -> Result<Exit, Failure> {
    let is_coloured = match terminal.color() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && Theme::from_environment() != Theme::Mono,
    };
    let theme = is_coloured.then_some(look.theme);
    let picture = top::picture(samples, &look.title, look.interval, size, theme);
    terminal.answer(picture.trim_end_matches('\n'))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_bounds() {
        assert_eq!(size("120x40"), Ok((120, 40)));
        assert!(["120", "0x4", "501x10", "x", "10x201", "-1x5"].iter().all(|text| size(text).is_err()));
    }
}
