//! Noticing what changes by itself – readiness, whether anything can be decided, dead letters, stock – by looking a few times a
//! second. Whoever answers buyers has nothing to do with it.
//!
//! What is over between two looks is told all the same where it is counted: stops of selling and dead letters.

use super::skus;
use crate::app::App;
use crate::clock::{boot_ms, wall_ms};
use flash_core::ids::SkuId;
use flash_core::stats::HappeningKind::{Breaker, DeadLetter, Ready, Selling, Sku};
use flash_core::stats::{Severity, SkuState};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Every so many looks, SKUs are looked at too: there may be 100,000 of them.
const SKUS_EVERY: u64 = 4;
/// A SKU whose units come and go is told of at most this often, in milliseconds.
const SKU_PAUSE_MS: u64 = 10_000;
/// More SKUs than this that change at once are told of together.
const SKUS_ONE_BY_ONE_MAX: usize = 5;

/// What was told last.
#[derive(Default)]
struct Last {
    /// The latches that keep it from being ready; `None` until it was ready once.
    unready: Option<BTreeSet<&'static str>>,
    stops: u64,
    stopped: bool,
    redis: Option<bool>,
    dead_letters: u64,
    skus: HashMap<SkuId, (SkuState, u64)>,
}

/// Looks until the future is dropped.
pub(crate) async fn watch(app: Arc<App>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Last::default();
    let mut looks = 0_u64;
    loop {
        ticks.tick().await;
        looks += 1;
        last.readiness(&app);
        last.selling(&app);
        last.redis(&app);
        last.dead_letters(&app);
        if looks.is_multiple_of(SKUS_EVERY) {
            last.skus(&app);
        }
    }
}

impl Last {
    fn readiness(&mut self, app: &App) {
        let unready = app.unready();
        let now: BTreeSet<_> = unready.iter().map(|(latch, _)| *latch).collect();
        match &self.unready {
            // It is still starting.
            None if !now.is_empty() => return,
            Some(before) if *before == now => return,
            _ if now.is_empty() => app.events.note(Ready, Severity::Info, "ready"),
            _ => {
                let reasons: Vec<_> = unready.iter().map(|(latch, why)| format!("{latch}: {why}")).collect();
                app.events.note(Ready, Severity::Warning, format!("not ready: {}", reasons.join("; ")));
            }
        }
        self.unready = Some(now);
    }

    fn selling(&mut self, app: &App) {
        let Some(shop) = &app.shop else { return };
        let stops = shop.deciders.selling.view();
        if stops.stops > self.stops {
            let times = stops.stops - self.stops;
            let often = if times > 1 { format!(" ({times} times)") } else { String::new() };
            app.events.note(Selling, Severity::Critical, format!("purchases cannot be decided{often}"));
        }
        let goes_on = stops.stopped_for_ms.is_none() && (self.stopped || stops.stops > self.stops);
        if let (true, Some(last_ms)) = (goes_on, stops.last_stop_ms) {
            app.events.note(Selling, Severity::Info, format!("purchases are decided again, after {last_ms} ms"));
        }
        (self.stops, self.stopped) = (stops.stops, stops.stopped_for_ms.is_some());
    }

    fn redis(&mut self, app: &App) {
        let connected = app.deciders.gate.connected();
        match (self.redis, &connected) {
            // It is still starting.
            (None, Err(_)) => return,
            (Some(false), Ok(())) => app.events.note(Breaker, Severity::Info, "Redis is asked again"),
            (Some(true), Err(why)) => {
                app.events.note(Breaker, Severity::Critical, format!("Redis is not asked any more: {why}"));
            }
            _ => {}
        }
        self.redis = Some(connected.is_ok());
    }

    fn dead_letters(&mut self, app: &App) {
        let Some(projector) = &app.projector else { return };
        let now = projector.snapshot().dead_letters;
        if now > self.dead_letters {
            let text =
                format!("{} events could not be applied and are parked: flashctl dlq list", now - self.dead_letters);
            app.events.note(DeadLetter, Severity::Critical, text);
        }
        self.dead_letters = now;
    }

    fn skus(&mut self, app: &App) {
        let Some(shop) = &app.shop else { return };
        let (now_ms, wall_ms, offers) = (boot_ms(), wall_ms(), shop.catalog.offers());
        self.skus.retain(|sku_id, _| offers.contains_key(sku_id));
        let mut changes: Vec<(SkuId, SkuState)> = Vec::new();
        for (sku_id, offer) in &*offers {
            let state = skus::state(&offer.sku, offer.lane.seen(), wall_ms);
            if state == SkuState::Unknown {
                continue;
            }
            // The catalogue has told that it is on sale; that it is not, or no more, is news.
            let fresh = || (SkuState::Selling, now_ms.saturating_sub(SKU_PAUSE_MS));
            let (told, at_ms) = self.skus.entry(*sku_id).or_insert_with(fresh);
            if *told != state && now_ms.saturating_sub(*at_ms) >= SKU_PAUSE_MS {
                (*told, *at_ms) = (state, now_ms);
                changes.push((*sku_id, state));
            }
        }
        changes.sort_unstable_by_key(|(sku_id, _)| *sku_id);
        tell_skus(app, &changes);
    }
}

fn tell_skus(app: &App, changes: &[(SkuId, SkuState)]) {
    for state in [SkuState::Selling, SkuState::HeldOut, SkuState::SoldOut, SkuState::Upcoming, SkuState::Closed] {
        let (one, many, severity) = words(state);
        let changed: Vec<_> = changes.iter().filter(|(_, now)| *now == state).collect();
        if changed.len() > SKUS_ONE_BY_ONE_MAX {
            app.events.note(Sku, severity, format!("{} SKUs {many}", changed.len()));
            continue;
        }
        for (sku_id, _) in changed {
            app.events.note_sku(*sku_id, Sku, severity, one);
        }
    }
}

/// What is said of one SKU, of many, and how bad it is. A pause is told by the catalogue, which knows it first.
const fn words(state: SkuState) -> (&'static str, &'static str, Severity) {
    match state {
        SkuState::Selling => ("has units on sale", "have units on sale", Severity::Info),
        SkuState::HeldOut => ("all units are sold or on hold", "have all units sold or on hold", Severity::Info),
        SkuState::SoldOut => ("sold out", "are sold out", Severity::Info),
        SkuState::Upcoming => ("is not on sale yet", "are not on sale yet", Severity::Info),
        SkuState::Closed => ("its sale is over", "are closed: their sale is over", Severity::Info),
        SkuState::Paused | SkuState::Unknown => ("", "", Severity::Info),
    }
}
