//! Recording events: an idempotent producer with acks=all, and an answer for every event.
//!
//! Promise kept here: an acknowledgement means that the log has the event. Everything else – a time-out, a refusal, a
//! lost connection – is reported as what it proves: [`Delivery::NeverSent`] only where the library guarantees that the
//! event is not and will not be in the log, [`Delivery::Unknown`] otherwise.

use super::KafkaSettings;
use super::meters::Meters;
use flash_core::ids::OrderId;
use flash_core::snowflake::partition_of;
use flash_core::stats::KafkaStats;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All in-sync replicas have it.
    Acknowledged {
        /// Partition of `order-events`.
        partition: i32,
        /// Offset in that partition.
        offset: i64,
    },
    /// It was not handed to the library: it is not in the log and never will be.
    NeverSent,
    /// It may be in the log, now or later.
    Unknown,
}

/// How events are produced.
#[derive(Debug, Clone, Copy)]
pub struct RecorderSettings {
    /// How long events are gathered for one request.
    pub linger: Duration,
    /// How long delivery is tried before it is given up as unknown.
    pub message_timeout: Duration,
    /// Most events in the queue.
    pub queue_max: usize,
}

/// What to do when an event's fate is known. It runs on the client's own thread and must not block.
pub type OnFate = Box<dyn FnOnce(Delivery) + Send + Sync>;

struct Answering {
    fatal: Arc<AtomicBool>,
    meters: Arc<Meters>,
}

/// An event on its way: when it was handed over, and whom to tell.
struct OnItsWay {
    began: Instant,
    told: OnFate,
}

impl ClientContext for Answering {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.store(true, Ordering::Release);
        }
        tracing::warn!(%error, reason, "Kafka producer");
    }
}

impl ProducerContext for Answering {
    type DeliveryOpaque = Box<OnItsWay>;

    fn delivery(&self, result: &DeliveryResult<'_>, event: Self::DeliveryOpaque) {
        let delivery = match result {
            Ok(message) => Delivery::Acknowledged { partition: message.partition(), offset: message.offset() },
            Err((error, _)) => {
                tracing::debug!(%error, "event not acknowledged");
                Delivery::Unknown
            }
        };
        self.meters.answered(event.began, matches!(delivery, Delivery::Acknowledged { .. }));
        (event.told)(delivery);
    }
}

/// Records events. Cheap to share behind an `Arc`; wait-free apart from the library's own queue.
pub struct Recorder {
    settings: ClientConfig,
    topic: String,
    producer: RwLock<Arc<ThreadedProducer<Answering>>>,
    fatal: Arc<AtomicBool>,
    meters: Arc<Meters>,
    /// Zero until the log has been reached: an order's partition depends on their number.
    partitions: AtomicU32,
}

impl Recorder {
    /// Makes a producer; it connects in the background.
    ///
    /// # Errors
    /// If the library refuses the settings.
    pub fn new(kafka: &KafkaSettings, settings: &RecorderSettings) -> Result<Self, KafkaError> {
        let mut config = kafka.client("recorder");
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", settings.linger.as_millis().to_string())
            .set("message.timeout.ms", settings.message_timeout.as_millis().to_string())
            .set("queue.buffering.max.messages", settings.queue_max.to_string())
            .set("socket.nagle.disable", "true");
        let fatal = Arc::new(AtomicBool::new(false));
        let meters = Arc::<Meters>::default();
        let producer = make(&config, &fatal, &meters)?;
        let (topic, producer, partitions) = (kafka.topic_events(), RwLock::new(producer), AtomicU32::new(0));
        Ok(Self { settings: config, topic, producer, fatal, meters, partitions })
    }

    /// Hands an order's event to the producer. Never waits; `told` is called exactly once, with [`Delivery::NeverSent`]
    /// at once when the log has not been reached yet, the queue is full or the library refuses the record.
    pub fn record(&self, order_id: OrderId, payload: &[u8], told: OnFate) {
        let partitions = self.partitions();
        if partitions == 0 {
            self.meters.failed();
            return told(Delivery::NeverSent);
        }
        let partition = i32::try_from(partition_of(order_id.get(), partitions)).unwrap_or(0);
        let key = order_id.to_string();
        let event = Box::new(OnItsWay { began: Instant::now(), told });
        let record = BaseRecord::with_opaque_to(&self.topic, event).partition(partition).key(&key).payload(payload);
        self.meters.hands_over();
        if let Err((error, record)) = self.current().send(record) {
            tracing::debug!(%error, "event refused by the producer's queue");
            let event = record.delivery_opaque;
            self.meters.answered(event.began, false);
            (event.told)(Delivery::NeverSent);
        }
    }

    /// Events handed over whose fate is not known yet.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.meters.unanswered()
    }

    /// What became of the events so far, for whoever watches.
    #[must_use]
    pub fn stats(&self) -> KafkaStats {
        let partitions = self.partitions();
        let problem = (partitions == 0).then(|| "order-events has not been reached yet".to_owned());
        let mut stats = KafkaStats { problem, partitions: partitions.into(), ..KafkaStats::default() };
        self.meters.fill(&mut stats);
        stats
    }

    /// Replaces a producer that has reported a fatal error (the broker forgot its sequence numbers, for instance); call
    /// it now and then. Events still in the old one are reported as unknown by its purge.
    ///
    /// # Errors
    /// If the library refuses to make another producer.
    pub fn heal(&self) -> Result<bool, KafkaError> {
        if !self.fatal.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        let fresh = make(&self.settings, &self.fatal, &self.meters)?;
        let mut producer = self.producer.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *producer = fresh;
        self.meters.producer_replaced();
        tracing::warn!("the Kafka producer had failed for good and was replaced");
        Ok(true)
    }

    /// Partitions of `order-events`; zero until the log has been reached.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Acquire)
    }

    /// Fetches the topic's metadata, so that the first buyer does not pay for it. Nothing can be recorded before.
    ///
    /// # Errors
    /// If the brokers or the topic cannot be reached within `patience`. Blocks; call it off the runtime.
    pub fn warm_up(&self, patience: Duration) -> Result<(), KafkaError> {
        let metadata = self.current().client().fetch_metadata(Some(&self.topic), patience)?;
        let topic = metadata.topics().first().ok_or(KafkaError::NoMessageReceived)?;
        match topic.error() {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => {
                let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
                self.partitions.store(partitions, Ordering::Release);
                Ok(())
            }
        }
    }

    /// Waits until every event is answered, at most `patience`. Dropping a producer purges its queue, so a daemon that
    /// stops must call this. Blocks; call it off the runtime.
    ///
    /// # Errors
    /// If events are left unanswered.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        self.current().flush(patience)
    }

    fn current(&self) -> Arc<ThreadedProducer<Answering>> {
        Arc::clone(&self.producer.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn make(
    config: &ClientConfig,
    fatal: &Arc<AtomicBool>,
    meters: &Arc<Meters>,
) -> Result<Arc<ThreadedProducer<Answering>>, KafkaError> {
    let context = Answering { fatal: Arc::clone(fatal), meters: Arc::clone(meters) };
    Ok(Arc::new(config.create_with_context(context)?))
}
