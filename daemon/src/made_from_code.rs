//! Tables of the documentation that are made from the code: compared with it by tests, written by the same tests when asked.

use std::path::Path;

/// Panics unless `document`, a path from the top of the repository, has exactly `table` between the lines `begin` and `end`.
/// `FLASH_WRITE_DOCS=1 cargo test` writes it there instead.
pub(crate) fn assert_documented(document: &str, (begin, end): (&str, &str), table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (told, after) = rest.split_once(end).unwrap();
    if std::env::var_os("FLASH_WRITE_DOCS").is_some() {
        return std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    }
    assert_eq!(told, table, "FLASH_WRITE_DOCS=1 cargo test -p flashd --lib documentation writes {document}");
}
