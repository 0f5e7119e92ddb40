//! The gate: finds the connection that a call has to go over, whatever Redis looks like.
//!
//! Never sends anything twice: what a call that failed may have done is for its caller to say (see [`StockError`]).

use super::address::Topology;
use super::cluster::{Cluster, Map};
use super::link::Link;
use super::meters::{Meters, Operation};
use super::scripts::Call;
use super::{Fence, StockError, search};
use flash_core::epoch::SINGLE_PRIMARY;
use redis::{Cmd, Pipeline, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How the gate is reached.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// `redis://[user:password@]host:port[/db]`: one server. `redis://[…]host:port,host:port…[/db]`: the primary among
    /// several. `redis-cluster://[…]host:port,…`: the cluster that these nodes belong to.
    pub url: String,
    /// Prefix of all keys; may be empty.
    pub namespace: String,
    /// Time without an answer after which an outcome is unknown.
    pub timeout: Duration,
}

/// A cheap, shared handle to the gate.
#[derive(Clone)]
pub struct Gate {
    way: Way,
    namespace: Arc<str>,
    meters: Arc<Meters>,
}

#[derive(Clone)]
enum Way {
    /// One primary.
    Single(Link),
    /// One primary per slot.
    Cluster(Cluster),
}

/// What several commands that go together need.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// Nothing.
    Free,
    /// To come from a primary of this fence.
    Behind(&'a Fence),
    /// To disturb nobody.
    Glance,
}

impl<'a> Kind<'a> {
    const fn fence(self) -> Option<&'a Fence> {
        match self {
            Self::Behind(fence) => Some(fence),
            Self::Free | Self::Glance => None,
        }
    }
}

impl Gate {
    /// Starts to connect in the background; calls are [`StockError::NotSent`] until it has succeeded. Must be called
    /// inside a Tokio runtime.
    ///
    /// # Errors
    /// If the URL cannot be read.
    pub fn new(settings: &GateSettings) -> Result<Self, StockError> {
        let meters = Arc::<Meters>::default();
        let way = match Topology::read(&settings.url).map_err(StockError::NotSent)? {
            Topology::Candidates(servers) => Way::Single(Link::start(servers, settings.timeout, Arc::clone(&meters))),
            Topology::Cluster(seeds) => Way::Cluster(Cluster::start(seeds, settings.timeout, Arc::clone(&meters))),
        };
        Ok(Self { way, namespace: settings.namespace.as_str().into(), meters })
    }

    /// The prefix of all keys.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether calls are sent at the moment, in a cluster: to any primary; the error says why not.
    ///
    /// # Errors
    /// The reason for which there is no connection.
    pub fn connected(&self) -> Result<(), String> {
        match &self.way {
            Way::Single(link) => link.connected(),
            Way::Cluster(cluster) => self.any(&cluster.map()).map(drop).map_err(|error| error.to_string()),
        }
    }

    /// Waits until there is a connection, in a cluster: to every primary; at most `patience`.
    ///
    /// # Errors
    /// [`StockError::NotSent`] with the last reason.
    pub async fn wait_connected(&self, patience: Duration) -> Result<(), StockError> {
        match &self.way {
            Way::Single(link) => link.wait_connected(patience).await,
            Way::Cluster(cluster) => cluster.wait_connected(patience).await,
        }
    }

    /// The replication id of every primary, by its name. Without a cluster there is one.
    ///
    /// # Errors
    /// [`StockError::NotSent`] without a connection, or if slots of a cluster have no primary; [`StockError::Refused`] on a
    /// replica; [`StockError::Unknown`] else.
    pub async fn primaries(&self) -> Result<BTreeMap<String, String>, StockError> {
        let cluster = match &self.way {
            Way::Single(link) => return Ok(BTreeMap::from([(SINGLE_PRIMARY.to_owned(), replid(link).await?)])),
            Way::Cluster(cluster) => cluster,
        };
        let map = cluster.fresh_map().await;
        map.is_whole()?;
        let mut asked = JoinSet::new();
        for (name, link) in map.primaries.iter().cloned() {
            asked.spawn(async move { replid(&link).await.map(|replid| (name, replid)) });
        }
        let mut primaries = BTreeMap::new();
        while let Some(one) = asked.join_next().await {
            primaries.extend([one.map_err(|died| StockError::Unknown(died.to_string()))??]);
        }
        Ok(primaries)
    }

