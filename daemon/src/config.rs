//! The daemon's configuration, one struct per concern, read from [`Settings`] and checked as a whole.

use crate::logs::{self, LogConfig, LogFormat};
use crate::rebuild::RebuildOptions;
use crate::reconcile::ReconcileOptions;
use flash_core::limits;
use flash_core::settings::{Settings, SettingsError};
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::producer::RecorderSettings;
use flash_stores::mysql::MySqlSettings;
use flash_stores::redis::{GateSettings, is_address};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What runs in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// API and worker.
    All,
    /// The purchase API only.
    Api,
    /// The projector only.
    Worker,
}

impl Role {
    /// Whether this process sells.
    #[must_use]
    pub const fn sells(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether this process projects.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    /// Its name, as in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// The purchase API.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long a buyer waits for a verdict.
    pub answer_timeout: Duration,
    /// Most purchases between admission and answer.
    pub in_flight_max: usize,
    /// Most open connections.
    pub connections_max: usize,
    /// How long running requests may take to finish at shutdown.
    pub drain: Duration,
    /// How long idle connections stay open at shutdown.
    pub drain_idle: Duration,
}

/// The admin plane.
#[derive(Clone)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What whoever commands this daemon has to know; `None`: nobody may.
    pub token: Option<String>,
    /// Nobody may, token or not.
    pub read_only: bool,
    /// Where it is found; `None`: where it listens.
    pub advertise: Option<String>,
}

impl std::fmt::Debug for AdminConfig {
    /// Secrets are never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminConfig")
            .field("listen", &self.listen)
            .field("token", &self.token.is_some())
            .field("read_only", &self.read_only)
            .field("advertise", &self.advertise)
            .finish()
    }
}

/// The payment provider's webhook.
#[derive(Clone, Default)]
pub struct WebhookConfig {
    /// Secrets that are valid now: the current one, and the previous one while it is being replaced. None: no webhook is
    /// believed.
    pub secrets: Vec<String>,
    /// How far a notice's timestamp may be from Redis' clock.
    pub tolerance: Duration,
}

impl std::fmt::Debug for WebhookConfig {
    /// Secrets are never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("secrets", &self.secrets.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// Everything the daemon needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What runs.
    pub role: Role,
    /// The API.
    pub http: HttpConfig,
    /// The admin plane.
    pub admin: AdminConfig,
    /// Preferred node id.
    pub node_id: Option<u16>,
    /// The gate.
    pub redis: GateSettings,
    /// The log.
    pub kafka: KafkaSettings,
    /// How events are produced.
    pub recorder: RecorderSettings,
    /// The view.
    pub mysql: MySqlSettings,
    /// Payments.
    pub webhook: WebhookConfig,
    /// D of DESIGN section 5.
    pub epoch_lease: Duration,
    /// How often a worker audits the books by itself; zero: never.
    pub audit_every: Duration,
    /// Threads of the API runtime.
    pub threads: usize,
    /// What is logged.
    pub logs: LogConfig,
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// The first setting that cannot be used, or a combination that would break a promise.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let namespace = settings.read("namespace", "must be up to 40 letters, digits, - or _", namespace)?;
        let brokers = settings.read("kafka.brokers", "must be HOST:PORT[,HOST:PORT…]", brokers)?;
        let kafka = KafkaSettings { brokers, namespace: namespace.clone() };
        let config = Self {
            role: settings.read("role", "must be all, api or worker", role)?,
            http: read_http(settings)?,
            admin: read_admin(settings)?,
            node_id: settings.read("node.id", "must be 0 to 1023", node_id)?,
            redis: GateSettings {
                url: settings.read("redis.url", REDIS_RULE, |text| is_address(text).then(|| text.to_owned()))?,
                namespace,
                timeout: settings.duration("redis.timeout", 10..=10_000)?,
            },
            kafka,
            recorder: RecorderSettings {
                linger: settings.duration("kafka.linger", 0..=100)?,
                message_timeout: settings.duration("kafka.message_timeout", 1_000..=120_000)?,
                queue_max: limits::KAFKA_QUEUE_MAX,
            },
            mysql: read_mysql(settings)?,
            webhook: read_webhook(settings)?,
            epoch_lease: settings.duration("epoch.lease", 500..=60_000)?,
            audit_every: settings.duration("audit.every", 0..=86_400_000)?,
            threads: settings.read("runtime.threads", "must be 0 to 512", |text| bounded(text, 0, 512))?,
            logs: read_logs(settings)?,
        };
        config.check()?;
        Ok(config)
    }

    /// What filling Redis needs to know.
    #[must_use]
    pub fn rebuild_options(&self) -> RebuildOptions {
        RebuildOptions {
            kafka: self.kafka.clone(),
            mysql: self.mysql.clone(),
            redis: self.redis.clone(),
            lease: self.epoch_lease,
        }
    }

    /// What an audit needs to know.
    #[must_use]
    pub fn reconcile_options(&self) -> ReconcileOptions {
        ReconcileOptions { parts: self.rebuild_options(), recorder: self.recorder }
    }

    /// Relations between settings that the promises rest on.
    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |text: String| Err(SettingsError::Combination(text));
        let AdminConfig { listen, token, read_only, .. } = &self.admin;
        if !listen.ip().is_loopback() && token.is_none() && !read_only {
            return refuse(format!(
                "admin.bind {} can be reached from elsewhere: set admin.token (FLASH_ADMIN_TOKEN, {SECRET_MIN} characters or \
                 more), or admin.read_only (FLASH_ADMIN_READ_ONLY=true) if nobody is to command this daemon",
                listen.ip()
            ));
        }
        if self.redis.timeout >= self.http.answer_timeout {
            return refuse(
                "redis.timeout must be shorter than http.answer_timeout: a decision must fit into its answer".into(),
            );
        }
        if self.http.answer_timeout >= self.epoch_lease {
            return refuse(
                "http.answer_timeout must be shorter than epoch.lease: no answer may outlive its lease".into(),
            );
        }
        if self.http.answer_timeout >= self.recorder.message_timeout {
            return refuse(
                "http.answer_timeout must be shorter than kafka.message_timeout: delivery outlives patience".into(),
            );
        }
        Ok(())
    }
}

