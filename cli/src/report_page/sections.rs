//! What is told in words and tables.

use flash_loadgen::{EndReason, Latency, Pacing, Report};

use super::html::{element, escape, pairs, paragraph, section, table, tiles};
use crate::commands::loadtest::{Change, Checked, Comparison, LoadtestReport, headline, measured, micros, settled};
use crate::table::grouped;
use crate::verdict::{Kind, Outcome, Verdict};

/// Most SKUs listed one by one.
const SKUS_MAX: usize = 50;

/// A coloured box: what matters first.
fn banner(class: &str, heading: &str, inner: &str) -> String {
    format!("<div class=\"banner {class}\"><strong>{}</strong>\n{inner}</div>\n", escape(heading))
}

/// What must be read first.
pub(super) fn headline_of(report: &LoadtestReport) -> String {
    let Some(verdict) = &report.verdict else {
        return banner("warn", "NO VERDICT", &paragraph("Nobody asked for one: the run was only measured."));
    };
    let class = match verdict.outcome {
        Outcome::Clean => "good",
        Outcome::Broken => "bad",
        Outcome::Open | Outcome::NotJudged => "warn",
    };
    let mut inner = paragraph(&units(verdict));
    inner += &verdict.remarks.iter().map(|remark| paragraph(remark)).collect::<String>();
    banner(class, &format!("VERDICT: {}", headline(verdict)), &inner)
}

/// What was looked for and what was found, with examples.
pub(super) fn verdict(verdict: &Verdict) -> String {
    let found = |kind: &Kind| {
        let (judged, count) = (verdict.judged.contains(kind), verdict.count(*kind));
        (kind.name(), if judged { grouped(count) } else { "not judged".to_owned() }, count > 0)
    };
    let mut more = tiles(&Kind::ALL.iter().map(found).collect::<Vec<_>>());
    if !verdict.findings.is_empty() {
        let (shown, rest) = verdict.shown();
        let mut rows: Vec<Vec<String>> = shown
            .into_iter()
            .map(|finding| {
                let order = finding.order_id.clone().unwrap_or_default();
                vec![finding.kind.name().to_owned(), order, finding.detail.clone()]
            })
            .collect();
        let rest = rest.into_iter().map(|(kind, count)| {
            vec![kind.name().to_owned(), String::new(), format!("and {count} more, see the JSON report")]
        });
        rows.extend(rest);
        more += &table("Examples", &["kind", "order", "what"], &rows);
    }
    section("Verdict", &(more + &skus(verdict)))
}

fn units(verdict: &Verdict) -> String {
    let number = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), grouped);
    let mut parts = vec![format!("capacity {}", number(verdict.capacity)), format!("told {}", grouped(verdict.told))];
    let places = [("in the log", verdict.in_log), ("in MySQL", verdict.in_mysql), ("taken in Redis", verdict.in_redis)];
    parts.extend(places.iter().filter_map(|(name, count)| Some(format!("{name} {}", grouped((*count)?)))));
    parts.join(" · ")
}

fn skus(verdict: &Verdict) -> String {
    if verdict.skus.len() < 2 {
        return String::new();
    }
    let number = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), grouped);
    let mut skus: Vec<_> = verdict.skus.iter().collect();
    skus.sort_by_key(|sku| std::cmp::Reverse(sku.oversold));
    let rows: Vec<Vec<String>> = skus
        .iter()
        .take(SKUS_MAX)
        .map(|sku| {
            let told = [number(sku.capacity), grouped(sku.told), number(sku.in_mysql), number(sku.live)];
            std::iter::once(sku.sku_id.clone()).chain(told).chain([grouped(sku.oversold)]).collect()
        })
        .collect();
    let caption = format!("{} of {} SKUs, in units", rows.len(), skus.len());
    table(&caption, &["SKU", "capacity", "told", "in MySQL", "live in the end", "oversold"], &rows)
}

pub(super) fn validity(run: &Report) -> String {
    if run.validity.valid {
        return String::new();
    }
    let reasons: String = run.validity.reasons.iter().map(|reason| paragraph(reason)).collect();
    banner("bad", "INVALID – the figures may not be believed", &reasons)
}

