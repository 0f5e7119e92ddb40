//! SKUs that must not be opened with the others: what the log says about them does not fit into their stock, or is not in
//! MySQL yet. They stay closed, each with its reason and its remedy, while everything else sells.
//!
//! Such a SKU carries the mark `blocked:N`, which equals nobody's epoch. It may be filled later under the same epoch N: nothing
//! of it was decided under N, and what older epochs decided stands before the fences that were projected.

use super::{Progress, Rebuild, RebuildError};
use crate::crash;
use crate::dead_letters::{Desk, LetterStatus};
use crate::projector::ProjectorOptions;
use flash_core::event::Body;
use flash_core::fence::rules::is_void;
use flash_core::ids::SkuId;
use flash_core::order::OrderState;
use flash_core::sale::Sku;
use flash_stores::mysql::skus;
use flash_stores::redis::{Fence, Loader};
use std::collections::BTreeMap;

/// What became of a SKU that was to be filled.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is on sale.
    Open,
    /// It stays closed, for this reason.
    Blocked(SkuId, String),
}

impl Rebuild {
    /// How many events of each SKU wait as dead letters although somebody may have been told of them. Their units are given
    /// away and MySQL does not know.
    pub(super) async fn parked(&self) -> Result<BTreeMap<SkuId, u64>, RebuildError> {
        let options = ProjectorOptions { kafka: self.options.kafka.clone(), mysql: self.options.mysql.clone() };
        let desk = Desk::open(&options);
        let events = desk.events_topic();
        let waits = move |origin: &flash_stores::kafka::dead_letter::Origin, status| {
            origin.topic == events && status == LetterStatus::Waiting
        };
        let mut parked = BTreeMap::new();
        for letter in desk.letters(waits).await?.letters {
            let Ok(event) = letter.event() else {
                tracing::warn!(origin = %letter.origin(), "a dead letter that nobody can read was left out of account");
                continue;
            };
            let void = is_void(event.epoch, letter.parked.fence_epoch);
            if let Body::Order { state: OrderState::Reserved | OrderState::Confirmed, order, .. } = &event.body
                && !void
            {
                *parked.entry(order.sku_id).or_default() += 1;
            }
        }
        Ok(parked)
    }

    /// Fills a SKU, or leaves it closed if it can not be filled truthfully: `parked` of its events wait as dead letters.
    pub(super) async fn fill_or_block(
        &self,
        sku: &Sku,
        fence: &Fence,
        parked: Option<u64>,
        sold_from: bool,
    ) -> Result<Outcome, RebuildError> {
        let sku_id = sku.sku_id;
        let reason = match parked {
            Some(events) => format!(
                "{events} of its events wait as dead letters; repair what they failed with, then: flashctl dlq replay --all"
            ),
            None => match self.fill(sku, fence, sold_from).await {
                Ok(()) => return Ok(Outcome::Open),
                Err(error @ RebuildError::Oversold { oversold, .. }) => {
                    format!(
                        "{error}; its stock can be made true with: flashctl sku set-capacity {sku_id} {}",
                        oversold.held + oversold.sold
                    )
                }
                Err(error @ RebuildError::OrdersLost { .. }) => {
                    format!(
                        "{error}; rows of `orders` were lost: flashctl reconcile --sku {sku_id} names them; restore them"
                    )
                }
                Err(error) => return Err(error),
            },
        };
        tracing::error!(sku = %sku_id, reason, "a SKU stays closed");
        crash::point("fill.blocking");
        let keys = self.keys(sku_id);
        let blocked = Loader::new(&self.gate, &keys, fence).block().await;
        blocked.map_err(|source| RebuildError::Load { sku_id, source })?;
        Ok(Outcome::Blocked(sku_id, reason))
    }

    /// Tries to fill SKUs that were left closed, under the epoch that is open; returns how many are open now.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn unblock(&self, blocked: &[SkuId], progress: impl Fn(Progress)) -> Result<usize, RebuildError> {
        let Some(fence) = self.open_fence().await? else { return Ok(0) };
        let mut stored = skus::list(&self.db).await?;
        stored.retain(|stored| blocked.contains(&stored.sku.sku_id));
        self.fill_all(stored, &fence, &progress).await
    }
}
