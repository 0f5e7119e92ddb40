//! Asking all daemons at once, again and again.
//!
//! Promise: a daemon that is slow or dead delays the others' sample by the patience of one look, and after that by a tenth of
//! it. What comes late counts in the next sample.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use flash_core::stats::{self, Stats};
use tokio::{task::JoinHandle, time::timeout_at};

use super::{
    Sample, Seen, Told,
    discover::{Entry, Roster},
};
use crate::http::Client;

/// How long a daemon may take over one answer before its connection is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The longest look, whatever the interval.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// How long a look may take if there is one every `interval`.
pub(crate) fn patience(interval: Duration) -> Duration {
    (interval * 4 / 5).min(PATIENCE_MAX)
}

/// One daemon, and the question that is on its way.
struct Target {
    url: String,
    address: Result<String, String>,
    /// Its client, while it is not asking.
    client: Option<Client>,
    asking: Option<JoinHandle<Answered>>,
    /// Why there was no answer, the last time.
    failed: Option<String>,
}

struct Answered {
    client: Client,
    took: Duration,
    told: Told,
}

/// Until when answers count in this look.
#[derive(Clone, Copy)]
struct Deadlines {
    usual: tokio::time::Instant,
    /// For those that failed the last time.
    failed: tokio::time::Instant,
}

impl Deadlines {
    fn of(start: tokio::time::Instant, patience: Duration) -> Self {
        Self { usual: start + patience, failed: start + patience / 10 }
    }
}

/// Asks the daemons of a roster.
pub(crate) struct Poller {
    roster: Roster,
    targets: HashMap<String, Target>,
    path: String,
}

impl Poller {
    /// Asks each daemon for at most so many of its SKUs.
    pub(crate) fn new(roster: Roster, skus: usize) -> Self {
        Self { roster, targets: HashMap::new(), path: format!("/stats?skus={skus}") }
    }

    /// One look at all of them.
    pub(crate) async fn look(&mut self, patience: Duration) -> Sample {
        let start = tokio::time::Instant::now();
        let deadlines = Deadlines::of(start, patience);
        let entries = self.roster.entries(Instant::now());
        self.targets.retain(|url, _| entries.iter().any(|entry| entry.url == *url));
        for entry in entries {
            let target = self.targets.entry(entry.url.clone()).or_insert_with(|| Target::new(entry));
            target.ask(&self.path);
        }
        let mut daemons = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(target) = self.targets.get_mut(&entry.url) {
                let seen = target.hear(deadlines).await;
                daemons.push(if entry.gone_since.is_some() { gone(seen) } else { seen });
            }
        }
        Sample { at_ms: now_ms(), daemons }
    }
}

/// A daemon that is not listed any more may still answer, for instance while MySQL is away from it.
fn gone(seen: Seen) -> Seen {
    match seen.told {
        Told::Stats(_) => seen,
        Told::Failed(reason) => Seen { told: Told::Failed(format!("gone: {reason}")), ..seen },
    }
}

impl Target {
    fn new(entry: &Entry) -> Self {
        Self { url: entry.url.clone(), address: entry.address.clone(), client: None, asking: None, failed: None }
    }

    /// Asks, unless the last question is still open.
    fn ask(&mut self, path: &str) {
        let (Ok(address), None) = (&self.address, &self.asking) else { return };
        let mut client = self.client.take().unwrap_or_else(|| Client::new(address));
        let path = path.to_owned();
        self.asking = Some(tokio::spawn(async move {
            let asked = Instant::now();
            let told = ask(&mut client, &path).await;
            Answered { client, took: asked.elapsed(), told }
        }));
    }

    /// The answer, if it is there in time.
    async fn hear(&mut self, deadlines: Deadlines) -> Seen {
        let (took, told) = self.answer(deadlines).await;
        self.failed = match &told {
            Told::Stats(_) => None,
            Told::Failed(reason) => Some(reason.clone()),
        };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Seen { url: self.url.clone(), took_ms, told }
    }

    /// Until when this one is waited for.
    fn until(&self, deadlines: Deadlines) -> tokio::time::Instant {
        if self.failed.is_some() { deadlines.failed } else { deadlines.usual }
    }

