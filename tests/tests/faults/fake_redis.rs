//! A server on Redis' port that greets like a Redis and answers every other command with the same bytes.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it answers.
pub(crate) const HABITS: [&str; 14] = [
    "-NOSCRIPT No matching script.\r\n", // for ever, also after it was loaded
    "-READONLY You can't write against a read only replica.\r\n", // a primary that was demoted
    "-LOADING Redis is loading the dataset in memory\r\n", // a restart
    "-MOVED 3999 127.0.0.1:1\r\n",       // a cluster that is resharded
    "-CROSSSLOT Keys in request don't hash to the same slot\r\n", // a proxy that shards otherwise
    "-OOM command not allowed when used memory > 'maxmemory'.\r\n", // a full memory
    "-BUSY Redis is busy running a script.\r\n", // somebody's endless script
    "-MISCONF Redis is configured to save RDB snapshots\r\n", // a full disk
    "-ERR unknown command\r\n",          // another server altogether
    "+OK\r\n",                           // a friendly one
    "$5\r\nhello\r\n",                   // another one's data
    "*2\r\n$2\r\nOK\r\n:-1\r\n",         // a reply of the wrong length
    ":18446744073709551615\r\n",         // a number beyond all numbers
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", // not Redis at all
];

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habit {
    /// The bytes.
    pub(crate) answer: &'static str,
    /// Whether keys can be claimed, so that it comes to the scripts.
    pub(crate) claims: bool,
}

/// Starts one and says where. It ends with the test's runtime.
pub(crate) async fn start(habit: Habit) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, habit));
        }
    });
    address
}

async fn serve(client: TcpStream, Habit { answer, claims }: Habit) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let name = command(&mut client).await?;
        let answer = match name.as_str() {
            "PING" => "+PONG\r\n",
            "CLIENT" | "HELLO" | "SELECT" => "+OK\r\n",
            "SET" if claims => "$-1\r\n",
            _ => answer,
        };
        client.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Reads one command and gives back its name.
async fn command(client: &mut BufReader<TcpStream>) -> Option<String> {
    let count = number(client, '*').await?;
    let mut name = String::new();
    for index in 0..count {
        let length = number(client, '$').await?;
        let mut word = vec![0; length + 2];
        client.read_exact(&mut word).await.ok()?;
        if index == 0 {
            name = String::from_utf8_lossy(&word[..length]).to_uppercase();
        }
    }
    Some(name)
}

async fn number(client: &mut BufReader<TcpStream>, mark: char) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.strip_prefix(mark)?.trim_end().parse().ok()
}
