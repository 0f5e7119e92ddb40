//! A terminal's screen as a picture: `tmux capture-pane -ep | ansi_to_svg COLUMNS TITLE > screen.svg`.
//!
//! Reads lines of text with colours (SGR sequences) and writes an SVG that looks the same wherever it is opened: letters are
//! text in any monospaced font, squeezed into their cells; bars, sparklines and frames are drawn, because fonts leave gaps between
//! them. Every character takes one cell.

use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
    process::ExitCode,
};

/// Size of a cell, in pixels.
const CELL: (f64, f64) = (8.0, 17.0);
const MARGIN: f64 = 12.0;
/// Height of the bar that carries the title.
const BAR: f64 = 30.0;
const PAPER: &str = "#11151c";
const INK: &str = "#d5dae3";
/// The sixteen colours that have names.
const NAMED: [&str; 16] = [
    "#2b303b", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4", "#5c6370", "#ff7b86",
    "#b5e890", "#ffd68a", "#7cc4ff", "#de8cf2", "#6fd3e0", "#ffffff",
];

/// How a character looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    ink: Option<String>,
    paper: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

impl Look {
    fn ink(&self) -> String {
        let (ink, paper) = (self.ink.as_deref().unwrap_or(INK), self.paper.as_deref().unwrap_or(PAPER));
        if self.reversed { paper.to_owned() } else { ink.to_owned() }
    }

    fn paper(&self) -> Option<String> {
        if self.reversed { Some(self.ink.clone().unwrap_or_else(|| INK.to_owned())) } else { self.paper.clone() }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let columns = arguments.next().and_then(|columns| columns.parse().ok());
    let (Some(columns), Some(title)) = (columns, arguments.next()) else {
        _ = writeln!(io::stderr(), "usage: ansi_to_svg COLUMNS TITLE < screen.txt > screen.svg");
        return ExitCode::from(2);
    };
    let mut text = String::new();
    let done = io::stdin().read_to_string(&mut text).and_then(|_| {
        let rows: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
        io::stdout().write_all(svg(&rows, columns, &title).as_bytes())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn svg(rows: &[&str], columns: u16, title: &str) -> String {
    let size = (f64::from(columns) * CELL.0 + 2.0 * MARGIN, count(rows.len()) * CELL.1 + BAR + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" \
         aria-label=\"{2}\">\n<rect width=\"{0}\" height=\"{1}\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <g fill=\"#3a4150\"><circle cx=\"20\" cy=\"17\" r=\"6\"/><circle cx=\"40\" cy=\"17\" r=\"6\"/>\
         <circle cx=\"60\" cy=\"17\" r=\"6\"/></g>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"13\" \
         xml:space=\"preserve\">\n\
         <text x=\"{3}\" y=\"21\" fill=\"#8b93a3\" text-anchor=\"middle\">{2}</text>\n",
        size.0,
        size.1,
        escaped(title),
        size.0 / 2.0,
    );
    let mut look = Look::default();
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut out, &cells(row, &mut look), BAR + MARGIN + count(index) * CELL.1);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

#[expect(clippy::cast_precision_loss, reason = "cells of a screen")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The characters of a line with their looks. The look goes on in the next line, as in a terminal.
fn cells(row: &str, look: &mut Look) -> Vec<(char, Look)> {
    let mut cells = Vec::new();
    let mut rest = row.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            if !character.is_control() {
                cells.push((character, look.clone()));
            }
            continue;
        }
        if rest.next() != Some('[') {
            continue;
        }
        let mut parameters = String::new();
        let end = rest.by_ref().find(|character| {
            let is_end = character.is_ascii_alphabetic();
            if !is_end {
                parameters.push(*character);
            }
            is_end
        });
        if end == Some('m') {
            change(look, &parameters);
        }
    }
    cells
}

/// Applies the parameters of an SGR sequence.
fn change(look: &mut Look, parameters: &str) {
    let mut numbers = parameters.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => *look = Look::default(),
            1 => look.bold = true,
            2 => look.dim = true,
            3 => look.italic = true,
            4 => look.underlined = true,
            7 => look.reversed = true,
            22 => (look.bold, look.dim) = (false, false),
            23 => look.italic = false,
            24 => look.underlined = false,
            27 => look.reversed = false,
            30..=37 => look.ink = named(number - 30),
            38 => look.ink = indexed(&mut numbers),
            39 => look.ink = None,
            40..=47 => look.paper = named(number - 40),
            48 => look.paper = indexed(&mut numbers),
            49 => look.paper = None,
            90..=97 => look.ink = named(number - 82),
            100..=107 => look.paper = named(number - 92),
            _ => {}
        }
    }
}

