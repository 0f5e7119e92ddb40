//! Deciding, looking and configuring: the calls a daemon makes while it sells.

use super::reply::{Reply, hold, receipt, text, unexpected};
use super::scripts::{CAPACITY, CONFIGURE, Call, RESERVE, SNAPSHOT};
use super::{Fence, Gate, SkuKeys, StockError};
use flash_core::limits::{IDEMPOTENCY_TTL_MS, RATE_BURST, RATE_PER_SECOND};
use flash_core::stock::{Ask, Counters, Decision, Hold, Terms};
use redis::Value;

/// A batch of purchases of one SKU.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Key names of the SKU.
    pub keys: &'a SkuKeys,
    /// Under which epoch to decide.
    pub fence: &'a Fence,
    /// Price of one unit, in minor units.
    pub unit_price_minor: u64,
    /// The purchases, in arrival order; at most `LANE_BATCH_MAX`.
    pub asks: &'a [Ask],
}

/// What was decided about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Redis' clock at the decision, in milliseconds since 1970.
    pub now_ms: u64,
    /// The SKU's counters after the batch.
    pub counters: Counters,
    /// When the first hold ends, if nothing is available and something is held.
    pub first_expiry_ms: Option<u64>,
    /// How many buyers have ever won, if nothing is available; otherwise zero.
    pub winners: u64,
    /// When units last came back while none was available, by Redis' clock; zero if that never happened.
    pub restocked_ms: u64,
    /// One decision per ask, in order.
    pub decisions: Vec<Decision>,
}

/// One look at a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch field as it stands; may be a closing or loading mark.
    pub epoch: String,
    /// Redis' clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// Units that exist.
    pub capacity: u32,
    /// Counters.
    pub counters: Counters,
    /// When the first hold ends, if any.
    pub first_expiry_ms: Option<u64>,
    /// Live holds.
    pub holds: u64,
    /// Whether it was filled on the server that has it. If not, nothing is decided, whatever the epoch field says.
    pub at_home: bool,
}

/// What came of a change of capacity. The counters carry no sequence number: capacity is no stock change of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resized {
    /// It is as wanted.
    Done {
        /// The capacity before.
        before: u32,
        /// The counters now.
        counters: Counters,
    },
    /// More units are held, sold or on their way back than the wanted capacity. Nothing was changed.
    Below {
        /// The capacity, unchanged.
        before: u32,
        /// The counters.
        counters: Counters,
    },
}

impl Gate {
    /// Decides a batch (`lua/reserve.lua`).
    ///
    /// # Errors
    /// [`StockError`]; after [`StockError::Unknown`] some of the batch may hold units.
    pub async fn reserve(&self, batch: &Batch<'_>) -> Result<Reserved, StockError> {
        let Batch { keys, fence, unit_price_minor, asks } = batch;
        let mut call = Call::new(&RESERVE, 6 + asks.len());
        call.arg(&keys.stock).arg(&keys.holds).arg(&keys.hold).arg(&keys.buyers).arg(&keys.winners).arg(&keys.closing);
        for ask in *asks {
            call.arg(keys.answer(ask.user_id, &ask.idempotency_key));
        }
        call.fence(fence).arg(*unit_price_minor);
        call.arg(IDEMPOTENCY_TTL_MS).arg(RATE_BURST).arg(RATE_PER_SECOND);
        for ask in *asks {
            call.arg(ask.user_id.get()).arg(ask.quantity);
            // Who only wants an answer from before gets no order.
            if ask.replay_only {
                call.arg("");
            } else {
                call.arg(ask.order_id.get());
            }
            call.arg(ask.reservation_id.get());
        }
        let reply = self.run(&call).await?;
        read_reserved(reply, asks, *unit_price_minor)
    }

