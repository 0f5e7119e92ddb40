//! The fence protocol in a simulated world (DESIGN section 5, docs/recovery.md).
//!
//! Two Redis nodes that fail over, fail back, split, restart without their tail or empty, and are flushed; a log whose
//! appends are lost, late, doubled and unacknowledged; daemons that pause anywhere; coordinators that die and are doubled.
//! What they decide is decided by the shipped code: stock model, guards, coordinator, judgement, lease, void rule, order
//! state machine. Every rule that is left out must be noticed.
//!
//! More than the usual run: `FLASH_SIM_SEEDS=20000 FLASH_SIM_STEPS=700 cargo test --profile ci -p flash-core --test fence`;
//! `FLASH_SIM_FIRST` is the first seed.

mod checks;
mod coordinators;
mod daemons;
mod faults;
mod log;
mod mutations;
mod redis;
mod rng;
mod rules;
mod world;

use rules::Shape;
use world::World;

/// What many runs came to.
#[derive(Default, Debug)]
struct Sum {
    runs: u64,
    steps: u64,
    wins: u64,
    payments: u64,
    epochs: u64,
}

/// Runs one world; what was broken, and at which step.
fn run(seed: u64, steps: u64, shape: Shape, sum: &mut Sum) -> Result<(), String> {
    let mut world = World::new(seed, shape);
    for step in 0..steps {
        world.step().map_err(|broken| format!("seed {seed}, step {step}: {broken}"))?;
    }
    world.come_to_rest().map_err(|broken| format!("seed {seed}, at rest after {steps} steps: {broken}"))?;
    let (wins, payments) = world.told.counts();
    *sum = Sum {
        runs: sum.runs + 1,
        steps: sum.steps + steps,
        wins: sum.wins + wins,
        payments: sum.payments + payments,
        epochs: sum.epochs + world.newest().0,
    };
    Ok(())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_schedule_oversells_or_loses_what_was_told() {
    let (seeds, steps) = (setting("FLASH_SIM_SEEDS", 6_000), setting("FLASH_SIM_STEPS", 700));
    let first = setting("FLASH_SIM_FIRST", 0);
    let mut sum = Sum::default();
    for seed in first..first + seeds {
        let shape = Shape { partitions: 1 + usize::from(seed % 3 != 0) + usize::from(seed % 3 == 2), ..Shape::NORMAL };
        if let Err(broken) = run(seed, steps, shape, &mut sum) {
            panic!(
                "{broken}\nagain: FLASH_SIM_FIRST={seed} FLASH_SIM_SEEDS=1 FLASH_SIM_STEPS={steps} cargo test --profile \
                 ci -p flash-core --test fence"
            );
        }
    }
    println!("{sum:?}");
    assert!(sum.wins > sum.runs && sum.payments * 10 > sum.runs && sum.epochs > sum.runs, "much must happen: {sum:?}");
}
