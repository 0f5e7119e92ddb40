//! The wait for the drain, and the reading of the testimonies.
//!
//! Owns the rules when to look and in which order. A view may be compared only with a log that was read to at least where the view
//! stands, so: Redis first, MySQL in one snapshot, then the log, then Redis again. The log is then cut where MySQL stands. So a
//! system that goes on selling can be judged, and only what Redis alone can tell needs a moment of rest – of the run's SKUs.
//!
//! When: MySQL has applied what the log had after the last answer, and nothing of this run is on its way back in Redis – or
//! nothing of this has moved for the whole patience, and then what is missing is stuck. What others do is not waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use flash_loadgen::Finished;
use flash_witness::log::LogOrder;
use flash_witness::{Gate, Log, WitnessError, gate, read_log, view};

use super::judge::{Testimony, judge};
use super::{Places, Verdict};

/// Between two looks.
const POLL: Duration = Duration::from_millis(250);
/// How often the stores are read again when Redis changed meanwhile.
const READS_MAX: usize = 4;
/// How long a moment is waited for in which the run's SKUs do not change.
const REST_WITHIN: Duration = Duration::from_secs(15);

/// How the wait goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Events that the log had after the last answer.
    pub(crate) in_log: u64,
    /// Those that MySQL has applied.
    pub(crate) applied: u64,
    /// Orders of this run that Redis is about to give back.
    pub(crate) closing: u64,
}

impl Settling {
    fn is_done(self) -> bool {
        self.applied >= self.in_log && self.closing == 0
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// What was waited for has come.
    Done,
    /// Nothing moved for the whole patience.
    InVain,
    /// Cut short.
    Cut,
}

/// Waits for the drain until it is through, nothing has moved for `patience`, or `cut` resolves; then reads and judges.
///
/// # Errors
/// As the store that was away for the whole patience says.
pub(crate) async fn settle(
    places: &Places,
    finished: &Finished,
    patience: Duration,
    progress: impl FnMut(Settling),
    cut: impl Future<Output = ()>,
) -> Result<Verdict, WitnessError> {
    let started = Instant::now();
    let skus = finished.report.skus.iter().map(|sku| sku.sku_id).collect();
    let mut drain = Drain { places, finished, skus, patience, due: None, progress, cut: std::pin::pin!(cut) };
    let testimony = drain.testimony().await?;
    let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(judge(finished, &testimony, waited_ms))
}

/// One wait and its readings.
struct Drain<'a, P, C> {
    places: &'a Places,
    finished: &'a Finished,
    skus: Vec<u64>,
    patience: Duration,
    /// Where the log ended after the last answer: everything that this run was told stands before that.
    due: Option<BTreeMap<i32, i64>>,
    progress: P,
    cut: Pin<&'a mut C>,
}

