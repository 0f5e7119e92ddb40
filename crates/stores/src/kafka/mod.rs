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

/// Whether an error is about the way to a broker and not about what was read: the client asks on, and skips nothing.
fn is_passing(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(error.rdkafka_error_code(), Some(BrokerTransportFailure | AllBrokersDown | Resolve))
}

#[cfg(test)]
mod tests {
    use super::is_passing;
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    #[test]
    fn only_the_way_to_a_broker_may_fail_while_one_reads_on() {
        for code in [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown] {
            assert!(is_passing(&KafkaError::MessageConsumption(code)), "{code}");
        }
        for code in [RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::OffsetOutOfRange, RDKafkaErrorCode::Fatal] {
            assert!(!is_passing(&KafkaError::MessageConsumption(code)), "{code}");
        }
    }
}
