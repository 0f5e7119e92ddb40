//! Owns a whole stack until it is killed, and tells where it is: data directory and pids, one a line, in the file it is
//! given. For seeing, by hand or from a test, that servers and data never outlive their owner.

use flash_stack::{Stack, StackOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: owner FILE")?;
    let stack = Stack::start(StackOptions::default()).await?;
    let pids: Vec<String> = [stack.redis(), stack.mysql(), stack.kafka()]
        .iter()
        .filter_map(|server| server.pid())
        .map(|pid| pid.to_string())
        .collect();
    // Whole or not at all: the reader waits for the file to appear.
    std::fs::write(format!("{file}.new"), format!("{}\n{}", stack.dir().display(), pids.join("\n")))?;
    std::fs::rename(format!("{file}.new"), file)?;
    std::future::pending::<()>().await;
    Ok(())
}