impl<P: FnMut(Settling), C: Future<Output = ()>> Drain<'_, P, C> {
    async fn testimony(&mut self) -> Result<Testimony, WitnessError> {
        let (mut reads, mut failing) = (0, None);
        let mut rest_until = None;
        loop {
            let mut waited = self.drained().await?;
            if waited == Waited::Done {
                let until = *rest_until.get_or_insert_with(|| Instant::now() + REST_WITHIN);
                waited = self.rested(until).await;
            }
            let mut testimony = match self.read().await {
                Ok(testimony) => testimony,
                // A store that falls silent while it is read uses up the patience as well.
                Err(error) => {
                    let since: &mut Instant = failing.get_or_insert_with(Instant::now);
                    if waited == Waited::Cut || since.elapsed() >= self.patience || self.pause().await == Waited::Cut {
                        return Err(error);
                    }
                    continue;
                }
            };
            (reads, failing) = (reads + 1, None);
            if reads == 1 {
                // The ends by which was waited may be named too early by a broker; what was read is certain.
                self.expect(&testimony.log.ends);
            }
            testimony.due = self.due.clone().unwrap_or_default();
            testimony.is_settled = waited != Waited::Cut;
            let is_enough = testimony.is_level() && (testimony.moving.is_empty() || reads >= READS_MAX);
            if waited != Waited::Done || is_enough {
                return Ok(testimony);
            }
        }
    }

    fn expect(&mut self, ends: &BTreeMap<i32, i64>) {
        let due = self.due.get_or_insert_default();
        for (partition, end) in ends {
            let due = due.entry(*partition).or_default();
            *due = (*due).max(*end);
        }
    }

    async fn drained(&mut self) -> Result<Waited, WitnessError> {
        let (mut last, mut moved) = (Settling::default(), Instant::now());
        loop {
            let is_over = moved.elapsed() >= self.patience;
            match self.look().await {
                Ok(now) if now.is_done() => return Ok(Waited::Done),
                Ok(now) => {
                    if now != last {
                        (last, moved) = (now, Instant::now());
                    }
                    (self.progress)(now);
                }
                // A store that is away uses up patience like one in which nothing moves.
                Err(error) if is_over => return Err(error),
                Err(_) => {}
            }
            if is_over {
                return Ok(Waited::InVain);
            }
            if self.pause().await == Waited::Cut {
                return Ok(Waited::Cut);
            }
        }
    }

    async fn look(&mut self) -> Result<Settling, WitnessError> {
        if self.due.is_none() {
            let ends = read_log::ends(&self.places.brokers, &self.places.topic).await?;
            self.expect(&ends);
        }
        let pool = view::connect(&self.places.view).await?;
        let applied = view::applied(&pool, &self.places.topic).await;
        pool.close().await;
        let applied = applied?;
        let gate = self.gate().await?;
        let due = self.due.as_ref();
        let sum = |numbers: &mut dyn Iterator<Item = i64>| numbers.map(i64::unsigned_abs).sum();
        let applied = |id: &i32, due: i64| applied.get(id).copied().unwrap_or(0).min(due);
        let buyers = self.finished.report.first_user_id..=self.finished.report.last_user_id;
        let closing = gate.stocks.values().flat_map(|stock| stock.settling.values());
        Ok(Settling {
            in_log: sum(&mut due.iter().flat_map(|due| due.values().copied())),
            applied: sum(&mut due.iter().flat_map(|due| due.iter().map(|(id, due)| applied(id, *due)))),
            closing: closing.filter(|user| buyers.contains(user)).count() as u64,
        })
    }

    /// Waits until the run's SKUs are the same in two looks, though not for ever: others may be selling there.
    async fn rested(&mut self, until: Instant) -> Waited {
        let mut last: Option<Gate> = None;
        while Instant::now() < until {
            let now = self.gate().await.ok();
            let stocks = |gate: &'_ Option<Gate>| gate.as_ref().map(|gate| gate.stocks.clone());
            if now.is_some() && stocks(&last) == stocks(&now) {
                break;
            }
            last = now;
            if self.pause().await == Waited::Cut {
                return Waited::Cut;
            }
        }
        Waited::Done
    }

    async fn pause(&mut self) -> Waited {
        tokio::select! {
            () = tokio::time::sleep(POLL) => Waited::Done,
            () = &mut self.cut => Waited::Cut,
        }
    }

    async fn gate(&self) -> Result<Gate, WitnessError> {
        gate::read(&self.places.redis, &self.places.prefix, &self.skus).await
    }

    /// One reading of everything, in the order that the head of this file gives reasons for.
    async fn read(&self) -> Result<Testimony, WitnessError> {
        let before = self.gate().await?;
        let pool = view::connect(&self.places.view).await?;
        let view = view::read(&pool, &self.places.topic).await;
        pool.close().await;
        let mut view = view?;
        // Only the SKUs of the run are judged, and only they are read from Redis.
        view.skus.retain(|sku, _| self.skus.contains(sku));
        let records = read_log::read(&self.places.brokers, &self.places.topic).await?;
        let (log, applied) = (Log::from_records(&records), Log::until(&records, &view.applied));
        drop(records);
        let mut gate = self.gate().await?;
        let is_moving = |sku: &u64| before.stocks.get(sku) != gate.stocks.get(sku);
        let mut moving: BTreeSet<u64> = self.skus.iter().copied().filter(is_moving).collect();
        moving.extend(applied.iter().flat_map(|applied| ahead(&log, applied)).filter(|sku| self.skus.contains(sku)));
        // Until then the log is known: it was read later.
        gate.read_at_ms = before.read_at_ms;
        Ok(Testimony { log, applied, view, gate, moving, due: BTreeMap::new(), is_settled: false })
    }
}

/// SKUs of orders about which the log says more than MySQL has applied: Redis may know that already, MySQL does not.
fn ahead<'a>(log: &'a Log, applied: &'a Log) -> impl Iterator<Item = u64> + 'a {
    let is_ahead =
        |(id, order): &(&u64, &LogOrder)| applied.orders.get(id).map(|known| known.state) != Some(order.state);
    log.orders.iter().filter(is_ahead).map(|(_, order)| order.terms.sku_id)
}
