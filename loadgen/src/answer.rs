//! What a buyer learns from a response.
//!
//! Owns the reading of purchase answers: the few fields the engine needs, found by one pass over the flat
//! JSON object, without building a tree and without allocating.

use crate::code::Code;
use crate::frame::{Head, decimal};

/// A response, reduced to what the engine acts upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    /// For sold out: nothing will come back.
    pub(crate) is_final: bool,
    /// By its status the same request may be answered otherwise in a moment: 408, 425, 429.
    pub(crate) may_change: bool,
    /// The order, if the purchase was won.
    pub(crate) order_id: u64,
    /// The reservation, if the purchase was won.
    pub(crate) reservation_id: u64,
    /// When the hold ends, if the purchase was won and the server says so; otherwise 0.
    pub(crate) expires_at_ms: u64,
    /// Advice of the server, from Retry-After.
    pub(crate) retry_after_ms: Option<u64>,
    /// The server says that this is a repeated answer.
    pub(crate) replayed: bool,
    /// The connection cannot be used again.
    pub(crate) closes: bool,
}

impl Answer {
    /// An attempt that ended without an answer.
    pub(crate) fn none(code: Code) -> Self {
        Self {
            code,
            is_final: false,
            may_change: false,
            order_id: 0,
            expires_at_ms: 0,
            reservation_id: 0,
            retry_after_ms: None,
            replayed: false,
            closes: true,
        }
    }

    /// Reads a complete response.
    pub(crate) fn read(head: Head, body: &[u8]) -> Self {
        let mut answer = Self {
            retry_after_ms: head.retry_after_ms,
            replayed: head.replayed,
            closes: head.closes,
            ..Self::none(Code::UnexpectedStatus)
        };
        if head.status == 200 {
            answer.read_win(body);
        } else {
            answer.read_refusal(head.status, body);
        }
        answer
    }

    fn read_win(&mut self, body: &[u8]) {
        let (mut order_id, mut reservation_id, mut success) = (None, None, false);
        let whole = each_member(body, |name, value| match name {
            b"orderId" => order_id = decimal_string(value),
            b"expiresAt" => self.expires_at_ms = decimal_string(value).unwrap_or(0),
            b"reservationId" => reservation_id = decimal_string(value),
            b"success" => success = value == b"true",
            _ => {}
        });
        match (order_id, reservation_id) {
            (Some(order), Some(reservation)) if whole && success => {
                (self.order_id, self.reservation_id, self.code) = (order, reservation, Code::Won);
            }
            _ => self.code = Code::UnreadableWin,
        }
    }

    fn read_refusal(&mut self, status: u16, body: &[u8]) {
        let mut word: &[u8] = b"";
        let mut is_final = false;
        each_member(body, |name, value| match name {
            b"error" => word = unquoted(value).unwrap_or(b""),
            b"final" => is_final = value == b"true",
            _ => {}
        });
        self.code = Code::of_refusal(status, word);
        self.is_final = is_final;
        self.may_change = matches!(status, 408 | 425 | 429);
    }
}

/// What came of paying or cancelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It is done, and for this order if the answer names one.
    Done(Option<u64>),
    /// The money is to be given back.
    Refund,
    /// Clearly no.
    Refused,
    /// Ask again, after that many milliseconds if the server said so.
    Later(Option<u64>),
}

