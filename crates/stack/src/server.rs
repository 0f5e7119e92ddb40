//! One server: its address, its process (if it is ours), and everything a test may do to it.
//!
//! The address never changes once started, through any number of stops, kills and restarts. A server that was
//! not started by us answers every attempt to touch it with [`StackError::NotOurs`].

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Exit, Process, ProcessSpec, StackError, logs::LogTarget, ports, probe::Probe};

/// Starting on another port helps only against a lost race for the port.
const PORT_ATTEMPTS: u32 = 5;

/// How one kind of server is run. One implementation per program.
pub(crate) trait Recipe: Send + Sync + 'static {
    /// Short name for logs and errors.
    fn name(&self) -> &'static str;
    /// How many ports it needs; clients talk to the first.
    fn ports(&self) -> usize {
        1
    }
    /// Prepares what must exist before a start and says what to run. Blocking, and safe to repeat.
    fn prepare(&self, ports: &[u16]) -> Result<ProcessSpec, StackError>;
    /// The question that proves it is ready.
    fn probe(&self) -> Probe;
    /// How long it may take to answer.
    fn patience(&self) -> Duration;
    /// The address as clients are given it.
    fn url(&self, address: &str) -> String;
    /// Whether acknowledged data survives a kill and restart.
    fn keeps_data(&self) -> bool;
}

/// What surrounds a server of ours: its directory and where its lines go.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    /// The directory goes when the server's owner dies.
    pub(crate) ephemeral: bool,
    pub(crate) logs: LogTarget,
}

/// A handle on one server. Clones are handles on the same server; when the last one is dropped, a server of
/// ours is ended.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    name: &'static str,
    address: String,
    url: String,
    probe: Probe,
    ours: Option<Ours>,
}

