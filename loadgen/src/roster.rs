//! Who comes when in an open loop: the schedule, written out.
//!
//! Owns the precomputed arrivals. Nothing of it changes while a run goes on, so all threads read it without asking anybody.

use std::collections::HashMap;

use crate::LoadError;
use crate::plan::Plan;
use crate::schedule::Schedule;

/// Every arrival; empty in a closed loop.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// When, in order.
    pub(crate) times_us: Vec<u64>,
    /// Who, counted from the first user of the run; empty where everybody comes once.
    people: Vec<u32>,
    /// What a trace says they buy: place in the plan's SKUs; empty where no trace says it.
    skus: Vec<Option<u16>>,
}

impl Roster {
    /// Writes out the plan's schedule.
    pub(crate) fn of(plan: &Plan, seed: u64) -> Result<Self, LoadError> {
        let Some(open) = &plan.open else { return Ok(Self::default()) };
        let mut roster = Self { times_us: open.schedule.arrivals_us(seed), ..Self::default() };
        if roster.times_us.is_empty() {
            return Err(LoadError::Plan("the schedule has no arrival".to_owned()));
        }
        if let Schedule::Trace(trace) = &open.schedule {
            let places: HashMap<u64, usize> = plan.skus.iter().enumerate().map(|(at, sku)| (sku.sku_id, at)).collect();
            let mut known: HashMap<u64, u32> = HashMap::new();
            let mut users = 0_u32;
            let mut next = || {
                users += 1;
                users - 1
            };
            for arrival in trace.arrivals() {
                let person = match arrival.user {
                    Some(user) => *known.entry(user).or_insert_with(&mut next),
                    None => next(),
                };
                roster.people.push(person);
                roster.skus.push(arrival.sku_id.map(|sku_id| place_of(&places, sku_id)).transpose()?);
            }
        }
        Ok(roster)
    }

    /// Whether the same person may come more than once.
    pub(crate) fn has_regulars(&self) -> bool {
        !self.people.is_empty()
    }

    /// Who comes at this place, counted from the first user of the run.
    pub(crate) fn person(&self, place: usize) -> u64 {
        self.people.get(place).map_or(place as u64, |person| u64::from(*person))
    }

    /// What a trace says they buy.
    pub(crate) fn sku(&self, place: usize) -> Option<usize> {
        self.skus.get(place).copied().flatten().map(usize::from)
    }

    /// Arrivals that are due at a moment.
    pub(crate) fn due_at(&self, now_us: u64) -> u64 {
        self.times_us.partition_point(|at| *at <= now_us) as u64
    }
}

fn place_of(places: &HashMap<u64, usize>, sku_id: u64) -> Result<u16, LoadError> {
    let place = places.get(&sku_id).and_then(|place| u16::try_from(*place).ok());
    place.ok_or_else(|| LoadError::Plan(format!("the trace buys SKU {sku_id}, which is not on sale")))
}
