//! The shops against real MySQL and Redis: each must do what its design does, the wrong included – a comparison with a shop that
//! does not oversell would show nothing, and one that oversells for another reason would be a lie.
//!
//! Races are not waited for but made: the row (or the table) is locked from outside until every buyer stands where it matters.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

use std::time::Duration;

use flash_naive::{Kind, Purchase, Shop, ShopError, Sold, Stores, serve};
use flash_stack::{Stack, StackOptions};
use sqlx::{Connection, MySqlConnection, mysql::MySqlConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Fewer than a shop has connections: all can stand at the lock at once.
const BUYERS: u64 = 20;

async fn stack() -> (Stack, Stores) {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let login = stack.mysql_login();
    let stores = Stores {
        mysql_host: login.host.clone(),
        mysql_port: login.port,
        mysql_user: login.user.clone(),
        mysql_password: login.password.clone(),
        redis_url: stack.redis().url().to_owned(),
    };
    (stack, stores)
}

/// A connection beside the shop's.
async fn beside(stores: &Stores) -> MySqlConnection {
    let options = MySqlConnectOptions::new().host(&stores.mysql_host).port(stores.mysql_port);
    MySqlConnection::connect_with(&options.username(&stores.mysql_user).password(&stores.mysql_password)).await.unwrap()
}

fn wish(user_id: u64) -> Purchase {
    Purchase { user_id, sku_id: 1, quantity: 1, key: Some(format!("key-{user_id}")) }
}

fn come(shop: &Shop, buyers: u64) -> JoinSet<Result<Sold, ShopError>> {
    let mut coming = JoinSet::new();
    for user in 1..=buyers {
        let shop = shop.clone();
        coming.spawn(async move { shop.buy(&wish(user)).await });
    }
    coming
}

/// How many were told that they have an order.
async fn winners(coming: JoinSet<Result<Sold, ShopError>>) -> usize {
    let all = coming.join_all().await;
    all.into_iter().filter(|sold| matches!(sold.as_ref().unwrap(), Sold::Order(_))).count()
}

/// Waits until this query counts so many.
async fn until(connection: &mut MySqlConnection, count: &'static str, wanted: i64) {
    for _ in 0..240 {
        let now: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.unwrap();
        if now == wanted {
            return;
        }
        // InnoDB shows an old picture to whoever asks again within a tenth of a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("{count} never gave {wanted}");
}

const AT_A_ROW: &str = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
const AT_THE_TABLE: &str =
    "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'";

/// One ticket, twenty buyers who all have read the stock (or wait to read it) before the first of them writes.
async fn one_ticket(kind: Kind, hold: &'static str) -> (usize, usize) {
    let (stack, stores) = stack().await;
    let shop = Shop::open(kind, &stores).await.unwrap();
    shop.stock_up(1, 1).await.unwrap();
    let (mut holder, mut watcher) = (beside(&stores).await, beside(&stores).await);
    let mut held = holder.begin().await.unwrap();
    sqlx::query(hold).execute(&mut *held).await.unwrap();
    let coming = come(&shop, BUYERS);
    until(&mut watcher, AT_A_ROW, i64::try_from(BUYERS).unwrap()).await;
    held.rollback().await.unwrap();
    let told = winners(coming).await;
    let rows = shop.orders().await.unwrap().len();
    shop.close().await;
    stack.stop().await;
    (told, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_before_writing_oversells() {
    let hold = "SELECT stock FROM naive_mysql.stock WHERE sku_id = 1 FOR UPDATE";
    let all = usize::try_from(BUYERS).unwrap();
    assert_eq!(one_ticket(Kind::ReadThenWrite, hold).await, (all, all), "one ticket, and everybody has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_is_sold_once() {
    let hold = "SELECT stock FROM naive_mysql_lock.stock WHERE sku_id = 1 FOR UPDATE";
    assert_eq!(one_ticket(Kind::RowLock, hold).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_counts_right_and_forgets_a_ticket_when_the_process_dies() {
    let (stack, stores) = stack().await;
    let shop = Shop::open(Kind::RedisThenMysql, &stores).await.unwrap();
    shop.stock_up(1, 10).await.unwrap();
    assert_eq!(winners(come(&shop, 200)).await, 10, "while nothing breaks, nothing is sold twice");
    assert_eq!(shop.stocks().await.unwrap(), [(1, 10, 0)]);

    // All connections to MySQL are kept busy, so that the last buyer's ticket is taken in Redis and written nowhere.
    shop.stock_up(1, 40).await.unwrap();
    let (mut holder, mut watcher) = (beside(&stores).await, beside(&stores).await);
    let earlier = shop.orders().await.unwrap().len();
    sqlx::raw_sql("LOCK TABLES naive_redis_mysql.orders WRITE").execute(&mut holder).await.unwrap();
    let mut coming = JoinSet::new();
    for user in 1_001..=1_032 {
        let shop = shop.clone();
        coming.spawn(async move { shop.buy(&wish(user)).await });
    }
    until(&mut watcher, AT_THE_TABLE, 32).await;
    let last = tokio::spawn({
        let shop = shop.clone();
        async move { shop.buy(&wish(1_033)).await }
    });
    left_in_redis(&stores, 7).await;
    // Its process dies, with what it was about to do; the others live to write their orders.
    last.abort();
    assert!(last.await.unwrap_err().is_cancelled(), "it had its answer before it could die");
    sqlx::raw_sql("UNLOCK TABLES").execute(&mut holder).await.unwrap();
    let told = winners(coming).await;
    shop.close().await;

    // Whoever opens the shop again finds 7 on sale and 32 orders. There were 40.
    let shop = Shop::open(Kind::RedisThenMysql, &stores).await.unwrap();
    let orders = shop.orders().await.unwrap().len() - earlier;
    let left = shop.stocks().await.unwrap()[0].2;
    assert_eq!((told, orders, left), (32, 32, 7), "told, in the tables, on sale: one ticket of 40 is nowhere");
    shop.close().await;
    stack.stop().await;
}

async fn left_in_redis(stores: &Stores, wanted: i64) {
    let client = redis::Client::open(stores.redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for _ in 0..1_200 {
        let left: i64 = redis::cmd("GET").arg("naive:stock:1").query_async(&mut redis).await.unwrap();
        if left == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("Redis never had {wanted} left");
}

/// A request by hand; the answer's head and body.
async fn ask(address: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shop_speaks_the_purchase_api() {
    let (stack, stores) = stack().await;
    for kind in Kind::ALL {
        let shop = Shop::open(kind, &stores).await.unwrap();
        shop.stock_up(1, 2).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, shop.clone()));
        let buy = |key: &'static str| {
            let body = format!(r#"{{"userId":"7","skuId":"1","quantity":1,"idempotencyKey":"{key}"}}"#);
            let address = address.clone();
            async move { ask(&address, "POST", "/api/v1/flash/purchase", &body).await }
        };
        let (status, won) = buy("a").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{kind}: {won}");
        let won: serde_json::Value = serde_json::from_str(&won).unwrap();
        let (_, again) = buy("a").await;
        let again: serde_json::Value = serde_json::from_str(&again).unwrap();
        assert_eq!(won["orderId"], again["orderId"], "{kind}: one key, one order");
        assert_eq!(buy("b").await.0, "HTTP/1.1 200 OK", "{kind}: the double click took nothing");
        let (status, out) = buy("c").await;
        assert!(status.starts_with("HTTP/1.1 410") && out.contains("SOLD_OUT"), "{kind}: {status} {out}");
        let path = format!("/api/v1/flash/orders/{}", won["orderId"].as_str().unwrap());
        assert_eq!(ask(&address, "GET", &path, "").await.0, "HTTP/1.1 200 OK", "{kind}");
        let (_, skus) = ask(&address, "GET", "/api/v1/flash/skus", "").await;
        assert!(skus.contains(r#""available":0"#) && skus.contains(r#""capacity":2"#), "{kind}: {skus}");
        assert_eq!(shop.orders().await.unwrap().len(), 2, "{kind}");
    }
    stack.stop().await;
}
