//! The loop: get partitions, read their positions, gather, write, look at the end of the log – and start over from MySQL
//! after anything that leaves a doubt.

use super::batch::Batch;
use super::position::Positions;
use super::status::Status;
use super::write::Writer;
use super::{ProjectorError, ProjectorOptions, now_ms};
use crate::crash;
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::consumer::LogConsumer;
use flash_stores::kafka::dead_letter::DeadLetters;
use flash_stores::mysql::offsets::{self, PartitionPosition};
use flash_stores::mysql::{Db, MySqlError, MySqlSettings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often the end of the log is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a broker may take to tell it.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody attends to the partitions that are not ours. Longer than a healthy group takes to
/// share them out.
const ATTENDED_INTERVAL_MIN: Duration = Duration::from_secs(6);
/// The same after joining afresh has not helped: a worker that is in the group but cannot write is not our affair.
const ATTENDED_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// A partition whose time of application is older than this, in milliseconds, is attended to by nobody: longer than a
/// dead member is kept in the group.
const UNATTENDED_MS: u64 = 15_000;
/// First and longest pause after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The loop is sequential: one connection writes, one more is there while a broken one is being replaced.
const CONNECTIONS: u32 = 2;

/// Where the partitions come from, and when the work is done.
pub(super) enum Source {
    /// From the consumer group, for ever.
    Group,
    /// These partitions, until these offsets are applied.
    Until(Vec<(i32, u64)>),
}

/// The state of one projector.
pub(super) struct Engine {
    kafka: KafkaSettings,
    log: LogConsumer,
    db: Db,
    writer: Writer,
    source: Source,
    assigned: Vec<i32>,
    /// `None`: positions have to come from MySQL before anything more is applied.
    positions: Option<Positions>,
    /// Whether the client has been told to read.
    reading: bool,
    batch: Batch,
    looked: Instant,
    attended: Instant,
    attended_interval: Duration,
    backoff: Duration,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

impl Engine {
    pub(super) fn new(
        options: &ProjectorOptions,
        source: Source,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ProjectorError> {
        let (log, assigned) = match &source {
            Source::Group => (LogConsumer::join(&options.kafka)?, Vec::new()),
            Source::Until(ends) => {
                (LogConsumer::standalone(&options.kafka)?, ends.iter().map(|(partition, _)| *partition).collect())
            }
        };
        let db = Db::open(&MySqlSettings { connections_max: CONNECTIONS, ..options.mysql.clone() });
        let writer = Writer::new(db.clone(), log.topic(), DeadLetters::new(&options.kafka), Arc::clone(&status));
        Ok(Self {
            kafka: options.kafka.clone(),
            log,
            db,
            writer,
            source,
            assigned,
            positions: None,
            reading: false,
            batch: Batch::default(),
            looked: Instant::now(),
            attended: Instant::now(),
            attended_interval: ATTENDED_INTERVAL_MIN,
            backoff: BACKOFF_MIN,
            status,
            stop,
        })
    }

    /// Runs until told to stop or, with a goal, until it is reached.
    pub(super) async fn run(&mut self) {
        while !self.stop.load(Relaxed) && !self.done() {
            match self.step().await {
                Ok(()) => {}
                Err(error) => self.fall_back(&error).await,
            }
        }
    }

    /// Leaves the group and closes the connections. Nothing is in flight: a batch is committed or was dropped.
    pub(super) async fn close(self) {
        self.db.close().await;
        drop(self.log);
    }

    fn done(&self) -> bool {
        match (&self.source, &self.positions) {
            (Source::Until(ends), Some(positions)) => positions.reached(ends),
            _ => false,
        }
    }

    async fn step(&mut self) -> Result<(), ProjectorError> {
        self.take_assignment();
        let Some(mut positions) = self.positions.take() else {
            return self.reopen().await;
        };
        self.gather(&positions)?;
        if self.take_assignment() {
            // What was gathered may belong to somebody else by now; whoever owns it reads it again.
            return Ok(());
        }
        if !self.batch.entries.is_empty() {
            self.report_missing(positions.missing(&self.batch.entries));
            self.writer.apply(&mut self.batch, &mut positions).await?;
            self.log.report(&positions.next_offsets());
            crash::point("project.reported");
            self.went_well();
        }
        positions.read_out(&self.batch.read_out);
        if self.looked.elapsed() >= LOOK_INTERVAL {
            self.look(&mut positions).await?;
            self.went_well();
        }
        self.positions = Some(positions);
        self.rejoin_if_unattended().await
    }

    /// Notes what the group has decided. Until positions are read, nothing is consumed.
    fn take_assignment(&mut self) -> bool {
        let Some(partitions) = self.log.take_assignment() else { return false };
        tracing::info!(?partitions, "the group assigned partitions");
        self.status.partitions.store(partitions.len() as u64, Relaxed);
        self.assigned = partitions;
        self.positions = None;
        self.reading = false;
        true
    }

    /// Reads the positions from MySQL and starts consuming there.
    async fn reopen(&mut self) -> Result<(), ProjectorError> {
        if self.assigned.is_empty() {
            // Nothing is ours (yet); polling is what keeps us in the group.
            self.batch.gather(&self.log, |_| false)?;
            return self.rejoin_if_unattended().await;
        }
        let rows = offsets::open(&self.db, self.log.topic(), &self.assigned).await?;
        let mut positions = Positions::from_rows(&rows);
        self.check_log(&positions)?;
        self.look(&mut positions).await?;
        self.log.read_from(&positions.next_offsets())?;
        self.reading = true;
        self.status.reopenings.fetch_add(1, Relaxed);
        self.status.partitions.store(self.assigned.len() as u64, Relaxed);
        self.positions = Some(positions);
        Ok(())
    }

    /// Joins the group afresh if nobody projects the partitions that it has not given to us. Some brokers (Tansu) go on
    /// handing out the shares that were made while a dead member was still in the group, and never make others.
    async fn rejoin_if_unattended(&mut self) -> Result<(), ProjectorError> {
        if !matches!(self.source, Source::Group) || self.attended.elapsed() < self.attended_interval {
            return Ok(());
        }
        self.attended = Instant::now();
        let rows = offsets::list(&self.db, self.log.topic()).await?;
        let forgotten = |row: &&PartitionPosition| row.applied_ms.saturating_add(UNATTENDED_MS) < now_ms();
        let others = rows.iter().filter(|row| !self.assigned.contains(&row.partition));
        let unattended: Vec<i32> = others.filter(forgotten).map(|row| row.partition).collect();
        if unattended.is_empty() && !rows.is_empty() {
            self.attended_interval = ATTENDED_INTERVAL_MIN;
            return Ok(());
        }
        tracing::warn!(?unattended, ours = ?self.assigned, "nobody projects these partitions; joining the group afresh");
        self.attended_interval = (self.attended_interval * 2).min(ATTENDED_INTERVAL_MAX);
        self.log = LogConsumer::join(&self.kafka)?;
        self.assigned.clear();
        self.positions = None;
        self.reading = false;
        Ok(())
    }

    /// Compares what MySQL has applied with what the log holds. A log that seems too short is read to make sure.
    fn check_log(&self, positions: &Positions) -> Result<(), ProjectorError> {
        let next = |partition: i32| positions.get(partition).map_or(0, |position| position.next);
        let too_short = |ends: &[(i32, u64)]| ends.iter().copied().find(|(partition, end)| next(*partition) > *end);
        if too_short(&self.log.ends_at_least(&self.assigned, LOOK_TIMEOUT)?).is_some()
            && let Some((partition, end)) = too_short(&self.log.ends(&self.assigned, LOOK_TIMEOUT)?)
        {
            let topic = self.log.topic().to_owned();
            return Err(ProjectorError::LogShrunk { topic, partition, end, next: next(partition) });
        }
        Ok(())
    }

    fn report_missing(&self, missing: u64) {
        if missing > 0 {
            tracing::error!(missing, "the log has deleted events that were never applied");
            self.status.missing_events.fetch_add(missing, Relaxed);
        }
    }

    fn gather(&mut self, positions: &Positions) -> Result<(), ProjectorError> {
        // A record before our position is a leftover of an earlier assignment: applied already.
        let wanted = |partition: i32, offset: u64| positions.get(partition).is_some_and(|p| offset >= p.next);
        self.batch.gather(&self.log, |record| wanted(record.partition(), record.offset()))
    }

    /// Asks where the log ends. The time is taken before the question, so what it proves was true at that time.
    async fn look(&mut self, positions: &mut Positions) -> Result<(), ProjectorError> {
        self.looked = Instant::now();
        let asked_ms = now_ms();
        let ends = self.log.ends_at_least(&self.assigned, LOOK_TIMEOUT)?;
        let reached = positions.look(&ends, asked_ms);
        if !reached.is_empty() {
            self.writer.mark_applied(&reached).await?;
            positions.advance(&reached);
        }
        self.status.lag_events.store(positions.lag_events(), Relaxed);
        self.status.applied_ms.store(positions.applied_ms(), Relaxed);
        Ok(())
    }

    fn went_well(&mut self) {
        if self.backoff > BACKOFF_MIN {
            tracing::info!("projecting again");
        }
        self.backoff = BACKOFF_MIN;
        self.status.complain(None);
    }

    /// After a failure: forget the batch, stop reading, keep the membership alive, wait, and let `step` start over.
    async fn fall_back(&mut self, error: &ProjectorError) {
        let moved = matches!(error, ProjectorError::MySql(MySqlError::Moved));
        if !moved && self.backoff <= BACKOFF_MIN {
            tracing::warn!(%error, "projecting is interrupted; the batch will be read again");
        }
        self.status.complain(Some(error.to_string()));
        self.positions = None;
        if std::mem::take(&mut self.reading)
            && let Err(error) = self.log.read_from(&[])
        {
            tracing::debug!(%error, "could not stop reading");
        }
        let failed = Instant::now();
        while failed.elapsed() < self.backoff && !self.stop.load(Relaxed) {
            // Errors of the client are what is being waited out; they are told once, by the step that failed.
            let _ = self.batch.gather(&self.log, |_| false);
            // Lets the runtime roll back and replace connections meanwhile.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }
}
