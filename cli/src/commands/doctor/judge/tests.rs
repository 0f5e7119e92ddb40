//! What a sound deployment looks like, and each damage by itself.

use std::{collections::BTreeMap, time::Duration};

use flash_core::{
    epoch::{EpochRecord, EpochState},
    ids::{Epoch, SkuId},
};
use flash_stores::{
    kafka::describe::{ClusterInfo, PartitionInfo, TopicInfo},
    mysql::{health::ServerHealth, migrate::SchemaStatus, offsets::PartitionPosition},
    redis::ServerInfo,
};

use super::{
    super::{
        facts::{DaemonFacts, DaemonSaid, Facts, MysqlFacts, Names, RedisFacts, SkuFacts},
        finding::Level,
        losses::losses,
    },
    judge,
};

fn topic(name: &str, partitions: usize, settings: &[(&str, &str)]) -> TopicInfo {
    let partition = PartitionInfo { has_leader: true, replicas: 3, in_sync: 3 };
    let settings = [("min.insync.replicas", "2")].iter().chain(settings);
    let config = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TopicInfo { name: name.to_owned(), partitions: vec![partition; partitions], config: Some(config) }
}

/// Three brokers, a replica of each, durable, at rest.
fn sound() -> Facts {
    let variables = [
        ("innodb_flush_log_at_trx_commit", "1"),
        ("log_bin", "ON"),
        ("sync_binlog", "1"),
        ("slaves_connected", "1"),
        ("transaction_isolation", "REPEATABLE-READ"),
        ("max_connections", "500"),
        ("threads_connected", "9"),
        ("max_allowed_packet", "67108864"),
        ("read_only", "OFF"),
    ];
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let text = str::to_owned;
    let open = EpochRecord {
        epoch: Epoch(3),
        state: EpochState::Open,
        replids: [(text("primary"), text("abc"))].into(),
        at_ms: 1_000,
    };
    Facts {
        now_ms: 2_000,
        lease: Duration::from_secs(5),
        names: Names { events: text("order-events"), letters: text("order-dead-letter"), epochs: text("stock-epochs") },
        redis: Ok(RedisFacts {
            primaries: vec![(
                text("primary"),
                ServerInfo {
                    version: text("7.2.4"),
                    mode: text("standalone"),
                    role: text("master"),
                    replid: text("abc"),
                    replicas: 1,
                    maxmemory_policy: text("noeviction"),
                    maxmemory: 1_000,
                    used_memory: 100,
                    password: Some(true),
                    ..ServerInfo::default()
                },
            )],
            skew_ms: 3,
        }),
        kafka: Ok(ClusterInfo {
            cluster_id: Some(text("MkU3OEVBNTcwNTJENDM2Qk")),
            brokers: (1..=3).map(|id| (id, text("b:9092"))).collect(),
            topics: vec![
                topic("order-events", 2, &[("cleanup.policy", "delete"), ("retention.ms", "-1")]),
                topic("stock-epochs", 1, &[("cleanup.policy", "compact")]),
                topic("order-dead-letter", 1, &[]),
            ],
            ..ClusterInfo::default()
        }),
        mysql: Ok(MysqlFacts {
            health: ServerHealth {
                version: text("8.4.3"),
                variables,
                session_isolation: text("READ-COMMITTED"),
                charset: text("utf8mb4"),
                now_ms: 2_000,
            },
            skew_ms: -3,
            nodes: Vec::new(),
            positions: vec![PartitionPosition::start(0), PartitionPosition::start(1)],
        }),
        schema: Ok(SchemaStatus { database_exists: true, applied: 4, pending: 0, unknown: 0 }),
        epoch: Ok(Some(open)),
        skus: Ok(vec![SkuFacts { sku_id: SkuId::new(1), loaded: Some(Epoch(3)), mark: Some(text("3")) }]),
        lag: Ok(12),
        letters: Ok(0),
        daemons: vec![DaemonFacts {
            url: text("http://h:1"),
            said: Ok(DaemonSaid {
                role: text("all"),
                version: text(env!("CARGO_PKG_VERSION")),
                unready: String::new(),
            }),
        }],
        one_host: false,
    }
}

/// Everything that is not well, as `check: level`.
fn complaints(damage: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = sound();
    damage(&mut facts);
    let bad = judge(&facts).into_iter().filter(|finding| finding.level != Level::Ok);
    let told = bad.inspect(|finding| {
        let silent = finding.why.is_empty() || finding.remedy.is_empty();
        assert!(finding.level == Level::NotAsked || !silent, "{finding:?} says neither why nor what to do");
    });
    told.map(|finding| format!("{}: {}", finding.check, finding.level.as_str())).collect()
}

fn redis(facts: &mut Facts) -> &mut ServerInfo {
    &mut facts.redis.as_mut().unwrap().primaries[0].1
}

fn kafka(facts: &mut Facts) -> &mut ClusterInfo {
    facts.kafka.as_mut().unwrap()
}

fn set(facts: &mut Facts, topic: usize, name: &str, value: &str) {
    let topic = &mut kafka(facts).topics[topic];
    topic.config.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
}

