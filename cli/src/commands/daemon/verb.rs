//! What a daemon can be told to do: planning it, and sending it.

use crate::{
    exit::Exit,
    http,
    live::{Sample, Told},
    plain::harmless,
};
use flash_core::stats::Stats;
use serde_json::{Value, json};

/// What daemons take: the longest reason of a pause in characters, and a log filter.
const REASON_MAX: usize = 200;
const FILTER_MAX_BYTES: usize = 500;
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verb {
    Pause { why: String },
    Resume,
    Drain { exit: bool },
    LogFilter { filter: String },
}

impl Verb {
    /// Its name on the command line.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Drain { .. } => "drain",
            Self::LogFilter { .. } => "log-filter",
        }
    }

    /// Why every daemon would refuse it: a plan must not promise what is then refused.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Pause { why } => {
                let fits = (1..=REASON_MAX).contains(&why.trim().chars().count()) && !why.chars().any(char::is_control);
                let words = format!("--why: must be 1 to {REASON_MAX} characters without control characters");
                if fits { Ok(()) } else { Err(words) }
            }
            Self::LogFilter { filter } => check_filter(filter),
            Self::Resume | Self::Drain { .. } => Ok(()),
        }
    }

    /// What it means for a daemon, in words.
    pub(super) fn means(&self) -> String {
        let means = match self {
            Self::Pause { why } => format!("sells nothing until it is resumed: {why}"),
            Self::Resume => "is in service again".to_owned(),
            Self::Drain { exit: false } => "takes no more purchases, and is not ready until it is resumed".to_owned(),
            Self::Drain { exit: true } => "takes no more purchases, finishes what it has, and ends".to_owned(),
            Self::LogFilter { filter } => format!("logs {filter} until it ends"),
        };
        harmless(&means)
    }

    /// Method, path and body.
    fn request(&self) -> (&'static str, &'static str, Option<Value>) {
        match self {
            Self::Pause { why } => ("POST", "/control/pause", Some(json!({ "reason": why }))),
            Self::Resume => ("POST", "/control/resume", None),
            Self::Drain { exit: false } => ("POST", "/control/drain", None),
            Self::Drain { exit: true } => ("POST", "/control/drain?exit=true", None),
            Self::LogFilter { filter } => ("PUT", "/control/log-filter", Some(json!({ "filter": filter }))),
        }
    }
}

/// As a daemon reads it: a misspelled level would be taken for the name of a module.
fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() || filter.len() > FILTER_MAX_BYTES {
        return Err(format!("FILTER: must have 1 to {FILTER_MAX_BYTES} characters, like info or info,flashd=debug"));
    }
    for part in filter.split(',').map(str::trim) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level.trim());
        if !LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)) {
            return Err(format!(
                "FILTER: `{}` must be a level or MODULE=LEVEL; levels are {}",
                harmless(part),
                LEVELS.join(", ")
            ));
        }
    }
    Ok(())
}

/// Hosts to which the token would be sent though nobody here named them: a row in MySQL is no reason to trust a machine.
pub(super) fn strangers(plan: &[Step], trusted: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for step in plan.iter().filter(|step| step.about.is_ok()) {
        let host = http::address_of(&step.url).map(|address| http::host_of(&address)).unwrap_or_default();
        if !http::is_loopback(&host) && !trusted.contains(&host) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// A daemon, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) url: String,
    /// Who it is, in words; or why it is left out.
    pub(super) about: Result<String, LeftOut>,
}

/// Why a daemon is not told anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// It does not answer.
    Silent(String),
    /// It means nothing to it.
    Idle(&'static str),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) url: String,
    pub(super) result: Result<(), NotDone>,
}

/// Why a daemon did not do it.
#[derive(Debug)]
pub(super) enum NotDone {
    /// It was not told.
    LeftOut(LeftOut),
    /// It did not answer; it may have done it.
    Silent(String),
    /// It said no.
    Refused(String),
}

/// Who is told, and who is left out.
pub(super) fn plan(verb: &Verb, sample: &Sample) -> Vec<Step> {
    let about = |told: &Told| match told {
        Told::Failed(why) => Err(LeftOut::Silent(why.clone())),
        Told::Stats(stats) if matches!(verb, Verb::Pause { .. }) && stats.api.is_none() => {
            Err(LeftOut::Idle("a worker sells nothing"))
        }
        Told::Stats(stats) => Ok(describe(stats)),
    };
    sample.daemons.iter().map(|seen| Step { url: seen.url.clone(), about: about(&seen.told) }).collect()
}

/// Role, node and standing in a few words.
pub(super) fn describe(stats: &Stats) -> String {
    let node = stats.node.map_or_else(String::new, |node| format!(" node {node}"));
    format!("{}{node}, {}", harmless(&stats.role), super::standing::standing(stats))
}

/// Tells them, one after the other.
pub(super) async fn run(verb: &Verb, plan: Vec<Step>, token: &str) -> Vec<Done> {
    let mut all = Vec::with_capacity(plan.len());
    for step in plan {
        let result = match step.about {
            Ok(_) => send(verb, &step.url, token).await,
            Err(left_out) => Err(NotDone::LeftOut(left_out)),
        };
        all.push(Done { url: step.url, result });
    }
    all
}

async fn send(verb: &Verb, url: &str, token: &str) -> Result<(), NotDone> {
    let address = http::address_of(url).map_err(NotDone::Refused)?;
    let (method, path, body) = verb.request();
    let body = body.map(|body| body.to_string());
    match http::send(&address, method, path, token, body.as_deref()).await {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(NotDone::Refused(reason(status, &body))),
        Err(error) => Err(NotDone::Silent(error)),
    }
}

/// A problem in its own words.
fn reason(status: u16, body: &str) -> String {
    let message = serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body["message"].as_str()?.to_owned()));
    match (status, message) {
        (401, _) => "it has another admin token".to_owned(),
        (_, Some(message)) => message,
        (status, None) => format!("HTTP {status}"),
    }
}

