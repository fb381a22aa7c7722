//! What can be seen without the database: files and the address.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::report::Report;
use crate::config::file::is_readable_by_others;

pub(super) fn file(report: &mut Report, path: &Path, holds: &str) {
    if is_readable_by_others(path) {
        report.warning(
            "files",
            format!("every user can read \"{}\", which holds {holds}", path.display()),
            format!("run chmod 600 \"{}\"", path.display()),
        );
    }
}

pub(super) fn address(report: &mut Report, address: SocketAddr) {
    match TcpListener::bind(address) {
        Ok(_) if address.ip().is_loopback() => report.ok("address", format!("{address} is free")),
        Ok(_) => report.warning(
            "address",
            format!(
                "{address} is reachable from other machines, and all but the HTTP front asks for no password"
            ),
            "listen on 127.0.0.1, or have a firewall or a proxy in front",
        ),
        Err(error) => {
            let (message, remedy) = match error.kind() {
                ErrorKind::AddrInUse => (
                    format!("{address} is in use"),
                    "if that is not a companion that runs already, choose another --listen",
                ),
                ErrorKind::AddrNotAvailable => (
                    format!("{address} is no address of this machine"),
                    "correct --listen",
                ),
                ErrorKind::PermissionDenied => (
                    format!("this account may not listen on {address}"),
                    "choose a port of 1024 or more with --listen",
                ),
                kind => (format!("cannot listen on {address} ({kind})"), "correct --listen"),
            };
            // A companion that runs is no fault, and cannot be told from another program without asking it.
            if error.kind() == ErrorKind::AddrInUse {
                report.warning("address", message, remedy);
            } else {
                report.error("address", message, remedy);
            }
        }
    }
}
