//! What was told in a run, in the witness's words. Decides nothing.

use flash_loadgen::{Ended, Finished, key_text};
use flash_witness::{Log, Settled, SettledTold, ToldList};

/// What was told, as the witness wants it. Our clock need not be Redis': nobody can have been told before it was decided,
/// and an end counts from the earlier of our wish and Redis' word, so a difference only makes the check milder.
pub(super) fn list(finished: &Finished, log: &Log) -> ToldList {
    let Finished { told, endings, report, .. } = finished;
    let wall_ms = |us: u64| report.started_at_ms + us / 1_000;
    let told = told.iter().map(|told| {
        let decided_ms = log.orders.get(&told.order_id).map_or(0, |order| order.terms.reserved_at_ms);
        flash_witness::Told {
            user_id: told.user_id,
            sku_id: told.sku_id,
            quantity: u32::from(told.quantity),
            key: key_text(told.key),
            order_id: told.order_id,
            reservation_id: told.reservation_id,
            expires_at_ms: told.expires_at_ms,
            at_ms: wall_ms(told.answered_us).max(decided_ms),
        }
    });
    let settled = endings.iter().filter_map(|ending| {
        let settled = match ending.told? {
            Ended::Paid(order_id) => Settled::Confirmed { order_id },
            Ended::Cancelled => Settled::Cancelled,
            Ended::Refund => Settled::Refund,
            Ended::Refused => return None,
        };
        let payment_id = ending.pays.then(|| format!("pay-{}", key_text(ending.key)));
        let (asked_ms, at_ms) = (wall_ms(ending.asked_us), wall_ms(ending.told_us));
        Some(SettledTold { order_id: ending.order_id, payment_id, settled, asked_ms, at_ms })
    });
    // Others may cancel too, and then only the log knows when.
    let asked = endings.iter().filter(|ending| !ending.pays).map(|ending| (ending.order_id, wall_ms(ending.asked_us)));
    let ended = log.orders.iter().filter_map(|(id, order)| Some((*id, order.ended_ms?)));
    ToldList {
        told: told.collect(),
        settled: settled.collect(),
        cancels_asked: asked.chain(ended).collect(),
        ..ToldList::default()
    }
}
