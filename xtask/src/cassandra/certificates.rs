//! Certificates for a cluster that we started: an authority that lives for a day, the nodes', and Tally's own. Made by openssl, read by Cassandra
//! as PEM files.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command;

/// What Tally's certificate is called.
const CLIENT: &str = "client";

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority and what it signed, in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
    authority: Identity,
}

impl Certificates {
    /// A new authority.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let authority = identity(folder, "authority");
        make(folder, &authority, "authority", &[])?;
        let certificates = Self {
            folder: folder.to_path_buf(),
            authority,
        };
        certificates.signed(CLIENT, "DNS:tally")?;
        Ok(certificates)
    }

    /// The file with the authority's certificate.
    pub(crate) fn authority(&self) -> &Path {
        &self.authority.certificate
    }

    /// The folder that all of it is in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tally's own.
    pub(crate) fn client(&self) -> Identity {
        identity(&self.folder, CLIENT)
    }

    /// A node's, key and certificate in one file, for a name such as `IP:127.0.0.1` or `DNS:localhost`.
    pub(super) fn node(&self, number: usize, name: &str) -> Result<PathBuf> {
        let identity = self.signed(&format!("node{number}"), name)?;
        let both = self.folder.join(format!("node{number}.both.pem"));
        let key = std::fs::read_to_string(&identity.key)?;
        std::fs::write(&both, key + &std::fs::read_to_string(&identity.certificate)?)?;
        Ok(both)
    }

    fn signed(&self, what: &str, name: &str) -> Result<Identity> {
        let identity = identity(&self.folder, what);
        let name = format!("subjectAltName={name}");
        let by = [
            "-CA",
            text(&self.authority.certificate),
            "-CAkey",
            text(&self.authority.key),
            "-addext",
            &name,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        make(&self.folder, &identity, what, &by)?;
        Ok(identity)
    }
}

fn identity(folder: &Path, what: &str) -> Identity {
    Identity {
        certificate: folder.join(format!("{what}.pem")),
        key: folder.join(format!("{what}.key")),
    }
}

fn make(folder: &Path, identity: &Identity, what: &str, by: &[&str]) -> Result<()> {
    let subject = format!("/CN=tally test {what}");
    let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    arguments.extend(["-nodes", "-days", "1", "-subj", &subject]);
    arguments.extend(["-keyout", text(&identity.key), "-out", text(&identity.certificate)]);
    arguments.extend(by);
    command::output(&mut command::program("openssl", folder, &arguments)).map(drop)
}

/// Our own folders are UTF-8; another one fails where it is used.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