    async fn answer(&mut self, deadlines: Deadlines) -> (Duration, Told) {
        let none = |reason: String| (Duration::ZERO, Told::Failed(reason));
        let until = self.until(deadlines);
        let Some(asking) = &mut self.asking else {
            return none(self.address.clone().err().unwrap_or_default());
        };
        let Ok(joined) = timeout_at(until, asking).await else {
            return none(self.failed.clone().unwrap_or_else(|| "no answer in time".to_owned()));
        };
        self.asking = None;
        match joined {
            Ok(answered) => {
                self.client = Some(answered.client);
                (answered.took, answered.told)
            }
            Err(error) => none(error.to_string()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

async fn ask(client: &mut Client, path: &str) -> Told {
    let failed = |reason: &str| Told::Failed(reason.to_owned());
    match client.get(path, ANSWER_WITHIN).await {
        Ok((200, body)) => match serde_json::from_slice::<Stats>(body) {
            Ok(stats) if stats.version < stats::VERSION => {
                Told::Failed(format!("flashd {} is older than this flashctl", or_unknown(&stats.build)))
            }
            Ok(stats) => Told::Stats(Box::new(stats)),
            Err(error) => Told::Failed(format!("that is no flashd: {error}")),
        },
        Ok((401 | 403, _)) => failed("it wants a token"),
        Ok((404, _)) => failed("that is no admin listener of flashd"),
        Ok((status, _)) => Told::Failed(format!("HTTP status {status}")),
        Err(reason) => Told::Failed(reason),
    }
}

fn or_unknown(build: &str) -> &str {
    if build.is_empty() { "of an unknown build" } else { build }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::Semaphore,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    /// A daemon that answers as often as it may; what it was asked, it counts.
    async fn daemon(may_answer: &Arc<Semaphore>, asked: &Arc<AtomicU32>) -> String {
        let (may_answer, asked) = (Arc::clone(may_answer), Arc::clone(asked));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (may_answer, asked) = (Arc::clone(&may_answer), Arc::clone(&asked));
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        may_answer.acquire().await.unwrap().forget();
                        let body = r#"{"version":2,"build":"9","atMs":5}"#;
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        url
    }

    fn poller(urls: &[&str]) -> Poller {
        Poller::new(Roster::named(urls).unwrap(), 10)
    }

    fn failed(seen: &Seen) -> &str {
        match &seen.told {
            Told::Failed(reason) => reason,
            Told::Stats(_) => "",
        }
    }

    #[tokio::test]
    async fn one_that_does_not_answer_delays_nobody_for_long() {
        let never = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, quick) = (
            format!("http://{}", never.local_addr().unwrap()),
            daemon(&Arc::new(Semaphore::new(9)), &Arc::default()).await,
        );
        let refused = format!("http://127.0.0.1:{}", flash_stack::free_port().unwrap());
        let mut poller = poller(&[&silent, &quick, &refused]);
        let first = poller.look(PATIENCE).await;
        assert_eq!(failed(&first.daemons[0]), "no answer in time");
        assert!(matches!(&first.daemons[1].told, Told::Stats(stats) if stats.build == "9"), "{first:?}");
        assert!(failed(&first.daemons[2]).contains("refused"), "{first:?}");
        // A tenth of a patience that nobody in this test could have: the silent one is not waited for for longer than that.
        let hour = Duration::from_secs(3_600);
        let deadlines = Deadlines::of(tokio::time::Instant::now(), hour);
        let silent = &poller.targets[&silent];
        assert_eq!(silent.until(deadlines), deadlines.failed);
        assert_eq!(poller.targets[&quick].until(deadlines), deadlines.usual);
        let second = poller.look(PATIENCE).await;
        assert!(failed(&second.daemons[0]).starts_with("no answer"), "{second:?}");
        assert_eq!(failed(&second.daemons[1]), "");
    }

    #[tokio::test]
    async fn a_late_answer_counts_in_a_later_sample() {
        let (may_answer, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let slow = daemon(&may_answer, &asked).await;
        let mut poller = poller(&[&slow]);
        while asked.load(Ordering::Relaxed) == 0 {
            let early = poller.look(Duration::from_millis(1)).await;
            assert_eq!(failed(&early.daemons[0]), "no answer in time");
        }
        may_answer.add_permits(1);
        let mut late = poller.look(Duration::from_millis(1)).await;
        while !failed(&late.daemons[0]).is_empty() {
            assert_eq!(failed(&late.daemons[0]), "no answer in time");
            late = poller.look(Duration::from_millis(1)).await;
        }
        // It was one question all the time: a new one at each look would never be answered in time.
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_daemon_that_speaks_an_older_version_is_not_misread() {
        let told =
            |status: &str, body: &str| format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for (answer, expected) in [
            (told("200", r#"{"version":1,"build":"0.0.9"}"#), "flashd 0.0.9 is older than this flashctl"),
            (told("200", "hello"), "that is no flashd: expected value at line 1 column 1"),
            (told("404", ""), "that is no admin listener of flashd"),
            (told("500", ""), "HTTP status 500"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            });
            assert_eq!(failed(&poller(&[&url]).look(PATIENCE).await.daemons[0]), expected);
        }
    }
}
