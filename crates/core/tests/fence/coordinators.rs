//! Coordinators: the real state machine, driven step by step, dying and doubled.

use crate::world::{LEASE_MS, SKU, TERMS, World};
use flash_core::epoch::{EpochRecord, EpochState};
use flash_core::fence::coordinator::{Action, Coordinator, Fact, Primaries};
use flash_core::fence::guard::{Mark, Replids, Role};
use flash_core::fence::judge::{Need, OpenEpoch, need, standing};
use flash_core::ids::Epoch;
use flash_core::stock::StockModel;
use std::collections::BTreeMap;

/// At most so many at once.
const AT_ONCE: usize = 2;

#[derive(Default)]
pub(crate) struct Coordinators {
    pub(crate) all: Vec<Rebuild>,
    last_epoch: u64,
    /// MySQL knows that the SKU was loaded.
    was_loaded: bool,
}

pub(crate) struct Rebuild {
    coordinator: Coordinator,
    node: usize,
    fences: usize,
    emptied: bool,
    /// Whether it is paused, and how often it is, per thousand turns.
    asleep: bool,
    drowsy: u64,
    /// Whether it saw no older epoch when it began.
    alone: bool,
}

/// What became of an append to a topic.
#[derive(PartialEq)]
enum Append {
    Acknowledged,
    Unacknowledged,
    Lost,
    /// It arrives some time later; nobody waits for it.
    Late,
}

impl World {
    pub(crate) fn call_coordinator(&mut self) {
        if self.coordinators.all.len() < AT_ONCE {
            self.coordinators.last_epoch += 1;
            let coordinator = Coordinator::new(Epoch(self.coordinators.last_epoch), LEASE_MS);
            let alone = self.newest() == Epoch(0);
            let (asleep, drowsy) = (self.rng.chance(250), [0, 20, 100][self.rng.below(3)]);
            let (node, fences, emptied) = (0, 0, false);
            self.coordinators.all.push(Rebuild { coordinator, node, fences, emptied, asleep, drowsy, alone });
        }
    }

    /// What a worker that looks would find.
    pub(crate) fn is_unsound(&self) -> bool {
        let open = self
            .known
            .open()
            .map(|record| OpenEpoch { epoch: record.epoch, replids: record.replids.values().cloned().collect() });
        let primaries = Replids::from([self.redis.now().replid.clone()]);
        let standing =
            standing(self.redis.now().mark, true, self.coordinators.was_loaded, open.as_ref().map(|open| open.epoch));
        need(open.as_ref(), &primaries, &[(SKU, standing)]) != Need::Nothing
    }

    /// One coordinator takes one step; if there is none, whoever finds the stock unsound becomes one.
    pub(crate) fn coordinate(&mut self) -> Result<(), String> {
        if self.rng.chance(300)
            && let Some(record) = self.rng.take(&mut self.control_flights)
        {
            self.announce(record);
        }
        if self.coordinators.all.is_empty() {
            if self.is_unsound() && self.rng.chance(500) {
                self.call_coordinator();
                if self.rng.chance(100) {
                    self.call_coordinator();
                }
            }
            return Ok(());
        }
        let index = self.rng.below(self.coordinators.all.len());
        let rebuild = &mut self.coordinators.all[index];
        rebuild.asleep = if rebuild.asleep { !self.rng.chance(50) } else { self.rng.chance(rebuild.drowsy) };
        if rebuild.asleep {
            return Ok(());
        }
        let mut rebuild = self.coordinators.all.swap_remove(index);
        if let Some(fact) = self.perform_action(&mut rebuild)? {
            rebuild.coordinator.saw(fact);
        }
        if !matches!(rebuild.coordinator.action(), Action::End(_)) {
            self.coordinators.all.push(rebuild);
        }
        Ok(())
    }

