//! A recorded trace: arrivals as they once were, to be played again.

use std::io::{BufRead, Read as _};
use std::sync::Arc;

use crate::LoadError;
use crate::schedule::MAX_ARRIVALS;

/// Longest line.
const LINE_BYTES_MAX: u64 = 1_000;
/// How long a trace lasts beyond its last arrival, for its answer.
const TAIL_MS: u64 = 1_000;

/// One recorded arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Microseconds since the start.
    pub at_us: u64,
    /// Who, as a number that means the same person every time; a person of their own if absent.
    pub user: Option<u64>,
    /// The SKU; chosen as in any other run if absent.
    pub sku_id: Option<u64>,
}

/// A recorded trace, in order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(Arc<[Recorded]>);

impl Trace {
    /// Reads one arrival per line: `OFFSET_MS [USER [SKU]]`, separated by spaces, tabs or commas; the offset may have three
    /// decimals, `-` stands for an absent user. Empty lines and what follows `#` are skipped. Lines must be in order.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        Self::read(text.as_bytes())
    }

    /// The same from a file, line by line. Bounded, whatever the file is: lines have at most 1,000 bytes, and there are at most
    /// twice as many of them as a run can have arrivals.
    pub fn read(mut from: impl BufRead) -> Result<Self, LoadError> {
        let mut arrivals: Vec<Recorded> = Vec::new();
        let mut line = String::new();
        for number in 1_u64.. {
            let wrong = |what: &str| LoadError::Plan(format!("trace, line {number}: {what}"));
            line.clear();
            let length = from.by_ref().take(LINE_BYTES_MAX + 1).read_line(&mut line);
            match length.map_err(|error| wrong(&error.to_string()))? {
                0 => break,
                length if length as u64 > LINE_BYTES_MAX => {
                    return Err(LoadError::Plan(format!("trace, line {number} is longer than {LINE_BYTES_MAX} bytes")));
                }
                _ if number > 2 * MAX_ARRIVALS => return Err(wrong("more lines than any trace has")),
                _ => {}
            }
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let arrival = read_line(line).map_err(wrong)?;
            if arrivals.last().is_some_and(|last| last.at_us > arrival.at_us) {
                return Err(wrong("it is earlier than the line before"));
            }
            if arrivals.len() as u64 >= MAX_ARRIVALS {
                return Err(wrong("more arrivals than a run can have"));
            }
            arrivals.push(arrival);
        }
        if arrivals.is_empty() {
            return Err(LoadError::Plan("the trace has no arrival".to_owned()));
        }
        Ok(Self(arrivals.into()))
    }

    /// The same trace, faster or slower.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time, and a factor above 0")]
        let stretch = |us: u64| (us as f64 * factor).round() as u64;
        Self(self.0.iter().map(|one| Recorded { at_us: stretch(one.at_us), ..*one }).collect())
    }

    /// The arrivals.
    #[must_use]
    pub fn arrivals(&self) -> &[Recorded] {
        &self.0
    }

    pub(crate) fn duration_ms(&self) -> u64 {
        self.0.last().map_or(0, |last| last.at_us / 1_000 + TAIL_MS)
    }
}

fn read_line(line: &str) -> Result<Recorded, &'static str> {
    let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let offset_ms: f64 = words.next().and_then(|word| word.parse().ok()).ok_or("the offset is not a number")?;
    let user = match words.next() {
        None | Some("-") => None,
        Some(word) => Some(word.parse().map_err(|_| "the user is not a number")?),
    };
    let sku_id = words.next().map(|word| word.parse().map_err(|_| "the SKU is not a number")).transpose()?;
    if words.next().is_some() {
        return Err("more than offset, user and SKU");
    }
    if !(0.0..=crate::MAX_RUN_MS as f64).contains(&offset_ms) {
        return Err("the offset is not within 24 hours");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 24 hours, checked above")]
    let at_us = (offset_ms * 1_000.0).round() as u64;
    Ok(Recorded { at_us, user, sku_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_with_or_without_user_and_sku() {
        let trace = Trace::parse("# offset user sku\n0\n1.5, 7\n\n2 7 3 # the same person\n2\t-\t9\n").unwrap();
        let at = |at_us, user, sku_id| Recorded { at_us, user, sku_id };
        let expected =
            [at(0, None, None), at(1_500, Some(7), None), at(2_000, Some(7), Some(3)), at(2_000, None, Some(9))];
        assert_eq!(trace.arrivals(), expected);
        assert_eq!(trace.duration_ms(), 1_002);
        assert_eq!(trace.scaled(0.5).arrivals()[1].at_us, 750);
    }

    #[test]
    fn a_bad_line_is_named() {
        let cases = [
            ("1\nx", "line 2: the offset is not a number"),
            ("1 a", "line 1: the user"),
            ("1 2 b", "the SKU"),
            ("1 2 3 4", "more than"),
            ("5\n4", "line 2: it is earlier"),
            ("-1", "24 hours"),
            ("NaN", "24 hours"),
            ("# nothing\n", "no arrival"),
        ];
        let endless = Trace::read(std::io::BufReader::new(std::io::repeat(0))).unwrap_err().to_string();
        assert!(endless.contains("line 1 is longer"), "{endless}");
        for (text, reason) in cases {
            let error = Trace::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
