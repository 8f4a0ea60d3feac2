//! The netstring form, for UDP media and clients. Spec: docs/protocol/wire.md, 2.
//!
//! ```text
//! ###\n  11:(0)t=status,  9:(1)u=....,  %%%\n   42:1 2e45a9976e...,
//! start  <------------ fields -------> end     trailer
//! <------------- body ------------------->
//! ```
//!
//! [`split_body`] finds the body from the lengths alone, so its digest is verified before anything
//! in it is interpreted.

use nom::Parser;
use nom::bytes::complete::{tag, take};
use nom::character::complete::digit1;

use super::message::{Message, Value};
use super::wire::{
    Assembly, EncodeError, MAX_DEPTH, Malformed, PACKED_LIST_LIMIT_BYTES, excerpt, is_name,
    pack_list, push_decimal, unpack_list,
};

/// First bytes of a message.
pub const START: &[u8] = b"###\n";
/// Last bytes of a message's body.
pub const END: &[u8] = b"%%%\n";

/// Splits one netstring from the front of `input`: its content and the rest.
///
/// # Errors
/// [`Malformed::CutOff`] when more input could complete it; otherwise the length is not a plain
/// decimal number (leading zeros are accepted), or no comma follows.
pub(super) fn netstring(input: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let no_length = || Malformed::BadLength(excerpt(input));
    let (rest, digits) = digits(input).map_err(|()| no_length())?;
    if rest.is_empty() {
        return Err(Malformed::CutOff);
    }
    let (rest, _) = symbol(b":", rest).map_err(|()| no_length())?;
    let length = digits.iter().try_fold(0_usize, |number, digit| {
        number.checked_mul(10)?.checked_add(usize::from(digit & 15))
    });
    // A length that overflows is longer than any input.
    let length = length.ok_or(Malformed::CutOff)?;
    let (rest, content) = bytes(length, rest).map_err(|()| Malformed::CutOff)?;
    if rest.is_empty() {
        return Err(Malformed::CutOff);
    }
    let (rest, _) = symbol(b",", rest).map_err(|()| Malformed::NoComma)?;
    Ok((content, rest))
}

type Step<'a> = Result<(&'a [u8], &'a [u8]), ()>;

fn digits(input: &[u8]) -> Step<'_> {
    digit1::<_, ()>.parse_complete(input).map_err(|_| ())
}

fn symbol<'a>(wanted: &'static [u8], input: &'a [u8]) -> Step<'a> {
    tag::<_, _, ()>(wanted)
        .parse_complete(input)
        .map_err(|_| ())
}

fn bytes(count: usize, input: &[u8]) -> Step<'_> {
    take::<_, _, ()>(count)
        .parse_complete(input)
        .map_err(|_| ())
}

/// Splits `input` into the body of the message at its beginning and the rest.
///
/// Uses the lengths only. An end marker inside an item is data.
///
/// # Errors
/// [`Malformed::CutOff`] or [`Malformed::NoEndMarker`] when more input could complete the body,
/// another error when nothing could.
pub fn split_body(input: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut rest, _) = symbol(START, input).map_err(|()| Malformed::NoStartMarker)?;
    loop {
        if let Ok((after, _)) = symbol(END, rest) {
            let length = input.len().saturating_sub(after.len());
            return input.split_at_checked(length).ok_or(Malformed::NoEndMarker);
        }
        if END.starts_with(rest) {
            return Err(Malformed::NoEndMarker);
        }
        (_, rest) = netstring(rest)?;
    }
}

/// The token in the trailer at the beginning of `after_body`. Bytes after the trailer are
/// tolerated.
#[must_use]
pub fn trailer_token(after_body: &[u8]) -> Option<&[u8]> {
    netstring(after_body).ok().map(|(token, _)| token)
}

/// Reads a body: from the start marker to the end marker, with nothing after it.
///
/// # Errors
/// [`Malformed`] with the first error found.
pub fn parse(body: &[u8]) -> Result<Message, Malformed> {
    parse_nested(body, 0, &mut Assembly::new())
}

