//! A gzip bomb (RFC 1951 and 1952) made by hand: one literal zero, then for ever "repeat the last byte 258 times". That is
//! 13 bits for 258 bytes, so 13 bytes hold eight repeats and the pattern comes round.

/// Header and first bits, and the 13 bytes that go on for ever.
pub(crate) fn endless_zeros() -> (Vec<u8>, Vec<u8>) {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits::default();
    // The last block, with fixed Huffman codes (RFC 1951, 3.2.6).
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    // Literal 0: code 00110000 of 8 bits, from its first bit on.
    bits.push(0b0000_1100, 8);
    let mut repeated = Bits::default();
    // Length 258: symbol 285, code 11000101; distance 1: code 00000.
    for bits in [&mut bits, &mut repeated] {
        for _ in 0..16 {
            bits.push(0b1010_0011, 8);
            bits.push(0b0_0000, 5);
        }
    }
    // 11 + 16 * 13 = 219 bits: 27 whole bytes and 3 bits, which the pattern begins with.
    let whole: Vec<u8> = bits.bytes.iter().copied().take(27).collect();
    let mut pattern = Bits::default();
    pattern.push(u32::from(bits.bytes.get(27).copied().unwrap_or(0)), 3);
    for &byte in repeated.bytes.iter().take(13) {
        pattern.push(u32::from(byte), 8);
    }
    let cycle = pattern.bytes.into_iter().take(13).collect();
    (header.into_iter().chain(whole).collect(), cycle)
}

/// Bits from the lowest of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    len_bits: usize,
}

impl Bits {
    /// The lowest `n` bits, the lowest first.
    fn push(&mut self, bits: u32, n: usize) {
        for i in 0..n {
            if self.len_bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= u8::from(bits >> i & 1 == 1) << (self.len_bits % 8);
            self.len_bits += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(bytes: &[u8], place: usize) -> u8 {
        bytes[place / 8] >> (place % 8) & 1
    }

    #[test]
    fn after_the_first_eleven_bits_all_is_repeats_however_long_it_goes_on() {
        let (start, cycle) = endless_zeros();
        assert_eq!(cycle.len(), 13);
        let bytes = [&start[10..], &cycle.repeat(5)].concat();
        let repeat = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
        assert_eq!([0, 1, 2].map(|place| bit(&bytes, place)), [1, 1, 0]);
        assert_eq!(
            [3, 4, 5, 6, 7, 8, 9, 10].map(|place| bit(&bytes, place)),
            [0, 0, 1, 1, 0, 0, 0, 0]
        );
        for place in 11..bytes.len() * 8 {
            assert_eq!(bit(&bytes, place), repeat[(place - 11) % 13], "bit {place}");
        }
    }
}
