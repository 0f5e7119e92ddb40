//! The load: buyers with a key each, who ask again after every unknown answer, pay, cancel, pay late or forget – and write
//! down everything they were told. They believe nothing but a 200.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flash_witness::{Settled, SettledTold, Told, ToldList};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{
    dice::Dice,
    wire::{Answer, Line},
};

/// One SKU of the sale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) sku_id: u64,
    pub(super) capacity: u32,
    pub(super) per_user: u32,
    pub(super) hold_ms: u64,
    /// How often it is asked for, compared with others.
    weight: u64,
}

/// The sale: one that is always short, two that sell out, one that lasts.
pub(super) const SALE: [Item; 4] = [
    Item { sku_id: 1, capacity: 40, per_user: 2, hold_ms: 2_000, weight: 2 },
    Item { sku_id: 2, capacity: 300, per_user: 4, hold_ms: 3_000, weight: 3 },
    Item { sku_id: 3, capacity: 900, per_user: 3, hold_ms: 2_500, weight: 3 },
    Item { sku_id: 4, capacity: 4_000, per_user: 10, hold_ms: 4_000, weight: 6 },
];
/// The price of everything, in minor units.
pub(super) const PRICE: u64 = 4_900;
/// The longest hold.
pub(super) const HOLD_MAX_MS: u64 = 4_000;

/// Buyers at once.
const BUYERS: u64 = 60;
/// People they are; some of them come again and again.
const PEOPLE: u64 = 4_000;
const REGULARS: u64 = 30;
/// Mean pause of a buyer between two purchases.
const PAUSE_MS: u64 = 120;
/// How long somebody goes on asking what became of it.
const STUBBORN: Duration = Duration::from_secs(30);
/// Settlements under way; more would only queue in the daemon.
const SETTLING_MAX: usize = 400;

const PURCHASE: &str = "/api/v1/flash/purchase";

/// What the load came to.
#[derive(Debug, Default)]
pub(super) struct Book {
    list: Mutex<ToldList>,
    tally: Mutex<Tally>,
}

/// Counts of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Purchases that somebody wanted.
    pub(super) wanted: u64,
    /// Purchases that nobody knows the end of: no final answer before patience ended.
    pub(super) unknown: u64,
    /// Settlements without a final answer.
    pub(super) unsettled: u64,
    /// Answers by code, 200 aside.
    pub(super) codes: BTreeMap<String, u64>,
}

/// Everything countable about a load.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    /// Purchases told 200, each once.
    pub(super) told: usize,
    /// Payments told for good.
    pub(super) paid: usize,
    pub(super) cancelled: usize,
    pub(super) refunds: usize,
    pub(super) tally: Tally,
}

impl Book {
    pub(super) fn list(&self) -> MutexGuard<'_, ToldList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, word: &str) {
        *self.tally().codes.entry(word.to_owned()).or_default() += 1;
    }

    /// What the load came to until now.
    pub(super) fn totals(&self) -> Totals {
        let list = self.list();
        let settled = |wanted: fn(&Settled) -> bool| list.settled.iter().filter(|told| wanted(&told.settled)).count();
        let orders: BTreeSet<u64> = list.told.iter().map(|told| told.order_id).collect();
        Totals {
            told: orders.len(),
            paid: settled(|settled| matches!(settled, Settled::Confirmed { .. })),
            cancelled: settled(|settled| *settled == Settled::Cancelled),
            refunds: settled(|settled| *settled == Settled::Refund),
            tally: self.tally().clone(),
        }
    }

    /// When the last 200 for a purchase came, in milliseconds since 1970.
    pub(super) fn last_told_ms(&self) -> u64 {
        self.list().told.last().map_or(0, |told| told.at_ms)
    }
}

/// Milliseconds since 1970. Redis on this machine has the same clock.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Who buys, and where.
pub(super) struct Crowd {
    pub(super) addresses: Arc<[String]>,
    pub(super) book: Arc<Book>,
    pub(super) seed: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) user_id: u64,
    pub(super) item: Item,
    pub(super) quantity: u32,
    pub(super) key: String,
}

impl Crowd {
    /// Buys until `stop` says so, then until everybody knows or has given up.
    pub(super) async fn buy(&self, stop: watch::Receiver<bool>) {
        let mut buyers = JoinSet::new();
        for number in 0..BUYERS {
            let dice = Dice::fork(self.seed, 100 + number);
            let at = usize::try_from(number).unwrap_or(0);
            let line = Line::new(self.addresses.clone(), at);
            let buyer = Buyer { line, book: self.book.clone(), dice, number, settling: JoinSet::new() };
            buyers.spawn(buyer.run(stop.clone()));
        }
        while buyers.join_next().await.is_some() {}
    }
}

struct Buyer {
    line: Line,
    book: Arc<Book>,
    dice: Dice,
    number: u64,
    settling: JoinSet<()>,
}