fn variable(facts: &mut Facts, name: &str, value: &str) {
    let health = &mut facts.mysql.as_mut().unwrap().health;
    health.variables.insert(name.to_owned(), value.to_owned());
}

#[test]
fn a_sound_deployment_has_no_complaints() {
    assert_eq!(complaints(|_| {}), Vec::<String>::new());
}

#[test]
fn a_redis_that_forgets_or_follows_is_bad() {
    assert_eq!(complaints(|facts| redis(facts).maxmemory_policy = "allkeys-lru".into()), ["maxmemory-policy: bad"]);
    assert_eq!(complaints(|facts| redis(facts).evicted_keys = 1), ["evicted keys: bad"]);
    assert_eq!(complaints(|facts| redis(facts).role = "slave".into()), ["role: bad"]);
    assert_eq!(complaints(|facts| redis(facts).version = "6.2.1".into()), ["redis: bad"]);
    assert_eq!(complaints(|facts| redis(facts).maxmemory = 0), ["maxmemory: warn"]);
    assert_eq!(complaints(|facts| redis(facts).used_memory = 850), ["maxmemory: warn"]);
    assert_eq!(complaints(|facts| redis(facts).used_memory = 990), ["maxmemory: bad"]);
    assert_eq!(complaints(|facts| redis(facts).replicas = 0), ["replicas: warn"]);
    assert_eq!(complaints(|facts| redis(facts).min_replicas_to_write = Some(2)), ["min-replicas-to-write: bad"]);
    let open = |facts: &mut Facts| (redis(facts).password, redis(facts).protected_mode) = (Some(false), Some(false));
    assert_eq!(complaints(open), ["access: warn"]);
}

#[test]
fn every_primary_of_a_cluster_is_looked_at() {
    let second = |facts: &mut Facts| {
        let mut other = redis(facts).clone();
        other.maxmemory_policy = "allkeys-lru".into();
        facts.redis.as_mut().unwrap().primaries.push(("h:2".to_owned(), other));
    };
    assert_eq!(complaints(second), ["maxmemory-policy: bad"]);
    let stranger = |facts: &mut Facts| {
        let other = ServerInfo { replid: "other".into(), ..redis(facts).clone() };
        facts.redis.as_mut().unwrap().primaries.push(("h:2".to_owned(), other));
    };
    assert_eq!(complaints(stranger), ["epoch: bad"]);
}

#[test]
fn a_log_that_may_lose_what_it_acknowledged_is_bad() {
    assert_eq!(complaints(|facts| set(facts, 0, "min.insync.replicas", "1")), ["min.insync.replicas: bad"]);
    assert_eq!(complaints(|facts| set(facts, 0, "min.insync.replicas", "4")), ["min.insync.replicas: bad"]);
    assert_eq!(
        complaints(|facts| set(facts, 0, "unclean.leader.election.enable", "true")),
        ["unclean leader election: bad"]
    );
    assert_eq!(complaints(|facts| set(facts, 0, "cleanup.policy", "compact")), ["cleanup.policy: bad"]);
    assert_eq!(complaints(|facts| set(facts, 0, "retention.ms", "3600000")), ["retention: bad"]);
    assert_eq!(complaints(|facts| set(facts, 0, "retention.ms", "259200000")), ["retention: warn"]);
    let deleted = |facts: &mut Facts| {
        set(facts, 1, "cleanup.policy", "delete");
        set(facts, 1, "retention.ms", "604800000");
    };
    assert_eq!(complaints(deleted), ["stock-epochs cleanup: bad"]);
    let single = |facts: &mut Facts| {
        kafka(facts).topics[0]
            .partitions
            .iter_mut()
            .for_each(|partition| (partition.replicas, partition.in_sync) = (1, 1))
    };
    assert_eq!(complaints(single), ["order-events: warn", "min.insync.replicas: bad"]);
    assert_eq!(complaints(|facts| kafka(facts).topics[0].partitions[1].in_sync = 2), ["order-events: warn"]);
    assert_eq!(complaints(|facts| kafka(facts).topics[0].partitions[1].has_leader = false), ["order-events: bad"]);
    assert_eq!(complaints(|facts| drop(kafka(facts).topics.remove(2))), ["order-dead-letter: bad"]);
    let grown = |facts: &mut Facts| {
        let partition = kafka(facts).topics[0].partitions[0];
        kafka(facts).topics[0].partitions.push(partition);
    };
    assert_eq!(complaints(grown), ["partitions: bad"]);
}