    /// Every primary by its name, to be asked one by one.
    pub(super) async fn links(&self) -> Vec<(String, Link)> {
        match &self.way {
            Way::Single(link) => vec![(SINGLE_PRIMARY.to_owned(), link.clone())],
            Way::Cluster(cluster) => cluster.fresh_map().await.primaries.clone(),
        }
    }

    /// Every primary that is known, by its name.
    ///
    /// # Errors
    /// [`StockError::NotSent`] if slots of a cluster have no primary.
    pub(super) fn known_links(&self) -> Result<Vec<(String, Link)>, StockError> {
        match &self.way {
            Way::Single(link) => Ok(vec![(link.address(), link.clone())]),
            Way::Cluster(cluster) => {
                let map = cluster.map();
                map.is_whole().map(|()| map.primaries.clone())
            }
        }
    }

    /// What is counted.
    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Makes sure that the gate leads to the primary that an epoch was opened with, if there are several to choose from and it
    /// can be reached.
    pub async fn look_for(&self, fence: &Fence) {
        if let Way::Single(link) = &self.way {
            link.look_for(fence).await;
        }
    }

    /// Runs one call where its key is.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, StockError> {
        let link = self.link(call.key())?;
        let began = Instant::now();
        let result = link.run(call).await;
        self.meters.count(call.operation(), began, &result);
        if !result.as_ref().is_ok_and(|reply| !super::reply::is_fenced(reply)) {
            self.doubt();
        }
        result
    }

    /// Sends a plain read command where its key is, or anywhere if it has none.
    pub(super) async fn query(&self, command: &Cmd) -> Result<Value, StockError> {
        let link = self.link(first_argument(command))?;
        let began = Instant::now();
        let result = link.query(command).await;
        self.meters.count(Operation::Read, began, &result);
        if result.is_err() {
            self.doubt();
        }
        result
    }

    /// Sends several commands at once, each where its key is, and returns their replies in order, one per command. What a
    /// primary does not answer is an error of its own commands alone. One that failed may have been done.
    pub(super) async fn pipeline(&self, operation: Operation, commands: &Pipeline) -> Vec<Result<Value, StockError>> {
        self.send(operation, commands, Kind::Free).await
    }

    /// The same for commands that only look, for whoever watches: nothing is given up and nothing is doubted.
    pub(super) async fn glance(&self, commands: &Pipeline) -> Vec<Result<Value, StockError>> {
        self.send(Operation::Read, commands, Kind::Glance).await
    }

    /// The same, where a reply counts only if it came from a primary that the epoch was opened with; else it is
    /// [`StockError::Fenced`], and the command may have been done. One server alone is not asked: the script that decides
    /// right after asks the same server.
    pub(super) async fn pipeline_behind(
        &self,
        operation: Operation,
        fence: &Fence,
        commands: &Pipeline,
    ) -> Vec<Result<Value, StockError>> {
        self.send(operation, commands, Kind::Behind(fence)).await
    }

    async fn send(&self, operation: Operation, commands: &Pipeline, kind: Kind<'_>) -> Vec<Result<Value, StockError>> {
        let count = commands.len();
        let cluster = match &self.way {
            Way::Single(link) => return each(self.send_to(link, operation, commands, kind).await, count),
            Way::Cluster(cluster) => cluster,
        };
        let map = cluster.map();
        let mut all = vec![Err(StockError::Unknown("the call died".to_owned())); count];
        let mut parts: BTreeMap<usize, (Vec<usize>, Pipeline)> = BTreeMap::new();
        for (index, command) in commands.cmd_iter().enumerate() {
            match map.place_of(first_argument(command).unwrap_or_default()) {
                Ok(place) => {
                    let (indexes, part) = parts.entry(place).or_default();
                    indexes.push(index);
                    part.add_command(command.clone());
                }
                Err(nobody) => all[index] = Err(nobody),
            }
        }
        let mut sent = JoinSet::new();
        for (place, (indexes, part)) in parts {
            let (gate, link, fence) = (self.clone(), map.primaries[place].1.clone(), kind.fence().cloned());
            let glance = matches!(kind, Kind::Glance);
            sent.spawn(async move {
                let kind = match &fence {
                    Some(fence) => Kind::Behind(fence),
                    None if glance => Kind::Glance,
                    None => Kind::Free,
                };
                let replies = each(gate.send_to(&link, operation, &part, kind).await, indexes.len());
                (indexes, replies)
            });
        }
        while let Some(part) = sent.join_next().await {
            let Ok((indexes, replies)) = part else { continue };
            indexes.into_iter().zip(replies).for_each(|(index, reply)| all[index] = reply);
        }
        if !matches!(kind, Kind::Glance) && all.iter().any(Result::is_err) {
            self.doubt();
        }
        all
    }

    /// One round trip to one primary.
    async fn send_to(
        &self,
        link: &Link,
        operation: Operation,
        commands: &Pipeline,
        kind: Kind<'_>,
    ) -> Result<Vec<Value>, StockError> {
        let began = Instant::now();
        let alone = link.is_alone() && matches!(self.way, Way::Single(_));
        let replies = match kind {
            Kind::Glance => link.glance(commands, commands.len()).await,
            Kind::Behind(fence) if !alone => link.pipeline_behind(commands.clone(), fence).await,
            Kind::Behind(_) | Kind::Free => link.pipeline(commands, commands.len()).await,
        };
        self.meters.count(operation, began, &replies);
        replies
    }

    /// The connection for a key; any, for no key.
    fn link(&self, key: Option<&[u8]>) -> Result<Link, StockError> {
        match (&self.way, key) {
            (Way::Single(link), _) => Ok(link.clone()),
            (Way::Cluster(cluster), None) => self.any(&cluster.map()),
            (Way::Cluster(cluster), Some(key)) => {
                let map = cluster.map();
                map.place_of(key).map(|place| map.primaries[place].1.clone()).inspect_err(|_| cluster.doubt())
            }
        }
    }

    /// A connection to any primary of a cluster, if possible to one that answers.
    fn any(&self, map: &Map) -> Result<Link, StockError> {
        let mut reasons = Vec::new();
        for (name, link) in &map.primaries {
            match link.connected() {
                Ok(()) => return Ok(link.clone()),
                Err(reason) => reasons.push(format!("{name}: {reason}")),
            }
        }
        map.place_of(&[])?;
        Err(StockError::NotSent(reasons.join("; ")))
    }

    fn doubt(&self) {
        if let Way::Cluster(cluster) = &self.way {
            cluster.doubt();
        }
    }
}

async fn replid(link: &Link) -> Result<String, StockError> {
    let reply = link.query(redis::cmd("INFO").arg("replication")).await?;
    let info: String = redis::from_redis_value(reply).map_err(|error| StockError::Unknown(error.to_string()))?;
    search::primary_replid(&info).map_err(StockError::Refused)
}

/// What became of each of `count` commands that went together.
fn each(replies: Result<Vec<Value>, StockError>, count: usize) -> Vec<Result<Value, StockError>> {
    match replies {
        Ok(replies) if replies.len() == count => replies.into_iter().map(Ok).collect(),
        Ok(_) => vec![Err(super::reply::unexpected("not one per command")); count],
        Err(error) => vec![Err(error); count],
    }
}

/// The key of a command that has one key, right after its name.
fn first_argument(command: &Cmd) -> Option<&[u8]> {
    match command.args_iter().nth(1)? {
        redis::Arg::Simple(bytes) => Some(bytes),
        _ => None,
    }
}