    /// Looks at a SKU (`lua/snapshot.lua`); `None` if Redis has no stock for it.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn snapshot(&self, keys: &SkuKeys) -> Result<Option<Snapshot>, StockError> {
        let mut call = Call::new(&SNAPSHOT, 2);
        call.arg(&keys.stock).arg(&keys.holds);
        let mut reply = Reply::open(self.run(&call).await?)?;
        if reply.left() == 0 {
            return Ok(None);
        }
        let epoch = text(&reply.next()?).ok_or_else(|| unexpected("epoch"))?.to_owned();
        let now_ms = reply.number()?;
        let capacity = reply.count()?;
        let counters = counters(&mut reply)?;
        let first_expiry_ms = Some(reply.number()?).filter(|ms| *ms > 0);
        let (holds, at_home) = (reply.number()?, reply.number()? == 1);
        Ok(Some(Snapshot { epoch, now_ms, capacity, counters, first_expiry_ms, holds, at_home }))
    }

    /// The buyers that won, from position `from` of the list on, at most `most` of them.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn winners(&self, keys: &SkuKeys, from: u64, most: u64) -> Result<Vec<u64>, StockError> {
        let mut range = redis::cmd("LRANGE");
        range.arg(&keys.winners).arg(from).arg((from + most).saturating_sub(1));
        let Value::Array(users) = self.query(&range).await? else { return Err(unexpected("winners")) };
        let users = users.iter().map(|user| text(user).and_then(|user| user.parse().ok()));
        users.collect::<Option<_>>().ok_or_else(|| unexpected("winner"))
    }

    /// Changes how many units of a SKU on sale exist (`lua/capacity.lua`). The same capacity again changes nothing.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn set_capacity(&self, keys: &SkuKeys, fence: &Fence, capacity: u32) -> Result<Resized, StockError> {
        let mut call = Call::new(&CAPACITY, 1);
        call.arg(&keys.stock).fence(fence).arg(capacity);
        let mut reply = Reply::open(self.run(&call).await?)?;
        let word = reply.next()?;
        let before = reply.count()?;
        let (available, held, sold, closing) = (reply.count()?, reply.count()?, reply.count()?, reply.count()?);
        let counters = Counters { available, held, sold, closing, seq: 0 };
        match text(&word) {
            Some("OK") => Ok(Resized::Done { before, counters }),
            Some("BELOW") => Ok(Resized::Below { before, counters }),
            _ => Err(unexpected("capacity")),
        }
    }

    /// Changes the terms of a SKU on sale, never its stock (`lua/configure.lua`). `terms.capacity` is not looked at.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn configure(&self, keys: &SkuKeys, fence: &Fence, terms: &Terms) -> Result<(), StockError> {
        let mut call = Call::new(&CONFIGURE, 1);
        call.arg(&keys.stock).fence(fence);
        call.arg(terms.per_user).arg(terms.hold_ms).arg(terms.opens_at_ms).arg(terms.closes_at_ms);
        call.arg(u8::from(terms.paused));
        let reply = self.run(&call).await?;
        if text(&reply) == Some("OK") { Ok(()) } else { Reply::open(reply).and(Err(unexpected("configure"))) }
    }
}

fn counters(reply: &mut Reply) -> Result<Counters, StockError> {
    Ok(Counters {
        available: reply.count()?,
        held: reply.count()?,
        sold: reply.count()?,
        closing: reply.count()?,
        seq: reply.number()?,
    })
}

/// The answer a key already has.
fn known(text: &str) -> Option<Decision> {
    match text.split_once(':')? {
        ("H", details) => hold(details).map(Decision::Replayed),
        ("C", told) => receipt(told).map(Decision::Kept),
        _ => None,
    }
}

fn read_reserved(reply: Value, asks: &[Ask], unit_price_minor: u64) -> Result<Reserved, StockError> {
    let mut reply = Reply::open(reply)?;
    if text(&reply.next()?) != Some("OK") {
        return Err(unexpected("reserve"));
    }
    let now_ms = reply.number()?;
    let hold_ms = reply.number()?;
    let counters = counters(&mut reply)?;
    let first_expiry_ms = Some(reply.number()?).filter(|ms| *ms > 0);
    let winners = reply.number()?;
    let restocked_ms = reply.number()?;
    if reply.left() != asks.len() {
        return Err(unexpected("one verdict per ask"));
    }
    let verdicts: Vec<Value> = (0..asks.len()).map(|_| reply.next()).collect::<Result<_, _>>()?;
    let wins = verdicts.iter().filter(|verdict| matches!(verdict, Value::Int(0))).count() as u64;
    let mut seq = counters.seq.checked_sub(wins).ok_or_else(|| unexpected("sequence number"))?;
    let mut won = |ask: &Ask| {
        seq += 1;
        Hold {
            order_id: ask.order_id,
            reservation_id: ask.reservation_id,
            user_id: ask.user_id,
            quantity: ask.quantity,
            unit_price_minor,
            seq,
            reserved_at_ms: now_ms,
            expires_at_ms: now_ms + hold_ms,
            idempotency_key: ask.idempotency_key.clone(),
        }
    };
    let decide = |(verdict, ask): (&Value, &Ask)| match verdict {
        Value::Int(0) => Ok(Decision::Won(won(ask))),
        Value::Int(2) => Ok(Decision::KeyReused),
        Value::Int(3) => Ok(Decision::RateLimited),
        Value::Int(4) => Ok(Decision::NotOpen),
        Value::Int(5) => Ok(Decision::Closed),
        Value::Int(6) => Ok(Decision::LimitReached),
        Value::Int(7) => Ok(Decision::SoldOut),
        Value::Int(8) => Ok(Decision::Expired),
        Value::Int(9) => Ok(Decision::Cancelled),
        Value::Int(10) => Ok(Decision::Paused),
        other => text(other).and_then(known).ok_or_else(|| unexpected("verdict")),
    };
    let decisions = verdicts.iter().zip(asks).map(decide).collect::<Result<_, _>>()?;
    Ok(Reserved { now_ms, counters, first_expiry_ms, winners, restocked_ms, decisions })
}
