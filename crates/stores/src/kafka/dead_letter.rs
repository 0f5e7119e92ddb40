//! Writing the dead letters: records that could not be applied, kept for a human with their origin and the reason.
//!
//! Promise kept: [`DeadLetters::park`] returns only when every in-sync replica has the letter, so the offset of the poison
//! may be passed afterwards. A crash in between parks it twice; the key (its origin) makes the two the same letter.

use super::{KafkaError, KafkaSettings};
use flash_core::ids::Epoch;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where a record stands in the log. Two letters with one origin are one letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Its topic, namespace included.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A record that could not be applied. The whole letter is the payload: record headers are served very slowly by some
/// brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Layout version of the letter.
    pub v: u8,
    /// Topic the record came from.
    pub topic: String,
    /// Partition it came from.
    pub partition: i32,
    /// Offset it came from.
    pub offset: u64,
    /// Timestamp of the record, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// When it was parked, in milliseconds since 1970.
    pub parked_at_ms: u64,
    /// The newest fence that stood before it in its partition: what it has to be judged by if it is ever applied, however
    /// many fences have followed. 0 in letters of before this was written down: no fence is known.
    #[serde(default = "no_fence")]
    pub fence_epoch: Epoch,
    /// Why it could not be applied.
    pub error: String,
    /// The payload, if it is text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_text: Option<String>,
    /// The payload in hexadecimal, if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_hex: Option<String>,
}

fn no_fence() -> Epoch {
    Epoch(0)
}

/// Layout version of a dead letter.
pub const DEAD_LETTER_VERSION: u8 = 1;

impl DeadLetter {
    /// Puts a payload into whichever field can carry it unchanged.
    #[must_use]
    pub fn with_payload(mut self, payload: &[u8]) -> Self {
        match std::str::from_utf8(payload) {
            Ok(text) => self.payload_text = Some(text.to_owned()),
            Err(_) => self.payload_hex = Some(payload.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
        self
    }

    /// The payload as it stood in the log; `None` if the letter does not carry one that can be read.
    #[must_use]
    pub fn payload(&self) -> Option<Vec<u8>> {
        match (&self.payload_text, &self.payload_hex) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (None, Some(hex)) => from_hex(hex),
            (None, None) => None,
        }
    }

    /// Where the poison came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }

    /// The record's key: its origin.
    #[must_use]
    pub fn key(&self) -> String {
        self.origin().to_string()
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// The producer of dead letters. Its client is made when the first one is written: usually never.
pub struct DeadLetters {
    settings: KafkaSettings,
    producer: Option<BaseProducer<LastDelivery>>,
}

impl DeadLetters {
    /// Prepares the writer without connecting.
    #[must_use]
    pub fn new(settings: &KafkaSettings) -> Self {
        Self { settings: settings.clone(), producer: None }
    }

    /// Appends one letter and waits until it is safe. Blocks the calling thread for at most [`PARK_TIMEOUT`].
    ///
    /// # Errors
    /// [`KafkaError`]: the letter may or may not be in the topic; park it again.
    pub fn park(&mut self, letter: &DeadLetter) -> Result<(), KafkaError> {
        let payload = serde_json::to_vec(letter)
            .map_err(|error| RdKafkaError::ClientCreation(format!("a dead letter does not serialize: {error}")))?;
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => none.insert(create(&self.settings)?),
        };
        let (key, topic) = (letter.key(), self.settings.topic_dead_letter());
        producer.context().put(None);
        producer.send(BaseRecord::to(&topic).key(&key).payload(&payload)).map_err(|(error, _)| error)?;
        producer.flush(PARK_TIMEOUT)?;
        let unanswered = RdKafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        Ok(producer.context().put(None).unwrap_or(Err(unanswered))?)
    }
}

/// How long one letter may take.
pub const PARK_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives the broker's answer; one letter is under way at a time, so there is one place for it.
#[derive(Default)]
struct LastDelivery(Mutex<Option<Result<(), RdKafkaError>>>);

impl LastDelivery {
    fn put(&self, answer: Option<Result<(), RdKafkaError>>) -> Option<Result<(), RdKafkaError>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), answer)
    }
}

impl ClientContext for LastDelivery {}

impl ProducerContext for LastDelivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.put(Some(result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone())));
    }
}

fn create(settings: &KafkaSettings) -> Result<BaseProducer<LastDelivery>, KafkaError> {
    let mut config = settings.client("dead-letter");
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", "9000")
        // A letter wraps a payload of any size and may double it in hexadecimal.
        .set("message.max.bytes", "8000000");
    Ok(config.create_with_context(LastDelivery::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        let text =
            r#"{"v":1,"topic":"order-events","partition":2,"offset":7,"timestampMs":1,"parkedAtMs":2,"error":"e"}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_letter_of_before_fences_were_written_down_is_still_read() {
        assert_eq!(letter().fence_epoch, Epoch(0));
        assert_eq!(letter().payload(), None);
        assert_eq!(letter().key(), "order-events/2/7");
    }

    #[test]
    fn every_payload_comes_back_as_it_was() {
        for payload in [&b""[..], b"{}", b"\xff\x00\x0a", "\u{1F3AB}".as_bytes()] {
            let letter = letter().with_payload(payload);
            let wire = serde_json::to_vec(&letter).unwrap();
            let letter: DeadLetter = serde_json::from_slice(&wire).unwrap();
            assert_eq!(letter.payload().as_deref(), Some(payload));
        }
        for bad in ["f", "fg", "+1", "ff "] {
            assert_eq!(DeadLetter { payload_hex: Some(bad.to_owned()), ..letter() }.payload(), None, "{bad}");
        }
    }
}
