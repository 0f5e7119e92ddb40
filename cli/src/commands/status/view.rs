//! The answer of `status`: daemons, parts, one line about all of it.

use serde_json::{Value, json};

use crate::{
    live::{
        Sample, Seen, Told,
        figures::Figures,
        judge::{Finding, Judgement, Level, Part, Units},
        stock::Stock,
    },
    plain::{bytes, harmless, seconds},
    report::Failure,
    table::{self, Align, grouped},
    terminal::Terminal,
};

/// Version of the JSON answer.
const VERSION: u32 = 2;

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Status<'a> {
    sample: &'a Sample,
    figures: Figures,
    pub(super) judgement: Judgement,
    units: Units,
}

impl<'a> Status<'a> {
    /// A sample and what was made of it.
    pub(super) fn of(sample: &'a Sample, (figures, judgement, units): (Figures, Judgement, Units)) -> Self {
        Self { sample, figures, judgement, units }
    }
}

/// For people.
pub(super) fn text(status: &Status<'_>, terminal: &Terminal) -> Result<(), Failure> {
    lines(status).iter().try_for_each(|line| terminal.answer(line))
}

fn lines(status: &Status<'_>) -> Vec<String> {
    let headings = ["DAEMON", "STATE", "ROLE", "NODE", "UP", "MEMORY", "BUILD"];
    let rows: Vec<Vec<String>> = status.sample.daemons.iter().map(row).collect();
    let mut lines = table::lines(&headings.map(|heading| (heading, Align::Left)), &rows);
    // Daemons that are well have their line in the first table.
    let is_told = |finding: &&Finding| finding.part != Part::Daemon || finding.level > Level::Ok;
    let mut parts: Vec<Vec<String>> = status.judgement.findings.iter().filter(is_told).map(cells).collect();
    if let Some(stock) = &status.figures.stock {
        parts.push(vec!["stock".to_owned(), String::new(), stock_words(stock, &status.units)]);
    }
    if !parts.is_empty() {
        lines.push(String::new());
        lines.extend(table::lines(&["PART", "STATE", "DETAIL"].map(|heading| (heading, Align::Left)), &parts));
    }
    lines.push(String::new());
    lines.push(summary(&status.judgement));
    lines.extend(status.judgement.remarks().find_map(|finding| finding.next).map(|next| format!("next: {next}")));
    lines
}

fn row(seen: &Seen) -> Vec<String> {
    let unknown = || "–".to_owned();
    let url = harmless(&seen.url);
    let Told::Stats(stats) = &seen.told else {
        return vec![url, "silent".to_owned(), unknown(), unknown(), unknown(), unknown(), unknown()];
    };
    let state = match () {
        () if stats.draining => "draining",
        () if !stats.ready => "not ready",
        () if stats.paused.is_some() => "paused",
        () => "ready",
    };
    vec![
        url,
        state.to_owned(),
        harmless(&stats.role),
        stats.node.map_or_else(unknown, |node| node.to_string()),
        seconds(stats.uptime_ms),
        stats.process.resident_bytes.map_or_else(unknown, bytes),
        harmless(&stats.build),
    ]
}

fn cells(finding: &Finding) -> Vec<String> {
    let daemon = finding.daemon.as_ref().map_or_else(String::new, |daemon| format!("{daemon}: "));
    let text = format!("{daemon}{}", finding.text);
    vec![finding.part.as_str().to_owned(), finding.level.as_str().to_owned(), text]
}

fn stock_words(stock: &Stock, units: &Units) -> String {
    let states = units.states;
    let by_state = [
        (states.selling, "selling"),
        (states.held_out, "held out"),
        (states.sold_out, "sold out"),
        (states.upcoming, "upcoming"),
        (states.closed, "closed"),
        (states.paused, "paused"),
    ];
    let by_state: Vec<String> = by_state
        .iter()
        .filter(|(skus, _)| *skus > 0)
        .map(|(skus, word)| format!("{} {word}", grouped(*skus)))
        .collect();
    let [capacity, left, held, sold, closing] =
        [stock.capacity, stock.left, stock.held, stock.sold, stock.closing].map(grouped);
    let unknown = match stock.skus.saturating_sub(stock.skus_counted) {
        0 => String::new(),
        skus => format!(" · {} SKUs not counted", grouped(skus)),
    };
    let by_state = if by_state.is_empty() { String::new() } else { format!(" · SKUs: {}", by_state.join(", ")) };
    format!("capacity {capacity} · left {left} · held {held} · sold {sold} · closing {closing}{unknown}{by_state}")
}

