//! How to reach the brokers, and how topics and groups are named. Values only.

use rdkafka::ClientConfig;

/// Brokers and namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// Set apart several systems on one cluster (and tests from each other): prefixes topics, suffixes groups. Empty: none.
    pub namespace: String,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self { brokers: "127.0.0.1:9092".into(), namespace: String::new() }
    }
}

impl KafkaSettings {
    /// The truth: one record per state an order reached.
    #[must_use]
    pub fn topic_events(&self) -> String {
        self.topic("order-events")
    }

    /// Records the projector could not apply.
    #[must_use]
    pub fn topic_dead_letter(&self) -> String {
        self.topic("order-dead-letter")
    }

    /// The control topic of the stock epochs.
    #[must_use]
    pub fn topic_epochs(&self) -> String {
        self.topic("stock-epochs")
    }

    /// The consumer group in which projectors share the partitions of the events.
    #[must_use]
    pub fn group_projector(&self) -> String {
        let name = "flash-projector";
        if self.namespace.is_empty() { name.into() } else { format!("{name}.{}", self.namespace) }
    }

    /// What every client of this program starts from.
    pub(crate) fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("flash-{role}"))
            // A broker that comes back should be found within a second, not within the default ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // A client that was started while no broker could be reached must not give its first ones up and begin anew for
            // ever: the addresses it was given are the ones to try.
            .set("metadata.recovery.strategy", "none");
        config
    }

    fn topic(&self, name: &str) -> String {
        if self.namespace.is_empty() { name.into() } else { format!("{}.{name}", self.namespace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_sets_every_name_apart() {
        let plain = KafkaSettings::default();
        assert_eq!(plain.topic_events(), "order-events");
        assert_eq!(plain.group_projector(), "flash-projector");
        let spaced = KafkaSettings { namespace: "t1".into(), ..plain };
        assert_eq!(spaced.topic_events(), "t1.order-events");
        assert_eq!(spaced.topic_dead_letter(), "t1.order-dead-letter");
        assert_eq!(spaced.topic_epochs(), "t1.stock-epochs");
        assert_eq!(spaced.group_projector(), "flash-projector.t1");
    }
}
