//! The identity of a node and of its present run: the pure part.
//! Spec: docs/protocol/wire.md, 11.1 and 11.2.
//!
//! [`crate::process::state_files`] reads and writes the files.

use super::name::{Generation, NodeName, NodeUuid};

/// Size of the generation file: fifteen columns and a newline.
#[cfg(test)]
const GENERATION_FILE_BYTES: usize = 16;

/// Largest number that fits the fifteen columns.
pub const MAX_GENERATION: Generation = Generation(999_999_999_999_999);

/// Content of the generation file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredGeneration {
    /// No file: the first start.
    Missing,
    /// The number of the previous run.
    Number(Generation),
    /// It contains no number. Digits at its beginning, if any, are kept as a lower bound.
    Broken(Option<Generation>),
}

/// Reads the content of the generation file: a decimal number, blanks around it.
#[must_use]
pub fn parse_generation_file(content: &[u8]) -> StoredGeneration {
    let trimmed = content.trim_ascii();
    let digits = trimmed.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = trimmed
        .get(..digits)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .map(Generation)
        .filter(|number| *number < MAX_GENERATION);
    match number {
        Some(number) if digits == trimmed.len() => StoredGeneration::Number(number),
        other => StoredGeneration::Broken(other),
    }
}

/// Writes the content of the generation file.
#[must_use]
pub fn render_generation_file(generation: Generation) -> String {
    format!("{:>15}\n", generation.0.min(MAX_GENERATION.0))
}

/// Latest time of the wall clock that is accepted: later numbers do not fit the 32 bits that a
/// legacy node on a 32-bit machine has for a generation.
const LATEST_CLOCK: u64 = u32::MAX as u64;

/// The generation of the run that starts at `unix_s`: above the file and not below the clock.
///
/// A node that knew this one by a higher number refuses all its messages as a replay. The file can
/// have an old number: it was restored from a backup or with a copied disk, it has no number and
/// legacy would start at 1, or the disk was read-only and the last numbers of a run are missing.
/// The clock has gone on in all these cases. If the clock was set back, the file counts.
#[must_use]
pub fn next_generation(stored: StoredGeneration, unix_s: u64) -> Generation {
    let clock = if unix_s <= LATEST_CLOCK { unix_s } else { 0 };
    let in_file = match stored {
        StoredGeneration::Missing => 0,
        StoredGeneration::Number(number) => number.0,
        StoredGeneration::Broken(lower_bound) => lower_bound.unwrap_or_default().0,
    };
    Generation(clock.max(in_file).saturating_add(1).min(MAX_GENERATION.0))
}

/// Reads the content of the uuid file; `None` when it is not sixteen bytes or is all zero, which
/// means "not known" to every peer.
#[must_use]
pub fn parse_uuid_file(content: &[u8]) -> Option<NodeUuid> {
    let uuid = NodeUuid(content.try_into().ok()?);
    (!uuid.is_nil()).then_some(uuid)
}

/// Makes a version 4 uuid of sixteen random bytes.
#[must_use]
pub const fn random_uuid(random: [u8; 16]) -> NodeUuid {
    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
    NodeUuid(uuid.into_bytes())
}

