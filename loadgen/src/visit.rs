//! What a buyer does: buys, asks again, repeats, tries a second time.
//!
//! Owns the decisions of a buyer, one request at a time: every errand makes at most one request and says what comes next, and
//! when. So a buyer who pauses holds no connection in an open loop, and both loops behave alike.
//!
//! Promise: a purchase that was sent ends in exactly one of told, refused, or a written-down doubt, and every request in exactly
//! one outcome – also when the thread ends in the middle of it.

mod repeat;

use std::rc::Rc;

use crate::answer::Answer;
use crate::buyers::{Character, Intent};
use crate::code::Code;
use crate::fairness::Decided;
use crate::line::Line;
use crate::settle::{self, Settling};
use crate::tally::{Doubt, Told};
use crate::worker::{Purchase, Worker};

/// Pause before the next attempt where the server gave none; doubled up to the longest.
const FIRST_PAUSE_MS: u64 = 20;
/// Longest pause that the buyer chooses itself.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// One purchase by one user under one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) purchase: Purchase,
    pub(crate) character: Character,
    /// When it should begin, microseconds since the start.
    pub(crate) intended_us: u64,
    /// It stands in the schedule of an open loop.
    pub(crate) scheduled: bool,
    /// This user has come before: a second attempt, or a bot's next key.
    pub(crate) again: bool,
    /// Keys that a bot still has, this one not counted.
    pub(crate) keys_left: u32,
    /// When the first attempt was sent.
    pub(crate) first_sent_us: Option<u64>,
    pub(crate) attempt: u32,
    pub(crate) in_doubt: bool,
    /// The next attempt is a repetition of a clear refusal, not a wish to know.
    pub(crate) repeats_refusal: bool,
}

/// Something to do with one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Errand {
    /// Make the purchase, or ask again about it.
    Buy(Visit),
    /// Send a won purchase again, in this attempt: the answer must be the same.
    Repeat(Visit, Told, u32),
    /// Pay or cancel.
    Settle(Settling),
}

/// What comes next, and after which pause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next {
    pub(crate) errand: Errand,
    pub(crate) after_ms: u64,
}

impl Next {
    pub(crate) fn at_once(errand: Errand) -> Option<Self> {
        Some(Self { errand, after_ms: 0 })
    }
}

/// Does one errand.
pub(crate) async fn run(line: &mut Line, errand: Errand) -> Option<Next> {
    match errand {
        Errand::Buy(visit) => buy(line, visit).await,
        Errand::Repeat(visit, told, attempt) => repeat::run(line, visit, told, attempt).await,
        Errand::Settle(settling) => settle::run(line, settling).await,
    }
}

/// One attempt of a purchase.
async fn buy(line: &mut Line, visit: Visit) -> Option<Next> {
    let worker = Rc::clone(&line.worker);
    let mut open = OpenVisit { worker: &worker, visit, sent_us: None };
    let began_us = worker.shared.now_us();
    if !line.connect().await {
        note_no_connection(&worker, visit.intended_us, began_us);
        let after_ms = pause_ms(&worker, None, line.failures);
        return open.later(after_ms);
    }
    let sent_us = worker.shared.now_us();
    begin(&worker, &mut open.visit, sent_us);
    // From the first byte on, an end of this task leaves a doubt behind.
    let was_in_doubt = std::mem::replace(&mut open.visit.in_doubt, true);
    open.sent_us = Some(sent_us);
    let answer = line.buy(visit.purchase).await;
    open.sent_us = None;
    open.visit.in_doubt = was_in_doubt || answer.code.leaves_doubt();
    let now_us = note(&worker, &open.visit, answer, sent_us);
    let attempt = open.visit.attempt;
    if answer.code == Code::Won {
        open.visit.in_doubt = false;
        decided(&worker, &open.visit, now_us, true);
        let told = tell(&worker, &open.visit, answer);
        return after_win(&worker, open.visit, told);
    }
    if !answer.code.leaves_doubt() && !answer.code.asks_to_return() {
        open.refuse(answer.code);
        if open.visit.character.repeats && attempt == 1 && !worker.is_over() {
            open.visit.repeats_refusal = true;
            return open.later(0);
        }
        if answer.code == Code::SoldOut {
            decided(&worker, &open.visit, now_us, false);
        }
        return after_loss(&worker, open.visit, answer.code);
    }
    let patience = attempt < worker.shared.plan.max_attempts;
    if patience && (!worker.is_over() || (open.visit.in_doubt && worker.may_settle())) {
        return open.later(return_after_ms(&worker, answer.retry_after_ms, attempt));
    }
    worker.tally.borrow_mut().behaviour.given_up += 1;
    None
}

