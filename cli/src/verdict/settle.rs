//! The wait for the drain, and the reading of the testimonies.
//!
//! Owns the rule when to look: when the projector has applied everything that the log had after the last answer, and Redis has
//! nothing on its way back – or when nothing has moved for the whole patience, and then what is missing is lost.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use flash_loadgen::Finished;
use flash_witness::{Log, WitnessError, gate, read_log, view};

use super::judge::{Testimony, judge};
use super::{Places, Verdict};

/// Between two looks.
const POLL: Duration = Duration::from_millis(250);
/// How often the stores are read again when they changed meanwhile.
const READS_MAX: usize = 4;

/// How the wait goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Events in the log.
    pub(crate) in_log: u64,
    /// Events that MySQL has applied.
    pub(crate) applied: u64,
    /// Orders that Redis is about to give back.
    pub(crate) closing: u64,
}

impl Settling {
    fn is_done(self) -> bool {
        self.applied >= self.in_log && self.closing == 0
    }
}

/// Waits for the drain until it is through, nothing has moved for `patience`, or `cut` resolves; then reads and judges.
pub(crate) async fn settle(
    places: &Places,
    finished: &Finished,
    patience: Duration,
    mut progress: impl FnMut(Settling),
    cut: impl Future<Output = ()>,
) -> Result<Verdict, WitnessError> {
    let started = Instant::now();
    let skus: Vec<u64> = finished.report.skus.iter().map(|sku| sku.sku_id).collect();
    let mut cut = std::pin::pin!(cut);
    let (mut last, mut moved) = (Settling::default(), Instant::now());
    let is_settled = loop {
        let out_of_patience = moved.elapsed() >= patience;
        match look(places, &skus).await {
            Ok(now) if now.is_done() => break true,
            Ok(now) => {
                if now != last {
                    (last, moved) = (now, Instant::now());
                }
                progress(now);
            }
            // A store that is away uses up patience like one in which nothing moves.
            Err(error) if out_of_patience => return Err(error),
            Err(_) => {}
        }
        if out_of_patience {
            break true;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = &mut cut => break false,
        }
    };
    let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (mut testimony, mut is_level) = read(places, &skus).await?;
    let mut reads = 1;
    // A projector that is behind what was read gets the rest of the patience; Redis that never rests, a few looks.
    while is_settled && ((!is_level && moved.elapsed() < patience) || (!testimony.is_still && reads < READS_MAX)) {
        reads += 1;
        tokio::time::sleep(POLL).await;
        (testimony, is_level) = read(places, &skus).await?;
    }
    testimony.is_settled = is_settled;
    Ok(judge(finished, &testimony, waited_ms))
}

async fn look(places: &Places, skus: &[u64]) -> Result<Settling, WitnessError> {
    let ends = read_log::ends(&places.brokers, &places.topic).await?;
    let pool = view::connect(&places.view).await?;
    let applied = view::applied(&pool, &places.topic).await;
    pool.close().await;
    let applied = applied?;
    let gate = gate::read(&places.redis, &places.prefix, skus).await?;
    let sum = |numbers: &mut dyn Iterator<Item = i64>| numbers.map(i64::unsigned_abs).sum();
    Ok(Settling {
        in_log: sum(&mut ends.values().copied()),
        // What is applied beyond the end was appended since.
        applied: sum(&mut ends.iter().map(|(id, end)| applied.get(id).copied().unwrap_or(0).min(*end))),
        closing: gate.stocks.values().map(|stock| stock.settling.len() as u64).sum(),
    })
}

/// Reads log and MySQL between two looks at Redis: if those are the same, all belong together. Also whether MySQL had applied all
/// that was read of the log: the ends by which [`look`] waits may be named too early by a broker, what was read is certain.
async fn read(places: &Places, skus: &[u64]) -> Result<(Testimony, bool), WitnessError> {
    let before = gate::read(&places.redis, &places.prefix, skus).await?;
    let records = read_log::read(&places.brokers, &places.topic).await?;
    let log = Log::from_records(&records);
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for record in &records {
        ends.insert(record.partition, record.offset + 1);
    }
    drop(records);
    let pool = view::connect(&places.view).await?;
    // The offsets first: what the rows show is then at least as new.
    let applied = view::applied(&pool, &places.topic).await;
    let view = view::read(&pool, &places.topic).await;
    pool.close().await;
    let (applied, mut view) = (applied?, view?);
    let is_level = ends.iter().all(|(id, end)| applied.get(id).is_some_and(|applied| applied >= end));
    // Only the SKUs of the run are judged, and only they are read from Redis.
    view.skus.retain(|sku, _| skus.contains(sku));
    let after = gate::read(&places.redis, &places.prefix, skus).await?;
    let is_still = before.stocks == after.stocks;
    let is_whole = skus.iter().all(|sku| after.stocks.contains_key(sku));
    Ok((Testimony { log, view, gate: is_whole.then_some(after), is_still, is_settled: false }, is_level))
}
