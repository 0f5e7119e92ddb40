//! Recordings: what was seen of a sale, one sample per line, to be looked at again.
//!
//! Owns the format: a header line, then NDJSON. A recording is written line by line and may end anywhere – a last line that was
//! torn is not there. See docs/watching.md.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Sample;
use crate::{exit::Exit, plain::harmless, report::Failure};

/// Version of the format; a reader refuses others.
const VERSION: u32 = 1;
/// Where a recording ends by itself.
pub(crate) const RECORDING_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest line that is read: a sample of 64 daemons with many SKUs.
const LINE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    flash_recording: u32,
    /// Version of the flashctl that recorded.
    #[serde(default)]
    build: String,
    /// Pause between two samples.
    #[serde(default)]
    interval_ms: u64,
}

/// Writes a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
    bytes: u64,
    max_bytes: u64,
}

/// Why nothing more is recorded.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The file has become as large as it may.
    Full,
    /// It could not be written.
    Failed(io::Error),
}

impl Recorder {
    /// Begins a file; one that exists is only replaced with `force`.
    pub(crate) fn create(path: &Path, force: bool, interval_ms: u64, max_bytes: u64) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true);
        if force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let file = options.open(path).map_err(|error| {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            let error = anyhow::Error::new(error).context(format!("cannot record to {}", path.display()));
            let failure = Failure::new(if exists { Exit::Usage } else { Exit::Failed }, error);
            if exists { failure.hint("--force replaces the file") } else { failure }
        })?;
        let mut recorder = Self { file, bytes: 0, max_bytes };
        let header = Header { flash_recording: VERSION, build: env!("CARGO_PKG_VERSION").to_owned(), interval_ms };
        let written = serde_json::to_vec(&header).map_err(io::Error::other).and_then(|line| recorder.line(line));
        written.with_context(|| format!("cannot record to {}", path.display()))?;
        Ok(recorder)
    }

    /// Appends a sample; it is in the system's hands afterwards.
    pub(crate) fn record(&mut self, sample: &Sample) -> Result<(), Stopped> {
        let line = serde_json::to_vec(sample).map_err(|error| Stopped::Failed(error.into()))?;
        if self.bytes + line.len() as u64 + 1 > self.max_bytes {
            return Err(Stopped::Full);
        }
        self.line(line).map_err(Stopped::Failed)
    }

    /// One write per line: what a crash leaves is whole lines and at most one torn one.
    fn line(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

impl Stopped {
    /// In a few words, behind `REC`: what is the matter must not be cut off.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Full => "FULL".to_owned(),
            Self::Failed(error) => format!("FAILED: {}", harmless(&error.to_string())),
        }
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => out.write_str("the recording has its full size; nothing more is recorded"),
            Self::Failed(error) => write!(out, "the recording cannot be written any more: {error}"),
        }
    }
}

/// A recording that can be read at any place.
#[derive(Debug)]
pub(crate) struct Recording {
    file: BufReader<File>,
    header: Header,
    /// Where each sample's line begins, and how long it is.
    lines: Vec<(u64, u64)>,
    started_ms: u64,
    ended_ms: u64,
}

impl Recording {
    /// Opens a file and finds its samples. A line that was torn at the end is left out.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Self::index(path).with_context(|| format!("cannot replay {}", path.display())).map_err(Failure::from_error)
    }

    fn index(path: &Path) -> anyhow::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let header = read_header(&mut file)?;
        let mut recording = Self { file, header, lines: Vec::new(), started_ms: 0, ended_ms: 0 };
        let mut at = recording.file.stream_position()?;
        loop {
            let length = skip_line(&mut recording.file)?;
            if length == 0 {
                break;
            }
            recording.lines.push((at, length));
            at += length;
        }
        let last = recording.lines.len().checked_sub(1).context("there is no sample in it")?;
        if last > 0 && recording.read(last).is_err() {
            recording.lines.pop();
        }
        let end = (0..recording.len()).rev().find_map(|index| recording.read(index).ok());
        recording.ended_ms = end.context("there is no whole sample in it")?.at_ms;
        recording.started_ms = recording.first()?.1.at_ms;
        Ok(recording)
    }

    /// The first sample that is whole, and its place.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn first(&mut self) -> anyhow::Result<(usize, Sample)> {
        let first = (0..self.len()).find_map(|index| Some((index, self.read(index).ok()?)));
        first.context("there is no whole sample in it")
    }

    /// Samples in it, at least one.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// When its first whole sample was taken, in milliseconds since 1970.
    pub(crate) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// When its last whole sample was taken.
    pub(crate) fn ended_ms(&self) -> u64 {
        self.ended_ms
    }

    /// The usual pause between two samples; 0 if it is not known.
    pub(crate) fn interval_ms(&self) -> u64 {
        self.header.interval_ms
    }

    /// A sample, counted from 0.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it was damaged.
    pub(crate) fn read(&mut self, index: usize) -> anyhow::Result<Sample> {
        let (at, length) = *self.lines.get(index).with_context(|| format!("there is no sample {}", index + 1))?;
        self.file.seek(SeekFrom::Start(at))?;
        let mut line = Vec::new();
        Read::by_ref(&mut self.file).take(length).read_to_end(&mut line)?;
        serde_json::from_slice(&line)
            .with_context(|| format!("sample {} of {} is damaged", index + 1, self.lines.len()))
    }
}

