//! The terminal as a canvas: raw mode and the alternate screen while a [`Screen`] lives, and the operator's shell as it was
//! afterwards – whatever happens.
//!
//! Owns the state of the terminal. Promises to give it back when the screen is dropped, when any thread panics (before the
//! message is printed, so that it can be read), before the program exits at once ([`restore`]), and while it is suspended.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    mem::ManuallyDrop,
    panic,
    sync::{
        Once,
        atomic::{AtomicU8, Ordering},
    },
};

use crossterm::{
    cursor, execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Frame, Terminal, backend::CrosstermBackend};
use rustix::process::{Signal, getppid, getsid, kill_current_process_group};

/// Where the picture goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canvas {
    /// For a program whose answer is the picture.
    Stdout,
    /// For a picture that is only talk, while stdout waits for the answer.
    Stderr,
}

impl Canvas {
    /// Whether somebody can look at it and press keys.
    pub(crate) fn is_interactive(self) -> bool {
        let seen = match self {
            Canvas::Stdout => io::stdout().is_terminal(),
            Canvas::Stderr => io::stderr().is_terminal(),
        };
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        seen && io::stdin().is_terminal() && !dumb
    }

    fn mark(self) -> u8 {
        match self {
            Canvas::Stdout => 1,
            Canvas::Stderr => 2,
        }
    }
}

impl Write for Canvas {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Canvas::Stdout => io::stdout().write(bytes),
            Canvas::Stderr => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Canvas::Stdout => io::stdout().flush(),
            Canvas::Stderr => io::stderr().flush(),
        }
    }
}

/// The canvas that is drawn on now: [`Canvas::mark`], or 0 while the terminal belongs to the shell.
static TAKEN: AtomicU8 = AtomicU8::new(0);
/// A frame is written in few system calls.
const BUFFER_BYTES: usize = 64 * 1024;

/// The terminal, taken over. One at a time.
pub(crate) struct Screen {
    canvas: Canvas,
    /// Never dropped: it would show the cursor once more and, where the terminal is gone, panic because it cannot. [`restore`] does
    /// all there is to do.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Canvas>>>>,
}

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn enter(canvas: Canvas) -> io::Result<Screen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let told = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                told(info);
            }));
        });
        take(canvas)?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, canvas);
        // From here on dropping gives it back, also if the next step fails.
        match Terminal::new(CrosstermBackend::new(out)) {
            Ok(terminal) => Ok(Screen { canvas, terminal: ManuallyDrop::new(terminal) }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws one frame. Fails after a panic elsewhere has given the terminal back: nothing is drawn over its message.
    pub(crate) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if TAKEN.load(Ordering::SeqCst) == 0 {
            return Err(io::Error::other("the terminal was given back after a panic"));
        }
        self.terminal.draw(view).map(|_| ())
    }

    /// Gives the terminal back and stops the program, as Ctrl-Z does, if a shell is there to go on with. Comes back at once; the
    /// process stops soon after. Call [`Screen::resume`] once it has been continued. False: nobody could continue us, and
    /// nothing was done.
    pub(crate) fn suspend(&mut self) -> bool {
        // Without a parent in our session (`tmux new flashctl top`) no shell would ever continue us.
        let here = getsid(None).ok();
        let parent = getppid().and_then(|pid| getsid(Some(pid)).ok());
        if here.is_none() || here != parent {
            return false;
        }
        restore();
        // The whole group, as the terminal would: a script around us stops too.
        kill_current_process_group(Signal::STOP).is_ok()
    }

    /// Takes the terminal over again after a stop, in whatever state it is now, and forgets what was drawn.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        // Nobody may have given it back before: after SIGSTOP the shell has changed it under us.
        restore();
        take(self.canvas)?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take(mut canvas: Canvas) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(canvas.mark(), Ordering::SeqCst);
    execute!(canvas, EnterAlternateScreen, cursor::Hide)
}

/// Gives the terminal back, if it was taken. Harmless at any time and from any thread.
pub(crate) fn restore() {
    let mut canvas = match TAKEN.swap(0, Ordering::SeqCst) {
        1 => Canvas::Stdout,
        2 => Canvas::Stderr,
        _ => return,
    };
    // There is nobody left to tell about a terminal that has gone away.
    _ = execute!(canvas, LeaveAlternateScreen, cursor::Show);
    _ = disable_raw_mode();
}
