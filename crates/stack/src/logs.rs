//! A server's lines, one by one: the last few kept for error messages, all of them passed on to a
//! bounded channel or written to a file. A slow reader never blocks a server; it loses lines and
//! is told how many.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::mpsc;

/// How many lines are kept for "it died, and this is what it said".
const TAIL_LINES: usize = 25;
/// A line longer than this is cut into several: a server must not be able to fill our memory.
const MAX_LINE_BYTES: u64 = 8 * 1024;
/// Lines waiting for a reader that is busy printing.
const CHANNEL_LINES: usize = 4096;

/// One line that a server wrote.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Name of the server: `redis`, `mysql`, `kafka`, or what a [`crate::ProcessSpec`] is called.
    pub server: Arc<str>,
    /// The line, without its end.
    pub text: String,
}

/// Where the lines of all servers of a stack go.
pub type LogSender = mpsc::Sender<LogLine>;

/// A channel of the size that the stack expects.
pub fn log_channel() -> (LogSender, mpsc::Receiver<LogLine>) {
    mpsc::channel(CHANNEL_LINES)
}

/// What becomes of the lines of one process.
#[derive(Debug, Clone)]
pub(crate) enum LogTarget {
    /// Appended to a file.
    File(PathBuf),
    /// Sent to whoever prints them.
    Channel(LogSender),
    /// Only the last few are kept.
    Discard,
}

/// The last lines of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    // A panic elsewhere must not hide what a server said last.
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `source` to its end on a thread of its own. A thread and not a task: servers are shared by
/// tests that each have their own runtime, and must survive the end of the runtime they were started on.
pub(crate) fn pump(
    server: Arc<str>,
    source: impl Read + Send + 'static,
    target: LogTarget,
    tail: Tail,
) -> std::io::Result<thread::JoinHandle<()>> {
    let mut sink = Sink::open(server.clone(), target)?;
    thread::Builder::new().name(format!("log-{server}")).spawn(move || {
        let mut source = BufReader::new(source);
        let mut raw = Vec::with_capacity(256);
        loop {
            raw.clear();
            match (&mut source).take(MAX_LINE_BYTES).read_until(b'\n', &mut raw) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&raw).trim_end().to_owned();
                    sink.write(&line);
                    tail.push(line);
                }
            }
        }
    })
}

enum Sink {
    File(File),
    Channel { server: Arc<str>, sender: LogSender, lost: u64 },
    Discard,
}

impl Sink {
    fn open(server: Arc<str>, target: LogTarget) -> std::io::Result<Sink> {
        Ok(match target {
            LogTarget::File(path) => Sink::File(File::options().create(true).append(true).open(path)?),
            LogTarget::Channel(sender) => Sink::Channel { server, sender, lost: 0 },
            LogTarget::Discard => Sink::Discard,
        })
    }

    fn write(&mut self, line: &str) {
        match self {
            // A full disk must not take the server's log pipe with it: the line is lost, the server lives.
            Sink::File(file) => _ = writeln!(file, "{line}"),
            Sink::Channel { server, sender, lost } => {
                let text = if *lost == 0 {
                    line.to_owned()
                } else {
                    format!("({lost} lines lost: the reader was too slow) {line}")
                };
                match sender.try_send(LogLine { server: server.clone(), text }) {
                    Ok(()) => *lost = 0,
                    Err(_) => *lost += 1,
                }
            }
            Sink::Discard => {}
        }
    }
}
