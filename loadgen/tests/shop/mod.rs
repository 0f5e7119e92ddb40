//! A small shop over real sockets that speaks the purchase contract and misbehaves on request.
//!
//! Every purchase request goes through a script: a function from (shop, purchase, running number) to what is
//! done on the wire. The default script sells from a counter and honours idempotency keys.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One step on the wire.
pub(crate) enum Act {
    Send(String),
    Pause(u64),
    Close,
}

/// A purchase as the shop reads it.
pub(crate) struct Wish {
    pub(crate) user: String,
    pub(crate) sku: String,
    pub(crate) key: String,
    /// How many requests came before this one, over all connections.
    pub(crate) number: u64,
}

pub(crate) struct Shop {
    stock: Mutex<HashMap<String, u64>>,
    by_key: Mutex<HashMap<String, u64>>,
    next_order: AtomicU64,
    requests: AtomicU64,
    settled: Mutex<Vec<Settlement>>,
}

/// A call to pay or cancel, as the shop reads it.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    pub(crate) order: u64,
    pub(crate) verb: String,
    pub(crate) body: serde_json::Value,
}

/// What a unit costs.
pub(crate) const PRICE: u64 = 4_900;

type Script = dyn Fn(&Shop, &Wish) -> Vec<Act> + Send + Sync;

impl Shop {
    /// Opens a shop with `stock` units of each SKU 1 to `skus`; it lives as long as the process.
    pub(crate) fn open(
        skus: u64,
        stock: u64,
        script: impl Fn(&Shop, &Wish) -> Vec<Act> + Send + Sync + 'static,
    ) -> (Arc<Shop>, SocketAddr) {
        let shop = Arc::new(Shop {
            stock: Mutex::new((1..=skus).map(|sku| (sku.to_string(), stock)).collect()),
            by_key: Mutex::default(),
            next_order: AtomicU64::new(1_000),
            requests: AtomicU64::new(0),
            settled: Mutex::default(),
        });
        let (tell, told) = std::sync::mpsc::channel();
        let inside = Arc::clone(&shop);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let script: Arc<Script> = Arc::new(script);
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(attend(Arc::clone(&inside), Arc::clone(&script), stream));
                }
            });
        });
        (shop, told.recv().unwrap())
    }

    /// The honest answer: a repeated key gets its order again, otherwise one unit is sold.
    pub(crate) fn sell(&self, wish: &Wish) -> Vec<Act> {
        vec![Act::Send(self.decide(wish))]
    }

    /// The text of the honest answer; the decision is made now.
    pub(crate) fn decide(&self, wish: &Wish) -> String {
        let mut by_key = self.by_key.lock().unwrap();
        if let Some(order) = by_key.get(&wish.key) {
            return win(*order, "Idempotent-Replayed: true\r\n");
        }
        let mut stock = self.stock.lock().unwrap();
        let left = stock.get_mut(&wish.sku).unwrap();
        if *left == 0 {
            return response(410, "", r#"{"status":410,"error":"SOLD_OUT","final":true}"#);
        }
        *left -= 1;
        let order = self.next_order.fetch_add(1, Relaxed);
        by_key.insert(wish.key.clone(), order);
        win(order, "")
    }

    /// Units come back.
    pub(crate) fn restock(&self, sku: &str, units: u64) {
        *self.stock.lock().unwrap().get_mut(sku).unwrap() += units;
    }

    /// Every call to pay or cancel so far.
    pub(crate) fn settlements(&self) -> Vec<Settlement> {
        self.settled.lock().unwrap().clone()
    }

    /// The first call about an order is answered "later", the second one is done.
    fn settle(&self, path: &str, body: serde_json::Value) -> String {
        let mut words = path.rsplit('/');
        let (verb, order) = (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap());
        let mut settled = self.settled.lock().unwrap();
        let is_first = settled.iter().all(|one| one.order != order);
        let state = if verb == "pay" { "CONFIRMED" } else { "CANCELLED" };
        settled.push(Settlement { order, verb, body });
        if is_first {
            return response(503, "Retry-After: 0\r\n", r#"{"error":"ORDER_PENDING"}"#);
        }
        response(200, "", &format!(r#"{{"success":true,"orderId":"{order}","state":"{state}"}}"#))
    }

    /// What is on sale, with what is left.
    fn listing(&self) -> String {
        let stock = self.stock.lock().unwrap();
        let sku = |(sku, left): (&String, &u64)| serde_json::json!({"skuId": sku, "name": "A", "capacity": 5, "available": left, "priceMinor": PRICE});
        response(200, "", &serde_json::json!({ "skus": stock.iter().map(sku).collect::<Vec<_>>() }).to_string())
    }

    /// How many orders exist.
    pub(crate) fn orders(&self) -> u64 {
        self.next_order.load(Relaxed) - 1_000
    }
}

/// A 200 for an order; the reservation is the order's number plus a million.
pub(crate) fn win(order: u64, headers: &str) -> String {
    let body = format!(
        r#"{{"success":true,"reservationId":"{}","orderId":"{order}","expiresAt":1,"message":"","processingTimeMs":0}}"#,
        order + 1_000_000
    );
    response(200, headers, &body)
}

/// A response with a length.
pub(crate) fn response(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn attend(shop: Arc<Shop>, script: Arc<Script>, mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    loop {
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        let acts = if head.starts_with("get ") {
            vec![Act::Send(shop.listing())]
        } else if head.starts_with("post /api/v1/flash/orders/") {
            let path = head.split(' ').nth(1).unwrap();
            vec![Act::Send(shop.settle(path, serde_json::from_slice(&body).unwrap()))]
        } else {
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let text = |name: &str| json[name].as_str().unwrap().to_owned();
            let number = shop.requests.fetch_add(1, Relaxed);
            let wish = Wish { user: text("userId"), sku: text("skuId"), key: text("idempotencyKey"), number };
            script(&shop, &wish)
        };
        for act in acts {
            match act {
                Act::Send(text) if stream.write_all(text.as_bytes()).await.is_err() => return,
                Act::Send(_) => {}
                Act::Pause(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Act::Close => return,
            }
        }
    }
}
