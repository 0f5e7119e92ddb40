//! The log: what it acknowledged must still be there.

use flash_stores::kafka::describe::{ClusterInfo, TopicInfo};

use super::super::{facts::Facts, finding::Group};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Events must outlive any outage of the projection.
const RETENTION_DAYS: (i64, i64) = (1, 7);

pub(super) fn judge(facts: &Facts) -> Group {
    let mut group = Group::new("kafka");
    let cluster = match &facts.kafka {
        Ok(cluster) => cluster,
        Err(reason) => {
            group.not_asked("reachable", reason);
            return group;
        }
    };
    match cluster.brokers.len() {
        0 | 1 => {
            let why = "while it is down nothing can be recorded, so nothing is sold";
            group.warn("brokers", "1", why, "run three brokers");
        }
        many => group.ok("brokers", many.to_string()),
    }
    for (check, name) in [
        ("order-events", &facts.names.events),
        ("stock-epochs", &facts.names.epochs),
        ("order-dead-letter", &facts.names.letters),
    ] {
        match facts.topic(name) {
            None => group.bad(
                check,
                format!("{name} does not exist"),
                "nothing can be recorded or sold without it",
                "flashctl setup",
            ),
            Some(topic) => shape(&mut group, check, topic, cluster),
        }
    }
    if let Some(topic) = facts.topic(&facts.names.events) {
        events(&mut group, topic);
        if let Ok(mysql) = &facts.mysql
            && !mysql.positions.is_empty()
            && mysql.positions.len() != topic.partitions.len()
        {
            let value = format!("{} partitions, {} of them projected", topic.partitions.len(), mysql.positions.len());
            let why =
                "an order's partition follows from their number: after a change its events are no longer in order";
            group.bad(
                "partitions",
                value,
                why,
                "never change the number of partitions of order-events; restore the topic",
            );
        }
    }
    if let Some(topic) = facts.topic(&facts.names.epochs) {
        epochs(&mut group, topic);
    }
    group
}

/// Copies, leaders, and what an acknowledgement is worth.
fn shape(group: &mut Group, check: &'static str, topic: &TopicInfo, cluster: &ClusterInfo) {
    let (copies, partitions) = (topic.replication(), topic.partitions.len());
    let leaderless = topic.partitions.iter().filter(|partition| !partition.has_leader).count();
    let behind = topic.partitions.iter().filter(|partition| partition.in_sync < partition.replicas).count();
    let many = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let value = format!("{}, {}", many(partitions, "partition", "partitions"), many(copies, "copy", "copies"));
    if leaderless > 0 {
        let why = "what belongs into them cannot be recorded";
        return group.bad(
            check,
            format!("{value}, {leaderless} without a leader"),
            why,
            "start the brokers that have them",
        );
    }
    if behind > 0 {
        let why = "some copies are not up to date; with fewer than min.insync.replicas nothing is acknowledged";
        group.warn(check, format!("{value}, {behind} not in sync"), why, "look at the brokers that lag or are down");
    } else if copies < 2 {
        let why = "the loss of one broker's disk loses what only it has";
        group.warn(
            check,
            value,
            why,
            "replication factor 3 on three brokers (kafka-reassign-partitions), min.insync.replicas 2",
        );
    } else {
        group.ok(check, value);
    }
    let Some(least) = topic.setting("min.insync.replicas").and_then(|value| value.parse::<usize>().ok()) else {
        return group.ok("min.insync.replicas", format!("{}: the broker does not tell", topic.name));
    };
    let value = format!("{least} for {}", topic.name);
    if copies >= 3 && least < 2 {
        let why = "an event may be acknowledged by one broker alone, and a \"yes\" be lost with it";
        group.bad(
            "min.insync.replicas",
            value,
            why,
            &format!("kafka-configs --alter --topic {} --add-config min.insync.replicas=2", topic.name),
        );
    } else if least > copies {
        group.bad(
            "min.insync.replicas",
            value,
            "more than there are copies: nothing is ever acknowledged",
            "lower it, or add copies",
        );
    } else if copies > 1 {
        group.ok("min.insync.replicas", value);
    }
    let unclean = topic
        .setting("unclean.leader.election.enable")
        .or_else(|| cluster.broker_config.get("unclean.leader.election.enable").map(String::as_str));
    if unclean == Some("true") && copies > 1 {
        let why = "a broker that lacks acknowledged events may become leader: a \"yes\" is lost";
        group.bad(
            "unclean leader election",
            format!("on for {}", topic.name),
            why,
            &format!("kafka-configs --alter --topic {} --add-config unclean.leader.election.enable=false", topic.name),
        );
    }
}

fn events(group: &mut Group, topic: &TopicInfo) {
    let policy = topic.setting("cleanup.policy");
    if policy.is_some_and(|policy| policy.contains("compact")) {
        let why = "compaction keeps one event per order: a reservation that was never projected is lost";
        group.bad(
            "cleanup.policy",
            format!("{} for {}", policy.unwrap_or_default(), topic.name),
            why,
            &format!("kafka-configs --alter --topic {} --add-config cleanup.policy=delete", topic.name),
        );
    }
    let retention = topic.setting("retention.ms").and_then(|value| value.parse::<i64>().ok());
    let remedy = format!("kafka-configs --alter --topic {} --add-config retention.ms=-1", topic.name);
    let why = "events older than that are gone if the projection has not come to them";
    match retention {
        None => group.ok("retention", "the broker does not tell"),
        Some(ms) if ms < 0 => group.ok("retention", "for ever"),
        Some(ms) if ms < RETENTION_DAYS.0 * DAY_MS => {
            group.bad("retention", format!("{} h", ms / (DAY_MS / 24)), why, &remedy)
        }
        Some(ms) if ms < RETENTION_DAYS.1 * DAY_MS => {
            group.warn("retention", format!("{} days", ms / DAY_MS), why, &remedy)
        }
        Some(ms) => group.ok("retention", format!("{} days", ms / DAY_MS)),
    }
}

fn epochs(group: &mut Group, topic: &TopicInfo) {
    if topic.partitions.len() != 1 {
        let why = "epochs have one order only in one partition";
        group.bad(
            "stock-epochs partitions",
            topic.partitions.len().to_string(),
            why,
            "create the topic anew with one partition",
        );
    }
    if topic.setting("cleanup.policy").is_some_and(|policy| !policy.contains("compact"))
        && topic.setting("retention.ms").is_some_and(|ms| ms != "-1")
    {
        let why = "the record that opened the epoch will be deleted, and then nobody may sell";
        group.bad(
            "stock-epochs cleanup",
            "delete",
            why,
            &format!("kafka-configs --alter --topic {} --add-config cleanup.policy=compact", topic.name),
        );
    }
}
