//! The projector: log → MySQL, exactly once in effect.
//!
//! Owns the reading position of every partition it is assigned and writes each batch of events together with that position
//! in one transaction. Never decides about stock, never skips an event that could be applied, never writes an order twice.
//! Promise kept (P2): every acknowledged event ends up in MySQL or, if it can never be applied, in the dead letters –
//! whatever dies in between.
//!
//! One rule makes it simple: a batch that could not be written is not kept and retried, it is dropped and read again. After
//! an outage, a rebalance or a lost compare-and-set the positions come from MySQL afresh and reading starts there.
//!
//! Order of the modules is the order of the data: batch → fold → write, driven by engine. Beside it `late` applies one
//! record that was parked, through the same fold and the same statements.

mod batch;
mod catch_up;
mod engine;
mod fold;
mod late;
mod position;
mod status;
mod wait;
mod write;

pub use catch_up::{CatchUpError, catch_up, log_ends};
pub(crate) use late::{Effect, LateRecord};
pub use status::Handle;
pub use wait::{WaitError, wait_for_fence, wait_for_offsets};
pub(crate) use write::in_time;

use crate::clock::wall_ms as now_ms;
use engine::{Engine, Source};
use flash_stores::kafka::{KafkaError, KafkaSettings};
use flash_stores::mysql::{MySqlError, MySqlSettings};
use status::Status;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// Where the projector reads and writes.
#[derive(Debug, Clone)]
pub struct ProjectorOptions {
    /// The log.
    pub kafka: KafkaSettings,
    /// The view.
    pub mysql: MySqlSettings,
}

/// Why a projector is not making progress, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The database did not serve, or another projector was quicker.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// The brokers did not serve.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The database took a batch and then said nothing.
    #[error("MySQL has not answered for {} s", write::STALL_TIMEOUT.as_secs())]
    Stalled,
    /// MySQL has applied more than the log holds: the log was deleted, replaced or truncated. Going on would silently
    /// ignore new events, so the projector stops here until a human has decided.
    #[error(
        "partition {partition} of {topic} ends at {end}, but MySQL has applied up to {next}: \
         this is not the log this database was filled from"
    )]
    LogShrunk {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the log ends.
        end: u64,
        /// Where MySQL stands.
        next: u64,
    },
    /// An event is parked, and yet the database refuses to move past it.
    #[error("MySQL refuses to advance an offset: {0}")]
    Offset(String),
    /// The thread could not be started, or died of a bug.
    #[error("the projector's thread failed: {0}")]
    Thread(String),
}

/// The component. Several may run at once, in one process or many: the group shares the partitions among them.
#[derive(Debug)]
pub struct Projector {
    options: ProjectorOptions,
    status: Arc<Status>,
}

impl Projector {
    /// Prepares a projector without connecting to anything.
    #[must_use]
    pub fn new(options: ProjectorOptions) -> Self {
        Self { options, status: Arc::default() }
    }

    /// A view of its progress that stays valid while and after it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(&self.status)
    }

    /// Projects until `shutdown` resolves; then finishes the batch at hand, leaves the group and returns. Outages of MySQL
    /// and Kafka are waited out. Dropping the future stops the projector too, without waiting for it.
    ///
    /// # Errors
    /// [`ProjectorError`] only if the projector could not be started or its thread died.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ProjectorError> {
        let mut thread = EngineThread::start(self.options, Source::Group, self.status)?;
        tokio::select! {
            () = shutdown => thread.stop.store(true, Ordering::Relaxed),
            result = &mut thread.done => return flatten(result),
        }
        flatten((&mut thread.done).await)
    }
}

/// The engine on a thread of its own, with a runtime of its own: neither a busy API nor a slow poll of the Kafka client
/// can stall the other.
struct EngineThread {
    stop: Arc<AtomicBool>,
    done: oneshot::Receiver<Result<(), ProjectorError>>,
}

impl EngineThread {
    fn start(options: ProjectorOptions, source: Source, status: Arc<Status>) -> Result<Self, ProjectorError> {
        let failed = |error: std::io::Error| ProjectorError::Thread(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send, done) = oneshot::channel();
        let thread_stop = Arc::clone(&stop);
        let body = move || {
            let result = runtime.block_on(async {
                let mut engine = Engine::new(&options, source, status, thread_stop)?;
                engine.run().await;
                engine.close().await;
                Ok(())
            });
            // Nobody listens any more if the projector's future was dropped.
            let _ = send.send(result);
        };
        std::thread::Builder::new().name("projector".into()).spawn(body).map_err(failed)?;
        Ok(Self { stop, done })
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn flatten(result: Result<Result<(), ProjectorError>, oneshot::error::RecvError>) -> Result<(), ProjectorError> {
    result.unwrap_or_else(|_| Err(ProjectorError::Thread("it panicked; see the log".into())))
}
