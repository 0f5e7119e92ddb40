//! Settling holds: confirm, cancel, sweep, and finishing what was begun.

use super::reply::{Reply, hold, settlement, text, unexpected};
use super::scripts::{CLAIM, CONFIRM, Call, RELEASE};
use super::{Fence, Gate, SkuKeys, StockError};
use flash_core::ids::{OrderId, UserId};
use flash_core::payment::Payment;
use flash_core::settlement::{Cancel, Confirm, Settlement};

/// What a sweep of one SKU took, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Redis' clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// When the earliest of what is left is due; `None`: nothing is left.
    pub next_ms: Option<u64>,
    /// Length of a hold: what is reserved later is not due before `now_ms` plus this.
    pub hold_ms: u64,
    /// What was taken: holds that had ended, and settlements that somebody else left unfinished.
    pub taken: Vec<Settlement>,
}

impl Gate {
    /// Begins to confirm an order (`lua/confirm.lua`).
    ///
    /// # Errors
    /// [`StockError`]; after [`StockError::Unknown`] it may have begun, and asking again finds out.
    pub async fn confirm(
        &self,
        keys: &SkuKeys,
        fence: &Fence,
        order_id: OrderId,
        payment: &Payment,
    ) -> Result<Confirm, StockError> {
        let mut call = settling(&CONFIRM, keys, fence);
        call.arg(order_id.get()).arg(payment.payment_id.as_str()).arg(payment.amount_minor);
        call.arg(payment.paid_order.get());
        let mut reply = Reply::open(self.run(&call).await?)?;
        let word = reply.next()?;
        let word = text(&word).ok_or_else(|| unexpected("confirm"))?;
        if word == "GONE" {
            return Ok(Confirm::Gone);
        }
        let entry = reply.next()?;
        let entry = text(&entry).ok_or_else(|| unexpected("confirm"))?;
        match word {
            "CLOSING" => settlement(entry).map(Confirm::Settling),
            "EXPIRED" => hold(entry).map(Confirm::Expired),
            "AMOUNT" => hold(entry).map(Confirm::Amount),
            _ => None,
        }
        .ok_or_else(|| unexpected("confirm"))
    }

    /// Begins to cancel an order (`lua/claim.lua`), if it is `user`'s.
    ///
    /// # Errors
    /// [`StockError`]; after [`StockError::Unknown`] it may have begun, and asking again finds out.
    pub async fn cancel(
        &self,
        keys: &SkuKeys,
        fence: &Fence,
        order_id: OrderId,
        user: Option<UserId>,
    ) -> Result<Cancel, StockError> {
        let mut call = settling(&CLAIM, keys, fence);
        call.arg("cancel").arg(order_id.get()).arg(user.map_or_else(String::new, |user| user.to_string()));
        let mut reply = Reply::open(self.run(&call).await?)?;
        match text(&reply.next()?) {
            Some("CLOSING") => {
                let entry = reply.next()?;
                text(&entry).and_then(settlement).map(Cancel::Settling).ok_or_else(|| unexpected("cancel"))
            }
            Some("EXPIRED") => Ok(Cancel::Expired),
            Some("NOT_THEIRS") => Ok(Cancel::NotTheirs),
            Some("GONE") => Ok(Cancel::Gone),
            _ => Err(unexpected("cancel")),
        }
    }

    /// Begins to give back what has ended, and takes over what was begun more than `takeover_ms` ago and is not finished
    /// (`lua/claim.lua`); at most `most` orders.
    ///
    /// # Errors
    /// [`StockError`]; what was taken then is found again by the takeover.
    pub async fn take_due(
        &self,
        keys: &SkuKeys,
        fence: &Fence,
        most: usize,
        takeover_ms: u64,
    ) -> Result<Due, StockError> {
        let mut call = settling(&CLAIM, keys, fence);
        call.arg("due").arg(most).arg(takeover_ms);
        let mut reply = Reply::open(self.run(&call).await?)?;
        if text(&reply.next()?) != Some("OK") {
            return Err(unexpected("due"));
        }
        let (now_ms, next_ms, hold_ms) = (reply.number()?, reply.number()?, reply.number()?);
        let mut taken = Vec::with_capacity(reply.left());
        while reply.left() > 0 {
            let entry = reply.next()?;
            taken.push(text(&entry).and_then(settlement).ok_or_else(|| unexpected("due"))?);
        }
        Ok(Due { now_ms, next_ms: Some(next_ms).filter(|ms| *ms > 0), hold_ms, taken })
    }

    /// Finishes settlements whose events the log has acknowledged (`lua/release.lua`): returns Redis' clock and how many were
    /// still ours to finish.
    ///
    /// # Errors
    /// [`StockError`]; what is left unfinished is taken over by a sweeper.
    pub async fn finish(
        &self,
        keys: &SkuKeys,
        fence: &Fence,
        settled: &[&Settlement],
    ) -> Result<(u64, u64), StockError> {
        let mut call = Call::new(&RELEASE, 4 + settled.len());
        call.arg(&keys.stock).arg(&keys.buyers).arg(&keys.closing).arg(&keys.closings);
        for Settlement { hold, .. } in settled {
            call.arg(keys.answer(hold.user_id, &hold.idempotency_key));
        }
        call.fence(fence);
        for settlement in settled {
            call.arg(settlement.hold.order_id.get()).arg(&settlement.token);
        }
        let mut reply = Reply::open(self.run(&call).await?)?;
        if text(&reply.next()?) != Some("OK") {
            return Err(unexpected("release"));
        }
        Ok((reply.number()?, reply.number()?))
    }
}

/// A call with the keys and the fence that confirming and claiming share.
fn settling(script: &'static std::sync::LazyLock<super::scripts::Script>, keys: &SkuKeys, fence: &Fence) -> Call {
    let mut call = Call::new(script, 5);
    call.arg(&keys.stock).arg(&keys.holds).arg(&keys.hold).arg(&keys.closing).arg(&keys.closings);
    call.fence(fence);
    call
}
