//! `flashctl dlq replay`: shows what will be replayed, asks, does it letter by letter.

use clap::Args;
use flash_stores::mysql::author::Author;
use flashd::dead_letters::{Desk, Letter, LetterStatus, Origin, Outcome};
use serde_json::{Value, json};

use super::{
    OriginArg, desk, explain, find,
    plan::{self, Step},
    progress::Progress,
    view,
};
use crate::{
    args::Output, ask::Consent, exit::Exit, interrupt::Interrupt, operator, plain::harmless, report::Failure,
    servers::ServerArgs, terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl dlq replay 3/1207                       one letter, after its cause was repaired
  flashctl dlq replay --all --dry-run              what would be replayed
  flashctl dlq replay --all --yes --why 'INC-7'    without asking
  flashctl dlq replay 3/1207 --force               also if it was dropped, or failed too often";

/// Apply dead letters to MySQL, at the place in the log they came from.
///
/// A letter that still cannot be applied stays waiting and has used one of its five attempts. One that was decided before
/// stock was filled anew, by a Redis that was accounted for, counts; one that stood behind a newer fence is recorded as
/// void. Replaying a letter again changes nothing. Exit code 1 if any letter could not be applied.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// The letters: PARTITION/OFFSET of order-events, or TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ORIGIN", required_unless_present = "all", conflicts_with = "all")]
    origins: Vec<OriginArg>,
    /// All letters that wait.
    #[arg(long)]
    all: bool,
    /// Also letters that were dropped, or have no attempts left.
    #[arg(long)]
    force: bool,
    /// Who replays. Unless given, $USER@host.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "replay")]
    why: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    servers: ServerArgs,
}

/// What became of the letters that were tried or left alone.
#[derive(Default)]
struct Results(Vec<(Origin, Outcome)>);

/// The command: look, show, ask, do.
pub(super) async fn command(args: ReplayArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let by = operator::author(args.who, &args.why)?;
    let desk = desk(&args.servers)?;
    let letters = if args.all { waiting(&desk, terminal).await? } else { find(&desk, &args.origins).await? };
    let plan = plan::replay(letters, &desk.events_topic(), args.force);
    let text = terminal.output() == Output::Text;
    if text {
        plan::print(&plan, "replay", terminal)?;
    }
    let wanted = plan::size(&plan);
    if wanted > 0 && !args.consent.dry_run && !args.consent.given(terminal, "flashctl dlq replay --yes …").await? {
        terminal.talk("nothing was changed");
        return Ok(Exit::Failed);
    }
    let mut results = Results::default();
    let interrupted = !args.consent.dry_run && run(&desk, &plan, &by, args.force, terminal, &mut results).await?;
    if text {
        results.tell(&plan, args.consent.dry_run, terminal)?;
    } else {
        terminal.answer(&results.json(&plan, args.consent.dry_run).to_string())?;
    }
    let skipped = !args.all && wanted < plan.len();
    Ok(if interrupted { Exit::Interrupted } else { results.exit(skipped && !args.consent.dry_run) })
}

async fn waiting(desk: &Desk, terminal: &Terminal) -> Result<Vec<Letter>, Failure> {
    let shelf = desk.letters(|_, status| status == LetterStatus::Waiting).await.map_err(explain)?;
    if shelf.left_out > 0 {
        terminal.talk(&format!("{} more letters wait behind these; replay again afterwards", shelf.left_out));
    }
    Ok(shelf.letters)
}

/// Replays letter by letter, in log order; true if a signal stopped it. What was replayed by then stays replayed.
async fn run(
    desk: &Desk,
    plan: &[Step],
    by: &Author,
    force: bool,
    terminal: &Terminal,
    results: &mut Results,
) -> Result<bool, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut progress = Progress::new(*terminal, plan::size(plan));
    for Step { letter, .. } in plan.iter().filter(|step| step.skipped.is_none()) {
        let outcome = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(true),
            outcome = desk.replay(letter, by, force) => outcome,
        };
        match outcome {
            Ok(outcome) => results.0.push((letter.origin(), outcome)),
            Err(error) => {
                drop(progress);
                terminal.talk(&format!("{} of {} letters were tried before this", results.0.len(), plan::size(plan)));
                return Err(explain(error));
            }
        }
        progress.step();
    }
    Ok(false)
}

impl Results {
    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.0.iter().filter(|(_, outcome)| which(outcome)).count()
    }

    fn tell(&self, plan: &[Step], dry_run: bool, terminal: &Terminal) -> Result<(), Failure> {
        let (wanted, skipped) = (plan::size(plan), plan.len() - plan::size(plan));
        if dry_run {
            return terminal.answer(&format!("dry run: {wanted} to replay, {skipped} skipped; nothing was done"));
        }
        for (origin, outcome) in &self.0 {
            let (word, detail) = match outcome {
                Outcome::Applied { .. } => continue,
                Outcome::Void => ("void", "behind a newer fence; nobody was told of it".to_owned()),
                Outcome::Failed(error) => ("failed", error.clone()),
                Outcome::Refused(refused) => ("refused", refused.to_string()),
            };
            terminal.answer(&format!("{word:<7}  {}  {}", harmless(&origin.to_string()), harmless(&detail)))?;
        }
        let refilled = self.count(|outcome| matches!(outcome, Outcome::Applied { refilled_since: true }));
        if refilled > 0 {
            terminal.talk(&format!(
                "Redis has been filled since without {refilled} of these events: it may sell their units again until it is \
                 reconciled"
            ));
        }
        let [applied, void, failed, refused] = self.counts();
        terminal.answer(&format!(
            "done: {applied} applied, {void} void, {failed} failed, {refused} refused, {skipped} skipped"
        ))
    }

    fn counts(&self) -> [usize; 4] {
        [
            self.count(|outcome| matches!(outcome, Outcome::Applied { .. })),
            self.count(|outcome| matches!(outcome, Outcome::Void)),
            self.count(|outcome| matches!(outcome, Outcome::Failed(_))),
            self.count(|outcome| matches!(outcome, Outcome::Refused(_))),
        ]
    }

    fn json(&self, plan: &[Step], dry_run: bool) -> Value {
        let [applied, void, failed, refused] = self.counts();
        let skipped = |step: &Step| {
            let reason = step.skipped.as_ref()?;
            Some(json!({ "origin": step.letter.origin().to_string(), "reason": reason }))
        };
        json!({
            "version": view::VERSION,
            "dryRun": dry_run,
            "toReplay": plan::size(plan),
            "applied": applied,
            "void": void,
            "failed": failed,
            "refused": refused,
            "skipped": plan.iter().filter_map(skipped).collect::<Vec<_>>(),
            "letters": self.0.iter().map(one).collect::<Vec<_>>(),
        })
    }

    /// Whether everything that was asked for was done.
    fn exit(&self, skipped: bool) -> Exit {
        let [_, _, failed, refused] = self.counts();
        if failed + refused > 0 || skipped { Exit::Failed } else { Exit::Ok }
    }
}

fn one((origin, outcome): &(Origin, Outcome)) -> Value {
    let origin = origin.to_string();
    match outcome {
        Outcome::Applied { refilled_since } => {
            json!({ "origin": origin, "outcome": "applied", "refilledSince": refilled_since })
        }
        Outcome::Void => json!({ "origin": origin, "outcome": "void" }),
        Outcome::Failed(error) => json!({ "origin": origin, "outcome": "failed", "error": error }),
        Outcome::Refused(refused) => json!({ "origin": origin, "outcome": "refused", "error": refused.to_string() }),
    }
}
