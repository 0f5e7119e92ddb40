//! The purchase request: strict reading of the body and of the idempotency key. Everything that gets past this module is
//! canonical and bounded, so nothing behind it has to look for separators, signs or overflow again.

use crate::ids::{SkuId, UserId};
use crate::limits::{IDEMPOTENCY_KEY_MAX_BYTES, QUANTITY_MAX};
use serde::Deserialize;
use std::borrow::Cow;

/// A checked purchase request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The buyer.
    pub user_id: UserId,
    /// What they want.
    pub sku_id: SkuId,
    /// How many, 1–10.
    pub quantity: u32,
    /// The buyer's idempotency key, if they sent one.
    pub idempotency_key: Option<String>,
}

/// Why a request is refused with 400. The text is for the client and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseError {
    /// The body is not one JSON object of the expected fields.
    #[error("body: {0}")]
    Body(String),
    /// A field has an illegal value.
    #[error("{0}: {1}")]
    Field(&'static str, String),
    /// Header and body name different keys.
    #[error("idempotencyKey: the Idempotency-Key header and the body disagree")]
    TwoKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    sku_id: Cow<'a, str>,
    #[serde(default = "one")]
    quantity: u64,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
}

const fn one() -> u64 {
    1
}

/// Longest part of a parser's message that is repeated to the client; the message may quote the request.
const MESSAGE_MAX_CHARS: usize = 160;

impl Purchase {
    /// Reads a request body and the value of the `Idempotency-Key` header.
    ///
    /// # Errors
    /// [`PurchaseError`] says which field is wrong. Unknown and repeated fields, trailing text, numbers written as
    /// strings or with fractions, and ids in any but their one canonical spelling are all refused.
    pub fn parse(body: &[u8], header_key: Option<&str>) -> Result<Self, PurchaseError> {
        // The parser would also read the fields from an array, in order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(PurchaseError::Body("must be one JSON object".to_owned()));
        }
        let wire: Wire<'_> = serde_json::from_slice(body)
            .map_err(|error| PurchaseError::Body(error.to_string().chars().take(MESSAGE_MAX_CHARS).collect()))?;
        let field = |name, error: crate::ids::IdError| PurchaseError::Field(name, error.to_string());
        let quantity = u32::try_from(wire.quantity).ok().filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
        Ok(Self {
            user_id: UserId::parse(&wire.user_id).map_err(|error| field("userId", error))?,
            sku_id: SkuId::parse(&wire.sku_id).map_err(|error| field("skuId", error))?,
            quantity: quantity.ok_or_else(|| {
                PurchaseError::Field("quantity", format!("must be a whole number from 1 to {QUANTITY_MAX}"))
            })?,
            idempotency_key: one_key(wire.idempotency_key, header_key)?,
        })
    }
}

fn one_key(body: Option<Cow<'_, str>>, header: Option<&str>) -> Result<Option<String>, PurchaseError> {
    let key = match (body, header) {
        (Some(body), Some(header)) if body != header => return Err(PurchaseError::TwoKeys),
        (Some(body), _) => body.into_owned(),
        (None, Some(header)) => header.to_owned(),
        (None, None) => return Ok(None),
    };
    let bytes = key.as_bytes();
    if bytes.is_empty() || bytes.len() > IDEMPOTENCY_KEY_MAX_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        let rule = format!("must be 1 to {IDEMPOTENCY_KEY_MAX_BYTES} visible ASCII characters without spaces");
        return Err(PurchaseError::Field("idempotencyKey", rule));
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        Purchase::parse(body.as_bytes(), None).expect_err(body).to_string()
    }

    #[test]
    fn the_seed_request_is_read_field_for_field() {
        let body = br#"{"userId":"123","skuId":"1","quantity":2,"idempotencyKey":"optional-unique-key"}"#;
        let purchase = Purchase::parse(body, None).unwrap();
        assert_eq!((purchase.user_id.get(), purchase.sku_id.get(), purchase.quantity), (123, 1, 2));
        assert_eq!(purchase.idempotency_key.as_deref(), Some("optional-unique-key"));
        let short = Purchase::parse(br#"{"skuId":"1","userId":"123"}"#, Some("from-header")).unwrap();
        assert_eq!((short.quantity, short.idempotency_key.as_deref()), (1, Some("from-header")));
    }

    #[test]
    fn header_and_body_must_agree_on_the_key() {
        let body = br#"{"skuId":"1","userId":"1","idempotencyKey":"a"}"#;
        assert_eq!(Purchase::parse(body, Some("a")).unwrap().idempotency_key.as_deref(), Some("a"));
        assert_eq!(Purchase::parse(body, Some("b")), Err(PurchaseError::TwoKeys));
    }

    #[test]
    fn quantities_are_whole_numbers_from_one_to_ten() {
        for quantity in [
            "0",
            "-1",
            "-0",
            "1.5",
            "1.0",
            "1e0",
            "1e400",
            "11",
            "2147483648",
            "9223372036854775808",
            "18446744073709551616",
            "\"1\"",
            "true",
            "null",
            "[1]",
            "{}",
            "+1",
            "01",
        ] {
            refused(&format!(r#"{{"userId":"1","skuId":"1","quantity":{quantity}}}"#));
        }
    }

    #[test]
    fn bodies_are_one_object_of_known_fields_once_each() {
        let deep = "[".repeat(10_000);
        for body in [
            "",
            "null",
            "[]",
            r#"["900","1",1,"key"]"#,
            "\"x\"",
            "123",
            "{}",
            "{",
            r#"{"userId":"1"}"#,
            r#"{"userId":1,"skuId":"1"}"#,
            r#"{"userId":"1","skuId":"1"} x"#,
            r#"{"userId":"1","skuId":"1"}{"userId":"1","skuId":"1"}"#,
            r#"{"userId":"1","skuId":"1","quantity":1,"quantity":1}"#,
            r#"{"userId":"1","userId":"2","skuId":"1"}"#,
            r#"{"userId":"1","skuId":"1","price":0}"#,
            "\u{feff}{\"userId\":\"1\",\"skuId\":\"1\"}",
            r#"{"userId":"\ud800","skuId":"1"}"#,
            r#"{"userId":"1","skuId":"1",}"#,
            r#"{"userId":"01","skuId":"1"}"#,
            r#"{"userId":"1","skuId":"{1}"}"#,
            r#"{"userId":"1","skuId":"1\u0000"}"#,
            "{'userId':'1','skuId':'1'}",
            &format!(r#"{{"userId":{deep}"#),
            &deep,
            &format!(r#"{{"a":{deep}"#),
        ] {
            refused(body);
        }
        assert!(Purchase::parse(b"{\"userId\":\"\xff\",\"skuId\":\"1\"}", None).is_err(), "invalid UTF-8");
        assert!(
            Purchase::parse(b"{\"userId\":\"1\",\"skuId\":\"1\",\"idempotencyKey\":\"\xc0\xaf\"}", None).is_err(),
            "overlong"
        );
    }

    #[test]
    fn keys_are_visible_ascii() {
        let long = "k".repeat(129);
        for key in ["", " ", "a b", "\\n", "é", "\\u200b", long.as_str()] {
            refused(&format!(r#"{{"userId":"1","skuId":"1","idempotencyKey":"{key}"}}"#));
        }
        let longest = "k".repeat(128);
        let body = format!(r#"{{"userId":"1","skuId":"1","idempotencyKey":"{longest}"}}"#);
        assert!(Purchase::parse(body.as_bytes(), None).is_ok());
    }
}
