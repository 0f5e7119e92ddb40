//! Telling other tools, by way of MySQL, that this process is there and where its admin plane answers.
//!
//! Whether that succeeds changes nothing else: selling neither waits for it nor learns of it.

use crate::app::App;
use crate::service::Addresses;
use flash_stores::mysql::daemons::{self, ANNOUNCE_EVERY_MS, Announcement};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How long a daemon that stops takes to say so.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(1);

/// Says it every few seconds until the future is dropped.
pub(crate) async fn keep(app: Arc<App>, addresses: Addresses) {
    let mut ticks = tokio::time::interval(Duration::from_millis(ANNOUNCE_EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complained = false;
    loop {
        ticks.tick().await;
        match daemons::announce(&app.db, &announcement(&app, addresses)).await {
            Ok(()) => complained = false,
            Err(error) if !complained => {
                tracing::warn!(%error, "this daemon is not listed for flashctl; nothing else suffers");
                complained = true;
            }
            Err(_) => {}
        }
    }
}

/// Takes this process off the list. In vain, it falls off by itself.
pub(crate) async fn withdraw(app: &App) {
    let gone = daemons::withdraw(&app.db, &app.instance);
    if !matches!(tokio::time::timeout(WITHDRAW_PATIENCE, gone).await, Ok(Ok(()))) {
        tracing::debug!("this daemon stays listed for a moment");
    }
}

fn announcement(app: &App, addresses: Addresses) -> Announcement {
    let advertised = app.config.admin.advertise.clone();
    Announcement {
        instance: app.instance.clone(),
        role: app.config.role.as_str().to_owned(),
        node: app.shop.as_ref().and_then(|shop| shop.ids.node()),
        admin_url: advertised.unwrap_or_else(|| url(addresses.admin)),
        api_url: addresses.api.map(url),
        build: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Where a bound address can be reached: one that stands for all of this machine's is told by the machine's name.
fn url(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return format!("http://{address}");
    }
    let system = rustix::system::uname();
    format!("http://{}:{}", system.nodename().to_string_lossy(), address.port())
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn an_address_for_all_is_told_by_name() {
        assert_eq!(url("127.0.0.1:3900".parse().unwrap()), "http://127.0.0.1:3900");
        assert_eq!(url("[::1]:3900".parse().unwrap()), "http://[::1]:3900");
        let told = url("0.0.0.0:3900".parse().unwrap());
        assert!(told.ends_with(":3900") && !told.contains("0.0.0.0") && told.len() > "http://:3900".len(), "{told}");
    }
}
