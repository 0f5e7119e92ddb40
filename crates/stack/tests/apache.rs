//! Apache Kafka itself. Not part of the plain test run, because it wants Java: `make test-apache` fetches the broker first.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use flash_stack::{KafkaChoice, Stack, StackOptions};

#[tokio::test]
async fn apache_kafka_answers_and_comes_back() {
    let stack = Stack::start(StackOptions { kafka: KafkaChoice::Apache, ..Default::default() }).await.unwrap();
    stack.kafka().kill9().await.unwrap();
    stack.kafka().restart().await.unwrap();
    assert!(stack.kafka().answers().await);
    stack.stop().await;
}
