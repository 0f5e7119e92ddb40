//! Looking at the deployment. Every part is asked even if another cannot be; nothing is changed.

use std::time::{Duration, SystemTime};

use flash_core::{ids::Epoch, stats::Stats};
use flash_stores::{
    kafka::{KafkaError, KafkaSettings, consumer::LogConsumer, describe, trace::epoch_history},
    mysql::{Db, MySqlError, MySqlSettings, health, migrate, offsets, skus},
    redis::{Gate, SkuKeys, Snapshot, StockError},
};
use flashd::{
    config::Config,
    dead_letters::{Desk, LetterStatus},
    projector::ProjectorOptions,
};

use super::facts::{Asked, DaemonFacts, DaemonSaid, Facts, MysqlFacts, Names, RedisFacts, SkuFacts};
use crate::http;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long reading all dead letters may take.
const LETTERS_PATIENCE: Duration = Duration::from_secs(15);
/// Most SKUs whose stock is looked at.
const SKUS_MAX: usize = 5_000;

/// Looks at everything.
pub(super) async fn read(config: &Config, admins: &[String]) -> Facts {
    let mysql = MySqlSettings { connections_max: 2, ..config.mysql.clone() };
    let (db, names) = (Db::open(&mysql), Names::of(&config.kafka));
    let gate = reach(config).await;
    let all = names.all();
    let (redis, kafka, mysql, schema, epoch, letters, daemons) = tokio::join!(
        redis(&gate),
        describe::cluster(&config.kafka, &all, PATIENCE),
        mysql_facts(&db, &names.events),
        within(migrate::status(&config.mysql)),
        epoch(&config.kafka),
        letters(config),
        daemons(admins),
    );
    let kafka = kafka.map_err(|error| error.to_string());
    let partitions =
        kafka.as_ref().ok().and_then(|cluster| cluster.topics.iter().find(|topic| topic.name == names.events));
    let partitions = partitions.map(|topic| topic.partitions.len());
    let lag = lag(&config.kafka, partitions, &mysql).await;
    let skus = stock(config, &gate, &db).await;
    Facts {
        now_ms: now_ms(),
        lease: config.epoch_lease,
        redis,
        kafka,
        mysql,
        schema,
        epoch,
        skus,
        lag,
        letters,
        daemons,
        names,
        one_host: one_host(config),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Another clock minus ours, halfway between the question and its answer.
fn skew(theirs_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let ours_ms = u64::midpoint(asked_ms, answered_ms);
    theirs_ms.saturating_sub(ours_ms).cast_signed() - ours_ms.saturating_sub(theirs_ms).cast_signed()
}

/// An answer of MySQL, if it comes in time.
async fn within<T>(question: impl Future<Output = Result<T, MySqlError>>) -> Asked<T> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(silent(PATIENCE)),
    }
}

fn silent(within: Duration) -> String {
    format!("no answer within {} s", within.as_secs())
}

async fn reach(config: &Config) -> Asked<Gate> {
    let gate = Gate::new(&config.redis).map_err(|error| error.to_string())?;
    gate.wait_connected(PATIENCE).await.map_err(|error| error.to_string())?;
    Ok(gate)
}

async fn redis(gate: &Asked<Gate>) -> Asked<RedisFacts> {
    let gate = gate.as_ref().map_err(Clone::clone)?;
    let told = |error: StockError| error.to_string();
    let primaries = gate.server_infos().await.map_err(told)?;
    let asked_ms = now_ms();
    let theirs_ms = gate.now_ms().await.map_err(told)?;
    Ok(RedisFacts { primaries, skew_ms: skew(theirs_ms, asked_ms, now_ms()) })
}

async fn mysql_facts(db: &Db, topic: &str) -> Asked<MysqlFacts> {
    // The first question opens the connection; the second shows the clock.
    within(db.ping()).await?;
    let asked_ms = now_ms();
    let health = within(health::read(db)).await?;
    let skew_ms = skew(health.now_ms, asked_ms, now_ms());
    // Without tables there are none of these; the schema is a finding of its own.
    let nodes = within(health::held_nodes(db)).await.unwrap_or_default();
    let positions = within(offsets::list(db, topic)).await.unwrap_or_default();
    Ok(MysqlFacts { health, skew_ms, nodes, positions })
}

async fn epoch(kafka: &KafkaSettings) -> Asked<Option<flash_core::epoch::EpochRecord>> {
    let kafka = kafka.clone();
    let read = tokio::task::spawn_blocking(move || epoch_history(&kafka, PATIENCE)).await;
    let (records, _) = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let mut view = flash_core::epoch::EpochView::default();
    records.into_iter().for_each(|(_, record)| view.apply(record));
    Ok(view.latest().cloned())
}