fn read_header(file: &mut impl BufRead) -> anyhow::Result<Header> {
    let mut line = Vec::new();
    // A recording's header is short; other files may have no line end at all.
    file.take(4_096).read_until(b'\n', &mut line)?;
    let header: Header =
        serde_json::from_slice(&line).map_err(|_| anyhow::anyhow!("that is no recording of flashctl top"))?;
    anyhow::ensure!(
        header.flash_recording == VERSION,
        "it is a recording of version {}, and this flashctl {} reads version {VERSION}",
        header.flash_recording,
        env!("CARGO_PKG_VERSION")
    );
    Ok(header)
}

/// The length of the next line, its end included; 0 at the end of the file.
fn skip_line(file: &mut impl BufRead) -> anyhow::Result<u64> {
    let mut length = 0;
    loop {
        let buffer = file.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if taken == 0 {
            return Ok(length);
        }
        file.consume(taken);
        length += taken as u64;
        anyhow::ensure!(length <= LINE_MAX_BYTES, "it has a line of more than {} MiB", LINE_MAX_BYTES >> 20);
        if end.is_some() {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::live::{Seen, Told};

    fn sample(at_ms: u64) -> Sample {
        let told = Told::Failed("away".to_owned());
        Sample { at_ms, daemons: vec![Seen { url: "http://h:1".to_owned(), took_ms: 3, told }] }
    }

    fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        (dir, path)
    }

    fn why(path: &Path) -> String {
        format!("{:#}", Recording::index(path).unwrap_err())
    }

    #[test]
    fn what_is_recorded_is_replayed_at_any_place() {
        let (_dir, path) = file("a");
        let mut recorder = Recorder::create(&path, false, 500, RECORDING_MAX_BYTES).unwrap();
        for at_ms in [10, 20, 30] {
            recorder.record(&sample(at_ms)).unwrap();
        }
        let mut recording = Recording::open(&path).unwrap();
        assert_eq!((recording.len(), recording.started_ms(), recording.ended_ms()), (3, 10, 30));
        assert_eq!(recording.interval_ms(), 500);
        for index in [2, 0, 1] {
            assert_eq!(recording.read(index).unwrap(), sample(index as u64 * 10 + 10));
        }
        assert!(recording.read(3).is_err());
    }

    #[test]
    fn a_torn_end_is_left_out_and_damage_within_is_told() {
        let (_dir, path) = file("a");
        let mut recorder = Recorder::create(&path, false, 500, RECORDING_MAX_BYTES).unwrap();
        recorder.record(&sample(10)).unwrap();
        recorder.file.write_all(b"{\"atMs\":1\n").unwrap();
        recorder.record(&sample(30)).unwrap();
        recorder.file.write_all(b"{\"atMs\":40,\"daem").unwrap();
        let mut recording = Recording::open(&path).unwrap();
        assert_eq!((recording.len(), recording.ended_ms()), (3, 30));
        let error = format!("{:#}", recording.read(1).unwrap_err());
        assert!(error.starts_with("sample 2 of 3 is damaged"), "{error}");
    }

    #[test]
    fn damage_at_the_beginning_and_the_end_hides_nothing_of_what_is_whole() {
        let (_dir, path) = file("a");
        let mut recorder = Recorder::create(&path, false, 500, RECORDING_MAX_BYTES).unwrap();
        recorder.file.write_all(b"\0\0\0\n").unwrap();
        recorder.record(&sample(20)).unwrap();
        recorder.record(&sample(30)).unwrap();
        recorder.file.write_all(b"damaged\n{\"atMs\":40,\"daem").unwrap();
        let mut recording = Recording::open(&path).unwrap();
        assert_eq!((recording.len(), recording.started_ms(), recording.ended_ms()), (4, 20, 30));
        assert_eq!(recording.first().unwrap(), (1, sample(20)));
    }

    #[test]
    fn a_disk_that_is_full_is_told_as_such() {
        let mut recorder = Recorder::create(Path::new("/dev/full"), true, 500, RECORDING_MAX_BYTES);
        assert!(recorder.is_err(), "the header cannot be written");
        let (_dir, path) = file("a");
        recorder = Recorder::create(&path, false, 500, RECORDING_MAX_BYTES);
        let mut recorder = recorder.unwrap();
        recorder.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let stopped = recorder.record(&sample(10)).unwrap_err();
        assert_eq!(stopped.brief(), "FAILED: No space left on device (os error 28)");
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let (_dir, path) = file("a");
        std::fs::write(&path, "precious").unwrap();
        assert!(Recorder::create(&path, false, 1, 99).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        assert!(Recorder::create(&path, true, 1, 99).is_ok());
        assert_ne!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_recording_is_bounded() {
        let (_dir, path) = file("a");
        let mut recorder = Recorder::create(&path, false, 500, 300).unwrap();
        let stopped = (0..99).find_map(|_| recorder.record(&sample(10)).err()).unwrap();
        assert!(matches!(stopped, Stopped::Full));
        assert!(std::fs::metadata(&path).unwrap().len() <= 300);
        assert!(Recording::open(&path).unwrap().len() > 1);
    }

    #[test]
    fn other_files_and_versions_are_refused() {
        let (_dir, path) = file("a");
        for (text, words) in [
            ("", "that is no recording of flashctl top"),
            ("{\"a\":1}\n", "that is no recording of flashctl top"),
            ("{\"flashRecording\":2}\n{}\n", "it is a recording of version 2, and this flashctl"),
            ("{\"flashRecording\":1}\n", "there is no sample in it"),
            ("{\"flashRecording\":1}\n{\"at", "there is no whole sample in it"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(why(&path).contains(words), "{text}: {}", why(&path));
        }
    }
}
