//! The epoch lease: what this daemon knows of `stock-epochs`, and for how long it may act on it.
//!
//! A thread of its own reads the control topic to its end every D/10. Promise kept here (P1, P2): [`Lease::covers`] is true
//! only for the epoch that a complete query, begun less than D ago, showed open. A daemon that was paused, or that cannot
//! reach Kafka, tells nobody "yes".

use crate::clock::boot_ms;
use crate::events::Events;
use arc_swap::ArcSwapOption;
use flash_core::epoch::{EpochView, lease_is_fresh};
use flash_core::fence::rules::may_tell;
use flash_core::ids::Epoch;
use flash_core::limits::EPOCH_QUERIES_PER_LEASE;
use flash_core::stats::{HappeningKind, Severity};
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::epochs::EpochReader;
use flash_stores::redis::Fence;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Shared view of the lease; wait-free to read.
#[derive(Debug)]
pub(crate) struct Lease {
    open: ArcSwapOption<Fence>,
    start_ms: AtomicU64,
    latest: AtomicU64,
    length_ms: u64,
    problem: Mutex<Option<String>>,
    hurry: SyncSender<()>,
    stop: AtomicBool,
    events: Arc<Events>,
}

impl Lease {
    /// Starts the thread that keeps the lease.
    pub(crate) fn start(kafka: KafkaSettings, length: Duration, events: Arc<Events>) -> std::io::Result<Arc<Self>> {
        let (hurry, hurried) = sync_channel(1);
        let lease = Arc::new(Self {
            open: ArcSwapOption::empty(),
            start_ms: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            length_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
            problem: Mutex::new(Some("stock-epochs has not been read yet".to_owned())),
            hurry,
            stop: AtomicBool::new(false),
            events,
        });
        let keeper = Arc::clone(&lease);
        std::thread::Builder::new().name("epoch-lease".into()).spawn(move || keeper.keep(&kafka, &hurried))?;
        Ok(lease)
    }

    /// The fence to decide under, if the lease is fresh.
    pub(crate) fn fence(&self) -> Option<Arc<Fence>> {
        if self.is_fresh() { self.open.load_full() } else { None }
    }

    /// Whether purchases may be decided now.
    pub(crate) fn is_open(&self) -> bool {
        self.is_fresh() && self.open.load().is_some()
    }

    /// Whether a decision made under `epoch` may be told to a buyer now.
    pub(crate) fn covers(&self, epoch: Epoch) -> bool {
        // The start first, the epoch after it: see `publish`.
        let start_ms = self.start_ms();
        let open = self.open.load().as_ref().map(|open| open.epoch);
        may_tell(open, start_ms, epoch, boot_ms(), self.length_ms)
    }

    /// The newest epoch seen, open or not.
    pub(crate) fn latest(&self) -> Epoch {
        Epoch(self.latest.load(Ordering::Acquire))
    }

    /// Age at which it is stale (D), in milliseconds.
    pub(crate) const fn length_ms(&self) -> u64 {
        self.length_ms
    }

    /// Age of the lease in milliseconds; `None` before the first complete query.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        self.start_ms().map(|start_ms| boot_ms().saturating_sub(start_ms))
    }

    /// Why nothing can be decided, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if self.is_open() {
            return None;
        }
        problem.or_else(|| match self.latest().0 {
            0 => Some("no stock epoch exists; run `flashctl setup`".to_owned()),
            latest => Some(format!("stock epoch {latest} is not open, or its lease is stale")),
        })
    }

    /// Looks for a newer epoch at once: somebody was fenced.
    pub(crate) fn suspect(&self) {
        // A full channel means that a look is due anyway.
        let _ = self.hurry.try_send(());
    }

    /// Ends the thread; the lease runs out by itself.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.suspect();
    }

    /// Whether what is known about epochs is fresh, open or not.
    pub(crate) fn is_fresh(&self) -> bool {
        self.start_ms().is_some_and(|start_ms| lease_is_fresh(start_ms, boot_ms(), self.length_ms))
    }

    /// When the last complete query began.
    fn start_ms(&self) -> Option<u64> {
        Some(self.start_ms.load(Ordering::Acquire)).filter(|start_ms| *start_ms > 0)
    }

    fn keep(&self, kafka: &KafkaSettings, hurried: &Receiver<()>) {
        let pause = Duration::from_millis(self.length_ms / EPOCH_QUERIES_PER_LEASE);
        let mut reader: Option<EpochReader> = None;
        while !self.stop.load(Ordering::Acquire) {
            let result = self.look(kafka, &mut reader);
            *self.problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = result.err();
            match hurried.recv_timeout(pause) {
                // A daemon that is fenced again and again must not turn into a busy loop.
                Ok(()) => std::thread::sleep(pause / 10),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One complete query.
    fn look(&self, kafka: &KafkaSettings, slot: &mut Option<EpochReader>) -> Result<(), String> {
        let start_ms = boot_ms();
        let reader = match slot.take() {
            Some(reader) => slot.insert(reader),
            None => slot.insert(EpochReader::new(kafka).map_err(|error| error.to_string())?),
        };
        let patience = Duration::from_millis(self.length_ms / 2);
        reader.read_to_end(start_ms, patience).map_err(|error| error.to_string())?;
        self.publish(reader.view())
    }

    fn publish(&self, view: &EpochView) -> Result<(), String> {
        let open = view.open().map(|record| Arc::new(Fence::of(record)));
        let latest = view.latest().map_or(0, |record| record.epoch.0);
        if self.latest.swap(latest, Ordering::AcqRel) != latest || open.is_some() != self.open.load().is_some() {
            tracing::info!(epoch = latest, open = open.is_some(), "stock epoch");
            let (severity, word) =
                if open.is_some() { (Severity::Info, "open") } else { (Severity::Warning, "announced, not open yet") };
            self.events.note(HappeningKind::Epoch, severity, format!("stock epoch {latest} is {word}"));
        }
        // The epoch first, the lease after it: a fresh lease must never be read together with an older epoch.
        let unchanged = self.open.load().as_deref() == open.as_deref();
        if !unchanged {
            self.open.store(open);
        }
        self.start_ms.store(view.lease_start_ms().unwrap_or(0), Ordering::Release);
        Ok(())
    }
}
