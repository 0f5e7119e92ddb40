//! Reading everything about one order. Each part is asked even if another cannot be.

use std::time::Duration;

use flash_core::{
    event::Event,
    ids::{OrderId, SkuId},
    snowflake::{issued_at_ms, partition_of},
};
use flash_stores::{
    kafka::{
        KafkaError, KafkaSettings,
        trace::{FoundRecord, LogLens, epoch_history},
    },
    mysql::{Db, MySqlError, offsets, orders, payments, trace},
    redis::{Gate, StockError},
};

use super::{
    facts::{Asked, Facts, GateFacts, LetterFacts, LogEntry, LogFacts, ViewFacts},
    progress::Progress,
    sources::{ANSWERED_WITHIN, Sources, of_mysql, of_redis, within},
};

/// How long Kafka may be silent.
const KAFKA_PATIENCE: Duration = Duration::from_secs(5);
/// Most records that are read through in search of one order.
const SCAN_MAX: u64 = 2_000_000;
/// A record may be stamped this much earlier than its order's id was drawn: clocks differ.
const CLOCKS_DIFFER_MS: u64 = 60_000;
/// Most SKUs whose holds are asked for an order of which nobody knows the SKU.
const SKUS_TRIED_MAX: usize = 5_000;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) order_id: OrderId,
    /// The SKU, if somebody has said.
    pub(super) sku_id: Option<SkuId>,
    /// Whether to read the order's partition even if MySQL knows the order.
    pub(super) scan: bool,
}

/// Reads all parts.
pub(super) async fn facts(sources: &Sources, wish: Wish, progress: &Progress) -> Facts {
    let order_id = wish.order_id;
    let view = view(sources, order_id).await;
    let (log, letters, epochs) =
        tokio::join!(log(sources, wish, &view, progress), letters(sources, order_id), epochs(sources));
    let mut facts = Facts { now_ms: now_ms(), order_id, gate: Ok(GateFacts::default()), view, log, letters, epochs };
    let sku_id = facts.sku_id().or(wish.sku_id);
    // Last: its holds live shortest, and everything older is in the others by now.
    facts.gate = match &sources.gate {
        Ok(gate) => gate_facts(sources, gate, &facts, sku_id).await.map_err(|error| of_redis(&error)),
        Err(reason) => Err(reason.clone()),
    };
    if let Ok(gate) = &sources.gate
        && let Ok(now_ms) = gate.now_ms().await
    {
        facts.now_ms = now_ms;
    }
    facts
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn view(sources: &Sources, order_id: OrderId) -> Asked<ViewFacts> {
    let db = sources.db.as_ref().map_err(Clone::clone)?;
    let topic = sources.config.kafka.topic_events();
    let mut view = within(ANSWERED_WITHIN, read_view(db, &topic, order_id), of_mysql).await?;
    view.currency = view.order.as_ref().and_then(|row| sources.currency(row.order.sku_id));
    Ok(view)
}

async fn read_view(db: &Db, topic: &str, order_id: OrderId) -> Result<ViewFacts, MySqlError> {
    // The position first: what was projected by then is in the rows that are read after it.
    let positions = offsets::list(db, topic).await?;
    let count = u32::try_from(positions.len()).unwrap_or(1);
    let partition = i32::try_from(partition_of(order_id.get(), count)).unwrap_or(0);
    let position = positions.into_iter().find(|position| position.partition == partition);
    let (order, ledger) = orders::get_with_history(db, order_id).await?.unzip();
    Ok(ViewFacts {
        order,
        ledger: ledger.unwrap_or_default(),
        voided: trace::voided_of_order(db, topic, order_id).await?,
        payments: payments::of_order(db, order_id).await?,
        position,
        currency: None,
    })
}

async fn log(sources: &Sources, wish: Wish, view: &Asked<ViewFacts>, progress: &Progress) -> Asked<LogFacts> {
    let kafka = sources.config.kafka.clone();
    let count = u32::try_from(sources.kafka.clone()?).unwrap_or(1);
    let partition = i32::try_from(partition_of(wish.order_id.get(), count)).unwrap_or(0);
    let (view, progress) = (view.as_ref().ok().cloned(), progress.clone());
    let read = move || read_log(&kafka, partition, wish, view.as_ref(), &progress);
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())
}