fn named(number: u16) -> Option<String> {
    NAMED.get(usize::from(number)).map(|name| (*name).to_owned())
}

/// `5;N`, one of 256 colours, or `2;R;G;B`.
fn indexed(numbers: &mut impl Iterator<Item = u16>) -> Option<String> {
    let hex = |[red, green, blue]: [u16; 3]| Some(format!("#{red:02x}{green:02x}{blue:02x}"));
    match numbers.next()? {
        2 => hex([numbers.next()?, numbers.next()?, numbers.next()?]),
        5 => match numbers.next()? {
            number @ 0..=15 => named(number),
            // A cube of six steps to each side.
            number @ 16..=231 => {
                let step = |step: u16| if step == 0 { 0 } else { 55 + step * 40 };
                let place = number - 16;
                hex([step(place / 36), step(place / 6 % 6), step(place % 6)])
            }
            number => hex([8 + (number.min(255) - 232) * 10; 3]),
        },
        _ => None,
    }
}

/// Papers first, then what is drawn, then runs of letters that look the same.
fn draw_row(out: &mut String, cells: &[(char, Look)], y: f64) {
    let x = |column: usize| MARGIN + count(column) * CELL.0;
    let mut column = 0;
    while column < cells.len() {
        let paper = cells[column].1.paper();
        let run = cells[column..].iter().take_while(|(_, look)| look.paper() == paper).count();
        if let Some(paper) = paper {
            rect(out, [x(column), y, count(run) * CELL.0, CELL.1], &paper, false);
        }
        column += run;
    }
    let mut column = 0;
    while column < cells.len() {
        let (character, look) = &cells[column];
        if *character == ' ' || draw(out, *character, [x(column), y], look) {
            column += 1;
            continue;
        }
        let same = |(other, looks): &&(char, Look)| looks == look && !is_drawn(*other);
        let text: String = cells[column..].iter().take_while(same).map(|(character, _)| *character).collect();
        write_text(out, text.trim_end(), [x(column), y], look);
        column += text.chars().count();
    }
}

fn write_text(out: &mut String, text: &str, [x, y]: [f64; 2], look: &Look) {
    let mut style = String::new();
    for (is_on, attribute) in [
        (look.bold, " font-weight=\"bold\""),
        (look.italic, " font-style=\"italic\""),
        (look.underlined, " text-decoration=\"underline\""),
        (look.dim, " opacity=\"0.6\""),
    ] {
        style.push_str(if is_on { attribute } else { "" });
    }
    let width = count(text.chars().count()) * CELL.0;
    let (ink, text) = (look.ink(), escaped(text));
    let baseline = y + 12.5;
    _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{baseline}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{ink}\"{style}>{text}</text>"
    );
}

fn rect(out: &mut String, [x, y, width, height]: [f64; 4], ink: &str, is_dim: bool) {
    let dim = if is_dim { " opacity=\"0.6\"" } else { "" };
    _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{ink}\"{dim}/>");
}

fn is_drawn(character: char) -> bool {
    matches!(character, '▀'..='▓' | '⠀'..='⣿') || arms(character).is_some()
}

