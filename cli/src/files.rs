//! Files that the operator names: read with a bound, and made sure of before anything is done.
//!
//! Promise: what cannot be read or written is said before a run begins, and no two answers are written into one file.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{exit::Exit, report::Failure};

/// Reads a text of at most so many bytes. A device that never ends is an error, and not the end of our memory.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text));
    let length = read.with_context(|| format!("cannot read {}", path.display()))?;
    if length as u64 > bytes_max {
        anyhow::bail!("{} is longer than {} KiB", path.display(), bytes_max / 1024);
    }
    Ok(text)
}

/// Makes sure that each of these files, given under its flag, can be written, and that all are different. What they hold stays
/// until then. Usage errors.
pub(crate) fn check_writable(files: &[(&str, Option<&PathBuf>)]) -> Result<(), Failure> {
    let given: Vec<(&str, &PathBuf)> = files.iter().filter_map(|(flag, path)| Some((*flag, (*path)?))).collect();
    for (index, (flag, path)) in given.iter().enumerate() {
        if let Some((other, _)) = given[..index].iter().find(|(_, other)| is_same(path, other)) {
            let error = anyhow::anyhow!("{other} and {flag} name the same file, {}", path.display());
            return Err(Failure::new(Exit::Usage, error));
        }
    }
    for (_, path) in given {
        let is_new = fs::symlink_metadata(path).is_err();
        let opened = OpenOptions::new().create(true).append(true).open(path);
        opened.map(drop).map_err(|error| {
            Failure::new(Exit::Usage, anyhow::Error::new(error).context(format!("cannot write {}", path.display())))
        })?;
        if is_new {
            // A run that ends without an answer leaves no empty one behind. Whatever goes wrong here, is said when it is written.
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

/// Whether two paths lead to one file. Devices such as /dev/null take everything.
fn is_same(one: &Path, other: &Path) -> bool {
    let is_device = fs::metadata(one).is_ok_and(|it| !it.is_file());
    !is_device && place(one) == place(other)
}

/// The file itself if there is one, else its name in the directory it would be in.
fn place(path: &Path) -> PathBuf {
    if let Ok(found) = fs::canonicalize(path) {
        return found;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
    path.file_name().map_or_else(|| parent.clone(), |name| parent.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_under_any_name() {
        let dir = std::env::temp_dir().join(format!("flashctl-files-{}", std::process::id()));
        fs::create_dir_all(dir.join("sub")).unwrap();
        let check = |one: &str, other: &str| {
            let (one, other) = (dir.join(one), dir.join(other));
            check_writable(&[("--one", Some(&one)), ("--none", None), ("--other", Some(&other))])
        };
        check("a", "b").unwrap();
        assert!(!dir.join("a").exists(), "nothing is left of the try");
        std::os::unix::fs::symlink(dir.join("later"), dir.join("ahead")).unwrap();
        check("ahead", "b").unwrap();
        assert!(dir.join("ahead").is_symlink(), "a link to a file that is not there yet stays a link");
        fs::write(dir.join("a"), "kept").unwrap();
        check("a", "b").unwrap();
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "kept");
        // Before the file is there, and when it is; by a detour; by a link.
        for (one, other) in [("new", "new"), ("a", "sub/../a"), ("new2", "sub/../new2")] {
            let failure = format!("{:?}", check(one, other).unwrap_err());
            assert!(failure.contains("--one and --other name the same file"), "{failure}");
        }
        std::os::unix::fs::symlink(dir.join("a"), dir.join("link")).unwrap();
        assert!(check("a", "link").is_err());
        assert!(check("sub", "a").is_err(), "a directory cannot be written");
        let null = PathBuf::from("/dev/null");
        check_writable(&[("--one", Some(&null)), ("--other", Some(&null))]).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_never_ends_is_not_read_to_its_end() {
        let error = read_text(Path::new("/dev/zero"), 4_096).unwrap_err().to_string();
        assert!(error.contains("/dev/zero is longer than 4 KiB"), "{error}");
        assert!(read_text(Path::new("/nonexistent"), 10).unwrap_err().to_string().contains("cannot read"));
    }
}
