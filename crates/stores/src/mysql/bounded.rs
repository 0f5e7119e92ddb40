//! How long an answer is waited for.
//!
//! A server that was frozen, or that has vanished from the network, keeps its connections open and never answers: neither the
//! driver nor TCP says so for a long time. So every statement of the pool and of a look has a bound here, and what exceeds it
//! is an outage like any other. (The projector bounds whole transactions itself.) Never repeats anything: a statement that
//! was given up may have been carried out.

use flash_core::limits::{MYSQL_ANSWER_MS, MYSQL_SUM_MS};
use std::io;
use std::time::Duration;

/// The answer to a statement that finds its rows by an index, or writes a few.
pub(super) async fn soon<T, E: From<sqlx::Error>>(ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    within(Duration::from_millis(MYSQL_ANSWER_MS), ask).await
}

/// The answer to a statement that reads whole tables.
pub(super) async fn in_the_end<T, E: From<sqlx::Error>>(ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    within(Duration::from_millis(MYSQL_SUM_MS), ask).await
}

/// The answer, if it comes in this time.
pub(super) async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    ask: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(E::from(sqlx::Error::Io(silent()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::MySqlError;

    #[tokio::test]
    async fn silence_is_an_outage_that_says_how_long_it_was_waited() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        let error = MySqlError::from(within(Duration::from_millis(1), never).await.unwrap_err());
        assert!(error.is_outage());
        assert!(error.to_string().contains("no answer within 0 s"), "{error}");
    }
}