/// The verdict, the word, and which parts are not as usual: `FOUND – selling · found: letters · noted: sale`.
fn summary(judgement: &Judgement) -> String {
    let parts = |level: Level| {
        let mut parts: Vec<&str> = Vec::new();
        for finding in judgement.findings.iter().filter(|finding| finding.level == level) {
            if !parts.contains(&finding.part.as_str()) {
                parts.push(finding.part.as_str());
            }
        }
        if parts.is_empty() { String::new() } else { format!(" · {}: {}", level.as_str(), parts.join(", ")) }
    };
    let levels = [Level::Down, Level::Broken, Level::Found, Level::Noted].map(parts).concat();
    let why = if judgement.why.is_empty() { String::new() } else { format!(": {}", judgement.why) };
    format!("{} – {}{why}{levels}", verdict(judgement).to_uppercase(), judgement.word.as_str())
}

/// What is known to be well, and what was ordered, is in order.
fn verdict(judgement: &Judgement) -> &'static str {
    match judgement.worst() {
        Level::Ok | Level::Unknown | Level::Noted => Level::Ok.as_str(),
        worst => worst.as_str(),
    }
}

/// For programs.
pub(super) fn json(status: &Status<'_>) -> Value {
    let daemon = |seen: &Seen| match &seen.told {
        Told::Stats(stats) => json!({
            "url": seen.url,
            "answers": true,
            "ready": stats.ready,
            "reasons": stats.unready,
            "draining": stats.draining,
            "paused": stats.paused,
            "role": stats.role,
            "node": stats.node,
            "instance": stats.instance,
            "build": stats.build,
            "uptimeMs": stats.uptime_ms,
        }),
        Told::Failed(reason) => json!({ "url": seen.url, "answers": false, "reason": reason }),
    };
    let part = |finding: &Finding| {
        json!({
            "part": finding.part.as_str(),
            "state": finding.level.as_str(),
            "daemon": finding.daemon,
            "detail": finding.text,
            "hint": finding.next,
        })
    };
    json!({
        "version": VERSION,
        "atMs": status.figures.at_ms,
        "verdict": verdict(&status.judgement),
        "state": status.figures.state,
        "why": status.judgement.why,
        "daemons": status.sample.daemons.iter().map(daemon).collect::<Vec<_>>(),
        "parts": status.judgement.findings.iter().map(part).collect::<Vec<_>>(),
        "stock": status.figures.stock,
        "lag": status.figures.lag,
        "epoch": status.figures.epoch,
    })
}

#[cfg(test)]
mod tests {
    use flash_core::{
        ids::SkuId,
        stats::{Api, SkuState, SkuStats, Stats, Worker},
    };

    use super::*;
    use crate::live::figures::Tracker;

    fn sample(told: Told) -> Sample {
        Sample { at_ms: 1, daemons: vec![Seen { url: "http://h:1".to_owned(), took_ms: 0, told }] }
    }

    #[test]
    fn one_that_is_silent_is_said_to_be_and_what_to_do() {
        let sample = sample(Told::Failed("connection refused".to_owned()));
        let status = Status::of(&sample, Tracker::default().judged(&sample));
        let lines = lines(&status);
        assert_eq!(lines[1], "http://h:1  silent  –     –     –   –       –");
        assert_eq!(lines[4], "daemon  down   http://h:1: connection refused");
        assert_eq!(lines[6..], ["DOWN – unreachable: connection refused · down: daemon", "next: flashctl doctor"]);
        let json = json(&status);
        assert_eq!((&json["verdict"], &json["daemons"][0]["answers"]), (&json!("down"), &json!(false)));
        assert_eq!(json["stock"], Value::Null);
    }

    #[test]
    fn a_pause_is_said_and_is_no_error_while_others_sell() {
        let sale = |states: &[SkuState]| {
            let sku = |(id, state): (u64, &SkuState)| SkuStats { state: *state, ..SkuStats::of(SkuId::new(id)) };
            let mut api = Api { skus: (1..).zip(states).map(sku).collect(), ..Api::default() };
            (api.sku_count, api.epoch.open) = (states.len() as u64, true);
            let worker = Some(Worker::default());
            sample(Told::Stats(Box::new(Stats { ready: true, api: Some(api), worker, ..Stats::default() })))
        };
        let of = |sample: &Sample| {
            let status = Status::of(sample, Tracker::default().judged(sample));
            (lines(&status), json(&status)["verdict"].clone())
        };
        let (told, verdict) = of(&sale(&[SkuState::Selling, SkuState::Paused]));
        assert_eq!((told[told.len() - 2].as_str(), verdict), ("OK – selling · noted: sale", json!("ok")));
        assert!(told.iter().any(|line| line.contains("1 of 2 SKUs paused by an operator")), "{told:?}");
        let (told, verdict) = of(&sale(&[SkuState::Paused, SkuState::SoldOut]));
        let summary = "FOUND – paused: 1 of 2 SKUs, by an operator · found: sale";
        assert_eq!((told[told.len() - 2].as_str(), verdict), (summary, json!("found")));
        assert_eq!(told[told.len() - 1], "next: flashctl sale resume");
    }
}
