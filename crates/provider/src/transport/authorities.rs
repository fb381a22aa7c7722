//! The certificate authorities that servers are checked against: the system's, and those of a file beside them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::failure::{Failure, FailureKind};

/// The longest file of authorities; all those that browsers trust together have a quarter of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Tells whether a file of authorities has changed. Of no file, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    /// # Errors
    /// There is no such file.
    pub(super) fn of(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let data = std::fs::metadata(path).map_err(|error| unusable(path, &reason(&error)))?;
        Ok(Self(Some((
            data.dev(),
            data.ino(),
            data.len(),
            data.mtime(),
            data.mtime_nsec(),
        ))))
    }
}

/// The system's authorities and those of the file.
///
/// # Errors
/// The file cannot be read or holds no certificates, or there are none at all.
pub(super) fn load(path: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    // Single certificates of the system that cannot be read are as good as absent.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = path {
        add_file(&mut store, path)?;
    }
    if store.is_empty() {
        return Err(Failure::new(
            FailureKind::Unreachable,
            "certificate authorities: the system has none, and no file of them is set",
        ));
    }
    Ok(store)
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), Failure> {
    let text = read(path).map_err(|problem| unusable(path, &problem))?;
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| unusable(path, "not PEM"))?;
        store
            .add(certificate)
            .map_err(|_| unusable(path, "holds a certificate that does not parse"))?;
    }
    if store.len() == before {
        return Err(unusable(path, "holds no certificate"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    // NONBLOCK: opening a pipe that nobody writes to would hold up every call of the process.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| reason(&error))?;
    if !file.metadata().is_ok_and(|data: Metadata| data.is_file()) {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::take(file, MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| reason(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("longer than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    error.kind().to_string()
}

fn unusable(path: &Path, problem: &str) -> Failure {
    Failure::new(
        FailureKind::Unreachable,
        format!("certificate authorities of \"{}\": {problem}", path.display()),
    )
}
