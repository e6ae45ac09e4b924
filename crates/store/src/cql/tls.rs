//! Encrypted connections to the cluster: whom Tally believes, and who Tally is. Guards: a node is believed only if an authority of the
//! operator's has signed its certificate, and it names the node's address or a host of the store's URL (the others are found by address only).
//! Does not: ask whether a certificate was revoked, or read the files again while Tally runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::settings::name_of;
use crate::StoreError;

/// How connections are encrypted. All files are PEM.
#[derive(Clone, Debug)]
pub struct CqlTls {
    /// Certificates of the authorities that are believed.
    pub authorities: PathBuf,
    /// Tally's own certificate, for clusters that ask for one.
    pub identity: Option<CqlIdentity>,
    /// Whether a node's certificate must name it; if not, any that an authority has signed is taken.
    pub verify_host: bool,
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct CqlIdentity {
    /// The certificate, and those between it and its authority behind it.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// What the driver encrypts with. `Refused`: which setting's file is missing or holds something else.
pub(super) fn config(tls: &CqlTls, hosts: &[String]) -> Result<Arc<ClientConfig>, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let nodes = Nodes {
        authorities: authorities(&tls.authorities)?,
        names: tls.verify_host.then(|| names(hosts)),
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Refused(format!("no version of TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(nodes));
    let Some(CqlIdentity { certificate, key }) = &tls.identity else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates("store_tls_certificate", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread("store_tls_key", key, KEY, &error))?;
    let config = builder.with_client_auth_cert(chain, private).map_err(|error| {
        StoreError::Refused(format!(
            "store_tls_certificate {} and store_tls_key {} do not go together: {error}",
            certificate.display(),
            key.display()
        ))
    })?;
    Ok(Arc::new(config))
}

const CERTIFICATE: &str = "certificate (PEM, -----BEGIN CERTIFICATE-----)";
const KEY: &str = "private key that can be read (PEM, -----BEGIN PRIVATE KEY-----, not encrypted)";

fn authorities(file: &Path) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("store_tls_ca", file)? {
        roots.add(certificate).map_err(|error| {
            StoreError::Refused(format!(
                "store_tls_ca {} holds a certificate of no authority: {error}",
                file.display()
            ))
        })?;
    }
    Ok(roots)
}

fn certificates(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let unread = |error: &pem::Error| unread(setting, file, CERTIFICATE, error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| unread(&error))?
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err(unread(&pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(unread(&error)),
    }
}

fn unread(setting: &str, file: &Path, what: &str, error: &pem::Error) -> StoreError {
    let shown = file.display();
    StoreError::Refused(match error {
        pem::Error::Io(error) => format!("cannot read {setting} {shown}: {error}"),
        pem::Error::NoItemsFound => format!("{setting} {shown} holds no {what}"),
        error => format!("{setting} {shown} is no PEM: {error}"),
    })
}

/// The hosts of the store's URL as certificates name them.
fn names(hosts: &[String]) -> Vec<ServerName<'static>> {
    let name = |host: &String| ServerName::try_from(name_of(host).to_owned()).ok();
    hosts.iter().filter_map(name).collect()
}

/// Says which nodes are believed.
struct Nodes {
    authorities: RootCertStore,
    /// Names that a certificate may have besides the node's address; `None`: it may have any.
    names: Option<Vec<ServerName<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Nodes {
    /// The driver knows a node by its address and gives that as its name.
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.authorities, between, now, algorithms)?;
        if let Some(names) = &self.names {
            let by_address = verify_server_name(&certificate, address);
            if !names.iter().any(|name| verify_server_name(&certificate, name).is_ok()) {
                by_address?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
