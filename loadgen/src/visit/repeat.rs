//! A won purchase sent again with its key: whether the server stands by what it has said.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Errand, Next, Visit, note_no_connection, pause_ms, return_after_ms, with_order};
use crate::answer::Answer;
use crate::code::Code;
use crate::line::Line;
use crate::tally::{Conflict, Told};
use crate::worker::Worker;

/// By so much the server's clock, which tells when a hold ends, may differ from ours.
const CLOCK_DIFFERENCE_MS: u64 = 5_000;

/// Repeats a won purchase with its key: the answer must be the same reservation, and until there is a clear one it is asked for
/// again like any other.
pub(super) async fn run(line: &mut Line, visit: Visit, told: Told, attempt: u32) -> Option<Next> {
    let worker = Rc::clone(&line.worker);
    let began_us = worker.shared.now_us();
    if !line.connect().await {
        note_no_connection(&worker, began_us, began_us);
        let after_ms = pause_ms(&worker, None, line.failures);
        return Some(Next { errand: Errand::Repeat(visit, told, attempt), after_ms });
    }
    {
        let mut tally = worker.tally.borrow_mut();
        tally.behaviour.duplicates += 1;
        tally.replays.sent += 1;
        // Until there is an answer: the run may end before it comes.
        tally.replays.unclear += 1;
    }
    let answer = line.buy(visit.purchase).await;
    let unclear = compare(&worker, answer, told) == Repetition::Unclear;
    // Where the hold may have ended, asking again brings nothing new.
    let asks_again = unclear && answer.code != Code::ReservationExpired;
    if asks_again && attempt < worker.shared.plan.max_attempts && worker.may_settle() {
        let after_ms = return_after_ms(&worker, answer.retry_after_ms, attempt);
        return Some(Next { errand: Errand::Repeat(visit, told, attempt + 1), after_ms });
    }
    with_order(&worker, visit, told)
}

/// What an answer to a repeated key says about the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repetition {
    Same,
    Conflicting,
    Unclear,
}

impl Repetition {
    /// A key that was told "yes" hears the same "yes", or that its hold has ended; any other clear answer takes the first one back.
    fn of(answer: &Answer, told: &Told, now_ms: u64) -> Self {
        let same = (answer.order_id, answer.reservation_id) == (told.order_id, told.reservation_id);
        match answer.code {
            Code::Won if same => Self::Same,
            Code::Won | Code::SoldOut | Code::LimitReached | Code::KeyReused | Code::SaleClosed => Self::Conflicting,
            // A server that did not say when the hold ends may end it at any time.
            Code::ReservationExpired if now_ms.saturating_add(CLOCK_DIFFERENCE_MS) >= told.expires_at_ms => {
                Self::Unclear
            }
            code if code.leaves_doubt() || code.asks_to_return() => Self::Unclear,
            _ if answer.may_change || answer.retry_after_ms.is_some() => Self::Unclear,
            _ => Self::Conflicting,
        }
    }
}

fn compare(worker: &Worker, answer: Answer, told: Told) -> Repetition {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let repetition = Repetition::of(&answer, &told, u64::try_from(now_ms).unwrap_or(u64::MAX));
    let mut tally = worker.tally.borrow_mut();
    let replays = &mut tally.replays;
    match repetition {
        Repetition::Same => {
            replays.unclear -= 1;
            replays.same += 1;
            replays.marked += u64::from(answer.replayed);
        }
        Repetition::Conflicting => {
            replays.unclear -= 1;
            replays.conflicting += 1;
            let second = (answer.code == Code::Won).then_some((answer.order_id, answer.reservation_id));
            tally.conflicts.push(Conflict { first: told, second, code: answer.code });
        }
        Repetition::Unclear => {}
    }
    repetition
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Head;

    #[test]
    fn a_clear_refusal_takes_a_win_back_and_an_unclear_one_does_not() {
        const NOW_MS: u64 = 1_800_000_000_000;
        let told = Told { order_id: 7, reservation_id: 8, expires_at_ms: NOW_MS + 60_000, ..Told::default() };
        let of = |told: &Told, status, retry_after_ms, error: &str| {
            let body = format!(r#"{{"error":"{error}"}}"#);
            let head = Head { status, retry_after_ms, ..Head::default() };
            Repetition::of(&Answer::read(head, body.as_bytes()), told, NOW_MS)
        };
        for (status, error) in [
            (404, "ORDER_NOT_FOUND"),
            (404, "SKU_NOT_FOUND"),
            (400, "VALIDATION_ERROR"),
            (403, ""),
            (409, "SALE_NOT_OPEN"),
            (409, "LIMIT_REACHED"),
            (410, "SOLD_OUT"),
            (410, "RESERVATION_CANCELLED"),
            (410, "RESERVATION_EXPIRED"),
        ] {
            assert_eq!(of(&told, status, None, error), Repetition::Conflicting, "{status} {error}");
        }
        for (status, retry_after_ms, error) in [
            (408, None, "REQUEST_TIMEOUT"),
            (425, None, ""),
            (429, None, ""),
            (409, Some(1_000), "SALE_PAUSED"),
            (409, None, "REQUEST_IN_PROGRESS"),
            (423, Some(1_000), ""),
            (500, None, ""),
            (503, None, "STOCK_RECOVERING"),
            (200, None, ""),
        ] {
            assert_eq!(of(&told, status, retry_after_ms, error), Repetition::Unclear, "{status} {error}");
        }
        // A hold that may have ended has ended honestly: also by a clock that is a little ahead, or without a word about its end.
        for expires_at_ms in [NOW_MS - 1, NOW_MS + CLOCK_DIFFERENCE_MS, 0] {
            let held = Told { expires_at_ms, ..told };
            assert_eq!(of(&held, 410, None, "RESERVATION_EXPIRED"), Repetition::Unclear, "{expires_at_ms}");
        }
    }
}
