//! Naming stock changes that the ledger does not have: from the dead letters, the log itself, and Redis – in this order, since
//! what is in the log counts, and only what is not in the log may ever be given back early.

use super::cut::Cut;
use super::{Reconcile, ReconcileError};
use crate::dead_letters::{Desk, LetterStatus};
use crate::projector::{CatchUpError, ProjectorOptions};
use flash_core::event::{Body, Event};
use flash_core::ids::{Epoch, OrderId, SkuId};
use flash_core::order::OrderState;
use flash_core::reconcile::{Case, Gap, Known};
use flash_core::stock::Hold;
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::consumer::{LogConsumer, Polled};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long the brokers may say nothing while the log is read.
const SILENCE_MAX: Duration = Duration::from_secs(30);

type Missing = BTreeMap<SkuId, BTreeSet<u64>>;

/// What is missing, with what is known about it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) gaps: BTreeMap<SkuId, Vec<Gap>>,
    /// Holds that the log does not have.
    pub(super) orphans: BTreeMap<SkuId, Vec<Hold>>,
}

impl Found {
    /// Whether something of it is being settled.
    pub(super) fn is_settling(&self) -> bool {
        let settling = |gap: &Gap| gap.known.as_ref().is_some_and(|known| known.case == Case::Settling);
        self.gaps.values().flatten().any(settling)
    }

    /// Forgets what is not missing any more.
    pub(super) fn keep(&mut self, missing: &Missing) {
        let is_missing = |sku_id: &SkuId, seq: u64| missing.get(sku_id).is_some_and(|numbers| numbers.contains(&seq));
        self.gaps.retain(|sku_id, gaps| {
            gaps.retain(|gap| is_missing(sku_id, gap.seq));
            !gaps.is_empty()
        });
        self.orphans.retain(|sku_id, holds| {
            holds.retain(|hold| is_missing(sku_id, hold.seq));
            !holds.is_empty()
        });
    }

    fn note(&mut self, sku_id: SkuId, seq: u64, known: Option<Known>) {
        let gaps = self.gaps.entry(sku_id).or_default();
        if !gaps.iter().any(|gap| gap.seq == seq) {
            gaps.push(Gap { seq, known });
        }
    }

    fn is_known(&self, sku_id: SkuId, seq: u64) -> bool {
        self.gaps.get(&sku_id).is_some_and(|gaps| gaps.iter().any(|gap| gap.seq == seq))
    }
}

/// How far the log has been read for what is missing: a gap that stays is not looked for again in all of it.
#[derive(Debug, Default)]
pub(super) struct Searched {
    epoch: Option<Epoch>,
    missing: Missing,
    /// Per partition, the offset behind the last record that was read.
    upto: BTreeMap<i32, u64>,
    told: Vec<(Told, String)>,
}

impl Searched {
    /// Nothing has been read, and up to here nothing has to be.
    pub(super) fn until(upto: BTreeMap<i32, u64>) -> Self {
        Self { upto, ..Self::default() }
    }

    /// Whether all of this was looked for, in a log that has only become longer.
    pub(super) fn covers(&self, epoch: Epoch, missing: &Missing, ends: &[(i32, u64)]) -> bool {
        let looked_for = |(sku_id, numbers): (&SkuId, &BTreeSet<u64>)| {
            self.missing.get(sku_id).is_some_and(|old| numbers.is_subset(old))
        };
        let read = |(id, upto): (&i32, &u64)| ends.iter().any(|(other, end)| other == id && end >= upto);
        self.epoch == Some(epoch) && missing.iter().all(looked_for) && self.upto.iter().all(read)
    }
}

/// A stock change that a record of the log tells of.
#[derive(Debug)]
struct Told {
    sku_id: SkuId,
    seq: u64,
    order_id: OrderId,
    state: OrderState,
    quantity: u32,
}

/// Those of the missing stock changes that a record tells of: its own, and the reservation that it carries.
fn told(payload: &[u8], epoch: Epoch, missing: &Missing) -> Vec<Told> {
    let Ok(event) = Event::decode(payload) else { return Vec::new() };
    let Body::Order { state, seq, order, .. } = event.body else { return Vec::new() };
    if event.epoch != epoch {
        return Vec::new();
    }
    let changes = [(seq, state), (order.seq, OrderState::Reserved)];
    let wanted = |seq: u64| missing.get(&order.sku_id).is_some_and(|numbers| numbers.contains(&seq));
    let of = changes.into_iter().filter(|(seq, _)| wanted(*seq)).map(|(seq, state)| Told {
        sku_id: order.sku_id,
        seq,
        order_id: order.order_id,
        state,
        quantity: order.quantity,
    });
    of.collect()
}

impl Told {
    fn known(&self, case: Case) -> Known {
        Known { order_id: self.order_id, state: self.state, quantity: self.quantity, case }
    }
}

