//! How a failure is told: `error:` one line, `cause:` the chain, `hint:` the exact next command – or one line of
//! JSON. Always on stderr, and once.

use flash_stack::StackError;

use crate::{args::Output, exit::Exit, terminal::Terminal};

/// Why a command did not succeed, and with which code it ends.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// `None`: there is nothing to tell, as for a closed pipe.
    error: Option<anyhow::Error>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Failure { exit, error: Some(error.into()), hint: None }
    }

    /// A plain failure out of any error; for `map_err`.
    pub(crate) fn from_error(error: impl Into<anyhow::Error>) -> Self {
        Failure::new(Exit::Failed, error)
    }

    /// A plain failure with its own words.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Failure::new(Exit::Failed, anyhow::Error::msg(text.into()))
    }

    /// The reader of our answer went away: no error, and nothing left to say.
    pub(crate) fn closed_pipe() -> Self {
        Failure { exit: Exit::Ok, error: None, hint: None }
    }

    /// Adds the exact next command to type.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong, from the outcome to its cause, for a document that says why it is incomplete.
    pub(crate) fn reason(&self) -> String {
        self.error.as_ref().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    /// Tells it, and gives the exit code.
    pub(crate) fn report(&self, terminal: &Terminal) -> Exit {
        if let Some(error) = &self.error {
            match terminal.output() {
                Output::Text => self.report_text(error, terminal),
                Output::Json => terminal.talk(&self.to_json(error)),
            }
        }
        self.exit
    }

    fn report_text(&self, error: &anyhow::Error, terminal: &Terminal) {
        terminal.talk(&format!("{} {error}", terminal.red("error:")));
        for cause in error.chain().skip(1) {
            terminal.talk(&format!("{} {cause}", terminal.red("cause:")));
        }
        if let Some(hint) = &self.hint {
            terminal.talk(&format!("{} {hint}", terminal.cyan("hint:")));
        }
    }

    fn to_json(&self, error: &anyhow::Error) -> String {
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        serde_json::json!({
            "error": error.to_string(),
            "causes": causes,
            "hint": self.hint,
            "exit": self.exit.code(),
        })
        .to_string()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::from_error(error)
    }
}

impl From<StackError> for Failure {
    fn from(error: StackError) -> Self {
        let (exit, hint) = match &error {
            StackError::Missing { .. } => (Exit::Failed, Some("make tools")),
            StackError::Unreachable { .. } => (Exit::Unreachable, None),
            StackError::BadAddress { .. } => (Exit::Usage, None),
            _ => (Exit::Failed, None),
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// How a command ends that found out `exit` and then told it. A reader who went away changes nothing about what was found:
/// `| head -1` turns no breach into a 0. Any other failure to tell it is one.
pub(crate) fn ended(told: Result<(), Failure>, exit: Exit) -> Result<Exit, Failure> {
    match told {
        Err(failure) if failure.error.is_some() => Err(failure),
        _ => Ok(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_leaves_hides_no_finding() {
        assert_eq!(ended(Err(Failure::closed_pipe()), Exit::Found).unwrap(), Exit::Found);
        assert_eq!(ended(Err(Failure::message("a full disk")), Exit::Ok).unwrap_err().exit, Exit::Failed);
    }

    #[test]
    fn an_unreachable_server_is_exit_code_4() {
        let error = StackError::Unreachable { server: "redis".into(), address: "h:1".into(), reason: "refused".into() };
        assert_eq!(Failure::from(error).exit, Exit::Unreachable);
    }

    #[test]
    fn json_is_one_line_with_everything_in_it() {
        let error = anyhow::anyhow!("inner").context("outer");
        let failure = Failure::from(error).hint("do this");
        let line = failure.to_json(failure.error.as_ref().unwrap());
        assert_eq!(line, r#"{"causes":["inner"],"error":"outer","exit":1,"hint":"do this"}"#);
    }
}
