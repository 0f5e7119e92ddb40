//! Every answer says which request it belongs to, and so does what is logged about one.

use flash_tests::backends::Own;
use flash_tests::buyer::PURCHASE;
use flash_tests::cashier::{SECRET, WEBHOOK, notice, now_s, sign};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::{Answer, Connection};
use std::collections::HashSet;

fn id(answer: &Answer) -> String {
    answer.header("x-request-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_taken_over_or_made_up_and_found_in_the_log() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut wire = Connection::open(&daemon.api).await.unwrap();
    let sold = br#"{"userId":"1","skuId":"1","idempotencyKey":"k"}"#.as_slice();
    for (body, status) in [(sold, 200), (b"{}", 400), (br#"{"userId":"1","skuId":"7"}"#, 404)] {
        let answer = wire.post(PURCHASE, "X-Request-Id: from-a-proxy.1\r\n", body).await.unwrap();
        assert_eq!((answer.status, id(&answer).as_str()), (status, "from-a-proxy.1"));
        let mut ids = HashSet::new();
        for header in
            ["", "X-Request-Id: short\r\n", "X-Request-Id: {\"json\":1}\r\n", "X-Request-Id: \u{e9}t\u{e9}\r\n"]
        {
            ids.insert(id(&wire.post(PURCHASE, header, body).await.unwrap()));
        }
        let ours = |id: &String| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(ids.len() == 4 && ids.iter().all(ours), "{ids:?}");
    }
    for path in ["/health", "/nothing/here", "/api/v1/flash/skus", "/api/v1/flash/orders/1"] {
        let _ = id(&wire.get(path).await.unwrap());
    }
    let other = Connection::open(&daemon.api).await.unwrap().get("/health").await.unwrap();
    assert_ne!(id(&other), id(&wire.get("/health").await.unwrap()));

    // A signed notice about an order that is none of ours: somebody has to look at it, and can find it.
    let body = notice(1, "pi_lost", 4_900);
    let headers = format!("X-Request-Id: notice-0001\r\nFlash-Signature: {}\r\n", sign(SECRET, now_s(), &body));
    eventually("the projector to know that there is no such order", || async {
        let mut wire = Connection::open(&daemon.api).await.unwrap();
        let answer = wire.post(WEBHOOK, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(id(&answer), "notice-0001");
        answer.status == 404
    })
    .await;
    let told = || daemon.last_lines().into_iter().find(|line| line.contains("a signed notice was refused"));
    eventually("the notice to be logged", || async { told().is_some() }).await;
    assert!(told().is_some_and(|line| line.contains("notice-0001")), "{:?}", told());
    site.finish(&[&daemon]).await;
}
