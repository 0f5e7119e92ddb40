//! Plain text: times, and foreign text made harmless. Pure.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(harmless("a\x1b[31m\n\u{202E}ä🎫"), "a\\u{1b}[31m\\n\\u{202e}ä🎫");
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }
}
