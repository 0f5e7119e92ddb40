//! `POST /api/v1/flash/payments/webhook`: what the payment provider tells us, signed.
//!
//! `Flash-Signature: t=SECONDS,v1=HEX` where HEX is HMAC-SHA256 over `SECONDS.BODY` with a shared secret; several `v1` may be
//! given, and two secrets may be valid, so that a secret can be replaced without losing a notice. The signature is checked
//! before the body is looked at, in constant time; the timestamp must be near Redis' clock, so an old notice cannot be
//! replayed and this machine's clock does not matter.
//!
//! The provider repeats a notice until it hears 2xx. So whatever is settled – also "to be given back" – is 200, and only what
//! may be otherwise later is an error.

use super::{Answer, body, json, problem};
use crate::app::{App, Shop};
use crate::config::WebhookConfig;
use crate::settle::{Fated, Sender, Settler};
use bytes::Bytes;
use flash_core::ids::OrderId;
use flash_core::outcome::Refusal;
use flash_core::payment::{Notice, PayRequest};
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use serde_json::json;
use sha2::Sha256;

/// The signature's header.
const SIGNATURE: &str = "flash-signature";
/// Most signatures that are looked at.
const SIGNATURES_MAX: usize = 8;

/// Who is believed.
pub(crate) struct Webhook {
    keys: Vec<Hmac<Sha256>>,
    tolerance_ms: u64,
}

impl Webhook {
    pub(crate) fn new(config: &WebhookConfig) -> Self {
        // HMAC takes keys of any length.
        let keys = config.secrets.iter().filter_map(|secret| Hmac::new_from_slice(secret.as_bytes()).ok()).collect();
        Self { keys, tolerance_ms: u64::try_from(config.tolerance.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Checks that somebody who knows a secret signed this body; returns when, in milliseconds since 1970.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<u64, Refusal> {
        let refuse = |why| Err(Refusal::SignatureInvalid(why));
        if self.keys.is_empty() {
            return refuse("no webhook secret is configured");
        }
        let mut values = headers.get_all(SIGNATURE).iter();
        let header = match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
            (Some(header), None) => header,
            _ => return refuse("Flash-Signature must be there once"),
        };
        let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
        let Some(text) = fields().find(|(name, _)| *name == "t").map(|(_, text)| text) else {
            return refuse("Flash-Signature has no t");
        };
        let Some(at_ms) = text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000)) else {
            return refuse("t is not a time in seconds");
        };
        let signatures = fields().filter(|(name, _)| *name == "v1").take(SIGNATURES_MAX);
        for signature in signatures.filter_map(|(_, signature)| unhex(signature)) {
            let signed_by = |key: &Hmac<Sha256>| {
                let mac = key.clone().chain_update(text).chain_update(".").chain_update(body);
                mac.verify_slice(&signature).is_ok()
            };
            if self.keys.iter().any(signed_by) {
                return Ok(at_ms);
            }
        }
        refuse("no v1 signature matches the body")
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

/// Handles one notice.
pub(super) async fn handle(app: &App, shop: &Shop, request: Request<Incoming>) -> Answer {
    match receive(app, shop, request).await {
        Ok(answer) => answer,
        Err(refusal) => {
            app.meters.settle_refused();
            problem::answer(&refusal)
        }
    }
}

async fn receive(app: &App, shop: &Shop, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (headers, body) = body::read_json(request).await?;
    let at_ms = shop.webhook.verify(&headers, &body)?;
    let notice = Notice::parse(&body).map_err(|error| Refusal::Validation(error.to_string()))?;
    let _admitted = shop.admission.admit_settlement()?;
    let now_ms = shop.deciders.gate.now_ms().await.map_err(|_| Refusal::StockRecovering)?;
    if now_ms.abs_diff(at_ms) > shop.webhook.tolerance_ms {
        return Err(Refusal::SignatureInvalid("t is too far from now"));
    }
    let Notice::Paid { order_id, request } = notice else {
        return Ok(json(Bytes::from_static(b"{\"received\":true,\"status\":\"IGNORED\"}")));
    };
    let fated = Settler::new(app, shop)?.pay(order_id, &request, Sender::Provider).await;
    if let Err(refusal @ (Refusal::OrderNotFound | Refusal::PaymentReused { .. } | Refusal::AmountMismatch { .. })) =
        &fated
    {
        // The provider has taken money that can not be tied to an order of ours: somebody has to look at it.
        let (payment, amount) = (&request.payment_id, request.amount_minor);
        tracing::error!(%payment, amount, order = %order_id, why = refusal.advice().code, "a signed notice was refused");
    }
    let fated = fated?;
    app.meters.paid(&fated);
    Ok(received(order_id, &request, &fated))
}

fn received(paid_order: OrderId, request: &PayRequest, fated: &Fated) -> Answer {
    let (status, order_id, reason) = match fated {
        Fated::Confirmed { .. } => ("CONFIRMED", Some(paid_order), None),
        Fated::Rebooked { order_id, .. } => ("CONFIRMED", Some(*order_id), None),
        Fated::Refund { reason } => ("REFUND_PENDING", None, Some(reason.as_str())),
    };
    let body = json!({
        "received": true,
        "status": status,
        "paymentId": request.payment_id,
        "paidOrderId": paid_order,
        "orderId": order_id,
        "reason": reason,
    });
    json(Bytes::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn webhook(secrets: &[&str]) -> Webhook {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Webhook::new(&WebhookConfig { secrets, tolerance: Duration::from_secs(300) })
    }

    fn sign(secret: &str, at: u64, body: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("{at}.{body}"));
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(hyper::header::HeaderName::from_static(SIGNATURE), value.parse().unwrap())])
    }

    /// RFC 4231, test case 2: the primitive is the one everybody else has.
    #[test]
    fn it_is_hmac_sha256() {
        let mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap().chain_update("what do ya want for nothing?");
        let expected = unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap();
        assert!(mac.verify_slice(&expected).is_ok());
    }

    #[test]
    fn either_secret_is_believed_and_nothing_else() {
        let (old, new) = ("the-old-secret-of-yore", "the-new-secret-of-now");
        let both = webhook(&[new, old]);
        let good = |secret: &str| format!("t=1700000000,v1={}", sign(secret, 1_700_000_000, "body"));
        for secret in [old, new] {
            assert_eq!(both.verify(&headers(&good(secret)), b"body"), Ok(1_700_000_000_000));
        }
        let one_of_two = format!("t=1700000000,v1={},v1={}", "0".repeat(64), sign(new, 1_700_000_000, "body"));
        assert!(both.verify(&headers(&one_of_two), b"body").is_ok());
        let other_time = format!("t=1700000001,v1={}", sign(new, 1_700_000_000, "body"));
        for bad in [
            good("another-secret-altogether"),
            other_time,
            good(new).replace("v1=", "v0="),
            good(new).replace("t=1700000000,", ""),
            format!("t=1700000000,v1={}", &sign(new, 1_700_000_000, "body")[..62]),
            "t=x,v1=y".to_owned(),
            String::new(),
        ] {
            assert!(both.verify(&headers(&bad), b"body").is_err(), "{bad}");
        }
        assert!(both.verify(&headers(&good(new)), b"bodz").is_err(), "another body");
        assert!(both.verify(&HeaderMap::new(), b"body").is_err());
        assert!(webhook(&[new]).verify(&headers(&good(old)), b"body").is_err(), "a secret that was retired");
        assert!(webhook(&[]).verify(&headers(&good(new)), b"body").is_err(), "no secret, no belief");
    }
}
