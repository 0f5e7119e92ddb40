//! Writing HTML: escaping, elements, tables.

/// A longer cell is a sentence.
const NUMBER_MAX: usize = 32;

/// Text that cannot become markup.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() && letter != '\n' => safe.push('\u{FFFD}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// An element on lines of its own; `inner` is markup already.
pub(super) fn element(name: &str, inner: &str) -> String {
    format!("<{name}>\n{inner}</{name}>\n")
}

/// A section with its heading; nothing at all if there is nothing in it.
pub(super) fn section(heading: &str, inner: &str) -> String {
    if inner.is_empty() {
        return String::new();
    }
    element("section", &format!("<h2>{}</h2>\n{inner}", escape(heading)))
}

/// A paragraph of plain text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// A table of plain text: the first cell of a row names it. Numbers stand to the right by their class.
pub(super) fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |name: &str, scope: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.map(|cell| format!("<{name}{scope}>{}</{name}>", escape(cell))).collect();
        cells.concat()
    };
    let head = cells("th", " scope=\"col\"", &mut headings.iter().copied());
    let row = |row: &Vec<String>| {
        let name = cells("th", " scope=\"row\"", &mut row.iter().take(1).map(String::as_str));
        let rest: String = row.iter().skip(1).map(|cell| value(cell)).collect();
        format!("<tr>{name}{rest}</tr>\n")
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n",
        escape(caption)
    )
}

/// A cell; sentences are set as such, everything shorter stands to the right like a number.
fn value(cell: &str) -> String {
    let class = if cell.chars().count() > NUMBER_MAX { " class=\"text\"" } else { "" };
    format!("<td{class}>{}</td>", escape(cell))
}

/// What is worth a look at first: a figure and its name; a `hit` is marked.
pub(super) fn tiles(tiles: &[(&str, String, bool)]) -> String {
    let tile = |(name, value, hit): &(&str, String, bool)| {
        let class = if *hit { " class=\"hit\"" } else { "" };
        format!("<li{class}><b>{}</b>{}</li>\n", escape(value), escape(name))
    };
    format!("<ul class=\"tiles\">\n{}</ul>\n", tiles.iter().map(tile).collect::<String>())
}

/// Names and values, two columns.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let item = |(name, value): &(&str, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value));
    element("dl", &pairs.iter().map(item).collect::<String>())
}
