//! TLS with the node that asks for it: taken where both sides believe each other, and each way not to be is said with the setting that it
//! is about.

use std::path::PathBuf;
use std::sync::MutexGuard;

use tally_store::{Cql, CqlIdentity, CqlSettings, CqlTls, StoreError};

use super::{ADMIN, Admin, ORDER, refusal, settings, variable};

/// Where the node speaks TLS only, `HOST:PORT`.
const TLS_HOST: &str = "TALLY_TEST_CQL_TLS";
/// The folder with the authority's certificate, and Tally's own and its key.
const CERTIFICATES: &str = "TALLY_TEST_CQL_CERTIFICATES";

fn file(name: &str) -> PathBuf {
    PathBuf::from(variable(CERTIFICATES)).join(name)
}

fn tls() -> CqlTls {
    CqlTls {
        authorities: file("authority.pem"),
        identity: Some(CqlIdentity {
            certificate: file("client.pem"),
            key: file("client.key"),
        }),
        verify_host: true,
    }
}

/// At a host by the name that is in the node's certificate.
fn encrypted(tls: CqlTls) -> CqlSettings {
    let port = variable(TLS_HOST).rsplit_once(':').unwrap().1.to_owned();
    CqlSettings {
        hosts: vec![format!("localhost:{port}")],
        tls: Some(tls),
        ..settings("guarded", ADMIN)
    }
}

/// Waits for the node's users, which nobody takes away for as long as this is held.
fn ready() -> MutexGuard<'static, ()> {
    let alone = ORDER.lock().unwrap();
    Admin::connect();
    alone
}

fn says(why: &str, words: &[&str]) {
    for word in words {
        assert!(why.contains(word), "no {word:?} in: {why}");
    }
}

#[test]
fn a_node_that_names_itself_is_believed() {
    let _alone = ready();
    Cql::open(&encrypted(tls())).unwrap();
}

/// The certificate names `localhost`, and no address.
#[test]
fn a_node_by_another_name_is_believed_only_where_names_do_not_matter() {
    let _alone = ready();
    let by_address = |verify_host| CqlSettings {
        hosts: vec![variable(TLS_HOST)],
        ..encrypted(CqlTls { verify_host, ..tls() })
    };
    let why = refusal(&by_address(true));
    says(&why, &["127.0.0.1", "localhost", "store_tls_verify_host"]);
    Cql::open(&by_address(false)).unwrap();
}

#[test]
fn whoever_does_not_believe_the_other_is_told() {
    let _alone = ready();
    let others = CqlTls {
        authorities: file("client.pem"),
        verify_host: false,
        ..tls()
    };
    says(
        &refusal(&encrypted(others)),
        &["localhost", "store_tls_ca", "client.pem"],
    );
    let nobody = CqlTls {
        identity: None,
        ..tls()
    };
    let why = refusal(&encrypted(nobody));
    says(&why, &["localhost", "store_tls_certificate", "store_tls_key"]);
}

/// A node that closes what is not TLS may only not be ready yet, so it is waited for.
#[test]
fn tls_on_one_side_only_is_said() {
    let _alone = ready();
    let plain_here = CqlSettings {
        tls: None,
        ..encrypted(tls())
    };
    match Cql::open(&plain_here) {
        Err(StoreError::Unavailable(why)) => says(&why, &["localhost", "asks for TLS", "store_tls"]),
        other => panic!("{other:?}"),
    }
    let plain_there = CqlSettings {
        tls: Some(tls()),
        ..settings("guarded", ADMIN)
    };
    let why = refusal(&plain_there);
    says(&why, &[&plain_there.hosts[0], "speaks no TLS", "store_tls"]);
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let wrong = |change: &dyn Fn(&mut CqlTls)| {
        let mut tls = tls();
        change(&mut tls);
        refusal(&encrypted(tls))
    };
    let identity = |certificate: &str, key: &str| {
        Some(CqlIdentity {
            certificate: file(certificate),
            key: file(key),
        })
    };
    let why = wrong(&|tls| tls.authorities = file("nothing.pem"));
    says(&why, &["cannot read store_tls_ca", "nothing.pem"]);
    let why = wrong(&|tls| tls.authorities = file("client.key"));
    says(&why, &["store_tls_ca", "client.key holds no certificate"]);
    let why = wrong(&|tls| tls.identity = identity("client.pem", "client.pem"));
    says(&why, &["store_tls_key", "client.pem holds no private key"]);
    let why = wrong(&|tls| tls.identity = identity("client.pem", "authority.key"));
    says(&why, &["store_tls_certificate", "store_tls_key", "do not go together"]);
}
