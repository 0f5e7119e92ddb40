//! The view and the schema.

use flash_stores::mysql::health::ServerHealth;

use super::super::{facts::Facts, finding::Group};

/// The projector's largest statement with room to spare, and the least that can work, in bytes.
const PACKET_BYTES: (u64, u64) = (16 * 1024 * 1024, 4 * 1024 * 1024);
/// Each daemon takes up to eight connections.
const CONNECTIONS_MIN: u64 = 50;

pub(super) fn judge(facts: &Facts) -> Group {
    let mut group = Group::new("mysql");
    match &facts.mysql {
        Err(reason) => group.not_asked("reachable", reason),
        Ok(mysql) => {
            durability(&mut group, &mysql.health);
            session(&mut group, &mysql.health);
            bounds(&mut group, &mysql.health);
        }
    }
    schema(&mut group, facts);
    group
}

fn on(value: Option<&str>) -> bool {
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("on"))
}

fn durability(group: &mut Group, health: &ServerHealth) {
    let flush = health.variable("innodb_flush_log_at_trx_commit").unwrap_or("not told");
    if flush == "1" {
        group.ok("innodb_flush_log_at_trx_commit", "1");
    } else {
        let why = "a crash undoes up to a second: orders come again from the log, but changes of a sale and node leases do not";
        group.warn(
            "innodb_flush_log_at_trx_commit",
            flush,
            why,
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in my.cnf",
        );
    }
    let binlog = on(health.variable("log_bin"));
    let sync = health.variable("sync_binlog").unwrap_or("not told");
    if binlog && sync != "1" {
        let why = "after a crash of the machine replicas may have what the primary has lost";
        group.warn("sync_binlog", sync, why, "SET GLOBAL sync_binlog = 1, and the same in my.cnf");
    } else {
        group.ok("binary log", if binlog { "on, synced" } else { "off" });
    }
    if health.variable("innodb_doublewrite").is_some_and(|value| value.eq_ignore_ascii_case("off")) {
        group.warn(
            "innodb_doublewrite",
            "off",
            "a torn page cannot be repaired after a crash",
            "set innodb_doublewrite = ON in my.cnf",
        );
    }
    let semi_sync =
        on(health.variable("rpl_semi_sync_master_enabled")) || on(health.variable("rpl_semi_sync_source_enabled"));
    let replicas: u64 = health.variable("slaves_connected").and_then(|value| value.parse().ok()).unwrap_or(0);
    match (on(health.variable("wsrep_on")), semi_sync, replicas) {
        (true, ..) => group.ok("replication", "Galera"),
        (_, true, _) => group.ok("replication", "semi-synchronous"),
        (_, _, 0) => {
            let why =
                "if its disk is lost, definitions and the journal of changes are lost, and orders older than the log";
            group.warn("replication", "none seen", why, "run a replica, or back up regularly and test the restore");
        }
        (_, _, replicas) => group.ok("replication", format!("{replicas} replicas, asynchronous")),
    }
}

fn session(group: &mut Group, health: &ServerHealth) {
    if ["read_only", "super_read_only", "innodb_read_only"].iter().any(|name| on(health.variable(name))) {
        group.bad(
            "read_only",
            "on",
            "nothing can be projected: this is a replica, or a failover is going on",
            "let MYSQL_HOST name the primary, or SET GLOBAL read_only = 0",
        );
    } else {
        group.ok("read_only", "off");
    }
    if health.session_isolation == "READ-COMMITTED" {
        group.ok("isolation of our sessions", "READ-COMMITTED");
    } else {
        let why = "each of our sessions asks for READ COMMITTED; something between us and MySQL swallows it, and gap locks will stop the projector";
        group.bad(
            "isolation of our sessions",
            &health.session_isolation,
            why,
            "connect without that proxy, or make it keep SET SESSION",
        );
    }
    let global =
        health.variable("transaction_isolation").or_else(|| health.variable("tx_isolation")).unwrap_or("not told");
    if global == "SERIALIZABLE" {
        let why = "plain reads of other programs lock rows that the projector has to write";
        group.warn(
            "isolation of other sessions",
            global,
            why,
            "SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED, and the same in my.cnf",
        );
    } else {
        group.ok("isolation of other sessions", global);
    }
    if health.charset == "utf8mb4" {
        group.ok("character set", "utf8mb4");
    } else {
        group.warn(
            "character set",
            &health.charset,
            "tables name theirs, but what is added by hand will not be utf8mb4",
            "ALTER DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        );
    }
    if health.variable("innodb_deadlock_detect").is_some_and(|value| !on(Some(value))) {
        group.warn(
            "innodb_deadlock_detect",
            "off",
            "a deadlock lasts until the lock time-out of 10 s",
            "SET GLOBAL innodb_deadlock_detect = ON",
        );
    }
}

fn bounds(group: &mut Group, health: &ServerHealth) {
    let number = |name| health.variable(name).and_then(|value| value.parse::<u64>().ok());
    if let Some(most) = number("max_connections") {
        let used = number("threads_connected").unwrap_or(0);
        let value = format!("{most}, {used} used");
        let tight = most < CONNECTIONS_MIN || used * 10 >= most * 9;
        if tight {
            group.warn(
                "max_connections",
                value,
                "a daemon takes up to 8; without one it cannot project or lease its node id",
                "SET GLOBAL max_connections = 200, and the same in my.cnf",
            );
        } else {
            group.ok("max_connections", value);
        }
    }
    if let Some(bytes) = number("max_allowed_packet") {
        let value = format!("{} MiB", bytes / (1024 * 1024));
        let remedy = "SET GLOBAL max_allowed_packet = 67108864, and the same in my.cnf";
        let why = "a batch of the projector is one statement of up to a few MiB; larger ones are refused";
        match bytes {
            bytes if bytes < PACKET_BYTES.1 => group.bad("max_allowed_packet", value, why, remedy),
            bytes if bytes < PACKET_BYTES.0 => group.warn("max_allowed_packet", value, why, remedy),
            _ => group.ok("max_allowed_packet", value),
        }
    }
}

fn schema(group: &mut Group, facts: &Facts) {
    match &facts.schema {
        Err(reason) => group.not_asked("schema", reason),
        Ok(schema) if !schema.database_exists => {
            group.bad("schema", "the database does not exist", "nothing can be projected or sold", "flashctl setup");
        }
        Ok(schema) if schema.pending > 0 => {
            let value = format!("{} migrations applied, {} missing", schema.applied, schema.pending);
            group.bad("schema", value, "the daemons need tables that are not there", "flashctl setup");
        }
        Ok(schema) if schema.unknown > 0 => {
            let value = format!("{} migrations that this flashctl does not know", schema.unknown);
            group.warn(
                "schema",
                value,
                "the database was set up by a newer version",
                "use the flashctl and flashd of that version",
            );
        }
        Ok(schema) => group.ok("schema", format!("{} migrations, up to date", schema.applied)),
    }
}
