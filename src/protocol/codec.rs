//! From bytes to a verified message and back: steps 1 to 3 of the receive pipeline.
//! Spec: docs/protocol/wire.md, 4, 5, 9 and 12.

use bytes::Bytes;

use super::auth::{KeyRing, TokenError};
use super::message::{Message, Value};
use super::wire::{EncodeError, MAX_MESSAGE_BYTES, Malformed, excerpt};
use super::{compress, field, netstring, text};
use crate::protocol::wire::MessageFormat;

/// Bytes of a field beside name and value: length, type, punctuation.
const ITEM_OVERHEAD_BYTES: usize = 12;
/// Bytes of a datagram beside its fields: markers, inner `auth` and trailer.
const FRAME_OVERHEAD_BYTES: usize = 128;

/// Which of the two encodings a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `>>>`: verified by its field `auth`.
    Classic,
    /// `###`: verified by its trailer.
    Netstring,
}

impl Form {
    /// Tells the form by the first four bytes.
    #[must_use]
    pub fn of(input: &[u8]) -> Option<Self> {
        if input.starts_with(netstring::START) {
            Some(Self::Netstring)
        } else if input.starts_with(text::START) {
            Some(Self::Classic)
        } else {
            None
        }
    }
}

/// Why received bytes are dropped. Never contains the expected digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not ours: the first four bytes are no start marker. Dropped without a log line.
    #[error("not a heartbeat message")]
    NotAMessage,
    /// It begins like a message, but is broken. Spec: docs/protocol/wire.md, 21.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not signed, or not with one of our keys.
    #[error("message failed authentication: {reason}")]
    NotAuthentic {
        /// The form it came in.
        form: Form,
        /// The sender that it names; known for the classic form only, and not to be trusted.
        claimed_src: Option<String>,
        /// What is wrong with its token.
        #[source]
        reason: BadToken,
    },
}

/// What is wrong with a message's token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// No trailer, or no field `auth`.
    #[error("no authentication token")]
    Missing,
    /// It has a token, but the token does not verify.
    #[error(transparent)]
    Refused(#[from] TokenError),
}

/// Reads one datagram or one framed serial message: tells the form, verifies, interprets, and
/// takes the message out of a compression wrapper.
///
/// A netstring body is verified before anything in it is interpreted. A classic message is
/// verified by writing again what was read, as legacy does. Bytes after the message are ignored.
///
/// # Errors
/// [`DecodeError`] with the reason.
pub fn decode_datagram(input: &[u8], keys: &KeyRing) -> Result<Message, DecodeError> {
    Ok(compress::unwrap(verify_datagram(input, keys)?)?)
}

/// The same, except that a message in a compression wrapper stays wrapped: see
/// [`compress::is_wrapped`]. Unpacking can take ten thousand times as long as verifying, and
/// sender, generation and number are not known before.
///
/// # Errors
/// [`DecodeError`] with the reason.
pub fn verify_datagram(input: &[u8], keys: &KeyRing) -> Result<Message, DecodeError> {
    let form = Form::of(input).ok_or(DecodeError::NotAMessage)?;
    if input.len() > MAX_MESSAGE_BYTES {
        return Err(Malformed::TooLarge(input.len()).into());
    }
    Ok(match form {
        Form::Netstring => {
            let (body, after) = netstring::split_body(input)?;
            let refuse = |reason| DecodeError::NotAuthentic {
                form,
                claimed_src: None,
                reason,
            };
            let token = netstring::trailer_token(after)
                .ok_or(BadToken::Missing)
                .map_err(refuse)?;
            let key = keys
                .verify(token, body)
                .map_err(|error| refuse(error.into()))?;
            netstring::parse(body)?.verified_with(Some(key))
        }
        Form::Classic => {
            let message = text::parse(input)?;
            let key =
                verify_classic(&message, keys).map_err(|reason| DecodeError::NotAuthentic {
                    form,
                    claimed_src: message.text_bytes(field::SRC).map(excerpt),
                    reason,
                })?;
            message.verified_with(Some(key))
        }
    })
}

/// Reads one message that needs no signature, in either form, with or without a trailer: messages
/// of the FIFO. Spec: docs/protocol/wire.md, 20.
///
/// # Errors
/// [`DecodeError`] with the reason.
pub fn decode_unsigned(input: &[u8]) -> Result<Message, DecodeError> {
    let form = Form::of(input).ok_or(DecodeError::NotAMessage)?;
    if input.len() > MAX_MESSAGE_BYTES {
        return Err(Malformed::TooLarge(input.len()).into());
    }
    Ok(match form {
        Form::Netstring => netstring::parse(netstring::split_body(input)?.0)?,
        Form::Classic => text::parse(input)?,
    })
}

/// Checks the last field `auth` against all other fields. Returns the number of the key. Spec: docs/protocol/wire.md, 4.3.
fn verify_classic(message: &Message, keys: &KeyRing) -> Result<u8, BadToken> {
    let auth = message
        .fields()
        .iter()
        .rfind(|f| f.name[..] == *field::AUTH.as_bytes());
    let Some(Value::Text(token)) = auth.map(|f| &f.value) else {
        return Err(BadToken::Missing);
    };
    let mut lines = Vec::with_capacity(estimate_bytes(message));
    // This cannot fail: what the parser accepts can be written again.
    text::emit_signed_lines(message, &mut lines).map_err(|_| BadToken::Missing)?;
    Ok(keys.verify(token, &lines)?)
}

