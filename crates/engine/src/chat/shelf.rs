//! Messages that were answered lately, with their embeddings: where a semantic reply cache looks for another wording.
//!
//! A shelf holds the messages of one partition (a role, a model, a conversation so far, conditions, a state of the table); the replies
//! themselves stand in the cache under the key of each message. A shelf is a value of the cache like any other: of two processes that add to
//! it at once one may lose, which costs a hit and no more.

use std::collections::VecDeque;

/// Messages on a shelf; the oldest goes when another one comes.
const CAPACITY: usize = 16;
/// Longest message that is shelved, in bytes: nobody words a longer one alike.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The messages of a partition, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shelf {
    entries: VecDeque<(String, Vec<f32>)>,
}

impl Shelf {
    /// Adds a message, in place of an equal one.
    pub fn add(&mut self, message: &str, vector: &[f32]) {
        if message.len() > MAX_MESSAGE_BYTES {
            return;
        }
        self.entries.retain(|(known, _)| known != message);
        if self.entries.len() >= CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back((message.to_owned(), vector.to_vec()));
    }

    /// The message whose embedding is most similar (cosine) of those that `agrees` lets pass, if it reaches the floor.
    pub fn nearest(&self, vector: &[f32], floor: f64, agrees: impl Fn(&str) -> bool) -> Option<(&str, f64)> {
        self.entries
            .iter()
            .filter_map(|(message, known)| Some((message.as_str(), cosine(vector, known)?)))
            .filter(|&(message, similarity)| similarity >= floor && agrees(message))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// As bytes: for each message its length, itself, the number of elements and these, all numbers of four bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (message, vector) in &self.entries {
            bytes.extend_from_slice(&(message.len() as u32).to_le_bytes());
            bytes.extend_from_slice(message.as_bytes());
            bytes.extend_from_slice(&(vector.len() as u32).to_le_bytes());
            bytes.extend(vector.iter().flat_map(|element| element.to_le_bytes()));
        }
        bytes
    }

    /// What [`Self::to_bytes`] wrote; of anything else as much as can be read.
    pub fn from_bytes(mut bytes: &[u8]) -> Self {
        let mut shelf = Self::default();
        while let Some(entry) = take_entry(&mut bytes) {
            if shelf.entries.len() == CAPACITY {
                break;
            }
            shelf.entries.push_back(entry);
        }
        shelf
    }
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

fn take_entry(bytes: &mut &[u8]) -> Option<(String, Vec<f32>)> {
    let length = take_length(bytes)?;
    let (message, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let elements = take_length(bytes)?;
    let (vector, rest) = bytes.split_at_checked(elements.checked_mul(4)?)?;
    *bytes = rest;
    let (elements, _) = vector.as_chunks::<4>();
    let vector = elements
        .iter()
        .map(|&element| f32::from_le_bytes(element))
        .collect();
    Some((String::from_utf8(message.to_vec()).ok()?, vector))
}

/// Cosine of two vectors of one length; `None` for others and for zero.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (mut product, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a), f64::from(b));
        product += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let norm = (of_a * of_b).sqrt();
    (norm > 0.0).then(|| product / norm)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_that_agrees_is_found() {
        let mut shelf = Shelf::default();
        shelf.add("east", &[1.0, 0.0]);
        shelf.add("north", &[0.0, 2.0]);
        shelf.add("north-east", &[1.0, 1.0]);
        let (message, similarity) = shelf.nearest(&[0.1, 1.0], 0.9, |_| true).unwrap();
        assert_eq!(message, "north");
        assert!((similarity - 0.995).abs() < 1e-3);
        assert_eq!(
            shelf.nearest(&[0.1, 1.0], 0.9, |message| message != "north"),
            None
        );
        let (other, _) = shelf
            .nearest(&[0.1, 1.0], 0.5, |message| message != "north")
            .unwrap();
        assert_eq!(other, "north-east");
        assert_eq!(
            shelf.nearest(&[1.0, 0.0, 0.0], 0.0, |_| true),
            None,
            "another model's"
        );
        assert_eq!(shelf.nearest(&[0.0, 0.0], -1.0, |_| true), None);
    }

    #[test]
    fn it_keeps_the_latest_and_each_once() {
        let mut shelf = Shelf::default();
        for number in 0..100 {
            shelf.add(&number.to_string(), &[1.0]);
            shelf.add("again", &[2.0]);
        }
        assert_eq!(shelf.entries.len(), CAPACITY);
        assert_eq!(
            shelf
                .entries
                .iter()
                .filter(|(message, _)| message == "again")
                .count(),
            1
        );
        shelf.add(&"x".repeat(MAX_MESSAGE_BYTES + 1), &[1.0]);
        assert_eq!(shelf.entries.back().unwrap().0, "again");
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_was(entries in prop::collection::vec((".{0,20}", prop::collection::vec(-1f32..1.0, 0..5)), 0..20)) {
            let mut shelf = Shelf::default();
            for (message, vector) in &entries {
                shelf.add(message, vector);
            }
            prop_assert_eq!(Shelf::from_bytes(&shelf.to_bytes()), shelf);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Shelf::from_bytes(&bytes).entries.len() <= CAPACITY);
        }
    }
}
