//! A Redis Cluster: one connection per primary, and the map that says which of them owns a slot.
//!
//! A call goes once, to the primary that owns its slot as far as is known. `MOVED`, `ASK`, `TRYAGAIN` and `CLUSTERDOWN` prove
//! that nothing was done; they are refusals like any other, the map is read anew, and the buyer tries again. Nothing is
//! ever sent a second time from here, so no decision can be made twice.

use super::link::{Link, StopOnDrop};
use super::meters::Meters;
use super::search::connect;
use super::slots::{SLOTS, View, slot_of};
use super::{StockError, address};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How often the map is read anyway, and how soon again if somebody was sent to the wrong place.
const READ_EVERY: Duration = Duration::from_secs(1);
const READ_AGAIN: Duration = Duration::from_millis(50);
/// How long the other nodes are waited for once the first has answered. A dead one is not worth more.
const STRAGGLERS: Duration = Duration::from_millis(250);
/// How long somebody waits for a fresh map.
const FRESH_PATIENCE: Duration = Duration::from_secs(5);

/// Who owns what.
#[derive(Default)]
pub(super) struct Map {
    /// Per slot, the place of its primary in `primaries`.
    owners: Vec<Option<usize>>,
    /// Every primary that owns slots: its address, and the connection to it.
    pub(super) primaries: Vec<(String, Link)>,
    /// How many readings there were before this one.
    readings: u64,
    /// Why there is no map, if no node answered.
    problem: Option<String>,
}

impl Map {
    /// Place of the primary that owns the key.
    ///
    /// # Errors
    /// [`StockError::NotSent`] if nobody is known to.
    pub(super) fn place_of(&self, key: &[u8]) -> Result<usize, StockError> {
        let slot = slot_of(key);
        let place = self.owners.get(slot).copied().flatten();
        place.ok_or_else(|| {
            StockError::NotSent(self.problem.clone().unwrap_or_else(|| format!("slot {slot} has no primary")))
        })
    }

    /// Whether every slot has a primary.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn is_whole(&self) -> Result<(), StockError> {
        let missing = SLOTS - self.owners.iter().flatten().count();
        match (&self.problem, missing) {
            (Some(problem), _) => Err(StockError::NotSent(problem.clone())),
            (None, 0) => Ok(()),
            (None, missing) => Err(StockError::NotSent(format!("{missing} slots of the cluster have no primary"))),
        }
    }
}

/// A cheap, shared handle to the cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    map: watch::Receiver<Arc<Map>>,
    doubts: Arc<Notify>,
    _reader: Arc<StopOnDrop>,
}

