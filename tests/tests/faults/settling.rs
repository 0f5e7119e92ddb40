//! Settled orders while servers die and clocks are wrong: what was told about them stays true.

use crate::turn;
use flash_core::sale::Sku;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled, look_up};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

/// Redis loses everything after orders were paid, cancelled, expired, paid late and refunded. Whoever asks again hears what
/// they heard before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_survives_the_loss_of_redis() {
    let _turn = turn().await;
    let site =
        Site::open(Own::default(), &[Sku { per_user: 1, ..ticket(1, 20) }, Sku { hold_ms: 1_000, ..ticket(2, 1) }])
            .await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let mut cashier = site.cashier(&[&daemon]);
    let paid = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let left = buyer.insist(&Purchase::new(2, 1, "k")).await.won().order_id;
    let open = buyer.insist(&Purchase::new(3, 1, "k")).await.won().order_id;
    let unpaid = buyer.insist(&Purchase::new(4, 2, "k")).await.won().order_id;
    eventually("the end of a hold", || async { site.stock(2).await.counters.available == 1 }).await;
    let taken = buyer.insist(&Purchase::new(5, 2, "k")).await.won().order_id;
    assert!(matches!(cashier.insist_pay(taken, "taken", PRICE).await, Settled::Confirmed { .. }));
    assert!(matches!(cashier.insist_pay(paid, "paid", PRICE).await, Settled::Confirmed { .. }));
    assert!(matches!(cashier.insist_cancel(left).await, Settled::Cancelled { .. }));
    assert_eq!(cashier.insist_pay(unpaid, "late", PRICE).await, Settled::Refund("EXPIRED".into()));
    site.redis::<()>(&["FLUSHALL"]).await;
    site.rebuild().await;
    daemon.ready().await;
    let counters = site.stock(1).await.counters;
    assert_eq!((counters.available, counters.held, counters.sold), (18, 1, 1), "{counters:?}");
    // The same answers as before, from a Redis that was filled with what the log says.
    let told = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    assert_eq!((told.order_id, told.replayed), (paid, true));
    assert_eq!(buyer.insist(&Purchase::new(3, 1, "k")).await.won().order_id, open);
    let _ = buyer.insist(&Purchase::new(2, 1, "k")).await.refused(410, "RESERVATION_CANCELLED");
    let _ = buyer.insist(&Purchase::new(4, 2, "k")).await.refused(410, "RESERVATION_EXPIRED");
    let _ = buyer.insist(&Purchase::new(1, 1, "more")).await.refused(409, "LIMIT_REACHED");
    let again = Settled::Confirmed { order_id: paid, replayed: true };
    assert_eq!(cashier.insist_pay(paid, "paid", PRICE).await, again);
    assert_eq!(cashier.insist_pay(unpaid, "late", PRICE).await, Settled::Refund("EXPIRED".into()));
    assert!(matches!(cashier.insist_cancel(left).await, Settled::Cancelled { .. }));
    assert!(matches!(cashier.insist_pay(open, "open", PRICE).await, Settled::Confirmed { .. }));
    // Who cancelled may buy again.
    let _ = buyer.insist(&Purchase::new(2, 1, "another")).await.won();
    site.finish_except(&[&daemon], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

/// MySQL is away: what Redis still knows can be paid and cancelled; the view follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paying_goes_on_without_mysql() {
    let _turn = turn().await;
    let site = Site::open(Own { mysql: true, ..Own::default() }, &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let mut cashier = site.cashier(&[&daemon]);
    let before = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    site.stack.mysql().pause().unwrap();
    let during = buyer.insist(&Purchase::new(2, 1, "k")).await.won().order_id;
    for order in [before, during] {
        let paid = cashier.pay(order, &format!("p-{order}"), PRICE).await;
        assert_eq!(paid, Settled::Confirmed { order_id: order, replayed: false });
    }
    let third = buyer.insist(&Purchase::new(3, 1, "k")).await.won().order_id;
    assert_eq!(cashier.cancel(third, Some(3)).await, Settled::Cancelled { replayed: false });
    site.stack.mysql().resume().unwrap();
    eventually("the view", || async { look_up(&daemon.api, during).await["state"] == "CONFIRMED" }).await;
    site.finish(&[&daemon]).await;
}

/// Daemons whose clocks are ten minutes fast and slow: holds end, payments count and notices are believed by Redis' clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_with_a_wrong_clock_changes_nothing() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[Sku { hold_ms: 6_000, ..ticket(1, 20) }]).await;
    let fast = site.daemon_with("all", &[("FLASHD_CLOCK_SHIFT_MS", "600000")]).await;
    let slow = site.daemon_with("all", &[("FLASHD_CLOCK_SHIFT_MS", "-600000")]).await;
    let real_ms = || async {
        let clock: (u64, u64) = site.redis(&["TIME"]).await;
        clock.0 * 1000 + clock.1 / 1000
    };
    for (daemon, ahead) in [(&fast, true), (&slow, false)] {
        let at_ms = daemon.stats().await.at_ms;
        let off = if ahead { at_ms.saturating_sub(real_ms().await) } else { real_ms().await.saturating_sub(at_ms) };
        assert!((590_000..610_000).contains(&off), "the clock is shifted: {off}");
    }
    for (user, sells, settles) in [(1, &fast, &slow), (2, &slow, &fast)] {
        let before_ms = real_ms().await;
        let mut buyer = site.buyer(&[sells]);
        let told = buyer.insist(&Purchase::new(user, 1, "paid")).await.won();
        assert!((before_ms + 6_000..=real_ms().await + 6_000).contains(&told.expires_at_ms), "{told:?}");
        let left = buyer.insist(&Purchase::new(user, 1, "left")).await.won().order_id;
        let unpaid = buyer.insist(&Purchase::new(user, 1, "unpaid")).await.won();
        let mut cashier = site.cashier(&[settles]);
        let paid = Settled::Confirmed { order_id: told.order_id, replayed: false };
        assert_eq!(cashier.insist_notice(told.order_id, &format!("p{user}"), PRICE).await, paid);
        assert!(matches!(cashier.insist_cancel(left).await, Settled::Cancelled { .. }));
        assert_eq!(site.stock(1).await.counters.held, 1, "it is still held: no clock of ours ends it early");
        eventually("the end of the hold", || async { site.stock(1).await.counters.held == 0 }).await;
        assert!(real_ms().await >= unpaid.expires_at_ms, "not before its time");
        let late = cashier.insist_pay(unpaid.order_id, &format!("late{user}"), PRICE).await;
        assert!(matches!(late, Settled::Confirmed { order_id, .. } if order_id != unpaid.order_id), "{late:?}");
        eventually("the view", || async { look_up(&sells.api, told.order_id).await["state"] == "CONFIRMED" }).await;
    }
    site.finish(&[&fast, &slow]).await;
}
