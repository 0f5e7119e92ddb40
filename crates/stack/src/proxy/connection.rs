//! One connection through the proxy: reaches the server, moves bytes both ways, and ends as the fault says.

use std::sync::{Arc, PoisonError};

use tokio::net::TcpStream;

use super::{
    Fault, Shared,
    pipe::{Both, End, Pipe},
    traffic::Direction,
};

/// Serves one client until either side is done or the weather ends it. `number` tells connections apart, so that
/// each has jitter of its own.
pub(super) async fn run(mut client: TcpStream, shared: Arc<Shared>, number: u64) {
    let _open = shared.counters.open();
    let mut weather = shared.weather.subscribe();
    let mine = weather.borrow().disconnections;
    let torn = async {
        // Only the proxy itself has the sender, and it outlives us.
        let _ = weather.wait_for(|now| now.disconnections != mine).await;
    };
    let end = tokio::select! {
        biased;
        () = torn => End::Reset,
        end = serve(&mut client, &shared, number) => end,
    };
    if end == End::Reset {
        reset(&client);
    }
}

/// The client gets a reset instead of an orderly end, as soon as the stream is dropped.
pub(super) fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

async fn serve(client: &mut TcpStream, shared: &Shared, number: u64) -> End {
    // A client that connects into silence reaches no server before the silence is over.
    let _ = shared.weather.subscribe().wait_for(|now| now.fault != Fault::HalfOpen).await;
    let target = shared.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(target) = target else { return End::Reset };
    let Ok(mut server) = TcpStream::connect(&target).await else { return End::Reset };
    // A proxy must not make anything slower that it was not told to.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));

    let both = Both::default();
    let seed = shared.seed ^ number.wrapping_mul(2);
    let requests = Pipe::new(Direction::Requests, shared, &both, seed);
    let replies = Pipe::new(Direction::Replies, shared, &both, seed ^ 1);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let end = tokio::select! {
        end = requests.run(from_client, to_server) => end,
        end = replies.run(from_server, to_client) => end,
    };
    if end == End::Reset {
        reset(&server);
    }
    end
}