impl Cluster {
    /// Starts to read the map in the background, from whichever of the nodes answers.
    pub(super) fn start(seeds: Vec<ConnectionInfo>, timeout: Duration, meters: Arc<Meters>) -> Self {
        let problem = Some("the cluster has not been asked yet".to_owned());
        let (map_out, map) = watch::channel(Arc::new(Map { problem, ..Map::default() }));
        let (doubts, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let reader = Arc::new(StopOnDrop(Arc::clone(&stop)));
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        let task =
            Reader { seeds, config, timeout, open: BTreeMap::new(), map: map_out, doubts: Arc::clone(&doubts), meters };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.notified() => {}
                () = task.run() => {}
            }
        });
        Self { map, doubts, _reader: reader }
    }

    /// The map as it was read last.
    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.borrow())
    }

    /// Has the map read anew: something was not where it was looked for.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// A map whose reading began after this call, or the last one if none can be had.
    pub(super) async fn fresh_map(&self) -> Arc<Map> {
        // The reading that is under way may have begun before.
        let wanted = self.map().readings + 2;
        let mut map = self.map.clone();
        let read = async {
            while map.borrow_and_update().readings < wanted {
                self.doubt();
                if map.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FRESH_PATIENCE, read).await;
        self.map()
    }

    /// Waits until every slot has a primary and every primary a connection, at most `patience`.
    pub(super) async fn wait_connected(&self, patience: Duration) -> Result<(), StockError> {
        let all = async {
            let mut map = self.map.clone();
            loop {
                let known = Arc::clone(&map.borrow_and_update());
                if known.is_whole().is_ok() {
                    let mut waiting: JoinSet<_> = known
                        .primaries
                        .iter()
                        .map(|(_, link)| {
                            let link = link.clone();
                            async move { link.wait_connected(READ_EVERY).await }
                        })
                        .collect();
                    let mut connected = true;
                    while let Some(one) = waiting.join_next().await {
                        connected &= matches!(one, Ok(Ok(())));
                    }
                    if connected {
                        return;
                    }
                } else if map.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return Ok(());
        }
        let map = self.map();
        map.is_whole()?;
        let down = map.primaries.iter().find_map(|(name, link)| Some(format!("{name}: {}", link.connected().err()?)));
        down.map_or(Ok(()), |reason| Err(StockError::NotSent(reason)))
    }
}

/// The task that reads the map.
struct Reader {
    seeds: Vec<ConnectionInfo>,
    config: AsyncConnectionConfig,
    timeout: Duration,
    /// Connections to nodes, for asking them.
    open: BTreeMap<String, MultiplexedConnection>,
    map: watch::Sender<Arc<Map>>,
    doubts: Arc<Notify>,
    meters: Arc<Meters>,
}

impl Reader {
    async fn run(mut self) {
        let mut nodes = Vec::new();
        loop {
            let view = self.ask(&nodes).await;
            if let Ok(view) = &view {
                nodes.clone_from(&view.nodes);
            }
            let map = self.draw(view);
            let _ = self.map.send_replace(Arc::new(map));
            let _ = tokio::time::timeout(READ_EVERY, self.doubts.notified()).await;
            tokio::time::sleep(READ_AGAIN).await;
        }
    }

    /// Asks all nodes that are known, and those that were given, what they know.
    async fn ask(&mut self, nodes: &[String]) -> Result<View, String> {
        let first = self.seeds.first().ok_or("no node is named")?;
        let mut servers: BTreeMap<String, ConnectionInfo> =
            self.seeds.iter().map(|seed| (address::name(seed), seed.clone())).collect();
        servers.extend(nodes.iter().filter_map(|node| Some((node.clone(), address::at(first, node)?))));
        let mut asked = JoinSet::new();
        for (name, server) in servers {
            let (open, config) = (self.open.remove(&name), self.config.clone());
            asked.spawn(async move {
                let said = async {
                    let mut connection = match open {
                        Some(connection) => connection,
                        None => connect(server, &config).await?,
                    };
                    let answer = redis::cmd("CLUSTER").arg("NODES").query_async::<String>(&mut connection).await;
                    answer.map(|answer| (connection, answer)).map_err(|error| error.to_string())
                };
                let said = said.await.map_err(|reason| format!("{name}: {reason}"));
                (name, said)
            });
        }
        let (mut view, mut reasons) = (View::default(), Vec::new());
        let mut end = tokio::time::Instant::now() + self.timeout + self.timeout;
        while let Ok(Some(answered)) = tokio::time::timeout_at(end, asked.join_next()).await {
            match answered {
                Ok((name, Ok((connection, answer)))) => {
                    if view.nodes.is_empty() {
                        end = end.min(tokio::time::Instant::now() + STRAGGLERS);
                    }
                    view.add(&name, &answer);
                    self.open.insert(name, connection);
                }
                Ok((_, Err(reason))) => reasons.push(reason),
                Err(died) => reasons.push(died.to_string()),
            }
        }
        if view.nodes.is_empty() { Err(reasons.join("; ")) } else { Ok(view) }
    }

    /// Turns the view into a map, keeping the connections there are. If nobody answered, the old map stays: its primaries
    /// may well answer.
    fn draw(&self, view: Result<View, String>) -> Map {
        let old = Arc::clone(&self.map.borrow());
        let readings = old.readings + 1;
        let view = match view {
            Ok(view) => view,
            Err(problem) => {
                tracing::debug!(problem, "no node of the Redis cluster answers");
                let problem = Some(problem).filter(|_| old.primaries.is_empty());
                return Map { owners: old.owners.clone(), primaries: old.primaries.clone(), readings, problem };
            }
        };
        let mut map = Map { readings, owners: Vec::with_capacity(SLOTS), ..Map::default() };
        for slot in 0..SLOTS {
            let place = view.owner(slot).and_then(|owner| self.place(&old, &mut map, owner));
            map.owners.push(place);
        }
        let names = |map: &Map| map.primaries.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names(&old) != names(&map) {
            tracing::info!(primaries = ?names(&map), "primaries of the Redis cluster");
        }
        map
    }

    fn place(&self, old: &Map, map: &mut Map, owner: &str) -> Option<usize> {
        if let Some(place) = map.primaries.iter().position(|(name, _)| name == owner) {
            return Some(place);
        }
        let link = match old.primaries.iter().find(|(name, _)| name == owner) {
            Some((_, link)) => link.clone(),
            None => Link::start(vec![address::at(self.seeds.first()?, owner)?], self.timeout, Arc::clone(&self.meters)),
        };
        map.primaries.push((owner.to_owned(), link));
        Some(map.primaries.len() - 1)
    }
}
