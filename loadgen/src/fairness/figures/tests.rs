use super::*;

fn win(arrived_us: u64, decided_us: u64) -> Decided {
    Decided { arrived_us, decided_us, sku: 0, won: true }
}

fn loss(arrived_us: u64, decided_us: u64) -> Decided {
    Decided { won: false, ..win(arrived_us, decided_us) }
}

#[test]
fn first_come_first_served_is_fair() {
    let records = [win(1, 10), win(2, 11), win(3, 12), loss(4, 13), loss(5, 14)];
    let figures = figures(&records, 1.0);
    assert_eq!((figures.winners, figures.losers, figures.pairs), (3, 2, 3));
    assert_eq!((figures.inversions, figures.epsilon_us, figures.max_skip), (0, 0, 0));
    assert_eq!((figures.earlier_losers, figures.loser_epsilon_us), (0, 0));
    assert!(figures.jump_ratio == 0.0 && figures.inversion_rate == 0.0);
}

#[test]
fn last_come_first_served_inverts_every_pair() {
    let records: Vec<_> = (0..10).map(|n| win(n * 100, 10_000 - n)).collect();
    let figures = figures(&records, 1.0);
    assert_eq!((figures.pairs, figures.inversions), (45, 45));
    assert!((figures.inversion_rate - 1.0).abs() < 1e-12);
    assert_eq!((figures.max_skip, figures.p99_skip, figures.epsilon_us), (9, 9, 900));
}

#[test]
fn one_overtaking_is_one_skip_and_its_distance_is_epsilon() {
    // The second arrival is decided last: overtaken by the third and the fourth, 30 and 70 after it.
    let records = [win(0, 100), win(10, 500), win(40, 101), win(80, 102), win(600, 700)];
    let figures = figures(&records, 1.0);
    assert_eq!((figures.inversions, figures.max_skip, figures.epsilon_us), (2, 2, 70));
    assert!((figures.inversion_rate - 0.2).abs() < 1e-12);
}

#[test]
fn the_earliest_of_the_overtaken_counts_for_epsilon() {
    // The last arrival overtakes both the first (90 before it) and the second (50 before it).
    let records = [win(10, 200), win(50, 300), win(100, 150)];
    assert_eq!(figures(&records, 1.0).epsilon_us, 90);
    // The latest decision does not hide an earlier arrival with a smaller one.
    let records = [win(0, 120), win(10, 900), win(100, 110)];
    assert_eq!(figures(&records, 1.0).epsilon_us, 100);
}

#[test]
fn equal_moments_are_no_inversions() {
    let records = [win(5, 9), win(5, 7), win(6, 9), win(7, 9)];
    let figures = figures(&records, 1.0);
    assert_eq!((figures.inversions, figures.epsilon_us), (0, 0));
}

#[test]
fn losers_before_winners_are_told() {
    // A loser at 3 and one at 6 came before the last winner (8); the one at 9 did not.
    let records = [win(1, 10), loss(3, 11), win(5, 12), loss(6, 13), win(8, 14), loss(9, 15)];
    let figures = figures(&records, 1.0);
    assert_eq!((figures.earlier_losers, figures.loser_epsilon_us), (2, 5));
    assert!((figures.earlier_loser_share - 2.0 / 3.0).abs() < 1e-12);
    assert!((figures.jump_ratio - 2.0 / 3.0).abs() < 1e-12, "winners at 5 and 8 came after the first loser");
}

#[test]
fn a_unit_that_came_back_wrongs_nobody() {
    // Refused at 4; the winner came at 10, so what they got was not there at 4.
    let figures = figures(&[win(1, 2), loss(3, 4), win(10, 12)], 1.0);
    assert_eq!((figures.earlier_losers, figures.loser_epsilon_us), (0, 0));
    assert!((figures.jump_ratio - 0.5).abs() < 1e-12, "and yet somebody won after somebody had lost");
}

#[test]
fn nothing_is_fair_and_does_not_divide() {
    assert_eq!(figures(&[], 1.0), Figures::default());
    assert_eq!(figures(&[win(1, 1)], 1.0).pairs, 0);
    let only_losers = figures(&[loss(1, 2)], 1.0);
    assert_eq!((only_losers.losers, only_losers.earlier_losers), (1, 0));
}

#[test]
fn skips_of_a_sample_are_scaled_up() {
    let records: Vec<_> = (0..10).map(|n| win(n, 100 - n)).collect();
    assert_eq!(figures(&records, 0.25).max_skip, 36);
}

#[test]
fn the_fast_way_agrees_with_the_slow_one() {
    let mut dice = crate::identity::SplitMix(42);
    for _ in 0..50 {
        let count = dice.next() % 60;
        let records: Vec<_> = (0..count).map(|_| win(dice.next() % 40, dice.next() % 40)).collect();
        let told = figures(&records, 1.0);
        let (mut inversions, mut epsilon_us) = (0, 0);
        for a in &records {
            for b in records.iter().filter(|b| a.arrived_us < b.arrived_us && a.decided_us > b.decided_us) {
                inversions += 1;
                epsilon_us = epsilon_us.max(b.arrived_us - a.arrived_us);
            }
        }
        assert_eq!((told.inversions, told.epsilon_us), (inversions, epsilon_us), "{records:?}");
    }
}

#[test]
fn joined_figures_are_those_of_both_skus() {
    let one = [win(1, 10), win(2, 9), loss(1, 11)];
    let two = [win(1, 10), win(2, 11), loss(9, 12)];
    let mut joined = figures(&one, 1.0);
    joined.join(&figures(&two, 1.0));
    assert_eq!((joined.winners, joined.losers, joined.pairs, joined.inversions), (4, 2, 2, 1));
    assert!((joined.inversion_rate - 0.5).abs() < 1e-12);
    assert!((joined.jump_ratio - 0.25).abs() < 1e-12 && (joined.earlier_loser_share - 0.5).abs() < 1e-12);
}