/// Reads the answer of a call that pays for an order or cancels it. Done is only what was asked for: another state, another order
/// that does not stand for this one, or `success: false` says as little as a 200 that cannot be read.
pub(crate) fn settlement(head: Head, body: &[u8], pays: bool, asked: u64) -> Settlement {
    let (mut state, mut refund, mut order, mut replaces, mut success) = (None, false, None, None, true);
    let whole = each_member(body, |name, value| match (name, unquoted(value)) {
        (b"orderId", _) => order = decimal_string(value),
        (b"replacesOrderId", _) => replaces = decimal_string(value),
        (b"success", _) => success = value == b"true",
        (b"state", Some(word)) => state = Some(word),
        (b"paymentStatus" | b"status", Some(status)) => refund |= status == b"REFUND_PENDING",
        _ => {}
    });
    let state = state.filter(|_| whole);
    let wanted: &[u8] = if pays { b"CONFIRMED" } else { b"CANCELLED" };
    let this_order = order.is_none_or(|order| order == asked) || (pays && replaces == Some(asked));
    match head.status {
        _ if refund => Settlement::Refund,
        200 if state == Some(wanted) && success && this_order => Settlement::Done(order),
        // The server's own word for "not final", whatever else it says.
        _ if head.retry_after_ms.is_some() => Settlement::Later(head.retry_after_ms),
        // It was done, perhaps: a 200 that does not say what, or something else, or a gateway that does not know. Neither is a "no".
        200 if state.is_none() || matches!(state, Some(b"CONFIRMED" | b"CANCELLED")) => Settlement::Later(None),
        500..=599 => Settlement::Later(None),
        _ => Settlement::Refused,
    }
}

/// The digits of a JSON string like `"123"` (a bare number is accepted too); all 64 bits may be used.
fn decimal_string(value: &[u8]) -> Option<u64> {
    let digits = unquoted(value).unwrap_or(value);
    decimal(digits).or_else(|| std::str::from_utf8(digits).ok()?.parse().ok())
}

