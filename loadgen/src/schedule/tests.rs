use super::*;

fn flow(duration_ms: u64, from_per_s: f64, to_per_s: f64) -> Phase {
    Phase { duration_ms, from_per_s, to_per_s, at_once: 0 }
}

fn even(phases: Vec<Phase>) -> Vec<u64> {
    let schedule = Schedule::Phases { phases, poisson: false };
    schedule.check().unwrap();
    schedule.arrivals_us(1)
}

fn within(arrivals: &[u64], from_us: u64, to_us: u64) -> usize {
    arrivals.iter().filter(|at| (from_us..to_us).contains(at)).count()
}

#[test]
fn a_constant_rate_is_evenly_spaced() {
    let arrivals = Schedule::constant(1_000.0, 2_000).arrivals_us(1);
    assert_eq!(arrivals.len(), 2_000);
    assert!(arrivals.iter().enumerate().all(|(n, at)| *at == n as u64 * 1_000));
}

#[test]
fn a_ramp_has_its_area_and_its_shape() {
    let arrivals = even(vec![flow(10_000, 0.0, 1_000.0)]);
    assert!(arrivals.is_sorted());
    assert_eq!(arrivals.len(), 5_000);
    // A quarter of the area is in the first half; the last second has 950.
    assert!((1_249..=1_251).contains(&within(&arrivals, 0, 5_000_000)));
    assert!((949..=951).contains(&within(&arrivals, 9_000_000, 10_000_000)));
    let down = even(vec![flow(10_000, 1_000.0, 0.0)]);
    assert!(down.is_sorted() && down.len() == 5_000);
    assert!((949..=951).contains(&within(&down, 0, 1_000_000)));
}

#[test]
fn phases_follow_each_other_without_losing_fractions() {
    // Ten phases of a third of an arrival each.
    let arrivals = even(vec![flow(1_000, 1.0 / 3.0, 1.0 / 3.0); 10]);
    assert_eq!(arrivals.len(), 4, "{arrivals:?}");
    let gaps: Vec<u64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| gap.abs_diff(3_000_000) <= 2), "{gaps:?}");
    let stages = even(vec![flow(1_000, 10.0, 10.0), flow(1_000, 0.0, 0.0), flow(1_000, 20.0, 20.0)]);
    assert_eq!([0, 1, 2].map(|s| within(&stages, s * 1_000_000, (s + 1) * 1_000_000)), [10, 0, 20]);
}

#[test]
fn a_spike_is_everybody_at_once() {
    let quiet = Phase { duration_ms: 5_000, at_once: 700, ..Phase::default() };
    let arrivals = even(vec![flow(1_000, 5.0, 5.0), quiet]);
    assert_eq!((arrivals.len(), within(&arrivals, 1_000_000, 1_000_001)), (705, 700));
}

#[test]
fn poisson_is_seeded_and_has_its_mean_and_its_variance() {
    let schedule = Schedule::Phases { phases: vec![flow(100_000, 500.0, 500.0)], poisson: true };
    let arrivals = schedule.arrivals_us(3);
    assert_eq!(arrivals, schedule.arrivals_us(3));
    assert_ne!(arrivals, schedule.arrivals_us(4));
    assert!(arrivals.is_sorted());
    // 50,000 expected; five standard deviations are 1,118.
    assert!(arrivals.len().abs_diff(50_000) < 1_118, "{}", arrivals.len());
    // Counts per second have the mean as their variance; evenly spaced arrivals would have none.
    let counts: Vec<f64> = (0..100).map(|s| within(&arrivals, s * 1_000_000, (s + 1) * 1_000_000) as f64).collect();
    let mean = counts.iter().sum::<f64>() / 100.0;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 99.0;
    assert!(variance > 0.5 * mean && variance < 1.7 * mean, "{mean} {variance}");
}

#[test]
fn a_poisson_ramp_has_the_area_of_the_ramp() {
    let schedule = Schedule::Phases { phases: vec![flow(20_000, 0.0, 1_000.0)], poisson: true };
    let arrivals = schedule.arrivals_us(9);
    assert!(arrivals.len().abs_diff(10_000) < 500, "{}", arrivals.len());
    assert!(within(&arrivals, 0, 10_000_000).abs_diff(2_500) < 250);
}

#[test]
fn senseless_schedules_are_refused() {
    let refused = |phases: Vec<Phase>| Schedule::Phases { phases, poisson: false }.check().unwrap_err().to_string();
    assert!(refused(vec![]).contains("no duration"));
    assert!(refused(vec![flow(1_000, 0.0, 0.0)]).contains("no arrival"));
    assert!(refused(vec![flow(1_000, -1.0, 1.0)]).contains("rate"));
    assert!(refused(vec![flow(1_000, f64::NAN, 1.0)]).contains("rate"));
    assert!(refused(vec![flow(3_600_000, 1e6, 1e6)]).contains("at most"));
    assert!(refused(vec![Phase { at_once: u64::MAX, ..flow(1_000, 0.0, 0.0) }]).contains("at most"));
}

#[test]
fn words_say_what_will_happen() {
    let phases = vec![
        flow(30_000, 500.0, 500.0),
        flow(60_000, 0.0, 1_000.0),
        Phase { duration_ms: 1_500, at_once: 10, ..Phase::default() },
    ];
    let words = Schedule::Phases { phases, poisson: true }.words();
    assert_eq!(
        words,
        "500/s for 30 s, then 0/s to 1000/s within 1 min, then 10 at once, nobody else for 1500 ms; Poisson"
    );
}
