//! One virtual buyer: buys, is told, buys again, over one connection.
//!
//! Owns the behaviour of a buyer: a purchase is repeated with the same key while its outcome is unknown or
//! while the server asks to come back, and a share of purchases is repeated although the answer was clear.
//! Promise: a purchase that was sent ends in exactly one of told, refused, or a written-down doubt – also
//! when the thread ends in the middle of it.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::code::Code;
use crate::conn::{Connection, Fault};
use crate::tally::{Conflict, Doubt, Told};
use crate::worker::{Purchase, Worker};

/// Pause before the next attempt where the server gave none; doubled up to the longest.
const FIRST_PAUSE_MS: u64 = 20;
/// Longest pause that the buyer chooses itself.
const LONGEST_PAUSE_MS: u64 = 1_000;
/// A pause is slept in pieces, so that the end of the run is noticed.
const PAUSE_PIECE_MS: u64 = 50;

/// Buys until the run or this buyer's part in it is over.
pub(crate) async fn run(worker: Rc<Worker>, buyer: usize) {
    let mut line = Line { worker: Rc::clone(&worker), connection: None, failures: 0 };
    while worker.wants(buyer) {
        if !line.connect().await {
            continue;
        }
        let purchase = worker.next_purchase();
        settle(&mut line, purchase).await;
    }
    worker.leave(buyer);
}

/// Makes one purchase and stays with it until its outcome is clear or patience ends.
async fn settle(line: &mut Line, purchase: Purchase) {
    let worker = Rc::clone(&line.worker);
    let plan = &worker.shared.plan;
    let repeats = worker.dice.borrow_mut().chance(repeat_threshold(plan.retry_share));
    let first_sent = Instant::now();
    let mut open = OpenPurchase { worker: &worker, purchase, in_doubt: false };
    let mut attempt = 0;
    while attempt < plan.max_attempts {
        if !line.connect().await {
            if worker.is_over() && !(open.in_doubt && worker.may_settle()) {
                return;
            }
            continue;
        }
        attempt += 1;
        // From the first byte on, an end of this task leaves a doubt behind.
        let was_in_doubt = std::mem::replace(&mut open.in_doubt, true);
        let answer = line.exchange(purchase).await;
        open.in_doubt = was_in_doubt || answer.code.leaves_doubt();
        note(&worker, purchase, answer, first_sent);
        if answer.code == Code::Won {
            open.in_doubt = false;
            let told = tell(&worker, purchase, answer);
            if repeats {
                check_replay(line, purchase, told).await;
            }
            return;
        }
        if !answer.code.leaves_doubt() && !answer.code.asks_to_return() {
            open.refuse(answer.code);
            if repeats && attempt == 1 && !worker.is_over() {
                continue;
            }
            return;
        }
        if worker.is_over() && !open.in_doubt {
            return;
        }
        pause(&worker, answer.retry_after_ms, attempt).await;
        if worker.is_over() && !(open.in_doubt && worker.may_settle()) {
            return;
        }
    }
}

/// A purchase under way. Dropped in doubt, it is written down as unsettled.
struct OpenPurchase<'a> {
    worker: &'a Worker,
    purchase: Purchase,
    in_doubt: bool,
}

impl OpenPurchase<'_> {
    /// A clear refusal ends the doubt; if there was one, both are written down.
    fn refuse(&mut self, code: Code) {
        if std::mem::take(&mut self.in_doubt) {
            self.write(Some(code));
        }
    }

    fn write(&self, refused: Option<Code>) {
        let sku_id = self.worker.shared.plan.skus[self.purchase.sku].sku_id;
        let doubt = Doubt { user_id: self.purchase.user_id, key: self.purchase.key, sku_id, refused };
        self.worker.tally.borrow_mut().doubts.push(doubt);
    }
}

impl Drop for OpenPurchase<'_> {
    fn drop(&mut self) {
        if self.in_doubt {
            self.write(None);
        }
    }
}

/// Counts an answer. A win is measured from the buyer's first attempt: waiting in doubt is waiting.
fn note(worker: &Worker, purchase: Purchase, answer: Answer, first_sent: Instant) {
    let now = Instant::now();
    let at_us = worker.shared.us_since_start(now.into_std());
    let waited_us = u64::try_from(now.saturating_duration_since(first_sent).as_micros()).unwrap_or(u64::MAX);
    let mut tally = worker.tally.borrow_mut();
    tally.count(answer.code, at_us, waited_us);
    match answer.code {
        Code::Won => worker.shared.mark(purchase.sku, false, at_us),
        Code::SoldOut => {
            worker.shared.mark(purchase.sku, true, at_us);
            tally.final_sold_out += u64::from(answer.is_final);
        }
        _ => {}
    }
}

/// Writes down what the buyer was told.
fn tell(worker: &Worker, purchase: Purchase, answer: Answer) -> Told {
    let plan = &worker.shared.plan;
    let told = Told {
        order_id: answer.order_id,
        reservation_id: answer.reservation_id,
        user_id: purchase.user_id,
        key: purchase.key,
        sku_id: plan.skus[purchase.sku].sku_id,
        quantity: plan.quantity,
    };
    worker.tally.borrow_mut().told.push(told);
    told
}

