//! Nanoseconds of the calls that recording is made of: `cargo run --release -p flash-core --example recording_cost`.
//! What they cost where they are used: `tests/examples/metrics_cost.rs`.

#![expect(clippy::print_stdout, reason = "the table is its answer")]

use flash_core::stats::{Counter, Timings};
use std::hint::black_box;
use std::time::{Duration, Instant};

const TIMES: u32 = 20_000_000;

fn main() {
    let (counter, timings, began) = (Counter::default(), Timings::default(), Instant::now());
    let nanos = |call: &dyn Fn()| {
        let began = Instant::now();
        (0..TIMES).for_each(|_| call());
        began.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    println!("one counter                          {:6.1} ns", nanos(&|| black_box(&counter).one()));
    println!(
        "one duration                         {:6.1} ns",
        nanos(&|| timings.observe(black_box(Duration::from_micros(300))))
    );
    println!("one duration, reading the clock too  {:6.1} ns", nanos(&|| black_box(&timings).since(began)));
    println!(
        "reading the clock                    {:6.1} ns",
        nanos(&|| {
            black_box(Instant::now());
        })
    );
}
