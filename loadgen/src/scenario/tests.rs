use super::*;
use crate::Pacing;

#[test]
fn every_built_in_scenario_is_a_good_plan_and_explained() {
    for name in Scenario::names() {
        let scenario = Scenario::built_in(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.plan.scenario, name);
        assert!(scenario.about.len() <= 100, "{name}: {}", scenario.about);
        let text = Scenario::text(name).unwrap();
        assert!(text.starts_with("# "), "{name} begins with what it is");
        // What is exported is what is compiled in: a second reading gives the same plan.
        let again = Scenario::parse(name, text).unwrap();
        assert_eq!(format!("{:?}", again.plan), format!("{:?}", scenario.plan));
        // It can be shortened to something that still is a run.
        let short = scenario.plan.clone().scaled(0.01, 0.1).unwrap();
        let skus = vec!["1".parse().unwrap()];
        Plan { skus, ..short }.check().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// (milliseconds, users) of every stage, ramping all the time.
fn k6(name: &str) -> (Vec<(u64, u32)>, (u64, u64)) {
    let plan = Scenario::built_in(name).unwrap().plan;
    assert_eq!((plan.pacing(), plan.ramp_ms), (Pacing::Closed, crate::WHOLE_STAGE), "{name}");
    (plan.stages.iter().map(|stage| (stage.duration_ms, stage.buyers)).collect(), plan.think_ms)
}

#[test]
fn the_five_of_the_system_before_are_stage_for_stage() {
    let s = |seconds: u64, users: u32| (seconds * 1_000, users);
    assert_eq!(k6("light"), (vec![s(30, 10), s(60, 50), s(30, 0)], (1_000, 1_000)));
    assert_eq!(k6("purchase"), (vec![s(30, 50), s(60, 200), s(120, 500), s(60, 200), s(30, 0)], (1_000, 3_000)));
    assert_eq!(k6("heavy"), (vec![s(60, 100), s(120, 500), s(180, 1_000), s(120, 500), s(60, 0)], (0, 500)));
    assert_eq!(k6("quick-stress"), (vec![s(10, 50), s(20, 200), s(20, 500), s(10, 0)], (500, 1_500)));
    assert_eq!(k6("extreme"), (vec![s(30, 500), s(60, 1_000), s(120, 2_000), s(60, 1_000), s(30, 0)], (0, 0)));
}

#[test]
fn the_canonical_one_is_an_open_loop_with_people_in_it() {
    let plan = Scenario::built_in(CANONICAL).unwrap().plan;
    assert_eq!(plan.pacing(), Pacing::Open);
    assert!(plan.duration_ms() <= 60_000 && plan.buyers.pay_share > 0.0 && plan.buyers.bot_share > 0.0, "{plan:?}");
}

#[test]
fn scaling_keeps_the_shape_and_the_people() {
    let plan = Scenario::built_in("heavy").unwrap().plan;
    let small = plan.clone().scaled(0.1, 0.01).unwrap();
    assert_eq!((small.duration_ms(), small.stages[2].buyers, small.stages[4].buyers), (54_000, 10, 0));
    assert_eq!((small.think_ms, small.stages[0].buyers), (plan.think_ms, 1));
    let spike = Scenario::built_in("spike").unwrap().plan;
    let arrivals = |plan: &Plan| plan.open.as_ref().unwrap().schedule.arrivals_us(1).len();
    let (whole, half) = (arrivals(&spike), arrivals(&spike.clone().scaled(1.0, 0.5).unwrap()));
    assert!(half.abs_diff(whole / 2) <= whole / 50, "{half} of {whole}");
    for (time, size) in [(0.0, 1.0), (1.0, f64::NAN), (-1.0, 1.0), (1.0, 1e9)] {
        assert!(spike.clone().scaled(time, size).is_err());
    }
}

#[test]
fn everything_in_a_file_arrives_in_the_plan() {
    let text = r#"
        about = "all words"
        [open]
        poisson = true
        connections = "2k"
        [[open.phase]]
        lasts = "1s"
        rate = 10.5
        [[open.phase]]
        lasts = "500ms"
        from = 0
        to = "1k"
        at_once = 7
        [buyers]
        quantity = 2
        duplicates = 0.1
        second_attempts = 0.2
        second_attempts_after = "1s..2s"
        pay = 0.3
        cancel = 0.4
        settle_after = "3s"
        bots = 0.5
        bot_keys = 6
        [skus]
        zipf = 1.2
        [limits]
        until_sold_out = "4s"
        request_timeout = "5s"
        longest_retry_after = "6s"
        attempts = 7
        drain = "8s"
        late_from = "9ms"
    "#;
    let plan = Scenario::parse("all", text).unwrap().plan;
    let open = plan.open.unwrap();
    assert_eq!(open.connections, 2_000);
    assert_eq!(open.schedule.words(), "10.5/s for 1 s, then 7 at once, 0/s to 1000/s within 500 ms; Poisson");
    let buyers = crate::Buyers {
        second_attempt_share: 0.2,
        second_attempt_after_ms: (1_000, 2_000),
        pay_share: 0.3,
        cancel_share: 0.4,
        settle_after_ms: (3_000, 3_000),
        bot_share: 0.5,
        bot_keys: 6,
    };
    assert_eq!((plan.buyers, plan.quantity, plan.zipf), (buyers, 2, Some(1.2)));
    assert_eq!((plan.sold_out_grace_ms, plan.request_timeout_ms, plan.max_retry_wait_ms), (Some(4_000), 5_000, 6_000));
    assert_eq!((plan.max_attempts, plan.drain_ms, plan.late_from_ms), (7, 8_000, 9));
}

#[test]
fn mistakes_are_named() {
    let open = "about = \"x\"\n[open]\n[[open.phase]]\nlasts = \"1s\"\n";
    let cases = [
        (String::new(), "about"),
        ("about = \"x\"".to_owned(), "either [open] or [closed]"),
        (format!("{open}rate = 5\n[closed]\nstage = []"), "either [open] or [closed]"),
        (format!("{open}rate = 5\nspeed = 3"), "unknown field `speed`"),
        (format!("{open}rate = 5\n[buyer]\npay = 1"), "unknown field `buyer`"),
        (format!("{open}rate = -5"), "-5 is out of range"),
        (format!("{open}rate = \"5K\""), "not a count"),
        (format!("{open}rate = 5\nto = 6"), "`rate`, or `from` and `to`"),
        (format!("{open}from = 5"), "`rate`, or `from` and `to`"),
        (open.to_owned(), "no arrival"),
        (format!("{open}at_once = 1.5"), "not a whole number"),
        (open.replace("\"1s\"", "\"1\"") + "rate = 5", "not a duration with its unit"),
        (open.replace("\"1s\"", "1") + "rate = 5", "expected a string"),
        (format!("{open}rate = 5\n[buyers]\npay = 1.5"), "payers is 0 to 1"),
        (format!("{open}rate = 5\n[buyers]\npay = 0.9\ncancel = 0.2"), "more than all winners"),
        (format!("{open}rate = 5\n[buyers]\nquantity = 11"), "quantity is 1 to 10"),
        (format!("{open}rate = 5\n[buyers]\nsettle_after = \"2s..1s\""), "a duration or a range"),
        ("about = \"x\"\n[closed]\nstage = [{ lasts = \"1s\", users = 0 }]".to_owned(), "1 to 50,000 buyers"),
        ("about = \"a\\nb\"\n[closed]\nstage = [{ lasts = \"1s\", users = 1 }]".to_owned(), "one line"),
        ("about = \"a\\u001B[2J\"\n[closed]\nstage = [{ lasts = \"1s\", users = 1 }]".to_owned(), "control characters"),
        (format!("{open}rate = 5\n[limits]\nlate_from = \"999h\""), "at most 24 hours"),
        (format!("{open}rate = 5\n[limits]\nlate_from = \"5124095576030h\""), "at most 24 hours"),
        (format!("{open}rate = 5\n[limits]\nlate_from = \"11s\""), "`late_from` is 1ms to 10s"),
        (format!("{open}rate = 5\n[limits]\nlate_from = \"0s\""), "`late_from` is 1ms to 10s"),
        (format!("{open}rate = 5\n[limits]\nlongest_retry_after = \"5124095576030h\""), "at most 24 hours"),
        (format!("{open}rate = 5\n[[open.phase]]\nlasts = \"5124095576030h\""), "at most 24 hours"),
        (format!("about = \"{}\" nonsense", "x".repeat(100_000)), "line 1, column 10"),
    ];
    for (text, reason) in cases {
        let error = Scenario::parse("broken", &text).unwrap_err().to_string();
        assert!(error.len() < 1_000, "{} bytes", error.len());
        assert!(error.starts_with("scenario broken: ") && error.contains(reason), "{text}\n→ {error}");
    }
    let unknown = Scenario::built_in("nonsense").unwrap_err().to_string();
    assert!(unknown.contains("canonical, spike"), "{unknown}");
}
