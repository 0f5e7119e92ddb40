//! The guards of the scripts in a real Redis against the pure ones in `flash_core::fence`: coordinators with any numbers, on
//! servers they have noted or not, in any order. The same verdict and the same mark after every step.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use crate::support::{Bench, SKU, TERMS, ask};
use flash_core::fence::{Fenced, Mark, Refused};
use flash_core::ids::Epoch;
use flash_core::stock::{Counters, ModelServer, StockModel};
use flash_stores::redis::{Batch, Fence, LoadError, LoadStock, Loader, SkuKeys, StockError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, Clone, Copy)]
enum Wish {
    Close,
    Begin,
    Block,
    Buyers,
    Open,
    Create,
    Move,
    Reserve,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    wish: Wish,
    epoch: u64,
    /// Whether the server is one that was noted, alone or among others.
    noted: Option<bool>,
}

fn step() -> impl Strategy<Value = Step> {
    use Wish::{Begin, Block, Buyers, Close, Create, Move, Open, Reserve};
    let wish = prop_oneof![
        2 => Just(Close), 3 => Just(Begin), 1 => Just(Block), 1 => Just(Buyers), 3 => Just(Open), 1 => Just(Create), 1 => Just(Move),
        3 => Just(Reserve)
    ];
    let noted = prop_oneof![4 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    (wish, 1..5_u64, noted).prop_map(|(wish, epoch, noted)| Step { wish, epoch, noted })
}

/// What a refusal says, as the scripts word it.
fn words(refused: &Refused) -> String {
    match refused {
        Refused::Role => "ROLE slave".to_owned(),
        Refused::Replid(replid) => format!("REPLID {replid}"),
        Refused::Newer(mark) => format!("NEWER {mark}"),
        Refused::Mark(mark) => format!("MARK {}", mark.map_or("false".to_owned(), |mark| mark.to_string())),
        Refused::Exists(mark) => format!("EXISTS {mark}"),
    }
}

fn fenced_words(fenced: &Fenced) -> String {
    match fenced {
        Fenced::Missing => "MISSING".to_owned(),
        Fenced::Epoch(mark) => format!("EPOCH {mark}"),
        Fenced::Role => "ROLE slave".to_owned(),
        Fenced::Replid(replid) => format!("REPLID {replid}"),
        Fenced::Home(home) => format!("HOME {}", home.as_deref().unwrap_or("unknown")),
    }
}

async fn take(
    bench: &Bench,
    keys: &SkuKeys,
    model: &mut ModelServer,
    Step { wish, epoch, noted }: Step,
) -> Result<(), TestCaseError> {
    let epoch = Epoch(epoch);
    let stranger = "0".repeat(40);
    let ids: BTreeSet<String> = match noted {
        Some(true) => BTreeSet::from([model.replid.clone()]),
        Some(false) => BTreeSet::from([model.replid.clone(), stranger]),
        None => BTreeSet::from([stranger]),
    };
    let fence = Fence { epoch, replids: ids.iter().collect() };
    let loader = Loader::new(&bench.gate, keys, &fence);
    let fresh = StockModel::new(epoch, TERMS);
    let stock = LoadStock { terms: TERMS, counters: Counters { available: TERMS.capacity, ..Counters::default() } };
    let (told, expected) = match wish {
        Wish::Close => (loader.close().await, model.close(epoch)),
        Wish::Begin => (loader.begin().await, model.begin(epoch, &ids)),
        Wish::Block => (loader.block().await, model.block(epoch, &ids)),
        Wish::Buyers => (loader.buyers(&[(flash_core::ids::UserId::new(1), 0)]).await, model.may_fill(epoch, &ids)),
        Wish::Open => (loader.open(&stock).await, model.open(fresh, &ids)),
        Wish::Create => (loader.create(&stock).await, model.create(fresh, &ids)),
        Wish::Move => {
            // What arrives from another primary says so, or, filled by an older version, says nothing.
            if model.mark.is_some() {
                model.home = noted.map(|_| "1".repeat(40));
                let _: i64 = match &model.home {
                    Some(home) => bench.raw(&["HSET", &keys.stock, "home", home]).await,
                    None => bench.raw(&["HDEL", &keys.stock, "home"]).await,
                };
            }
            return Ok(());
        }
        Wish::Reserve => {
            let asks = [ask(1, TERMS.per_user + 1, "k")];
            let batch = Batch { keys, fence: &fence, unit_price_minor: 1, asks: &asks };
            let told = bench.gate.reserve(&batch).await.map(drop);
            let told = told.map_err(|error| match error {
                StockError::Fenced(reason) => reason,
                other => panic!("{other:?}"),
            });
            prop_assert_eq!(told, model.admit(epoch, &ids).map(drop).map_err(|fenced| fenced_words(&fenced)));
            return Ok(());
        }
    };
    let told = told.map_err(|error| match error {
        LoadError::Refused(reason) => reason,
        other => panic!("{other:?}"),
    });
    let expected = expected.map_err(|refused| match wish {
        // This one script does not say whose.
        Wish::Close => "NEWER".to_owned(),
        _ => words(&refused),
    });
    prop_assert_eq!(told, expected, "{:?}", wish);
    let field: Option<String> = bench.raw(&["HGET", &keys.stock, "epoch"]).await;
    prop_assert_eq!(field.as_deref().map(|field| Mark::parse(field).unwrap()), model.mark);
    Ok(())
}

#[test]
fn the_scripts_guard_what_the_rules_say() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let replid = runtime.block_on(bench.gate.primaries()).unwrap().into_values().next().unwrap();
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let next = AtomicU32::new(1);
    let result = runner.run(&vec(step(), 1..25), |steps| {
        let keys = SkuKeys::new(&format!("g{}", next.fetch_add(1, Ordering::Relaxed)), SKU);
        let mut model = ModelServer::empty(replid.clone());
        runtime.block_on(async {
            for step in &steps {
                take(&bench, &keys, &mut model, *step).await?;
            }
            Ok(())
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