fn parse_nested(input: &[u8], depth: usize, assembly: &mut Assembly) -> Result<Message, Malformed> {
    let (mut rest, _) = symbol(START, input).map_err(|()| Malformed::NoStartMarker)?;
    let mut message = Message::with_room();
    loop {
        if let Ok((after, _)) = symbol(END, rest) {
            return if after.is_empty() {
                Ok(message)
            } else {
                Err(Malformed::TrailingBytes)
            };
        }
        if END.starts_with(rest) {
            return Err(Malformed::NoEndMarker);
        }
        let (item, after) = netstring(rest)?;
        parse_item(item, depth, &mut message, assembly)?;
        rest = after;
    }
}

fn parse_item(
    item: &[u8],
    depth: usize,
    message: &mut Message,
    assembly: &mut Assembly,
) -> Result<(), Malformed> {
    let [b'(', digit @ b'0'..=b'9', b')', field @ ..] = item else {
        return Err(Malformed::NoType(excerpt(item)));
    };
    let equals = field.iter().position(|&b| b == b'=');
    let (name, value) = equals
        .and_then(|at| Some((field.get(..at)?, field.get(at.checked_add(1)?..)?)))
        .ok_or_else(|| Malformed::NoEquals(excerpt(item)))?;
    let value = match digit {
        b'0' if value.contains(&0) => return Err(Malformed::NulInText(excerpt(name))),
        b'0' => Value::text(value),
        b'1' => Value::Binary(value.to_vec()),
        b'2' => Value::Struct(parse_struct(value, depth, assembly)?),
        b'3' => Value::List(unpack_list(name, value)?),
        b'4' => Value::Compressed(value.to_vec()),
        b'5' => Value::Uncompressed(parse_struct(value, depth, assembly)?),
        _ => return Err(Malformed::UnknownType(excerpt(item))),
    };
    assembly.push(message, name, value)
}

fn parse_struct(value: &[u8], depth: usize, assembly: &mut Assembly) -> Result<Message, Malformed> {
    if depth >= MAX_DEPTH {
        return Err(Malformed::TooDeep);
    }
    parse_nested(value, depth.saturating_add(1), assembly)
}

/// Appends the body of `message`: markers and fields, no trailer.
///
/// # Errors
/// [`EncodeError`] when a field breaks a rule of docs/protocol/wire.md, 1.
pub fn emit(message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    emit_nested(message, 0, out)
}

fn emit_nested(message: &Message, depth: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(START);
    for field in message.fields() {
        emit_field(&field.name, &field.value, depth, out)?;
    }
    out.extend_from_slice(END);
    Ok(())
}

/// Appends one field of the message at `depth` (top level: 0).
pub(super) fn emit_field(
    name: &[u8],
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !is_name(name) {
        return Err(EncodeError::BadName(excerpt(name)));
    }
    match value {
        Value::Text(text) if text.contains(&0) => {
            return Err(EncodeError::NulInText(excerpt(name)));
        }
        Value::Text(text) => put_item(b'0', name, text, out),
        Value::Binary(bytes) => put_item(b'1', name, bytes, out),
        Value::Struct(nested) => put_item(b'2', name, &nested_body(nested, depth)?, out),
        Value::List(elements) => {
            let packed = pack_list(name, elements)?;
            if packed.len() >= PACKED_LIST_LIMIT_BYTES {
                return Err(EncodeError::ListTooLong(excerpt(name), packed.len()));
            }
            put_item(b'3', name, &packed, out);
        }
        Value::Compressed(bytes) => put_item(b'4', name, bytes, out),
        Value::Uncompressed(nested) => put_item(b'5', name, &nested_body(nested, depth)?, out),
    }
    Ok(())
}

fn nested_body(nested: &Message, depth: usize) -> Result<Vec<u8>, EncodeError> {
    if depth >= MAX_DEPTH {
        return Err(EncodeError::TooDeep);
    }
    let mut body = Vec::new();
    emit_nested(nested, depth.saturating_add(1), &mut body)?;
    Ok(body)
}

fn put_item(digit: u8, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // `(`, the digit, `)` and `=` are four bytes.
    push_decimal(
        out,
        name.len().saturating_add(value.len()).saturating_add(4),
    );
    out.extend_from_slice(&[b':', b'(', digit, b')']);
    out.extend_from_slice(name);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b',');
}

/// Appends the trailer for `token`.
pub fn emit_trailer(token: &[u8], out: &mut Vec<u8>) {
    push_decimal(out, token.len());
    out.push(b':');
    out.extend_from_slice(token);
    out.push(b',');
}

#[cfg(test)]
#[path = "netstring/tests.rs"]
mod tests;
