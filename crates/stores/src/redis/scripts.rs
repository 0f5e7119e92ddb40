//! The Lua scripts, each with the fence in front of it, and the one way to run them.

use super::meters::Operation;
use super::{Fence, StockError};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, ToRedisArgs, Value};
use std::sync::LazyLock;

/// One script and its SHA-1.
pub(super) struct Script {
    operation: Operation,
    source: String,
    sha1: String,
}

impl Script {
    fn new(operation: Operation, body: &str) -> Self {
        // The shebang makes Redis refuse undeclared cross-slot keys and refuse to begin a write when it is out of memory.
        let source = format!("#!lua\n{}\n{body}", include_str!("../../../../lua/fence.lua"));
        let sha1 = redis::Script::new(&source).get_hash().to_owned();
        Self { operation, source, sha1 }
    }
}

macro_rules! script {
    ($name:ident, $operation:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(Operation::$operation, include_str!(concat!("../../../../lua/", $file))));
    };
}

script!(RESERVE, Reserve, "reserve.lua");
script!(SNAPSHOT, Snapshot, "snapshot.lua");
script!(CONFIGURE, Configure, "configure.lua");
script!(CLOSE, Close, "close.lua");
script!(LOAD, Load, "load.lua");
script!(CONFIRM, Confirm, "confirm.lua");
script!(CLAIM, Claim, "claim.lua");
script!(RELEASE, Release, "release.lua");
script!(CAPACITY, Capacity, "capacity.lua");
script!(PAYMENT, Payment, "payment.lua");
script!(AUDIT, Audit, "audit.lua");

/// Where the keys begin: `EVALSHA hash count key…`.
const FIRST_KEY: usize = 3;

/// One call of a script, written straight into the command that will be sent.
pub(super) struct Call {
    script: &'static Script,
    command: Cmd,
    fence: Option<Fence>,
}

impl Call {
    /// A call with `key_count` keys; the first `key_count` arguments are the keys.
    pub(super) fn new(script: &'static Script, key_count: usize) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.sha1).arg(key_count);
        Self { script, command, fence: None }
    }

    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// The two arguments that every fenced script begins with.
    pub(super) fn fence(&mut self, fence: &Fence) -> &mut Self {
        self.fence = Some(fence.clone());
        self.arg(fence.epoch.0).arg(fence.replids.as_str())
    }

    /// The fence, if the script has one.
    pub(super) fn stands_before(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// What it is counted as.
    pub(super) fn operation(&self) -> Operation {
        self.script.operation
    }

    /// The first key; all keys of a script are in one slot.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self.command.args_iter().nth(FIRST_KEY)? {
            redis::Arg::Simple(key) => Some(key),
            _ => None,
        }
    }

    /// Runs the script by its hash, loading it first where Redis does not know it. `NOSCRIPT` proves that nothing ran,
    /// so this is the one error after which the call is made again.
    pub(super) async fn run(&self, connection: &mut MultiplexedConnection) -> Result<Value, StockError> {
        let first = connection.send_packed_command(&self.command).await.and_then(Value::extract_error);
        match first {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(&self.script.source);
                // Loading decides nothing, so whatever goes wrong here, the script did not run.
                let loaded = connection.send_packed_command(&load).await.and_then(Value::extract_error);
                loaded.map_err(|error| StockError::Refused(error.to_string()))?;
                let again = connection.send_packed_command(&self.command).await;
                again.and_then(Value::extract_error).map_err(classify)
            }
            other => other.map_err(classify),
        }
    }
}

/// Sorts an error by the one question that matters: may the script have changed anything?
pub(super) fn classify(error: RedisError) -> StockError {
    let refused = match error.kind() {
        ErrorKind::Server(kind) => !matches!(kind, ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort),
        // Codes the library does not know by name. All of them are raised before a script's first write.
        _ => matches!(
            error.code(),
            Some("OOM" | "BUSY" | "MISCONF" | "NOREPLICAS" | "NOAUTH" | "WRONGPASS" | "UNBLOCKED")
        ),
    };
    if refused { StockError::Refused(error.to_string()) } else { StockError::Unknown(error.to_string()) }
}
