//! What becomes of an order: it is paid or cancelled by real calls.
//!
//! Owns those two calls. Never invents money: a payment is the price of the catalogue times the units, under an id that
//! belongs to the order – asking again can never pay twice.

use std::rc::Rc;

use crate::answer::{Settlement, settlement};
use crate::identity::key_text;
use crate::line::Line;
use crate::tally::{Ended, Ending, Told};
use crate::visit::{Errand, Next, pause_ms, return_after_ms};
use crate::worker::Worker;

/// Path of orders below the target's prefix.
const ORDERS_PATH: &str = "/api/v1/flash/orders";

/// An order that its buyer pays or cancels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settling {
    pub(crate) told: Told,
    pub(crate) sku: usize,
    pub(crate) pays: bool,
    pub(crate) attempt: u32,
    /// When it was first asked for.
    pub(crate) asked_us: Option<u64>,
}

impl Settling {
    /// Counts a settlement that nobody waits for any more.
    pub(crate) fn give_up(&self, worker: &Worker) {
        self.count(worker, |settled| &mut settled.unclear);
        self.note(worker, None);
    }

    /// Writes down what the buyer was told, for whoever judges; nothing if nothing was asked.
    fn note(&self, worker: &Worker, told: Option<Ended>) {
        let Some(asked_us) = self.asked_us else { return };
        let Told { order_id, key, .. } = self.told;
        let ending = Ending { order_id, key, pays: self.pays, asked_us, told, told_us: worker.shared.now_us() };
        worker.tally.borrow_mut().endings.push(ending);
    }

    fn count(&self, worker: &Worker, of: impl Fn(&mut crate::report::Settled) -> &mut u64) {
        let behaviour = &mut worker.tally.borrow_mut().behaviour;
        *of(if self.pays { &mut behaviour.paid } else { &mut behaviour.cancelled }) += 1;
    }

    /// Settlements are few compared with purchases, so their requests are simply written.
    fn request(&self, worker: &Worker) -> String {
        let Told { order_id, user_id, quantity, key, .. } = self.told;
        let (verb, body) = if self.pays {
            let amount = worker.shared.prices[self.sku].saturating_mul(u64::from(quantity));
            ("pay", format!("{{\"paymentId\":\"pay-{}\",\"amount\":{amount}}}", key_text(key)))
        } else {
            ("cancel", format!("{{\"userId\":\"{user_id}\"}}"))
        };
        let target = &worker.shared.target;
        format!(
            "POST {}{ORDERS_PATH}/{order_id}/{verb} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            target.prefix,
            target.authority,
            body.len(),
        )
    }
}

/// One attempt to settle.
pub(crate) async fn run(line: &mut Line, mut settling: Settling) -> Option<Next> {
    let worker = Rc::clone(&line.worker);
    let again = |settling, after_ms| Some(Next { errand: Errand::Settle(settling), after_ms });
    if !line.connect().await {
        return again(settling, pause_ms(&worker, None, line.failures));
    }
    settling.attempt += 1;
    settling.asked_us.get_or_insert_with(|| worker.shared.now_us());
    let mut open = OpenSettling { worker: &worker, settling: Some(settling) };
    let (pays, asked) = (settling.pays, settling.told.order_id);
    let read = |head, body: &[u8]| settlement(head, body, pays, asked);
    let answer = line.post(settling.request(&worker).as_bytes(), read).await;
    open.settling = None;
    let retry_after_ms = match answer {
        Ok(Settlement::Done(order)) => {
            settling.count(&worker, |settled| &mut settled.done);
            let paid = Ended::Paid(order.unwrap_or(settling.told.order_id));
            settling.note(&worker, Some(if settling.pays { paid } else { Ended::Cancelled }));
            return None;
        }
        Ok(Settlement::Refund) => {
            settling.count(&worker, |settled| &mut settled.refunds);
            settling.note(&worker, Some(Ended::Refund));
            return None;
        }
        Ok(Settlement::Refused) => {
            settling.count(&worker, |settled| &mut settled.refused);
            settling.note(&worker, Some(Ended::Refused));
            return None;
        }
        Ok(Settlement::Later(retry_after_ms)) => retry_after_ms,
        Err(_) => None,
    };
    if settling.attempt >= worker.shared.plan.max_attempts {
        settling.give_up(&worker);
        return None;
    }
    again(settling, return_after_ms(&worker, retry_after_ms, settling.attempt))
}

/// A settlement under way: dropped without an answer, it is counted as unclear.
struct OpenSettling<'a> {
    worker: &'a Worker,
    settling: Option<Settling>,
}

impl Drop for OpenSettling<'_> {
    fn drop(&mut self) {
        if let Some(settling) = self.settling {
            settling.give_up(self.worker);
        }
    }
}