pub(super) fn summary(run: &Report) -> String {
    let rate = |value: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
        let whole = value.round() as u64;
        format!("{}/s", grouped(whole))
    };
    let mut shown = vec![
        ("accepted purchases", grouped(run.wins)),
        ("accepted while there was stock", rate(run.throughput.accepted_per_s)),
        ("wins: 99 % within", measured(&run.latency.wins, run.latency.wins.p99_us)),
        ("requests", rate(run.throughput.requests_per_s)),
    ];
    if run.throughput.sold_out {
        shown.push(("sold-out answers", rate(run.throughput.sold_out_per_s)));
        shown.push(("sold-out: 99 % within", measured(&run.latency.sold_out, run.latency.sold_out.p99_us)));
    }
    if run.pacing == Pacing::Open {
        shown.push(("arrivals begun", grouped(run.arrivals.begun)));
        shown.push(("never served", grouped(run.arrivals.never_started)));
    }
    let (errors, given_up) = (run.latency.errors.count, run.behaviour.given_up);
    shown.push(("given up without an answer", grouped(given_up)));
    shown.push(("errors", grouped(errors)));
    let is_bad = |name| name == "errors" && errors > 0 || name == "given up without an answer" && given_up > 0;
    let shown: Vec<_> = shown.into_iter().map(|(name, value)| (name, value, is_bad(name))).collect();
    let schedule = if run.schedule.is_empty() {
        run.stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    } else {
        run.schedule.clone()
    };
    let ended = match run.ended {
        EndReason::StagesDone => "ran to its end",
        EndReason::SoldOut => "ended when sold out",
        EndReason::Stopped => "was ended early: these are partial figures",
        EndReason::RequestLimit => "ended by its bound of requests",
    };
    section("In short", &(tiles(&shown) + &paragraph(&format!("{}: {schedule}; it {ended}.", run.pacing.name()))))
}

pub(super) fn thresholds(thresholds: &[Checked]) -> String {
    if thresholds.is_empty() {
        return String::new();
    }
    let row = |checked: &Checked| {
        let word = if checked.kept { "kept" } else { "MISSED" };
        vec![checked.threshold.clone(), checked.shown.clone(), word.to_owned()]
    };
    let rows: Vec<Vec<String>> = thresholds.iter().map(row).collect();
    section("Thresholds", &table("What had to hold", &["threshold", "measured", ""], &rows))
}

pub(super) fn comparison(comparison: &Comparison) -> String {
    let since = crate::plain::utc(comparison.baseline_started_at_ms);
    if let Some(reason) = &comparison.refused {
        return section("Baseline", &paragraph(&format!("Not compared with the run of {since}: {reason}.")));
    }
    let compared = comparison.figures.iter().map(|figure| {
        let word = match figure.change {
            Change::Worse => "WORSE",
            Change::Same => "same",
            Change::Better => "better",
        };
        let [before, now] = figure.shown.clone();
        let percent = |value: f64| format!("{value:+.1} %");
        let (worse, noise) = (percent(figure.worse_percent), format!("{:.1} %", figure.noise_percent));
        vec![figure.metric.clone(), before, now, worse, noise, word.to_owned()]
    });
    let none = || "–".to_owned();
    let vanished = comparison
        .vanished
        .iter()
        .map(|gone| vec![gone.metric.clone(), gone.shown.clone(), none(), none(), none(), "WORSE".to_owned()]);
    let rows: Vec<Vec<String>> = compared.chain(vanished).collect();
    let caption = format!(
        "Against the run of {since}. Worse is more than {} % and more than the figure wavers from slice to slice.",
        comparison.bound_percent
    );
    let figures = table(&caption, &["figure", "before", "now", "worse by", "noise", ""], &rows);
    let remarks: String = comparison.remarks.iter().map(|remark| paragraph(&format!("Note: {remark}."))).collect();
    section("Baseline", &format!("{figures}{remarks}"))
}

