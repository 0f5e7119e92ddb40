//! Which of several servers is the primary.
//!
//! After a failover, and worse in a split brain, several may say that they are. The one that the open epoch was opened with
//! is the one to ask: it has the stock, and nothing need be filled anew. If none of them is, the first in the list will do:
//! it is harmless, because the fence lets nobody decide there before it has been filled. Asking, and being wrong, costs
//! time and never stock.

use super::{Replids, address};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo};
use std::time::Duration;
use tokio::task::JoinSet;

/// The servers among which to search.
pub(super) struct Search {
    servers: Vec<ConnectionInfo>,
    config: AsyncConnectionConfig,
}

/// The server to ask.
pub(super) struct Found {
    /// Its place in the list.
    pub(super) place: usize,
    pub(super) connection: MultiplexedConnection,
}

/// A primary that answered.
struct Primary {
    /// Its place in the list.
    place: usize,
    replid: String,
    connection: MultiplexedConnection,
}

impl Primary {
    fn found(self) -> Found {
        Found { place: self.place, connection: self.connection }
    }
}

impl Search {
    pub(super) fn new(servers: Vec<ConnectionInfo>, timeout: Duration) -> Self {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        Self { servers, config }
    }

    /// Their addresses, in the order of the list.
    pub(super) fn names(&self) -> Vec<String> {
        self.servers.iter().map(address::name).collect()
    }

    /// Whether there is nothing to search.
    pub(super) fn is_alone(&self) -> bool {
        self.servers.len() == 1
    }

    /// Connects to the primary. A server that is alone is taken as it is; whether it is a primary is for the fence to say.
    ///
    /// # Errors
    /// Why nobody was found.
    pub(super) async fn find(&self, wanted: &Replids) -> Result<Found, String> {
        if let [only] = self.servers.as_slice() {
            let mut connection = connect(only.clone(), &self.config).await?;
            let pong = redis::cmd("PING").query_async::<String>(&mut connection).await;
            return pong.map(|_| Found { place: 0, connection }).map_err(|error| error.to_string());
        }
        let (primaries, reasons) = self.primaries(wanted).await;
        primaries.into_iter().next().map(Primary::found).ok_or_else(|| reasons.join("; "))
    }

    /// A primary that should be asked instead of the one this connection leads to; `None` if that is the right one, or as
    /// good as any.
    ///
    /// # Errors
    /// If it gives no answer, or is no primary and no other can be found.
    pub(super) async fn better(
        &self,
        current: &mut MultiplexedConnection,
        wanted: &Replids,
    ) -> Result<Option<Found>, String> {
        let answer = replication(current).await;
        if let Ok(replid) = &answer
            && (wanted.as_str().is_empty() || wanted.contains(replid))
        {
            return Ok(None);
        }
        let (primaries, _) = self.primaries(wanted).await;
        let found = primaries.into_iter().find(|primary| answer.is_err() || wanted.contains(&primary.replid));
        match (found, answer) {
            (Some(primary), _) => Ok(Some(primary.found())),
            (None, answer) => answer.map(|_| None),
        }
    }

    /// Every server that says it is a primary, wanted ones first, then in the order of the list; and what the others said. As soon as a wanted one
    /// answers, the rest need not.
    async fn primaries(&self, wanted: &Replids) -> (Vec<Primary>, Vec<String>) {
        let mut asked = JoinSet::new();
        for (place, server) in self.servers.iter().cloned().enumerate() {
            let config = self.config.clone();
            asked.spawn(async move {
                let name = address::name(&server);
                let said = async {
                    let mut connection = connect(server, &config).await?;
                    let replid = replication(&mut connection).await?;
                    Ok::<_, String>(Primary { place, replid, connection })
                };
                said.await.map_err(|reason| format!("{name}: {reason}"))
            });
        }
        let (mut primaries, mut reasons) = (Vec::new(), Vec::new());
        while let Some(said) = asked.join_next().await {
            match said {
                Ok(Ok(primary)) => {
                    let enough = wanted.contains(&primary.replid);
                    primaries.push(primary);
                    if enough {
                        break;
                    }
                }
                Ok(Err(reason)) => reasons.push(reason),
                Err(died) => reasons.push(died.to_string()),
            }
        }
        primaries.sort_by_key(|primary| (!wanted.contains(&primary.replid), primary.place));
        (primaries, reasons)
    }
}

pub(super) async fn connect(
    server: ConnectionInfo,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, String> {
    let client = Client::open(server).map_err(|error| error.to_string())?;
    client.get_multiplexed_async_connection_with_config(config).await.map_err(|error| error.to_string())
}

/// The replication id of a server that is a primary.
async fn replication(connection: &mut MultiplexedConnection) -> Result<String, String> {
    let info = redis::cmd("INFO").arg("replication").query_async::<String>(connection).await;
    primary_replid(&info.map_err(|error| error.to_string())?)
}

/// Reads the replication id out of `INFO replication`.
///
/// # Errors
/// If the server is no primary.
pub(super) fn primary_replid(info: &str) -> Result<String, String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    match (field("role:").as_deref(), field("master_replid:")) {
        (Some("master"), Some(replid)) => Ok(replid),
        (role, _) => Err(format!("not a primary: role {}", role.unwrap_or("unknown"))),
    }
}
