//! A load test's result as text: the verdict first, then what was measured.

mod judged;

use std::fmt::Write as _;

use flash_loadgen::{EndReason, Latency, Pacing, Report};

use super::LoadtestReport;
use crate::table::grouped;

pub(crate) use judged::headline;

/// The whole text, with a line break at its end.
pub(super) fn text(report: &LoadtestReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = judged::write(&mut text, report);
    _ = write_measured(&mut text, &report.run);
    _ = write_counts(&mut text, &report.run);
    _ = write_fairness(&mut text, &report.run);
    _ = write_origin(&mut text, &report.run);
    text
}

fn write_measured(text: &mut String, run: &Report) -> std::fmt::Result {
    let throughput = &run.throughput;
    let stock_s = throughput.stock_lasted_ms as f64 / 1_000.0;
    writeln!(text, "\nTHROUGHPUT ({}, {})", run.pacing.name(), why_ended(run.ended))?;
    if !run.schedule.is_empty() {
        let name = if run.scenario.is_empty() { String::new() } else { format!("{}: ", run.scenario) };
        writeln!(text, "  {name}{}", run.schedule)?;
    }
    if run.pacing == Pacing::Open {
        let arrivals = &run.arrivals;
        let counts = [arrivals.planned, arrivals.due, arrivals.started, arrivals.never_started].map(grouped);
        let [planned, due, started, never] = counts;
        writeln!(text, "  arrivals  {planned:>10} planned · {due} due · {started} begun · {never} never served")?;
    }
    writeln!(
        text,
        "  accepted  {:>10}/s over the {stock_s:.2} s that stock lasted",
        rounded(throughput.accepted_per_s)
    )?;
    if throughput.sold_out {
        writeln!(text, "  sold out  {:>10}/s after that", rounded(throughput.sold_out_per_s))?;
    }
    let duration_s = run.duration_ms as f64 / 1_000.0;
    writeln!(text, "  requests  {:>10}/s over {duration_s:.2} s", rounded(throughput.requests_per_s))?;

    let from = if run.pacing == Pacing::Open { "FROM THE INTENDED START" } else { "AS ASKED" };
    let heading = format!("LATENCY {from}");
    writeln!(text, "\n{heading:<32} {:>11} {:>9} {:>9} {:>9} {:>9}", "count", "p50", "p95", "p99", "max")?;
    let (latency, service) = (&run.latency, &run.service);
    let rows = [
        ("wins", latency.wins),
        ("  one request", service.wins),
        ("sold out", latency.sold_out),
        ("  one request", service.sold_out),
        ("refusals", latency.refusals),
        ("errors", latency.errors),
    ];
    rows.iter().filter(|(_, latency)| latency.count > 0).try_for_each(|(name, row)| write_latency(text, name, row))
}

fn write_counts(text: &mut String, run: &Report) -> std::fmt::Result {
    let usual = ["WON", "SOLD_OUT"];
    let others: Vec<String> = run
        .outcomes
        .iter()
        .filter(|(name, count)| **count > 0 && !usual.contains(&name.as_str()))
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(" · ") };
    writeln!(text, "\nERRORS AND REFUSALS  {others}")?;
    if run.doubts_open + run.doubts_refused > 0 {
        let (open, refused) = (grouped(run.doubts_open), grouped(run.doubts_refused));
        writeln!(text, "OUTCOME UNKNOWN      still {open} · refused in the end {refused}")?;
    }
    let replays = &run.replays;
    let (sent, same, unclear) = (grouped(replays.sent), grouped(replays.same), grouped(replays.unclear));
    writeln!(
        text,
        "REPEATED KEYS        {sent} · same answer {same} · another answer {} · unclear {unclear}",
        replays.conflicting
    )?;
    let lines = &run.connections;
    let counts = [lines.opened, lines.failed, lines.closed_by_server, lines.lost].map(grouped);
    let [opened, failed, closed, lost] = counts;
    writeln!(text, "CONNECTIONS          opened {opened} · failed {failed} · closed by server {closed} · lost {lost}")?;
    let buyers = &run.behaviour;
    if buyers.retries + buyers.second_attempts + buyers.paid.wanted + buyers.cancelled.wanted + buyers.bots > 0 {
        let counts = [buyers.retries, buyers.second_attempts, buyers.paid.done, buyers.cancelled.done, buyers.bot_wins];
        let [retries, second, paid, cancelled, bots] = counts.map(grouped);
        writeln!(
            text,
            "BUYERS               retries {retries} · second attempts {second} · paid {paid} · cancelled {cancelled} · bots won {bots}"
        )?;
    }
    Ok(())
}

fn write_fairness(text: &mut String, run: &Report) -> std::fmt::Result {
    let (figures, users) = (&run.fairness.overall, &run.fairness.concentration);
    if figures.winners == 0 {
        return Ok(());
    }
    writeln!(
        text,
        "FAIRNESS             inversions {:.3} % · p99 skip {} · in order beyond {} · losers who came earlier {} ({:.2} %)",
        figures.inversion_rate * 100.0,
        grouped(figures.p99_skip),
        micros(figures.epsilon_us),
        grouped(figures.earlier_losers),
        figures.earlier_loser_share * 100.0,
    )?;
    writeln!(
        text,
        "                     {} of {} users won {} units · most per user {} · 1 % of all users have {:.1} % of the units",
        grouped(users.winners),
        grouped(users.users),
        grouped(users.units),
        grouped(users.max_per_user),
        users.top_1_percent_share * 100.0,
    )
}

fn write_origin(text: &mut String, run: &Report) -> std::fmt::Result {
    let host = &run.host;
    let memory_gib = host.memory_bytes as f64 / f64::from(1 << 30);
    let servers: Vec<String> = host.servers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(text, "SEED                 {}", run.seed)?;
    writeln!(
        text,
        "HOST                 {} · {} cores · {memory_gib:.1} GiB · {} · load {:.2} at the start",
        host.cpu, host.cores, host.kernel, host.load_1m
    )?;
    writeln!(text, "VERSIONS             {}", servers.join(" · "))?;
    writeln!(text, "COMMAND              {}", host.command_line)
}

fn write_latency(text: &mut String, name: &str, latency: &Latency) -> std::fmt::Result {
    let figures = [latency.p50_us, latency.p95_us, latency.p99_us, latency.max_us].map(micros);
    let [p50, p95, p99, max] = figures;
    writeln!(text, "  {name:<30} {:>11} {p50:>9} {p95:>9} {p99:>9} {max:>9}", grouped(latency.count))
}

fn why_ended(reason: EndReason) -> &'static str {
    match reason {
        EndReason::StagesDone => "all stages done",
        EndReason::SoldOut => "ended when sold out",
        EndReason::Stopped => "ENDED EARLY on request",
        EndReason::RequestLimit => "ended by the bound of requests",
    }
}

fn rounded(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
    let whole = rate.round() as u64;
    grouped(whole)
}

/// A latency with three digits and a unit.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1_000.0),
        10_000..1_000_000 => format!("{:.1} ms", us as f64 / 1_000.0),
        _ => format!("{:.2} s", us as f64 / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([7, 1_500, 25_000, 2_500_000].map(micros), ["7 µs", "1.50 ms", "25.0 ms", "2.50 s"]);
    }
}
