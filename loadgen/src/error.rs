//! Why a run cannot begin or end.

use std::io;

/// Errors of the engine itself. What buyers are answered is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan makes no sense or is unbounded.
    #[error("{0}")]
    Plan(String),
    /// Load goes to loopback unless the host is named.
    #[error("{host} is not this machine: load is sent elsewhere only if that host is named explicitly")]
    NotLoopback {
        /// The host of the target URL.
        host: String,
    },
    /// Nothing answers at the target.
    #[error("cannot reach {target}")]
    Unreachable {
        /// The target as given.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The list of SKUs could not be read.
    #[error("{0}")]
    Catalog(String),
    /// A fault of the engine or the machine.
    #[error("{0}")]
    Internal(String),
}
