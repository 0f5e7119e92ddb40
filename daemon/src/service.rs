//! Putting the parts together, and taking them apart in order.
//!
//! [`start`] is what production and tests both call. Ports are bound before anything else; everything that talks to a
//! backend starts without it and keeps trying, so the order in which the servers come up does not matter.

use crate::admin;
use crate::admission::Admission;
use crate::announce;
use crate::app::{App, Shop};
use crate::catalog::Catalog;
use crate::clock::wall_ms;
use crate::config::Config;
use crate::control::Control;
use crate::events::Events;
use crate::fenced::Fenced;
use crate::http::{BACKLOG, Connections, Phase, Twins, Webhook, serve};
use crate::lane::Deciders;
use crate::lease::Lease;
use crate::logs::LogFilter;
use crate::meters::Meters;
use crate::nodes::Ids;
use crate::projector::{Projector, ProjectorOptions};
use crate::reconcile::{AuditStatus, Auditor};
use crate::recovery::{Recovery, Status};
use crate::selling::Selling;
use crate::sweeper::Sweeper;
use flash_stores::kafka::producer::Recorder;
use flash_stores::mysql::Db;
use flash_stores::redis::Gate;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// How long the log may take to be reached in one attempt.
const WARM_UP_PATIENCE: Duration = Duration::from_secs(5);
/// How often the producer is looked after.
const HEAL_EVERY: Duration = Duration::from_secs(1);
/// How long the producer may take to empty its queue at shutdown.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);
/// How long the projector may take to finish its batch at shutdown.
const PROJECTOR_PATIENCE: Duration = Duration::from_secs(15);

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A port is taken or may not be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A setting the backends' libraries refuse.
    #[error("{0}")]
    Settings(String),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Where the daemon listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The purchase API; `None` for a worker.
    pub api: Option<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
}

/// A running daemon.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    app: Arc<App>,
    places: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    serving: Option<JoinHandle<()>>,
    draining: watch::Sender<bool>,
    stop_projector: watch::Sender<bool>,
    sweeper: Option<JoinHandle<()>>,
    projector: Option<JoinHandle<()>>,
    keepers: Vec<JoinHandle<()>>,
    admin: admin::Admin,
}

/// Starts everything the role asks for on the current runtime; `logs` is what the admin plane changes.
///
/// # Errors
/// [`ServiceError`]: a port, a setting or a thread. Backends that are away are not an error.
pub async fn start(config: Config, logs: LogFilter) -> Result<Running, ServiceError> {
    let api = if config.role.sells() { Some(listen(config.http.listen)?) } else { None };
    let admin_listener = listen(config.admin.listen)?;
    let (phase, phases) = watch::channel(Phase::Open);
    let (draining, drained) = watch::channel(false);
    let (stop_projector, projector_stopped) = watch::channel(false);
    let (instance, events) = (instance(), Arc::<Events>::default());
    let db = Db::open(&config.mysql);
    let meters = Arc::new(Meters::default());
    let mut keepers = Vec::new();

    let deciders = open_deciders(&config, &meters, &events)?;
    let catalog = Arc::new(Catalog::new(Arc::clone(&events)));
    keepers.push(tokio::spawn(Arc::clone(&catalog).keep(db.clone(), Arc::clone(&deciders))));
    let shop =
        config.role.sells().then(|| open_shop(&config, &db, &deciders, &catalog, (&instance, &events), &mut keepers));
    let works = config.role.works();
    let options = ProjectorOptions { kafka: config.kafka.clone(), mysql: config.mysql.clone() };
    let projector = works.then(|| Projector::new(options));
    let places = Arc::new(Semaphore::new(config.http.connections_max));
    let handle = projector.as_ref().map(Projector::handle);
    let recovery = Arc::new(Status::new(Arc::clone(&events)));
    let audit = Arc::new(AuditStatus::new(Arc::clone(&events)));
    let control = Control::new(logs);
    let (started, started_at_ms) = (Instant::now(), wall_ms());
    let app = App {
        config,
        instance,
        events,
        control,
        started,
        started_at_ms,
        db,
        meters,
        deciders,
        catalog,
        shop,
        projector: handle,
        recovery,
        audit,
    };
    let app = Arc::new(app);
    keepers.push(tokio::spawn(look_after_producer(Arc::clone(&app.deciders))));
    let sweeper = works.then(|| Sweeper::new(Arc::clone(&app.deciders), Arc::clone(&app.catalog)));
    let sweeper = sweeper.map(|sweeper| tokio::spawn(sweeper.run(drained.clone())));
    if works {
        let (options, status) = (app.config.rebuild_options(), Arc::clone(&app.recovery));
        let recovery = Recovery::new(options, Arc::clone(&app.deciders), status);
        keepers.push(tokio::spawn(recovery.run(draining.subscribe())));
        let (options, every) = (app.config.reconcile_options(), app.config.audit_every);
        let auditor = Auditor::new(options, every, Arc::clone(&app.audit));
        keepers.push(tokio::spawn(auditor.run(draining.subscribe())));
    }
    let projector = projector.map(|projector| tokio::spawn(project(projector, projector_stopped)));
    let admin = admin::Admin::start(admin_listener, Arc::clone(&app))?;
    let addresses = Addresses { api: api.as_ref().and_then(|api| api.local_addr().ok()), admin: admin.address() };
    keepers.push(tokio::spawn(announce::keep(Arc::clone(&app), addresses)));
    let serving = api.map(|api| {
        let connections = Connections { places: Arc::clone(&places), phase: phases };
        tokio::spawn(serve(api, Arc::clone(&app), connections))
    });
    Ok(Running { addresses, app, places, phase, serving, draining, stop_projector, sweeper, projector, keepers, admin })
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    bound.map_err(|source| ServiceError::Listen { address, source })
}

