//! Two Redis nodes: a primary and a replica that lags. Their data is the stock model, their guards are the real ones.

use crate::rng::Rng;
use crate::rules::Rules;
use flash_core::fence::guard::{Mark, Replids, Role, Server, admits};
use flash_core::ids::Epoch;
use flash_core::stock::{ModelServer, StockModel};
use std::rc::Rc;

/// States that a restart may fall back to.
const HISTORY_MAX: usize = 6;
/// How often, per thousand calls, the state before it is one of those.
const HISTORY: u64 = 300;

/// What a daemon decides under.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    pub(crate) epoch: Epoch,
    pub(crate) replids: Rc<Replids>,
}

pub(crate) struct Node {
    pub(crate) server: ModelServer,
    pub(crate) history: Vec<(Option<Mark>, Option<StockModel>)>,
}

/// Both nodes, and which of them is the primary for whoever asks now.
pub(crate) struct Redis {
    pub(crate) nodes: [Node; 2],
    pub(crate) primary: usize,
    /// The old primary lives on for some.
    pub(crate) split: bool,
    replids: u64,
}

impl Redis {
    /// Both empty, one following the other.
    pub(crate) fn new() -> Self {
        let node = || Node { server: ModelServer::empty("r0".into()), history: Vec::new() };
        let mut redis = Self { nodes: [node(), node()], primary: 0, split: false, replids: 0 };
        redis.nodes[1].server.role = Role::Replica;
        redis
    }

    pub(crate) fn now(&self) -> &ModelServer {
        &self.nodes[self.primary].server
    }

    /// Runs a script on a node: behind the guard, unless a rule is switched off.
    pub(crate) fn run<T>(
        &mut self,
        node: usize,
        fence: &Fence,
        rules: Rules,
        rng: &mut Rng,
        script: impl FnOnce(&mut StockModel) -> T,
    ) -> Option<T> {
        let Node { server, history } = &mut self.nodes[node];
        if rng.chance(HISTORY) {
            history.push((server.mark, server.stock.clone()));
            if history.len() > HISTORY_MAX {
                history.remove(0);
            }
        }
        if rules.epoch && rules.replid && rules.home {
            return server.admit(fence.epoch, &fence.replids).ok().map(script);
        }
        let mark = if rules.epoch { server.mark } else { server.mark.map(|_| Mark::Open(fence.epoch)) };
        let replid = if rules.replid { server.replid.as_str() } else { fence.replids.first()?.as_str() };
        let at_home = !rules.home || server.home.as_ref() == Some(&server.replid);
        admits(Server { role: server.role, replid }, mark, at_home.then_some(replid), fence.epoch, &fence.replids)
            .ok()?;
        server.stock.as_mut().map(script)
    }

    /// The replica becomes what the primary is.
    pub(crate) fn replicate(&mut self) {
        if self.split {
            return;
        }
        let server = ModelServer { role: Role::Replica, ..self.now().clone() };
        self.nodes[1 - self.primary] = Node { server, history: Vec::new() };
    }

    fn new_replid(&mut self) -> String {
        self.replids += 1;
        format!("r{}", self.replids)
    }

    /// The primary restarts, with less than it had: a state of a moment ago, or nothing.
    pub(crate) fn restart(&mut self, empty: bool, rng: &mut Rng) {
        let replid = self.new_replid();
        let Node { server, history } = &mut self.nodes[self.primary];
        server.replid = replid;
        if empty {
            (server.mark, server.stock) = (None, None);
        } else if !history.is_empty() {
            (server.mark, server.stock) = history.swap_remove(rng.below(history.len()));
        }
    }

    /// Everything is deleted under everybody's hands.
    pub(crate) fn flush(&mut self) {
        let server = &mut self.nodes[self.primary].server;
        (server.mark, server.stock) = (None, None);
    }

    /// The other node takes over; perhaps the old one does not notice.
    pub(crate) fn fail_over(&mut self, split: bool) {
        let replid = self.new_replid();
        let old = self.primary;
        self.primary = 1 - old;
        let server = &mut self.nodes[self.primary].server;
        (server.role, server.replid) = (Role::Primary, replid);
        self.split = split;
        if !split {
            self.nodes[old].server.role = Role::Replica;
        }
    }

    /// Nobody reaches an old primary any more.
    pub(crate) fn heal(&mut self) {
        self.split = false;
        self.nodes[1 - self.primary].server.role = Role::Replica;
    }
}
