//! Embeddings without a model: texts that share words are near each other.

/// A unit vector: the sum of a pseudo-random vector for each word of the text, whatever its case, normalised. The same text
/// has the same vector in every run and on every machine.
#[must_use]
pub fn embedding(text: &str, dimensions: usize) -> Vec<f64> {
    let mut sum = vec![0.0; dimensions];
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    for word in words {
        let mut state = hash(&word.to_lowercase());
        for number in &mut sum {
            *number += uniform(&mut state);
        }
    }
    let norm = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
    if norm > 0.0 {
        // Eight digits: as many as single precision keeps, and answers stay short.
        for number in &mut sum {
            *number = (*number / norm * 1e8).round() / 1e8;
        }
    } else if let Some(first) = sum.first_mut() {
        *first = 1.0;
    }
    sum
}

/// FNV-1a of 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// From -1 to 1, by SplitMix64 (Steele, Lea and Flood, 2014).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX) * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f64 {
        let (a, b) = (embedding(a, 64), embedding(b, 64));
        a.iter().zip(&b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn vectors_are_units_also_of_no_words() {
        for text in ["", "  !", "one", "one two three"] {
            for dimensions in [1, 16, 1536] {
                let vector = embedding(text, dimensions);
                assert_eq!(vector.len(), dimensions);
                let norm: f64 = vector.iter().map(|number| number * number).sum();
                assert!((norm - 1.0).abs() < 1e-5, "{text} {dimensions}: {norm}");
            }
        }
    }

    #[test]
    fn texts_that_share_words_are_near() {
        assert!(cosine("a red bicycle", "Red bicycle, used") > 0.4);
        assert!(cosine("a red bicycle", "meeting minutes of november").abs() < 0.4);
        assert!((cosine("A red, bicycle", "a RED bicycle") - 1.0).abs() < 1e-5);
    }
}