/// Refused beats silent beats done.
pub(super) fn exit(done: &[Done]) -> Exit {
    let any = |wanted: fn(&NotDone) -> bool| done.iter().any(|one| one.result.as_ref().err().is_some_and(wanted));
    if any(|why| matches!(why, NotDone::Refused(_))) {
        Exit::Failed
    } else if any(|why| matches!(why, NotDone::Silent(_) | NotDone::LeftOut(LeftOut::Silent(_)))) {
        Exit::Unreachable
    } else {
        Exit::Ok
    }
}

#[cfg(test)]
mod tests {
    use flash_core::stats::Api;

    use super::*;
    use crate::live::Seen;

    fn sample() -> Sample {
        let seen = |url: &str, told| Seen { url: url.to_owned(), took_ms: 1, told };
        let sells =
            Stats { role: "all".into(), node: Some(3), ready: true, api: Some(Api::default()), ..Stats::default() };
        let works = Stats { role: "worker".into(), ready: true, ..Stats::default() };
        let daemons = vec![
            seen("a", Told::Stats(Box::new(sells))),
            seen("b", Told::Stats(Box::new(works))),
            seen("c", Told::Failed("refused".into())),
        ];
        Sample { at_ms: 1, daemons }
    }

    #[test]
    fn who_cannot_is_left_out() {
        let about = |verb| plan(&verb, &sample()).into_iter().map(|step| step.about).collect::<Vec<_>>();
        let silent = || Err(LeftOut::Silent("refused".to_owned()));
        let idle = Err(LeftOut::Idle("a worker sells nothing"));
        assert_eq!(about(Verb::Pause { why: "x".into() }), [Ok("all node 3, ready".to_owned()), idle, silent()]);
        let both = [Ok("all node 3, ready".to_owned()), Ok("worker, ready".to_owned()), silent()];
        assert_eq!(about(Verb::Drain { exit: false }), both);
    }

    #[test]
    fn what_would_be_refused_is_not_planned_and_a_plan_commands_no_terminal() {
        let pause = |why: &str| Verb::Pause { why: why.to_owned() };
        let filter = |filter: &str| Verb::LogFilter { filter: filter.to_owned() };
        for good in
            [pause("clock"), pause(&"ä".repeat(200)), filter("info"), filter("INFO, flashd::lane=debug"), Verb::Resume]
        {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for bad in [
            pause(""),
            pause(" "),
            pause(&"ä".repeat(201)),
            pause("a\u{1b}[2J"),
            filter(""),
            filter("debgu"),
            filter("a=b"),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert_eq!(pause("a\u{1b}[2J").means(), "sells nothing until it is resumed: a\\u{1b}[2J");
        let stats = Stats { role: "all\u{1b}[2J".into(), ready: true, ..Stats::default() };
        assert_eq!(describe(&stats), "all\\u{1b}[2J, ready");
    }

    #[test]
    fn the_token_goes_to_this_machine_and_to_hosts_that_were_named() {
        let step = |url: &str, about| Step { url: url.to_owned(), about };
        let told = || Ok("all, ready".to_owned());
        let plan = [
            step("http://127.0.0.1:1", told()),
            step("http://[::1]:1", told()),
            step("http://localhost:1", told()),
            step("http://10.0.0.7:1", told()),
            step("http://10.0.0.7:2", told()),
            step("http://shop.example:1", told()),
            step("http://127.0.0.1.example:1", told()),
            step("http://10.0.0.9:1", Err(LeftOut::Silent("away".into()))),
        ];
        assert_eq!(strangers(&plan, &[]), ["10.0.0.7", "shop.example", "127.0.0.1.example"]);
        let named = ["10.0.0.7".to_owned(), "127.0.0.1.example".to_owned()];
        assert_eq!(strangers(&plan, &named), ["shop.example"]);
    }

    #[test]
    fn the_worst_decides_the_exit_code() {
        let done = |results: Vec<Result<(), NotDone>>| {
            exit(&results.into_iter().map(|result| Done { url: String::new(), result }).collect::<Vec<_>>())
        };
        let idle = || Err(NotDone::LeftOut(LeftOut::Idle("x")));
        let gone = || Err(NotDone::LeftOut(LeftOut::Silent("x".into())));
        assert_eq!(done(vec![Ok(()), idle()]), Exit::Ok);
        assert_eq!(done(vec![Ok(()), gone()]), Exit::Unreachable);
        assert_eq!(done(vec![gone(), Err(NotDone::Refused("no".into()))]), Exit::Failed);
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words() {
        assert_eq!(reason(403, r#"{"message":"No admin token is set."}"#), "No admin token is set.");
        assert_eq!(reason(401, "{}"), "it has another admin token");
        assert_eq!(reason(500, "oops"), "HTTP 500");
    }
}