/// A name that no other process ever has: where, which process, and when it began.
fn instance() -> String {
    let host: String =
        rustix::system::uname().nodename().to_string_lossy().chars().filter(char::is_ascii_graphic).take(48).collect();
    format!("{host}:{}:{}", std::process::id(), wall_ms())
}

fn open_deciders(config: &Config, meters: &Arc<Meters>, events: &Arc<Events>) -> Result<Arc<Deciders>, ServiceError> {
    let gate = Gate::new(&config.redis).map_err(|error| ServiceError::Settings(error.to_string()))?;
    let recorder =
        Recorder::new(&config.kafka, &config.recorder).map_err(|error| ServiceError::Settings(error.to_string()))?;
    let lease =
        Lease::start(config.kafka.clone(), config.epoch_lease, Arc::clone(events)).map_err(ServiceError::Thread)?;
    let (recorder, meters) = (Arc::new(recorder), Arc::clone(meters));
    Ok(Arc::new(Deciders { gate, recorder, lease, meters, fenced: Fenced::default(), selling: Selling::default() }))
}

fn open_shop(
    config: &Config,
    db: &Db,
    deciders: &Arc<Deciders>,
    catalog: &Arc<Catalog>,
    (instance, events): (&str, &Arc<Events>),
    keepers: &mut Vec<JoinHandle<()>>,
) -> Shop {
    let (lease, recorder) = (Arc::clone(&deciders.lease), Arc::clone(&deciders.recorder));
    let admission = Admission::new(lease, recorder, config.http.in_flight_max);
    let ids = Arc::new(Ids::new(Arc::clone(events)));
    keepers.push(tokio::spawn(Arc::clone(&ids).keep(db.clone(), instance.to_owned(), config.node_id)));
    Shop {
        admission,
        catalog: Arc::clone(catalog),
        deciders: Arc::clone(deciders),
        ids,
        twins: Twins::default(),
        webhook: Webhook::new(&config.webhook),
    }
}

/// Warms the producer up, then replaces it whenever it has failed for good.
async fn look_after_producer(deciders: Arc<Deciders>) {
    loop {
        let recorder = Arc::clone(&deciders.recorder);
        let work = move || {
            let healed = recorder.heal().unwrap_or(false);
            if healed || recorder.partitions() == 0 { recorder.warm_up(WARM_UP_PATIENCE).ok() } else { None }
        };
        // A broker that cannot be reached is asked again; readiness says why nothing is sold meanwhile.
        let _ = tokio::task::spawn_blocking(work).await;
        tokio::time::sleep(HEAL_EVERY).await;
    }
}

async fn project(projector: Projector, mut stopped: watch::Receiver<bool>) {
    let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    if let Err(error) = projector.run(stop).await {
        tracing::error!(%error, "the projector stopped");
    }
}

impl Running {
    /// Waits until an operator asks for the end of the process, if ever.
    pub async fn asked_to_exit(&self) {
        self.app.control.asked_to_exit().await;
    }

    /// Stops in phases: part from those who are connected, refuse, finish what runs, empty the producer, finish the projector's
    /// batch, let go of the leases.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.app.control.stop();
        self.draining.send_replace(true);
        self.part().await;
        if let Some(shop) = &self.app.shop {
            shop.admission.stop();
        }
        self.phase.send_replace(Phase::Closed);
        self.finish_requests().await;
        if let Some(sweeper) = self.sweeper.take() {
            // It bounds its own end.
            let _ = sweeper.await;
        }
        self.flush_producer().await;
        self.stop_projector.send_replace(true);
        if let Some(projector) = self.projector.take()
            && tokio::time::timeout(PROJECTOR_PATIENCE, projector).await.is_err()
        {
            tracing::warn!("the projector did not finish its batch; it will be applied again");
        }
        for keeper in self.keepers.drain(..) {
            keeper.abort();
        }
        if let Some(shop) = &self.app.shop {
            shop.ids.release(&self.app.db, &self.app.instance).await;
        }
        announce::withdraw(&self.app).await;
        self.app.deciders.lease.stop();
        self.admin.stop();
        self.app.db.close().await;
        tracing::info!("stopped");
    }

    /// Goes on serving those who are connected for a moment, once each: a proxy must not find a connection closed that it has
    /// just used. Over as soon as nobody is left.
    async fn part(&mut self) {
        self.phase.send_replace(Phase::Closing);
        if let Some(serving) = self.serving.take() {
            // Whoever waits for all places takes those that are free at once: nobody else would be let in any more.
            let _ = serving.await;
        }
        self.all_gone(self.app.config.http.drain_idle).await;
    }

    /// Waits until no connection is left; false if that takes longer than this.
    async fn all_gone(&self, patience: Duration) -> bool {
        let all = u32::try_from(self.app.config.http.connections_max).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, self.places.acquire_many(all)).await.is_ok()
    }

    async fn finish_requests(&self) {
        let config = &self.app.config.http;
        if !self.all_gone(config.drain).await {
            let open = config.connections_max - self.places.available_permits();
            let running = self.app.shop.as_ref().map_or(0, |shop| shop.admission.in_flight());
            tracing::warn!(connections = open, purchases = running, "cut off at the end of the drain time");
        }
    }

    async fn flush_producer(&self) {
        let recorder = Arc::clone(&self.app.deciders.recorder);
        let left = recorder.unanswered();
        if !matches!(tokio::task::spawn_blocking(move || recorder.flush(FLUSH_PATIENCE)).await, Ok(Ok(()))) {
            tracing::warn!(events = left, "events were left unanswered; their buyers were told so");
        }
    }
}
