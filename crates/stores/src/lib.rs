//! The only code that names Redis, Kafka and MySQL. Everything above it speaks in the terms of `flash-core`.

pub mod kafka;
pub mod mysql;
pub mod redis;
