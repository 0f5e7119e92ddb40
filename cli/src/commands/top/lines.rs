//! `top` without a screen: one line per sample, for people or for programs.

use crate::{
    args::Output,
    exit::Exit,
    interrupt::Interrupt,
    live::{
        Sample, Told, discover,
        figures::{Figures, Tracker},
        line,
        recording::Stopped,
        watch::{Replay, Watch},
    },
    report::Failure,
    terminal::Terminal,
};

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Until Ctrl-C, which is the usual end.
    All,
    /// So many.
    Count(u64),
    /// One that has rates.
    Once,
}

/// Lines of what is.
pub(super) async fn live(mut watch: Watch, wanted: Wanted, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut printer = Printer::new(*terminal);
    let (mut has_answered, mut broken) = (false, None);
    // A line that stands alone shall have rates: the look before it is not printed.
    let mut is_base = wanted == Wanted::Once;
    loop {
        let sample = tokio::select! {
            biased;
            () = interrupt.requested() => break,
            sample = watch.next() => sample,
        };
        match watch.stopped() {
            Some(stopped @ Stopped::Full) => terminal.talk(&stopped.to_string()),
            Some(stopped @ Stopped::Failed(_)) => broken = Some(stopped),
            None => {}
        }
        if std::mem::take(&mut is_base) {
            drop(printer.tracker.take(&sample));
            continue;
        }
        has_answered |= sample.daemons.iter().any(|seen| matches!(seen.told, Told::Stats(_)));
        if wanted == Wanted::Once && !has_answered {
            return Err(nobody(&sample));
        }
        printer.print(&sample)?;
        let enough = match wanted {
            Wanted::All => false,
            Wanted::Count(count) => printer.lines >= count,
            Wanted::Once => true,
        };
        if enough {
            break;
        }
    }
    let is_cut_short = matches!(wanted, Wanted::Count(count) if printer.lines < count)
        || (wanted == Wanted::Once && printer.lines == 0);
    match (broken, is_cut_short, has_answered) {
        (Some(stopped), ..) => Err(Failure::message(stopped.to_string())),
        (None, true, _) => Ok(Exit::Interrupted),
        (None, false, true) => Ok(Exit::Ok),
        (None, false, false) => Ok(Exit::Unreachable),
    }
}

fn nobody(sample: &Sample) -> Failure {
    let reasons = sample.daemons.iter().filter_map(|seen| match &seen.told {
        Told::Failed(reason) => Some(format!("{}: {reason}", seen.url)),
        Told::Stats(_) => None,
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let error = anyhow::anyhow!("{}", crate::plain::harmless(&reasons)).context("no daemon answers");
    Failure::new(Exit::Unreachable, error).hint(discover::NOBODY_HINT)
}

/// Lines of what was. A sample that is damaged is told of and left out.
pub(super) async fn replay(mut replay: Replay, count: Option<u64>, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut printer = Printer::new(*terminal);
    while count.is_none_or(|count| printer.lines < count) {
        let sample = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            sample = replay.next() => sample,
        };
        match sample {
            Some(Ok(sample)) => printer.print(&sample)?,
            Some(Err(error)) => terminal.talk(&format!("{error:#}")),
            None => break,
        }
    }
    Ok(Exit::Ok)
}

struct Printer {
    terminal: Terminal,
    tracker: Tracker,
    lines: u64,
}

impl Printer {
    fn new(terminal: Terminal) -> Self {
        Self { terminal, tracker: Tracker::default(), lines: 0 }
    }

    fn print(&mut self, sample: &Sample) -> Result<(), Failure> {
        let figures = self.tracker.take(sample);
        match self.terminal.output() {
            Output::Text => self.text(&figures)?,
            Output::Json => {
                let line = serde_json::to_string(&figures).map_err(Failure::from_error)?;
                self.terminal.answer(&line)?;
            }
        }
        self.lines += 1;
        Ok(())
    }

    fn text(&self, figures: &Figures) -> Result<(), Failure> {
        if self.lines.is_multiple_of(line::HEADING_EVERY) {
            self.terminal.answer(&line::heading())?;
        }
        self.terminal.answer(&line::line(figures))
    }
}
