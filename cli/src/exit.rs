//! The exit codes, all in one place. Scripts rely on them; a closed pipe is [`Exit::Ok`],
//! unless a test of load or chaos has found something: a reader who leaves does not undo that.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Did what was asked.
    Ok = 0,
    /// Could not do what was asked.
    Failed = 1,
    /// Was asked in a way it does not understand, or must not do unasked. Clap uses the same code.
    Usage = 2,
    /// Did what was asked and found something: drift, an oversell, a missed threshold.
    Found = 3,
    /// Redis, MySQL, Kafka or the daemon could not be reached.
    Unreachable = 4,
    /// Ended by a signal before it was done.
    Interrupted = 130,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
