//! `flashctl man` and `flashctl completions`: what a package installs beside the programs, made from the command lines
//! themselves, so that they can not tell of an option that is not there.
//!
//! Never reads or changes anything of a sale.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{args::Cli, exit::Exit, report::Failure, terminal::Terminal};

const MAN_EXAMPLES: &str = "\
Examples:
  flashctl man /usr/local/share/man    man1/flashctl.1, one page per command, and man8/flashd.8
  flashctl man ./man && man -l ./man/man1/flashctl-loadtest.1";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  flashctl completions bash > ~/.local/share/bash-completion/completions/flashctl
  flashctl completions zsh --program flashd > ~/.zfunc/_flashd
  flashctl completions fish | source";

/// Write the manual pages of flashctl, of each of its commands, and of flashd.
///
/// Existing pages of these names are replaced. stdout has the path of each page.
#[derive(Debug, Args)]
#[command(before_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Where: the pages go to its directories man1 and man8, which are made.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Print a shell's completions.
#[derive(Debug, Args)]
#[command(before_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// Whose command line is completed.
    #[arg(long, value_enum, default_value_t = Program::Flashctl)]
    program: Program,
}

/// The programs of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    /// The operator's program.
    Flashctl,
    /// The daemon.
    Flashd,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Flashctl => "flashctl",
            Program::Flashd => "flashd",
        }
    }

    fn command(self) -> Command {
        match self {
            Program::Flashctl => Cli::command(),
            Program::Flashd => flashd::command_line::command(),
        }
    }

    /// Of the manual: 1 is for everybody, 8 for daemons.
    fn section(self) -> &'static str {
        match self {
            Program::Flashctl => "1",
            Program::Flashd => "8",
        }
    }
}

/// A page of the manual: its file's name, such as `flashctl-sku.1`, and its text.
type Page = (String, Vec<u8>);

/// Writes the pages, and tells of them when all are there: who stops listening does not get half a manual.
pub(crate) fn man(args: &ManArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    for path in write(&args.directory)? {
        terminal.answer(&path.display().to_string())?;
    }
    Ok(Exit::Ok)
}

fn write(into: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for program in [Program::Flashctl, Program::Flashd] {
        let directory = into.join(format!("man{}", program.section()));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for (name, text) in pages(program)? {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Prints the completions.
pub(crate) fn completions(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let script = script(args.program, args.shell);
    terminal.answer(script.trim_end())?;
    Ok(Exit::Ok)
}

fn script(program: Program, shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program.command(), program.name(), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn pages(program: Program) -> io::Result<Vec<Page>> {
    let mut command = program.command();
    // Hands the global options down to the commands, and gives these their whole names.
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, program, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, program: Program, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command, program)?);
    command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
        .try_for_each(|inner| add_pages(inner, program, pages))
}

fn page(command: &Command, program: Program) -> io::Result<Page> {
    let usage = command.clone().render_usage().to_string();
    // In the words of --help: a synopsis of forty options is none.
    let man = Man::new(command.clone().override_usage(usage.trim_start_matches("Usage:").trim().to_owned()))
        .section(program.section())
        .source(format!("flash-sale {}", env!("CARGO_PKG_VERSION")))
        .manual("Flash sale");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    examples(command).to_writer(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    closing(command, program).to_writer(&mut text)?;
    Ok((man.get_filename(), text))
}

/// What --help begins with. Lines stay as they are.
fn examples(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let Some(examples) = command.get_before_help() else { return roff };
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples.to_string().lines().filter(|line| *line != "Examples:") {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff
}

/// Exit codes, and where to read on.
fn closing(command: &Command, program: Program) -> Roff {
    let mut roff = Roff::new();
    if let Some(more) = command.get_after_help() {
        roff.control("SH", ["NOTES"]).text([roman(more.to_string())]);
    }
    let see = match program {
        Program::Flashctl if command.get_display_name().is_none_or(|name| name == program.name()) => "flashd(8)",
        Program::Flashctl => "flashctl(1), flashd(8)",
        Program::Flashd => "flashctl(1)",
    };
    roff.control("SH", ["SEE ALSO"]).text([roman(see)]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(program: Program) -> Vec<(String, String)> {
        let pages = pages(program).unwrap();
        pages.into_iter().map(|(name, text)| (name, String::from_utf8(text).unwrap())).collect()
    }

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = all(Program::Flashctl);
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["flashctl.1", "flashctl-loadtest.1", "flashctl-sale-pause.1"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("-help")), "{names:?}");
        for (name, text) in &pages {
            assert!(text.contains(".SH EXAMPLES") && text.contains(".SH SYNOPSIS"), "{name}");
            assert!(text.contains("\\-\\-color"), "{name}: without the global options");
        }
    }

    #[test]
    fn the_page_of_flashd_has_every_setting() {
        let pages = all(Program::Flashd);
        let [(name, text)] = pages.as_slice() else { panic!("{}", pages.len()) };
        assert_eq!(name, "flashd.8");
        for setting in flash_core::settings::SETTINGS {
            let flag = format!("\\-\\-{}", setting.flag.replace('-', "\\-"));
            assert!(text.contains(&flag) && text.contains(setting.env), "{}", setting.name);
        }
    }

    #[test]
    fn completions_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(script(Program::Flashctl, shell).contains("loadtest"), "{shell}");
            assert!(script(Program::Flashd, shell).contains("kafka-message-timeout"), "{shell}");
        }
    }
}
