//! Plain text: times and sizes, and foreign text made harmless. Pure.

/// Text that somebody else has written: control characters, which could command the terminal, are shown instead.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_invisible(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Marks that change the direction of what follows, so that a line reads as something it is not.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// At most `most` characters, with an ellipsis if there were more.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A time in milliseconds since 1970, to the second: `2026-11-24T02:25:40Z`.
pub(crate) fn utc(ms: u64) -> String {
    flash_core::sale::format_time(ms - ms % 1_000)
}

/// Bytes in binary units.
#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Milliseconds as seconds, minutes and hours.
#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
pub(crate) fn seconds(ms: u64) -> String {
    match ms / 1_000 {
        0..60 => format!("{:.1} s", ms as f64 / 1_000.0),
        s @ 60..3_600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(harmless("a\x1b[31m\n\u{202E}ä🎫"), "a\\u{1b}[31m\\n\\u{202e}ä🎫");
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!([900, 61_000, 3_720_000].map(seconds), ["0.9 s", "1 min 1 s", "1 h 2 min"]);
        assert_eq!([2_048, 5 << 20, 3 << 30].map(bytes), ["2 KiB", "5.0 MiB", "3.0 GiB"]);
    }
}
