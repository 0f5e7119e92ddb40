//! What is told alone, without stores.

use super::*;

#[test]
fn without_stores_an_oversell_is_still_seen() {
    let run = World::honest(3, 3).run;
    let on_sale =
        |capacity| vec![SkuOnSale { sku_id: 1, name: String::new(), capacity, available: None, price_minor: None }];
    let clean = judge_alone(&run, &on_sale(Some(3)), "no stores".into());
    assert_eq!((clean.outcome, clean.basis), (Outcome::Clean, Basis::ToldAlone));
    assert!(!clean.judged.contains(&Kind::Lost));
    let broken = judge_alone(&run, &on_sale(Some(2)), String::new());
    assert_eq!((broken.outcome, broken.count(Kind::Oversold)), (Outcome::Broken, 1));
    // A unit that came back may be sold again: by a cancellation, or when the hold has ended.
    let mut resold = run.clone();
    let granted = Some(Ended::Cancelled);
    let cancelled = Ending { order_id: 100, key: KEY, pays: false, asked_us: 500, told: granted, told_us: 600 };
    resold.endings = vec![cancelled];
    assert_eq!(judge_alone(&resold, &on_sale(Some(2)), String::new()).outcome, Outcome::Clean);
    // It does not come back if the cancellation was refused; if that is not known, nor is the verdict.
    resold.endings = vec![Ending { told: Some(Ended::Refused), ..cancelled }];
    assert_eq!(judge_alone(&resold, &on_sale(Some(2)), String::new()).count(Kind::Oversold), 1);
    resold.endings = vec![Ending { told: None, ..cancelled }];
    let unclear = judge_alone(&resold, &on_sale(Some(2)), String::new());
    assert_eq!((unclear.outcome, unclear.remarks.len()), (Outcome::Open, 2), "{unclear:#?}");
    assert_eq!(judge_alone(&resold, &on_sale(Some(3)), String::new()).outcome, Outcome::Clean);
    // Nothing ends before it was told: a wish that came first counts from the answer on.
    let mut early = run.clone();
    early.told.push(told(3));
    early.endings = vec![Ending { order_id: 102, ..cancelled }];
    assert_eq!(judge_alone(&early, &on_sale(Some(3)), String::new()).outcome, Outcome::Clean);
    assert_eq!(judge_alone(&early, &on_sale(Some(2)), String::new()).count(Kind::Oversold), 1);
    let mut later = run.clone();
    later.told[2].answered_us = 950_000_000;
    assert_eq!(judge_alone(&later, &on_sale(Some(2)), String::new()).outcome, Outcome::Clean);
    later.endings = vec![Ending { pays: true, told: Some(Ended::Paid(100)), ..cancelled }];
    later.endings.push(Ending { order_id: 101, ..later.endings[0] });
    later.endings[1].told = Some(Ended::Paid(101));
    assert_eq!(judge_alone(&later, &on_sale(Some(2)), String::new()).outcome, Outcome::Broken, "paid is for ever");
    // Holds as short as the difference of clocks cannot be seen beside each other.
    let mut short = run.clone();
    short.told.iter_mut().for_each(|told| told.expires_at_ms = 4_000);
    let verdict = judge_alone(&short, &on_sale(Some(2)), String::new());
    assert_eq!((verdict.outcome, verdict.counts[&Kind::Oversold]), (Outcome::Open, None), "{verdict:#?}");
    assert!(verdict.remarks[1].ends_with("if the clocks agree, 1 were"), "{verdict:#?}");
    let mut unreadable = run.clone();
    unreadable.report.outcomes.insert("UNREADABLE_WIN".into(), 1);
    assert_eq!(judge_alone(&unreadable, &on_sale(Some(3)), String::new()).outcome, Outcome::Open);
    let unknown = judge_alone(&run, &on_sale(None), String::new());
    assert_eq!((unknown.outcome, unknown.judged.contains(&Kind::Oversold)), (Outcome::Open, false));
}