/// Draws blocks, Braille dots and frames. False: it is a letter.
fn draw(out: &mut String, character: char, [x, y]: [f64; 2], look: &Look) -> bool {
    let (ink, (width, height)) = (look.ink(), CELL);
    let code = u32::from(character);
    let mut fill =
        |[left, top, wide, high]: [f64; 4], dim| rect(out, [x + left, y + top, wide, high], &ink, dim || look.dim);
    match character {
        '▀' => fill([0.0, 0.0, width, height / 2.0], false),
        '▁'..='█' => {
            let high = height * f64::from(code - 0x2580) / 8.0;
            fill([0.0, height - high, width, high], false);
        }
        '▉'..='▏' => fill([0.0, 0.0, width * f64::from(0x2590 - code) / 8.0, height], false),
        '▐' => fill([width / 2.0, 0.0, width / 2.0, height], false),
        '░' | '▒' | '▓' => fill([0.0, 0.0, width, height], true),
        '⠀'..='⣿' => {
            // Bits 0–2 and 6 go down on the left, 3–5 and 7 on the right.
            let places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
            for (_, (right, down)) in places.into_iter().enumerate().filter(|(bit, _)| code >> bit & 1 == 1) {
                let at = [f64::from(right) * width / 2.0 + 1.0, f64::from(down) * height / 4.0 + 1.0];
                fill([at[0], at[1], 2.2, 2.2], false);
            }
        }
        _ => {
            let Some((left, right, up, down)) = arms(character) else { return false };
            let (middle, half) = ([width / 2.0, height / 2.0], 0.6);
            let horizontal = [if left { 0.0 } else { middle[0] - half }, if right { width } else { middle[0] + half }];
            let vertical = [if up { 0.0 } else { middle[1] - half }, if down { height } else { middle[1] + half }];
            if left || right {
                fill([horizontal[0], middle[1] - half, horizontal[1] - horizontal[0], 2.0 * half], false);
            }
            if up || down {
                fill([middle[0] - half, vertical[0], 2.0 * half, vertical[1] - vertical[0]], false);
            }
        }
    }
    true
}

/// Where the arms of a frame's character go: left, right, up, down.
const fn arms(character: char) -> Option<(bool, bool, bool, bool)> {
    Some(match character {
        '─' | '━' | '╌' | '┄' => (true, true, false, false),
        '│' | '┃' => (false, false, true, true),
        '┌' | '╭' => (false, true, false, true),
        '┐' | '╮' => (true, false, false, true),
        '└' | '╰' => (false, true, true, false),
        '┘' | '╯' => (true, false, true, false),
        '├' => (false, true, true, true),
        '┤' => (true, false, true, true),
        '┬' => (true, true, false, true),
        '┴' => (true, true, true, false),
        '┼' => (true, true, true, true),
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_from_sequences_and_go_on_in_the_next_line() {
        let mut look = Look::default();
        let row = cells("a\x1b[1;38;2;1;2;255mb\x1b[48;5;196mc\x1b[0md\x1b[97m", &mut look);
        let looks: Vec<(char, String, Option<String>, bool)> =
            row.iter().map(|(character, look)| (*character, look.ink(), look.paper(), look.bold)).collect();
        let blue = "#0102ff".to_owned();
        assert_eq!(looks[0], ('a', INK.to_owned(), None, false));
        assert_eq!(looks[1], ('b', blue.clone(), None, true));
        assert_eq!(looks[2], ('c', blue, Some("#ff0000".to_owned()), true));
        assert_eq!(looks[3], ('d', INK.to_owned(), None, false));
        assert_eq!(cells("e", &mut look)[0].1.ink(), "#ffffff");
    }

    #[test]
    fn letters_are_text_and_bars_are_drawn() {
        let picture = svg(&["a<b  █▄", "\x1b[7mx"], 10, "t&t");
        assert!(picture.contains(">a&lt;b</text>") && picture.contains("aria-label=\"t&amp;t\""), "{picture}");
        assert!(picture.contains("<rect x=\"52\" y=\"42\" width=\"8\" height=\"17\" fill=\"#d5dae3\"/>"), "{picture}");
        assert!(picture.contains("<rect x=\"60\" y=\"50.5\" width=\"8\" height=\"8.5\""), "{picture}");
        assert!(picture.contains(&format!("fill=\"{PAPER}\">x</text>")), "{picture}");
    }
}
