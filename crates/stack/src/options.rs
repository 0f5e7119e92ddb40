//! What a stack is made of: for every part, start one or use somebody else's.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use crate::LogSender;

/// Which Kafka-protocol broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KafkaChoice {
    /// Tansu, records in memory: fastest, forgets everything when it stops.
    #[default]
    Tansu,
    /// Tansu, records in SQLite: survives kill -9.
    TansuSqlite,
    /// Apache Kafka in KRaft mode, one node.
    Apache,
    /// Brokers that run elsewhere: `HOST:PORT[,HOST:PORT…]`.
    External(String),
}

impl KafkaChoice {
    /// What kind of broker it is, for reports.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            KafkaChoice::Tansu => "tansu",
            KafkaChoice::TansuSqlite => "tansu-sqlite",
            KafkaChoice::Apache => "apache",
            KafkaChoice::External(_) => "external",
        }
    }
}

impl FromStr for KafkaChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tansu" => Ok(KafkaChoice::Tansu),
            "tansu-sqlite" => Ok(KafkaChoice::TansuSqlite),
            "apache" => Ok(KafkaChoice::Apache),
            brokers if brokers.split(',').all(is_host_port) => Ok(KafkaChoice::External(brokers.to_owned())),
            _ => Err("expected tansu, tansu-sqlite, apache or HOST:PORT".to_owned()),
        }
    }
}

fn is_host_port(text: &str) -> bool {
    text.trim()
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Which Redis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RedisChoice {
    /// Start one.
    #[default]
    Start,
    /// Start a primary and one replica. It fails over when somebody promotes the replica.
    Replica,
    /// Start a cluster of three primaries and three replicas. It fails over by itself.
    Cluster,
    /// `redis://[user:password@]HOST[:PORT][,HOST[:PORT]…][/DB]` or `redis-cluster://…`.
    External(String),
}

impl FromStr for RedisChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "start" | "single" => RedisChoice::Start,
            "replica" => RedisChoice::Replica,
            "cluster" => RedisChoice::Cluster,
            url => RedisChoice::External(url.to_owned()),
        })
    }
}

/// Which MySQL or MariaDB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MysqlChoice {
    /// Start one.
    #[default]
    Start,
    /// `mysql://user[:password]@HOST[:PORT]/DATABASE`.
    External(String),
}

impl FromStr for MysqlChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "start" { MysqlChoice::Start } else { MysqlChoice::External(text.to_owned()) })
    }
}

/// Everything [`crate::Stack::start`] wants to know. The default is: start all, ephemeral, logs to files.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// Which broker.
    pub kafka: KafkaChoice,
    /// The address (`host:port`) that a broker of ours tells its clients to connect to, if that is not where it
    /// listens: a [`crate::Proxy`] in front of it.
    pub kafka_advertised: Option<String>,
    /// Which Redis.
    pub redis: RedisChoice,
    /// Which MySQL.
    pub mysql: MysqlChoice,
    /// Keep data here; without it everything is temporary and deleted at the end.
    pub data: Option<PathBuf>,
    /// Lines of all servers; without it they go to `NAME.log` next to the server's data.
    pub logs: Option<LogSender>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_is_chosen_by_name_or_address() {
        assert_eq!("tansu".parse(), Ok(KafkaChoice::Tansu));
        assert_eq!("tansu-sqlite".parse(), Ok(KafkaChoice::TansuSqlite));
        assert_eq!("apache".parse(), Ok(KafkaChoice::Apache));
        let two = "a:9092,b:9092";
        assert_eq!(two.parse(), Ok(KafkaChoice::External(two.to_owned())));
        for bad in ["", "kafka", "host:", ":9092", "host:0", "host:99999", "a:1,,b:2"] {
            assert!(bad.parse::<KafkaChoice>().is_err(), "{bad:?}");
        }
    }
}
