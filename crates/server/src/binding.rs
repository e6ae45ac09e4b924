//! Where the front ends listen: loopback, and beyond it only with a credential.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::{TcpListener, TcpSocket};

/// So many connections may wait to be accepted; the system's own limit (`net.core.somaxconn`) goes before. One beyond it waits a
/// second for its client to try again, as when many clients come back at once after a restart.
const BACKLOG: u32 = 4_096;

/// Listens on `address`; the setting's name is for the message. Must be called within the runtime.
pub(crate) fn bind(setting: &str, address: &str, has_secret: bool) -> Result<TcpListener, String> {
    let resolved: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|error| format!("cannot resolve {address} (setting {setting}): {error}"))?
        .collect();
    if !has_secret && let Some(open) = resolved.iter().find(|address| !address.ip().is_loopback()) {
        return Err(format!(
            "{setting} would serve {open}, which others can reach: set auth_token, or serve 127.0.0.1 (setting {setting})"
        ));
    }
    listen(&resolved).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => ": another process serves there; stop it, or set another",
            io::ErrorKind::PermissionDenied => ": this user may not; set a port from 1024 on",
            _ => "",
        };
        format!("cannot serve {address} (setting {setting}){advice} ({error})")
    })
}

/// On the first of the addresses that can be had.
fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "it resolves to no address");
    for address in addresses {
        match listen_on(*address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart need not wait for the connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