/// A purchase under way. Dropped in doubt, it is written down as unsettled.
struct OpenVisit<'a> {
    worker: &'a Worker,
    visit: Visit,
    /// When the request was sent that has no answer yet.
    sent_us: Option<u64>,
}

impl OpenVisit<'_> {
    /// Hands the purchase on: whoever holds it now writes down its doubt.
    fn later(&mut self, after_ms: u64) -> Option<Next> {
        let visit = self.visit;
        self.visit.in_doubt = false;
        Some(Next { errand: Errand::Buy(visit), after_ms })
    }

    /// A clear refusal ends the doubt; if there was one, both are written down.
    fn refuse(&mut self, code: Code) {
        if std::mem::take(&mut self.visit.in_doubt) {
            write_doubt(self.worker, self.visit.purchase, Some(code));
        }
    }
}

impl Drop for OpenVisit<'_> {
    fn drop(&mut self) {
        if let Some(sent_us) = self.sent_us {
            note(self.worker, &self.visit, Answer::none(Code::Unanswered), sent_us);
        }
        if self.visit.in_doubt {
            write_doubt(self.worker, self.visit.purchase, None);
        }
    }
}

fn write_doubt(worker: &Worker, purchase: Purchase, refused: Option<Code>) {
    let sku_id = worker.shared.plan.skus[purchase.sku].sku_id;
    let doubt = Doubt { user_id: purchase.user_id, key: purchase.key, sku_id, refused };
    worker.tally.borrow_mut().doubts.push(doubt);
}

/// Writes down what is left of an errand that nobody will do any more.
pub(crate) fn abandon(worker: &Worker, errand: &Errand) {
    match errand {
        Errand::Buy(visit) => {
            if visit.in_doubt {
                write_doubt(worker, visit.purchase, None);
            }
            if visit.attempt > 0 {
                worker.tally.borrow_mut().behaviour.given_up += 1;
            }
        }
        Errand::Repeat(..) => {}
        Errand::Settle(settling) => settling.give_up(worker),
    }
}

/// Counts an attempt that is about to be sent.
fn begin(worker: &Worker, visit: &mut Visit, sent_us: u64) {
    visit.attempt += 1;
    let mut tally = worker.tally.borrow_mut();
    if visit.first_sent_us.is_some() {
        let duplicate = std::mem::take(&mut visit.repeats_refusal);
        *if duplicate { &mut tally.behaviour.duplicates } else { &mut tally.behaviour.retries } += 1;
        return;
    }
    visit.first_sent_us = Some(sent_us);
    tally.moments.started(sent_us);
    tally.served.started += 1;
    tally.served.arrivals += u64::from(visit.scheduled);
    tally.served.visitors += u64::from(!visit.again);
    if worker.shared.roster.has_regulars() {
        tally.people.came(visit.purchase.user_id - worker.shared.base);
    }
    let bot = visit.character.bot;
    tally.behaviour.bots += u64::from(bot && !visit.again);
    tally.behaviour.bot_purchases += u64::from(bot);
    tally.behaviour.second_attempts += u64::from(visit.again && !bot);
}

/// Counts a purchase for which no connection could be opened.
pub(crate) fn note_no_connection(worker: &Worker, intended_us: u64, began_us: u64) {
    let now_us = worker.shared.now_us();
    let mut tally = worker.tally.borrow_mut();
    tally.requests += 1;
    tally.count(Code::ConnectFailed, now_us, now_us.saturating_sub(intended_us), now_us.saturating_sub(began_us));
}

/// Counts an answer and tells when it was read.
fn note(worker: &Worker, visit: &Visit, answer: Answer, sent_us: u64) -> u64 {
    let now_us = worker.shared.now_us();
    let sku = visit.purchase.sku;
    let mut tally = worker.tally.borrow_mut();
    tally.count(answer.code, now_us, now_us.saturating_sub(visit.intended_us), now_us.saturating_sub(sent_us));
    match answer.code {
        Code::Won => worker.shared.mark(sku, false, now_us),
        Code::SoldOut => {
            worker.shared.mark(sku, true, now_us);
            tally.final_sold_out += u64::from(answer.is_final);
        }
        _ => {}
    }
    now_us
}

