//! One server's turn: start it, warm it up, load it, compare what it told with what it has, stop it.
//!
//! Every turn has the same shape whoever it is for, so that no server is measured in a way of its own: a process of its own on
//! the same servers, nothing else running, the same warm-up, the same plan.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use flash_loadgen::{EndReason, Finished, OpenLoop, Phase, Plan, Schedule, SkuShare};
use flash_naive::{Kind, Shop, Stores};
use flash_stack::{Process, ProcessSpec};
use serde::{Deserialize, Serialize};

use super::{WARM_UP_SKU, WARM_UP_UNITS, figures::Figures};
use crate::{
    commands::loadtest,
    interrupt::Interrupt,
    report::Failure,
    site::{DaemonOptions, Site, config_of},
    terminal::Terminal,
    verdict::{Places, Verdict},
};

/// The warm-up: pools are filled, statements prepared, code and caches warm. The slowest server needs seconds for it.
const WARM_UP_PER_S: f64 = 500.0;
const WARM_UP_MS: u64 = 2_000;
/// How long a naive server may take to make its tables and listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// How long MySQL may stand still before a missing order of flashd counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    /// MySQL alone, read then write.
    Mysql,
    /// MySQL alone, the row locked.
    MysqlLock,
    /// Redis, then MySQL, then the answer.
    RedisMysql,
    /// The product.
    Flashd,
}

impl Contestant {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Mysql, Self::MysqlLock, Self::RedisMysql, Self::Flashd];

    const fn naive(self) -> Option<Kind> {
        match self {
            Self::Mysql => Some(Kind::ReadThenWrite),
            Self::MysqlLock => Some(Kind::RowLock),
            Self::RedisMysql => Some(Kind::RedisThenMysql),
            Self::Flashd => None,
        }
    }
}

/// What came of a turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Whose.
    pub(crate) server: Contestant,
    /// Round, from 1.
    pub(crate) round: u8,
    /// It was ended early.
    pub(crate) stopped: bool,
    /// What counts.
    pub(crate) figures: Figures,
    /// flashd only: the whole verdict.
    pub(crate) verdict: Option<Verdict>,
    /// Everything that was measured.
    pub(crate) run: flash_loadgen::Report,
}

/// The place of all turns.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) site: Site,
    /// The naive server's program.
    pub(crate) naive: PathBuf,
    pub(crate) daemon: DaemonOptions,
    /// Without target and SKU.
    pub(crate) plan: Plan,
    pub(crate) tickets: u32,
    pub(crate) terminal: Terminal,
}

impl Contest {
    /// One server's turn in a round, counted from 0. Each round has a SKU of its own, so nothing is left of the one before.
    pub(crate) async fn turn(
        &mut self,
        contestant: Contestant,
        round: u8,
        interrupt: &mut Interrupt,
    ) -> Result<Turn, Failure> {
        self.terminal.talk(&format!("round {}: {} …", round + 1, super::title(contestant)));
        let sku_id = u64::from(round) + 1;
        let (finished, figures, verdict) = match contestant.naive() {
            Some(kind) => {
                let (finished, figures) = self.naive_turn(kind, sku_id, interrupt).await?;
                (finished, figures, None)
            }
            None => {
                self.site.start_daemon(&self.daemon).await?;
                let result = self.flashd_turn(sku_id, interrupt).await;
                self.site.stop_daemon().await;
                let (finished, verdict) = result?;
                let figures = Figures::of_flashd(&finished, self.tickets, &verdict);
                (finished, figures, Some(verdict))
            }
        };
        let stopped = finished.report.ended == EndReason::Stopped;
        Ok(Turn { server: contestant, round: round + 1, stopped, figures, verdict, run: finished.report })
    }

    async fn flashd_turn(&self, sku_id: u64, interrupt: &mut Interrupt) -> Result<(Finished, Verdict), Failure> {
        if let Some(reason) = self.site.unready_reason().await {
            return Err(Failure::message(format!("flashd did not become ready: {reason}")));
        }
        let target = self.site.api_url().ok_or_else(|| Failure::message("there is no daemon to buy from"))?;
        let finished = self.load(target, sku_id, interrupt).await?;
        let places = Places::of(&config_of(&self.site.env_map())?);
        let verdict = loadtest::judge(&places, &finished, PATIENCE, &self.terminal, interrupt).await?;
        Ok((finished, verdict))
    }

    async fn naive_turn(
        &self,
        kind: Kind,
        sku_id: u64,
        interrupt: &mut Interrupt,
    ) -> Result<(Finished, Figures), Failure> {
        let (process, address) = self.start_naive(kind, sku_id).await?;
        let finished = tokio::select! {
            finished = self.load(format!("http://{address}"), sku_id, interrupt) => finished,
            exit = process.ended() => {
                let lines = process.last_lines().join("\n    ");
                Err(Failure::message(format!("flash-naive ended in the middle of its turn ({exit})\n    {lines}")))
            }
        };
        process.stop().await;
        let finished = finished?;
        // Read when the process is gone: whatever it was still doing is done, or lost.
        let shop = Shop::open(kind, &stores(&self.site.env_map())?).await.map_err(Failure::from_error)?;
        let orders = shop.orders().await.map_err(Failure::from_error);
        shop.close().await;
        let orders: Vec<_> = orders?.into_iter().filter(|order| order.sku_id == sku_id).collect();
        let figures = Figures::of_naive(&finished, self.tickets, &orders);
        Ok((finished, figures))
    }

