//! Who does something to a sale, and why: recorded with everything an operator changes, replays or drops.

/// Longest name of whoever changes something, in characters.
pub const WHO_MAX_CHARS: usize = 128;
/// Longest reason, in characters.
pub const WHY_MAX_CHARS: usize = 500;
/// Who changes something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    who: String,
    why: String,
}

/// Why an [`Author`] is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorError {
    /// See [`WHO_MAX_CHARS`].
    #[error("who must be 1 to {WHO_MAX_CHARS} characters without control characters")]
    Who,
    /// See [`WHY_MAX_CHARS`].
    #[error("why must be 1 to {WHY_MAX_CHARS} characters without control characters")]
    Why,
}

impl Author {
    /// Somebody with a reason; blanks around both are dropped.
    ///
    /// # Errors
    /// [`AuthorError`] if one of them is empty, too long, or has control characters.
    pub fn new(who: &str, why: &str) -> Result<Self, AuthorError> {
        let fits = |text: &str, most: usize| {
            !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        let (who, why) = (who.trim(), why.trim());
        if !fits(who, WHO_MAX_CHARS) {
            return Err(AuthorError::Who);
        }
        if !fits(why, WHY_MAX_CHARS) {
            return Err(AuthorError::Why);
        }
        Ok(Self { who: who.to_owned(), why: why.to_owned() })
    }

    /// The name.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The reason.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The same person for a further reason, which comes first; what does not fit is cut off.
    #[must_use]
    pub fn because(&self, reason: &str) -> Self {
        let why = format!("{reason}: {}", self.why).chars().take(WHY_MAX_CHARS).collect();
        Self { who: self.who.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_has_a_name_and_a_reason() {
        assert_eq!(Author::new(" ", "x"), Err(AuthorError::Who));
        assert_eq!(Author::new("ann@desk", "  "), Err(AuthorError::Why));
        assert_eq!(Author::new("ann@desk", "two\nlines"), Err(AuthorError::Why));
        assert_eq!(Author::new("ann@desk", &"é".repeat(501)), Err(AuthorError::Why));
        let author = Author::new("ann@desk", &"é".repeat(500)).unwrap();
        assert_eq!(author.because("put back").why().chars().count(), WHY_MAX_CHARS);
    }
}
