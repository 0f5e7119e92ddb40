//! Redis: without persistence and without eviction, because here it is only a gate that can be rebuilt.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    ProcessSpec, Server, StackError,
    logs::LogTarget,
    probe::Probe,
    program,
    server::{Home, Recipe},
};

/// The first version whose scripting is what our scripts rely on.
const LOWEST_MAJOR: u32 = 7;

/// A Redis of one's own, for tests that need nothing else: starts in some 30 ms.
pub struct RedisServer;

impl RedisServer {
    /// Starts Redis in `dir` (created if need be; never deleted by this call). Its lines go to `dir/redis.log`.
    pub async fn start(dir: impl AsRef<Path>) -> Result<Server, StackError> {
        let dir = dir.as_ref().to_owned();
        let logs = LogTarget::File(dir.join("redis.log"));
        Server::start(Arc::new(RedisRecipe::single(dir.clone())), Home { dir, ephemeral: false, logs }).await
    }
}

pub(crate) struct RedisRecipe {
    dir: PathBuf,
    name: &'static str,
    /// A node of a cluster needs a second port, and remembers who it is in `nodes.conf`.
    cluster: bool,
}

/// Settings that make replicas follow at once, also under the load of a test.
const REPLICATION: [&str; 4] = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];

/// A cluster that fails over within a few seconds, and where every other slot goes on meanwhile.
const CLUSTER: [&str; 10] = [
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    NODES_FILE,
    "--cluster-node-timeout",
    "1500",
    "--cluster-require-full-coverage",
    "no",
    // A replica may take over however long it has not heard of its primary: our data comes from elsewhere.
    "--cluster-replica-validity-factor",
    "0",
];

/// Where a node of a cluster remembers who it is.
pub(crate) const NODES_FILE: &str = "nodes.conf";

impl RedisRecipe {
    pub(crate) fn single(dir: PathBuf) -> Self {
        Self { dir, name: "redis", cluster: false }
    }

    pub(crate) fn member(dir: PathBuf, name: &'static str, cluster: bool) -> Self {
        Self { dir, name, cluster }
    }
}

impl Recipe for RedisRecipe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn ports(&self) -> usize {
        if self.cluster { 2 } else { 1 }
    }

    fn prepare(&self, ports: &[u16]) -> Result<ProcessSpec, StackError> {
        let program = program::REDIS.find()?;
        check_version(&program)?;
        let port = ports[0].to_string();
        let dir = self.dir.to_string_lossy().into_owned();
        let mut spec = ProcessSpec::new(self.name(), program).args([
            // No snapshot, no AOF: see DESIGN, "where the truth is". `noeviction` because a silently evicted
            // stock key would be sold again.
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "noeviction",
            "--daemonize",
            "no",
            "--logfile",
            "",
            "--dir",
            &dir,
        ]);
        spec = spec.args(REPLICATION);
        if let (true, Some(bus)) = (self.cluster, ports.get(1)) {
            spec = spec.args(CLUSTER).args(["--cluster-port".to_owned(), bus.to_string()]);
        }
        Ok(spec)
    }

    fn probe(&self) -> Probe {
        Probe::Redis
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn url(&self, address: &str) -> String {
        format!("redis://{address}")
    }

    fn keeps_data(&self) -> bool {
        false
    }
}

/// `Redis server v=7.0.15 sha=…`, `Valkey server v=8.0.1 …`.
fn check_version(program: &Path) -> Result<(), StackError> {
    let said = program::run(program, ["--version"])?;
    match major_version(&said) {
        Some(major) if major < LOWEST_MAJOR => Err(StackError::Unfit {
            program: program.display().to_string(),
            reason: format!("version {major} is too old, {LOWEST_MAJOR} or later is needed"),
        }),
        _ => Ok(()),
    }
}

fn major_version(said: &str) -> Option<u32> {
    said.split_once("v=")?.1.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), Some(7));
        assert_eq!(major_version("Valkey server v=8.0.1 sha=0"), Some(8));
        assert_eq!(major_version("something else"), None);
    }
}