/// Writes down when a purchase came and when it was decided.
fn decided(worker: &Worker, visit: &Visit, decided_us: u64, won: bool) {
    let arrived_us = visit.first_sent_us.unwrap_or(decided_us);
    let sku = u16::try_from(visit.purchase.sku).unwrap_or(u16::MAX);
    let mut tally = worker.tally.borrow_mut();
    tally.sampler.take(visit.purchase.key, Decided { arrived_us, decided_us, sku, won });
    let wins = u64::from(won);
    if visit.character.bot {
        tally.behaviour.bot_wins += wins;
    } else if visit.again {
        tally.behaviour.second_attempts_won += wins;
    }
}

/// Writes down what the buyer was told.
fn tell(worker: &Worker, visit: &Visit, answer: Answer) -> Told {
    let plan = &worker.shared.plan;
    let told = Told {
        order_id: answer.order_id,
        reservation_id: answer.reservation_id,
        user_id: visit.purchase.user_id,
        key: visit.purchase.key,
        sku_id: plan.skus[visit.purchase.sku].sku_id,
        quantity: plan.quantity,
        answered_us: worker.shared.now_us(),
        expires_at_ms: answer.expires_at_ms,
    };
    worker.tally.borrow_mut().told.push(told);
    told
}

fn after_win(worker: &Worker, visit: Visit, told: Told) -> Option<Next> {
    if visit.character.repeats {
        return Next::at_once(Errand::Repeat(visit, told, 1));
    }
    with_order(worker, visit, told)
}

/// What a buyer does with an order.
fn with_order(worker: &Worker, visit: Visit, told: Told) -> Option<Next> {
    if visit.character.bot {
        return next_key(worker, visit);
    }
    let mut tally = worker.tally.borrow_mut();
    let behaviour = &mut tally.behaviour;
    let pays = match visit.character.intent {
        Intent::Pay => true,
        Intent::Cancel => false,
        Intent::Abandon => {
            behaviour.abandoned += 1;
            return None;
        }
    };
    let settled = if pays { &mut behaviour.paid } else { &mut behaviour.cancelled };
    settled.wanted += 1;
    let settling = Settling { told, sku: visit.purchase.sku, pays, attempt: 0, asked_us: None };
    Some(Next { errand: Errand::Settle(settling), after_ms: visit.character.settle_after_ms })
}

fn after_loss(worker: &Worker, visit: Visit, code: Code) -> Option<Next> {
    if visit.character.bot {
        return next_key(worker, visit);
    }
    let after_ms = visit.character.second_after_ms.filter(|_| code == Code::SoldOut && !visit.again)?;
    let errand = Errand::Buy(fresh(worker, visit, after_ms));
    (!worker.is_over()).then_some(Next { errand, after_ms })
}

/// A bot goes on with its next key at once.
fn next_key(worker: &Worker, visit: Visit) -> Option<Next> {
    let keys_left = visit.keys_left.checked_sub(1).filter(|_| !worker.is_over())?;
    Next::at_once(Errand::Buy(Visit { keys_left, ..fresh(worker, visit, 0) }))
}

/// The same user again, under a new key.
fn fresh(worker: &Worker, visit: Visit, after_ms: u64) -> Visit {
    Visit {
        purchase: Purchase { key: worker.fresh_key(), ..visit.purchase },
        intended_us: worker.shared.now_us() + after_ms * 1_000,
        scheduled: false,
        again: true,
        first_sent_us: None,
        attempt: 0,
        in_doubt: false,
        ..visit
    }
}

/// The pause before coming back, and whether it is the one that the server asked for.
pub(crate) fn return_after_ms(worker: &Worker, advised_ms: Option<u64>, attempt: u32) -> u64 {
    if let Some(advised_ms) = advised_ms {
        let mut tally = worker.tally.borrow_mut();
        let behaviour = &mut tally.behaviour;
        let honoured = advised_ms <= worker.shared.plan.max_retry_wait_ms;
        let count = if honoured { &mut behaviour.retry_after_honoured } else { &mut behaviour.retry_after_cut_short };
        *count += 1;
    }
    pause_ms(worker, advised_ms, attempt)
}

/// As long as the server advised (up to the plan's bound), or a growing while of its own; up to a quarter more, so that
/// buyers sent away together do not return together.
pub(crate) fn pause_ms(worker: &Worker, advised_ms: Option<u64>, attempt: u32) -> u64 {
    let own_ms = (FIRST_PAUSE_MS << attempt.saturating_sub(1).min(6)).min(LONGEST_PAUSE_MS);
    let base_ms = advised_ms.map_or(own_ms, |ms| ms.min(worker.shared.plan.max_retry_wait_ms));
    base_ms + worker.dice.borrow_mut().within((0, base_ms / 4))
}