/// Repeats a won purchase with its key: the answer must be the same reservation.
async fn check_replay(line: &mut Line, purchase: Purchase, told: Told) {
    if !line.connect().await {
        return;
    }
    let answer = line.exchange(purchase).await;
    let mut tally = line.worker.tally.borrow_mut();
    let replays = &mut tally.replays;
    replays.sent += 1;
    let same = (answer.order_id, answer.reservation_id) == (told.order_id, told.reservation_id);
    match answer.code {
        Code::Won if same => {
            replays.same += 1;
            replays.marked += u64::from(answer.replayed);
        }
        Code::Won | Code::SoldOut | Code::LimitReached | Code::KeyReused | Code::SaleClosed => {
            replays.conflicting += 1;
            let second = (answer.code == Code::Won).then_some((answer.order_id, answer.reservation_id));
            tally.conflicts.push(Conflict { first: told, second, code: answer.code });
        }
        // An expired reservation is an honest answer; everything else says nothing about the key.
        _ => replays.unclear += 1,
    }
}

/// A buyer's connection, reopened when needed.
struct Line {
    worker: Rc<Worker>,
    connection: Option<Connection>,
    failures: u32,
}

impl Line {
    /// True if there is a connection. After a failed connect it pauses and answers false.
    async fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        let shared = &self.worker.shared;
        let opened = Connection::open(shared.target.address, shared.plan.request_timeout()).await;
        match opened {
            Ok(connection) => {
                self.connection = Some(connection);
                self.failures = 0;
                self.worker.tally.borrow_mut().connections.opened += 1;
                true
            }
            Err(_) => {
                self.worker.tally.borrow_mut().connections.failed += 1;
                self.failures = self.failures.saturating_add(1);
                pause(&self.worker, None, self.failures).await;
                false
            }
        }
    }

    /// Sends the purchase and waits for its answer; a connection that cannot go on is dropped.
    async fn exchange(&mut self, purchase: Purchase) -> Answer {
        let Some(connection) = self.connection.as_mut() else { return Answer::none(Code::ConnectionLost) };
        let result = trade(&self.worker, connection, purchase).await;
        let answer = result.unwrap_or_else(|fault| Answer::none(fault.into()));
        if answer.closes {
            self.connection = None;
            let connections = &mut self.worker.tally.borrow_mut().connections;
            match result {
                Ok(_) => connections.closed_by_server += 1,
                Err(_) => connections.lost += 1,
            }
        }
        answer
    }
}

/// One request, one response.
async fn trade(worker: &Worker, connection: &mut Connection, purchase: Purchase) -> Result<Answer, Fault> {
    let deadline = Instant::now() + worker.shared.plan.request_timeout();
    worker.spend_request();
    {
        let mut tally = worker.tally.borrow_mut();
        tally.requests += 1;
        if tally.first_request_us.is_none() {
            tally.first_request_us = Some(worker.shared.now_us());
        }
    }
    let rest = send(worker, connection, purchase)?;
    if !rest.is_empty() {
        connection.send_rest(&rest, deadline).await?;
    }
    connection.receive(&worker.scratch, deadline, Answer::read).await
}

/// Writes the request; returns what the socket did not take, almost always nothing.
fn send(worker: &Worker, connection: &Connection, purchase: Purchase) -> Result<Vec<u8>, Fault> {
    let mut templates = worker.templates.borrow_mut();
    let bytes = templates[purchase.sku].fill(purchase.user_id, purchase.key);
    let written = connection.send_now(bytes)?;
    // An empty Vec does not allocate.
    Ok(bytes[written..].to_vec())
}

/// Waits as long as the server advised (up to the plan's bound), or a growing while of its own; ends early
/// when a run that is over has no more patience.
async fn pause(worker: &Worker, advised_ms: Option<u64>, attempt: u32) {
    let own_ms = (FIRST_PAUSE_MS << attempt.saturating_sub(1).min(6)).min(LONGEST_PAUSE_MS);
    let base_ms = advised_ms.map_or(own_ms, |ms| ms.min(worker.shared.plan.max_retry_wait_ms));
    // Up to a quarter more, so that buyers sent away together do not return together.
    let jitter_ms = worker.dice.borrow_mut().next() % (base_ms / 4 + 1);
    let until = Instant::now() + Duration::from_millis(base_ms + jitter_ms);
    while Instant::now() < until && worker.may_settle() {
        let piece = Duration::from_millis(PAUSE_PIECE_MS);
        sleep(piece.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

/// A share as a threshold for 32 random bits.
fn repeat_threshold(share: f64) -> u64 {
    // Bounded by 2^32 through the plan's check, so nothing is cut off.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= share <= 1")]
    let threshold = (share * 4_294_967_296.0) as u64;
    threshold
}
