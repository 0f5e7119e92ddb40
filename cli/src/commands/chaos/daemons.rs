//! The daemons of a run, and the supervisor that starts again whatever has ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flash_stack::{Process, ProcessSpec, Proxy, free_port};
use tokio::task::JoinHandle;

use super::servers::Servers;
use crate::{http, report::Failure};

/// How long a supervisor waits before it starts what has ended by itself.
const USUAL_DELAY: Duration = Duration::from_millis(500);
/// A daemon that is not ready by then, with all servers well, never will be.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often a start is tried when a port is still taken.
const STARTS: usize = 20;

/// One flashd, its bad network, and its supervisor.
pub(super) struct Daemon {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
    /// Its own way to Redis and to MySQL.
    pub(super) redis: Proxy,
    pub(super) mysql: Proxy,
    pub(super) sells: bool,
}

struct Shared {
    name: String,
    program: PathBuf,
    env: BTreeMap<String, String>,
    log: PathBuf,
    process: Mutex<Option<Arc<Process>>>,
    /// Milliseconds until the next restart, told by a fault.
    delay_ms: AtomicU64,
    /// Ends that nobody had asked for.
    unasked: AtomicUsize,
}

/// What a daemon is started with.
pub(super) struct Spec<'a> {
    pub(super) number: usize,
    pub(super) role: &'a str,
    pub(super) program: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) dir: &'a Path,
    pub(super) seed: u64,
}

impl Daemon {
    /// Starts it behind proxies of its own.
    pub(super) async fn start(spec: Spec<'_>, servers: &Servers) -> Result<Self, Failure> {
        let seed = spec.seed.wrapping_mul(64) + spec.number as u64 * 2;
        let redis = Proxy::start(servers.redis(servers.primary()).address(), seed).await?;
        let mysql = Proxy::start(servers.stack.mysql().address(), seed + 1).await?;
        let name = format!("flashd-{}-{}", spec.number + 1, spec.role);
        let mut env = spec.env.clone();
        let ports = [("PORT", free_port()?), ("FLASH_ADMIN_PORT", free_port()?), ("MYSQL_PORT", mysql.port())];
        env.extend(ports.map(|(key, port)| (key.to_owned(), port.to_string())));
        env.insert("REDIS_URL".to_owned(), format!("redis://{}", redis.address()));
        env.insert("FLASH_ROLE".to_owned(), spec.role.to_owned());
        let shared = Arc::new(Shared {
            log: spec.dir.join(format!("{name}.log")),
            name,
            program: spec.program.to_owned(),
            env,
            process: Mutex::default(),
            delay_ms: AtomicU64::new(0),
            unasked: AtomicUsize::new(0),
        });
        shared.launch()?;
        let supervisor = tokio::spawn(supervise(shared.clone()));
        Ok(Self { shared, supervisor, redis, mysql, sells: spec.role != "worker" })
    }

    /// `host:port` of the API.
    pub(super) fn api(&self) -> String {
        format!("127.0.0.1:{}", self.shared.env["PORT"])
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let admin = format!("127.0.0.1:{}", self.shared.env["FLASH_ADMIN_PORT"]);
        let started = Instant::now();
        loop {
            let reason = match http::get(&admin, "/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((_, body)) => body,
                Err(error) => error,
            };
            if started.elapsed() > READY_WITHIN {
                return Err(Failure::message(format!("{} did not become ready: {reason}", self.shared.name)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// kill -9; the supervisor starts it again after this time.
    pub(super) fn kill9(&self, restart_after: Duration) {
        let ms = u64::try_from(restart_after.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(ms.max(1), Ordering::SeqCst);
        self.with(Process::kill9);
    }

    /// SIGSTOP.
    pub(super) fn pause(&self) {
        self.with(Process::pause);
    }

    /// SIGCONT.
    pub(super) fn resume(&self) {
        self.with(Process::resume);
    }

    /// How often it ended although nobody had asked for it.
    pub(super) fn unasked(&self) -> usize {
        self.shared.unasked.load(Ordering::Relaxed)
    }

    fn with(&self, act: impl FnOnce(&Process)) {
        if let Some(process) = self.shared.process() {
            act(&process);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.supervisor.abort();
        self.with(Process::kill9);
    }
}

impl Shared {
    fn process(&self) -> Option<Arc<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn launch(&self) -> Result<(), Failure> {
        let mut spec = ProcessSpec::new(self.name.clone(), self.program.clone()).logs_to_file(self.log.clone());
        for (key, value) in &self.env {
            spec = spec.env(key, value);
        }
        spec.grace = Duration::from_secs(1);
        let process = Process::spawn(spec)?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(process));
        Ok(())
    }
}

/// Starts it again each time it ends.
async fn supervise(shared: Arc<Shared>) {
    let mut failures = 0;
    while let Some(process) = shared.process() {
        process.ended().await;
        drop(process);
        let asked = shared.delay_ms.swap(0, Ordering::SeqCst);
        let delay = if asked > 0 { Duration::from_millis(asked) } else { USUAL_DELAY };
        if asked == 0 {
            shared.unasked.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(delay).await;
        while shared.launch().is_err() && failures < STARTS {
            failures += 1;
            tokio::time::sleep(USUAL_DELAY).await;
        }
    }
}