/// The places that MySQL names, and what it has not projected yet. If it knows nothing of the order, everything since the
/// order's id was drawn.
fn read_log(
    kafka: &KafkaSettings,
    partition: i32,
    wish: Wish,
    view: Option<&ViewFacts>,
    progress: &Progress,
) -> Result<LogFacts, KafkaError> {
    let lens = LogLens::new(kafka, &kafka.topic_events(), KAFKA_PATIENCE)?;
    let bounds = lens.bounds(partition)?;
    let mut named: Vec<u64> = view.iter().flat_map(|view| &view.ledger).map(|row| row.offset).collect();
    named.extend(view.iter().flat_map(|view| &view.voided).map(|row| row.offset));
    named.sort_unstable();
    named.dedup();
    let known = view.is_some_and(|view| view.order.is_some() || !view.voided.is_empty()) && !wish.scan;
    let position = view.and_then(|view| view.position).map(|position| position.next_offset);
    let from = match position {
        Some(position) if known => position.max(bounds.0),
        _ => lens.about(partition, issued_at_ms(wish.order_id.get()).saturating_sub(CLOCKS_DIFFER_MS), bounds)?,
    };
    let scanned =
        lens.scan(partition, (from, bounds.1), SCAN_MAX, about(wish.order_id), |done, all| progress.step(done, all))?;
    let (mut records, mut gone) = (scanned.found, Vec::new());
    for offset in named {
        if records.iter().any(|record| record.offset == offset) {
            continue;
        }
        match lens.at(partition, offset)? {
            Some(record) if about(wish.order_id)(&record.payload) => records.push(record),
            _ => gone.push(offset),
        }
    }
    records.sort_by_key(|record| record.offset);
    Ok(LogFacts { partition, bounds, entries: records.iter().map(entry).collect(), gone, complete: scanned.complete })
}

/// Payloads that name the order, readable or not, and fences.
fn about(order_id: OrderId) -> impl Fn(&[u8]) -> bool {
    let id = order_id.to_string();
    let fence = b"\"FENCE\"";
    move |payload: &[u8]| {
        let has = |needle: &[u8]| payload.windows(needle.len()).any(|window| window == needle);
        // Fences are short; every other event is not searched twice.
        has(id.as_bytes()) || (payload.len() < 128 && has(fence))
    }
}

fn entry(record: &FoundRecord) -> LogEntry {
    let event = Event::decode(&record.payload).map_err(|error| error.to_string());
    LogEntry { offset: record.offset, timestamp_ms: record.timestamp_ms, event }
}

async fn letters(sources: &Sources, order_id: OrderId) -> Asked<Vec<LetterFacts>> {
    sources.kafka.as_ref().map_err(Clone::clone)?;
    let shelf = within(ANSWERED_WITHIN, sources.desk.letters(|_, _| true), ToString::to_string).await?;
    let id = order_id.to_string();
    let names = |payload: Option<Vec<u8>>| {
        payload.is_some_and(|payload| payload.windows(id.len()).any(|window| window == id.as_bytes()))
    };
    let ours = shelf.letters.into_iter().filter(|letter| names(letter.parked.payload()));
    let told = ours.map(|letter| LetterFacts {
        origin: letter.origin(),
        status: letter.status(),
        parked_at_ms: letter.parked.parked_at_ms,
        error: letter.parked.error.clone(),
        action: letter.standing.map(|standing| (standing.updated_at_ms, standing.who, standing.why)),
    });
    Ok(told.collect())
}

async fn epochs(sources: &Sources) -> Asked<Vec<flash_core::epoch::EpochRecord>> {
    sources.kafka.as_ref().map_err(Clone::clone)?;
    let kafka = sources.config.kafka.clone();
    let read = tokio::task::spawn_blocking(move || epoch_history(&kafka, KAFKA_PATIENCE)).await;
    let (records, _) = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

async fn gate_facts(
    sources: &Sources,
    gate: &Gate,
    facts: &Facts,
    sku_id: Option<SkuId>,
) -> Result<GateFacts, StockError> {
    let order_id = facts.order_id;
    let mut found = GateFacts::default();
    let indexed = match sku_id {
        None => gate.sku_of_order(order_id).await?,
        known => known,
    };
    let tried = sources.sku_ids(indexed);
    for sku_id in tried.iter().copied().take(SKUS_TRIED_MAX) {
        let trace = gate.trace(&sources.keys(sku_id), order_id).await?;
        let has_it = trace.hold.is_some() || trace.closing.is_some();
        if has_it || tried.len() == 1 {
            (found.sku_id, found.trace) = (Some(sku_id), trace);
        }
        if has_it {
            break;
        }
    }
    let of_row = facts.row().map(|row| (row.order.user_id, row.order.idempotency_key.clone()));
    let of_hold = found.trace.closing.as_ref().map(|closing| &closing.hold).or(found.trace.hold.as_ref());
    let of_hold = of_hold.map(|hold| (hold.user_id, hold.idempotency_key.clone()));
    if let (Some(sku_id), Some((user_id, key))) = (found.sku_id, of_row.or(of_hold)) {
        let keys = sources.keys(sku_id);
        found.answer = gate.answer_of(&keys, user_id, &key).await?;
        found.buyer_units = gate.units_of(&keys, user_id).await?;
    }
    for row in facts.view.iter().flat_map(|view| &view.payments) {
        let id = &row.payment.payment_id;
        found.fates.extend(gate.fate_of(id).await?.map(|fate| (id.clone(), fate)));
    }
    Ok(found)
}
