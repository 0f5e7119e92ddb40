//! The purchase request as bytes, prepared once per SKU.
//!
//! Owns the templates. A request differs from its template only in the user id and the key, both of fixed
//! width: they are overwritten in place and the whole request leaves with one write, without allocation.

use crate::identity::{DIGITS, KEY_PREFIX, write_digits};
use crate::target::Target;

/// Path of the purchase call below the target's prefix.
const PURCHASE_PATH: &str = "/api/v1/flash/purchase";

/// A ready request for one SKU.
#[derive(Debug)]
pub(crate) struct RequestTemplate {
    bytes: Vec<u8>,
    user_at: usize,
    key_at: usize,
}

impl RequestTemplate {
    pub(crate) fn new(target: &Target, sku_id: u64, quantity: u8) -> Self {
        let blank = "0".repeat(DIGITS);
        let user = format!("{{\"userId\":\"{blank}");
        let middle =
            format!("\",\"skuId\":\"{sku_id}\",\"quantity\":{quantity},\"idempotencyKey\":\"{KEY_PREFIX}{blank}");
        let body = format!("{user}{middle}\"}}");
        let head = format!(
            "POST {}{PURCHASE_PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            target.prefix,
            target.authority,
            body.len(),
        );
        let user_at = head.len() + user.len() - DIGITS;
        let key_at = head.len() + user.len() + middle.len() - DIGITS;
        Self { bytes: format!("{head}{body}").into_bytes(), user_at, key_at }
    }

    /// The request of this user under this key.
    pub(crate) fn fill(&mut self, user: u64, key: u64) -> &[u8] {
        write_digits(&mut self.bytes[self.user_at..self.user_at + DIGITS], user);
        write_digits(&mut self.bytes[self.key_at..self.key_at + DIGITS], key);
        &self.bytes
    }
}

/// The order in which SKUs are bought: every SKU as often as its weight, spread evenly.
///
/// Smooth weighted round robin, computed once; equal weights give plain round robin.
pub(crate) fn rotation(weights: &[u32]) -> Vec<u16> {
    if weights.windows(2).all(|pair| pair[0] == pair[1]) {
        return (0..weights.len()).filter_map(|index| u16::try_from(index).ok()).collect();
    }
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let length = usize::try_from(total).unwrap_or(0).min(MAX_ROTATION.max(weights.len()));
    let mut credit = vec![0_i64; weights.len()];
    let mut order = Vec::with_capacity(length);
    for _ in 0..length {
        let mut best = 0;
        for (index, weight) in weights.iter().enumerate() {
            credit[index] += weight;
            if credit[index] > credit[best] {
                best = index;
            }
        }
        credit[best] -= total;
        order.push(u16::try_from(best).unwrap_or(0));
    }
    order
}

/// Longest rotation; where the weights need more, it is cut off there and begins again.
const MAX_ROTATION: usize = 16_384;

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_template_is_a_correct_request() {
        let target = Target {
            addresses: vec![([127, 0, 0, 1], 80).into()],
            authority: "127.0.0.1:80".to_owned(),
            prefix: String::new(),
        };
        let mut template = RequestTemplate::new(&target, 42, 2);
        let text = String::from_utf8(template.fill(1_111_222_233_334_444, 5_555_666_677_778_888).to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/v1/flash/purchase HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"userId": "1111222233334444", "skuId": "42", "quantity": 2,
                "idempotencyKey": "lt-5555666677778888"})
        );
    }

    #[test]
    fn rotation_is_even_and_weighted() {
        assert_eq!(rotation(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(rotation(&[10, 10]), [0, 1]);
        let order = rotation(&[3, 1]);
        assert_eq!(order.iter().filter(|sku| **sku == 0).count(), 3);
        assert_eq!(order.len(), 4);
        assert_eq!(rotation(&vec![1; 10_000]).len(), 10_000);
    }
}
