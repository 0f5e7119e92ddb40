//! Somebody who pays and cancels: the shop's back office, the payment provider, a buyer who changes their mind. Whatever it
//! is told for good is written into the test's book and held against the truth at the end.

use crate::PATIENCE;
use crate::books::Book;
use crate::wire::{Answer, Connection};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The webhook's path.
pub const WEBHOOK: &str = "/api/v1/flash/payments/webhook";
/// The secret that [`crate::site::Site`] gives its daemons.
pub const SECRET: &str = "the-webhook-secret-of-the-tests";
/// What one ticket costs in the tests, in minor units.
pub const PRICE: u64 = 4_900;
/// Pause before a settlement is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What came of a wish to settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The payment confirmed this order.
    Confirmed {
        /// Which order: the one that was paid for, or the one that stands for it.
        order_id: u64,
        /// Whether it was marked as a replay.
        replayed: bool,
    },
    /// The order is cancelled.
    Cancelled {
        /// Whether it was marked as a replay.
        replayed: bool,
    },
    /// The payment is to be given back, for this reason.
    Refund(String),
    /// Anything else: status and code.
    Refused(u16, String),
    /// No answer.
    Lost,
}

/// What the book keeps.
#[derive(Debug, Clone)]
pub(crate) struct SettledTold {
    /// The order that was paid for or cancelled.
    pub(crate) order_id: u64,
    /// The payment, unless it was cancelled.
    pub(crate) payment_id: Option<String>,
    pub(crate) settled: Settled,
}

/// Somebody with a connection to each of some daemons, one after the other.
#[derive(Debug)]
pub struct Cashier {
    addresses: Vec<String>,
    at: usize,
    connection: Option<Connection>,
    book: Arc<Book>,
}

impl Cashier {
    pub(crate) fn new(addresses: Vec<String>, book: Arc<Book>) -> Self {
        Self { addresses, at: 0, connection: None, book }
    }

    /// The shop settles an order with a payment.
    pub async fn pay(&mut self, order_id: u64, payment_id: &str, amount: u64) -> Settled {
        let body = json!({ "paymentId": payment_id, "amount": amount }).to_string();
        let path = format!("/api/v1/flash/orders/{order_id}/pay");
        self.settle(&path, "", &body, order_id, Some(payment_id)).await
    }

    /// The provider says that money has arrived.
    pub async fn notice(&mut self, order_id: u64, payment_id: &str, amount: u64) -> Settled {
        let body = notice(order_id, payment_id, amount);
        let signature = format!("Flash-Signature: {}\r\n", sign(SECRET, now_s(), &body));
        self.settle(WEBHOOK, &signature, &body, order_id, Some(payment_id)).await
    }

    /// The buyer changes their mind.
    pub async fn cancel(&mut self, order_id: u64, user_id: Option<u64>) -> Settled {
        let body = user_id.map_or_else(String::new, |user_id| json!({ "userId": user_id.to_string() }).to_string());
        self.settle(&format!("/api/v1/flash/orders/{order_id}/cancel"), "", &body, order_id, None).await
    }

    /// [`Cashier::pay`] until the answer is final.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    pub async fn insist_pay(&mut self, order_id: u64, payment_id: &str, amount: u64) -> Settled {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let settled = self.pay(order_id, payment_id, amount).await;
            if settled.is_final_by(deadline).await {
                return settled;
            }
        }
    }

    /// [`Cashier::notice`] until the answer is final.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    pub async fn insist_notice(&mut self, order_id: u64, payment_id: &str, amount: u64) -> Settled {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let settled = self.notice(order_id, payment_id, amount).await;
            if settled.is_final_by(deadline).await {
                return settled;
            }
        }
    }

    /// [`Cashier::cancel`] until the answer is final.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    pub async fn insist_cancel(&mut self, order_id: u64) -> Settled {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let settled = self.cancel(order_id, None).await;
            if settled.is_final_by(deadline).await {
                return settled;
            }
        }
    }

    /// Posts and reads what it means.
    async fn settle(
        &mut self,
        path: &str,
        headers: &str,
        body: &str,
        order_id: u64,
        payment_id: Option<&str>,
    ) -> Settled {
        let Ok(answer) = self.exchange(path, headers, body).await else {
            self.connection = None;
            self.at += 1;
            return Settled::Lost;
        };
        let settled = read(&answer);
        let payment_id = payment_id.map(str::to_owned);
        self.book.settled(SettledTold { order_id, payment_id, settled: settled.clone() });
        settled
    }

    async fn exchange(&mut self, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(Connection::open(&self.addresses[self.at % self.addresses.len()]).await?),
        };
        connection.post(path, headers, body.as_bytes()).await
    }
}

impl Settled {
    /// Whether asking again may find out more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Lost | Self::Refused(503, _))
    }

    /// Whether this was the last word; otherwise it waits a little.
    async fn is_final_by(&self, deadline: Instant) -> bool {
        if self.is_open() {
            assert!(Instant::now() < deadline, "no final answer: {self:?}");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        !self.is_open()
    }
}

fn read(answer: &Answer) -> Settled {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    if matches!(answer.status, 429 | 503) {
        assert!(answer.header("retry-after").is_some(), "{answer:?} does not say when to come back");
    }
    let replayed = answer.header("idempotent-replayed") == Some("true");
    let refund = text("paymentStatus") == "REFUND_PENDING" || text("status") == "REFUND_PENDING";
    match answer.status {
        _ if refund => Settled::Refund(text("reason")),
        200 if text("state") == "CANCELLED" => Settled::Cancelled { replayed },
        200 => {
            assert!(text("state") == "CONFIRMED" || text("status") == "CONFIRMED", "{body}");
            Settled::Confirmed { order_id: text("orderId").parse().unwrap(), replayed }
        }
        status => {
            assert!((400..500).contains(&status) || status == 503, "{answer:?}");
            Settled::Refused(status, answer.code())
        }
    }
}

/// The body of a notice that money has arrived.
#[must_use]
pub fn notice(order_id: u64, payment_id: &str, amount: u64) -> String {
    let order_id = order_id.to_string();
    json!({ "type": "payment.succeeded", "orderId": order_id, "paymentId": payment_id, "amount": amount }).to_string()
}

/// The value of the signature header.
#[must_use]
pub fn sign(secret: &str, at_s: u64, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("{at_s}.{body}"));
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_s},v1={hex}")
}

/// Seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What an order looks like to whoever looks it up.
pub async fn look_up(address: &str, order_id: u64) -> Value {
    let mut connection = Connection::open(address).await.unwrap();
    connection.get(&format!("/api/v1/flash/orders/{order_id}")).await.unwrap().json()
}
