//! Whole-message compression. Spec: docs/protocol/wire.md, 7.1. What is compressed: [`pack`](super::pack).
//!
//! ```text
//! ###\n  <n>:(1)_compressed_payload=<bytes>,  31:(0)_compression_algorithm=zlib,  %%%\n  trailer
//! ```
//!
//! Compressed *fields* (type 4: docs/protocol/wire.md, 7.2) are carried untouched: only the program that reads
//! such a field unpacks it.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use super::field;
use super::message::{Message, Value};
use super::wire::{EncodeError, MAX_UNPACKED_BYTES, Malformed, excerpt};
use super::{netstring, text};

/// Block size that legacy uses for `bz2`, in units of 100 kB.
const BZ2_BLOCK_SIZE: u32 = 1;

/// How a message is compressed; named on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 1950, default level.
    Zlib,
    /// bzip2 file format, block size 1.
    Bz2,
}

impl Algorithm {
    /// The name on the wire and in ha.cf.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Bz2 => "bz2",
        }
    }

    /// Packs `plain`.
    fn pack(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::new();
        match self {
            Self::Zlib => {
                let level = flate2::Compression::default();
                flate2::read::ZlibEncoder::new(plain, level).read_to_end(&mut packed)
            }
            Self::Bz2 => {
                let level = bzip2::Compression::new(BZ2_BLOCK_SIZE);
                bzip2::read::BzEncoder::new(plain, level).read_to_end(&mut packed)
            }
        }?;
        Ok(packed)
    }

    /// Unpacks `packed`, but never more than `limit_bytes`.
    fn unpack(self, packed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, Malformed> {
        // Reading one byte more than allowed shows whether there was more.
        let read_at_most = u64::try_from(limit_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut plain = Vec::new();
        match self {
            Self::Zlib => flate2::read::ZlibDecoder::new(packed)
                .take(read_at_most)
                .read_to_end(&mut plain),
            Self::Bz2 => bzip2::read::BzDecoder::new(packed)
                .take(read_at_most)
                .read_to_end(&mut plain),
        }
        .map_err(|error| Malformed::Unpack(error.to_string()))?;
        if plain.len() > limit_bytes {
            return Err(Malformed::Unpack(format!("more than {limit_bytes} bytes")));
        }
        Ok(plain)
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads the name; it is case-sensitive.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "zlib" => Ok(Self::Zlib),
            "bz2" => Ok(Self::Bz2),
            other => Err(UnknownAlgorithm(other.to_owned())),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Neither `zlib` nor `bz2`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}")]
pub struct UnknownAlgorithm(pub String);

/// Whether a message is a compression wrapper, which [`unwrap`] opens.
#[must_use]
pub fn is_wrapped(message: &Message) -> bool {
    message.binary(field::COMPRESSED_PAYLOAD).is_some()
}

/// Takes the message out of a compression wrapper; any other message comes back unchanged.
///
/// The inner message is not authenticated again, and not unwrapped again: the key of the wrapper verified it.
///
/// # Errors
/// [`Malformed`] when the algorithm is not known, the bytes do not unpack within
/// [`MAX_UNPACKED_BYTES`], or the result is not a message.
pub fn unwrap(message: Message) -> Result<Message, Malformed> {
    let Some(packed) = message.binary(field::COMPRESSED_PAYLOAD) else {
        return Ok(message);
    };
    let name = message
        .text_bytes(field::COMPRESSION_ALGORITHM)
        .unwrap_or_default();
    let algorithm: Algorithm = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| Malformed::UnknownCompression(excerpt(name)))?;
    let plain = algorithm.unpack(packed, MAX_UNPACKED_BYTES)?;
    let inner = if plain.starts_with(text::START) {
        // The text ends with a NUL, which the parser does not look at.
        text::parse(&plain)
    } else {
        netstring::split_body(&plain).and_then(|(body, _)| netstring::parse(body))
    };
    Ok(inner?.verified_with(message.key()))
}

/// Wraps a serialised message: classic text with its `auth` field and a final NUL, or a netstring
/// body.
///
/// # Errors
/// [`EncodeError::Compress`] when the compressor fails.
pub fn wrap(plain: &[u8], algorithm: Algorithm) -> Result<Message, EncodeError> {
    let packed = pack(plain, algorithm)?;
    let mut wrapper = Message::empty();
    wrapper.push(field::COMPRESSED_PAYLOAD, Value::Binary(packed));
    Ok(wrapper.with(field::COMPRESSION_ALGORITHM, algorithm.name()))
}

/// Compresses bytes.
///
/// # Errors
/// [`EncodeError::Compress`] when the compressor fails.
pub(super) fn pack(plain: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, EncodeError> {
    algorithm
        .pack(plain)
        .map_err(|error| EncodeError::Compress(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Bz2];

    #[test]
    fn both_algorithms_and_both_inner_forms() {
        let inner = Message::new("status").with("src", "alpha");
        let mut body = Vec::new();
        netstring::emit(&inner, &mut body).unwrap();
        for algorithm in BOTH {
            for plain in [&b">>>\nt=status\nsrc=alpha\n<<<\n\0"[..], &body] {
                let wrapped = wrap(plain, algorithm).unwrap();
                assert_eq!(unwrap(wrapped).as_ref(), Ok(&inner));
            }
        }
        assert_eq!(unwrap(inner.clone()), Ok(inner));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let zeros = vec![0; 64 * 1024 * 1024];
        for algorithm in BOTH {
            let packed = algorithm.pack(&zeros).unwrap();
            assert!(packed.len() < 100_000);
            let refused = algorithm.unpack(&packed, MAX_UNPACKED_BYTES);
            assert!(matches!(refused, Err(Malformed::Unpack(_))));
        }
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        for algorithm in BOTH {
            let packed = algorithm.pack(&[7; 1000]).unwrap();
            assert_eq!(
                algorithm.unpack(&packed, 1000).map(|plain| plain.len()),
                Ok(1000)
            );
            assert!(algorithm.unpack(&packed, 999).is_err());
        }
    }

    #[test]
    fn bad_wrappers_are_refused() {
        let good = wrap(b">>>\nt=x\n<<<\n\0", Algorithm::Zlib).unwrap();
        let mut other = good.clone();
        other.set_text(field::COMPRESSION_ALGORITHM, "lzma");
        assert_eq!(
            unwrap(other),
            Err(Malformed::UnknownCompression("lzma".to_owned()))
        );
        let mut none = good.clone();
        none.remove(field::COMPRESSION_ALGORITHM);
        assert_eq!(
            unwrap(none),
            Err(Malformed::UnknownCompression(String::new()))
        );
        let mut cut = good.clone();
        let packed = good.binary(field::COMPRESSED_PAYLOAD).unwrap();
        cut.set(
            field::COMPRESSED_PAYLOAD,
            Value::Binary(packed[..packed.len() - 6].to_vec()),
        );
        assert!(matches!(unwrap(cut), Err(Malformed::Unpack(_))));
        let nothing = wrap(b"hello", Algorithm::Bz2).unwrap();
        assert_eq!(unwrap(nothing), Err(Malformed::NoStartMarker));
    }
}
