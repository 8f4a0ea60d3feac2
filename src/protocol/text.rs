//! The classic form: lines of text, on serial media, in the FIFO and inside compressed messages.
//! Spec: docs/protocol/wire.md, 3.
//!
//! ```text
//! >>>\n
//! t=status\n                       string
//! (1)u=AAECAw==\n                  any other type
//! (2)s=>>>\x14a=b\x14<<<\x14\n     struct: its newlines are the byte of its depth
//! <<<\n
//! ```

use nom::Parser;
use nom::bytes::complete::{tag, take_till};

use super::base64;
use super::field;
use super::message::{Message, Value};
use super::wire::{Assembly, EncodeError, Malformed, excerpt, is_name, pack_list, unpack_list};

/// First line of a message.
pub const START: &[u8] = b">>>\n";
/// Last line of a message.
pub const END: &[u8] = b"<<<\n";

const START_LINE: &[u8] = b">>>";
const END_LINE: &[u8] = b"<<<";

/// Replaces a newline inside a string.
const NEWLINE_IN_TEXT: u8 = 0x13;

/// Replace a newline inside a struct, by the depth of the field.
/// Spec: docs/protocol/wire.md, 3.3.
const NEWLINE_IN_STRUCT: [u8; super::wire::MAX_DEPTH] = [
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 15, 16, 17, 18,
];

/// The byte that ends a line of the message at `depth`: a newline at the top.
fn line_end(depth: usize) -> Option<u8> {
    match depth.checked_sub(1) {
        None => Some(b'\n'),
        Some(above) => NEWLINE_IN_STRUCT.get(above).copied(),
    }
}

/// Reads the message at the beginning of `input`; bytes after its end marker are ignored.
///
/// # Errors
/// [`Malformed`] with the first error found.
pub fn parse(input: &[u8]) -> Result<Message, Malformed> {
    parse_nested(input, 0, &mut Assembly::new()).map(|(message, _)| message)
}

/// One line without its end, and the rest.
fn line(input: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let mut until_end = take_till::<_, _, ()>(|byte| byte == end);
    let (rest, line) = until_end.parse_complete(input).ok()?;
    let (rest, _) = tag::<_, _, ()>(&[end][..]).parse_complete(rest).ok()?;
    Some((line, rest))
}

fn parse_nested<'a>(
    input: &'a [u8],
    depth: usize,
    assembly: &mut Assembly,
) -> Result<(Message, &'a [u8]), Malformed> {
    let end = line_end(depth).ok_or(Malformed::TooDeep)?;
    let Some((START_LINE, mut rest)) = line(input, end) else {
        return Err(Malformed::NoStartMarker);
    };
    let mut message = Message::empty();
    loop {
        let (text, after) = line(rest, end).ok_or(Malformed::NoEndMarker)?;
        rest = after;
        if text == END_LINE {
            return Ok((message, rest));
        }
        // Blank lines between fields are skipped. Spec: docs/protocol/wire.md, 3.1.
        if !text.is_empty() {
            parse_line(text, depth, &mut message, assembly)?;
        }
    }
}

fn parse_line(
    line: &[u8],
    depth: usize,
    message: &mut Message,
    assembly: &mut Assembly,
) -> Result<(), Malformed> {
    let (digit, field) = match line {
        [b'(', digit @ b'0'..=b'9', b')', field @ ..] => (Some(*digit), field),
        field => (None, field),
    };
    let equals = field.iter().position(|&b| b == b'=');
    let (name, value) = equals
        .and_then(|at| Some((field.get(..at)?, field.get(at.checked_add(1)?..)?)))
        .ok_or_else(|| Malformed::NoEquals(excerpt(line)))?;
    if looks_otherwise(name) {
        return Err(Malformed::BadName(excerpt(name)));
    }
    let binary = || base64::decode(value).ok_or_else(|| Malformed::BadBase64(excerpt(name)));
    let value = match digit {
        None if value.contains(&0) => return Err(Malformed::NulInText(excerpt(name))),
        None => {
            let newline = |&b: &u8| if b == NEWLINE_IN_TEXT { b'\n' } else { b };
            Value::Text(value.iter().map(newline).collect())
        }
        Some(b'1') => Value::Binary(binary()?),
        Some(b'2') => {
            let (nested, rest) = parse_nested(value, depth.saturating_add(1), assembly)?;
            if !rest.is_empty() {
                return Err(Malformed::TrailingBytes);
            }
            Value::Struct(nested)
        }
        Some(b'3') => Value::List(unpack_list(name, value)?),
        Some(b'4') => Value::Compressed(binary()?),
        Some(_) => return Err(Malformed::UnknownType(excerpt(line))),
    };
    assembly.push(message, name, value)
}

