//! Why a node and Tally did not come to speak with each other: TLS on one side only, or a certificate that one side does not believe. Each is
//! named with its setting. What only an operator can mend is refused; what may pass (a node that closes the connection) is waited for.

use std::io;

use rustls::{CertificateError, Error};
use scylla::errors::{
    BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind,
    FrameHeaderParseError, MetadataError, NewSessionError,
};

use super::{CqlSettings, CqlTls};
use crate::StoreError;

/// Of the last node that was tried; `None`: it was something else.
pub(super) fn failure(error: &NewSessionError, settings: &CqlSettings) -> Option<StoreError> {
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
        last_connection_error,
    })) = error
    else {
        return None;
    };
    let hosts = settings.hosts.join(",");
    match (last_connection_error, &settings.tls) {
        (ConnectionError::IoError(error), Some(tls)) => of_tls(error, tls, &hosts),
        (ConnectionError::ConnectionSetupRequestError(setup), tls) => {
            let ConnectionSetupRequestErrorKind::BrokenConnection(broken) = &setup.error else {
                return None;
            };
            let Some(BrokenConnectionErrorKind::FrameHeaderParseError(header)) = broken.downcast_ref() else {
                return None;
            };
            match (header, tls) {
                (FrameHeaderParseError::HeaderIoError(error), Some(tls)) => of_tls(error, tls, &hosts),
                (header, None) => of_plain(header, &hosts),
                (_, Some(_)) => None,
            }
        }
        _ => None,
    }
}

/// Without TLS, the node said nothing or nothing of CQL.
fn of_plain(header: &FrameHeaderParseError, hosts: &str) -> Option<StoreError> {
    match header {
        FrameHeaderParseError::HeaderIoError(error) => Some(StoreError::Unavailable(format!(
            "{hosts} takes connections and closes them before it has said anything ({error}): it is not ready, or it asks for TLS, which is off (set store_tls and store_tls_ca)"
        ))),
        FrameHeaderParseError::FrameFromClient | FrameHeaderParseError::VersionNotSupported(_) => {
            Some(StoreError::Refused(format!(
                "{hosts} speaks something else than CQL: if it asks for TLS, which is off, set store_tls and store_tls_ca; if not, mend the port in store"
            )))
        }
        _ => None,
    }
}

fn of_tls(error: &io::Error, tls: &CqlTls, hosts: &str) -> Option<StoreError> {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        );
        return closed.then(|| {
            StoreError::Unavailable(format!(
                "{hosts} takes connections and closes them at the beginning of TLS ({error}): it is not ready, or it speaks no TLS at that port (settings store, store_tls)"
            ))
        });
    };
    let text = match error {
        Error::InvalidCertificate(why) => certificate(why, tls),
        Error::InvalidMessage(_) => {
            "it speaks no TLS at that port: name its TLS port in store, switch TLS on there, or set store_tls to false, which sends everything readable".to_owned()
        }
        Error::AlertReceived(alert) => match &tls.identity {
            None => format!(
                "it refused the connection ({alert:?}): most often it asks for a certificate of Tally's; set store_tls_certificate and store_tls_key"
            ),
            Some(identity) => format!(
                "it refused the connection ({alert:?}): most often it does not believe Tally's certificate (store_tls_certificate {}), or that has expired",
                identity.certificate.display()
            ),
        },
        error => format!("TLS failed: {error}"),
    };
    Some(StoreError::Refused(format!("no connection to {hosts}: {text}")))
}

/// What is wrong with a node's certificate.
fn certificate(why: &CertificateError, tls: &CqlTls) -> String {
    let ca = tls.authorities.display();
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("its certificate is of no authority in store_tls_ca {ca}")
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate of {} names neither that address nor a host of the setting store, but {}: name the hosts in store as certificates do, or set store_tls_verify_host to false, which takes any certificate of store_tls_ca {ca}",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid now ({why}): renew it, or mend the clock here")
        }
        why => format!("its certificate is not taken: {why}"),
    }
}
