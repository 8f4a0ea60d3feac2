//! How a message goes out: as it is, with compressed fields, or compressed as a whole.
//! Spec: docs/protocol/wire.md, 7.
//!
//! | Message | Then |
//! |---|---|
//! | `status` and everything that is not numbered | as it is: a heartbeat waits for no compressor |
//! | over the threshold, `traditional_compression yes` | compressed as a whole |
//! | a field over the threshold that its sender marked, `traditional_compression no` | that field is compressed |
//! | still too large for a datagram | compressed as a whole |
//! | too large all the same | refused |
//! | larger unpacked than a frame to a client | refused |
//!
//! On a serial line a marked field that is left is a struct.

use std::borrow::Cow;

use bytes::Bytes;

use super::auth::KeyRing;
use super::compress::{self, Algorithm};
use super::field::{self, kind};
use super::message::{Message, Value};
use super::wire::{EncodeError, MAX_MESSAGE_BYTES, MessageFormat};
use super::{codec, netstring, text};

/// Most bytes that a UDP datagram over IPv4 carries; over IPv6 it is a little more.
pub const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Room for control fields and signature, which a message of a client does not have yet.
const CONTROL_BYTES: usize = 1024;

/// The same for a serial line, where a message has less room. Node and client names of twenty letters are in it.
const LINE_CONTROL_BYTES: usize = 340;

/// Messages of this size in memory may be too large for a datagram: base64 and punctuation included.
const LARGE_BYTES: usize = 40 * 1024;

/// `compression`, `compression_threshold`, `traditional_compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// How.
    pub algorithm: Algorithm,
    /// What is not larger than this many bytes is not compressed, unless it must be.
    pub threshold_bytes: usize,
    /// Whole messages instead of single fields.
    pub traditional: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Zlib,
            threshold_bytes: 2 * 1024,
            traditional: false,
        }
    }
}

impl Compression {
    /// Whether [`encode`](Self::encode) may take long: such a message is encoded on a helper thread.
    #[must_use]
    pub fn may_take_long(&self, message: &Message) -> bool {
        let plain = message
            .kind()
            .is_some_and(|kind| kind == kind::STATUS || kind.starts_with(kind::UNSEQUENCED_PREFIX));
        if plain {
            return false;
        }
        let bytes = message.memory_bytes();
        let wanted =
            self.traditional || message.fields().iter().any(|field| is_marked(&field.value));
        bytes > LARGE_BYTES || (wanted && bytes > self.threshold_bytes)
    }

    /// Makes a datagram. `message` is complete except for authentication.
    ///
    /// # Errors
    /// [`EncodeError`]; [`EncodeError::TooLarge`] when no compression makes it fit into a datagram.
    pub fn encode(
        &self,
        message: &Message,
        keys: &KeyRing,
        format: MessageFormat,
    ) -> Result<Bytes, EncodeError> {
        let may_pack = self.may_take_long(message);
        let message = if may_pack && !self.traditional {
            self.with_packed_fields(message)?
        } else {
            Cow::Borrowed(message)
        };
        let plain = codec::encode_datagram(&message, keys, format);
        let bytes = match &plain {
            Ok(datagram) => datagram.len(),
            Err(EncodeError::TooLarge(bytes)) => *bytes,
            Err(_) => return plain,
        };
        let wanted = may_pack && self.traditional && bytes > self.threshold_bytes;
        if bytes <= MAX_DATAGRAM_BYTES && !wanted {
            return plain;
        }
        let packed = codec::encode_compressed(&message, keys, format, self.algorithm)?;
        if packed.len() <= MAX_DATAGRAM_BYTES {
            return Ok(packed);
        }
        // What does not get smaller may still fit as it is.
        plain
            .ok()
            .filter(|_| bytes <= MAX_DATAGRAM_BYTES)
            .ok_or(EncodeError::TooLarge(packed.len()))
    }

