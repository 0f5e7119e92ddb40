//! `top` on a terminal: feeds the dashboard and waits for its end.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use crate::{
    exit::Exit,
    live::{
        recording::{Recording, Stopped},
        watch::Watch,
    },
    report::Failure,
    terminal::Terminal,
    top::{self, News, Source, Theme, TopOptions},
};

/// Samples that wait to be drawn; more are left out, as if they had not been taken.
const WAITING_MAX: usize = 8;

/// What is shown, and how.
pub(super) struct Look {
    pub(super) theme: Theme,
    pub(super) title: String,
    pub(super) interval: Duration,
    pub(super) recording_to: Option<PathBuf>,
}

/// Shows what is. That recording ended is shown, and said once more afterwards.
pub(super) async fn live(mut watch: Watch, look: Look, terminal: &Terminal) -> Result<Exit, Failure> {
    let (sender, samples) = mpsc::sync_channel(WAITING_MAX);
    let stopped: Arc<Mutex<Option<Stopped>>> = Arc::default();
    let news = Arc::clone(&stopped);
    let feeder = tokio::spawn(async move {
        // Unlike a sample it must not be lost, however busy the screen is.
        let mut untold = None;
        loop {
            let sample = watch.next().await;
            if let Some(why) = watch.stopped() {
                untold = Some(why.brief());
                *news.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
            if let Some(why) = untold.take()
                && let Err(mpsc::TrySendError::Full(_)) = sender.try_send(News::RecordingEnded(why.clone()))
            {
                untold = Some(why);
            }
            if let Err(mpsc::TrySendError::Disconnected(_)) = sender.try_send(News::Sample(sample)) {
                return;
            }
        }
    });
    let exit = show(Source::Live(samples), look).await;
    feeder.abort();
    let stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (exit, stopped) {
        (Ok(exit), Some(why @ Stopped::Full)) => {
            terminal.talk(&why.to_string());
            Ok(exit)
        }
        (Ok(_), Some(why @ Stopped::Failed(_))) => Err(Failure::message(why.to_string())),
        (exit, _) => exit,
    }
}

/// Shows what was.
pub(super) async fn replay(recording: Recording, look: Look) -> Result<Exit, Failure> {
    show(Source::Replay(recording), look).await
}

async fn show(source: Source, look: Look) -> Result<Exit, Failure> {
    let Look { theme, title, interval, recording_to } = look;
    let options = TopOptions { source, theme, interval, title, recording_to };
    // It blocks, and the daemons are asked meanwhile.
    tokio::task::spawn_blocking(|| top::run(options)).await.map_err(Failure::from_error)?
}