/// Appends the whole text of `message`, markers included.
///
/// # Errors
/// [`EncodeError`] when a field breaks a rule of docs/protocol/wire.md, 1, or has no classic form.
pub fn emit(message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    emit_nested(message, 0, out)
}

/// Appends the lines that the digest in the field `auth` covers: every line except markers and
/// `auth` itself. Spec: docs/protocol/wire.md, 4.2.
///
/// # Errors
/// As [`emit`].
pub fn emit_signed_lines(message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    message
        .fields()
        .iter()
        .filter(|f| f.name[..] != *field::AUTH.as_bytes())
        .try_for_each(|f| emit_line(&f.name, &f.value, 0, b'\n', out))
}

fn emit_nested(message: &Message, depth: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let end = line_end(depth).ok_or(EncodeError::TooDeep)?;
    out.extend_from_slice(START_LINE);
    out.push(end);
    for f in message.fields() {
        emit_line(&f.name, &f.value, depth, end, out)?;
    }
    out.extend_from_slice(END_LINE);
    out.push(end);
    Ok(())
}

fn emit_line(
    name: &[u8],
    value: &Value,
    depth: usize,
    end: u8,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !is_name(name) {
        return Err(EncodeError::BadName(excerpt(name)));
    }
    let not_in_classic = || EncodeError::NotInClassic(excerpt(name));
    if looks_otherwise(name) || name.iter().any(|&b| ends_a_line(b, depth)) {
        return Err(not_in_classic());
    }
    let digit = match value {
        Value::Text(_) => None,
        Value::Binary(_) => Some(b'1'),
        Value::Struct(_) => Some(b'2'),
        Value::List(_) => Some(b'3'),
        Value::Compressed(_) => Some(b'4'),
        Value::Uncompressed(_) => return Err(not_in_classic()),
    };
    if let Some(digit) = digit {
        out.extend_from_slice(&[b'(', digit, b')']);
    }
    out.extend_from_slice(name);
    out.push(b'=');
    match value {
        // No byte below a blank: nothing to replace or refuse.
        Value::Text(text) if text.iter().all(|&b| b >= b' ') => out.extend_from_slice(text),
        Value::Text(text) => {
            for &byte in text {
                match byte {
                    0 => return Err(EncodeError::NulInText(excerpt(name))),
                    b'\n' => out.push(NEWLINE_IN_TEXT),
                    NEWLINE_IN_TEXT => return Err(not_in_classic()),
                    _ if ends_a_line(byte, depth) => return Err(not_in_classic()),
                    _ => out.push(byte),
                }
            }
        }
        Value::Binary(bytes) | Value::Compressed(bytes) => base64::encode(bytes, out),
        Value::Struct(nested) | Value::Uncompressed(nested) => {
            emit_nested(nested, depth.saturating_add(1), out)?;
        }
        Value::List(elements) => {
            let packed = pack_list(name, elements)?;
            if packed.iter().any(|&b| ends_a_line(b, depth)) {
                return Err(not_in_classic());
            }
            out.extend_from_slice(&packed);
        }
    }
    out.push(end);
    Ok(())
}

/// Whether a line with this name would be read as a marker or as another type.
fn looks_otherwise(name: &[u8]) -> bool {
    name.starts_with(START_LINE)
        || name.starts_with(END_LINE)
        || matches!(name, [b'(', b'0'..=b'9', b')', ..])
}

/// Whether `byte` ends a line of the message at `depth` or of one around it.
fn ends_a_line(byte: u8, depth: usize) -> bool {
    byte == b'\n' || NEWLINE_IN_STRUCT.iter().take(depth).any(|&end| end == byte)
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
