//! A certificate authority of its own for each server, and a certificate from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Authorities made so far.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// What a server with TLS needs, and its clients.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    /// The certificate of the authority, in PEM.
    pub(crate) ca_pem: String,
}

impl Identity {
    /// A certificate for these names or addresses, from an authority made for it alone.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut authority = CertificateParams::new(Vec::<String>::new()).expect("parameters without names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Each with a name of its own: one of the same name and another key would be a forgery, which is another fault.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("castmatch test authority {number}"));
        let authority_key = KeyPair::generate().expect("a key of the authority");
        let ca_pem = authority
            .self_signed(&authority_key)
            .expect("a certificate of the authority")
            .pem();
        let issuer = Issuer::new(authority, authority_key);

        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().expect("a key of the server");
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&key, &issuer))
            .expect("a certificate of the server");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the usual versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key belongs to the certificate");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem,
        }
    }
}
