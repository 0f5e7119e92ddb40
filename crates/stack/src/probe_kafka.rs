//! The Kafka question: ApiVersions (does it speak?), then Metadata (does it know itself as a broker, so that
//! a client would get an address to produce to?).

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
/// Old enough for every broker in use, new enough for Kafka 4 (which dropped the oldest), and not yet in the
/// compact encoding.
const METADATA_VERSION: i16 = 4;
/// No answer to these two questions is anywhere near this size on a broker we would use.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

pub(crate) async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    let answer = exchange(stream, API_VERSIONS, 0, &[]).await?;
    let error = i16::from_be_bytes(bytes_at(&answer, 0)?);
    if error != 0 {
        return Err(io::Error::other(format!("ApiVersions was answered with error {error}")));
    }
    // An empty list of topics (not the null list, which means all), and no topic is to be created.
    let answer = exchange(stream, METADATA, METADATA_VERSION, &[0, 0, 0, 0, 0]).await?;
    // After the throttle time comes the list of brokers.
    let brokers = i32::from_be_bytes(bytes_at(&answer, 4)?);
    if brokers < 1 {
        return Err(io::Error::other("the broker has not registered itself yet"));
    }
    Ok(())
}

async fn exchange(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    const CORRELATION: i32 = 7;
    const CLIENT: &[u8] = b"flash-stack";
    let mut request = Vec::with_capacity(64);
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend(i16::try_from(CLIENT.len()).unwrap_or(0).to_be_bytes());
    request.extend(CLIENT);
    request.extend(body);
    let length = u32::try_from(request.len()).unwrap_or(0);
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&request).await?;

    let length = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
    if !(4..=MAX_ANSWER_BYTES).contains(&length) {
        return Err(io::Error::other(format!("an answer of {length} bytes is not the Kafka protocol")));
    }
    let correlation = stream.read_i32().await?;
    if correlation != CORRELATION {
        return Err(io::Error::other("the answer belongs to another question"));
    }
    let mut answer = vec![0; length - 4];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn bytes_at<const N: usize>(answer: &[u8], offset: usize) -> io::Result<[u8; N]> {
    answer
        .get(offset..offset + N)
        .and_then(|slice| slice.try_into().ok())
        .ok_or_else(|| io::Error::other("the answer is too short"))
}
