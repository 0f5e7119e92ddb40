//! From what somebody has in hand – an order, a reservation, a key, a payment, a buyer – to the order it is about.

use clap::Args;
use flash_core::{
    ids::{OrderId, ReservationId, SkuId, UserId},
    payment::PaymentId,
    stock::Hold,
};
use flash_stores::{
    mysql::{MySqlError, orders, payments, trace},
    redis::StockError,
};

use super::sources::{Sources, of_mysql, of_redis};
use crate::{exit::Exit, report::Failure};

/// Most holds that are looked through for a reservation or a buyer, over all SKUs.
const HOLDS_SEARCHED_MAX: usize = 500_000;
/// Most orders of a buyer that are listed.
const ORDERS_MAX: u32 = 50;

/// What is known.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Asked {
    /// An order or reservation id; also user:ID, key:KEY or payment:ID.
    #[arg(value_name = "WHAT", required_unless_present_any = ["user", "key", "payment"])]
    what: Option<String>,
    /// A buyer: the orders of this user, or whose key it is.
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// An idempotency key of that buyer.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A payment, by the provider's name for it.
    #[arg(long, value_name = "ID")]
    payment: Option<String>,
    /// Only this SKU. Needed for an order that only Redis knows while MySQL is away.
    #[arg(long, value_name = "ID")]
    pub(super) sku: Option<SkuId>,
}

/// A question that can be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// An order or a reservation.
    Id(u64),
    Key(UserId, String),
    Payment(PaymentId),
    User(UserId),
}

/// What was found.
pub(super) enum Found {
    /// An order, and how it was come by if that has to be said.
    Order { order_id: OrderId, sku_id: Option<SkuId>, notes: Vec<String> },
    /// A buyer's orders: newest first, with the SKU; and whether all places were looked at.
    Orders(Vec<(OrderId, SkuId)>),
    /// Nothing, with a hint.
    Nothing(String),
}

impl Asked {
    /// Makes one question of the arguments.
    pub(super) fn question(&self) -> Result<Question, Failure> {
        let usage = |text: &str, hint: &str| Failure::new(Exit::Usage, anyhow::anyhow!(text.to_owned())).hint(hint);
        let (mut user, mut key, mut payment) = (self.user, self.key.clone(), self.payment.clone());
        match self.what.as_deref().map(|what| what.split_once(':').unwrap_or(("", what))) {
            Some(("", id)) => {
                let wrong = || usage("WHAT must be an id, user:ID, key:KEY or payment:ID", "flashctl why --help");
                let id = flash_core::ids::parse_canonical(id).map_err(|_| wrong())?;
                if user.is_some() || key.is_some() || payment.is_some() {
                    return Err(usage("an id and a buyer, key or payment are two questions", "flashctl why ID"));
                }
                return Ok(Question::Id(id));
            }
            Some(("user", id)) => {
                user =
                    Some(UserId::parse(id).map_err(|error| usage(&format!("user {error}"), "flashctl why user:123"))?);
            }
            Some(("key", text)) => key = Some(text.to_owned()),
            Some(("payment", text)) => payment = Some(text.to_owned()),
            Some((other, _)) => {
                return Err(usage(&format!("{other}: is nothing that can be asked about"), "flashctl why --help"));
            }
            None => {}
        }
        match (user, key, payment) {
            (Some(user), Some(key), None) => Ok(Question::Key(user, key)),
            (None, Some(_), None) => Err(usage("whose key? Keys belong to buyers", "flashctl why --user ID --key KEY")),
            (Some(user), None, None) => Ok(Question::User(user)),
            (None, None, Some(id)) => PaymentId::parse(&id)
                .map(Question::Payment)
                .ok_or_else(|| usage("that is no payment id", "flashctl payments lists them")),
            _ => Err(usage("a payment and a buyer or key are two questions", "flashctl why --payment ID")),
        }
    }
}

/// Looks it up. Parts that cannot be asked are noted in `unasked`.
pub(super) async fn find(
    sources: &Sources,
    question: &Question,
    sku: Option<SkuId>,
    unasked: &mut Vec<String>,
) -> Found {
    unasked.extend(sources.gate.as_ref().err().map(|reason| format!("Redis: {reason}")));
    unasked.extend(sources.db.as_ref().err().map(|reason| format!("MySQL: {reason}")));
    let mut look = Look { sources, sku, unasked };
    match question {
        Question::Id(id) => look.id(*id).await,
        Question::Key(user, key) => look.key(*user, key).await,
        Question::Payment(id) => look.payment(id).await,
        Question::User(user) => look.user(*user).await,
    }
}

