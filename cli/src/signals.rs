//! Signals as messages, for programs that own the terminal: what the keyboard cannot say in raw mode, and what others say from
//! outside.

use std::{io, process, sync::mpsc, thread, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::{exit::Exit, screen};

/// How long the program may take to end after it was asked to.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end: SIGINT, SIGTERM, SIGHUP, SIGQUIT.
    End,
    /// To stop for a while: SIGTSTP.
    Suspend,
    /// It was stopped and goes on: SIGCONT.
    Resume,
}

/// Starts to listen. The thread lives until the program ends; from now on SIGTSTP alone stops nothing. A program that has not
/// ended [`END_WITHIN`] after it was asked to is ended: reading keys from a terminal that has gone away never comes back.
pub(crate) fn listen() -> io::Result<mpsc::Receiver<Asked>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (sender, receiver) = mpsc::sync_channel(16);
    let (interrupt, terminate, hangup, quit, stop, go_on) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        )
    };
    thread::Builder::new().name("signals".into()).spawn(move || {
        let (mut interrupt, mut terminate, mut hangup, mut quit, mut stop, mut go_on) =
            (interrupt, terminate, hangup, quit, stop, go_on);
        runtime.block_on(async {
            loop {
                let asked = tokio::select! {
                    _ = interrupt.recv() => Asked::End,
                    _ = terminate.recv() => Asked::End,
                    _ = hangup.recv() => Asked::End,
                    _ = quit.recv() => Asked::End,
                    _ = stop.recv() => Asked::Suspend,
                    _ = go_on.recv() => Asked::Resume,
                };
                if asked == Asked::End {
                    thread::spawn(end_at_last);
                }
                // A full channel means that nobody looks at sixteen earlier ones; one more would not help.
                if let Err(mpsc::TrySendError::Disconnected(_)) = sender.try_send(asked) {
                    return;
                }
            }
        });
    })?;
    Ok(receiver)
}

fn end_at_last() {
    thread::sleep(END_WITHIN);
    screen::restore();
    process::exit(i32::from(Exit::Interrupted.code()));
}
