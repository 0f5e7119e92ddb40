//! A buyer: sends purchases, believes nothing but a 200, and writes down every 200 in the test's book. Every answer of every
//! test passes through here, so every answer is checked: 5xx is only ever a typed 503, and whoever is sent away is told
//! when to come back.

use crate::PATIENCE;
use crate::books::Book;
use crate::wire::{Answer, Connection};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The purchase path of the API.
pub const PURCHASE: &str = "/api/v1/flash/purchase";
/// Pause before a purchase is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What a buyer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The buyer's id.
    pub user_id: u64,
    /// The SKU.
    pub sku_id: u64,
    /// Units.
    pub quantity: u32,
    /// Idempotency key.
    pub key: String,
}

impl Purchase {
    /// One unit.
    pub fn new(user_id: u64, sku_id: u64, key: impl Into<String>) -> Self {
        Self { user_id, sku_id, quantity: 1, key: key.into() }
    }

    /// The request's body.
    #[must_use]
    pub fn body(&self) -> String {
        let Self { user_id, sku_id, quantity, key } = self;
        format!(r#"{{"userId":"{user_id}","skuId":"{sku_id}","quantity":{quantity},"idempotencyKey":"{key}"}}"#)
    }
}

/// A purchase that was answered with 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What was asked.
    pub purchase: Purchase,
    /// Order id as told.
    pub order_id: u64,
    /// Reservation id as told.
    pub reservation_id: u64,
    /// End of the hold as told.
    pub expires_at_ms: u64,
    /// Whether it was marked as a replay.
    pub replayed: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub enum Said {
    /// 200.
    Won(Told),
    /// Any other answer.
    Refused(Answer),
    /// No answer: refused, cut off, or silent.
    Lost,
}

impl Said {
    /// A word for it: `WON`, `LOST`, or the problem's code.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Won(_) => "WON".to_owned(),
            Self::Refused(answer) => answer.code(),
            Self::Lost => "LOST".to_owned(),
        }
    }

    /// The 200.
    ///
    /// # Panics
    /// If it was none.
    #[must_use]
    pub fn won(self) -> Told {
        match self {
            Self::Won(told) => told,
            other => panic!("{other:?} instead of a 200"),
        }
    }

    /// The refusal.
    ///
    /// # Panics
    /// If it was none, or one with another status or code.
    #[must_use]
    pub fn refused(self, status: u16, code: &str) -> Answer {
        match self {
            Self::Refused(answer) if answer.status == status && answer.code() == code => answer,
            other => panic!("{other:?} instead of {status} {code}"),
        }
    }

    /// Whether asking again with the same key may find out more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Won(_) => false,
            Self::Refused(answer) => answer.status == 503 || answer.code() == "REQUEST_IN_PROGRESS",
            Self::Lost => true,
        }
    }
}

/// Somebody with a connection.
#[derive(Debug)]
pub struct Buyer {
    addresses: Vec<String>,
    at: usize,
    connection: Option<Connection>,
    book: Arc<Book>,
}

impl Buyer {
    pub(crate) fn new(addresses: Vec<String>, book: Arc<Book>) -> Self {
        Self { addresses, at: 0, connection: None, book }
    }

    /// Asks once.
    ///
    /// # Panics
    /// If the answer is one that the API never gives.
    pub async fn buy(&mut self, purchase: &Purchase) -> Said {
        let Ok(answer) = self.exchange(purchase).await else {
            self.connection = None;
            // The next attempt goes elsewhere, as it would behind a load balancer.
            self.at += 1;
            return Said::Lost;
        };
        if answer.header("connection") == Some("close") {
            self.connection = None;
        }
        check(&answer, purchase);
        if answer.status != 200 {
            return Said::Refused(answer);
        }
        let told = told(&answer, purchase);
        self.book.write(told.clone());
        Said::Won(told)
    }

    /// Asks until the answer is final, with the same key.
    ///
    /// # Panics
    /// If there is no final answer within [`PATIENCE`].
    pub async fn insist(&mut self, purchase: &Purchase) -> Said {
        let started = Instant::now();
        loop {
            let said = self.buy(purchase).await;
            if !said.is_open() {
                return said;
            }
            assert!(started.elapsed() < PATIENCE, "no final answer: {said:?}");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn exchange(&mut self, purchase: &Purchase) -> std::io::Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(Connection::open(&self.addresses[self.at % self.addresses.len()]).await?),
        };
        connection.post(PURCHASE, "", purchase.body().as_bytes()).await
    }
}

/// What is true of every answer to a purchase.
fn check(answer: &Answer, purchase: &Purchase) {
    let code = answer.code();
    match answer.status {
        200 => assert_eq!(code, "", "{answer:?}"),
        503 => assert!(["OVERLOADED", "STOCK_RECOVERING", "OUTCOME_UNKNOWN"].contains(&code.as_str()), "{answer:?}"),
        status => assert!((400..500).contains(&status) && !code.is_empty(), "{answer:?}"),
    }
    if matches!(answer.status, 429 | 503) {
        let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
        assert!(retry_after.is_some_and(|seconds| seconds > 0), "{answer:?} does not say when to come back");
    }
    if code == "OUTCOME_UNKNOWN" {
        assert_eq!(answer.json()["idempotencyKey"], purchase.key.as_str(), "the key to find out with");
    }
}

fn told(answer: &Answer, purchase: &Purchase) -> Told {
    let body = answer.json();
    let id =
        |name: &str| body[name].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{name}: {body}"));
    assert_eq!(body["success"], true);
    assert!(body["message"].is_string() && body["processingTimeMs"].is_u64(), "{body}");
    Told {
        purchase: purchase.clone(),
        order_id: id("orderId"),
        reservation_id: id("reservationId"),
        expires_at_ms: body.get("expiresAt").and_then(Value::as_u64).unwrap(),
        replayed: answer.header("idempotent-replayed") == Some("true"),
    }
}
