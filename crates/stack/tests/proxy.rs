//! Each fault of the proxy, seen from a client of a small server that answers every line with the same line.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::{Duration, Instant};

use flash_stack::{Fault, Proxy};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Longer than anything here takes; only a hang comes to it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

/// Answers lines; `greeting` comes first in each answer, so that servers can be told apart.
async fn echo(greeting: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if write.write_all(format!("{greeting}{line}\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(proxy: &Proxy) -> Client {
        Client(BufReader::new(TcpStream::connect(proxy.address()).await.unwrap()))
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).await
    }

    /// The next answer; an error when the connection was reset, `""` when it was closed.
    async fn hear(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("an answer or an end")?;
        Ok(line.trim_end().to_owned())
    }

    async fn ask(&mut self, line: &str) -> std::io::Result<String> {
        self.say(line).await?;
        self.hear().await
    }

    async fn is_silent(&mut self) -> bool {
        timeout(SILENCE, self.0.fill_buf()).await.is_err()
    }
}

#[tokio::test]
async fn a_cut_resets_what_is_there_refuses_what_is_new_and_heals_on_the_same_port() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let address = proxy.address();
    let mut client = Client::connect(&proxy).await;
    assert_eq!(client.ask("one").await.unwrap(), "one");
    for _ in 0..3 {
        proxy.set(Fault::Cut).await;
        client.hear().await.unwrap_err();
        let refused = TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        proxy.heal().await;
        client = Client::connect(&proxy).await;
        assert_eq!(client.ask("two").await.unwrap(), "two");
    }
    proxy.disconnect().await;
    client.hear().await.unwrap_err();
    assert_eq!(Client::connect(&proxy).await.ask("three").await.unwrap(), "three");
}

#[tokio::test]
async fn new_connections_can_be_dropped_while_old_ones_go_on() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut old = Client::connect(&proxy).await;
    old.ask("one").await.unwrap();
    proxy.set(Fault::DropNew).await;
    let mut new = Client::connect(&proxy).await;
    assert!(new.ask("anything").await.is_err());
    assert_eq!(old.ask("two").await.unwrap(), "two");
}

#[tokio::test]
async fn a_delay_is_at_least_what_was_asked_for_and_does_not_throttle() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.ask("warm").await.unwrap();
    let ms = Duration::from_millis;
    proxy.set(Fault::Delay { requests: ms(60), replies: ms(40), jitter: ms(5) }).await;
    let start = Instant::now();
    assert_eq!(client.ask("one").await.unwrap(), "one");
    assert!(start.elapsed() >= ms(100), "{:?}", start.elapsed());

    // A hundred lines, one after the other without waiting: a proxy that served them one by one would take 10 s.
    let start = Instant::now();
    for number in 0..100 {
        client.say(&number.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in 0..100 {
        assert_eq!(client.hear().await.unwrap(), number.to_string());
    }
    assert!(start.elapsed() < ms(5_000), "{:?}", start.elapsed());
}

#[tokio::test]
async fn half_open_is_silent_closes_nothing_and_delivers_afterwards() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut old = Client::connect(&proxy).await;
    old.ask("one").await.unwrap();
    proxy.set(Fault::HalfOpen).await;
    let mut new = Client::connect(&proxy).await;
    old.say("two").await.unwrap();
    new.say("three").await.unwrap();
    assert!(old.is_silent().await && new.is_silent().await);
    assert_eq!(proxy.traffic().open, 2);
    proxy.heal().await;
    assert_eq!(old.hear().await.unwrap(), "two");
    assert_eq!(new.hear().await.unwrap(), "three");
}

#[tokio::test]
async fn swallowed_replies_are_for_work_that_was_done_and_never_come_late() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.ask("one").await.unwrap();
    let mut untouched = Client::connect(&proxy).await;
    untouched.ask("one").await.unwrap();
    proxy.set(Fault::SwallowReplies).await;
    let before = proxy.traffic();
    client.say("two").await.unwrap();
    while proxy.traffic().swallowed_bytes == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(proxy.traffic().request_bytes, before.request_bytes + 4);
    assert!(client.is_silent().await);
    proxy.heal().await;
    client.hear().await.unwrap_err();
    // Nothing of its own was lost, so it goes on.
    assert_eq!(untouched.ask("three").await.unwrap(), "three");
}

