//! The simulated world: two Redis nodes, a log, its projection, a control topic, daemons, sweepers, coordinators – and
//! faults. One step is one thing that one of them does; everything is checked after each.

use crate::checks::Told;
use crate::coordinators::Coordinators;
use crate::daemons::{Daemon, Flight, Task};
use crate::log::Log;
use crate::redis::Redis;
use crate::rng::Rng;
use crate::rules::{Rates, Shape};
use flash_core::epoch::{EpochRecord, EpochView};
use flash_core::ids::{Epoch, SkuId};
use flash_core::stock::Terms;

/// One unit of time, in milliseconds.
pub(crate) const SECOND: u64 = 1_000;
/// D.
pub(crate) const LEASE_MS: u64 = 10 * SECOND;
pub(crate) const SKU: SkuId = SkuId::new(1);
pub(crate) const PRICE_MINOR: u64 = 100;
pub(crate) const TERMS: Terms =
    Terms { capacity: 4, per_user: 2, hold_ms: 25 * SECOND, opens_at_ms: 0, closes_at_ms: 0, paused: false };
/// Steps after which a world must have come to rest.
const REST_WITHIN: usize = 6_000;

pub(crate) struct World {
    pub(crate) shape: Shape,
    pub(crate) rates: Rates,
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) redis: Redis,
    pub(crate) log: Log,
    /// The topic `stock-epochs`, in order; and what one who has read it all knows.
    pub(crate) control: Vec<EpochRecord>,
    pub(crate) known: EpochView,
    pub(crate) daemons: Vec<Daemon>,
    /// Events on their way to the log.
    pub(crate) flights: Vec<Flight>,
    /// Records on their way to the control topic that nobody waits for any more.
    pub(crate) control_flights: Vec<EpochRecord>,
    /// What paused daemons will still do.
    pub(crate) tasks: Vec<Task>,
    pub(crate) coordinators: Coordinators,
    pub(crate) told: Told,
    pub(crate) next_id: u64,
}

impl World {
    /// Nothing was set up yet: the first coordinators, perhaps two at once, fill it for the first time.
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            shape,
            rates: shape.rates.unwrap_or_else(|| Rates::of(&mut rng)),
            rng,
            now_ms: 1_000 * SECOND,
            redis: Redis::new(),
            log: Log::new(shape.partitions, shape.rules.void),
            control: Vec::new(),
            known: EpochView::default(),
            daemons: (0..2).map(|_| Daemon::default()).collect(),
            flights: Vec::new(),
            control_flights: Vec::new(),
            tasks: Vec::new(),
            coordinators: Coordinators::default(),
            told: Told::default(),
            next_id: 1,
        }
    }

    /// Appends to the control topic.
    pub(crate) fn announce(&mut self, record: EpochRecord) {
        self.known.apply(record.clone());
        self.control.push(record);
    }

    /// The newest epoch anybody announced.
    pub(crate) fn newest(&self) -> Epoch {
        self.known.latest().map_or(Epoch(0), |record| record.epoch)
    }

    pub(crate) fn step(&mut self) -> Result<(), String> {
        self.now_ms += if self.rng.chance(333) { SECOND } else { 0 };
        let Rates { faults, sweeps, deliveries, replications, coordination, .. } = self.rates;
        let dice = self.rng.next() % 1_000;
        let mut upto = 0;
        let mut is = |rate: u64| {
            upto += rate;
            dice < upto
        };
        match () {
            () if is(faults) => self.fault(),
            () if is(sweeps) => self.sweep(),
            () if is(deliveries) => self.deliver(),
            () if is(replications) => self.redis.replicate(),
            () if is(coordination) => self.coordinate()?,
            () => match self.rng.below(100) {
                0..30 => self.buy(),
                30..60 => self.read_control(),
                60..75 => self.pay(),
                75..78 => self.cancel(),
                78..87 => self.run_task(),
                87..93 => self.project(8),
                _ => self.retry(),
            },
        }
        self.check()
    }

    pub(crate) fn project(&mut self, most: usize) {
        let partition = self.rng.below(self.log.partitions());
        self.log.project(partition, most);
    }

    /// Heals everything and lets it come to rest: whatever is held expires, whatever is on its way arrives.
    pub(crate) fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..REST_WITHIN {
            self.redis.heal();
            self.now_ms += SECOND;
            self.coordinate()?;
            self.deliver();
            self.run_task();
            for partition in 0..self.log.partitions() {
                self.log.project(partition, 64);
            }
            let primary = self.redis.primary;
            for index in 0..self.daemons.len() {
                self.daemons[index].node = primary;
                self.daemons[index].read_all(&self.control, self.now_ms);
            }
            self.sweep();
            self.check()?;
            if self.is_at_rest() {
                return self.check_at_rest();
            }
        }
        Err("it never comes to rest".to_owned())
    }

    fn is_at_rest(&self) -> bool {
        let settled =
            |stock: &flash_core::stock::StockModel| stock.holds().next().is_none() && stock.closing().next().is_none();
        self.flights.is_empty()
            && self.tasks.is_empty()
            && self.control_flights.is_empty()
            && self.coordinators.all.is_empty()
            && !self.is_unsound()
            && self.redis.now().stock.as_ref().is_some_and(settled)
    }
}
