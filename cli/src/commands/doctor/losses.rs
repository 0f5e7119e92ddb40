//! What this deployment would lose in which failure: one sentence for each, from the facts. Pure.
//!
//! "Told" is what a buyer was answered with 200. Nothing told is lost as long as what the log acknowledged is still there;
//! so most sentences are about the log.

use super::facts::Facts;

/// One failure and its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) failure: &'static str,
    /// Whether something that was told would be lost; `None` if that cannot be judged.
    pub(super) loses: Option<bool>,
    pub(super) sentence: String,
}

/// All failures, from the most to the least usual.
pub(super) fn losses(facts: &Facts) -> Vec<Loss> {
    vec![
        flashd(facts),
        redis_restart(facts),
        redis_primary(facts),
        broker(facts),
        brokers(facts),
        mysql_crash(facts),
        mysql_lost(facts),
        host(facts),
    ]
}

fn loss(failure: &'static str, loses: Option<bool>, sentence: impl Into<String>) -> Loss {
    Loss { failure, loses, sentence: sentence.into() }
}

fn unknown(failure: &'static str, part: &str) -> Loss {
    loss(failure, None, format!("{part} was not asked."))
}

/// How far behind MySQL is, as a clause.
fn lag(facts: &Facts) -> String {
    match facts.lag {
        Ok(1) => "lag now: 1 event".to_owned(),
        Ok(lag) => format!("lag now: {lag} events"),
        Err(_) => "lag now: not known".to_owned(),
    }
}

fn flashd(facts: &Facts) -> Loss {
    let sellers =
        facts.daemons.iter().filter(|daemon| daemon.said.as_ref().is_ok_and(|said| said.role != "worker")).count();
    let meanwhile = match sellers {
        0 => "Whether others go on selling was not asked (FLASH_ADMIN_URL).",
        1 => "It is the only one that was named, so nothing is sold until it is started again.",
        _ => "The others go on selling.",
    };
    let text = format!(
        "Nothing told. Holds without an event were answered \"unknown\"; asking again with the key records them, otherwise they expire. {meanwhile}"
    );
    loss("one flashd killed", Some(false), text)
}

/// Closing, waiting out the leases, projecting and filling.
fn pause(facts: &Facts) -> String {
    let wait = facts.lease + facts.lease / 10;
    format!("about {:.0} s plus the projection ({})", wait.as_secs_f64().ceil(), lag(facts))
}

fn redis_restart(facts: &Facts) -> Loss {
    let failure = "Redis restarted";
    if facts.mysql.is_err() || facts.kafka.is_err() {
        return loss(failure, None, "Nothing told, but Redis can be filled again only when MySQL and Kafka answer.");
    }
    let text = format!(
        "Nothing told: it is fenced, and a worker fills it from MySQL and the log. Nothing is sold for {}.",
        pause(facts)
    );
    loss(failure, Some(false), text)
}

fn redis_primary(facts: &Facts) -> Loss {
    let failure = "Redis primary lost";
    let Ok(redis) = &facts.redis else { return unknown(failure, "Redis") };
    let text = if redis.primaries.iter().all(|(_, info)| info.replicas > 0) {
        format!(
            "Nothing told. After the failover the new primary is fenced and filled; nothing is sold for the failover and {}.",
            pause(facts)
        )
    } else {
        format!(
            "Nothing told, but there is no replica: nothing is sold until a Redis answers at its address, and {} more.",
            pause(facts)
        )
    };
    loss(failure, Some(false), text)
}

fn broker(facts: &Facts) -> Loss {
    let failure = "one broker lost with its disk";
    let Some(topic) = facts.topic(&facts.names.events) else { return unknown(failure, "order-events") };
    let copies = topic.replication();
    let least: Option<usize> = topic.setting("min.insync.replicas").and_then(|value| value.parse().ok());
    if copies < 2 {
        let memory = if facts.is_tansu() {
            " (Tansu with memory:// storage, which `flashctl up` starts unless told otherwise, loses them when it merely stops)"
        } else {
            ""
        };
        let text = format!(
            "There is one copy: tickets that were told and that MySQL has not projected yet are lost with it{memory}; {}. Payments are lost in the same way. Nothing is sold until a broker is back.",
            lag(facts)
        );
        return loss(failure, Some(true), text);
    }
    match least {
        Some(least) if least >= 2 => loss(
            failure,
            Some(false),
            "Nothing told: every acknowledged event is on another broker, too. Selling goes on with the new leaders.",
        ),
        Some(_) => loss(
            failure,
            Some(true),
            format!(
                "An event may have been acknowledged by that broker alone (min.insync.replicas 1): then a ticket that was told is lost unless MySQL has it; {}.",
                lag(facts)
            ),
        ),
        None => loss(
            failure,
            None,
            "The broker does not tell min.insync.replicas: below 2 an acknowledged event may be on that broker alone.",
        ),
    }
}

fn brokers(facts: &Facts) -> Loss {
    let failure = "all brokers restarted";
    let Ok(cluster) = &facts.kafka else { return unknown(failure, "Kafka") };
    if facts.is_tansu() {
        let text = format!(
            "If Tansu keeps records in memory (memory://), the whole log: tickets that MySQL has not projected yet ({}), and the record that opened the epoch. With SQLite storage: nothing.",
            lag(facts)
        );
        return loss(failure, None, text);
    }
    if cluster.brokers.is_empty() {
        return unknown(failure, "Kafka");
    }
    let text = "Nothing told if they stop in order or are killed. Kafka acknowledges before it writes to the disk: if all lose power at once, the last seconds may be lost. Nothing is sold meanwhile.";
    loss(failure, Some(false), text)
}

fn mysql_crash(facts: &Facts) -> Loss {
    let failure = "MySQL crashed";
    let Ok(mysql) = &facts.mysql else { return unknown(failure, "MySQL") };
    if mysql.health.variable("innodb_flush_log_at_trx_commit") == Some("1") {
        return loss(
            failure,
            Some(false),
            "Nothing. Selling goes on; the projector catches up from the log when MySQL is back.",
        );
    }
    let text = "Nothing told: what is undone is read again from the log, offsets and rows go back together. An operator's change of a sale within the last second may be undone.";
    loss(failure, Some(false), text)
}

fn mysql_lost(facts: &Facts) -> Loss {
    let failure = "MySQL lost with its disk";
    let Some(topic) = facts.topic(&facts.names.events) else { return unknown(failure, "order-events") };
    let retention = topic.setting("retention.ms").and_then(|value| value.parse::<i64>().ok());
    let rest = "What is on sale, the journal of changes and what was done about dead letters are only in backups and replicas.";
    match retention {
        Some(ms) if ms < 0 => loss(
            failure,
            Some(false),
            format!("Orders and payments can be projected again from the beginning of the log. {rest}"),
        ),
        Some(ms) => loss(
            failure,
            Some(true),
            format!(
                "Orders older than {} days are no longer in the log and are only in backups and replicas. {rest}",
                ms / 86_400_000
            ),
        ),
        None => loss(
            failure,
            None,
            format!(
                "Orders are projected again from the log as far back as it is kept, which the broker does not tell. {rest}"
            ),
        ),
    }
}

fn host(facts: &Facts) -> Loss {
    let failure = "this machine lost";
    if facts.one_host {
        let text = "Everything: Redis, Kafka and MySQL are all addressed on this machine. Tickets that were told are lost unless log or MySQL have a copy elsewhere.";
        return loss(failure, Some(true), text);
    }
    loss(
        failure,
        None,
        "Depends on what runs where: keep brokers, MySQL replicas and Redis replicas on different machines.",
    )
}
