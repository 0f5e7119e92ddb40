//! A load test's result as text: the verdict first, then what was measured.

mod judged;

use std::fmt::Write as _;

use flash_loadgen::{EndReason, Latency, Pacing, Report, Settled};

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
    writeln!(text, "\nTHROUGHPUT ({}, {})", run.pacing.name(), why_ended(run.ended))?;
    if !run.schedule.is_empty() {
        let name = if run.scenario.is_empty() { String::new() } else { format!("{}: ", run.scenario) };
        writeln!(text, "  {name}{}", run.schedule)?;
    }
    write_arrivals(text, run)?;
    write_given_up(text, run)?;
    write_rates(text, run)?;

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

/// What became of the schedule, and who else came: nobody of them stands in it.
fn write_arrivals(text: &mut String, run: &Report) -> std::fmt::Result {
    if run.pacing != Pacing::Open {
        return Ok(());
    }
    let arrivals = &run.arrivals;
    let [planned, due, begun, never] =
        [arrivals.planned, arrivals.due, arrivals.begun, arrivals.never_started].map(grouped);
    writeln!(text, "  arrivals  {planned:>10} planned · {due} due · {begun} begun · {never} never served")?;
    let more = arrivals.started.saturating_sub(arrivals.begun);
    if more == 0 {
        return Ok(());
    }
    let second = run.behaviour.second_attempts;
    let keys = more.saturating_sub(second);
    let [more, second, keys] = [more, second, keys].map(grouped);
    writeln!(
        text,
        "  besides   {more:>10} purchases beyond the schedule: {second} second attempts · {keys} further keys of bots"
    )
}

/// Who went away unanswered is the one whom no fine percentile of wins knows of.
fn write_given_up(text: &mut String, run: &Report) -> std::fmt::Result {
    let (given_up, started) = (run.behaviour.given_up, run.arrivals.started);
    if given_up == 0 {
        return Ok(());
    }
    let percent = given_up as f64 / started.max(1) as f64 * 100.0;
    let count = grouped(given_up);
    writeln!(
        text,
        "  given up  {count:>10} purchases without a clear answer ({percent:.1} %): no latency of wins contains them"
    )
}

fn write_rates(text: &mut String, run: &Report) -> std::fmt::Result {
    let throughput = &run.throughput;
    let seconds = |ms: u64| format!("{:.2} s", ms as f64 / 1_000.0);
    if run.wins == 0 {
        writeln!(text, "  accepted  {:>10}", "none")?;
    } else {
        let (rate, stock) = (rounded(throughput.accepted_per_s), seconds(throughput.stock_lasted_ms));
        let back = match throughput.came_back {
            0 => String::new(),
            back => format!(", {} of them from stock that came back", grouped(back)),
        };
        writeln!(text, "  accepted  {rate:>10}/s over the {stock} with stock{back}")?;
    }
    if let Some(after_ms) = throughput.sold_out_after_ms {
        let rate = rounded(throughput.sold_out_per_s);
        writeln!(text, "  sold out  {rate:>10}/s without stock · for the first time after {}", seconds(after_ms))?;
    }
    writeln!(text, "  requests  {:>10}/s over {}", rounded(throughput.requests_per_s), seconds(run.duration_ms))
}

