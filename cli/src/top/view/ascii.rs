//! For terminals whose character set is not UTF-8: every sign gets a plain one that means the same.

use ratatui::{buffer::Buffer, layout::Rect};

/// Replaces every symbol that is not ASCII.
pub(crate) fn translate(buffer: &mut Buffer, area: Rect) {
    for position in area.positions() {
        let cell = &mut buffer[position];
        if !cell.symbol().is_ascii() {
            let plain = plain(cell.symbol());
            cell.set_symbol(plain);
        }
    }
}

fn plain(symbol: &str) -> &'static str {
    match symbol {
        "█" => "#",
        "▒" => "+",
        "░" => ".",
        "▁" => "_",
        "▂" => ".",
        "▃" => ":",
        "▄" => "-",
        "▅" => "=",
        "▆" => "+",
        "▇" => "*",
        "─" | "—" | "–" | "┈" => "-",
        "│" => "|",
        "╭" | "╮" | "╰" | "╯" => "+",
        "▸" | "→" => ">",
        "←" => "<",
        "↑" | "▴" => "^",
        "↓" | "▾" => "v",
        "●" => "*",
        "○" => "o",
        "◌" => "?",
        "✔" => "v",
        "✖" => "X",
        "▲" => "!",
        "·" => "-",
        "…" => "~",
        "µ" => "u",
        "×" => "x",
        "½" => "/",
        "¼" => "%",
        "▏" => "_",
        "━" | "■" => "=",
        _ => "?",
    }
}
