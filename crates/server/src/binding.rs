//! Where the front ends listen: loopback, and beyond it only with a credential.

use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::TcpListener;

/// Listens on `address`; the setting's name is for the message. Must be called within the runtime.
pub(crate) async fn bind(setting: &str, address: &str, has_secret: bool) -> Result<TcpListener, String> {
    let resolved: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|error| format!("cannot resolve {address} (setting {setting}): {error}"))?
        .collect();
    if !has_secret && let Some(open) = resolved.iter().find(|address| !address.ip().is_loopback()) {
        return Err(format!(
            "{setting} would serve {open}, which others can reach: set auth_token, or serve 127.0.0.1 (setting {setting})"
        ));
    }
    TcpListener::bind(resolved.as_slice()).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => ": another process serves there; stop it, or set another",
            std::io::ErrorKind::PermissionDenied => ": this user may not; set a port from 1024 on",
            _ => "",
        };
        format!("cannot serve {address} (setting {setting}){advice} ({error})")
    })
}
