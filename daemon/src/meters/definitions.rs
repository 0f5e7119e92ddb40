//! Every metric: name, kind, unit, labels, meaning. The one table that the page is written from and `docs/metrics.md` is
//! checked against.
//!
//! Names end in the base unit (`_seconds`, `_bytes`), counters in `_total`. A label never holds anything that buyers can
//! choose: no user ids, and SKUs only up to a bound.

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows, from zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which processes tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Every process.
    All,
    /// Processes that sell: role `api` or `all`.
    Api,
    /// Processes that project, sweep and audit: role `worker` or `all`.
    Worker,
}

impl By {
    #[cfg(test)]
    const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What one of it is. For people: the page has the unit in the name.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the table in the docs, which a test compares"))]
    pub(crate) unit: &'static str,
    pub(crate) labels: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "for the table in the docs, which a test compares"))]
    pub(crate) by: By,
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $by:ident $kind:ident $name:literal [$($label:literal),*] in $unit:literal: $help:literal;)*) => {
        $(pub(crate) static $id: Metric = Metric {
            name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], by: By::$by, help: $help,
        };)*
        /// All of them, in the order of the page.
        #[cfg(test)]
        pub(crate) static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD_INFO = All Gauge "flash_build_info" ["version", "role"] in "1": "Always 1; the labels say what runs.";
    READY = All Gauge "flash_ready" [] in "0 or 1": "1 when every readiness latch is dropped.";
    START_TIME = All Gauge "process_start_time_seconds" [] in "seconds since 1970": "When the process began.";
    RESIDENT = All Gauge "process_resident_memory_bytes" [] in "bytes": "Memory in RAM.";
    CPU = All Counter "process_cpu_seconds_total" [] in "seconds": "Processor time of all threads, user and kernel.";
    OPEN_FILES = All Gauge "process_open_fds" [] in "files": "Open file descriptors.";
    OPEN_FILES_MAX = All Gauge "process_max_fds" [] in "files": "Most file descriptors that may be open.";

    HTTP_DURATION = Api Histogram "http_request_duration_seconds" ["method", "route", "status"] in "seconds": "Requests of buyers that were answered, from the end of the head to the answer. A route and status appear with their first answer; what is no route of ours is other.";
    CONNECTIONS = Api Gauge "flash_connections" [] in "connections": "Open connections of buyers.";
    CONNECTIONS_MAX = Api Gauge "flash_connections_max" [] in "connections": "Most that may be open.";
    CONNECTIONS_ACCEPTED = Api Counter "flash_connections_accepted_total" [] in "connections": "Connections accepted.";
    CONNECTIONS_REFUSED = Api Counter "flash_connections_refused_total" [] in "connections": "Connections closed because there were too many.";
    PURCHASE_ATTEMPTS = Api Counter "purchase_attempts_total" ["status", "reason"] in "purchases": "Purchases by what the buyer was told: won, refused or failed, and why. reason=outcome_unknown is the one where it may have happened.";
    PURCHASE_DURATION = Api Histogram "purchase_duration_seconds" ["outcome"] in "seconds": "From the end of the request head to the answer, kinds of answers apart: won, sold_out, refused, failed.";
    IN_FLIGHT = Api Gauge "flash_in_flight" [] in "purchases": "Purchases and settlements between admission and answer.";
    IN_FLIGHT_MAX = Api Gauge "flash_in_flight_max" [] in "purchases": "Most that are admitted at a time.";
    LANE_WAITING = Api Gauge "flash_lane_waiting" [] in "purchases": "Purchases waiting in the lanes of all SKUs.";
    LANE_DEEPEST = Api Gauge "flash_lane_deepest" [] in "purchases": "Purchases waiting in the fullest lane.";
    LANE_DEPTH_MAX = Api Gauge "flash_lane_depth_max" [] in "purchases": "Most that may wait in one lane.";
    LANE_BATCHES = Api Counter "flash_lane_batches_total" [] in "batches": "Batches that were sent to Redis.";
    LANE_PURCHASES = Api Counter "flash_lane_purchases_total" [] in "purchases": "Purchases in those batches; divided by the batches it is the size of a batch.";
    FENCED = Api Counter "flash_fenced_total" [] in "batches": "Batches that Redis was not allowed to decide.";
    INVENTORY_OPERATIONS = Api Counter "inventory_operations_total" ["operation", "result"] in "orders": "What was asked of the stock (reserve, rebook, confirm, cancel, expire) and what Redis said: success, replayed, refused, fenced, unavailable, unknown. expire is counted by processes that also work (role all); a worker alone tells flash_swept_total.";
    RESERVED = Api Counter "flash_reserved_total" [] in "holds": "Holds that Redis decided for buyers here, repeated answers not counted.";
    LOGGED = Api Counter "flash_logged_total" [] in "events": "RESERVED events that the log acknowledged, repeated ones included.";
    PAYMENTS = Api Counter "flash_payments_total" ["fate"] in "reports": "Reported payments by what became of them, repeated reports included: confirmed, rebooked, refund_pending.";
    CANCELLED = Api Counter "flash_cancelled_total" [] in "orders": "Cancellations that were answered with yes, repeated ones included.";
    SETTLE_REFUSED = Api Counter "flash_settle_refused_total" [] in "requests": "Wishes to pay or cancel that were not fulfilled, or whose outcome is unknown.";

    SKUS = Api Gauge "flash_skus" [] in "SKUs": "SKUs on sale.";
    ACTIVE_RESERVATIONS = Api Gauge "active_reservations" ["sku_id"] in "units": "Units on hold, as Redis last said. The busiest 50 SKUs by id, all others together as other.";
    STOCK = Api Gauge "flash_stock_units" ["sku_id", "state"] in "units": "Units by state (available, held, sold, closing), as Redis last said. The same SKUs; one that was never seen is missing.";
    SKU_ATTEMPTS = Api Counter "flash_sku_attempts_total" ["sku_id"] in "purchases": "Purchases asked of this process. other: those of SKUs while they were not among the busiest 50; no series ever shrinks, and together they are all.";
    SKU_WINS = Api Counter "flash_sku_wins_total" ["sku_id"] in "holds": "Holds made through this process; other as above.";
    SKU_SOLD_OUT = Api Counter "flash_sku_sold_out_total" ["sku_id"] in "answers": "Sold-out answers, the local latch's included; other as above.";

    EPOCH = Api Gauge "flash_epoch" [] in "number": "Newest stock epoch seen; 0: none.";
    EPOCH_OPEN = Api Gauge "flash_epoch_open" [] in "0 or 1": "1 while purchases may be decided.";
    LEASE_AGE = Api Gauge "flash_lease_age_seconds" [] in "seconds": "Age of the epoch lease; missing before the first complete look.";
    LEASE_MAX = Api Gauge "flash_lease_max_seconds" [] in "seconds": "Age at which the lease is stale.";
    STOPS = Api Counter "flash_selling_stops_total" [] in "stops": "Times that no SKU could be decided any more.";
    STOPPED_TOTAL = Api Counter "flash_selling_stopped_seconds_total" [] in "seconds": "Time in which no SKU could be decided, the present stop included.";
    STOPPED = Api Gauge "flash_selling_stopped_seconds" [] in "seconds": "For how long no SKU could be decided by now; 0 while any can.";
    STOPPED_SKUS = Api Gauge "flash_stopped_skus" [] in "SKUs": "SKUs whose last batch could not be decided, whether or not others can be.";

    REDIS_DURATION = All Histogram "redis_operation_duration_seconds" ["operation"] in "seconds": "Round trips to Redis that brought an answer, by operation.";
    REDIS_ERRORS = All Counter "redis_operation_errors_total" ["operation"] in "round trips": "Round trips to Redis that brought none, or an error.";
    REDIS_BREAKER_OPEN = All Gauge "flash_redis_breaker_open" [] in "0 or 1": "1 while some primary is not asked because it does not answer.";
    REDIS_BREAKER_OPENED = All Counter "flash_redis_breaker_opened_total" [] in "times": "Times that a connection to Redis was given up.";
    REDIS_MEMORY_USED = All Gauge "redis_memory_used_bytes" ["node"] in "bytes": "Memory in use by a primary, as its INFO said.";
    REDIS_MEMORY_MAX = All Gauge "redis_memory_max_bytes" ["node"] in "bytes": "Its bound; 0: none.";
    REDIS_EVICTED = All Counter "redis_evicted_keys_total" ["node"] in "keys": "Keys it has thrown away for want of memory. Anything but 0 breaks promises.";
    REDIS_CLIENTS = All Gauge "redis_connected_clients" ["node"] in "connections": "Clients connected to it.";
    REDIS_REPLICAS = All Gauge "redis_connected_replicas" ["node"] in "replicas": "Replicas connected to it.";
    REDIS_COMMANDS = All Gauge "redis_commands_per_second" ["node"] in "commands per second": "Commands it is running, by its own count.";
    REDIS_SEEN = All Gauge "redis_info_age_seconds" ["node"] in "seconds": "Age of what it said.";
    KAFKA_PRODUCE = All Histogram "kafka_produce_latency_seconds" [] in "seconds": "From handing an event to the producer to its acknowledgement by all in-sync replicas.";
    KAFKA_ACKNOWLEDGED = All Counter "flash_events_acknowledged_total" [] in "events": "Events of this process that the log acknowledged.";
    KAFKA_FAILED = All Counter "flash_events_failed_total" [] in "events": "Events that were refused or never acknowledged.";
    KAFKA_UNACKNOWLEDGED = All Gauge "flash_unacknowledged_events" [] in "events": "Events handed to the producer without an answer yet.";
    KAFKA_PARTITIONS = All Gauge "flash_log_partitions" [] in "partitions": "Partitions of order-events; 0 while it has not been reached.";
    KAFKA_REPLACED = All Counter "flash_producers_replaced_total" [] in "times": "Times that the producer had failed for good and was replaced.";
    MYSQL_UP = All Gauge "flash_mysql_up" [] in "0 or 1": "1 if MySQL answered the last ping.";
    MYSQL_POOL = All Gauge "mysql_pool_connections" ["state"] in "connections": "Open connections of the pool: used or idle. The projector and the auditor have connections of their own.";
    MYSQL_POOL_MAX = All Gauge "mysql_pool_connections_max" [] in "connections": "Most connections of the pool.";
    MYSQL_PING = All Histogram "mysql_ping_duration_seconds" [] in "seconds": "Pings that were answered, over a connection of their own; one every two seconds.";

    PROJECTED = Worker Counter "flash_projected_events_total" [] in "events": "Events applied, voided or parked.";
    APPLIED = Worker Counter "flash_applied_events_total" ["type"] in "events": "Events of orders that were applied, by type, repeated ones included.";
    PROJECTED_BATCHES = Worker Counter "flash_projected_batches_total" [] in "transactions": "Transactions that applied them.";
    APPLY_DURATION = Worker Histogram "flash_projector_apply_duration_seconds" [] in "seconds": "Transactions of the projector that were committed.";
    APPLY_ERRORS = Worker Counter "flash_projector_apply_errors_total" [] in "transactions": "Transactions of the projector that came to nothing and are repeated.";
    DEAD_LETTERS = Worker Counter "flash_dead_letters_total" [] in "events": "Events parked in the dead letters.";
    VOIDED = Worker Counter "flash_voided_events_total" [] in "events": "Events of an older epoch behind a newer fence.";
    MISSING = Worker Counter "flash_missing_events_total" [] in "events": "Events that the log had deleted before they were read. Anything but 0 means lost orders.";
    REOPENINGS = Worker Counter "flash_projector_reopenings_total" [] in "times": "Times that positions were read afresh: after outages, rebalances and lost races.";
    CONSUMER_LAG = Worker Gauge "kafka_consumer_lag" [] in "events": "Events in the projector's partitions that are not applied yet.";
    PROJECTOR_LAG = Worker Gauge "flash_projector_lag_seconds" [] in "seconds": "Age of the oldest moment up to which all its partitions are applied; missing without partitions.";
    PROJECTOR_PARTITIONS = Worker Gauge "flash_projector_partitions" [] in "partitions": "Partitions assigned to the projector.";
    SWEPT = Worker Counter "flash_swept_total" ["state"] in "orders": "Settlements a sweeper finished; only EXPIRED ones were its own idea, the others were taken over.";
    SWEEP_DELAY = Worker Histogram "flash_sweep_delay_seconds" [] in "seconds": "From the end of a hold to its units being on sale again, by Redis' clock (resolution 1 ms).";
    REBUILDS = Worker Counter "flash_rebuilds_total" [] in "rebuilds": "Times this process has filled Redis anew.";
    REBUILD_FAILURES = Worker Counter "flash_rebuild_failures_total" [] in "rebuilds": "Times this process began to fill Redis anew and gave up.";
    REBUILDING = Worker Gauge "flash_rebuilding" [] in "0 or 1": "1 while this process fills Redis anew.";
    REBUILD_STEP = Worker Gauge "flash_rebuild_step" [] in "number": "Step of the rebuild: 1 announcing, 2 noting, 3 closing, 4 waiting, 5 fencing, 6 projecting, 7 loading, 8 opening; 0 while none runs.";
    REBUILD_LAST = Worker Gauge "flash_rebuild_last_seconds" [] in "seconds": "How long the last finished rebuild took; missing before the first.";
    BLOCKED_SKUS = Worker Gauge "flash_blocked_skus" [] in "SKUs": "SKUs that the last attempt to fill them left closed.";
    FINDINGS = Worker Gauge "flash_reconcile_findings" ["kind"] in "findings": "Findings of the last audit, by kind.";
    AUDITS = Worker Counter "flash_reconcile_runs_total" [] in "audits": "Audits of this process that came to an end.";
    AUDIT_AGE = Worker Gauge "flash_reconcile_age_seconds" [] in "seconds": "Age of the last audit; missing where none was made.";
    AUDIT_DURATION = Worker Gauge "flash_reconcile_duration_seconds" [] in "seconds": "How long the last audit took; missing where none was made.";
    AUDIT_PAUSE = Worker Gauge "flash_reconcile_pause_seconds" [] in "seconds": "Pause before the next audit; longer while the same findings stay. Missing where none was made.";
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = "docs/metrics.md";
    const BEGIN: &str = "<!-- metrics: begin (made from daemon/src/meters/definitions.rs) -->\n";
    const END: &str = "<!-- metrics: end -->\n";

    /// The table of the documentation.
    fn table() -> String {
        let mut table = "| metric | kind | unit | of | meaning |\n|---|---|---|---|---|\n".to_owned();
        for Metric { name, kind, unit, labels, by, help } in ALL {
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let (kind, by) = (kind.as_str(), by.as_str());
            table += &format!("| `{name}{labels}` | {kind} | {unit} | {by} | {help} |\n");
        }
        table
    }

    #[test]
    fn the_documentation_has_exactly_these_metrics() {
        crate::made_from_code::assert_documented(DOC, (BEGIN, END), &table());
    }

    #[test]
    fn names_follow_the_rules() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "each name once");
        for Metric { name, kind, unit, labels, help, .. } in ALL {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            for abbreviated in ["_ms", "milliseconds", "_kb", "percent"] {
                assert!(!name.contains(abbreviated), "{name}");
            }
            assert_eq!(unit.contains("seconds"), name.contains("_seconds"), "{name}: {unit}");
            assert_eq!(*unit == "bytes", name.contains("_bytes"), "{name}: {unit}");
            assert!(*kind != Kind::Histogram || *unit == "seconds", "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{name}");
            assert!(!labels.iter().any(|label| label.contains("user")), "{name}");
        }
    }
}
