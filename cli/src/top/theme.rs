//! Colours by meaning. Nothing is told by colour alone: every meaning has a sign or a word of its own, so that the plain theme
//! loses nothing.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

/// A set of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Theme {
    /// For dark terminals.
    Dark,
    /// For light terminals.
    Light,
    /// Blue, orange and white, which eyes that confuse red and green tell apart.
    Colorblind,
    /// No colours: bold, dim and reversed.
    Mono,
}

impl Theme {
    /// What is used if nobody chose: no colour if `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn from_environment() -> Theme {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if refused { Theme::Mono } else { Theme::Dark }
    }

    pub(crate) fn next(self) -> Theme {
        match self {
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::Colorblind,
            Theme::Colorblind => Theme::Mono,
            Theme::Mono => Theme::Dark,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Theme::Dark => "dark",
            Theme::Light => "light",
            Theme::Colorblind => "colorblind",
            Theme::Mono => "mono",
        }
    }

    pub(crate) fn palette(self) -> Palette {
        match self {
            Theme::Dark => Palette::of(&Shades {
                text: 252,
                dim: 245,
                rule: 238,
                accent: 117,
                sold: 67,
                held: 179,
                left: 114,
                won: 114,
                sold_out: 67,
                refused: 176,
                bad: 203,
                warn: 215,
                selected: 236,
            }),
            Theme::Light => Palette::of(&Shades {
                text: 235,
                dim: 242,
                rule: 250,
                accent: 25,
                sold: 67,
                held: 136,
                left: 28,
                won: 28,
                sold_out: 67,
                refused: 96,
                bad: 160,
                warn: 166,
                selected: 254,
            }),
            Theme::Colorblind => Palette::of(&Shades {
                text: 252,
                dim: 245,
                rule: 238,
                accent: 117,
                sold: 25,
                held: 214,
                left: 117,
                won: 117,
                sold_out: 25,
                refused: 183,
                bad: 208,
                warn: 227,
                selected: 236,
            }),
            Theme::Mono => Palette::plain(),
        }
    }
}

/// Colours by their number among the terminal's 256, which every terminal of the last twenty years has.
struct Shades {
    text: u8,
    dim: u8,
    rule: u8,
    accent: u8,
    sold: u8,
    held: u8,
    left: u8,
    won: u8,
    sold_out: u8,
    refused: u8,
    bad: u8,
    warn: u8,
    selected: u8,
}

/// Styles by meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    /// What is read.
    pub(crate) text: Style,
    /// Numbers that matter most.
    pub(crate) strong: Style,
    /// Words around numbers.
    pub(crate) dim: Style,
    /// Lines that divide.
    pub(crate) rule: Style,
    /// Titles and keys.
    pub(crate) accent: Style,
    pub(crate) sold: Style,
    pub(crate) held: Style,
    pub(crate) left: Style,
    pub(crate) won: Style,
    pub(crate) sold_out: Style,
    pub(crate) refused: Style,
    pub(crate) failed: Style,
    pub(crate) good: Style,
    pub(crate) warn: Style,
    pub(crate) bad: Style,
    /// Laid over the row that is selected.
    pub(crate) selected: Style,
}

impl Palette {
    fn of(shades: &Shades) -> Palette {
        let fg = |shade: u8| Style::new().fg(Color::Indexed(shade));
        Palette {
            text: fg(shades.text),
            strong: fg(shades.text).add_modifier(Modifier::BOLD),
            dim: fg(shades.dim),
            rule: fg(shades.rule),
            accent: fg(shades.accent),
            sold: fg(shades.sold),
            held: fg(shades.held),
            left: fg(shades.left),
            won: fg(shades.won),
            sold_out: fg(shades.sold_out),
            refused: fg(shades.refused),
            failed: fg(shades.bad),
            good: fg(shades.left),
            warn: fg(shades.warn).add_modifier(Modifier::BOLD),
            bad: fg(shades.bad).add_modifier(Modifier::BOLD),
            selected: Style::new().bg(Color::Indexed(shades.selected)),
        }
    }

    fn plain() -> Palette {
        let (plain, bold, dim) =
            (Style::new(), Style::new().add_modifier(Modifier::BOLD), Style::new().add_modifier(Modifier::DIM));
        Palette {
            text: plain,
            strong: bold,
            dim,
            rule: dim,
            accent: bold,
            sold: plain,
            held: plain,
            left: plain,
            won: plain,
            sold_out: plain,
            refused: plain,
            failed: bold,
            good: plain,
            warn: bold,
            bad: bold.add_modifier(Modifier::REVERSED),
            selected: Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}
