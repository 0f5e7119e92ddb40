//! One direction of one connection: reads, and hands on as the weather allows.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Fault, Shared,
    fault::Weather,
    traffic::{Counters, Direction},
};

const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that were read and wait for their time: a delay must not throttle.
const CHUNKS_UNDER_WAY: usize = 64;
/// How often a dripping pipe gives a piece.
const DRIPS_PER_SECOND: u32 = 20;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// In order: everything that was read has been handed on.
    Closed,
    /// By a reset: whatever was under way is gone.
    Reset,
}

/// What the two directions of a connection know of each other.
#[derive(Debug, Default)]
pub(super) struct Both {
    /// Bytes of both directions, for [`Fault::CutAfter`].
    moved: AtomicU64,
    /// The version of the weather in which the request of [`Fault::SwallowAfter`] has passed.
    passed_in: AtomicU64,
}

pub(super) struct Pipe<'a> {
    direction: Direction,
    weather: watch::Receiver<Weather>,
    counters: &'a Counters,
    both: &'a Both,
    /// Which version of the weather `moved_mine` counts from.
    version: u64,
    /// Bytes of this direction, and `moved` as it was, when this weather began.
    mine: u64,
    moved_before: u64,
    /// An answer was lost: nothing after it may arrive.
    lost: bool,
    random: u64,
}

struct Chunk {
    read_at: Instant,
    bytes: Vec<u8>,
}

/// What is to be done with a chunk.
enum Step {
    Pass,
    Wait(Duration),
    /// This many bytes, then the end.
    PassThen(usize, End),
    Swallow,
    Drip(u32),
    /// Until the weather changes.
    Stall,
}

impl<'a> Pipe<'a> {
    pub(super) fn new(direction: Direction, shared: &'a Shared, both: &'a Both, seed: u64) -> Pipe<'a> {
        let weather = shared.weather.subscribe();
        let version = weather.borrow().version;
        let counters = &shared.counters;
        Pipe { direction, weather, counters, both, version, mine: 0, moved_before: 0, lost: false, random: seed }
    }

    /// Until one side ends or the weather ends it.
    pub(super) async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> End {
        let (queue, mut chunks) = mpsc::channel(CHUNKS_UNDER_WAY);
        let mut reading = pin!(read_into(queue, &mut from));
        let mut writing = pin!(async {
            while let Some(chunk) = self.next(&mut chunks).await {
                if let Some(end) = self.hand_on(chunk, &mut to).await {
                    return end;
                }
            }
            // The other side is gone. In silence, even that does not arrive.
            let _ = self.weather.wait_for(|now| now.fault != Fault::HalfOpen).await;
            if self.lost { End::Reset } else { End::Closed }
        });
        tokio::select! {
            end = &mut writing => return end,
            // That was the last chunk; the queue is closed, and what is in it still goes its way.
            () = &mut reading => {}
        }
        writing.await
    }

    /// The next chunk; `None` when there is none to come, or none that may still arrive.
    async fn next(&mut self, chunks: &mut mpsc::Receiver<Chunk>) -> Option<Chunk> {
        if !self.lost {
            return chunks.recv().await;
        }
        tokio::select! {
            biased;
            _ = self.weather.wait_for(|now| !now.fault.swallows()) => None,
            chunk = chunks.recv() => chunk,
        }
    }

    /// Hands one chunk on. `Some` when that was the last.
    async fn hand_on(&mut self, chunk: Chunk, to: &mut WriteHalf<'_>) -> Option<End> {
        let mut rest = chunk.bytes.as_slice();
        let mut late_enough = false;
        while !rest.is_empty() {
            match self.step(rest, late_enough) {
                Step::Pass => return self.write(to, rest).await.err(),
                Step::Wait(delay) => {
                    sleep_until(chunk.read_at + delay).await;
                    late_enough = true;
                }
                Step::PassThen(bytes, end) => {
                    let _ = self.write(to, &rest[..bytes]).await;
                    return Some(end);
                }
                Step::Swallow => {
                    self.counters.swallowed(rest.len());
                    self.lost = true;
                    return None;
                }
                Step::Drip(bytes_per_second) => {
                    let piece = usize::try_from(bytes_per_second.div_ceil(DRIPS_PER_SECOND)).unwrap_or(1).max(1);
                    let piece = piece.min(rest.len());
                    if let Err(end) = self.write(to, &rest[..piece]).await {
                        return Some(end);
                    }
                    rest = &rest[piece..];
                    let pieces = u32::try_from(piece).unwrap_or(1);
                    sleep(Duration::from_secs(1) * pieces / bytes_per_second.max(1)).await;
                }
                Step::Stall => {
                    let _ = self.weather.wait_for(|now| now.fault != Fault::HalfOpen).await;
                }
            }
        }
        None
    }

    /// What the weather of this moment does to these bytes.
    fn step(&mut self, bytes: &[u8], late_enough: bool) -> Step {
        let (now, length) = (*self.weather.borrow(), bytes.len());
        let moved = self.both.moved.load(Ordering::Relaxed);
        if now.version != self.version {
            (self.version, self.mine, self.moved_before) = (now.version, 0, moved);
        }
        let replies = self.direction == Direction::Replies;
        match now.fault {
            Fault::SwallowReplies if replies => Step::Swallow,
            Fault::SwallowAfter { .. } if replies && self.both.passed_in.load(Ordering::Acquire) == now.version => {
                Step::Swallow
            }
            Fault::SwallowAfter { request } if !replies && contains(bytes, request) => {
                self.both.passed_in.store(now.version, Ordering::Release);
                Step::Pass
            }
            _ if self.lost => Step::PassThen(0, End::Reset),
            Fault::Delay { requests, replies: answers, jitter } if !late_enough => {
                let delay = if replies { answers } else { requests };
                Step::Wait(delay + jitter.mul_f64(self.random()))
            }
            Fault::HalfOpen => Step::Stall,
            Fault::Drip { bytes_per_second } => Step::Drip(bytes_per_second),
            Fault::ResetInReply { after_bytes } if replies => {
                pass_up_to(length, after_bytes.saturating_sub(self.mine), End::Reset)
            }
            Fault::CutAfter { bytes } => {
                pass_up_to(length, bytes.saturating_sub(moved - self.moved_before), End::Closed)
            }
            _ => Step::Pass,
        }
    }

    async fn write(&mut self, to: &mut WriteHalf<'_>, bytes: &[u8]) -> Result<(), End> {
        self.mine += bytes.len() as u64;
        self.both.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.counters.passed(self.direction, bytes.len());
        to.write_all(bytes).await.map_err(|_| End::Reset)
    }

    /// From 0 to 1, by the seed (splitmix64).
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// All `length` bytes if the budget allows, or what is left of it and then the end.
fn pass_up_to(length: usize, budget: u64, end: End) -> Step {
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    if length <= budget { Step::Pass } else { Step::PassThen(budget, end) }
}

async fn read_into(queue: mpsc::Sender<Chunk>, from: &mut ReadHalf<'_>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let chunk = Chunk { read_at: Instant::now(), bytes: buffer[..length].to_vec() };
        if queue.send(chunk).await.is_err() {
            return;
        }
    }
}