struct Ours {
    recipe: Arc<dyn Recipe>,
    home: Home,
    ports: Vec<u16>,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts a server of ours and waits until it answers.
    pub(crate) async fn start(recipe: Arc<dyn Recipe>, home: Home) -> Result<Server, StackError> {
        std::fs::create_dir_all(&home.dir).map_err(StackError::io(format!("creating {}", home.dir.display())))?;
        let mut attempt = 1;
        let (ports, process) = loop {
            let ports = (0..recipe.ports()).map(|_| ports::free_port()).collect::<Result<Vec<_>, _>>()?;
            match launch(&recipe, &home, &ports).await {
                Ok(process) => break (ports, process),
                Err(StackError::Exited { lines, .. }) if attempt < PORT_ATTEMPTS && is_port_trouble(&lines) => {
                    tracing::debug!(server = recipe.name(), ?ports, "port was taken, trying another");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let address = format!("127.0.0.1:{}", ports[0]);
        Ok(Server(Arc::new(Inner {
            name: recipe.name(),
            url: recipe.url(&address),
            address,
            probe: recipe.probe(),
            ours: Some(Ours { recipe, home, ports, process: Mutex::new(Some(process)) }),
        })))
    }

    /// A server somebody else runs; checked once that it answers, never touched.
    pub(crate) async fn external(
        name: &'static str,
        address: String,
        url: String,
        probe: Probe,
    ) -> Result<Server, StackError> {
        const PATIENCE: Duration = Duration::from_secs(5);
        // Several Kafka brokers may be given; one that answers is enough to bootstrap from.
        let mut reason = String::new();
        for one in address.split(',') {
            match probe.ask_until(one.trim(), PATIENCE).await {
                Ok(()) => return Ok(Server(Arc::new(Inner { name, address, url, probe, ours: None }))),
                Err(refusal) => reason = refusal,
            }
        }
        Err(StackError::Unreachable { server: name.to_owned(), address, reason })
    }

    /// Its short name: `redis`, `mysql` or `kafka`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The port clients connect to (0 when an external address names none).
    pub fn port(&self) -> u16 {
        self.0.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
    }

    /// The address as clients are given it: `redis://…`, `mysql://…`, or `host:port` for Kafka.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Whether we started it.
    pub fn is_ours(&self) -> bool {
        self.0.ours.is_some()
    }

    /// Whether acknowledged data survives [`Server::kill9`] and [`Server::restart`]. Redis has no persistence
    /// by design, and Tansu in memory forgets every topic: use [`Server::pause`] for outages of those.
    pub fn keeps_data(&self) -> bool {
        self.0.ours.as_ref().is_none_or(|ours| ours.recipe.keeps_data())
    }

    /// Process id, while it is ours and running.
    pub fn pid(&self) -> Option<u32> {
        let process = self.0.ours.as_ref()?.lock();
        process.as_ref().filter(|process| process.exit().is_none()).map(Process::pid)
    }

    /// The last lines it wrote.
    pub fn last_lines(&self) -> Vec<String> {
        let lines = self.0.ours.as_ref().and_then(|ours| ours.lock().as_ref().map(Process::last_lines));
        lines.unwrap_or_default()
    }

    /// SIGKILL; returns when it is gone.
    pub async fn kill9(&self) -> Result<(), StackError> {
        let ended = self.with_process(|process| {
            process.kill9();
            process.ended()
        })?;
        ended.await;
        Ok(())
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub fn pause(&self) -> Result<(), StackError> {
        self.with_process(Process::pause)
    }

    /// SIGCONT after [`Server::pause`].
    pub fn resume(&self) -> Result<(), StackError> {
        self.with_process(Process::resume)
    }

    /// Orderly stop: SIGTERM, then SIGKILL after its grace time. Stopping what does not run is no error.
    pub async fn stop(&self) -> Result<Option<Exit>, StackError> {
        // Taken out of the mutex: no lock is held while waiting. Cancelled here, the drop still ends it.
        let process = self.ours()?.lock().take();
        match process {
            Some(process) => Ok(Some(process.stop().await)),
            None => Ok(None),
        }
    }

    /// Starts it again on the same port and the same data, after [`Server::stop`] or [`Server::kill9`] (or
    /// stops it first). Returns when it answers.
    pub async fn restart(&self) -> Result<(), StackError> {
        self.stop().await?;
        let ours = self.ours()?;
        let process = launch(&ours.recipe, &ours.home, &ours.ports).await?;
        *ours.lock() = Some(process);
        Ok(())
    }

    /// Asks once whether it answers now.
    pub async fn answers(&self) -> bool {
        self.0.probe.ask(&self.0.address).await.is_ok()
    }

    /// Resolves when the running process ends by itself; never for external or stopped servers.
    pub async fn ended(&self) -> Exit {
        match self.with_process(Process::ended) {
            Ok(ended) => ended.await,
            Err(_) => std::future::pending().await,
        }
    }

    fn ours(&self) -> Result<&Ours, StackError> {
        self.0
            .ours
            .as_ref()
            .ok_or_else(|| StackError::NotOurs { server: self.0.name.to_owned(), address: self.0.address.clone() })
    }

    fn with_process<T>(&self, act: impl FnOnce(&Process) -> T) -> Result<T, StackError> {
        let process = self.ours()?.lock();
        process.as_ref().map(act).ok_or_else(|| StackError::NotRunning { server: self.0.name.to_owned() })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} (ours: {})", self.name(), self.address(), self.is_ours())
    }
}

impl Ours {
    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the recipe once on the given ports and waits for the answer – of this very process.
async fn launch(recipe: &Arc<dyn Recipe>, home: &Home, ports: &[u16]) -> Result<Process, StackError> {
    // Preparing may run a program to its end (about 2 s for MariaDB's first time).
    let mut spec = {
        let (recipe, ports) = (recipe.clone(), ports.to_vec());
        let prepared = tokio::task::spawn_blocking(move || recipe.prepare(&ports)).await;
        prepared.map_err(|error| StackError::io("preparing a server")(std::io::Error::other(error)))??
    };
    spec.name = recipe.name().to_owned();
    spec.discard = home.ephemeral.then(|| home.dir.clone());
    spec.logs = home.logs.clone();
    let process = Process::spawn(spec)?;
    let address = format!("127.0.0.1:{}", ports[0]);
    let patience = recipe.patience();
    let started = Instant::now();
    let mut reason = String::new();
    while started.elapsed() < patience {
        if let Some(exit) = process.exit() {
            return Err(StackError::Exited {
                server: recipe.name().to_owned(),
                exit: exit.to_string(),
                lines: process.last_lines(),
            });
        }
        match recipe.probe().ask(&address).await {
            Ok(()) if ports::listens(process.pid(), ports[0]) => return Ok(process),
            Ok(()) => reason = "another program answers on this port".to_owned(),
            Err(refusal) => reason = refusal,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(StackError::NotReady {
        server: recipe.name().to_owned(),
        address,
        waited: patience,
        reason,
        lines: process.last_lines(),
    })
}

fn is_port_trouble(lines: &[String]) -> bool {
    lines.iter().any(|line| {
        let line = line.to_ascii_lowercase();
        line.contains("address already in use") || line.contains("addrinuse") || line.contains("bind")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisRecipe;

    /// The race for a port, lost on purpose: somebody else listens – and even answers like a Redis.
    #[tokio::test]
    async fn a_lost_race_for_the_port_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let home = |name| {
            let dir = dir.path().join(name);
            Home { dir, ephemeral: true, logs: LogTarget::Discard }
        };
        let recipe = |home: &Home| Arc::new(RedisRecipe::single(home.dir.clone()));
        let winner = home("winner");
        let server = Server::start(recipe(&winner), winner).await.unwrap();
        let loser = home("loser");
        std::fs::create_dir_all(&loser.dir).unwrap();
        let recipe: Arc<dyn Recipe> = recipe(&loser);
        let error = launch(&recipe, &loser, &[server.port()]).await.unwrap_err();
        assert!(matches!(&error, StackError::Exited { lines, .. } if is_port_trouble(lines)), "{error}");
        assert!(server.answers().await);
    }
}
