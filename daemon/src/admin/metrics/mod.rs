//! `/metrics`: Prometheus text of everything this process counts. Asks no backend: everything is already in memory.

mod selling;
mod stores;
mod working;

use crate::app::App;
use crate::http::{Answer, json};
use crate::meters::definitions as is;
use crate::meters::process;
use crate::meters::text::{Page, seconds};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};

/// `/metrics`.
pub(super) fn metrics(app: &App) -> Answer {
    let mut page = Page::new();
    own(app, &mut page);
    if let Some(shop) = &app.shop {
        selling::write(app, shop, &mut page);
    }
    stores::write(app, &mut page);
    if app.config.role.works() {
        working::write(app, &mut page);
    }
    let mut answer = json(Bytes::from(page.into_text()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}

/// The process itself.
fn own(app: &App, page: &mut Page) {
    page.family(&is::BUILD_INFO).sample(&[env!("CARGO_PKG_VERSION"), app.config.role.as_str()], 1);
    page.number(&is::READY, u8::from(app.unready().is_empty()));
    page.number(&is::START_TIME, seconds(app.started_at_ms));
    let process = process::read();
    page.optional(&is::RESIDENT, process.resident_bytes);
    page.optional(&is::CPU, process.cpu_ms.map(seconds));
    page.optional(&is::OPEN_FILES, process.open_files);
    page.optional(&is::OPEN_FILES_MAX, process::open_files_max());
}