impl Buyer {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut count = 0_u64;
        while !*stop.borrow() {
            count += 1;
            let wish = self.wish(count);
            self.book.tally().wanted += 1;
            let told = ask(&mut self.line, &self.book, &mut self.dice, &wish).await;
            if let Some(told) = told {
                self.go_on(wish, told);
            }
            while self.settling.try_join_next().is_some() {}
            let pause = Duration::from_millis(self.dice.range(0..=PAUSE_MS * 2));
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.changed() => {}
            }
        }
        while self.settling.join_next().await.is_some() {}
    }

    fn wish(&mut self, count: u64) -> Wish {
        let dice = &mut self.dice;
        let weighted: Vec<Item> = SALE.iter().flat_map(|item| (0..item.weight).map(|_| *item)).collect();
        let item = *dice.pick(&weighted);
        let user_id = if dice.percent(10) { dice.range(1..=REGULARS) } else { dice.range(1_000..=1_000 + PEOPLE) };
        let quantity = u32::try_from(dice.range(1..=u64::from(item.per_user.min(3)))).unwrap_or(1);
        Wish { user_id, item, quantity, key: format!("c{}-{count}", self.number) }
    }

    /// What somebody does who has won.
    fn go_on(&mut self, wish: Wish, told: Told) {
        let mut dice = Dice::new(self.dice.next());
        if self.settling.len() >= SETTLING_MAX / usize::try_from(BUYERS).unwrap_or(1) {
            return;
        }
        let (line, book) = (Line::new(self.line.addresses(), self.line.position()), self.book.clone());
        self.settling.spawn(async move {
            let mut line = line;
            if dice.percent(8) {
                // The same purchase again: by mistake, or because the answer was forgotten.
                sleep(Duration::from_millis(dice.range(0..=wish.item.hold_ms))).await;
                ask(&mut line, &book, &mut dice, &wish).await;
            }
            match dice.range(0..=99) {
                0..=44 => {
                    sleep(Duration::from_millis(dice.range(0..=wish.item.hold_ms * 8 / 10))).await;
                    pay(&mut line, &book, &mut dice, &told).await;
                }
                45..=59 => {
                    sleep(Duration::from_millis(dice.range(0..=wish.item.hold_ms * 8 / 10))).await;
                    cancel(&mut line, &book, &mut dice, &told).await;
                }
                // Around and after the end of the hold.
                60..=67 => {
                    sleep(Duration::from_millis(wish.item.hold_ms - 200 + dice.range(0..=2_000))).await;
                    pay(&mut line, &book, &mut dice, &told).await;
                }
                _ => {}
            }
        });
    }
}

/// One purchase, until its end is known or patience ends.
pub(super) async fn ask(line: &mut Line, book: &Book, dice: &mut Dice, wish: &Wish) -> Option<Told> {
    let Wish { user_id, item, quantity, key } = wish;
    let body = json!({
        "userId": user_id.to_string(),
        "skuId": item.sku_id.to_string(),
        "quantity": quantity,
        "idempotencyKey": key,
    });
    let answer = insist(line, book, dice, PURCHASE, &body.to_string()).await;
    let Some(answer) = answer else {
        book.tally().unknown += 1;
        return None;
    };
    if answer.status != 200 {
        return None;
    }
    let id = |name: &str| answer.body[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    let told = Told {
        user_id: *user_id,
        sku_id: item.sku_id,
        quantity: *quantity,
        key: key.clone(),
        order_id: id("orderId"),
        reservation_id: id("reservationId"),
        expires_at_ms: answer.body["expiresAt"].as_u64().unwrap_or(0),
        at_ms: now_ms(),
    };
    book.list().told.push(told.clone());
    Some(told)
}

/// Pays; the payment is the order's, so it can be told again and again. Whether it was told for good.
pub(super) async fn pay(line: &mut Line, book: &Book, dice: &mut Dice, told: &Told) -> bool {
    let payment_id = format!("pay-{}", told.order_id);
    let body = json!({ "paymentId": payment_id, "amount": u64::from(told.quantity) * PRICE });
    settle(line, book, dice, told, "pay", &body, Some(payment_id)).await
}

async fn cancel(line: &mut Line, book: &Book, dice: &mut Dice, told: &Told) {
    book.list().cancels_asked.push((told.order_id, now_ms()));
    let body = json!({ "userId": told.user_id.to_string() });
    settle(line, book, dice, told, "cancel", &body, None).await;
}

async fn settle(
    line: &mut Line,
    book: &Book,
    dice: &mut Dice,
    told: &Told,
    verb: &str,
    body: &Value,
    payment_id: Option<String>,
) -> bool {
    let asked_ms = now_ms();
    let path = format!("/api/v1/flash/orders/{}/{verb}", told.order_id);
    let Some(answer) = insist(line, book, dice, &path, &body.to_string()).await else {
        book.tally().unsettled += 1;
        return false;
    };
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
    let settled = match answer.status {
        _ if text("paymentStatus") == "REFUND_PENDING" => Settled::Refund,
        200 if text("state") == "CANCELLED" => Settled::Cancelled,
        200 => Settled::Confirmed { order_id: text("orderId").parse().unwrap_or(0) },
        404 => {
            book.list().denied.push((told.order_id, now_ms()));
            return false;
        }
        _ => return false,
    };
    let order_id = told.order_id;
    book.list().settled.push(SettledTold { order_id, payment_id, settled, asked_ms, at_ms: now_ms() });
    true
}

/// Posts until the answer is final; `None` when patience has ended before.
async fn insist(line: &mut Line, book: &Book, dice: &mut Dice, path: &str, body: &str) -> Option<Answer> {
    let started = Instant::now();
    loop {
        match line.post(path, body).await {
            Ok(answer) => {
                if answer.status != 200 {
                    book.count(answer.code());
                }
                if !answer.is_open() {
                    return Some(answer);
                }
            }
            Err(_) => book.count("no answer"),
        }
        if started.elapsed() > STUBBORN || dice.percent(1) {
            return None;
        }
        sleep(Duration::from_millis(dice.range(50..=400))).await;
    }
}
