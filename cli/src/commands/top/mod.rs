//! `flashctl top`: the sale as it is now, on a screen, in lines, or out of a recording.

mod lines;
mod picture;
mod screen;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use flash_core::settings::parse_duration_ms;

use crate::{
    args::{Color, Output},
    exit::Exit,
    live::{
        discover::{Roster, WatchedArgs},
        poll::Poller,
        recording::{RECORDING_MAX_BYTES, Recorder, Recording},
        watch::{Replay, Watch},
    },
    report::Failure,
    screen::Canvas,
    terminal::Terminal,
    top::Theme,
};

const EXAMPLES: &str = "\
Examples:
  flashctl top                                  the whole sale on one screen; ? shows the keys
  flashctl top --admin 10.0.0.7:3900 --admin 10.0.0.8:3900
  flashctl top --record sale.ndjson             the same, and keep what was seen
  flashctl top --replay sale.ndjson             scrub through a past sale
  flashctl top | tee sale.txt                   one line a second; also with --count 60
  flashctl top --once                           one line about now
  flashctl top --picture 120x40                 the screen as text, for a ticket or a chat
  flashctl top -o json --interval 5s            one JSON line every five seconds, for programs
  flashctl top --replay sale.ndjson -o json     the same lines, of a past sale";

/// Watch a sale: stock, throughput, latency, pipeline, health.
///
/// On a terminal it is a screen with keys. Otherwise – in a pipe, with -o json, --once or --count – it is one line per interval,
/// until Ctrl-C (exit code 0). What is not known is a dash (null in JSON), never a zero. Exit code 4: no daemon has ever
/// answered. Fields and the format of recordings: docs/watching.md.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    watched: WatchedArgs,
    /// Pause between two looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// One line about now; takes one interval, because rates need two looks.
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// So many lines, then end.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Most SKUs that each daemon is asked for.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = skus)]
    skus: usize,
    /// Keep what is seen, up to 1 GiB.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Replace FILE if it exists.
    #[arg(long, requires = "record")]
    force: bool,
    /// Show what was recorded, instead of what is now.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admins", "interval", "once", "skus"])]
    replay: Option<PathBuf>,
    /// Lines of a replay: so many times as fast as it was. Unless given, without pauses.
    #[arg(long, value_name = "TIMES", requires = "replay", value_parser = speed)]
    speed: Option<f64>,
    /// Print the screen as text and end: after two looks, or at the end of a recording. With --color always in colour.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = picture::size, conflicts_with_all = ["once", "count", "speed"])]
    picture: Option<(u16, u16)>,
    /// Colours of the screen; t changes them. [default: dark; mono if NO_COLOR is set or --color is never]
    #[arg(long, value_name = "THEME", value_enum)]
    theme: Option<Theme>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).filter(|ms| (200..=3_600_000).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "must be a duration with a unit, from 200ms to 1h".to_owned())
}

fn skus(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|skus| (1..=10_000).contains(skus)).ok_or_else(|| "must be from 1 to 10000".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let times = text.trim_end_matches(['x', '×']).parse().ok().filter(|times| (0.01..=10_000.0).contains(times));
    times.ok_or_else(|| "must be a number such as 10 or 0.5".to_owned())
}

/// The colours of who has not chosen any.
fn theme(color: Color) -> Theme {
    match color {
        Color::Auto => Theme::from_environment(),
        Color::Always => Theme::Dark,
        Color::Never => Theme::Mono,
    }
}

/// The command.
pub(crate) async fn command(args: TopArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let is_screen = terminal.output() == Output::Text
        && !args.once
        && args.count.is_none()
        && args.speed.is_none()
        && args.picture.is_none()
        && Canvas::Stdout.is_interactive();
    let look = |title: String| screen::Look {
        theme: args.theme.unwrap_or_else(|| theme(terminal.color())),
        title,
        interval: args.interval,
        recording_to: args.record.clone(),
    };
    if let Some(path) = &args.replay {
        let recording = Recording::open(path)?;
        if let Some(size) = args.picture {
            return picture::replay(recording, size, &look(path.display().to_string()), terminal);
        }
        if is_screen {
            return screen::replay(recording, look(path.display().to_string())).await;
        }
        return lines::replay(Replay::new(recording, args.speed), args.count, terminal).await;
    }
    let roster = Roster::find(&args.watched).await?;
    let title = roster.title();
    let interval_ms = u64::try_from(args.interval.as_millis()).unwrap_or(u64::MAX);
    let record = |path: &PathBuf| Recorder::create(path, args.force, interval_ms, RECORDING_MAX_BYTES);
    let recorder = args.record.as_ref().map(record).transpose()?;
    let watch = Watch::new(Poller::new(roster, args.skus), args.interval, recorder);
    if let Some(size) = args.picture {
        return picture::live(watch, size, &look(title), terminal).await;
    }
    if is_screen {
        return screen::live(watch, look(title), terminal).await;
    }
    let wanted =
        if args.once { lines::Wanted::Once } else { args.count.map_or(lines::Wanted::All, lines::Wanted::Count) };
    lines::live(watch, wanted, terminal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!((speed("10x"), speed("0.5")), (Ok(10.0), Ok(0.5)));
        assert!(["1", "100ms", "2h"].iter().all(|text| interval(text).is_err()));
        assert!(["0", "-1", "fast", "NaN", "inf"].iter().all(|text| speed(text).is_err()));
        assert!(["0", "10001", "many"].iter().all(|text| skus(text).is_err()));
    }
}
