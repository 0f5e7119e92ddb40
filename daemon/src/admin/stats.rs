//! `/stats`: one versioned document of everything this process knows.

use super::problem::Problem;
use super::{api, worker};
use crate::app::App;
use crate::clock::wall_ms;
use crate::http::{Answer, json};
use crate::meters::{self, process};
use bytes::Bytes;
use flash_core::stats::{Stats, VERSION};

/// SKUs that are listed if nobody asks for another number.
pub(crate) const SKUS_DEFAULT: usize = 200;
/// Most SKUs that are listed, about 4 MB of JSON.
pub(crate) const SKUS_MAX: usize = 10_000;

/// `GET /stats?skus=N`.
pub(super) fn stats(app: &App, query: Option<&str>) -> Result<Answer, Problem> {
    let document = document(app, skus_wanted(query)?);
    let body = serde_json::to_vec(&document).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(json(Bytes::from(body)))
}

/// The document. Every number in it is true; together they may be a moment apart.
pub(super) fn document(app: &App, skus_max: usize) -> Stats {
    let unready = app.unready();
    Stats {
        version: VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        role: app.config.role.as_str().to_owned(),
        instance: app.instance.clone(),
        node: app.shop.as_ref().and_then(|shop| shop.ids.node()),
        at_ms: wall_ms(),
        uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        ready: unready.is_empty(),
        unready: unready.into_iter().map(|(latch, why)| (latch.to_owned(), why)).collect(),
        draining: app.control.is_draining() || app.control.is_stopping(),
        paused: app.control.paused(),
        log_filter: app.control.logs.text(),
        api: app.shop.as_ref().map(|shop| api::api(app, shop, skus_max)),
        worker: app.projector.as_ref().map(|projector| worker::worker(app, projector)),
        process: process::read(),
        stores: meters::stores(app),
        events: app.events.all(),
    }
}

fn skus_wanted(query: Option<&str>) -> Result<usize, Problem> {
    let Some(query) = query else { return Ok(SKUS_DEFAULT) };
    let digits = query.strip_prefix("skus=").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|wanted| *wanted <= SKUS_MAX)
        .ok_or_else(|| Problem::invalid(format!("query: only skus=N, with N from 0 to {SKUS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_strictly() {
        assert_eq!(skus_wanted(None).ok(), Some(SKUS_DEFAULT));
        assert_eq!(skus_wanted(Some("skus=0")).ok(), Some(0));
        assert_eq!(skus_wanted(Some("skus=10000")).ok(), Some(10_000));
        for bad in [
            "",
            "skus",
            "skus=",
            "skus=-1",
            "skus=+1",
            "skus=1&skus=2",
            "skus=10001",
            "skus=99999999999999999999",
            "sku=1",
            "skus=1 ",
        ] {
            assert!(skus_wanted(Some(bad)).is_err(), "{bad}");
        }
    }
}
