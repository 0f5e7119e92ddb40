//! The OpenAPI documents: there on both listeners, each of its own plane. What they say is checked against every answer of
//! every test (`flash_tests::contract`), and by scripts/check-api.

use flash_tests::backends::Own;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;

const PATH: &str = "/openapi.json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_planes_describe_themselves_and_only_themselves() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    for (address, document) in [(&daemon.api, flashd::openapi::buyers()), (&daemon.admin, flashd::openapi::operators())]
    {
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.get(PATH).await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert!(answer.body == document);
        let head = connection.head(PATH).await.unwrap();
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        assert_eq!((head.status, length, head.body.len()), (200, Some(document.len()), 0));
        // The connection is where it should be: nothing followed the head.
        assert_eq!(connection.get(PATH).await.unwrap().status, 200);
        let refused = connection.post(PATH, "", b"{}").await.unwrap();
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    }
    let buyers = String::from_utf8(flashd::openapi::buyers().to_vec()).unwrap();
    for word in ["/control", "/metrics", "/stats", "bearer"] {
        assert!(!buyers.contains(word), "buyers are told of {word}");
    }
    site.finish(&[&daemon]).await;
}
