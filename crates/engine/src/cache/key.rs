//! Keys of cached values.

use super::Kind;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// A key: kind, database, table and everything else that the value depends on.
///
/// Two keys are equal only if all their fields are: each field is written with its length, so that no two lists of fields have
/// the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
    kind: Kind,
    database: u32,
    target: u32,
}

impl Key {
    /// A key without further fields. `target` is the table that the value comes from, or 0.
    pub fn new(kind: Kind, database: u32, target: u32) -> Self {
        let mut key = Self {
            bytes: Vec::with_capacity(128),
            kind,
            database,
            target,
        };
        key.bytes.push(kind as u8);
        key.bytes.extend_from_slice(&database.to_le_bytes());
        key.bytes.extend_from_slice(&target.to_le_bytes());
        key
    }

    /// With another field.
    #[must_use]
    pub fn with(mut self, field: &[u8]) -> Self {
        self.bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(field);
        self
    }

    /// With a text that may be absent, which is not the same as empty.
    #[must_use]
    pub fn with_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.with_number(1).with(text.as_bytes()),
            None => self.with_number(0),
        }
    }

    /// With a number.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the value is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The database that it belongs to.
    pub fn database(&self) -> u32 {
        self.database
    }

    /// The table that it comes from, or 0.
    pub fn target(&self) -> u32 {
        self.target
    }
}

/// A key's place: a hash that nobody outside the server can foresee. Different keys may share it, so keys are compared as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash {
    pub(super) high: u64,
    pub(super) low: u64,
}

impl KeyHash {
    /// SipHash-1-3 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) under a secret.
    pub fn of(bytes: &[u8], secret: (u64, u64)) -> Self {
        let mut hasher = SipHasher13::new_with_keys(secret.0, secret.1);
        hasher.write(bytes);
        let hash = hasher.finish128();
        Self {
            high: hash.h1,
            low: hash.h2,
        }
    }

    /// A number below `bound`, by one quarter of the hash. The fourth is the fingerprint.
    pub(super) fn below(self, quarter: Quarter, bound: usize) -> usize {
        let bits = match quarter {
            Quarter::Partition => self.high >> 32,
            Quarter::Ghost => self.high & u64::from(u32::MAX),
            Quarter::Bucket => self.low & u64::from(u32::MAX),
        };
        ((bits * bound as u64) >> 32) as usize
    }

    /// The bits that tell apart what shares a place among the ghosts.
    pub(super) fn fingerprint(self) -> u32 {
        (self.low >> 32) as u32
    }
}

/// Which part of a hash decides.
#[derive(Clone, Copy)]
pub(super) enum Quarter {
    Partition,
    Ghost,
    Bucket,
}

#[cfg(test)]
mod tests {
    use super::{Key, KeyHash};
    use crate::cache::Kind;

    #[test]
    fn the_borders_of_fields_count() {
        let key = || Key::new(Kind::Reply, 1, 2);
        assert_ne!(key().with(b"ab").with(b"c"), key().with(b"a").with(b"bc"));
        assert_ne!(key().with_text(None), key().with_text(Some("")));
        assert_ne!(key(), Key::new(Kind::Match, 1, 2));
        assert_ne!(key(), Key::new(Kind::Reply, 2, 1));
        assert_eq!(key().with(b"$$'\\"), key().with(b"$$'\\"));
    }

    #[test]
    fn the_hash_depends_on_the_secret() {
        let hash = |secret| KeyHash::of(b"same", secret);
        assert_ne!(hash((1, 2)), hash((1, 3)));
        assert_eq!(hash((1, 2)), hash((1, 2)));
    }
}
