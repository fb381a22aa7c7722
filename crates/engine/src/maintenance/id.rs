//! Ids of conversations and requests: uuids in the order in which PostgreSQL sorts them.

use std::fmt;

/// A uuid; the order is that of its bytes, as PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id(pub [u8; 16]);

/// Where the text form has hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Id {
    /// The one after it, if it is not the last of all.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let next = u128::from_be_bytes(self.0).checked_add(1)?;
        Some(Self(next.to_be_bytes()))
    }

    /// Reads the form that PostgreSQL writes: 32 hexadecimal digits with four hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 || !text.is_ascii() {
            return None;
        }
        let mut digits = String::with_capacity(32);
        for (place, c) in text.char_indices() {
            match (HYPHENS.contains(&place), c) {
                (true, '-') => {}
                (false, c) if c.is_ascii_hexdigit() => digits.push(c),
                _ => return None,
            }
        }
        let number = u128::from_str_radix(&digits, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