fn unquoted(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Calls `visit` with every top-level member's name and raw value. False if the text is not a JSON object
/// as far as such a shallow look can tell.
fn each_member<'a>(text: &'a [u8], mut visit: impl FnMut(&'a [u8], &'a [u8])) -> bool {
    let mut at = skip_space(text, 0);
    if text.get(at) != Some(&b'{') {
        return false;
    }
    at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return true;
    }
    loop {
        let Some(name_end) = string_end(text, at) else { return false };
        let colon = skip_space(text, name_end);
        if text.get(colon) != Some(&b':') {
            return false;
        }
        let start = skip_space(text, colon + 1);
        let Some(end) = value_end(text, start) else { return false };
        visit(&text[at + 1..name_end - 1], &text[start..end]);
        let next = skip_space(text, end);
        match text.get(next) {
            Some(b',') => at = skip_space(text, next + 1),
            Some(b'}') => return true,
            _ => return false,
        }
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Index after the closing quote of the string that begins at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Index after the value that begins at `at`; nested values are skipped by counting brackets.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    let mut depth = 0_u32;
    loop {
        match *text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => {
                return (at > start).then_some(at);
            }
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Answer {
        Answer::read(Head { status, ..Head::default() }, body.as_bytes())
    }

    #[test]
    fn a_win_is_read() {
        let answer = read(
            200,
            r#"{"success":true,"reservationId":"18446744073709551615","orderId" : "17","expiresAt":1,"message":"\"orderId\":\"3\"","processingTimeMs":2}"#,
        );
        assert_eq!((answer.code, answer.order_id, answer.reservation_id), (Code::Won, 17, u64::MAX));
    }

    #[test]
    fn an_unreadable_win_is_never_a_win() {
        for body in [
            "",
            "{}",
            "null",
            r#"{"success":true,"orderId":"1"}"#,
            r#"{"success":false,"orderId":"1","reservationId":"2"}"#,
            r#"{"success":true,"orderId":"1","reservationId":"x"}"#,
            r#"{"success":true,"orderId":"1","reservationId":"2""#,
        ] {
            assert_eq!(read(200, body).code, Code::UnreadableWin, "{body}");
        }
    }

    #[test]
    fn refusals_are_read() {
        let held = read(
            410,
            r#"{"type":"x","errors":[{"error":"NO"},"}"],"nested":{"error":"NO"},"error":"SOLD_OUT","final":false}"#,
        );
        assert_eq!((held.code, held.is_final), (Code::SoldOut, false));
        let gone = read(410, "{ \"final\" : true , \"error\" : \"SOLD_OUT\" }");
        assert_eq!((gone.code, gone.is_final), (Code::SoldOut, true));
        assert_eq!(read(503, r#"{"error":"STOCK_RECOVERING"}"#).code, Code::StockRecovering);
        assert_eq!(read(502, "<html>").code, Code::OutcomeUnknown);
    }

    #[test]
    fn settlements_are_read() {
        let answered = |status, retry_after_ms, body: &str| {
            settlement(Head { status, retry_after_ms, ..Head::default() }, body.as_bytes(), true, 7)
        };
        let read = |status, body: &str| answered(status, None, body);
        let paid = read(200, r#"{"success":true,"orderId":"7","state":"CONFIRMED","amount":4900}"#);
        assert_eq!(paid, Settlement::Done(Some(7)));
        assert_eq!(read(200, r#"{"state":"CONFIRMED"}"#), Settlement::Done(None));
        assert_eq!(read(409, r#"{"status":409,"paymentStatus":"REFUND_PENDING"}"#), Settlement::Refund);
        assert_eq!(read(409, r#"{"status":409,"error":"ORDER_CANCELLED"}"#), Settlement::Refused);
        assert_eq!(read(200, r#"{"state":"EXPIRED"}"#), Settlement::Refused);

        // Not final: the server says so with whatever status, and without its word a status is no promise to say more later.
        for (status, code) in
            [(408, "REQUEST_TIMEOUT"), (409, "REQUEST_IN_PROGRESS"), (429, "?"), (503, "ORDER_PENDING")]
        {
            let body = format!(r#"{{"status":{status},"error":"{code}"}}"#);
            assert_eq!(answered(status, Some(9), &body), Settlement::Later(Some(9)), "{body}");
        }
        for status in [408, 425, 429] {
            assert_eq!(read(status, "{}"), Settlement::Refused, "{status}");
        }
        // Perhaps done: nobody may call that refused.
        for unreadable in ["", "{}", "null", "<html>", r#"{"orderId":"7","state":"CONFIRMED""#, r#"{"state":1}"#] {
            assert_eq!(read(200, unreadable), Settlement::Later(None), "{unreadable}");
        }
        assert_eq!(read(502, "<html>"), Settlement::Later(None));
    }

    #[test]
    fn only_what_was_asked_for_is_done() {
        let read = |pays, body: &str| settlement(Head { status: 200, ..Head::default() }, body.as_bytes(), pays, 7);
        let replaced = r#"{"success":true,"orderId":"8","replacesOrderId":"7","state":"CONFIRMED"}"#;
        assert_eq!(read(true, replaced), Settlement::Done(Some(8)));
        let cancelled = r#"{"success":true,"orderId":"7","state":"CANCELLED"}"#;
        assert_eq!(read(false, cancelled), Settlement::Done(Some(7)));
        for (pays, body) in [
            (true, cancelled),
            (true, r#"{"success":false,"orderId":"7","state":"CONFIRMED"}"#),
            (true, r#"{"success":true,"orderId":"8","state":"CONFIRMED"}"#),
            (true, r#"{"success":true,"orderId":"8","replacesOrderId":"9","state":"CONFIRMED"}"#),
            (false, r#"{"success":true,"orderId":"7","state":"CONFIRMED"}"#),
            (false, r#"{"success":true,"orderId":"8","replacesOrderId":"7","state":"CANCELLED"}"#),
        ] {
            assert_eq!(read(pays, body), Settlement::Later(None), "{pays} {body}");
        }
    }

    #[test]
    fn no_prefix_of_an_answer_panics() {
        let body = r#"{"a":[1,{"b":"\\\""}],"error":"SOLD_OUT","final":true}"#;
        for cut in 0..body.len() {
            read(410, &body[..cut]);
            read(200, &body[..cut]);
        }
    }
}