async fn letters(config: &Config) -> Asked<u64> {
    let desk = Desk::open(&ProjectorOptions { kafka: config.kafka.clone(), mysql: config.mysql.clone() });
    let read = tokio::time::timeout(LETTERS_PATIENCE, desk.letters(|_, _| false)).await;
    let shelf = read.map_err(|_| silent(LETTERS_PATIENCE))?.map_err(|error| error.to_string())?;
    Ok(shelf.counts.get(&LetterStatus::Waiting).copied().unwrap_or(0))
}

async fn lag(kafka: &KafkaSettings, partitions: Option<usize>, mysql: &Asked<MysqlFacts>) -> Asked<u64> {
    let mysql = mysql.as_ref().map_err(|reason| format!("MySQL: {reason}"))?;
    let count = partitions.ok_or("order-events was not seen")?;
    let (kafka, positions) = (kafka.clone(), mysql.positions.clone());
    let read = move || -> Result<u64, KafkaError> {
        let all: Vec<i32> = (0..i32::try_from(count).unwrap_or(i32::MAX)).collect();
        let ends = LogConsumer::standalone(&kafka)?.ends_at_least(&all, PATIENCE)?;
        let done =
            |partition: i32| positions.iter().find(|row| row.partition == partition).map_or(0, |row| row.next_offset);
        Ok(ends.iter().map(|(partition, end)| end.saturating_sub(done(*partition))).sum())
    };
    let lag = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
    lag.map_err(|error| error.to_string())
}

async fn stock(config: &Config, gate: &Asked<Gate>, db: &Db) -> Asked<Vec<SkuFacts>> {
    let stored = within(skus::list(db)).await.map_err(|reason| format!("MySQL: {reason}"))?;
    let gate = gate.as_ref().map_err(|reason| format!("Redis: {reason}"))?;
    let mut seen = Vec::with_capacity(stored.len().min(SKUS_MAX));
    for stored in stored.iter().take(SKUS_MAX) {
        let keys = SkuKeys::new(&config.redis.namespace, stored.sku.sku_id);
        let snapshot = gate.snapshot(&keys).await.map_err(|error| format!("Redis: {error}"))?;
        let loaded: Option<Epoch> = stored.loaded_epoch;
        seen.push(SkuFacts { sku_id: stored.sku.sku_id, loaded, mark: snapshot.map(mark) });
    }
    Ok(seen)
}

/// What Redis says of a SKU's epoch; of no epoch, if it was not filled where it is.
fn mark(snapshot: Snapshot) -> String {
    let is_epoch = snapshot.epoch.bytes().all(|byte| byte.is_ascii_digit());
    if is_epoch && !snapshot.at_home { format!("moved:{}", snapshot.epoch) } else { snapshot.epoch }
}

async fn daemons(admins: &[String]) -> Vec<DaemonFacts> {
    let mut seen = Vec::with_capacity(admins.len());
    for url in admins {
        seen.push(DaemonFacts { url: url.clone(), said: daemon(url).await });
    }
    seen
}

async fn daemon(url: &str) -> Asked<DaemonSaid> {
    let address = url.trim().trim_start_matches("http://").trim_end_matches('/');
    let (_, stats) = http::get(address, "/stats?skus=0").await?;
    let stats: Stats = serde_json::from_str(&stats).map_err(|_| "that is no flashd".to_owned())?;
    if stats.version == 0 {
        return Err("that is no flashd".to_owned());
    }
    let unready: Vec<_> = stats.unready.iter().map(|(latch, why)| format!("{latch}: {why}")).collect();
    Ok(DaemonSaid { role: stats.role, version: stats.build, unready: unready.join("; ") })
}

/// Whether all servers are addressed on this machine.
fn one_host(config: &Config) -> bool {
    let local =
        |host: &str| host == "localhost" || host.starts_with("127.") || host.starts_with("[::1]") || host == "::1";
    let redis = config.redis.url.split("://").nth(1).map_or("", |rest| rest.rsplit('@').next().unwrap_or(rest));
    local(redis) && config.kafka.brokers.split(',').all(|broker| local(broker.trim())) && local(&config.mysql.host)
}

#[cfg(test)]
mod tests {
    use super::skew;

    #[test]
    fn skew_has_a_sign() {
        assert_eq!(skew(1_000, 990, 1_010), 0);
        assert_eq!(skew(900, 990, 1_010), -100);
        assert_eq!(skew(1_100, 990, 1_010), 100);
    }
}
