//! Every setting of `flashd`, one row each. Everything that lists settings is made from this table.

/// One setting of `flashd`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted name, as in the file (`[redis]` `url`).
    pub name: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Command-line flag without the dashes.
    pub flag: &'static str,
    /// Built-in default; empty means unset.
    pub default: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
    /// Never printed.
    pub secret: bool,
}

const fn row(
    name: &'static str,
    env: &'static str,
    flag: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, env, flag, default, help, secret: false }
}

/// All settings of `flashd`, in the order of the default file.
pub const SETTINGS: &[Setting] = &[
    row("role", "FLASH_ROLE", "role", "all", "What runs in this process: all, api or worker (projector and sweeper)."),
    row(
        "http.bind",
        "FLASH_BIND",
        "bind",
        "127.0.0.1",
        "Address of the purchase API. Use 0.0.0.0 behind a load balancer.",
    ),
    row("http.port", "PORT", "port", "3000", "Port of the purchase API; 0 picks a free one."),
    row("admin.bind", "FLASH_ADMIN_BIND", "admin-bind", "127.0.0.1", "Address of the admin listener. Keep it private."),
    row("admin.port", "FLASH_ADMIN_PORT", "admin-port", "3900", "Port of the admin listener; 0 picks a free one."),
    Setting {
        secret: true,
        ..row(
            "admin.token",
            "FLASH_ADMIN_TOKEN",
            "admin-token",
            "",
            "Whoever knows it may pause, resume and drain this daemon and change its log filter; 16 characters or more.",
        )
    },
    row(
        "admin.read_only",
        "FLASH_ADMIN_READ_ONLY",
        "admin-read-only",
        "false",
        "true: nobody may, token or not. Without a token, only then may the admin listener be bound beyond loopback.",
    ),
    row(
        "admin.advertise",
        "FLASH_ADMIN_ADVERTISE",
        "admin-advertise",
        "",
        "URL under which flashctl finds the admin listener, http://HOST:PORT; unset: the address it is bound to.",
    ),
    row("node.id", "NODE_ID", "node-id", "", "Preferred node id, 0 to 1023. Another one is leased if it is taken."),
    row("namespace", "FLASH_NAMESPACE", "namespace", "", "Prefix of topics, groups and Redis keys, to share servers."),
    row(
        "redis.url",
        "REDIS_URL",
        "redis-url",
        "redis://127.0.0.1:6379",
        "The Redis that decides stock; the primary among redis://HOST:PORT,HOST:PORT; or redis-cluster://HOST:PORT,….",
    ),
    row("redis.timeout", "FLASH_REDIS_TIMEOUT", "redis-timeout", "1s", "After this a decision's outcome is unknown."),
    row(
        "kafka.brokers",
        "KAFKA_BROKERS",
        "kafka-brokers",
        "127.0.0.1:9092",
        "Kafka bootstrap servers, comma separated.",
    ),
    row(
        "kafka.linger",
        "FLASH_KAFKA_LINGER",
        "kafka-linger",
        "1ms",
        "How long the producer gathers events for one request.",
    ),
    row(
        "kafka.message_timeout",
        "FLASH_KAFKA_MESSAGE_TIMEOUT",
        "kafka-message-timeout",
        "30s",
        "How long delivery is tried.",
    ),
    row("mysql.host", "MYSQL_HOST", "mysql-host", "127.0.0.1", "MySQL or MariaDB host."),
    row("mysql.port", "MYSQL_PORT", "mysql-port", "3306", "MySQL port."),
    row("mysql.user", "MYSQL_USER", "mysql-user", "flashuser", "MySQL user."),
    Setting {
        secret: true,
        ..row(
            "mysql.password",
            "MYSQL_PASSWORD",
            "mysql-password",
            "",
            "MySQL password; better from the environment than a flag.",
        )
    },
    row("mysql.database", "MYSQL_DATABASE", "mysql-database", "flash_sale", "MySQL database."),
    Setting {
        secret: true,
        ..row(
            "payments.webhook_secret",
            "FLASH_WEBHOOK_SECRET",
            "webhook-secret",
            "",
            "Secret the payment provider signs its notices with, 16 characters or more; empty: none is believed.",
        )
    },
    Setting {
        secret: true,
        ..row(
            "payments.webhook_secret_previous",
            "FLASH_WEBHOOK_SECRET_PREVIOUS",
            "webhook-secret-previous",
            "",
            "The secret before this one, still valid while it is being replaced.",
        )
    },
    row(
        "payments.webhook_tolerance",
        "FLASH_WEBHOOK_TOLERANCE",
        "webhook-tolerance",
        "5m",
        "How far a notice's timestamp may be from Redis' clock.",
    ),
    row(
        "epoch.lease",
        "FLASH_EPOCH_LEASE",
        "epoch-lease",
        "5s",
        "D: how old the last look at stock-epochs may be for a 200.",
    ),
    row(
        "http.answer_timeout",
        "FLASH_ANSWER_TIMEOUT",
        "answer-timeout",
        "4s",
        "Wait for Kafka before OUTCOME_UNKNOWN.",
    ),
    row(
        "http.in_flight_max",
        "FLASH_IN_FLIGHT_MAX",
        "in-flight-max",
        "32768",
        "Purchases between admission and answer.",
    ),
    row(
        "audit.every",
        "FLASH_AUDIT_EVERY",
        "audit-every",
        "60s",
        "How often one of the workers compares Redis, log and MySQL by itself; 0s: never.",
    ),
    row("http.connections_max", "FLASH_CONNECTIONS_MAX", "connections-max", "16384", "Open API connections."),
    row("http.drain", "FLASH_DRAIN", "drain", "10s", "How long running requests may take to finish at shutdown."),
    row(
        "http.drain_idle",
        "FLASH_DRAIN_IDLE",
        "drain-idle",
        "1s",
        "How long before that idle connections stay open: each is served once more and told to close.",
    ),
    row("runtime.threads", "FLASH_THREADS", "threads", "0", "Threads of the API runtime; 0: one per core."),
    row("log.filter", "FLASH_LOG", "log", "info", "Log filter, like info or flashd=debug."),
    row("log.format", "FLASH_LOG_FORMAT", "log-format", "text", "text or json."),
];
