//! The log: topics, the producer that records events, the consumer the projector reads with, and the control topic.
