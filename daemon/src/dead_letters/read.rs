//! Reading the topic of the dead letters from its beginning to its end. Blocks; it runs beside the runtime.

use super::{DeadLetterError, Letter, LetterStatus, Origin, Standing};
use flash_stores::kafka::consumer::{LogConsumer, Polled};
use flash_stores::kafka::dead_letter::DeadLetter;
use flash_stores::kafka::{KafkaSettings, admin};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Most letters that are kept in memory at a time. The rest is counted, and comes when these have been dealt with.
const LETTERS_MAX: usize = 100_000;
/// How long a broker may take to say where the topic begins and ends.
const ENDS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come in the middle of the topic.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The letters that were wanted, in log order.
    pub letters: Vec<Letter>,
    /// How many letters there are in each status, wanted or not.
    pub counts: HashMap<LetterStatus, u64>,
    /// Wanted letters that were left out because there are too many.
    pub left_out: u64,
    /// Records of the topic that are no letters.
    pub unreadable: u64,
}

/// The partitions of the topic.
pub(super) async fn partitions(kafka: &KafkaSettings, topic: &str) -> Result<Vec<i32>, DeadLetterError> {
    let topics = admin::describe(kafka, &[topic.to_owned()]).await?;
    let found = topics.first().ok_or_else(|| DeadLetterError::NoTopic(topic.to_owned()))?;
    Ok((0..found.partitions).collect())
}

/// Reads every letter and keeps those that `wanted` picks.
pub(super) fn read(
    kafka: &KafkaSettings,
    topic: &str,
    partitions: Vec<i32>,
    standings: HashMap<Origin, Standing>,
    wanted: impl Fn(&Origin, LetterStatus) -> bool,
) -> Result<Shelf, DeadLetterError> {
    let log = LogConsumer::standalone_on(kafka, topic)?;
    let mut sorter = Sorter { standings, wanted, kept: BTreeMap::new(), others: HashMap::new(), unreadable: 0 };
    let ends = log.ends(&partitions, ENDS_TIMEOUT)?;
    let starts: HashMap<i32, u64> = log.starts(&partitions, ENDS_TIMEOUT)?.into_iter().collect();
    let from = |partition: i32| starts.get(&partition).copied().unwrap_or(0);
    let mut unread: HashMap<i32, u64> = ends.into_iter().filter(|(partition, end)| from(*partition) < *end).collect();
    log.read_from(&unread.keys().map(|partition| (*partition, from(*partition))).collect::<Vec<_>>())?;
    let mut heard = Instant::now();
    while !unread.is_empty() {
        match log.poll(Duration::from_millis(100)) {
            Ok(Polled::Record(record)) => {
                let end = unread.get(&record.partition()).copied().unwrap_or(0);
                if record.offset() < end {
                    sorter.add(record.payload());
                }
                if record.offset() + 1 >= end {
                    unread.remove(&record.partition());
                }
                heard = Instant::now();
            }
            Ok(Polled::End(partition)) => drop(unread.remove(&partition)),
            // The client recovers by itself, or nothing comes for long enough.
            Ok(Polled::Nothing) | Err(_) if heard.elapsed() < STALL_TIMEOUT => {}
            Err(error) => return Err(error.into()),
            Ok(Polled::Nothing) => {
                return Err(DeadLetterError::Stalled { topic: topic.to_owned(), within: STALL_TIMEOUT });
            }
        }
    }
    Ok(sorter.finish())
}

/// Sorts letters into wanted ones and others; copies of one letter become one.
struct Sorter<W> {
    standings: HashMap<Origin, Standing>,
    wanted: W,
    kept: BTreeMap<Origin, Letter>,
    /// The letters that are not kept: their status, and whether they were wanted.
    others: HashMap<Origin, (LetterStatus, bool)>,
    unreadable: u64,
}

impl<W: Fn(&Origin, LetterStatus) -> bool> Sorter<W> {
    fn add(&mut self, payload: &[u8]) {
        let Ok(parked) = serde_json::from_slice::<DeadLetter>(payload) else {
            self.unreadable += 1;
            return;
        };
        let origin = parked.origin();
        let standing = self.standings.get(&origin);
        let status = standing.map_or(LetterStatus::Waiting, |standing| standing.status);
        let wanted = (self.wanted)(&origin, status);
        let full = self.kept.len() >= LETTERS_MAX;
        match self.kept.entry(origin) {
            Entry::Occupied(mut known) => {
                let letter = known.get_mut();
                letter.copies += 1;
                letter.parked = parked;
            }
            Entry::Vacant(place) if wanted && !full => {
                place.insert(Letter { parked, copies: 1, standing: standing.cloned() });
            }
            Entry::Vacant(place) => {
                self.others.insert(place.into_key(), (status, wanted));
            }
        }
    }

    fn finish(self) -> Shelf {
        let mut shelf = Shelf { unreadable: self.unreadable, ..Shelf::default() };
        for status in self.kept.values().map(Letter::status).chain(self.others.values().map(|(status, _)| *status)) {
            *shelf.counts.entry(status).or_default() += 1;
        }
        shelf.left_out = self.others.values().filter(|(_, wanted)| *wanted).count() as u64;
        shelf.letters = self.kept.into_values().collect();
        shelf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(offset: u64, error: &str) -> Vec<u8> {
        let letter = format!(
            r#"{{"v":1,"topic":"t","partition":0,"offset":{offset},"timestampMs":1,"parkedAtMs":2,"error":"{error}"}}"#
        );
        letter.into_bytes()
    }

    #[test]
    fn copies_are_one_letter_and_others_are_only_counted() {
        let standing = |status| Standing {
            status,
            attempts: 1,
            last_error: String::new(),
            who: "me".into(),
            why: "it".into(),
            updated_at_ms: 1,
        };
        let origin = |offset| Origin { topic: "t".into(), partition: 0, offset };
        let standings = HashMap::from([(origin(3), standing(LetterStatus::Dropped))]);
        let wanted = |_: &Origin, status| status == LetterStatus::Waiting;
        let mut sorter = Sorter { standings, wanted, kept: BTreeMap::new(), others: HashMap::new(), unreadable: 0 };
        for (offset, error) in [(9, "a"), (2, "b"), (9, "c"), (3, "d"), (3, "e")] {
            sorter.add(&payload(offset, error));
        }
        sorter.add(b"not a letter");
        let shelf = sorter.finish();
        let seen: Vec<_> =
            shelf.letters.iter().map(|it| (it.parked.offset, it.copies, it.parked.error.as_str())).collect();
        assert_eq!(seen, [(2, 1, "b"), (9, 2, "c")]);
        assert_eq!((shelf.unreadable, shelf.left_out), (1, 0));
        assert_eq!(shelf.counts, HashMap::from([(LetterStatus::Waiting, 2), (LetterStatus::Dropped, 1)]));
    }
}
