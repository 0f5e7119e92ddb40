//! One run: a fresh sale, load, faults, everything healed, quiet, the rest sold, the verdict.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use flash_core::{ids::SkuId, sale::Sku};
use flash_witness::{Kind as Broken, Violation, view::ViewAddress};
use flashd::{
    rebuild::RebuildOptions,
    setup::{self, SetupOptions},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{
    after::{self, BACK_WITHIN, Places},
    buyers::{Book, Crowd, PRICE, SALE, now_ms},
    daemons::{Daemon, Spec},
    inject::inject,
    kind::Kind,
    report::{Injected, Ran, RunReport},
    schedule::{self, Planned},
    servers::Servers,
};
use crate::{report::Failure, site::config_of};

/// After the last fault: how long until somebody is told yes again.
const SELLS_AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// How long the last projection may take, once everything is sold.
const PROJECTED_WITHIN: Duration = Duration::from_secs(30);
const PARTITIONS: i32 = 4;

/// What every run of an invocation has in common.
pub(super) struct Terms {
    pub(super) program: PathBuf,
    pub(super) duration: Duration,
    /// D.
    pub(super) lease: Duration,
    pub(super) kinds: Vec<Kind>,
    /// One fault at a time.
    pub(super) apart: bool,
    /// `--kafka` as it was given, for reports.
    pub(super) broker: String,
    /// Where evidence is kept.
    pub(super) keep: PathBuf,
    /// Keep it also when the run was clean.
    pub(super) keep_always: bool,
}

/// Runs one seed. What is told while it runs goes to `tell`.
pub(super) async fn run(
    seed: u64,
    terms: &Terms,
    servers: &Servers,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<RunReport, Failure> {
    let started = Instant::now();
    let dir = Evidence::open(&terms.keep, seed)?;
    servers.reset().await?;
    let namespace = format!("c{seed}x{}", now_ms());
    let mut env = servers.stack.env_map();
    env.extend(settings(&namespace, terms, servers));
    let mut config = config_of(&env)?;
    config.redis.url = servers.redis(servers.primary()).url().to_owned();
    let parts = RebuildOptions {
        kafka: config.kafka.clone(),
        mysql: config.mysql.clone(),
        redis: config.redis.clone(),
        lease: terms.lease,
    };
    let options =
        SetupOptions { parts, partitions: Some(PARTITIONS), replication: None, skus: sale(), who: "chaos".to_owned() };
    setup::run(&options, |_| ()).await.map_err(Failure::from_error)?;

    let mut daemons = Vec::new();
    for (number, role) in schedule::roles(seed).into_iter().enumerate() {
        let spec = Spec { number, role, program: &terms.program, env: &env, dir: &dir.path, seed };
        daemons.push(Daemon::start(spec, servers).await?);
    }
    for daemon in &daemons {
        daemon.ready().await?;
    }
    let duration_ms = u64::try_from(terms.duration.as_millis()).unwrap_or(u64::MAX);
    let plan = schedule::plan(seed, duration_ms, &terms.kinds, daemons.len(), terms.apart);
    dir.write("schedule.json", &plan)?;

    let book = Arc::new(Book::default());
    let addresses: Arc<[String]> = daemons.iter().filter(|daemon| daemon.sells).map(Daemon::api).collect();
    let (stop, stopped) = watch::channel(false);
    let crowd = Crowd { addresses: addresses.clone(), book: book.clone(), seed };
    let mut load = JoinSet::new();
    load.spawn(async move { crowd.buy(stopped).await });
    let injected = disturb(&plan, terms.duration, servers, &daemons, tell).await?;
    let sells_again = sells_again(&book).await;
    stop.send_replace(true);
    let healed = Instant::now();
    while load.join_next().await.is_some() {}

    let places = Places {
        brokers: servers.stack.kafka().address().to_owned(),
        topic: config.kafka.topic_events(),
        view: ViewAddress {
            host: config.mysql.host.clone(),
            port: config.mysql.port,
            user: config.mysql.user.clone(),
            password: config.mysql.password.clone(),
            database: config.mysql.database.clone(),
        },
        redis: servers.redis_urls(),
        prefix: format!("{namespace}:"),
    };
    let mut violations = Vec::new();
    let mut stuck =
        |text: String| violations.push(Violation { kind: Broken::Stuck, order_id: None, user_id: None, text });
    if !sells_again {
        stuck(format!("nothing was sold for {} s after the last fault", SELLS_AGAIN_WITHIN.as_secs()));
    }
    let quiet = places.quiet(BACK_WITHIN.saturating_sub(healed.elapsed())).await;
    if let Err(reason) = &quiet {
        stuck(format!("not quiet {} s after the last fault: {reason}", BACK_WITHIN.as_secs()));
    }
    let quiet_ms = millis(healed.elapsed());
    let totals = book.totals();
    let unsold = after::buy_the_rest(addresses, book.clone(), seed).await;
    for sku_id in unsold {
        stuck(format!("SKU {sku_id} was never sold out for good in the end"));
    }
    if let Err(reason) = places.quiet(PROJECTED_WITHIN).await {
        stuck(format!("not projected in the end: {reason}"));
    }
    let testimony = places.read().await.map_err(Failure::from_error)?;
    violations.extend(testimony.judge(&book, true));

    dir.write("told.json", &*book.list())?;
    let unasked_ends = daemons.iter().map(Daemon::unasked).sum();
    let ran = Ran { injected, totals, quiet_ms, took_ms: millis(started.elapsed()), unasked_ends, violations };
    let report = RunReport::new(seed, terms, &ran, &book, &testimony.log);
    dir.write("report.json", &report)?;
    if report.is_clean() && !terms.keep_always {
        dir.forget();
    } else {
        dir.write_log(&testimony.records)?;
        dir.write_text("mysql.txt", &format!("{:#?}", testimony.view))?;
        dir.write_text("redis.txt", &format!("{:#?}", testimony.gate))?;
    }
    Ok(report)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the whole plan; returns when the last fault is over and the time is up.
async fn disturb(
    plan: &[Planned],
    duration: Duration,
    servers: &Servers,
    daemons: &[Daemon],
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Injected>, Failure> {
    let began = Instant::now();
    let one = |one: Planned| async move {
        sleep(Duration::from_millis(one.at_ms).saturating_sub(began.elapsed())).await;
        tell(&one.text());
        let from_ms = now_ms();
        inject(&one, servers, daemons).await?;
        Ok::<_, Failure>(Injected { planned: one, from_ms, until_ms: now_ms() })
    };
    let all = plan.iter().cloned().map(one).collect::<Vec<_>>();
    let mut injected = Vec::new();
    for done in join_all(all).await {
        injected.push(done?);
    }
    sleep(duration.saturating_sub(began.elapsed())).await;
    Ok(injected)
}

/// All of them at once, in one task: they borrow what they disturb.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, result) in pinned.iter_mut().filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *result = Some(value);
            }
        }
        if pinned.iter().all(|(_, result)| result.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pinned.into_iter().filter_map(|(_, result)| result).collect()
}

/// Waits for a 200 after this moment.
async fn sells_again(book: &Book) -> bool {
    let (from_ms, started) = (now_ms(), Instant::now());
    while book.last_told_ms() <= from_ms {
        if started.elapsed() > SELLS_AGAIN_WITHIN {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
    true
}

/// What a daemon of this run is told beside where the servers are.
fn settings(namespace: &str, terms: &Terms, servers: &Servers) -> BTreeMap<String, String> {
    let lease = terms.lease.as_millis();
    [
        ("MYSQL_DATABASE", format!("flash_{namespace}")),
        ("FLASH_NAMESPACE", namespace.to_owned()),
        ("KAFKA_BROKERS", servers.kafka.address()),
        ("FLASH_EPOCH_LEASE", format!("{lease}ms")),
        // An answer may not outlive its lease.
        ("FLASH_ANSWER_TIMEOUT", format!("{}ms", lease * 3 / 4)),
        ("FLASH_LOG", "info".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn sale() -> Vec<Sku> {
    let sku = |item: super::buyers::Item| Sku {
        sku_id: SkuId::new(item.sku_id),
        name: format!("Ticket {}", item.sku_id),
        price_minor: PRICE,
        currency: "EUR".to_owned(),
        capacity: item.capacity,
        per_user: item.per_user,
        hold_ms: item.hold_ms,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    };
    SALE.map(sku).to_vec()
}

/// The directory of one run: logs of the daemons, schedule, what was told, the log, what was found.
struct Evidence {
    path: PathBuf,
}

impl Evidence {
    fn open(keep: &Path, seed: u64) -> Result<Self, Failure> {
        let path = keep.join(format!("seed-{seed}"));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::from_error(error)),
            _ => fs::create_dir_all(&path).map_err(Failure::from_error)?,
        }
        Ok(Self { path })
    }

    fn write(&self, name: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::from_error)?;
        self.write_text(name, &text)
    }

    fn write_text(&self, name: &str, text: &str) -> Result<(), Failure> {
        fs::write(self.path.join(name), text).map_err(Failure::from_error)
    }

    /// One line per record: partition, offset, payload.
    fn write_log(&self, records: &[flash_witness::log::Record]) -> Result<(), Failure> {
        let line = |record: &flash_witness::log::Record| {
            let payload = String::from_utf8_lossy(&record.payload);
            format!("{} {} {payload}\n", record.partition, record.offset)
        };
        self.write_text("order-events.txt", &records.iter().map(line).collect::<String>())
    }

    /// Nothing to keep. What cannot be removed does no harm.
    fn forget(self) {
        _ = fs::remove_dir_all(self.path);
    }
}