    /// The message with its marked fields compressed, as [`encode`](Self::encode) sends it; unchanged where that is not
    /// wanted or not possible.
    #[must_use]
    pub fn packed(&self, message: Message) -> Message {
        if self.traditional {
            return message;
        }
        match self.with_packed_fields(&message) {
            Ok(Cow::Owned(packed)) => packed,
            Ok(Cow::Borrowed(_)) | Err(_) => message,
        }
    }

    /// Whether a message of a client can go out and be given to the clients of the other nodes, as far as that is known
    /// before it is signed.
    ///
    /// # Errors
    /// [`EncodeError`] as [`encode`](Self::encode) would give it, and [`EncodeError::TooLarge`] for what no frame to a
    /// client holds: that is never compressed.
    pub fn check(&self, message: &Message, format: MessageFormat) -> Result<(), EncodeError> {
        let message = if self.traditional {
            Cow::Borrowed(message)
        } else {
            self.with_packed_fields(message)?
        };
        let fits = |bytes: usize| bytes.saturating_add(CONTROL_BYTES) <= MAX_DATAGRAM_BYTES;
        let mut plain = Vec::new();
        netstring::emit(&message, &mut plain)?;
        if fits(plain.len()) {
            return Ok(());
        }
        let plain = serialised(&message, format)?;
        if plain.len().saturating_add(CONTROL_BYTES) > MAX_MESSAGE_BYTES {
            return Err(EncodeError::TooLarge(plain.len()));
        }
        let packed = compress::wrap(&plain, self.algorithm)?;
        let bytes = packed.memory_bytes();
        if fits(bytes) {
            return Ok(());
        }
        Err(EncodeError::TooLarge(bytes))
    }

    /// How many bytes of a serial line a message of a client takes, as far as that is known before it is signed.
    ///
    /// # Errors
    /// [`EncodeError::NotInClassic`]: the message has no form for a serial line.
    pub fn line_bytes(&self, message: Message) -> Result<usize, EncodeError> {
        let mut plain = Vec::new();
        text::emit(&unmarked(self.packed(message)), &mut plain)?;
        Ok(plain.len().saturating_add(LINE_CONTROL_BYTES))
    }

    /// The same message with its marked fields compressed, where that is worth it.
    fn with_packed_fields<'a>(
        &self,
        message: &'a Message,
    ) -> Result<Cow<'a, Message>, EncodeError> {
        if !message.fields().iter().any(|field| is_marked(&field.value)) {
            return Ok(Cow::Borrowed(message));
        }
        let mut packed = Message::empty();
        let mut any = false;
        for field in message.fields() {
            let mut field = field.clone();
            if let Value::Uncompressed(inner) = &field.value {
                let plain = serialised(inner, MessageFormat::Classic)?;
                if plain.len() > self.threshold_bytes {
                    field.value = Value::Compressed(compress::pack(&plain, self.algorithm)?);
                    any = true;
                }
            }
            packed.push_field(field);
        }
        if any {
            packed.set_text(field::COMPRESSION_ALGORITHM, self.algorithm.name());
        }
        Ok(Cow::Owned(packed))
    }
}

/// The message as a serial line carries it: the classic form has no mark for a field that is to be compressed, and every
/// reader takes such a field for a struct.
#[must_use]
pub fn unmarked(message: Message) -> Message {
    fn holds_marks(message: &Message) -> bool {
        message.fields().iter().any(|field| match &field.value {
            Value::Uncompressed(_) => true,
            Value::Struct(nested) => holds_marks(nested),
            _ => false,
        })
    }
    if !holds_marks(&message) {
        return message;
    }
    let mut plain = Message::empty();
    for field in message.fields() {
        let mut field = field.clone();
        if let Value::Uncompressed(nested) | Value::Struct(nested) = field.value {
            field.value = Value::Struct(unmarked(nested));
        }
        plain.push_field(field);
    }
    plain
}

/// A field that its sender wants to be compressed.
const fn is_marked(value: &Value) -> bool {
    matches!(value, Value::Uncompressed(_))
}