    fn perform_action(&mut self, rebuild: &mut Rebuild) -> Result<Option<Fact>, String> {
        let epoch = rebuild.coordinator.epoch();
        Ok(match rebuild.coordinator.action() {
            Action::Announce => {
                let done = self.append_control(epoch, EpochState::Rebuilding, Primaries::new());
                Some(if done { Fact::Announced { at_ms: self.now_ms } } else { Fact::Failed })
            }
            Action::NotePrimaries => {
                let stray = self.redis.split && self.rng.chance(200);
                rebuild.node = if stray { 1 - self.redis.primary } else { self.redis.primary };
                let replid = self.redis.nodes[rebuild.node].server.replid.clone();
                Some(Fact::Primaries(BTreeMap::from([("primary".to_owned(), replid)])))
            }
            Action::Close(_) => Some(self.close(rebuild.node, epoch)),
            Action::WaitUntil(_) => Some(Fact::Time(self.time_to_wait(rebuild))),
            Action::AppendFences => self.append_fence(rebuild, epoch),
            Action::AwaitProjection => {
                let passed = self.log.projected(epoch) || !self.shape.rules.projected;
                if !passed {
                    self.project(32);
                }
                passed.then_some(Fact::Projected)
            }
            Action::Load(primaries) => {
                let noted: Replids = primaries.values().cloned().collect();
                self.load(rebuild.node, &mut rebuild.emptied, epoch, &noted)?
            }
            Action::Open(primaries) => {
                let primaries = primaries.clone();
                let done = self.append_control(epoch, EpochState::Open, primaries);
                Some(if done { Fact::Opened } else { Fact::Failed })
            }
            Action::End(_) => None,
        })
    }

    fn time_to_wait(&self, rebuild: &Rebuild) -> u64 {
        let waits = self.shape.rules.lease && (self.shape.rules.first || !rebuild.alone);
        if waits { self.now_ms } else { u64::MAX }
    }

    fn appended(&mut self) -> Append {
        if !self.rng.chance(10 * self.rates.bad_appends) {
            return Append::Acknowledged;
        }
        match self.rng.below(3) {
            0 => Append::Lost,
            1 => Append::Unacknowledged,
            _ => Append::Late,
        }
    }

    /// Appends a record to the control topic; whether that was acknowledged. Every record may arrive twice.
    fn append_control(&mut self, epoch: Epoch, state: EpochState, replids: Primaries) -> bool {
        let record = EpochRecord { epoch, state, replids, at_ms: self.now_ms };
        let fate = self.appended();
        if fate == Append::Late || (fate != Append::Lost && self.rng.chance(50)) {
            self.control_flights.push(record.clone());
        }
        if matches!(fate, Append::Acknowledged | Append::Unacknowledged) {
            self.announce(record);
        }
        fate == Append::Acknowledged
    }

    fn close(&mut self, node: usize, epoch: Epoch) -> Fact {
        let server = &mut self.redis.nodes[node].server;
        if server.role != Role::Primary {
            return Fact::Failed;
        }
        if server.close(epoch).is_ok() { Fact::Closed } else { Fact::Refused }
    }

    fn append_fence(&mut self, rebuild: &mut Rebuild, epoch: Epoch) -> Option<Fact> {
        let fate = self.appended();
        if matches!(fate, Append::Acknowledged | Append::Unacknowledged) {
            self.log.append_fence(rebuild.fences, epoch);
            if self.rng.chance(50) {
                self.log.append_fence(rebuild.fences, epoch);
            }
        }
        if fate != Append::Acknowledged {
            return Some(Fact::Failed);
        }
        rebuild.fences += 1;
        (rebuild.fences == self.log.partitions()).then_some(Fact::FencesAppended)
    }

    /// Empties the SKU, then reads MySQL and fills it; time passes in between.
    fn load(&mut self, node: usize, emptied: &mut bool, epoch: Epoch, noted: &Replids) -> Result<Option<Fact>, String> {
        self.coordinators.was_loaded = true;
        let guarded = self.shape.rules.loader;
        let server = &mut self.redis.nodes[node].server;
        if !*emptied {
            *emptied = true;
            let begun = server.begin(epoch, noted);
            if !guarded {
                (server.mark, server.stock) = (Some(Mark::Loading(epoch)), None);
            }
            return Ok((guarded && begun.is_err()).then_some(Fact::Refused));
        }
        // A hold that was almost over is over, by the clock of the new server.
        let stock = StockModel::filled(epoch, TERMS, self.log.stored(), self.now_ms)
            .map_err(|oversold| format!("a coordinator finds MySQL oversold: {oversold}"))?;
        if guarded {
            return Ok(Some(if server.open(stock, noted).is_ok() { Fact::Loaded } else { Fact::Refused }));
        }
        server.fill(stock);
        Ok(Some(Fact::Loaded))
    }

    /// One coordinator dies, wherever it is.
    pub(crate) fn kill_coordinator(&mut self) {
        self.rng.take(&mut self.coordinators.all);
    }
}
