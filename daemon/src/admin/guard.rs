//! Who may command this daemon: whoever knows its token, and sends it in a header.
//!
//! That a header is needed also keeps browsers out: a page of somebody else's cannot send one without asking first (CORS), which
//! is never granted here, and one that has tricked the name service into believing it is ours (DNS rebinding) does not know
//! the token.

use super::problem::Problem;
use crate::config::AdminConfig;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::Sha256;

/// What is signed with tokens, to compare them without comparing them.
const LABEL: &[u8] = b"flashd admin token";

const NO_TOKEN: &str = "No admin token is set, so nobody may command this daemon. Set admin.token (FLASH_ADMIN_TOKEN, 16 \
    characters or more) and start it again.";
const READ_ONLY: &str = "This daemon takes no commands: admin.read_only is set.";

/// Checks tokens.
pub(super) enum Guard {
    /// Nobody may; the text says why.
    Closed(&'static str),
    /// Whoever has the token that makes this signature.
    Token(Hmac<Sha256>),
}

impl Guard {
    pub(super) fn new(config: &AdminConfig) -> Self {
        match &config.token {
            _ if config.read_only => Self::Closed(READ_ONLY),
            Some(token) => signature(token.as_bytes()).map_or(Self::Closed(NO_TOKEN), Self::Token),
            None => Self::Closed(NO_TOKEN),
        }
    }

    /// Whether the sender of these headers may command.
    ///
    /// # Errors
    /// [`Problem::Forbidden`] if nobody may, [`Problem::Unauthorized`] without the right token.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let ours = match self {
            Self::Closed(why) => return Err(Problem::Forbidden(why)),
            Self::Token(ours) => ours,
        };
        let theirs = bearer(headers).and_then(signature).ok_or(Problem::Unauthorized)?;
        // In constant time, whatever they have in common.
        ours.clone().verify(&theirs.finalize().into_bytes()).map_err(|_| Problem::Unauthorized)
    }
}

fn signature(token: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(token).ok().map(|key| key.chain_update(LABEL))
}

/// The token of the only `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn guard(token: Option<&str>, read_only: bool) -> Guard {
        let listen = "127.0.0.1:1".parse().unwrap();
        Guard::new(&AdminConfig { listen, token: token.map(str::to_owned), read_only, advertise: None })
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_token_opens() {
        let guard = guard(Some(TOKEN), false);
        for good in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}")] {
            assert!(guard.check(&headers(&[&good])).is_ok(), "{good}");
        }
        let right = format!("Bearer {TOKEN}");
        for bad in [
            vec![],
            vec!["Bearer "],
            vec!["Bearer 0123456789abcdeF"],
            vec!["Bearer 0123456789abcde"],
            vec!["Bearer 0123456789abcdef "],
            vec!["Bearer  0123456789abcdef"],
            vec!["Basic 0123456789abcdef"],
            vec![TOKEN],
            vec![&right, &right],
        ] {
            assert!(matches!(guard.check(&headers(&bad)), Err(Problem::Unauthorized)), "{bad:?}");
        }
    }

    #[test]
    fn without_a_token_or_read_only_nobody_may() {
        let right = format!("Bearer {TOKEN}");
        for guard in [guard(None, false), guard(Some(TOKEN), true)] {
            assert!(matches!(guard.check(&headers(&[&right])), Err(Problem::Forbidden(_))));
        }
        let empty = guard(None, false);
        assert!(matches!(empty.check(&headers(&["Bearer "])), Err(Problem::Forbidden(_))));
    }
}