fn read_http(settings: &Settings) -> Result<HttpConfig, SettingsError> {
    let count = |name, most: usize| settings.read(name, &format!("must be 1 to {most}"), |text| bounded(text, 1, most));
    Ok(HttpConfig {
        listen: listen(settings, "http.bind", "http.port")?,
        answer_timeout: settings.duration("http.answer_timeout", 50..=30_000)?,
        in_flight_max: count("http.in_flight_max", limits::IN_FLIGHT_MAX)?,
        connections_max: count("http.connections_max", 1_000_000)?,
        drain: settings.duration("http.drain", 0..=600_000)?,
        drain_idle: settings.duration("http.drain_idle", 0..=600_000)?,
    })
}

fn read_admin(settings: &Settings) -> Result<AdminConfig, SettingsError> {
    let rule = format!("must be empty or {SECRET_MIN} to {TOKEN_MAX} visible ASCII characters without blanks");
    let token = settings.read("admin.token", &rule, |text| {
        let good = (SECRET_MIN..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        (good || text.is_empty()).then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
    });
    // An error would print what was given.
    let token = token.map_err(|_| SettingsError::Combination(format!("admin.token (FLASH_ADMIN_TOKEN) {rule}")))?;
    Ok(AdminConfig {
        listen: listen(settings, "admin.bind", "admin.port")?,
        token,
        read_only: settings.read("admin.read_only", "must be true or false", |text| text.parse().ok())?,
        advertise: settings.read("admin.advertise", "must be empty or http://HOST:PORT", advertised)?,
    })
}

/// Empty, or a plain URL without a path.
fn advertised(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = text.strip_prefix("http://")?.rsplit_once(':')?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let good = text.len() <= 255 && !host.is_empty() && host.bytes().all(legal) && port.parse::<u16>().is_ok();
    good.then(|| Some(text.to_owned()))
}

/// What `redis.url` has to be.
const REDIS_RULE: &str =
    "must be redis://[USER:PASSWORD@]HOST[:PORT][,HOST…][/DB], or redis-cluster:// with the same but the DB";

/// As the Kafka client reads it: a port may be missing.
fn brokers(text: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let good = |broker: &str| {
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, port)) if !broker.ends_with(']') => (host, port),
            _ => (broker, "9092"),
        };
        !host.is_empty() && host.bytes().all(legal) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    text.split(',').all(|broker| good(broker.trim())).then(|| text.to_owned())
}

fn read_mysql(settings: &Settings) -> Result<MySqlSettings, SettingsError> {
    let word = |name, rule: &str| {
        let good = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        settings.read(name, rule, |text| good(text).then(|| text.to_owned()))
    };
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    Ok(MySqlSettings {
        host: word("mysql.host", "must be a host name or an IP address")?,
        port: settings.read("mysql.port", "must be a port, 1 to 65535", port)?,
        user: word("mysql.user", "must be a name without blanks")?,
        password: settings.text("mysql.password").to_owned(),
        database: word("mysql.database", "must be a name without blanks")?,
        connections_max: 8,
    })
}

fn read_webhook(settings: &Settings) -> Result<WebhookConfig, SettingsError> {
    let secret = |name| {
        let rule = format!("must be empty or at least {SECRET_MIN} characters");
        settings.read(name, &rule, |text| {
            (text.is_empty() || text.len() >= SECRET_MIN).then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
        })
    };
    let secrets = [secret("payments.webhook_secret")?, secret("payments.webhook_secret_previous")?];
    Ok(WebhookConfig {
        secrets: secrets.into_iter().flatten().collect(),
        tolerance: settings.duration("payments.webhook_tolerance", 1_000..=3_600_000)?,
    })
}

fn read_logs(settings: &Settings) -> Result<LogConfig, SettingsError> {
    let format = |text: &str| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    let filter = |text: &str| logs::read(text).is_ok().then(|| text.to_owned());
    Ok(LogConfig {
        filter: settings.read("log.filter", logs::FILTER_RULE, filter)?,
        format: settings.read("log.format", "must be text or json", format)?,
    })
}

/// Shorter secrets could be guessed.
const SECRET_MIN: usize = 16;
/// Longest admin token.
const TOKEN_MAX: usize = 256;

fn listen(settings: &Settings, bind: &'static str, port: &'static str) -> Result<SocketAddr, SettingsError> {
    let ip: IpAddr = settings.read(bind, "must be an IP address", |text| text.parse().ok())?;
    Ok(SocketAddr::new(ip, settings.read(port, "must be a port, 0 to 65535", |text| text.parse().ok())?))
}

fn role(text: &str) -> Option<Role> {
    [Role::All, Role::Api, Role::Worker].into_iter().find(|role| role.as_str() == text)
}

fn node_id(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    text.parse().ok().filter(|id| *id < limits::NODE_IDS).map(Some)
}

/// A namespace goes into topic names and Redis keys, so it may contain neither dots and colons nor braces.
fn namespace(text: &str) -> Option<String> {
    let legal = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (text.len() <= 40 && legal).then(|| text.to_owned())
}

fn bounded(text: &str, least: usize, most: usize) -> Option<usize> {
    text.parse().ok().filter(|value| (least..=most).contains(value))
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
