//! A whole site on this machine: the stack's servers plus one `flashd`, as `up` keeps it and `demo` uses it.
//!
//! Owns the order of things: servers, then their first contents, then the daemon; and backwards at the end.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flash_core::{sale::Sku, settings::Settings};
use flash_stack::{Exit as ProcessExit, LogSender, Process, ProcessSpec, ServerExit, Stack, StackOptions, free_port};
use flashd::{
    config::Config,
    rebuild::RebuildOptions,
    setup::{self, SetupOptions},
};

use crate::{http, operator, report::Failure};

/// The API port of the seed system, taken when it is free.
pub(crate) const USUAL_API_PORT: u16 = 3000;
/// The token of a daemon's admin plane: taken from our environment if it is there, else made up.
const TOKEN_VARIABLE: &str = "FLASH_ADMIN_TOKEN";
/// A daemon that does not even say "alive" by then never will.
const ALIVE_WITHIN: Duration = Duration::from_secs(30);
/// How long a daemon may stay alive and not ready before we go on and tell why.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Longer than the daemon's own phases of shutdown together.
const DAEMON_GRACE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug, Default)]
pub(crate) struct SiteOptions {
    pub(crate) stack: StackOptions,
    /// What is put on sale before the daemon starts.
    pub(crate) skus: Vec<Sku>,
    /// `None`: servers only.
    pub(crate) daemon: Option<DaemonOptions>,
}

/// How to start flashd.
#[derive(Debug, Default)]
pub(crate) struct DaemonOptions {
    /// The program; `None` is the one next to us.
    pub(crate) program: Option<PathBuf>,
    /// The API's port; `None` is the usual one if free, else any.
    pub(crate) port: Option<u16>,
    /// More arguments for it.
    pub(crate) args: Vec<OsString>,
}

/// A running site.
#[derive(Debug)]
pub(crate) struct Site {
    // Dropped before the stack it needs.
    daemon: Option<Daemon>,
    stack: Stack,
}

/// A part that ended by itself: its name, how, and its last lines.
pub(crate) type PartExit = (String, ProcessExit, Vec<String>);

/// A running flashd and where it listens.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Process,
    api: String,
    admin: String,
    /// What whoever commands it has to know.
    token: String,
}

impl Site {
    /// Starts everything and returns when each part answers. Let it finish rather than cancel it, see
    /// [`Stack::start`]. A daemon that is alive but not ready is no failure: see [`Site::unready_reason`].
    pub(crate) async fn start(options: SiteOptions) -> Result<Site, Failure> {
        // Look for the program before minutes are spent on servers.
        let program = options.daemon.as_ref().map(|daemon| find_flashd(daemon.program.as_deref())).transpose()?;
        let logs = options.stack.logs.clone();
        let stack = Stack::start(options.stack).await?;
        if let Err(failure) = fill(&stack, options.skus).await {
            stack.stop().await;
            return Err(failure);
        }
        let daemon = match (options.daemon, program) {
            (Some(options), Some(program)) => match Daemon::start(&options, program, &stack, logs).await {
                Ok(daemon) => Some(daemon),
                Err(failure) => {
                    stack.stop().await;
                    return Err(failure);
                }
            },
            _ => None,
        };
        Ok(Site { daemon, stack })
    }

    /// The servers.
    pub(crate) fn stack(&self) -> &Stack {
        &self.stack
    }

    /// `http://HOST:PORT` of the API, if there is a daemon.
    pub(crate) fn api_url(&self) -> Option<String> {
        self.daemon.as_ref().map(|daemon| format!("http://{}", daemon.api))
    }

    /// `http://HOST:PORT` of the admin listener, if there is a daemon.
    pub(crate) fn admin_url(&self) -> Option<String> {
        self.daemon.as_ref().map(|daemon| format!("http://{}", daemon.admin))
    }