fn write_counts(text: &mut String, run: &Report) -> std::fmt::Result {
    // Told elsewhere.
    let usual = ["WON", "SOLD_OUT", "REPEATED_WIN"];
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
    let counts = [replays.sent, replays.same, replays.conflicting, replays.unclear];
    let [sent, same, other, unclear] = counts.map(grouped);
    let refused = grouped(run.behaviour.duplicates.saturating_sub(replays.sent));
    writeln!(
        text,
        "REPEATED KEYS        of wins {sent}: same answer {same} · another answer {other} · unclear {unclear} · of refusals {refused}"
    )?;
    let lines = &run.connections;
    let counts = [lines.opened, lines.failed, lines.closed_by_server, lines.lost].map(grouped);
    let [opened, failed, closed, lost] = counts;
    writeln!(text, "CONNECTIONS          opened {opened} · failed {failed} · closed by server {closed} · lost {lost}")?;
    let buyers = &run.behaviour;
    let counts = [buyers.retries, buyers.given_up, buyers.second_attempts, buyers.second_attempts_won, buyers.bot_wins];
    let [retries, given_up, second, second_won, bots] = counts.map(grouped);
    writeln!(
        text,
        "BUYERS               retries {retries} · gave up {given_up} · second attempts {second}, won {second_won} · bots won {bots}"
    )?;
    if buyers.paid.wanted + buyers.cancelled.wanted + buyers.abandoned > 0 {
        let (paid, cancelled) = (settled(&buyers.paid), settled(&buyers.cancelled));
        writeln!(
            text,
            "ORDERS               paid {paid} · cancelled {cancelled} · left alone {}",
            grouped(buyers.abandoned)
        )?;
    }
    Ok(())
}

/// How many orders were paid or cancelled, and what became of the others: a way to pay that never answers is no small thing.
pub(crate) fn settled(settled: &Settled) -> String {
    let others = [(settled.refunds, "to be given back"), (settled.refused, "refused"), (settled.unclear, "unclear")];
    let others =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{} {name}", grouped(*count)));
    let others: Vec<String> = others.collect();
    let done = format!("{} of {}", grouped(settled.done), grouped(settled.wanted));
    if others.is_empty() { done } else { format!("{done} ({})", others.join(", ")) }
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

/// A rate in whole numbers.
pub(crate) fn rounded(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
    let whole = rate.round() as u64;
    grouped(whole)
}

/// A point of a latency distribution; a dash where nothing was measured, which is not the same as 0.
pub(crate) fn measured(of: &Latency, us: u64) -> String {
    if of.count == 0 { "–".to_owned() } else { micros(us) }
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

    #[test]
    fn who_came_beyond_the_schedule_is_told_apart() {
        let mut run = Report { pacing: Pacing::Open, ..Report::default() };
        (run.arrivals.planned, run.arrivals.due, run.arrivals.begun, run.arrivals.never_started) = (100, 90, 80, 10);
        run.arrivals.started = 95;
        (run.behaviour.second_attempts, run.behaviour.given_up, run.behaviour.duplicates) = (12, 3, 9);
        (run.replays.sent, run.replays.same) = (4, 4);
        let text = LoadtestReport::new(None, run).text();
        for line in [
            "100 planned · 90 due · 80 begun · 10 never served",
            "15 purchases beyond the schedule: 12 second attempts · 3 further keys of bots",
            "  given up           3 purchases without a clear answer (3.2 %): no latency of wins contains them",
            "gave up 3",
            "of wins 4: same answer 4 · another answer 0 · unclear 0 · of refusals 5",
            "accepted        none",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn what_became_of_those_who_did_not_get_to_pay_is_told() {
        let mut run = Report::default();
        run.behaviour.paid = Settled { wanted: 1_011, done: 1_000, refunds: 1, refused: 2, unclear: 8 };
        run.behaviour.cancelled = Settled { wanted: 9, done: 9, ..Settled::default() };
        let text = LoadtestReport::new(None, run).text();
        let line = "paid 1,000 of 1,011 (1 to be given back, 2 refused, 8 unclear) · cancelled 9 of 9 · left alone 0";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn stock_that_came_back_is_told() {
        let mut run = Report { wins: 140, ..Report::default() };
        run.throughput.came_back = 40;
        run.throughput.stock_lasted_ms = 1_250;
        (run.throughput.sold_out, run.throughput.sold_out_after_ms) = (true, Some(1_150));
        let text = LoadtestReport::new(None, run).text();
        assert!(text.contains("over the 1.25 s with stock, 40 of them from stock that came back"), "{text}");
        assert!(text.contains("without stock · for the first time after 1.15 s"), "{text}");
    }
}