/// Computes the uuid of `uuidfrom nodename`.
///
/// The name is hashed (`h = 31 h + byte`), the hash seeds the random generator of the GNU C
/// library, and 32 numbers of it, each modulo 16, are the hex digits.
#[must_use]
pub fn uuid_of_node_name(name: &NodeName) -> NodeUuid {
    let mut bytes = name.as_str().bytes();
    let first = u32::from(bytes.next().unwrap_or_default());
    let hash = bytes.fold(first, |h, byte| {
        h.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let mut random = GlibcRandom::new(hash);
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let high = random.next_digit();
        *byte = high << 4 | random.next_digit();
    }
    NodeUuid(uuid)
}

/// How many words the additive generator looks back.
const DEGREE: usize = 31;
/// The nearer of the two words that it adds.
const SEPARATION: usize = 3;
/// Outputs that are dropped after seeding.
const DROPPED: usize = 310;

/// `srand` and `rand` of the GNU C library, bit for bit.
struct GlibcRandom {
    /// The last [`DEGREE`] words, oldest at `oldest`.
    words: [u32; DEGREE],
    oldest: usize,
}

impl GlibcRandom {
    fn new(seed: u32) -> Self {
        // A seed of zero would stay zero.
        let mut word = if seed == 0 { 1 } else { seed.cast_signed() };
        let mut words = [0; DEGREE];
        for slot in &mut words {
            *slot = word.cast_unsigned();
            word = lehmer(word);
        }
        let mut random = Self {
            words,
            oldest: SEPARATION,
        };
        for _ in 0..DROPPED {
            random.step();
        }
        random
    }

    fn step(&mut self) -> u32 {
        let near = self.oldest.wrapping_add(DEGREE.wrapping_sub(SEPARATION)) % DEGREE;
        let near = self.words.get(near).copied().unwrap_or_default();
        let Some(slot) = self.words.get_mut(self.oldest) else {
            return 0;
        };
        *slot = slot.wrapping_add(near);
        self.oldest = self.oldest.wrapping_add(1) % DEGREE;
        *slot
    }

    fn next_digit(&mut self) -> u8 {
        // The lowest bit of the word is never output.
        u8::try_from((self.step() >> 1) & 15).unwrap_or_default()
    }
}

/// 16807 times `word`, modulo 2^31 - 1, never negative. A seed may be negative.
fn lehmer(word: i32) -> i32 {
    const MODULUS: i64 = 0x7fff_ffff;
    let next = i64::from(word).wrapping_mul(16_807).rem_euclid(MODULUS);
    i32::try_from(next).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_file() {
        use StoredGeneration::{Broken, Number};
        assert_eq!(
            render_generation_file(Generation(1_795_212_322)),
            "     1795212322\n"
        );
        for (content, expected) in [
            (&b"     1795212322\n"[..], Number(Generation(1_795_212_322))),
            (b"5", Number(Generation(5))),
            (b"0\n", Number(Generation(0))),
            (b"", Broken(None)),
            (b"               \n", Broken(None)),
            (b"rubbish", Broken(None)),
            (b"-5\n", Broken(None)),
            (b"17952x2322\n", Broken(Some(Generation(17952)))),
            (b"99999999999999999999999\n", Broken(None)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Broken(None)),
        ] {
            assert_eq!(parse_generation_file(content), expected, "{content:?}");
        }
        let all_columns = render_generation_file(MAX_GENERATION);
        assert_eq!(all_columns.len(), GENERATION_FILE_BYTES);
        assert_eq!(render_generation_file(Generation(u64::MAX)), all_columns);
    }

    #[test]
    fn generations_only_grow() {
        use StoredGeneration::{Broken, Missing, Number};
        let now = 1_795_214_052;
        for (stored, expected) in [
            (Missing, now + 1),
            (Number(Generation(now)), now + 1),
            // The file was restored from a backup: the runs since then had higher numbers.
            (Number(Generation(0x1000)), now + 1),
            // The clock was set back: the file counts.
            (Number(Generation(now + 500)), now + 501),
            (Broken(None), now + 1),
            (Broken(Some(Generation(17952))), now + 1),
            (Broken(Some(Generation(now + 500))), now + 501),
        ] {
            assert_eq!(
                next_generation(stored, now),
                Generation(expected),
                "{stored:?}"
            );
        }
        // A clock that is wrong by a century is not accepted.
        let taken = next_generation(Number(Generation(now)), 1 << 33);
        assert_eq!(taken, Generation(now + 1));
    }

    /// Spec: docs/protocol/wire.md, 11.2.
    #[test]
    fn uuid_from_node_name() {
        for (name, uuid) in [
            ("alpha", "cc301fda-9190-a843-de51-a987ec340ccc"),
            ("beta", "bf4514df-59e5-20af-3817-c93be31e6e01"),
            ("node1.example.com", "83dabc1d-3864-f844-3a73-ce5a45e2a4b2"),
        ] {
            assert_eq!(
                uuid_of_node_name(&NodeName::new(name).unwrap()).to_string(),
                uuid
            );
        }
    }

    #[test]
    fn uuid_file() {
        assert_eq!(parse_uuid_file(&[7; 16]), Some(NodeUuid([7; 16])));
        for bad in [&[7; 15][..], &[7; 17], &[], &[0; 16]] {
            assert_eq!(parse_uuid_file(bad), None);
        }
        assert_eq!(
            random_uuid([0; 16]).to_string(),
            "00000000-0000-4000-8000-000000000000"
        );
        assert_eq!(
            random_uuid([0xff; 16]).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