    /// The environment that makes every other command find this site.
    pub(crate) fn env_map(&self) -> BTreeMap<String, String> {
        let mut map = self.stack.env_map();
        let token = self.daemon.as_ref().map(|daemon| daemon.token.clone());
        let of_daemon =
            [("FLASH_API_URL", self.api_url()), ("FLASH_ADMIN_URL", self.admin_url()), (TOKEN_VARIABLE, token)];
        map.extend(of_daemon.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        map
    }

    /// Why the daemon is not ready, in its own words; `None` when it is, or when there is none.
    pub(crate) async fn unready_reason(&self) -> Option<String> {
        let daemon = self.daemon.as_ref()?;
        let started = Instant::now();
        loop {
            let reason = match http::get(&daemon.admin, "/readyz").await {
                Ok((200, _)) => return None,
                Ok((_, body)) => body,
                Err(error) => error,
            };
            if started.elapsed() > READY_WITHIN || daemon.process.exit().is_some() {
                return Some(reason);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resolves with the first part that ends by itself. Cancel-safe.
    pub(crate) async fn first_exit(&self) -> PartExit {
        let of_daemon = async {
            match &self.daemon {
                Some(daemon) => (daemon.process.ended().await, daemon.process.last_lines()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (exit, lines) = of_daemon => ("flashd".to_owned(), exit, lines),
            ServerExit { server, exit, last_lines } = self.stack.first_exit() => (server.to_owned(), exit, last_lines),
        }
    }

    /// Starts a daemon on servers that run without one.
    pub(crate) async fn start_daemon(&mut self, options: &DaemonOptions) -> Result<(), Failure> {
        let program = find_program("flashd", options.program.as_deref())?;
        self.daemon = Some(Daemon::start(options, program, &self.stack, None).await?);
        Ok(())
    }

    /// Stops the daemon and leaves the servers running.
    pub(crate) async fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.process.stop().await;
        }
    }

    /// Stops the daemon, then the servers; `told` hears of each.
    pub(crate) async fn stop_telling(self, mut told: impl FnMut(&str, ProcessExit)) {
        if let Some(daemon) = self.daemon {
            let was_running = daemon.process.exit().is_none();
            let exit = daemon.process.stop().await;
            if was_running {
                told("flashd", exit);
            }
        }
        self.stack.stop_telling(told).await;
    }
}

impl Daemon {
    async fn start(
        options: &DaemonOptions,
        program: PathBuf,
        stack: &Stack,
        logs: Option<LogSender>,
    ) -> Result<Daemon, Failure> {
        let api_port = choose_api_port(options.port)?;
        let admin_port = free_port()?;
        let token = match env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => token,
            _ => random_token().map_err(Failure::from_error)?,
        };
        let ports = ["--port".to_owned(), api_port.to_string(), "--admin-port".to_owned(), admin_port.to_string()];
        let mut spec = ProcessSpec::new("flashd", program).args(["--role", "all"]).args(ports).args(&options.args);
        spec.grace = DAEMON_GRACE;
        for (name, value) in stack.env_map() {
            spec = spec.env(name, value);
        }
        spec = spec.env(TOKEN_VARIABLE, &token);
        spec = match logs {
            Some(logs) => spec.logs_to(logs),
            None => spec.logs_to_file(stack.dir().join("flashd.log")),
        };
        let process = Process::spawn(spec)?;
        let (api, admin) = (format!("127.0.0.1:{api_port}"), format!("127.0.0.1:{admin_port}"));
        let daemon = Daemon { process, api, admin, token };
        daemon.wait_alive().await?;
        Ok(daemon)
    }

    async fn wait_alive(&self) -> Result<(), Failure> {
        let started = Instant::now();
        while started.elapsed() < ALIVE_WITHIN {
            if let Some(exit) = self.process.exit() {
                let lines = self.process.last_lines().join("\n    ");
                return Err(Failure::message(format!("flashd ended while starting ({exit})\n    {lines}")));
            }
            if matches!(http::get(&self.admin, "/livez").await, Ok((200, _))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Failure::message(format!("flashd did not answer on http://{}/livez within {ALIVE_WITHIN:?}", self.admin)))
    }
}

/// What servers of our own need before a daemon can be ready: tables, topics, stock under an open epoch. Servers that
/// were not started here are left as they are: filling them is a decision for `flashctl setup`.
async fn fill(stack: &Stack, skus: Vec<Sku>) -> Result<(), Failure> {
    if ![stack.redis(), stack.mysql(), stack.kafka()].iter().all(|server| server.is_ours()) {
        return Ok(());
    }
    let Config { kafka, mysql, redis, epoch_lease, .. } = config_of(&stack.env_map())?;
    let parts = RebuildOptions { kafka, mysql, redis, lease: epoch_lease };
    let options = SetupOptions { parts, partitions: None, replication: None, skus, who: operator::name() };
    setup::run(&options, |_| ()).await.map(drop).map_err(Failure::from_error)
}

/// The configuration a daemon with this environment has.
pub(crate) fn config_of(environment: &BTreeMap<String, String>) -> Result<Config, Failure> {
    let settings = Settings::layer(|_| None, |name| environment.get(name).cloned(), None);
    settings.and_then(|settings| Config::read(&settings)).map_err(Failure::from_error)
}

/// 128 bits that nobody can guess, for a daemon that lives as long as we do.
fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn choose_api_port(wanted: Option<u16>) -> Result<u16, Failure> {
    match wanted {
        Some(0) => Ok(free_port()?),
        Some(port) if is_free(port) => Ok(port),
        Some(port) => Err(Failure::message(format!("port {port} is in use")).hint("--port 0 takes any free port")),
        None if is_free(USUAL_API_PORT) => Ok(USUAL_API_PORT),
        None => Ok(free_port()?),
    }
}

fn is_free(port: u16) -> bool {
    ["127.0.0.1", "0.0.0.0"].iter().all(|host| TcpListener::bind((*host, port)).is_ok())
}

/// The given flashd, or the one built along with us.
pub(crate) fn find_flashd(given: Option<&Path>) -> Result<PathBuf, Failure> {
    find_program("flashd", given)
}

/// The given program, or the one of this name built along with us.
pub(crate) fn find_program(name: &str, given: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => env::current_exe().map_err(Failure::from_error)?.with_file_name(name),
    };
    if path.is_file() {
        return std::path::absolute(&path).map_err(Failure::from_error);
    }
    let failure = Failure::message(format!("{name} not found at {}", path.display()));
    Err(failure.hint(format!("make build, or name it with --{name} PATH")))
}
