//! The terminal: answers on stdout, talk on stderr, colour where it is wanted.
//!
//! Neither `print!` nor `eprint!` is used anywhere in flashctl: they panic when the reader has gone away
//! (`flashctl … | head -1`). A closed stdout ends the command with exit code 0, a closed stderr is ignored.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use crate::{
    args::{Color, Output},
    report::Failure,
};

/// How to talk to whoever started us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    output: Output,
    color: Color,
    colored_talk: bool,
}

impl Terminal {
    pub(crate) fn new(output: Output, color: Color) -> Self {
        let colored_talk = match color {
            Color::Always => true,
            Color::Never => false,
            // Set to anything but nothing, NO_COLOR means no colour: https://no-color.org
            Color::Auto => {
                let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
                io::stderr().is_terminal() && !refused && !dumb
            }
        };
        Terminal { output, color, colored_talk }
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// When to colour, as it was asked for.
    pub(crate) fn color(&self) -> Color {
        self.color
    }

    /// Whether talk may have colours.
    pub(crate) fn is_colored(&self) -> bool {
        self.colored_talk
    }

    /// One line of the answer, on stdout.
    pub(crate) fn answer(&self, line: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::closed_pipe()),
            Err(error) => Err(Failure::from_error(anyhow::Error::new(error).context("writing the answer"))),
        }
    }

    /// One line of talk, on stderr. Whether anybody listens does not matter.
    pub(crate) fn talk(&self, line: &str) {
        _ = writeln!(io::stderr().lock(), "{line}");
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.paint("1;32", text)
    }

    pub(crate) fn cyan(&self, text: &str) -> String {
        self.paint("36", text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// `sgr` is the parameter of the escape sequence, such as `1;31`.
    pub(crate) fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colored_talk { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_flag() {
        let text = |color| Terminal::new(Output::Text, color).red("x");
        assert_eq!(text(Color::Never), "x");
        assert_eq!(text(Color::Always), "\x1b[1;31mx\x1b[0m");
    }
}
