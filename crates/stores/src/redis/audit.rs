//! What an audit asks Redis: everything that can be compared about a SKU in one step, and the holds behind a difference.

use super::meters::Operation;
use super::reply::{Reply, hold, settlement, text, unexpected};
use super::scripts::{AUDIT, CLAIM, Call};
use super::{Fence, Gate, SkuKeys, StockError};
use flash_core::ids::OrderId;
use flash_core::reconcile::GateBooks;
use flash_core::settlement::Settlement;
use flash_core::stock::{Hold, Terms};
use redis::Value;
use std::collections::BTreeMap;

/// Up to so many holds, and settlements, are added up inside the one step: about a millisecond of Redis.
const ADDED_UP_MAX: usize = 1_000;

/// One look at a SKU for an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audited {
    /// Counters and what Redis has of holds and settlements. `opened_seq` is 0 if Redis does not say it.
    pub books: GateBooks,
    /// Whether Redis says at which sequence number the epoch began.
    pub has_opened_seq: bool,
    /// The terms it decides by.
    pub terms: Terms,
}

/// Holds and settlements that a walk has found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Holds.
    pub holds: Vec<Hold>,
    /// Settlements under way.
    pub settlements: Vec<Settlement>,
}

/// What came of giving a hold back before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Early {
    /// It was begun: record it, then finish it.
    Begun(Settlement),
    /// Its buyer has asked again lately: it may be in the log by now. Nothing was changed.
    Retried,
    /// It is not there any more. Nothing was changed.
    Gone,
}

impl Gate {
    /// Reads what an audit compares about a SKU (`lua/audit.lua`). Changes nothing.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn audit(&self, keys: &SkuKeys, fence: &Fence) -> Result<Audited, StockError> {
        let mut call = Call::new(&AUDIT, 5);
        call.arg(&keys.stock).arg(&keys.holds).arg(&keys.hold).arg(&keys.closing).arg(&keys.closings);
        call.fence(fence).arg(ADDED_UP_MAX);
        let mut reply = Reply::open(self.run(&call).await?)?;
        if text(&reply.next()?) != Some("OK") {
            return Err(unexpected("audit"));
        }
        let now_ms = reply.number()?;
        let (capacity, available, held) = (reply.signed()?, reply.signed()?, reply.signed()?);
        let (sold, closing, seq, opened) = (reply.signed()?, reply.signed()?, reply.signed()?, reply.signed()?);
        let terms = terms(&mut reply, capacity)?;
        let (holds, holds_by_expiry) = (reply.number()?, reply.number()?);
        let (settling, settling_by_age) = (reply.number()?, reply.number()?);
        let (hold_units, closing_units) = (reply.signed()?, reply.signed()?);
        let (first_expiry_ms, first_settling_ms) = (reply.number()?, reply.number()?);
        let books = GateBooks {
            now_ms,
            capacity,
            available,
            held,
            sold,
            closing,
            seq: u64::try_from(seq).unwrap_or(0),
            opened_seq: u64::try_from(opened).unwrap_or(0),
            holds,
            holds_by_expiry,
            settling,
            settling_by_age,
            hold_units: (hold_units >= 0).then_some(hold_units),
            closing_units: (closing_units >= 0).then_some(closing_units),
            first_expiry_ms,
            first_settling_ms,
        };
        Ok(Audited { books, has_opened_seq: opened >= 0, terms })
    }

    /// Walks over all holds and settlements of a SKU and picks some. What is there from the beginning to the end of the walk
    /// is seen; what comes or goes meanwhile may be.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn traces(
        &self,
        keys: &SkuKeys,
        wanted_hold: impl Fn(&Hold) -> bool,
        wanted_settlement: impl Fn(&Settlement) -> bool,
    ) -> Result<Traces, StockError> {
        // By order: a walk may show an entry twice.
        let (mut holds, mut settlements) = (BTreeMap::new(), BTreeMap::new());
        // Settlements last: a hold that becomes one meanwhile is then seen as either.
        let pick = |order: &str, details: &str| {
            let picked = hold(&format!("{order}:{details}")).filter(&wanted_hold);
            holds.extend(picked.map(|hold| (hold.order_id, hold)));
            Ok(())
        };
        self.walk(&keys.hold, usize::MAX, pick).await?;
        let pick = |order: &str, entry: &str| {
            let picked = settlement(&format!("{order}:{entry}")).filter(&wanted_settlement);
            settlements.extend(picked.map(|settling| (settling.hold.order_id, settling)));
            Ok(())
        };
        self.walk(&keys.closing, usize::MAX, pick).await?;
        Ok(Traces { holds: holds.into_values().collect(), settlements: settlements.into_values().collect() })
    }

    /// Which of these orders Redis knows: on hold, or being settled.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn knows(&self, keys: &SkuKeys, orders: &[OrderId]) -> Result<Vec<bool>, StockError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let mut asks = redis::pipe();
        for key in [&keys.hold, &keys.closing] {
            asks.cmd("HMGET").arg(key);
            for order in orders {
                asks.arg(order.get());
            }
        }
        let replies = self.pipeline(Operation::Read, &asks).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let [Value::Array(held), Value::Array(settling)] = replies.as_slice() else { return Err(unexpected("knows")) };
        Ok(held.iter().zip(settling).map(|(held, settling)| [held, settling] != [&Value::Nil; 2]).collect())
    }

    /// Begins to give back a hold that the log does not have and that nobody was given as an answer since a minute before
    /// `since_ms` by Redis' clock (`lua/claim.lua`, early).
    ///
    /// # Errors
    /// [`StockError`]; after [`StockError::Unknown`] it may have begun, and a sweeper takes it over.
    pub async fn take_early(
        &self,
        keys: &SkuKeys,
        fence: &Fence,
        orphan: &Hold,
        since_ms: u64,
    ) -> Result<Early, StockError> {
        let mut call = Call::new(&CLAIM, 6);
        call.arg(&keys.stock).arg(&keys.holds).arg(&keys.hold).arg(&keys.closing).arg(&keys.closings);
        call.arg(keys.answer(orphan.user_id, &orphan.idempotency_key));
        call.fence(fence).arg("early").arg(orphan.order_id.get()).arg(orphan.seq).arg(since_ms);
        let mut reply = Reply::open(self.run(&call).await?)?;
        match text(&reply.next()?) {
            Some("CLOSING") => {
                let entry = reply.next()?;
                text(&entry).and_then(settlement).map(Early::Begun).ok_or_else(|| unexpected("early"))
            }
            Some("RETRIED") => Ok(Early::Retried),
            Some("GONE") => Ok(Early::Gone),
            _ => Err(unexpected("early")),
        }
    }
}

fn terms(reply: &mut Reply, capacity: i64) -> Result<Terms, StockError> {
    let small = |number: i64| u32::try_from(number).unwrap_or(0);
    Ok(Terms {
        capacity: small(capacity),
        per_user: small(reply.signed()?),
        hold_ms: reply.signed()?.unsigned_abs(),
        opens_at_ms: reply.signed()?.unsigned_abs(),
        closes_at_ms: reply.signed()?.unsigned_abs(),
        paused: reply.signed()? != 0,
    })
}
