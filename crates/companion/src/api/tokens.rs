//! Who may use the HTTP front: the tokens of a TOML file, kept as SHA-256 digests. No error and no `Debug` here shows one.

use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::Semaphore;
use toml::{Table, Value};

use super::limiter::Limiter;
use super::operation;
use crate::config::file::{TomlFile, warn_if_readable_by_others};
use crate::error::StartError;

/// Shorter ones could be guessed.
const MIN_TOKEN_CHARS: usize = 20;

/// Where the file says nothing.
const DEFAULT_PER_MINUTE: u32 = 60;

const KEYS: [&str; 6] = [
    "name",
    "sha256",
    "token",
    "role",
    "operations",
    "requests_per_minute",
];

/// A holder of a token.
pub struct Holder {
    /// For the log.
    pub name: String,
    /// The role that its requests run as.
    pub role: String,
    digest: [u8; 32],
    operations: Vec<&'static str>,
    /// How often it may come.
    pub limiter: Limiter,
    /// Connections that it may use at once; none before [`Tokens::share_out`], as of the requests.
    pub connections: Semaphore,
    /// Requests that it may have in flight.
    pub in_flight: Semaphore,
}

impl Holder {
    /// Whether the token is for that operation.
    #[must_use]
    pub fn may(&self, operation: &str) -> bool {
        self.operations.contains(&operation)
    }
}

/// All of them.
pub struct Tokens(Vec<Holder>);

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or an entry is wrong; names the entry and the key.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        warn_if_readable_by_others(path, "tokens");
        let file = TomlFile::open(path)?;
        Self::read(&file.table).map_err(|problem| file.error(&problem))
    }

    fn read(table: &Table) -> Result<Self, String> {
        if let Some(key) = table.keys().find(|key| *key != "token") {
            return Err(format!("there is no setting \"{key}\" (only [[token]])"));
        }
        let entries = match table.get("token") {
            Some(Value::Array(entries)) if !entries.is_empty() => entries,
            _ => return Err("it has no [[token]]".to_owned()),
        };
        let mut holders: Vec<Holder> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let number = index + 1;
            let entry = entry
                .as_table()
                .ok_or_else(|| format!("token {number} is not a table"))?;
            let holder = holder(entry).map_err(|problem| format!("token {number}: {problem}"))?;
            if holders.iter().any(|other| other.name == holder.name) {
                return Err(format!("token {number}: another one has the same name"));
            }
            if holders.iter().any(|other| other.digest == holder.digest) {
                return Err(format!("token {number}: it is the same as another one"));
            }
            holders.push(holder);
        }
        Ok(Self(holders))
    }

    /// The holder of a token. Takes as long for a wrong one as for a right one, whichever it is.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<&Holder> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = u64::MAX;
        for (index, holder) in self.0.iter().enumerate() {
            let equal: Choice = holder.digest.ct_eq(&digest);
            found.conditional_assign(&(index as u64), equal);
        }
        self.0.get(usize::try_from(found).ok()?)
    }

    /// Says how many connections each holder may use at once, and how many requests it may have in flight.
    pub fn share_out(&self, connections: usize, in_flight: usize) {
        for holder in &self.0 {
            holder.connections.add_permits(connections);
            holder.in_flight.add_permits(in_flight);
        }
    }

    /// The roles, each once.
    #[must_use]
    pub fn roles(&self) -> Vec<&str> {
        let mut roles: Vec<&str> = self.0.iter().map(|holder| holder.role.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn holder(entry: &Table) -> Result<Holder, String> {
    if let Some(key) = entry.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "there is no key \"{key}\" (there are {})",
            KEYS.join(", ")
        ));
    }
    let digest = match (entry.get("sha256"), entry.get("token")) {
        (Some(digest), None) => {
            let digest = digest.as_str().and_then(hex);
            digest.ok_or("sha256 must be 64 hexadecimal digits")?
        }
        (None, Some(token)) => {
            let long = |token: &&str| token.chars().count() >= MIN_TOKEN_CHARS;
            let token = token.as_str().filter(long);
            let token = token
                .ok_or_else(|| format!("token must be a string of {MIN_TOKEN_CHARS} characters or more"))?;
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("token must be of printable ASCII characters without blanks".to_owned());
            }
            Sha256::digest(token.as_bytes()).into()
        }
        _ => return Err("give either sha256 or token".to_owned()),
    };
    let per_minute = match entry.get("requests_per_minute") {
        None => DEFAULT_PER_MINUTE,
        Some(value) => value
            .as_integer()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number > 0)
            .ok_or("requests_per_minute must be a whole number, 1 or more")?,
    };
    Ok(Holder {
        name: text(entry, "name")?,
        role: role(entry)?,
        digest,
        operations: operations(entry)?,
        limiter: Limiter::new(per_minute),
        connections: Semaphore::new(0),
        in_flight: Semaphore::new(0),
    })
}

