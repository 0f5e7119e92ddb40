use flash_loadgen::{Host, Latency, Report};

use super::super::contest::Turn;
use super::*;
use crate::{exit::Exit, report::Failure};

fn latency_of(p50_us: u64) -> Latency {
    Latency { count: 1_000, p50_us, p95_us: p50_us * 4, p99_us: p50_us * 5, ..Latency::default() }
}

fn turn(server: Contestant, figures: Figures) -> Turn {
    let figures = Figures { tickets: 1_000, sold_out: latency_of(900), ..figures };
    Turn { server, round: 1, stopped: false, figures, verdict: None, run: Report::default() }
}

fn report() -> CompareReport {
    let naive = Figures {
        told: 6_412,
        oversold: 5_412,
        accepted_per_s: 612.4,
        answers_per_s: 640.2,
        win: latency_of(2_400_000),
        never_served: 12_345,
        remarks: vec!["61.7 % of the buyers never got a connection".into()],
        ..Figures::default()
    };
    let lock = Figures { told: 1_000, accepted_per_s: 580.0, win: latency_of(2_900_000), ..Figures::default() };
    let redis = Figures {
        told: 1_000,
        accepted_per_s: 1_700.0,
        sold_out_after_ms: Some(588),
        win: latency_of(95_000),
        errors: 3,
        unannounced: 2,
        ..Figures::default()
    };
    let flashd = Figures {
        told: 1_000,
        accepted_per_s: 2_004.0,
        sold_out_after_ms: Some(500),
        win: latency_of(3_100),
        clean: Some(true),
        ..Figures::default()
    };
    CompareReport {
        version: 1,
        pacing: Pacing::Open,
        schedule: "2000/s for 10 s".into(),
        connections: 1_000,
        seed: 7,
        tickets: 1_000,
        ended_early: false,
        failure: None,
        invalid_turns: 0,
        host: Host {
            cpu: "A CPU".into(),
            cores: 2,
            kernel: "linux 6".into(),
            command_line: "flashctl compare".into(),
            servers: [("mysql".to_owned(), "10.11".to_owned())].into(),
            ..Host::default()
        },
        turns: vec![
            turn(Contestant::MysqlLock, lock),
            turn(Contestant::RedisMysql, redis),
            turn(Contestant::Flashd, flashd),
            turn(Contestant::Mysql, naive),
        ],
    }
}

#[test]
fn the_table_as_people_see_it() {
    insta::assert_snapshot!(text(&report()));
}

#[test]
fn a_round_in_the_middle_is_shown_and_the_worst_of_what_must_not_be() {
    let mut report = report();
    let rounds = [(700.0, 1), (100.0, 9), (400.0, 5)];
    let of_round = |(accepted_per_s, oversold)| Figures { accepted_per_s, oversold, ..Figures::default() };
    report.turns = rounds.map(|round| turn(Contestant::Mysql, of_round(round))).into();
    let shown = report.shown(Contestant::Mysql).unwrap();
    assert_eq!((shown.accepted_per_s, shown.oversold), (400.0, 9));
    assert!(report.shown(Contestant::Flashd).is_none());
}

#[test]
fn a_round_whose_generator_fell_behind_is_not_shown_but_said() {
    let mut report = report();
    report.turns.clear();
    for (round, (accepted_per_s, invalid)) in (1..).zip([(900.0, true), (300.0, false), (800.0, true)]) {
        let remarks = if invalid { vec!["the generator fell behind".to_owned()] } else { vec![] };
        let figures = Figures { accepted_per_s, invalid, remarks, ..Figures::default() };
        report.add(Turn { round, ..turn(Contestant::Mysql, figures) });
    }
    let shown = report.shown(Contestant::Mysql).unwrap();
    assert_eq!((shown.accepted_per_s, shown.invalid, report.invalid_turns), (300.0, false, 2));
    assert_eq!(shown.remarks, ["round 1: the generator fell behind", "round 3: the generator fell behind"]);
    assert!(headline(&report).contains("INVALID in 2 of 3 turns"), "{}", headline(&report));
    assert_eq!(rows(&report).last().unwrap(), &["INVALID turns", "2 of 3"]);
    assert_eq!(report.exit(), Exit::Ok, "what was told is judged all the same");
    report.turns.remove(1);
    assert!(report.shown(Contestant::Mysql).unwrap().invalid, "no round is valid");
}

#[test]
fn nothing_is_said_of_whom_nobody_measured() {
    let mut report = report();
    assert!(
        headline(&report).ends_with("gave away 5,412 units more than the 1,000 there were"),
        "{}",
        headline(&report)
    );
    report.turns.retain(|turn| turn.server == Contestant::RedisMysql);
    report.ended_early = true;
    assert_eq!(headline(&report), "flashd had no turn; the first naive server had no turn – INCOMPLETE: ended early");
    let text = text(&report);
    for absent in ["oversold nothing", "gave away", "SELECT stock", "the product", "×"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    assert!(text.contains("Redis + MySQL        naive: DECRBY in Redis") && text.contains("ENDED EARLY"), "{text}");
}

#[test]
fn a_turn_that_failed_leaves_those_before_it() {
    let mut report = report();
    let last = report.turns.pop().unwrap();
    let cause = anyhow::anyhow!("connection refused\n    its last words").context("flash-naive did not start");
    report.fail(last.server, 2, &Failure::from_error(cause));
    let line = "FAILED               round 2, MySQL: flash-naive did not start: connection refused\n";
    let text = text(&report);
    assert!(text.contains(line) && text.contains("2,004") && !text.contains("last words"), "{text}");
    assert!(text.lines().next().unwrap().ends_with("– INCOMPLETE: a turn failed"), "{text}");
    let page = crate::report_page::contest_page(&report);
    assert!(page.contains("INCOMPLETE: a turn failed") && page.contains("flash-naive did not start"), "{page}");
    assert_eq!(report.exit(), Exit::Failed);
    report.turns[2].figures.broken = vec!["LOST 1".into()];
    assert_eq!(report.exit(), Exit::Found, "a finding outranks a failure");
}

#[test]
fn only_flashd_can_break_its_word() {
    let mut report = report();
    assert_eq!(report.exit(), Exit::Ok, "a naive server oversold, as it does");
    report.turns[2].figures.clean = Some(false);
    assert_eq!(report.exit(), Exit::Failed, "what could not be judged is no success");
    report.ended_early = true;
    assert_eq!(report.exit(), Exit::Interrupted);
    report.turns[2].figures.broken = vec!["LOST 1".into()];
    assert_eq!(report.exit(), Exit::Found, "a finding outranks an interruption");
    assert!(headline(&report).contains("BROKE ITS WORD: LOST 1"));
}

#[test]
fn the_page_says_the_same() {
    let page = crate::report_page::contest_page(&report());
    for text in ["5,412", "÷774", "MySQL + lock", "61.7 % of the buyers", "flashctl compare"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("http"), "nothing from elsewhere");
}
