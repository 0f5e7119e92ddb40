//! A small shop that speaks the purchase API over real sockets and lies in one way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Not at all.
    None,
    /// Half as many units again as it says that it has.
    Oversells,
    /// The same order to two buyers.
    SellsTwice,
    /// A repeated key is a new purchase.
    ForgetsKeys,
}

/// One SKU and its books.
pub(crate) struct Shop {
    capacity: u64,
    trick: Trick,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    sold: u64,
    by_key: HashMap<String, u64>,
}

impl Shop {
    /// Opens it; it lives as long as the test's runtime. Returns its address.
    pub(crate) async fn open(capacity: u64, trick: Trick) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shop = Arc::new(Self { capacity, trick, books: Mutex::default() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shop).attend(stream));
            }
        });
        format!("http://{address}")
    }

    fn sell(&self, key: &str) -> (u16, Value) {
        let mut books = self.books.lock().unwrap();
        if let Some(order) = books.by_key.get(key).filter(|_| self.trick != Trick::ForgetsKeys) {
            return win(*order);
        }
        let limit = if self.trick == Trick::Oversells { self.capacity * 3 / 2 } else { self.capacity };
        if books.sold >= limit {
            return (410, json!({ "error": "SOLD_OUT", "final": true }));
        }
        books.sold += 1;
        let order = 1_000 + if self.trick == Trick::SellsTwice { books.sold / 2 } else { books.sold };
        books.by_key.insert(key.to_owned(), order);
        win(order)
    }

    fn answer(&self, method: &str, body: &[u8]) -> (u16, Value) {
        if method == "GET" {
            let left = self.capacity.saturating_sub(self.books.lock().unwrap().sold);
            let sku = json!({ "skuId": "1", "name": "A", "capacity": self.capacity, "available": left });
            return (200, json!({ "skus": [sku] }));
        }
        let wish: Value = serde_json::from_slice(body).unwrap();
        self.sell(wish["idempotencyKey"].as_str().unwrap())
    }

    async fn attend(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        loop {
            let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
                match stream.read_buf(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => continue,
                }
            };
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            while buffer.len() < end + length {
                if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let method = if head.starts_with("get ") { "GET" } else { "POST" };
            let (status, body) = self.answer(method, &buffer[end..end + length]);
            buffer.drain(..end + length);
            let body = body.to_string();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn win(order: u64) -> (u16, Value) {
    let (order, reservation) = (order.to_string(), (order + 1_000_000).to_string());
    (
        200,
        json!({ "success": true, "orderId": order, "reservationId": reservation, "expiresAt": 4_000_000_000_000_u64 }),
    )
}
