//! What flashd's own OpenAPI document says about an answer. Every request that a test makes by [`crate::wire`] is held against
//! it, so the document cannot promise less, or other, than what is answered anywhere in the tests.

use crate::wire::Answer;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&flashd::openapi::buyers()).unwrap());

/// Checks status, code and headers of an answer, if its method and path are in the document.
///
/// # Panics
/// If it is none of the answers that the document has for the operation.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.to_string();
    let shown = || format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
    let response = &operation["responses"][&status];
    assert!(response.is_object(), "{method} {path} does not answer {status}, says the document: {}", shown());
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(
        answer.body.is_empty() || response["content"][kind].is_object(),
        "{method} {path} does not answer {kind}, says the document: {}",
        shown()
    );
    let code = answer.code();
    if !code.is_empty() {
        let examples = response["content"]["application/problem+json"]["examples"].as_object();
        let described = examples.is_some_and(|examples| examples.values().any(|one| one["value"]["error"] == *code));
        assert!(described, "{method} {path} does not answer {status} {code}, says the document");
    }
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        if header["required"] == true {
            assert!(answer.header(&name.to_ascii_lowercase()).is_some(), "{name} is missing: {}", shown());
        }
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next()?;
    let paths = DOCUMENT["paths"].as_object()?;
    // What the admin listener has under the same name is another document.
    let (_, item) = paths.iter().find(|(known, _)| known.as_str() != "/openapi.json" && matches(known, path))?;
    item.get(method)
}

fn matches(template: &str, path: &str) -> bool {
    let (mut known, mut asked) = (template.split('/'), path.split('/'));
    loop {
        match (known.next(), asked.next()) {
            (None, None) => return true,
            (Some(known), Some(asked)) if known == asked || known.starts_with('{') => {}
            _ => return false,
        }
    }
}
