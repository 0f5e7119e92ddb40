//! After the faults: wait until everything is quiet (P3 says how long that may take), buy whatever is left, and read the
//! testimonies.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use flash_witness::{
    Gate, Log, Terms, Testimonies, View, Violation, WitnessError, gate, judge, log::Record, read_log, view,
};
use tokio::{task::JoinSet, time::sleep};

use super::{
    buyers::{self, Book, HOLD_MAX_MS, SALE, Wish},
    dice::Dice,
    wire::Line,
};

/// P3: a unit is back within hold time + 30 s after any crash.
pub(super) const BACK_WITHIN: Duration = Duration::from_millis(HOLD_MAX_MS + 30_000);
/// How long the last tickets may take to be sold, once everything is quiet.
const SALE_WITHIN: Duration = Duration::from_secs(30);
/// Buyers per SKU of the last tickets.
const LAST_BUYERS: u64 = 10;

/// Where the witness looks.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) view: view::ViewAddress,
    pub(super) redis: Vec<String>,
    /// In front of every key in Redis.
    pub(super) prefix: String,
}

impl Places {
    async fn gate(&self) -> Result<Gate, WitnessError> {
        let skus = SALE.map(|item| item.sku_id);
        gate::read(&self.redis, &self.prefix, &skus).await
    }

    /// What is not quiet yet, in words; `None` when all is.
    async fn unquiet(&self) -> Result<Option<String>, WitnessError> {
        let gate = self.gate().await?;
        for item in SALE {
            let Some(stock) = gate.stocks.get(&item.sku_id) else {
                return Ok(Some(format!("SKU {} is not in Redis", item.sku_id)));
            };
            if !stock.is_quiet() || stock.available + stock.sold != i64::from(item.capacity) {
                let counts = (&stock.epoch, stock.available, stock.held, stock.sold, stock.closing);
                return Ok(Some(format!("SKU {}: epoch, available, held, sold, closing are {counts:?}", item.sku_id)));
            }
        }
        let ends = read_log::ends(&self.brokers, &self.topic).await?;
        let pool = view::connect(&self.view).await?;
        let applied = view::applied(&pool, &self.topic).await;
        pool.close().await;
        let applied = applied?;
        let behind = |(partition, end): &(&i32, &i64)| applied.get(*partition).copied().unwrap_or(0) != **end;
        Ok(ends.iter().find(behind).map(|(partition, end)| {
            format!("partition {partition} is applied up to {:?} of {end}", applied.get(partition))
        }))
    }

    /// Waits until nothing is held, on its way or behind; says how long it took, or what was left after `patience`.
    pub(super) async fn quiet(&self, patience: Duration) -> Result<Duration, String> {
        let started = Instant::now();
        loop {
            let reason = match self.unquiet().await {
                Ok(None) => return Ok(started.elapsed()),
                Ok(Some(reason)) => reason,
                Err(error) => error.to_string(),
            };
            if started.elapsed() > patience {
                return Err(reason);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Reads everything and compares it with what was told.
    pub(super) async fn read(&self) -> Result<Testimony, WitnessError> {
        let pool = view::connect(&self.view).await?;
        let view = view::read(&pool, &self.topic).await;
        pool.close().await;
        // The log after MySQL: then it has everything that MySQL can have.
        let records = read_log::read(&self.brokers, &self.topic).await?;
        Ok(Testimony { log: Log::from_records(&records), records, view: view?, gate: self.gate().await? })
    }
}

/// What was read.
pub(super) struct Testimony {
    pub(super) records: Vec<Record>,
    pub(super) log: Log,
    pub(super) view: View,
    pub(super) gate: Gate,
}

impl Testimony {
    pub(super) fn judge(&self, book: &Book, sold_out: bool) -> Vec<Violation> {
        let applied = Log::until(&self.records, &self.view.applied);
        let told = book.list();
        let all = Testimonies {
            told: &told,
            log: &self.log,
            applied: applied.as_ref().unwrap_or(&self.log),
            view: &self.view,
            gate: Some(&self.gate),
        };
        judge(all, &Terms { sold_out, due: self.log.ends.clone(), ..Terms::default() })
    }
}

/// Buys and pays whatever is left of every SKU until it is sold out for good. Says which SKUs never said so.
pub(super) async fn buy_the_rest(addresses: Arc<[String]>, book: Arc<Book>, seed: u64) -> Vec<u64> {
    let started = Instant::now();
    let mut buyers = JoinSet::new();
    for item in SALE {
        for number in 0..LAST_BUYERS {
            let (addresses, book) = (addresses.clone(), book.clone());
            buyers.spawn(async move {
                let mut line = Line::new(addresses, usize::try_from(number).unwrap_or(0));
                let mut dice = Dice::fork(seed, 10_000 + item.sku_id * 100 + number);
                let mut quantity = item.per_user;
                for count in 0.. {
                    let user_id = 1_000_000 + item.sku_id * 100_000 + number * 10_000 + count;
                    let key = format!("last-{count}");
                    let wish = Wish { user_id, item, quantity, key };
                    match buyers::ask(&mut line, &book, &mut dice, &wish).await {
                        Some(told) => _ = buyers::pay(&mut line, &book, &mut dice, &told).await,
                        None if line.said_final() => return None,
                        // Less than that may be left, or it is on hold by the others.
                        None => {
                            quantity = 1;
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                    if started.elapsed() > SALE_WITHIN {
                        break;
                    }
                }
                Some(item.sku_id)
            });
        }
    }
    let mut unsold = BTreeSet::new();
    while let Some(one) = buyers.join_next().await {
        unsold.extend(one.ok().flatten());
    }
    unsold.into_iter().collect()
}