fn role(entry: &Table) -> Result<String, String> {
    let role = text(entry, "role")?;
    // SET ROLE none would be no role at all.
    if role == "none" || role.contains('\0') {
        return Err("role must be the name of a role".to_owned());
    }
    Ok(role)
}

fn text(entry: &Table, key: &str) -> Result<String, String> {
    let text = entry
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .ok_or_else(|| format!("{key} must be a string"))
}

fn operations(entry: &Table) -> Result<Vec<&'static str>, String> {
    let known = operation::OPERATIONS.map(|operation| operation.name).join(", ");
    let wrong = || format!("operations must be an array of some of {known}");
    let listed = entry
        .get("operations")
        .and_then(Value::as_array)
        .ok_or_else(wrong)?;
    let read = |value: &Value| operation::named(value.as_str()?).map(|operation| operation.name);
    let operations: Option<Vec<_>> = listed.iter().map(read).collect();
    operations
        .filter(|operations| !operations.is_empty())
        .ok_or_else(wrong)
}

fn hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECRET: &str = "s3cret-s3cret-s3cret-s3cret";

    fn read(text: &str) -> Result<Tokens, String> {
        Tokens::read(&text.parse().unwrap())
    }

    fn entry(lines: &str) -> String {
        format!("[[token]]\nname = \"shop\"\nrole = \"app\"\noperations = [\"match\"]\n{lines}\n")
    }

    #[test]
    fn a_token_is_found_by_itself_or_by_its_digest_and_no_other_text_is() {
        let digest: [u8; 32] = Sha256::digest(SECRET).into();
        let digest: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        for lines in [format!("token = \"{SECRET}\""), format!("sha256 = \"{digest}\"")] {
            let second = "[[token]]\nname = \"other\"\nrole = \"b\"\noperations = [\"chat\", \"match\"]\n\
                          token = \"another-another-another\"\nrequests_per_minute = 5\n";
            let tokens = read(&(entry(&lines) + second)).unwrap();
            let holder = tokens.holder(SECRET).unwrap();
            assert_eq!((holder.name.as_str(), holder.role.as_str()), ("shop", "app"));
            assert!(holder.may("match") && !holder.may("chat") && !holder.may("benchmark"));
            assert_eq!(tokens.holder("another-another-another").unwrap().name, "other");
            for wrong in [
                "",
                " ",
                &SECRET[1..],
                &format!("{SECRET} "),
                &digest,
                "S3CRET-s3cret-s3cret-s3cret",
            ] {
                assert!(tokens.holder(wrong).is_none(), "{wrong:?}");
            }
            assert_eq!(tokens.roles(), ["app", "b"]);
        }
    }

    #[test]
    fn wrong_entries_are_told_by_number_and_key_and_no_value_is_repeated() {
        let good = format!("token = \"{SECRET}\"");
        let cases = [
            (String::new(), "[[token]]"),
            ("token = 5".to_owned(), "[[token]]"),
            (format!("tokens = \"{SECRET}\""), "tokens"),
            (entry("token = \"s3cret\""), "20 characters"),
            (entry("token = 53"), "token must be"),
            (entry("token = \"s3cret s3cret s3cret s3cret\""), "without blanks"),
            (entry("sha256 = \"s3cret\""), "64 hexadecimal"),
            (entry(""), "either sha256 or token"),
            (
                entry(&format!("{good}\nsha256 = \"s3cret\"")),
                "either sha256 or token",
            ),
            (
                entry(&format!("{good}\nrequests_per_minute = 0")),
                "requests_per_minute",
            ),
            (entry(&format!("{good}\nexpires = \"s3cret\"")), "expires"),
            (
                entry(&good).replace("\"match\"", "\"s3cret\""),
                "match, chat, benchmark",
            ),
            (
                entry(&good).replace("[\"match\"]", "[]"),
                "match, chat, benchmark",
            ),
            (entry(&good).replace("\"app\"", "\"none\""), "role"),
            (entry(&good).replace("name = \"shop\"\n", ""), "name"),
            (entry(&good) + &entry(&good), "token 2"),
            (entry(&good) + &entry(&good).replace("shop", "other"), "token 2"),
        ];
        for (text, expected) in cases {
            let error = read(&text).err().unwrap();
            assert!(
                error.contains(expected) && !error.contains("s3cret"),
                "{text}\n{error}"
            );
        }
    }
}
