//! Identifiers. On the wire they are canonical decimal strings (ASCII digits, no sign, no leading zero): one spelling
//! per id, so an id can never smuggle a separator into a Redis key or be mistaken for another.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Why a string is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The string is empty.
    #[error("must not be empty")]
    Empty,
    /// Something other than the ASCII digits 0–9.
    #[error("must be ASCII decimal digits only")]
    NotDigits,
    /// More than one spelling of the same number.
    #[error("must not have leading zeros")]
    LeadingZero,
    /// Zero is reserved, and 2^63 − 1 is the largest id.
    #[error("must be between 1 and 9223372036854775807")]
    Range,
}

/// Parses a canonical decimal id: 1 … 2^63 − 1, ASCII digits, no leading zero.
pub fn parse_canonical(text: &str) -> Result<u64, IdError> {
    let bytes = text.as_bytes();
    let first = *bytes.first().ok_or(IdError::Empty)?;
    if !bytes.iter().all(u8::is_ascii_digit) {
        return Err(IdError::NotDigits);
    }
    if first == b'0' {
        return Err(if bytes.len() == 1 { IdError::Range } else { IdError::LeadingZero });
    }
    let value: u64 = text.parse().map_err(|_| IdError::Range)?;
    if value > i64::MAX.unsigned_abs() { Err(IdError::Range) } else { Ok(value) }
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Parses the wire form. Errors name what is wrong with the string.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_canonical(text).map(Self)
            }
            /// Wraps a number that is already known to be a valid id (from the database or the id generator).
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }
            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// A buyer, as the shop knows them.
    UserId
);
id_type!(
    /// One thing on sale (a price category, a day, a seat block) with its own stock.
    SkuId
);
id_type!(
    /// An order: a Snowflake, unique for ever.
    OrderId
);
id_type!(
    /// A reservation (the hold behind an order): a Snowflake, unique for ever.
    ReservationId
);

/// The number of a stock epoch. Numbers come from a MySQL counter; the highest wins. Zero means "none yet".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_id() {
        assert_eq!(UserId::parse("123").unwrap().get(), 123);
        assert_eq!(UserId::parse("9223372036854775807").unwrap().get(), i64::MAX.unsigned_abs());
        for (text, error) in [
            ("", IdError::Empty),
            ("0", IdError::Range),
            ("01", IdError::LeadingZero),
            ("+1", IdError::NotDigits),
            ("-1", IdError::NotDigits),
            (" 1", IdError::NotDigits),
            ("1\n", IdError::NotDigits),
            ("1:2", IdError::NotDigits),
            ("{1}", IdError::NotDigits),
            ("１", IdError::NotDigits),
            ("1\u{200b}", IdError::NotDigits),
            ("٣", IdError::NotDigits),
            ("9223372036854775808", IdError::Range),
            ("99999999999999999999999", IdError::Range),
        ] {
            assert_eq!(UserId::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn ids_above_two_to_the_53_survive_json() {
        let id = OrderId::new(9_007_199_254_740_993);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"9007199254740993\"");
        assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
    }
}