impl Reconcile {
    /// Looks for what is missing. `ends` is where the log ended after everything that could still come had come; the log is
    /// read on from where it was `before`. Also returns how far it has been read now.
    pub(super) async fn search(
        &self,
        cut: &Cut,
        missing: &Missing,
        ends: &[(i32, u64)],
        before: Searched,
    ) -> Result<(Found, Searched), ReconcileError> {
        let mut found = Found::default();
        let epoch = cut.fence.epoch;
        self.search_letters(epoch, missing, &mut found).await?;
        let Searched { upto, mut told, .. } = before;
        let from = ends.iter().map(|(id, end)| (*id, upto.get(id).copied().unwrap_or(0).min(*end))).collect();
        let (kafka, missing_too, ends_too) = (self.options.parts.kafka.clone(), missing.clone(), ends.to_vec());
        let read = move || search_log(&kafka, from, &ends_too, epoch, &missing_too);
        told.extend(tokio::task::spawn_blocking(read).await??);
        told.retain(|(told, _)| missing.get(&told.sku_id).is_some_and(|numbers| numbers.contains(&told.seq)));
        for (told, origin) in &told {
            let case = Case::Logged { origin: origin.clone() };
            found.note(told.sku_id, told.seq, Some(told.known(case)));
        }
        for (sku_id, numbers) in missing {
            self.search_gate(*sku_id, numbers, &mut found).await?;
            for seq in numbers {
                found.note(*sku_id, *seq, None);
            }
            if let Some(gaps) = found.gaps.get_mut(sku_id) {
                gaps.sort_unstable_by_key(|gap| gap.seq);
            }
        }
        let upto = ends.iter().copied().collect();
        Ok((found, Searched { epoch: Some(epoch), missing: missing.clone(), upto, told }))
    }

    async fn search_letters(&self, epoch: Epoch, missing: &Missing, found: &mut Found) -> Result<(), ReconcileError> {
        let parts = &self.options.parts;
        let desk = Desk::open(&ProjectorOptions { kafka: parts.kafka.clone(), mysql: parts.mysql.clone() });
        let events = desk.events_topic();
        let shelf = desk.letters(move |origin, status| origin.topic == events && status != LetterStatus::Replayed);
        for letter in shelf.await?.letters {
            let origin = format!("{}/{}", letter.parked.partition, letter.parked.offset);
            let dropped = letter.status() == LetterStatus::Dropped;
            for told in told(&letter.parked.payload().unwrap_or_default(), epoch, missing) {
                let case = Case::Parked { origin: origin.clone(), dropped };
                found.note(told.sku_id, told.seq, Some(told.known(case)));
            }
        }
        Ok(())
    }

    async fn search_gate(
        &self,
        sku_id: SkuId,
        numbers: &BTreeSet<u64>,
        found: &mut Found,
    ) -> Result<(), ReconcileError> {
        let wanted = |seq: u64| numbers.contains(&seq);
        let keys = self.keys(sku_id);
        let traces = self.gate.traces(
            &keys,
            |hold| wanted(hold.seq),
            |settling| wanted(settling.seq) || wanted(settling.hold.seq),
        );
        let traces = traces.await?;
        let known = |hold: &Hold, state, case| Known { order_id: hold.order_id, state, quantity: hold.quantity, case };
        for settling in &traces.settlements {
            for (seq, state) in [(settling.seq, settling.state), (settling.hold.seq, OrderState::Reserved)] {
                if wanted(seq) {
                    found.note(sku_id, seq, Some(known(&settling.hold, state, Case::Settling)));
                }
            }
        }
        for hold in traces.holds {
            if !found.is_known(sku_id, hold.seq) {
                found.note(sku_id, hold.seq, Some(known(&hold, OrderState::Reserved, Case::Held)));
                found.orphans.entry(sku_id).or_default().push(hold);
            }
        }
        Ok(())
    }
}

/// Reads the log from one place to another; blocks.
fn search_log(
    kafka: &KafkaSettings,
    from: Vec<(i32, u64)>,
    ends: &[(i32, u64)],
    epoch: Epoch,
    missing: &Missing,
) -> Result<Vec<(Told, String)>, ReconcileError> {
    let end_of = |partition: i32| ends.iter().find(|(other, _)| *other == partition).map_or(0, |(_, end)| *end);
    let mut unread: BTreeSet<i32> = from.iter().filter(|(id, at)| *at < end_of(*id)).map(|(id, _)| *id).collect();
    let log = LogConsumer::standalone(kafka)?;
    log.read_from(&from)?;
    let (mut found, mut heard) = (Vec::new(), Instant::now());
    while !unread.is_empty() {
        match log.poll(Duration::from_millis(200))? {
            Polled::Record(record) => {
                heard = Instant::now();
                let (partition, offset) = (record.partition(), record.offset());
                let origin = format!("{partition}/{offset}");
                found.extend(told(record.payload(), epoch, missing).into_iter().map(|told| (told, origin.clone())));
                if offset + 1 >= end_of(partition) {
                    unread.remove(&partition);
                }
            }
            // The end of a partition is not before the one that was noted.
            Polled::End(partition) => drop(unread.remove(&partition)),
            Polled::Nothing if heard.elapsed() > SILENCE_MAX => {
                return Err(CatchUpError::Timeout(SILENCE_MAX, Some("reading the log again".to_owned())).into());
            }
            Polled::Nothing => {}
        }
    }
    Ok(found)
}
