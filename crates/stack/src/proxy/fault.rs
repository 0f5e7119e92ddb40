//! What can go wrong between two programs, as plain data.

use std::time::Duration;

/// What the network does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Everything gets through.
    #[default]
    None,
    /// Connections are reset and new ones refused: a host that is up and a program that is not.
    Cut,
    /// New connections are reset as soon as they are made; those that are there go on.
    DropNew,
    /// Everything gets through, later: each direction by its own time and up to `jitter` more (chosen by the proxy's
    /// seed). Order within a connection is kept, and a delay is no limit of throughput.
    Delay {
        /// From client to server.
        requests: Duration,
        /// From server to client.
        replies: Duration,
        /// Up to this much more, each time.
        jitter: Duration,
    },
    /// Packets vanish: connections are accepted and stay silent, those that are there stall. Nothing is closed, and
    /// what was under way is delivered when the fault ends, as TCP would.
    HalfOpen,
    /// Requests get through, answers do not: the work is done and nobody hears of it. A connection that has lost
    /// an answer is reset when the fault ends, for a later answer would be taken for the one that is missing.
    SwallowReplies,
    /// As [`Fault::SwallowReplies`], but only on connections on which a request with these bytes in it has passed since:
    /// the answer to one certain step is lost (a `COMMIT`, say), and those before it arrive.
    SwallowAfter {
        /// Looked for in each piece of a request as it comes from the client.
        request: &'static [u8],
    },
    /// Each direction of each connection gets this many bytes per second (at least one).
    Drip {
        /// The rate, in bytes per second.
        bytes_per_second: u32,
    },
    /// After this many bytes of answers a connection is reset, in the middle of one.
    ResetInReply {
        /// How much of the answers still arrives, per connection, in bytes.
        after_bytes: u64,
    },
    /// After this many bytes (of both directions together) a connection is closed.
    CutAfter {
        /// How much still gets through, per connection, in bytes.
        bytes: u64,
    },
}

impl Fault {
    /// Whether answers may vanish.
    pub(super) const fn swallows(self) -> bool {
        matches!(self, Self::SwallowReplies | Self::SwallowAfter { .. })
    }
}

/// The fault of the moment and its history, as connections follow it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) fault: Fault,
    /// Goes up with each change of the fault: what is counted "since the fault" begins anew.
    pub(super) version: u64,
    /// How often all connections were reset; one that remembers a lower number has to go. A number rather than
    /// [`Fault::Cut`] itself, for a short cut could come and go between two looks.
    pub(super) disconnections: u64,
}

impl Weather {
    pub(super) fn change(&mut self, fault: Fault) {
        self.fault = fault;
        self.version += 1;
        if fault == Fault::Cut {
            self.disconnections += 1;
        }
    }
}