#[tokio::test]
async fn the_answer_to_one_certain_request_can_be_lost() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    let mut other = Client::connect(&proxy).await;
    proxy.set(Fault::SwallowAfter { request: b"COMMIT" }).await;
    assert_eq!(client.ask("BEGIN").await.unwrap(), "BEGIN");
    client.say("COMMIT").await.unwrap();
    assert!(client.is_silent().await);
    assert_eq!(other.ask("BEGIN").await.unwrap(), "BEGIN", "its own commit has not passed");
    proxy.heal().await;
    client.hear().await.unwrap_err();
    assert_eq!(other.ask("COMMIT").await.unwrap(), "COMMIT");
}

#[tokio::test]
async fn a_drip_takes_its_time_and_loses_nothing() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.ask("one").await.unwrap();
    proxy.set(Fault::Drip { bytes_per_second: 200 }).await;
    let line = "x".repeat(99);
    let start = Instant::now();
    assert_eq!(client.ask(&line).await.unwrap(), line);
    // Half a second there and half a second back, but for the last piece of each.
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    proxy.set(Fault::Drip { bytes_per_second: 0 }).await;
    client.say("a").await.unwrap();
    assert!(client.is_silent().await, "no rate is the lowest rate, not a division by zero");
}

#[tokio::test]
async fn a_reply_is_torn_where_it_was_asked_for() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    client.ask("this does not count").await.unwrap();
    proxy.set(Fault::ResetInReply { after_bytes: 10 }).await;
    assert_eq!(client.ask("12345").await.unwrap(), "12345");
    client.say("67890").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, client.0.read_to_end(&mut rest)).await.unwrap().unwrap_err();
    assert_eq!(proxy.traffic().reply_bytes, 20 + 10);
}

#[tokio::test]
async fn a_connection_is_closed_after_so_many_bytes() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let mut client = Client::connect(&proxy).await;
    proxy.set(Fault::CutAfter { bytes: 15 }).await;
    assert_eq!(client.ask("12345").await.unwrap(), "12345");
    // The request is torn after three bytes: the server never sees its end.
    assert_eq!(client.ask("67890").await.unwrap_or_default(), "");
    assert_eq!(proxy.traffic().request_bytes, 9);
    assert_eq!(Client::connect(&proxy).await.ask("new").await.unwrap(), "new", "each connection counts for itself");
}

#[tokio::test]
async fn the_target_may_change_and_may_be_missing() {
    let proxy = Proxy::without_target(1).await.unwrap();
    assert!(Client::connect(&proxy).await.ask("nobody").await.is_err());
    proxy.set_target(&echo("first ").await);
    let mut first = Client::connect(&proxy).await;
    assert_eq!(first.ask("one").await.unwrap(), "first one");
    proxy.set_target(&echo("second ").await);
    assert_eq!(first.ask("two").await.unwrap(), "first two");
    assert_eq!(Client::connect(&proxy).await.ask("three").await.unwrap(), "second three");
}

#[tokio::test]
async fn nothing_is_left_of_a_proxy_that_was_dropped() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    let address = proxy.address();
    let mut client = Client::connect(&proxy).await;
    client.ask("one").await.unwrap();
    drop(proxy);
    assert_eq!(client.ask("two").await.unwrap_or_default(), "");
    // The task that had the port ends soon, not at once.
    let gone = async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_closed_client_leaves_no_open_connection_behind() {
    let proxy = Proxy::start(&echo("").await, 1).await.unwrap();
    for _ in 0..20 {
        Client::connect(&proxy).await.ask("one").await.unwrap();
    }
    assert_eq!(proxy.traffic().accepted, 20);
    let empty = async {
        while proxy.traffic().open > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, empty).await.unwrap();
}
