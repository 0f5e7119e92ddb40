//! A chart of lines as inline SVG, with its words and its numbers for whoever cannot see it.

use std::fmt::Write as _;

use super::axis::{Axis, Range};
use super::html::{escape, table};

/// Size of the drawing, in its own units; the page scales it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
/// Room for what is written around it.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;
/// Most points of a line: more cannot be told apart.
const POINTS_MAX: usize = 600;
/// Most rows of the numbers.
const ROWS_MAX: usize = 60;

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Which of the style sheet's lines it is: colour and dashes, so that colour alone never tells.
    pub(super) class: &'static str,
    /// `None` is a gap and never a zero.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What it shows, in words.
    pub(super) words: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Upright marks: where, and what happened.
    pub(super) marks: Vec<(f64, String)>,
}

impl Chart {
    /// Drawing, legend, words and numbers. Nothing if there is nothing to draw.
    pub(super) fn figure(&self) -> String {
        if self.lines.iter().all(|line| line.points.iter().all(|(_, y)| y.is_none())) {
            return String::new();
        }
        let (id, title) = (self.id, escape(self.title));
        format!(
            "<section>\n<h2 id=\"{id}\">{title}</h2>\n<figure>\n{}{}<figcaption>{}</figcaption>\n\
             <details><summary>Numbers</summary>\n{}</details>\n</figure>\n</section>\n",
            self.legend(),
            self.svg(),
            escape(&self.words),
            self.numbers()
        )
    }

    fn legend(&self) -> String {
        let item = |line: &Line| {
            let sample = format!(
                "<svg class=\"sample\" viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path class=\"line {}\" d=\"M0 4H28\"/></svg>",
                line.class
            );
            format!("<li>{sample} {}</li>\n", escape(&line.name))
        };
        format!("<ul class=\"legend\">\n{}</ul>\n", self.lines.iter().map(item).collect::<String>())
    }

    fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let x = Range::of(self.x.scale, all().map(|(x, _)| *x));
        let y = Range::of(self.y.scale, all().filter_map(|(_, y)| *y));
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{0}\" aria-describedby=\"{0}-words\">\n\
             <desc id=\"{0}-words\">{1}</desc>\n",
            self.id,
            escape(&self.words)
        );
        // Writing to a String cannot fail.
        _ = self.frame(&mut svg, &x, &y);
        for line in &self.lines {
            _ = writeln!(svg, "<path class=\"line {}\" d=\"{}\"/>", line.class, path(line, &x, &y));
        }
        svg + "</svg>\n"
    }

    /// Grid, ticks, labels and marks.
    fn frame(&self, svg: &mut String, x: &Range, y: &Range) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in y.ticks() {
            let Some(at) = y.place(tick).map(across_y) else { continue };
            writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>")?;
            let text = escape(&(self.y.text)(tick));
            writeln!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            )?;
        }
        for tick in x.ticks() {
            let Some(at) = x.place(tick).map(across_x) else { continue };
            writeln!(svg, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>")?;
            let text = escape(&(self.x.text)(tick));
            writeln!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 18.0
            )?;
        }
        let middle = (LEFT + right) / 2.0;
        let label = |svg: &mut String, x: f64, y: f64, more: &str, text: &str| {
            writeln!(
                svg,
                "<text class=\"label{more} text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                escape(text)
            )
        };
        label(svg, middle, HEIGHT - 8.0, "\"", self.x.label)?;
        let center = (TOP + bottom) / 2.0;
        label(svg, 14.0, center, &format!(" up\" transform=\"rotate(-90 14 {center:.1})\""), self.y.label)?;
        for (at, text) in &self.marks {
            let Some(at) = x.place(*at).map(across_x) else { continue };
            writeln!(svg, "<path class=\"mark\" d=\"M{at:.1} {TOP}V{bottom}\"/>")?;
            let (anchor, shift) = if at > WIDTH * 0.7 { ("end", -4.0) } else { ("start", 4.0) };
            let text = escape(text);
            writeln!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                at + shift,
                TOP + 10.0
            )?;
        }
        Ok(())
    }

    /// The numbers behind the lines; of many rows evenly chosen ones.
    fn numbers(&self) -> String {
        let longest = self.lines.iter().max_by_key(|line| line.points.len());
        let points = longest.map(|line| line.points.as_slice()).unwrap_or_default();
        let step = points.len().div_ceil(ROWS_MAX).max(1);
        let row = |(x, _): &(f64, Option<f64>)| {
            let at = |line: &Line| {
                let point = line.points.iter().find(|(other, _)| (other - x).abs() < 1e-9);
                point.and_then(|(_, y)| *y).map_or_else(|| "–".to_owned(), self.y.text)
            };
            std::iter::once((self.x.text)(*x)).chain(self.lines.iter().map(at)).collect()
        };
        let rows: Vec<Vec<String>> = points.iter().step_by(step).map(row).collect();
        let mut headings = vec![self.x.label];
        headings.extend(self.lines.iter().map(|line| line.name.as_str()));
        let caption = if step == 1 { self.title.to_owned() } else { format!("{}, one point in {step}", self.title) };
        table(&caption, &headings, &rows)
    }
}

fn across_x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn across_y(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
}

/// The line as an SVG path, broken at gaps.
fn path(line: &Line, x: &Range, y: &Range) -> String {
    let step = line.points.len().div_ceil(POINTS_MAX).max(1);
    let (mut path, mut pen_down) = (String::new(), false);
    // Of the points that cannot be told apart the highest is drawn: peaks must not vanish.
    for few in line.points.chunks(step) {
        let highest = few.iter().filter_map(|(x, y)| Some((*x, (*y)?))).max_by(|a, b| a.1.total_cmp(&b.1));
        let place = highest.and_then(|(at, value)| Some((across_x(x.place(at)?), across_y(y.place(value)?))));
        match place {
            Some((x, y)) => {
                // A point between two gaps would have no length: a tiny stroke makes it a dot.
                _ = if pen_down { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h0.1") };
                pen_down = true;
            }
            None => pen_down = false,
        }
    }
    path
}
