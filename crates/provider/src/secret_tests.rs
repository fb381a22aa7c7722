#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;

const KEY: &str = "sk-canary-7f3a";

fn file_with(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

#[test]
fn a_file_of_mode_0600_or_0400_gives_its_key_without_white_space() {
    for mode in [0o600, 0o400] {
        let (_folder, path) = file_with(format!("  {KEY}\r\n").as_bytes(), mode);
        assert_eq!(Secret::from_file(&path).unwrap().reveal(), KEY);
    }
}

#[test]
fn modes_that_let_others_in_are_refused() {
    for bits in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o440] {
        let (_folder, path) = file_with(KEY.as_bytes(), bits);
        match Secret::from_file(&path) {
            Err(SecretError::Mode { mode, .. }) => assert_eq!(mode, bits),
            other => panic!("{bits:04o}: {other:?}"),
        }
    }
}

#[test]
fn a_link_is_not_followed_and_what_is_no_file_is_not_read() {
    let (folder, path) = file_with(KEY.as_bytes(), 0o600);
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(
        Secret::from_file(&link),
        Err(SecretError::Unreadable { .. })
    ));
    assert!(matches!(
        Secret::from_file(folder.path()),
        Err(SecretError::NotAFile { .. })
    ));
    assert!(matches!(
        Secret::from_file(&folder.path().join("absent")),
        Err(SecretError::Unreadable { .. })
    ));
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(
        Secret::from_file(&pipe),
        Err(SecretError::NotAFile { .. })
    ));
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let (_folder, path) = file_with(KEY.as_bytes(), 0o600);
    // Only root can give files away; for others the rule cannot be tried.
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
        match Secret::from_file(&path) {
            Err(SecretError::Owner { owner, expected, .. }) => assert_eq!((owner, expected), (65_534, 0)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_bound_on_the_length_is_exact() {
    let (_folder, path) = file_with(&[b'k'; MAX_SECRET_BYTES], 0o600);
    assert_eq!(Secret::from_file(&path).unwrap().reveal().len(), MAX_SECRET_BYTES);
    let (_folder, path) = file_with(&[b'k'; MAX_SECRET_BYTES + 1], 0o600);
    let error = Secret::from_file(&path).unwrap_err();
    assert!(
        matches!(
            error,
            SecretError::Invalid {
                problem: "longer than 4096 bytes",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let cases: [(&[u8], &str); 5] = [
        (b" \n", "empty"),
        (b"canary\ncanary", "more than one line"),
        (b"canary\xff", "not UTF-8"),
        (b"can\0ary", "holds characters that a header cannot hold"),
        ("canary…".as_bytes(), "holds characters that a header cannot hold"),
    ];
    for (text, expected) in cases {
        let (_folder, path) = file_with(text, 0o600);
        let error = Secret::from_file(&path).unwrap_err();
        match &error {
            SecretError::Invalid { problem, .. } => assert_eq!(*problem, expected),
            other => panic!("{other}"),
        }
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn the_environment_gives_keys_too() {
    // Cargo sets it for every test.
    let name = Secret::from_environment("CARGO_PKG_NAME").unwrap();
    assert_eq!(name.reveal(), "castmatch-provider");
    for variable in ["CASTMATCH_NO_SUCH_VARIABLE", "A=B", ""] {
        assert_eq!(
            Secret::from_environment(variable).unwrap_err(),
            SecretError::NotSet {
                variable: variable.to_owned()
            }
        );
    }
}

#[test]
fn debug_shows_nothing_of_a_key() {
    let secret = Secret::from_bytes(KEY.as_bytes(), String::new).unwrap();
    assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "… Some(\n    …,\n)");
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_of_visible_characters_or_an_error(bytes: Vec<u8>) {
        if let Ok(secret) = Secret::from_bytes(&bytes, String::new) {
            prop_assert!(secret.reveal().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert!(!secret.reveal().is_empty());
        }
    }
}
