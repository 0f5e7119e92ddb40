//! Reading what is counted: the parts of the `/stats` document that come from here. Everything is already in memory.

use super::{Came, Meters, Wish};
use crate::app::App;
use flash_core::stats::{Api, KafkaStats, MySqlStats, RedisStats, Stores, Sweeper};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

impl Meters {
    /// Fills in what is counted of buyers: connections (but their bound), outcomes, latencies, batches, holds, events and
    /// settlements.
    pub(crate) fn fill_api(&self, api: &mut Api) {
        let number = |counter: &AtomicU64| counter.load(Relaxed);
        api.connections.open = number(&self.connections);
        api.connections.accepted = number(&self.connections_accepted);
        api.connections.refused = number(&self.connections_refused);
        api.outcomes = self.outcomes.counts();
        api.latency = self.outcomes.latency();
        api.lanes.batches = number(&self.batches);
        api.lanes.purchases = number(&self.batched);
        api.lanes.fenced = number(&self.fenced);
        api.reserved = self.inventory.get(Wish::Reserve, Came::Success);
        api.logged = number(&self.logged);
        let [confirmed, rebooked, refund_pending] = &self.payments;
        api.settling.confirmed = number(confirmed);
        api.settling.rebooked = number(rebooked);
        api.settling.refund_pending = number(refund_pending);
        api.settling.cancelled = number(&self.cancelled);
        api.settling.refused = number(&self.settle_refused);
    }

    /// What the sweeper of this process did.
    pub(crate) fn sweeper(&self) -> Sweeper {
        let swept = self.swept_so_far().map(|(state, count)| (state.to_owned(), count)).collect();
        Sweeper { swept, delay: self.sweep_delay.read() }
    }

    /// `([operation, result], count)` of what was asked of the stock, zeros included.
    pub(crate) fn inventory(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        self.inventory.read()
    }
}

/// The servers, as this process sees them.
pub(crate) fn stores(app: &App) -> Stores {
    Stores { redis: redis(app), kafka: kafka(app), mysql: mysql(app) }
}

fn redis(app: &App) -> RedisStats {
    RedisStats { nodes: app.meters.watched.nodes(), ..app.deciders.gate.stats() }
}

fn kafka(app: &App) -> KafkaStats {
    app.deciders.recorder.stats()
}

fn mysql(app: &App) -> MySqlStats {
    let (pool_open, pool_idle) = app.db.pool_size();
    MySqlStats {
        problem: app.meters.watched.mysql_problem(),
        pool_open,
        pool_idle,
        pool_max: app.config.mysql.connections_max.into(),
        ping: app.meters.watched.pings(),
        apply: app.projector.as_ref().map(crate::projector::Handle::apply).unwrap_or_default(),
    }
}