/// A message without signature: classic text with a NUL, or a netstring body.
fn serialised(message: &Message, format: MessageFormat) -> Result<Vec<u8>, EncodeError> {
    let mut plain = Vec::new();
    if format == MessageFormat::Classic && !message.needs_netstring() {
        match text::emit(message, &mut plain) {
            Ok(()) => {
                plain.push(0);
                return Ok(plain);
            }
            Err(EncodeError::NotInClassic(_)) => plain.clear(),
            Err(error) => return Err(error),
        }
    }
    netstring::emit(message, &mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::super::auth::Method;
    use super::super::codec::decode_datagram;
    use super::*;

    const ALGORITHMS: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Bz2];
    const FORMATS: [MessageFormat; 2] = [MessageFormat::Classic, MessageFormat::Netstring];

    fn keys() -> KeyRing {
        KeyRing::new(1, vec![(1, Method::Sha1, b"key".to_vec())]).unwrap()
    }

    fn compression(algorithm: Algorithm, traditional: bool) -> Compression {
        Compression {
            algorithm,
            traditional,
            ..Compression::default()
        }
    }

    /// Text of so many bytes: of one letter, or with as little to compress as text can have.
    fn words(bytes: usize, dull: bool) -> String {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + u8::try_from((state >> 24) % 64).unwrap())
        };
        let mut letter = || if dull { 'a' } else { next() };
        (0..bytes)
            .map(|_| letter())
            .map(|letter| if letter == '=' { 'x' } else { letter })
            .collect()
    }

    fn message(bytes: usize, dull: bool) -> Message {
        Message::new("hello")
            .with("src", "alpha")
            .with("seq", "7")
            .with("load", &words(bytes, dull))
    }

    /// What the receiver reads.
    fn received(datagram: &Bytes) -> Message {
        let mut message = decode_datagram(datagram, &keys()).unwrap();
        message.remove(field::AUTH);
        message
    }

    fn is_whole(datagram: &Bytes) -> bool {
        datagram
            .windows(20)
            .any(|part| part == b"_compressed_payload=")
    }

    #[test]
    fn whole_messages_over_the_threshold_are_compressed_if_that_is_wanted() {
        for algorithm in ALGORITHMS {
            for format in FORMATS {
                for (bytes, traditional, packed) in [
                    (1000, true, false),
                    (3000, true, true),
                    (3000, false, false),
                    (60_000, false, false),
                    (60_000, true, true),
                    (70_000, false, true),
                    (200_000, false, true),
                    (260_000, false, true),
                ] {
                    let what = compression(algorithm, traditional);
                    let message = message(bytes, true);
                    let datagram = what.encode(&message, &keys(), format).unwrap();
                    assert_eq!(is_whole(&datagram), packed, "{bytes} {traditional}");
                    assert!(datagram.len() <= MAX_DATAGRAM_BYTES);
                    assert_eq!(received(&datagram), message);
                    assert!(
                        !packed || what.may_take_long(&message),
                        "not on this thread"
                    );
                    let name = format!("_compression_algorithm={algorithm}");
                    let name = name.as_bytes();
                    assert_eq!(
                        datagram.windows(name.len()).any(|part| part == name),
                        packed
                    );
                    assert_eq!(what.check(&message, format), Ok(()));
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_fits_as_it_is_is_not() {
        for algorithm in ALGORITHMS {
            for traditional in [false, true] {
                let what = compression(algorithm, traditional);
                let fits = message(63_000, false);
                let datagram = what.encode(&fits, &keys(), MessageFormat::Classic).unwrap();
                assert_eq!(received(&datagram), fits);
                assert_eq!(what.check(&fits, MessageFormat::Classic), Ok(()));
                let large = message(200_000, false);
                let refused = what.encode(&large, &keys(), MessageFormat::Classic);
                assert!(matches!(refused, Err(EncodeError::TooLarge(_))));
                let refused = what.check(&large, MessageFormat::Classic);
                assert!(matches!(refused, Err(EncodeError::TooLarge(_))));
            }
        }
    }

    /// The daemon there would have no frame for it.
    #[test]
    fn what_a_client_of_another_node_could_not_be_given_is_refused() {
        for algorithm in ALGORITHMS {
            for format in FORMATS {
                let what = compression(algorithm, false);
                assert_eq!(what.check(&message(260_000, true), format), Ok(()));
                let refused = what.check(&message(300_000, true), format);
                assert!(matches!(refused, Err(EncodeError::TooLarge(_))));
            }
        }
        // In classic text four letters stand for three bytes.
        let what = compression(Algorithm::Zlib, false);
        let mut bytes = Message::new("hello");
        bytes.push("x", Value::Binary(vec![7; 220_000]));
        assert!(what.check(&bytes, MessageFormat::Classic).is_err());
        assert_eq!(what.check(&bytes, MessageFormat::Netstring), Ok(()));
    }

    /// A serial line carries every message that a datagram carries, if it is short enough.
    #[test]
    fn marked_fields_have_a_form_for_a_serial_line() {
        let what = compression(Algorithm::Zlib, false);
        let mut inner = message(100, true);
        inner.push("deeper", Value::Uncompressed(message(10, true)));
        let mut small = Message::new("hello");
        small.push("x", Value::Uncompressed(inner.clone()));
        let mut nested = Message::new("hello");
        nested.push("x", Value::Struct(inner));
        let mut large = Message::new("hello");
        large.push("x", Value::Uncompressed(message(100_000, true)));
        for message in [&small, &nested, &large] {
            let line = unmarked(what.packed(message.clone()));
            let text = codec::encode_serial(&line, &keys()).unwrap();
            let mut heard = decode_datagram(&text, &keys()).unwrap();
            heard.remove(field::AUTH);
            assert_eq!(heard, line);
            let bytes = what.line_bytes(message.clone()).unwrap();
            assert!((200..2000).contains(&bytes), "{bytes}");
            // Nothing else changes: what is packed once goes out as before.
            assert_eq!(
                what.encode(
                    &what.packed(message.clone()),
                    &keys(),
                    MessageFormat::Classic
                ),
                what.encode(message, &keys(), MessageFormat::Classic)
            );
        }
        assert!(matches!(unmarked(small).get("x"), Some(Value::Struct(_))));
        let plain = message(10, true);
        assert_eq!(unmarked(plain.clone()), plain);
    }

    #[test]
    fn a_heartbeat_is_never_compressed() {
        let what = Compression {
            threshold_bytes: 1,
            ..compression(Algorithm::Zlib, true)
        };
        for kind in ["status", "NS_rexmit"] {
            let beat = Message::new(kind).with("load", &words(3000, true));
            assert!(!what.may_take_long(&beat));
            let datagram = what.encode(&beat, &keys(), MessageFormat::Classic).unwrap();
            assert!(!is_whole(&datagram), "{kind}");
        }
    }

    #[test]
    fn marked_fields_over_the_threshold_are_compressed() {
        for algorithm in ALGORITHMS {
            let what = compression(algorithm, false);
            let mut small = Message::new("hello");
            small.push("x", Value::Uncompressed(message(100, true)));
            assert_eq!(
                received(
                    &what
                        .encode(&small, &keys(), MessageFormat::Classic)
                        .unwrap()
                ),
                small
            );
            let mut large = Message::new("hello");
            large.push("x", Value::Uncompressed(message(100_000, true)));
            assert!(what.may_take_long(&large));
            let datagram = what
                .encode(&large, &keys(), MessageFormat::Classic)
                .unwrap();
            assert!(!is_whole(&datagram));
            let read = received(&datagram);
            assert_eq!(
                read.text(field::COMPRESSION_ALGORITHM),
                Some(algorithm.name())
            );
            let Some(Value::Compressed(packed)) = read.get("x") else {
                panic!("{read}");
            };
            let mut wrapper = Message::empty();
            wrapper.push(field::COMPRESSED_PAYLOAD, Value::Binary(packed.clone()));
            let wrapper = wrapper.with(field::COMPRESSION_ALGORITHM, algorithm.name());
            assert_eq!(compress::unwrap(wrapper), Ok(message(100_000, true)));
        }
    }
}
