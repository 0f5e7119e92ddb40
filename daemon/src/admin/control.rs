//! The verbs of an operator: pause, resume, drain, and what is logged. Each may be repeated; the answer says how things stand.

use super::problem::Problem;
use crate::app::App;
use crate::http::{Answer, body, json};
use bytes::Bytes;
use flash_core::stats::{HappeningKind::Operator, Severity};
use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Longest reason of a pause, in characters.
pub(crate) const REASON_MAX: usize = 200;

const STOPPING: Problem = Problem::Conflict("The daemon is stopping.");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseWish {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterWish {
    filter: String,
}

/// A body without anything in it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /control/pause`: buyers are told 409 `SALE_PAUSED` by this daemon until it is resumed. What is held or ordered can be
/// paid, cancelled and looked up; readiness stays, so that buyers get this answer and not a proxy's error.
pub(super) async fn pause(app: &App, request: Request<Incoming>) -> Result<Answer, Problem> {
    no_query(&request)?;
    let PauseWish { reason } = read(&body::read_json(request).await?.1)?;
    let length = reason.trim().chars().count();
    if !(1..=REASON_MAX).contains(&length) || reason.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "reason: must be 1 to {REASON_MAX} characters without control characters"
        )));
    }
    let shop = app.shop.as_ref().ok_or(Problem::Conflict("This daemon is a worker: it sells nothing."))?;
    let reason = reason.trim().to_owned();
    let before = app.control.set_paused(Some(reason.clone()));
    shop.admission.pause(true);
    if before.as_ref() != Some(&reason) {
        tracing::warn!(reason, "an operator has paused selling on this daemon");
        app.events.note(Operator, Severity::Critical, format!("selling is paused on this daemon: {reason}"));
    }
    Ok(standing(app))
}

/// `POST /control/resume`: ends a pause and a drain.
pub(super) async fn resume(app: &App, request: Request<Incoming>) -> Result<Answer, Problem> {
    no_query(&request)?;
    let Nothing {} = read_optional(request).await?;
    if app.control.is_stopping() {
        return Err(STOPPING);
    }
    let (paused, drained) = (app.control.set_paused(None).is_some(), app.control.set_draining(false));
    if let Some(shop) = &app.shop {
        shop.admission.pause(false);
        shop.admission.drain(false);
    }
    if paused || drained {
        tracing::warn!("an operator has put this daemon back into service");
        app.events.note(Operator, Severity::Info, "this daemon is in service again");
    }
    Ok(standing(app))
}

/// `POST /control/drain`: not ready any more, and purchases are told 503 `OVERLOADED`; what is under way ends as it would have,
/// and orders can still be settled. With `?exit=true` the process then ends as after SIGTERM; without it, it waits.
pub(super) async fn drain(app: &App, request: Request<Incoming>) -> Result<Answer, Problem> {
    let exit = match request.uri().query() {
        None => false,
        Some("exit=true") => true,
        Some("exit=false") => false,
        Some(_) => return Err(Problem::invalid("query: only exit=true or exit=false")),
    };
    let Nothing {} = read_optional(request).await?;
    let before = app.control.set_draining(true);
    if let Some(shop) = &app.shop {
        shop.admission.drain(true);
    }
    if !before {
        tracing::warn!(exit, "an operator has taken this daemon out of service");
        app.events.note(Operator, Severity::Warning, "this daemon is taken out of service");
    }
    if exit {
        app.events.note(Operator, Severity::Warning, "this daemon is told to end");
        app.control.exit();
    }
    Ok(standing(app))
}

/// `GET /control/log-filter`.
pub(super) fn log_filter(app: &App) -> Answer {
    json(Bytes::from(json!({ "filter": app.control.logs.text() }).to_string()))
}

/// `PUT /control/log-filter`.
pub(super) async fn set_log_filter(app: &App, request: Request<Incoming>) -> Result<Answer, Problem> {
    no_query(&request)?;
    let FilterWish { filter } = read(&body::read_json(request).await?.1)?;
    let before = app.control.logs.set(&filter).map_err(|why| Problem::invalid(format!("filter: {why}")))?;
    if before != filter {
        // By the time somebody reads this the filter may not let a line of the log through.
        app.events.note(Operator, Severity::Info, format!("the log filter is {filter} instead of {before}"));
    }
    Ok(log_filter(app))
}

/// How things stand after a verb.
fn standing(app: &App) -> Answer {
    let standing = json!({
        "paused": app.control.paused(),
        "draining": app.control.is_draining() || app.control.is_stopping(),
        "inFlight": app.shop.as_ref().map(|shop| shop.admission.in_flight()),
    });
    json(Bytes::from(standing.to_string()))
}

fn no_query(request: &Request<Incoming>) -> Result<(), Problem> {
    if request.uri().query().is_some() { Err(Problem::invalid("query: there is none here")) } else { Ok(()) }
}

async fn read_optional<T: DeserializeOwned + Default>(request: Request<Incoming>) -> Result<T, Problem> {
    let body = body::read_optional_json(request).await?;
    if body.is_empty() { Ok(T::default()) } else { read(&body) }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list would do for the library, its items in the order of our fields.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::invalid("body: must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::invalid(format!("body: {error}")))
}
