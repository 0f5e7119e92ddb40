//! A real terminal to test in: a tmux server of its own per test, with a shell in it.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a screen may take to show what is waited for. Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the shell says when it waits for a command.
const PROMPT: &str = "prompt>";

/// The terminal. Its server ends with it.
pub(crate) struct Terminal {
    dir: TempDir,
    asked: AtomicU32,
}

impl Terminal {
    /// Opens one of this size, with a shell that waits for commands.
    pub(crate) fn open(width: u16, height: u16) -> Self {
        let terminal = Self { dir: tempfile::tempdir().unwrap(), asked: AtomicU32::new(0) };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!("PS1='{PROMPT} ' exec bash --norc --noprofile --noediting");
        // Manual: the size is what the test says, without a client that has another one.
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &shell]);
        terminal.tmux(&["set-option", "-g", "window-size", "manual"]);
        terminal.wait_for_prompt();
        terminal
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("tmux")
    }

    /// One command of tmux; what it says.
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.socket()).args(["-f", "/dev/null", "-u"]).args(arguments);
        // A shell that knows nothing of the test's own environment, and a character set with all that is drawn.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("LC_ALL", "C.UTF-8").env("HOME", self.dir.path());
        command.output().expect("tmux: make tools installs it")
    }

    /// Types keys, by the names tmux has for them.
    #[track_caller]
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a command and Enter.
    #[track_caller]
    pub(crate) fn command(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What is to be seen.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What is to be seen, with its colours.
    pub(crate) fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(started.elapsed() < PATIENCE, "still waiting for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the shell waits.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&self) {
        self.wait_until("the prompt", |screen| {
            screen.lines().rfind(|line| !line.trim().is_empty()).is_some_and(|line| line.trim() == PROMPT)
        });
    }

    /// Whether a program has taken the screen over.
    pub(crate) fn is_taken(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Checks that the terminal is the shell's again: its screen, its cursor, its echo.
    #[track_caller]
    pub(crate) fn check_restored(&self) {
        self.wait_for_prompt();
        let flags = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"]);
        assert_eq!(flags.trim(), "0 1 0", "alternate screen, cursor, mouse:\n{}", self.screen());
        let mark = self.mark("stty");
        self.command(&format!("clear; stty -a; echo {mark}"));
        let screen = self.wait_until("stty", |screen| screen.lines().any(|line| line == mark));
        for mode in ["icanon", "echo", "isig", "opost", "icrnl", "ixon"] {
            let is_on = screen.split([' ', ';', '\n']).any(|word| word == mode);
            assert!(is_on, "the terminal has lost {mode}:\n{screen}");
        }
        self.wait_for_prompt();
    }

    /// The exit code of the last command.
    #[track_caller]
    pub(crate) fn exit_code(&self) -> i32 {
        self.wait_for_prompt();
        let mark = self.mark("exit") + "-";
        self.command(&format!("echo {mark}$?"));
        let answer = |screen: &str| {
            let line = screen.lines().rfind(|line| line.starts_with(&mark))?;
            line.trim_start_matches(&mark).trim().parse().ok()
        };
        let screen = self.wait_until("the exit code", |screen| answer(screen).is_some());
        answer(&screen).unwrap()
    }

    /// A word for one question: what an earlier one has left on the screen is no answer to this one.
    fn mark(&self, word: &str) -> String {
        format!("{word}-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Where a program that runs here may leave its process id.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.dir.path().join("pid")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What runs in it is hung up on.
        drop(self.run(&["kill-server"]));
    }
}
