//! Compiles the one C file (src/pg/peek/peek.c) against the headers of the server that the extension is built for.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/pg/peek/peek.c";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=build.rs");
    let include = include_folder()?;
    cc::Build::new()
        .file(SOURCE)
        .include(&include)
        .flag("-std=gnu11")
        .flag_if_supported("-Wno-unused-parameter")
        .flag_if_supported("-Wno-sign-compare")
        .opt_level(3)
        .try_compile("castmatch_peek")?;
    Ok(())
}

/// The headers of the server: those of cargo-pgrx's choice, which it hands down or keeps in its configuration.
fn include_folder() -> Result<PathBuf, Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=PGRX_PG_CONFIG_PATH");
    let pg_config = match env::var_os("PGRX_PG_CONFIG_PATH") {
        Some(path) => PathBuf::from(path),
        None => {
            let label = major_version()?;
            pgrx_pg_config::Pgrx::from_config()?
                .get(&label)?
                .path()
                .ok_or("pgrx knows no pg_config for this major version")?
        }
    };
    println!("cargo:rerun-if-changed={}", pg_config.display());
    let output = Command::new(&pg_config).arg("--includedir-server").output()?;
    if !output.status.success() {
        return Err(format!("{} --includedir-server failed", pg_config.display()).into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The feature that names the major version, as `pg15`.
fn major_version() -> Result<String, Box<dyn Error>> {
    (14..=18)
        .map(|major| format!("pg{major}"))
        .find(|label| env::var_os(format!("CARGO_FEATURE_{}", label.to_uppercase())).is_some())
        .ok_or_else(|| "one of the features pg14 to pg18 must be on".into())
}
