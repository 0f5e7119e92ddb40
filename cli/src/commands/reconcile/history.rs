//! `flashctl reconcile --history`: past runs.

use flash_stores::mysql::{
    Db,
    reconcile::{Run, list},
};
use flashd::config::Config;
use serde_json::{Value, json};

use crate::{
    args::Output,
    exit::Exit,
    plain::{harmless, utc},
    report::Failure,
    servers,
    table::{self, Align},
    terminal::Terminal,
};

/// Version of the JSON answer.
const VERSION: u32 = 1;

/// The command.
pub(super) async fn command(config: &Config, most: u32, terminal: &Terminal) -> Result<Exit, Failure> {
    let db = Db::open(&config.mysql);
    let runs = list(&db, most).await;
    let runs =
        runs.map_err(|error| if error.is_outage() { servers::unreachable(error) } else { Failure::from_error(error) })?;
    match terminal.output() {
        Output::Json => {
            let runs: Vec<Value> = runs.iter().map(to_json).collect();
            terminal.answer(&json!({ "version": VERSION, "runs": runs }).to_string())?;
        }
        Output::Text if runs.is_empty() => terminal.talk("nothing was compared yet"),
        Output::Text => text(&runs, terminal)?,
    }
    Ok(Exit::Ok)
}

fn text(runs: &[Run], terminal: &Terminal) -> Result<(), Failure> {
    let headings = [
        ("RUN", Align::Right),
        ("AT", Align::Left),
        ("TOOK", Align::Right),
        ("EPOCH", Align::Right),
        ("SKUS", Align::Right),
        ("FOUND", Align::Right),
        ("FIXED", Align::Right),
        ("WHAT", Align::Left),
        ("WHO", Align::Left),
        ("WHY", Align::Left),
    ];
    let cells = |run: &Run| {
        vec![
            run.run_id.to_string(),
            utc(run.at_ms),
            format!("{}.{} s", run.took_ms / 1_000, run.took_ms % 1_000 / 100),
            run.epoch.to_string(),
            run.skus.to_string(),
            run.found.to_string(),
            run.fixed.to_string(),
            kinds(run).join(", "),
            harmless(&run.who),
            harmless(&run.why),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(cells).collect();
    table::lines(&headings, &rows).iter().try_for_each(|line| terminal.answer(line))
}

/// The kinds of a run's findings, each once.
fn kinds(run: &Run) -> Vec<String> {
    let findings: Vec<Value> = serde_json::from_str(&run.findings).unwrap_or_default();
    let mut kinds: Vec<String> = findings.iter().filter_map(|finding| finding["kind"].as_str()).map(harmless).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn to_json(run: &Run) -> Value {
    let stored = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "runId": run.run_id,
        "at": run.at_ms,
        "tookMs": run.took_ms,
        "epoch": run.epoch,
        "skus": run.skus,
        "found": run.found,
        "fixed": run.fixed,
        "who": run.who,
        "why": run.why,
        "findings": stored(&run.findings),
        "repairs": stored(&run.repairs),
    })
}
