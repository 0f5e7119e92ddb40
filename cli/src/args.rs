//! The command line: one variant per command, each with its own file under `commands/`.

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    chaos::ChaosArgs, compare::CompareArgs, daemon::DaemonArgs, demo::DemoArgs, dlq::DlqArgs, doctor::DoctorArgs,
    loadtest::LoadtestArgs, manual::CompletionsArgs, manual::ManArgs, payments::PaymentsArgs, rebuild::RebuildArgs,
    reconcile::ReconcileArgs, sale::SaleArgs, setup::SetupArgs, sku::SkuArgs, status::StatusArgs, top::TopArgs,
    up::UpArgs, why::WhyArgs,
};

const EXAMPLES: &str = "\
Examples:
  flashctl demo                        a whole sale on this machine, and its verdict
  flashctl up                          the whole system in the foreground, until Ctrl-C
  flashctl up --data ./site            the same, and keep the data
  flashctl up --kafka apache           with Apache Kafka as the broker
  flashctl up -o json                  one line on stdout when ready: addresses and environment
  flashctl setup --sku 1=1000@49.00    tables, topics, and 1,000 tickets on sale
  flashctl sku list                    what is on sale, with its stock
  flashctl sale pause --all --why \"payment provider is down\"
  flashctl status                      is everything well, part by part
  flashctl top                         the whole sale on one screen
  flashctl daemon list                 which daemons run, and how they are
  flashctl loadtest --stage 30s:500    virtual buyers, and whether all they were told is true
  flashctl compare                     what one would write first, against flashd
  flashctl rebuild --dry-run           what filling Redis anew would mean
  flashctl payments --refund-pending   money that has to be given back
  flashctl reconcile                   whether Redis, log and MySQL agree, while it sells
  flashctl dlq list                    events that could not be applied
  flashctl why 383006771100254208      what happened to one ticket, and why
  flashctl doctor                      is everything as it must be, and what would be lost when
  flashctl chaos --runs 3              break everything while it sells, and judge
  flashctl man ./man                   manual pages; completions: flashctl completions bash";

/// Operate a flash sale.
#[derive(Debug, Parser)]
#[command(name = "flashctl", version, before_help = EXAMPLES)]
#[command(after_help = "Exit codes: 0 ok · 1 failed · 2 usage · 3 finished but found something · \
    4 a dependency is unreachable · 130 interrupted")]
pub(crate) struct Cli {
    /// How the answer is printed on stdout.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// When to use colour (NO_COLOR is respected).
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands, in the order in which an operator meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(UpArgs),
    Demo(DemoArgs),
    Setup(SetupArgs),
    Sku(SkuArgs),
    Sale(SaleArgs),
    Status(StatusArgs),
    Top(Box<TopArgs>),
    Daemon(DaemonArgs),
    Loadtest(Box<LoadtestArgs>),
    Compare(CompareArgs),
    Rebuild(RebuildArgs),
    Payments(PaymentsArgs),
    Reconcile(ReconcileArgs),
    Dlq(DlqArgs),
    Why(WhyArgs),
    Doctor(DoctorArgs),
    Chaos(ChaosArgs),
    Man(ManArgs),
    Completions(CompletionsArgs),
}

/// Form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_leads_with_examples() {
        check_help(&mut Cli::command());
    }

    fn check_help(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        assert!(help.starts_with("Examples:"), "{}: {help}", command.get_name());
        // `help` shows the help of the others.
        command.get_subcommands_mut().filter(|inner| inner.get_name() != "help").for_each(check_help);
    }

    #[test]
    fn help_is_a_command_too() {
        let asked = |words: &[&str]| Cli::try_parse_from(words).expect_err("help is shown").to_string();
        assert_eq!(asked(&["flashctl", "help", "sale", "pause"]), asked(&["flashctl", "sale", "pause", "--help"]));
    }
}