    async fn start_naive(&self, kind: Kind, sku_id: u64) -> Result<(Process, String), Failure> {
        let skus = [(sku_id, self.tickets), (WARM_UP_SKU, WARM_UP_UNITS)];
        // It takes a port that is free and says which: nobody else can take it in between.
        let mut words = vec!["--kind".to_owned(), kind.name().to_owned(), "--port".to_owned(), "0".to_owned()];
        words.extend(skus.iter().flat_map(|(id, units)| ["--sku".to_owned(), format!("{id}={units}")]));
        let mut spec = ProcessSpec::new("flash-naive", &self.naive).args(words);
        for (name, value) in self.site.env_map() {
            spec = spec.env(name, value);
        }
        let process = Process::spawn(spec.logs_to_file(self.site.stack().dir().join("flash-naive.log")))?;
        let started = Instant::now();
        loop {
            // It says so when its tables are there.
            if let Some(address) = process.last_lines().iter().find_map(|line| address_in(line)) {
                return Ok((process, address));
            }
            if process.exit().is_some() || started.elapsed() > LISTENS_WITHIN {
                let lines = process.last_lines().join("\n    ");
                return Err(Failure::message(format!("flash-naive did not start\n    {lines}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Warm-up and load.
    async fn load(&self, target: String, sku_id: u64, interrupt: &mut Interrupt) -> Result<Finished, Failure> {
        let one = |sku_id| vec![SkuShare { sku_id, weight: 1 }];
        let phase =
            Phase { duration_ms: WARM_UP_MS, from_per_s: WARM_UP_PER_S, to_per_s: WARM_UP_PER_S, ..Phase::default() };
        let schedule = Schedule::Phases { phases: vec![phase], poisson: false };
        let connections = self.plan.open.as_ref().map_or(100, |open| open.connections.min(100));
        let warm_up = Plan {
            target: target.clone(),
            skus: one(WARM_UP_SKU),
            open: Some(OpenLoop { schedule, connections }),
            seed: self.plan.seed.map(|seed| seeds(seed, sku_id).0),
            retry_share: 0.0,
            watch_stock: false,
            ..Plan::default()
        };
        quietly(warm_up, interrupt).await?;
        let seed = self.plan.seed.map(|seed| seeds(seed, sku_id).1);
        let plan = Plan { target, seed, skus: one(sku_id), ..self.plan.clone() };
        let title = format!("the same buyers at {}", plan.target);
        loadtest::watch(start(plan).await?, title, false, &self.terminal, interrupt).await
    }
}

/// The address in what a naive server says when it is ready.
fn address_in(line: &str) -> Option<String> {
    let (_, address) = line.split_once(" sells on http://")?;
    Some(address.trim().to_owned())
}

/// Seeds of a round's warm-up and of its load, by the SKU of the round: the same for every server, and never twice, for a key
/// that comes again is an old purchase and not a new one.
fn seeds(seed: u64, sku_id: u64) -> (u64, u64) {
    let first = seed.wrapping_add(sku_id * 2);
    (first, first.wrapping_add(1))
}

/// Where MySQL and Redis of the site are, as the naive server is told.
fn stores(environment: &BTreeMap<String, String>) -> Result<Stores, Failure> {
    let value = |name: &str| {
        let value = environment.get(name).cloned();
        value.ok_or_else(|| Failure::message(format!("the site does not say {name}")))
    };
    Ok(Stores {
        mysql_host: value("MYSQL_HOST")?,
        mysql_port: value("MYSQL_PORT")?
            .parse()
            .map_err(|error: std::num::ParseIntError| Failure::from_error(error))?,
        mysql_user: value("MYSQL_USER")?,
        mysql_password: value("MYSQL_PASSWORD")?,
        redis_url: value("REDIS_URL")?,
    })
}

async fn start(plan: Plan) -> Result<flash_loadgen::Run, Failure> {
    let started = tokio::task::spawn_blocking(|| flash_loadgen::start(plan)).await;
    started.map_err(Failure::from_error)?.map_err(loadtest::explain)
}

/// Loads without a word.
async fn quietly(plan: Plan, interrupt: &mut Interrupt) -> Result<(), Failure> {
    let load = start(plan).await?;
    let stopper = load.stopper();
    let mut joined = tokio::task::spawn_blocking(|| load.join());
    let ended = tokio::select! {
        ended = &mut joined => ended,
        () = interrupt.requested() => {
            stopper.stop();
            joined.await
        }
    };
    ended.map_err(Failure::from_error)?.map(drop).map_err(loadtest::explain)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn a_naive_server_says_where_it_is() {
        assert_eq!(super::address_in("mysql sells on http://127.0.0.1:4711").unwrap(), "127.0.0.1:4711");
        assert_eq!(super::address_in("error: cannot sell"), None);
    }

    #[test]
    fn nobody_comes_twice() {
        let seeds: HashSet<u64> =
            (1..=9).map(|sku_id| super::seeds(7, sku_id)).flat_map(|(warm_up, load)| [warm_up, load]).collect();
        assert_eq!(seeds.len(), 18);
    }
}
