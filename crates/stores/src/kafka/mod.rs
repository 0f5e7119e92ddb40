//! The log: topics, the producer that records events, the consumer the projector reads with, and the control topic.

pub mod admin;
pub mod append;
pub mod consumer;
pub mod dead_letter;
pub mod describe;
pub mod epochs;
mod meters;
pub mod producer;
mod settings;
pub mod trace;

pub use settings::KafkaSettings;

/// An error of the Kafka client or of a broker, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("Kafka: {0}")]
pub struct KafkaError(rdkafka::error::KafkaError);

impl From<rdkafka::error::KafkaError> for KafkaError {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Self(error)
    }
}