struct Look<'a> {
    sources: &'a Sources,
    sku: Option<SkuId>,
    unasked: &'a mut Vec<String>,
}

impl Look<'_> {
    /// A value, or a note that a part did not answer.
    fn of_view<T: Default>(&mut self, answer: Result<T, MySqlError>) -> T {
        answer.unwrap_or_else(|error| {
            self.unasked.push(format!("MySQL: {}", of_mysql(&error)));
            T::default()
        })
    }

    fn of_gate<T: Default>(&mut self, answer: Result<T, StockError>) -> T {
        answer.unwrap_or_else(|error| {
            self.unasked.push(format!("Redis: {}", of_redis(&error)));
            T::default()
        })
    }

    async fn id(&mut self, id: u64) -> Found {
        let (order_id, sku_id) = (OrderId::new(id), self.sku);
        let order = |sku_id, notes| Found::Order { order_id, sku_id, notes };
        if let Ok(db) = &self.sources.db {
            let row = orders::get(db, order_id).await;
            if let Some(row) = self.of_view(row) {
                return order(Some(row.order.sku_id), Vec::new());
            }
            let reserved = trace::order_of_reservation(db, ReservationId::new(id)).await;
            if let Some(found) = self.of_view(reserved) {
                let notes = vec![format!("{id} is the reservation of order {found}")];
                return Found::Order { order_id: found, sku_id, notes };
            }
        }
        if let Ok(gate) = &self.sources.gate {
            let indexed = gate.sku_of_order(order_id).await;
            if let Some(sku_id) = self.of_gate(indexed) {
                return order(Some(sku_id), Vec::new());
            }
            let held = self.holds(|hold| hold.order_id.get() == id || hold.reservation_id.get() == id).await;
            if let Some((hold, sku_id)) = held.into_iter().next() {
                let notes = if hold.order_id == order_id {
                    Vec::new()
                } else {
                    vec![format!("{id} is the reservation of order {}", hold.order_id)]
                };
                return Found::Order { order_id: hold.order_id, sku_id: Some(sku_id), notes };
            }
        }
        // Whether it is one will show in the log.
        order(sku_id, Vec::new())
    }

    async fn key(&mut self, user: UserId, key: &str) -> Found {
        let mut rows = match &self.sources.db {
            Ok(db) => {
                let rows = trace::orders_of_key(db, user, key).await;
                self.of_view(rows)
            }
            Err(_) => Vec::new(),
        };
        rows.retain(|row| self.sku.is_none_or(|sku_id| row.order.sku_id == sku_id));
        let mut bound = None;
        let mut answered = None;
        if let Ok(gate) = &self.sources.gate {
            let claimed = gate.sku_of_key(user, key).await;
            bound = self.of_gate(claimed);
            if let Some(sku_id) = self.sku.or(bound).or(rows.first().map(|row| row.order.sku_id)) {
                let answer = gate.answer_of(&self.sources.keys(sku_id), user, key).await;
                answered = self.of_gate(answer).map(|answer| (answer.order_id, sku_id));
            }
            if answered.is_none() && rows.is_empty() {
                // A hold that was never recorded has no binding; the claim may be gone, too.
                let held = self.holds(|hold| hold.user_id == user && hold.idempotency_key == key).await;
                answered = held.into_iter().next().map(|(hold, sku_id)| (hold.order_id, sku_id));
            }
        }
        let newest = rows.first().map(|row| (row.order.order_id, row.order.sku_id));
        // What Redis remembers is what the buyer gets today.
        let Some((order_id, sku_id)) = answered.or(newest) else {
            return Found::Nothing(match bound {
                Some(sku_id) => format!(
                    "the key is claimed for SKU {sku_id} and has no answer: its purchase is being decided, or did not win"
                ),
                None => {
                    format!("no purchase of user {user} with this key has won; keys are forgotten after 24 h in Redis")
                }
            });
        };
        let others: Vec<String> =
            rows.iter().map(|row| row.order.order_id).filter(|id| *id != order_id).map(|id| id.to_string()).collect();
        let mut notes = Vec::new();
        if !others.is_empty() {
            notes.push(format!("the key was used more than once; it also stands for {}", others.join(", ")));
        }
        Found::Order { order_id, sku_id: Some(sku_id), notes }
    }

    async fn payment(&mut self, id: &PaymentId) -> Found {
        if let Ok(db) = &self.sources.db {
            let row = payments::get(db, id).await;
            if let Some(row) = self.of_view(row) {
                let notes = vec![format!("payment {id} was made for order {}", row.payment.paid_order)];
                return Found::Order { order_id: row.payment.paid_order, sku_id: Some(row.sku_id), notes };
            }
        }
        if let Ok(gate) = &self.sources.gate {
            let fate = gate.fate_of(id).await;
            if let Some(kept) = self.of_gate(fate) {
                let notes = vec![format!("only Redis knows payment {id}, made for order {}", kept.order_id)];
                return Found::Order { order_id: kept.order_id, sku_id: self.sku, notes };
            }
        }
        Found::Nothing(format!("nobody knows a payment {id}"))
    }

    async fn user(&mut self, user: UserId) -> Found {
        let mut found: Vec<(OrderId, SkuId)> = Vec::new();
        if let Ok(db) = &self.sources.db {
            let rows = orders::page_of_user(db, user, None, ORDERS_MAX).await;
            found.extend(self.of_view(rows).into_iter().map(|row| (row.order.order_id, row.order.sku_id)));
        }
        let held = self.holds(|hold| hold.user_id == user).await;
        found.extend(held.into_iter().map(|(hold, sku_id)| (hold.order_id, sku_id)));
        found.retain(|(_, sku_id)| self.sku.is_none_or(|wanted| wanted == *sku_id));
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        match found.as_slice() {
            [] => Found::Nothing(format!("user {user} has no order and no hold")),
            [(order_id, sku_id)] => Found::Order { order_id: *order_id, sku_id: Some(*sku_id), notes: Vec::new() },
            _ => Found::Orders(found),
        }
    }

    /// Live holds that `wanted` picks, over the SKUs that may have them.
    async fn holds(&mut self, wanted: impl Fn(&Hold) -> bool) -> Vec<(Hold, SkuId)> {
        let Ok(gate) = &self.sources.gate else { return Vec::new() };
        let mut found = Vec::new();
        let sku_ids = self.sources.sku_ids(self.sku);
        let most = HOLDS_SEARCHED_MAX / sku_ids.len().max(1);
        for sku_id in sku_ids {
            let page = gate.find_holds(&self.sources.keys(sku_id), most, &wanted).await;
            let (holds, complete) = page.unwrap_or_else(|error| {
                self.unasked.push(format!("Redis: {}", of_redis(&error)));
                (Vec::new(), true)
            });
            if !complete {
                self.unasked.push(format!("Redis: SKU {sku_id} has too many holds to look through all of them"));
            }
            found.extend(holds.into_iter().map(|hold| (hold, sku_id)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        what: Option<&str>,
        user: Option<u64>,
        key: Option<&str>,
        payment: Option<&str>,
    ) -> Result<Question, Failure> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let user = user.map(UserId::new);
        Asked { what: text(what), user, key: text(key), payment: text(payment), sku: None }.question()
    }

    #[test]
    fn a_question_has_one_form() {
        let user = UserId::new(7);
        assert_eq!(asked(Some("383006771100254208"), None, None, None).unwrap(), Question::Id(383_006_771_100_254_208));
        assert_eq!(asked(Some("user:7"), None, None, None).unwrap(), Question::User(user));
        assert_eq!(asked(None, Some(7), Some("a:b"), None).unwrap(), Question::Key(user, "a:b".into()));
        assert_eq!(asked(Some("key:a:b"), Some(7), None, None).unwrap(), Question::Key(user, "a:b".into()));
        assert!(matches!(asked(Some("payment:pi_1"), None, None, None).unwrap(), Question::Payment(_)));
        for (what, user, key, payment) in [
            (Some("key:k"), None, None, None),
            (Some("012"), None, None, None),
            (Some("abc"), None, None, None),
            (Some("sku:1"), None, None, None),
            (Some("1"), Some(7), None, None),
            (None, Some(7), None, Some("pi_1")),
            (None, None, None, Some("pi/1")),
        ] {
            assert!(asked(what, user, key, payment).is_err(), "{what:?} {user:?} {key:?} {payment:?}");
        }
    }
}
