//! Telling of commands that were refused, without letting whoever sends them fill the log: the first at once, all others of the
//! same minute by their number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For how long further ones are only counted.
const COUNTED_FOR: Duration = Duration::from_mins(1);

/// `None` while nothing is to be told; then how many were refused since it was.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Option<u64>>);

impl Refused {
    /// A command was refused. Must be called inside a Tokio runtime.
    pub(super) fn note(self: &Arc<Self>, path: &str) {
        if !self.count() {
            return;
        }
        tracing::warn!(path, "somebody without the token has tried to command this daemon");
        let refused = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(COUNTED_FOR).await;
            let more = refused.end();
            if more > 0 {
                tracing::warn!(more, "commands without the token were refused in the last minute");
            }
        });
    }

    /// Counts one; whether it is the first, of which is told.
    fn count(&self) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = counted.is_none();
        *counted = Some(counted.map_or(0, |more| more + 1));
        first
    }

    /// Ends the minute; how many were not told of one by one.
    fn end(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_others_are_counted_minute_by_minute() {
        let refused = Refused::default();
        assert!(refused.count());
        assert!(!refused.count() && !refused.count());
        assert_eq!(refused.end(), 2);
        assert!(refused.count(), "another minute");
        assert_eq!(refused.end(), 0);
    }
}
