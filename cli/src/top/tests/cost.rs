//! What ten thousand SKUs cost. Not a test: `cargo test … --bin flashctl ten_thousand -- --ignored --nocapture`.

use std::{fs, hint::black_box, time::Instant};

use super::fixtures::*;
use crate::{
    live::Sample,
    top::{Theme, event::Event, state::State, text},
};

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn large(s: u64) -> Sample {
    let skus = (1..=10_000).map(|id| sku(id, &format!("Row {id}"), 1_000 + id, s * (id % 7), 5)).collect();
    sample(s, vec![seen(1, answer(told(1, s, skus)))])
}

#[test]
#[ignore = "prints a table instead of judging"]
fn ten_thousand_skus() {
    let mut state = State::new("many", 1_000, Theme::Dark);
    let before = resident_kib();
    let mut spent = [0_u128; 2];
    const ROUNDS: u64 = 60;
    for s in 0..ROUNDS {
        let sample = Box::new(large(s));
        let start = Instant::now();
        _ = state.update(Event::Sample(sample));
        spent[0] += start.elapsed().as_micros();
        let start = Instant::now();
        black_box(text(&state, 200, 60, false));
        spent[1] += start.elapsed().as_micros();
    }
    let text = serde_json::to_string(&large(1)).unwrap();
    let start = Instant::now();
    black_box(serde_json::from_str::<Sample>(&text).unwrap());
    println!("a sample of 10,000 SKUs: {} KiB of JSON", text.len() / 1_024);
    println!("reading it:  {:>8} µs", start.elapsed().as_micros());
    println!("folding it:  {:>8} µs", spent[0] / u128::from(ROUNDS));
    println!("drawing it:  {:>8} µs (200×60, into text)", spent[1] / u128::from(ROUNDS));
    println!("memory:      {:>8} KiB more after {ROUNDS} samples", resident_kib().saturating_sub(before));
}