#[test]
fn a_view_that_may_lose_or_cannot_keep_up_is_named() {
    for (name, value, complaint) in [
        ("innodb_flush_log_at_trx_commit", "2", "innodb_flush_log_at_trx_commit: warn"),
        ("sync_binlog", "0", "sync_binlog: warn"),
        ("slaves_connected", "0", "replication: warn"),
        ("super_read_only", "ON", "read_only: bad"),
        ("transaction_isolation", "SERIALIZABLE", "isolation of other sessions: warn"),
        ("max_connections", "20", "max_connections: warn"),
        ("max_allowed_packet", "1048576", "max_allowed_packet: bad"),
        ("innodb_deadlock_detect", "OFF", "innodb_deadlock_detect: warn"),
    ] {
        assert_eq!(complaints(|facts| variable(facts, name, value)), [complaint], "{name}={value}");
    }
    let isolation =
        |facts: &mut Facts| facts.mysql.as_mut().unwrap().health.session_isolation = "REPEATABLE-READ".into();
    assert_eq!(complaints(isolation), ["isolation of our sessions: bad"]);
    assert_eq!(complaints(|facts| facts.schema.as_mut().unwrap().pending = 1), ["schema: bad"]);
    assert_eq!(complaints(|facts| facts.schema.as_mut().unwrap().unknown = 1), ["schema: warn"]);
    assert_eq!(complaints(|facts| facts.schema.as_mut().unwrap().database_exists = false), ["schema: bad"]);
}

#[test]
fn the_sale_itself_is_looked_at() {
    assert_eq!(complaints(|facts| facts.epoch = Ok(None)), ["epoch: bad"]);
    assert_eq!(complaints(|facts| redis(facts).replid = "other".into()), ["epoch: bad"]);
    let mark = |mark: Option<&str>, loaded: Option<u64>| {
        let skus = vec![SkuFacts { sku_id: SkuId::new(1), loaded: loaded.map(Epoch), mark: mark.map(str::to_owned) }];
        complaints(|facts| facts.skus = Ok(skus))
    };
    assert_eq!(mark(None, Some(3)), ["stock: bad"]);
    assert_eq!(mark(Some("2"), Some(2)), ["stock: bad"]);
    assert_eq!(mark(Some("moved:3"), Some(3)), ["stock: bad"]);
    assert_eq!(mark(Some("blocked:3"), Some(3)), ["stock: bad"]);
    assert_eq!(mark(None, None), ["stock: warn"]);
    assert_eq!(complaints(|facts| facts.lag = Ok(1_000_000)), ["projector lag: warn"]);
    assert_eq!(complaints(|facts| facts.letters = Ok(2)), ["dead letters: warn"]);
    assert_eq!(complaints(|facts| facts.redis.as_mut().unwrap().skew_ms = -2_000), ["clocks: warn"]);
    assert_eq!(complaints(|facts| facts.mysql.as_mut().unwrap().skew_ms = 20_000), ["clocks: bad"]);
    assert_eq!(complaints(|facts| facts.daemons[0].said.as_mut().unwrap().unready = "kafka".into()), ["daemon: bad"]);
    assert_eq!(complaints(|facts| facts.daemons[0].said.as_mut().unwrap().role = "api".into()), ["workers: warn"]);
    assert_eq!(complaints(|facts| facts.daemons[0].said.as_mut().unwrap().version = "0".into()), ["daemon: warn"]);
    assert_eq!(complaints(|facts| facts.daemons[0].said = Err("refused".into())), ["daemon: not asked"]);
}

#[test]
fn a_part_that_is_away_is_not_asked_and_the_others_are() {
    let away = || Err("away".to_owned());
    let gone = complaints(|facts| {
        facts.redis = away().map(|()| RedisFacts::default());
        facts.skus = away().map(|()| Vec::new());
    });
    assert_eq!(gone, ["redis: not asked", "reachable: not asked", "stock: not asked"]);
}

/// Whether something told is lost in this failure.
fn loses(failure: &str, damage: impl FnOnce(&mut Facts)) -> Option<bool> {
    let mut facts = sound();
    damage(&mut facts);
    losses(&facts).into_iter().find(|loss| loss.failure == failure).unwrap().loses
}

#[test]
fn losses_follow_from_the_facts() {
    let mut facts = sound();
    assert!(losses(&facts).iter().all(|loss| loss.loses != Some(true)), "a sound deployment loses nothing told");
    facts.one_host = true;
    assert_eq!(losses(&facts).last().unwrap().loses, Some(true));
    let broker = "one broker lost with its disk";
    let copies = |facts: &mut Facts, copies| {
        kafka(facts).topics[0].partitions.iter_mut().for_each(|partition| partition.replicas = copies);
    };
    assert_eq!(loses(broker, |facts| copies(facts, 1)), Some(true));
    assert_eq!(loses(broker, |facts| set(facts, 0, "min.insync.replicas", "1")), Some(true));
    assert_eq!(loses(broker, |_| {}), Some(false));
    assert_eq!(loses(broker, |facts| facts.kafka = Err("away".into())), None);
    assert_eq!(loses("all brokers restarted", |facts| kafka(facts).cluster_id = Some("tansu_cluster".into())), None);
    assert_eq!(loses("MySQL lost with its disk", |facts| set(facts, 0, "retention.ms", "604800000")), Some(true));
    assert_eq!(loses("Redis restarted", |_| {}), Some(false));
    let mut facts = sound();
    copies(&mut facts, 1);
    let told = losses(&facts).into_iter().find(|loss| loss.failure == broker).unwrap().sentence;
    assert!(told.contains("lag now: 12 events"), "{told}");
}