pub(super) fn latencies(run: &Report) -> String {
    let (latency, service) = (&run.latency, &run.service);
    let rows = [
        ("wins", latency.wins),
        ("wins, one request", service.wins),
        ("sold out", latency.sold_out),
        ("sold out, one request", service.sold_out),
        ("refusals", latency.refusals),
        ("errors", latency.errors),
    ];
    let row = |(name, latency): &(&str, Latency)| {
        let points = [latency.p50_us, latency.p95_us, latency.p99_us, latency.p999_us, latency.max_us].map(micros);
        [(*name).to_owned(), grouped(latency.count)].into_iter().chain(points).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().filter(|(_, latency)| latency.count > 0).map(row).collect();
    let headings = ["answers", "count", "p50", "p95", "p99", "p99.9", "slowest"];
    section("Latency in figures", &table("From the intended start; one request: from its first byte", &headings, &rows))
}

pub(super) fn fairness(run: &Report) -> String {
    let (all, users) = (&run.fairness.overall, &run.fairness.concentration);
    if all.winners == 0 {
        return String::new();
    }
    let percent = |share: f64| format!("{:.3} %", share * 100.0);
    let mut inner = pairs(&[
        ("Pairs of winners decided in the wrong order", percent(all.inversion_rate)),
        (
            "Later winners who went before one (p99, most)",
            format!("{}, {}", grouped(all.p99_skip), grouped(all.max_skip)),
        ),
        ("Everybody was decided in order beyond", micros(all.epsilon_us)),
        (
            "Losers who had come before a winner",
            format!("{} ({})", grouped(all.earlier_losers), percent(all.earlier_loser_share)),
        ),
        ("Nobody lost who had come before a winner by more than", micros(all.loser_epsilon_us)),
        ("Users who won, of those who asked", format!("{} of {}", grouped(users.winners), grouped(users.users))),
        ("Most units of one user", grouped(users.max_per_user)),
        ("Share of the units that the 1 % of all users with the most have", percent(users.top_1_percent_share)),
    ]);
    if run.fairness.by_sku.len() > 1 {
        let rows: Vec<Vec<String>> = run
            .fairness
            .by_sku
            .iter()
            .map(|sku| {
                let figures = &sku.figures;
                let counts = [grouped(figures.winners), grouped(figures.losers), percent(figures.inversion_rate)];
                std::iter::once(sku.sku_id.to_string()).chain(counts).chain([micros(figures.epsilon_us)]).collect()
            })
            .collect();
        inner += &table("By SKU", &["SKU", "winners", "losers", "wrong order", "in order beyond"], &rows);
    }
    section("Fairness: was first come first served?", &inner)
}

pub(super) fn buyers(run: &Report) -> String {
    let rows: Vec<Vec<String>> = run
        .outcomes
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| vec![name.clone(), grouped(*count)])
        .collect();
    let (buyers, keys) = (&run.behaviour, &run.replays);
    let beyond = if run.pacing == Pacing::Open { run.arrivals.started.saturating_sub(run.arrivals.begun) } else { 0 };
    let list = [
        ("Purchases begun beyond the schedule", grouped(beyond)),
        ("Retries", grouped(buyers.retries)),
        ("Purchases given up without a clear answer", grouped(buyers.given_up)),
        (
            "Second attempts (won)",
            format!("{} ({})", grouped(buyers.second_attempts), grouped(buyers.second_attempts_won)),
        ),
        ("Paid", settled(&buyers.paid)),
        ("Cancelled", settled(&buyers.cancelled)),
        (
            "Wins asked for once more: same answer, another answer, unclear",
            format!("{}, {}, {}", grouped(keys.same), grouped(keys.conflicting), grouped(keys.unclear)),
        ),
        ("Outcome still unknown", grouped(run.doubts_open)),
        ("Bots: purchases, wins", format!("{}, {}", grouped(buyers.bot_purchases), grouped(buyers.bot_wins))),
    ];
    section("Answers and buyers", &(table("Requests by how they ended", &["answer", "count"], &rows) + &pairs(&list)))
}

pub(super) fn origin(run: &Report) -> String {
    let host = &run.host;
    let versions: Vec<String> = host.servers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let memory_gib = host.memory_bytes as f64 / f64::from(1 << 30);
    let list = pairs(&[
        ("Command", host.command_line.clone()),
        ("Target", run.target.clone()),
        ("Seed", run.seed.to_string()),
        ("Machine", format!("{} · {} cores · {memory_gib:.1} GiB · {}", host.cpu, host.cores, host.kernel)),
        ("Load of the machine at the start", format!("{:.2}", host.load_1m)),
        ("Versions", versions.join(" · ")),
        ("Generator", host.generator.clone()),
    ]);
    element("footer", &section("Where this comes from", &list))
}
