//! What can go wrong with a server, as the caller has to tell it apart: something to install,
//! something unreachable, something that died, or a request we must refuse.

use std::{io, path::PathBuf, time::Duration};

/// Why a server could not be started, reached or handled.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The program is not on this machine; the message says what to install.
    #[error("{program} not found: {install}")]
    Missing {
        /// The program looked for.
        program: String,
        /// One line that says how to get it.
        install: String,
    },
    /// The program is there, but too old or otherwise unfit.
    #[error("{program}: {reason}")]
    Unfit {
        /// The program looked at.
        program: String,
        /// What is wrong with it and what is needed.
        reason: String,
    },
    /// The server ended when it should have been running.
    #[error("{server} ended unexpectedly ({exit}){}", last_lines(.lines))]
    Exited {
        /// Which server.
        server: String,
        /// Its exit code or signal, in words.
        exit: String,
        /// The last lines it wrote.
        lines: Vec<String>,
    },
    /// The server runs but did not answer in time.
    #[error("{server} did not answer on {address} within {waited:?}: {reason}{}", last_lines(.lines))]
    NotReady {
        /// Which server.
        server: String,
        /// Where it was asked.
        address: String,
        /// How long we asked.
        waited: Duration,
        /// The last refusal.
        reason: String,
        /// The last lines it wrote.
        lines: Vec<String>,
    },
    /// An external server (not started by us) does not answer.
    #[error("{server} at {address} is unreachable: {reason}")]
    Unreachable {
        /// Which server.
        server: String,
        /// Where it was asked.
        address: String,
        /// The last refusal.
        reason: String,
    },
    /// Somebody asked to stop, kill or freeze a server we did not start.
    #[error("{server} at {address} was not started by us, so it is not touched")]
    NotOurs {
        /// Which server.
        server: String,
        /// Its address.
        address: String,
    },
    /// The server is not running at the moment (stopped or killed before).
    #[error("{server} is not running")]
    NotRunning {
        /// Which server.
        server: String,
    },
    /// An address or URL that makes no sense.
    #[error("{what} `{value}`: {reason}")]
    BadAddress {
        /// Which setting.
        what: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory is in use by another stack.
    #[error("data directory {} is in use by another running stack", .0.display())]
    DataInUse(PathBuf),
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What we were doing.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StackError {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> StackError {
        let doing = doing.into();
        move |source| StackError::Io { doing, source }
    }
}

fn last_lines(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str("\n    ");
        text.push_str(line);
    }
    text
}
