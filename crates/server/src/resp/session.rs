//! What a connection has said of itself: its version of the protocol, its credential, its name.

use std::net::SocketAddr;
use std::sync::Arc;

use super::reply::Protocol;
use super::shared::Shared;

/// The state of one connection that commands look at and change.
#[derive(Debug)]
pub(super) struct Session {
    /// What all connections share.
    pub(super) shared: Arc<Shared>,
    /// Its number, never used again.
    pub(super) id: i64,
    /// Where the client is.
    pub(super) peer: SocketAddr,
    /// Where it came in.
    pub(super) local: SocketAddr,
    /// When it came, in microseconds of the monotonic clock.
    pub(super) since_us: u64,
    /// The version it speaks.
    pub(super) protocol: Protocol,
    /// Whether it has shown the credential, or needs none.
    pub(super) authenticated: bool,
    /// CLIENT SETNAME.
    pub(super) name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub(super) library: String,
    /// CLIENT SETINFO LIB-VER.
    pub(super) library_version: String,
}

impl Session {
    /// A connection that has just come.
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            id: shared.next_id(),
            peer,
            local,
            since_us: crate::world::monotonic_us(),
            protocol: Protocol::Resp2,
            authenticated: !shared.service.access().is_required(),
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            shared,
        }
    }

    /// RESET: as it has just come, its number kept.
    pub(super) fn reset(&mut self) {
        self.protocol = Protocol::Resp2;
        self.authenticated = !self.shared.service.access().is_required();
        self.name.clear();
    }

    /// Takes a user and a password. Only the user `default` is there, with the setting `auth_token` as its password.
    pub(super) fn authenticate(&mut self, user: &[u8], password: &[u8]) -> bool {
        let allowed = user == b"default" && self.shared.service.access().allows(password);
        self.authenticated |= allowed;
        allowed
    }
}
