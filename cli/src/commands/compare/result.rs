//! What a comparison found: the versioned document that `-o json` and `--report` give.

use std::{collections::BTreeMap, path::Path};

use flash_loadgen::{Host, Pacing};
use serde::{Deserialize, Serialize};

use super::{
    contest::{Contest, Contestant, Turn},
    figures::Figures,
    title,
};
use crate::{commands::loadtest, exit::Exit, report::Failure, site::config_of, verdict::Places};

/// Version of the document.
pub(crate) const COMPARE_VERSION: u32 = 1;

/// The whole result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompareReport {
    /// [`COMPARE_VERSION`].
    pub(crate) version: u32,
    /// Who decides when a purchase begins.
    pub(crate) pacing: Pacing,
    /// The schedule in words; the same for every server.
    pub(crate) schedule: String,
    /// Connections of an open loop; the same for every server.
    pub(crate) connections: u64,
    /// Seed of users, keys and times; the same for every server.
    pub(crate) seed: u64,
    /// Units for sale.
    pub(crate) tickets: u64,
    /// It was ended before every server had its turn.
    pub(crate) ended_early: bool,
    /// Why, if a turn could not be played to its end; `null` if somebody asked for the end, or there was none before its time.
    #[serde(default)]
    pub(crate) failure: Option<String>,
    /// Turns whose generator fell behind its own schedule: their speed may not be believed.
    pub(crate) invalid_turns: u64,
    /// On what it ran.
    pub(crate) host: Host,
    /// Every turn, in the order in which they came.
    pub(crate) turns: Vec<Turn>,
}

/// A server's figures against the first naive server's: quotients, `null` where there is nothing to divide.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Relative {
    pub(crate) accepted: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl CompareReport {
    /// An empty one about this contest.
    pub(super) async fn new(contest: &Contest, seed: u64) -> Result<Self, Failure> {
        let plan = &contest.plan;
        let places = Places::of(&config_of(&contest.site.env_map())?);
        let mut servers: BTreeMap<String, String> = loadtest::servers(Some(&places)).await;
        servers.extend(contest.site.env_map().remove("FLASH_BROKER").map(|broker| ("broker".to_owned(), broker)));
        let host = Host { servers, command_line: loadtest::command_line(), ..Host::look() };
        let words: Vec<String> = plan.stages_in_words().into_iter().map(|(_, words)| words).collect();
        let schedule = plan.open.as_ref().map_or_else(|| words.join(", then "), |open| open.schedule.words());
        Ok(Self {
            version: COMPARE_VERSION,
            pacing: plan.pacing(),
            schedule,
            connections: plan.open.as_ref().map_or(0, |open| u64::from(open.connections)),
            seed,
            tickets: u64::from(contest.tickets),
            ended_early: false,
            failure: None,
            invalid_turns: 0,
            host,
            turns: Vec::new(),
        })
    }

    /// One more turn.
    pub(super) fn add(&mut self, turn: Turn) {
        self.ended_early |= turn.stopped;
        self.invalid_turns += u64::from(turn.figures.invalid);
        self.turns.push(turn);
    }

    /// No more turns: this one could not be played to its end.
    pub(super) fn fail(&mut self, server: Contestant, round: u8, failure: &Failure) {
        self.ended_early = true;
        self.failure = Some(format!("round {round}, {}: {}", title(server), failure.reason()));
    }

    /// A server's turns.
    pub(crate) fn of(&self, server: Contestant) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.server == server)
    }

    /// What the table shows of a server: the round with the median rate – of those that are valid, if there are any – but the
    /// worst of all rounds where a promise is at stake, and what is to be said about any of them. `None` if it had no turn.
    pub(crate) fn shown(&self, server: Contestant) -> Option<Figures> {
        let all: Vec<&Figures> = self.of(server).map(|turn| &turn.figures).collect();
        let some_are_valid = all.iter().any(|figures| !figures.invalid);
        let mut usable: Vec<&Figures> =
            all.iter().filter(|figures| !(some_are_valid && figures.invalid)).copied().collect();
        usable.sort_by(|a, b| a.accepted_per_s.total_cmp(&b.accepted_per_s));
        let worst = |of: fn(&Figures) -> u64| all.iter().map(|figures| of(figures)).max().unwrap_or(0);
        let mut shown = (*usable.get(usable.len().checked_sub(1)? / 2)?).clone();
        (shown.oversold, shown.lost) = (worst(|figures| figures.oversold), worst(|figures| figures.lost));
        shown.invalid = !some_are_valid;
        shown.remarks = self.remarks(server);
        Some(shown)
    }

    /// Remarks about all turns of a server, with their rounds if there are several.
    fn remarks(&self, server: Contestant) -> Vec<String> {
        let is_one = self.of(server).count() == 1;
        let of_turn = |turn: &Turn| {
            let round = if is_one { String::new() } else { format!("round {}: ", turn.round) };
            turn.figures.remarks.iter().map(|remark| format!("{round}{remark}")).collect::<Vec<_>>()
        };
        self.of(server).flat_map(of_turn).collect()
    }

    /// The same against the first naive server.
    pub(crate) fn relative(&self, figures: &Figures) -> Relative {
        let Some(first) = self.shown(Contestant::Mysql) else { return Relative::default() };
        let quotient = |this: f64, that: f64| (this > 0.0 && that > 0.0).then(|| this / that);
        let latency = |this: u64, that: u64| quotient(this as f64, that as f64);
        Relative {
            accepted: quotient(figures.accepted_per_s, first.accepted_per_s),
            p50: latency(figures.win.p50_us, first.win.p50_us),
            p95: latency(figures.win.p95_us, first.win.p95_us),
            p99: latency(figures.win.p99_us, first.win.p99_us),
        }
    }

    /// Turns of flashd.
    pub(crate) fn of_flashd(&self) -> impl Iterator<Item = &Figures> {
        self.of(Contestant::Flashd).map(|turn| &turn.figures)
    }

    /// A naive server may do what it does. flashd may not; and what could not be judged is no success. Invalid turns change
    /// nothing here: what was told is judged all the same, only the speed is unknown.
    pub(crate) fn exit(&self) -> Exit {
        if self.of_flashd().any(|figures| !figures.broken.is_empty()) {
            Exit::Found
        } else if self.failure.is_some() {
            Exit::Failed
        } else if self.ended_early {
            Exit::Interrupted
        } else if self.of_flashd().any(|figures| figures.clean != Some(true)) {
            Exit::Failed
        } else {
            Exit::Ok
        }
    }

    /// Writes the document to a file, readable by people too.
    pub(super) fn save(&self, path: &Path) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(self).map_err(Failure::from_error)?;
        let told = |error| anyhow::Error::new(error).context(format!("writing {}", path.display()));
        std::fs::write(path, json + "\n").map_err(told).map_err(Failure::from_error)
    }
}