/// Makes a datagram: netstring body and trailer. With [`MessageFormat::Classic`] the last field is
/// `auth`, unless the message has a field that the classic form cannot hold.
///
/// `message` is complete except for authentication; an `auth` field in it is replaced.
///
/// # Errors
/// [`EncodeError`] with the reason.
pub fn encode_datagram(
    message: &Message,
    keys: &KeyRing,
    format: MessageFormat,
) -> Result<Bytes, EncodeError> {
    let mut out = Vec::with_capacity(estimate_bytes(message));
    emit_body(message, keys, format, &mut out)?;
    sign_body(out, keys)
}

/// Makes a datagram with the whole message compressed. Spec: docs/protocol/wire.md, 7.1.
///
/// For messages over the threshold under `traditional_compression yes`, and for those that
/// [`encode_datagram`] finds too large.
///
/// # Errors
/// [`EncodeError`] with the reason.
pub fn encode_compressed(
    message: &Message,
    keys: &KeyRing,
    format: MessageFormat,
    algorithm: compress::Algorithm,
) -> Result<Bytes, EncodeError> {
    let mut plain = Vec::with_capacity(estimate_bytes(message));
    match format {
        MessageFormat::Classic if !message.needs_netstring() => {
            emit_signed_text(message, keys, &mut plain)?;
            plain.push(0);
        }
        _ => {
            refuse_empty(message)?;
            netstring::emit(message, &mut plain)?;
        }
    }
    let mut out = Vec::new();
    netstring::emit(&compress::wrap(&plain, algorithm)?, &mut out)?;
    sign_body(out, keys)
}

/// Makes the text for a serial line: classic form with `auth` as the last field, no NUL.
/// With a NUL at the end every classic datagram has this form.
///
/// # Errors
/// [`EncodeError`] with the reason.
pub fn encode_serial(message: &Message, keys: &KeyRing) -> Result<Bytes, EncodeError> {
    let mut out = Vec::with_capacity(estimate_bytes(message));
    emit_signed_text(message, keys, &mut out)?;
    within_limit(out)
}

fn emit_body(
    message: &Message,
    keys: &KeyRing,
    format: MessageFormat,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    refuse_empty(message)?;
    if format == MessageFormat::Netstring || message.needs_netstring() {
        return netstring::emit(message, out);
    }
    let mut lines = Vec::with_capacity(estimate_bytes(message));
    match text::emit_signed_lines(message, &mut lines) {
        Ok(()) => {}
        // A byte that classic text cannot hold. No receiver of this form needs `auth`.
        Err(EncodeError::NotInClassic(_)) => return netstring::emit(message, out),
        Err(error) => return Err(error),
    }
    out.extend_from_slice(netstring::START);
    for f in message
        .fields()
        .iter()
        .filter(|f| f.name[..] != *field::AUTH.as_bytes())
    {
        netstring::emit_field(&f.name, &f.value, 0, out)?;
    }
    let auth = Value::text(keys.sign(&lines).as_bytes());
    netstring::emit_field(field::AUTH.as_bytes(), &auth, 0, out)?;
    out.extend_from_slice(netstring::END);
    Ok(())
}

fn emit_signed_text(
    message: &Message,
    keys: &KeyRing,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    refuse_empty(message)?;
    out.extend_from_slice(text::START);
    text::emit_signed_lines(message, out)?;
    let token = keys.sign(out.get(text::START.len()..).unwrap_or_default());
    out.extend_from_slice(field::AUTH.as_bytes());
    out.push(b'=');
    out.extend_from_slice(token.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(text::END);
    Ok(())
}

fn sign_body(mut body: Vec<u8>, keys: &KeyRing) -> Result<Bytes, EncodeError> {
    let token = keys.sign(&body);
    netstring::emit_trailer(token.as_bytes(), &mut body);
    within_limit(body)
}

fn refuse_empty(message: &Message) -> Result<(), EncodeError> {
    if message.fields().is_empty() {
        Err(EncodeError::Empty)
    } else {
        Ok(())
    }
}

fn within_limit(wire: Vec<u8>) -> Result<Bytes, EncodeError> {
    if wire.len() > MAX_MESSAGE_BYTES {
        return Err(EncodeError::TooLarge(wire.len()));
    }
    Ok(wire.into())
}

/// Size of the wire form, so that the buffer rarely has to grow.
fn estimate_bytes(message: &Message) -> usize {
    message
        .fields()
        .iter()
        .fold(FRAME_OVERHEAD_BYTES, |sum, f| {
            let value = match &f.value {
                Value::Text(bytes) => bytes.len(),
                // Base64 makes four bytes of three.
                Value::Binary(bytes) | Value::Compressed(bytes) => bytes.len().saturating_mul(2),
                Value::Struct(_) | Value::List(_) | Value::Uncompressed(_) => FRAME_OVERHEAD_BYTES,
            };
            sum.saturating_add(f.name.len())
                .saturating_add(value)
                .saturating_add(ITEM_OVERHEAD_BYTES)
        })
}

#[cfg(test)]
#[path = "codec/tests.rs"]
mod tests;
