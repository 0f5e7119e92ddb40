//! What can be done to a system, as plain data with names.

use std::time::Duration;

use flash_stack::Fault as Weather;

/// A kind of fault. Its name is how it is asked for and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// kill -9 of a flashd, and a restart.
    FlashdKill,
    /// SIGSTOP of a flashd, and SIGCONT.
    FlashdPause,
    /// kill -9 of the Redis primary; it comes back empty.
    RedisKill,
    /// kill -9 of the Redis primary; it comes back with an older snapshot, so its tail is lost.
    RedisOldRdb,
    /// FLUSHALL.
    RedisFlush,
    /// SIGSTOP of the Redis primary.
    RedisPause,
    /// The replica is promoted after it has missed a while; everybody moves at once.
    RedisFailover,
    /// The same, but the old primary stays alive and some daemons talk to it for a while.
    RedisSplitBrain,
    /// kill -9 of the broker, and a restart.
    KafkaKill,
    /// SIGSTOP of the broker.
    KafkaPause,
    /// kill -9 of MariaDB, and a restart.
    MysqlKill,
    /// SIGSTOP of MariaDB.
    MysqlPause,
    /// A bad network between daemons and a server.
    Net(Link, Bad),
}

/// Between whom the network is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Link {
    /// One daemon and Redis.
    Redis,
    /// One daemon and MySQL.
    Mysql,
    /// All daemons and the broker.
    Kafka,
}

/// How it is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Bad {
    /// Connections are reset and refused.
    Cut,
    /// Packets vanish, nothing is closed.
    HalfOpen,
    /// Requests arrive, answers do not.
    Swallow,
    /// Everything is late.
    Delay,
    /// Answers are torn in the middle.
    Torn,
}

impl Bad {
    const ALL: [Self; 5] = [Self::Cut, Self::HalfOpen, Self::Swallow, Self::Delay, Self::Torn];

    fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::HalfOpen => "half-open",
            Self::Swallow => "swallow",
            Self::Delay => "delay",
            Self::Torn => "torn",
        }
    }

    /// As the proxy knows it; `much` from 0 to 999 says how bad.
    pub(super) fn weather(self, much: u64) -> Weather {
        match self {
            Self::Cut => Weather::Cut,
            Self::HalfOpen => Weather::HalfOpen,
            Self::Swallow => Weather::SwallowReplies,
            Self::Delay => Weather::Delay {
                requests: Duration::from_millis(much / 4),
                replies: Duration::from_millis(much / 2),
                jitter: Duration::from_millis(much),
            },
            Self::Torn => Weather::ResetInReply { after_bytes: 40 + much * 7 },
        }
    }
}

impl Link {
    const ALL: [Self; 3] = [Self::Redis, Self::Mysql, Self::Kafka];

    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Mysql => "mysql",
            Self::Kafka => "kafka",
        }
    }
}

impl Kind {
    const PLAIN: [Self; 12] = [
        Self::FlashdKill,
        Self::FlashdPause,
        Self::RedisKill,
        Self::RedisOldRdb,
        Self::RedisFlush,
        Self::RedisPause,
        Self::RedisFailover,
        Self::RedisSplitBrain,
        Self::KafkaKill,
        Self::KafkaPause,
        Self::MysqlKill,
        Self::MysqlPause,
    ];

    /// Every kind, in the order of reports.
    pub(super) fn all() -> Vec<Self> {
        let nets = Link::ALL.iter().flat_map(|link| Bad::ALL.iter().map(|bad| Self::Net(*link, *bad)));
        Self::PLAIN.into_iter().chain(nets).collect()
    }

    /// Its name: `redis-kill`, `net-redis-cut`.
    pub(super) fn name(self) -> String {
        match self {
            Self::FlashdKill => "flashd-kill".to_owned(),
            Self::FlashdPause => "flashd-pause".to_owned(),
            Self::RedisKill => "redis-kill".to_owned(),
            Self::RedisOldRdb => "redis-old-rdb".to_owned(),
            Self::RedisFlush => "redis-flush".to_owned(),
            Self::RedisPause => "redis-pause".to_owned(),
            Self::RedisFailover => "redis-failover".to_owned(),
            Self::RedisSplitBrain => "redis-split-brain".to_owned(),
            Self::KafkaKill => "kafka-kill".to_owned(),
            Self::KafkaPause => "kafka-pause".to_owned(),
            Self::MysqlKill => "mysql-kill".to_owned(),
            Self::MysqlPause => "mysql-pause".to_owned(),
            Self::Net(link, bad) => format!("net-{}-{}", link.name(), bad.name()),
        }
    }

    /// How often it is chosen, compared with others. Networks have many kinds, so each is rarer.
    pub(super) fn weight(self) -> u64 {
        match self {
            Self::Net(..) => 2,
            Self::FlashdKill | Self::FlashdPause => 8,
            Self::RedisKill | Self::RedisOldRdb | Self::RedisFailover | Self::RedisSplitBrain => 5,
            _ => 4,
        }
    }
}

/// Which kinds are wanted: `flashd,redis-kill,net-kafka` takes every kind whose name begins with one of the words.
pub(super) fn chosen(words: &str) -> Result<Vec<Kind>, String> {
    let mut kinds = Vec::new();
    for word in words.split(',').map(str::trim) {
        let before = kinds.len();
        let fits = |kind: &Kind| {
            let name = kind.name();
            name == word || (name.starts_with(word) && name[word.len()..].starts_with('-'))
        };
        kinds.extend(Kind::all().into_iter().filter(fits));
        if kinds.len() == before {
            let all: Vec<String> = Kind::PLAIN.iter().map(|kind| kind.name()).collect();
            return Err(format!("no fault is called {word:?}; there are {}, net-LINK-HOW", all.join(", ")));
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_chosen_by_their_names_or_what_they_begin_with() {
        assert_eq!(chosen("flashd").unwrap(), [Kind::FlashdKill, Kind::FlashdPause]);
        assert_eq!(chosen("net").unwrap().len(), 15);
        assert_eq!(chosen("net-redis-cut,redis-kill").unwrap().len(), 2);
        assert!(chosen("red").is_err() && chosen("").is_err());
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<String> = Kind::all().into_iter().map(Kind::name).collect();
        assert_eq!(names.len(), Kind::all().len());
    }
}
