//! One child process under guard: it ends when we say so, or when we are gone – by whatever cause.
//!
//! Signals go through a pidfd, so they can never hit a stranger that got a reused pid. Everything
//! that watches the child is a thread, not a task: see [`crate::logs::pump`].

use std::{
    ffi::OsString,
    fmt,
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

use crate::{
    LogSender, StackError,
    logs::{LogTarget, Tail, pump},
};

const GUARD: &str = include_str!("guard.sh");

/// What to run and what becomes of it.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Short name for logs and errors.
    pub name: String,
    /// The program, as a path that exists.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables on top of our own; `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Working directory.
    pub dir: Option<PathBuf>,
    /// A directory that may be deleted with the process if we die first (ephemeral data), else `None`.
    pub discard: Option<PathBuf>,
    /// How long it may take to stop after SIGTERM before SIGKILL follows.
    pub grace: Duration,
    pub(crate) logs: LogTarget,
}

impl ProcessSpec {
    /// A process whose lines are only kept for error messages.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        ProcessSpec {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            discard: None,
            grace: Duration::from_secs(10),
            logs: LogTarget::Discard,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Removes an inherited environment variable.
    #[must_use]
    pub fn env_remove(mut self, key: impl Into<String>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Sends the process's lines to a channel.
    #[must_use]
    pub fn logs_to(mut self, sender: LogSender) -> Self {
        self.logs = LogTarget::Channel(sender);
        self
    }

    /// Appends the process's lines to a file.
    #[must_use]
    pub fn logs_to_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.logs = LogTarget::File(path.into());
        self
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code as a shell tells it: 128 + n for signal n.
    pub code: i32,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            signal @ 129.. => write!(f, "killed by signal {}", signal - 128),
            code => write!(f, "exit code {code}"),
        }
    }
}

/// A running (or ended) child process.
#[derive(Debug)]
pub struct Process {
    name: Arc<str>,
    pid: u32,
    /// `None` when the process ended before we could look at it.
    pidfd: Option<OwnedFd>,
    /// Our end of the guard's pipe; while it is open, the guard leaves the server alone.
    lifeline: Option<ChildStdin>,
    exit: watch::Receiver<Option<Exit>>,
    waiter: Option<thread::JoinHandle<()>>,
    tail: Tail,
    ephemeral: bool,
    grace: Duration,
}

impl Process {
    /// Starts the process. Returns at once: being started is not being ready.
    pub fn spawn(spec: ProcessSpec) -> Result<Process, StackError> {
        let name: Arc<str> = spec.name.as_str().into();
        let doing = || format!("starting {} ({})", spec.name, spec.program.display());
        let mut child = guarded(&spec).spawn().map_err(StackError::io(doing()))?;
        let lifeline = child.stdin.take();
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            pump(name.clone(), stderr, spec.logs.clone(), tail.clone()).map_err(StackError::io(doing()))?;
        }
        let pid = read_pid(&mut child).map_err(StackError::io(doing()))?;
        let pidfd =
            i32::try_from(pid).ok().and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let (sender, exit) = watch::channel(None);
        let waiter = thread::Builder::new()
            .name(format!("wait-{name}"))
            .spawn(move || {
                let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
                sender.send_replace(Some(Exit { code }));
            })
            .map_err(StackError::io(doing()))?;
        Ok(Process {
            name,
            pid,
            pidfd,
            lifeline,
            exit,
            waiter: Some(waiter),
            tail,
            ephemeral: spec.discard.is_some(),
            grace: spec.grace,
        })
    }

    /// Its short name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of the program itself (not of its guard).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, or `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// The last lines it wrote.
    pub fn last_lines(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// A future of the process's end that does not borrow the process. Cancel-safe.
    pub fn ended(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(value) => value.unwrap_or(Exit { code: -1 }),
                Err(_) => Exit { code: -1 },
            }
        }
    }

    /// SIGKILL, without waiting for the end.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGTERM, without waiting for the end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: the process keeps its sockets and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT after [`Process::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, then SIGKILL after the grace time; returns how it ended. If the caller is cancelled in
    /// between, dropping the process still ends it.
    pub async fn stop(&self) -> Exit {
        self.resume();
        self.terminate();
        match tokio::time::timeout(self.grace, self.ended()).await {
            Ok(exit) => exit,
            Err(_) => {
                tracing::warn!(process = %self.name, grace = ?self.grace, "did not stop on SIGTERM, killing it");
                self.kill9();
                self.ended().await
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // A process that is gone already needs no signal.
        if let Some(pidfd) = &self.pidfd {
            _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// The last line of defence, for callers that did not stop: no server outlives its handle.
impl Drop for Process {
    fn drop(&mut self) {
        if self.exit().is_none() {
            if self.ephemeral {
                self.kill9();
            } else {
                // The guard gives it the grace time after SIGTERM, then kills it.
                drop(self.lifeline.take());
            }
        }
        if let Some(waiter) = self.waiter.take() {
            _ = waiter.join();
        }
    }
}

/// The command line of the guard around the program.
fn guarded(spec: &ProcessSpec) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(GUARD).arg("flash-guard");
    match &spec.discard {
        Some(directory) => command.arg("discard").arg(directory),
        None => command.arg("keep").arg(""),
    };
    command.arg(spec.grace.as_secs().to_string()).arg(&spec.program).args(&spec.args);
    for (key, value) in &spec.env {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    if let Some(dir) = &spec.dir {
        command.current_dir(dir);
    }
    // A group of its own: Ctrl-C in the terminal goes to us alone, and we stop servers in order.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read_pid(child: &mut Child) -> std::io::Result<u32> {
    let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    line.trim().parse().map_err(|_| std::io::Error::other(format!("the guard did not tell a process id but {line:?}")))
}
