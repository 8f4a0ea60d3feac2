//! The common part of the two encodings: limits, reasons for refusal, checks on a field.

use super::message::{Field, FieldName, Message, Value};

/// Longest message in wire form, and so the longest datagram that is read.
/// Spec: docs/protocol/wire.md, 6.
pub const MAX_MESSAGE_BYTES: usize = 262_143;

/// Most bytes that a compressed message may unpack to. Spec: docs/protocol/wire.md, 6.
pub const MAX_UNPACKED_BYTES: usize = 2 * 1024 * 1024;

/// Structs within structs, the top-level message not counted: the classic form has sixteen
/// substitution bytes. Spec: docs/protocol/wire.md, 1.
pub const MAX_DEPTH: usize = 16;

/// Fields of one message, nested ones included. Legacy has no limit; real messages have fewer than
/// a hundred. The limit bounds the memory that a datagram of empty fields can use.
pub const MAX_FIELDS: usize = 4096;

/// List fields of one message: each is looked up among the fields before it. That must stay cheap,
/// since a classic message is read before it is verified.
pub const MAX_LIST_FIELDS: usize = 256;

/// A packed list in netstring form must be shorter than this. Spec: docs/protocol/wire.md, 1.
pub const PACKED_LIST_LIMIT_BYTES: usize = 1024;

/// Bytes of the offending input that an error quotes.
const EXCERPT_BYTES: usize = 40;

/// `msgfmt`. Spec: docs/protocol/wire.md, 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// Netstring datagrams with an inner `auth` field.
    Classic,
    /// Netstring datagrams without it.
    Netstring,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes")]
    TooLarge(usize),
    /// Neither `>>>` nor `###` where a message should start.
    #[error("no start marker")]
    NoStartMarker,
    /// The input ends before the end marker.
    #[error("no end marker")]
    NoEndMarker,
    /// A netstring length is not a plain decimal number.
    #[error("cannot read a netstring length at {0:?}")]
    BadLength(String),
    /// A netstring is longer than the rest of the input.
    #[error("netstring is cut off")]
    CutOff,
    /// A netstring does not end with a comma.
    #[error("netstring without final comma")]
    NoComma,
    /// Bytes after a nested message.
    #[error("bytes after a nested message")]
    TrailingBytes,
    /// An item without `(digit)` in front.
    #[error("item {0:?} without type")]
    NoType(String),
    /// A type that does not exist, or does not exist in this form.
    #[error("unknown field type in {0:?}")]
    UnknownType(String),
    /// A field without `=`.
    #[error("line doesn't contain '=': {0:?}")]
    NoEquals(String),
    /// An empty name, or one with a NUL or a newline.
    #[error("bad field name {0:?}")]
    BadName(String),
    /// A NUL in a string.
    #[error("NUL in string field {0:?}")]
    NulInText(String),
    /// Not RFC 4648 base64 in its one canonical spelling.
    #[error("bad base64 in field {0:?}")]
    BadBase64(String),
    /// A packed list that does not unpack.
    #[error("bad list in field {0:?}")]
    BadList(String),
    /// A list field whose name a field of another type already has.
    #[error("list field {0:?} has the name of a field of another type")]
    ListNameTaken(String),
    /// More than [`MAX_DEPTH`] structs within each other.
    #[error("more than {MAX_DEPTH} nested structs")]
    TooDeep,
    /// More than [`MAX_FIELDS`] or [`MAX_LIST_FIELDS`].
    #[error("more than {MAX_FIELDS} fields or {MAX_LIST_FIELDS} lists")]
    TooManyFields,
    /// A line over the limit of the FIFO. Spec: docs/protocol/wire.md, 20.
    #[error("line of more than {0} bytes")]
    LineTooLong(usize),
    /// A compressed message that names no algorithm, or an unknown one.
    #[error("unknown compression algorithm {0:?}")]
    UnknownCompression(String),
    /// Compressed bytes that do not unpack, or to more than [`MAX_UNPACKED_BYTES`].
    #[error("cannot unpack compressed message: {0}")]
    Unpack(String),
}

/// Why a message has no wire form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No fields at all: legacy cannot send such a message.
    #[error("message without fields")]
    Empty,
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes is too large")]
    TooLarge(usize),
    /// An empty name, or one with `=`, NUL or a newline.
    #[error("bad field name {0:?}")]
    BadName(String),
    /// A NUL in a string.
    #[error("NUL in string field {0:?}")]
    NulInText(String),
    /// A list with an empty element: no receiver unpacks it.
    #[error("empty element in list field {0:?}")]
    EmptyListElement(String),
    /// A packed list that reaches [`PACKED_LIST_LIMIT_BYTES`].
    #[error("list field {0:?} packs to {1} bytes")]
    ListTooLong(String, usize),
    /// More than [`MAX_DEPTH`] structs within each other.
    #[error("more than {MAX_DEPTH} nested structs")]
    TooDeep,
    /// The field has no classic form.
    #[error("field {0:?} cannot be written in classic form")]
    NotInClassic(String),
    /// The compressor failed.
    #[error("cannot compress: {0}")]
    Compress(String),
}

/// Printable start of `bytes`, for an error text.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let short = bytes.get(..EXCERPT_BYTES).unwrap_or(bytes);
    short.escape_ascii().to_string()
}

/// Whether a field may have this name in either form.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|b| matches!(b, 0 | b'\n' | b'='))
}

/// Builds a message, field by field, within [`MAX_FIELDS`].
pub(super) struct Assembly {
    fields_left: usize,
    lists_left: usize,
}

impl Assembly {
    /// For one top-level message and all that is nested in it.
    pub(super) const fn new() -> Self {
        Self {
            fields_left: MAX_FIELDS,
            lists_left: MAX_LIST_FIELDS,
        }
    }

    /// Appends a field. A list whose name exists already is added to the old list.
    ///
    /// Spec: docs/protocol/wire.md, 1.
    pub(super) fn push(
        &mut self,
        message: &mut Message,
        name: &[u8],
        value: Value,
    ) -> Result<(), Malformed> {
        if !is_name(name) {
            return Err(Malformed::BadName(excerpt(name)));
        }
        spend(&mut self.fields_left)?;
        match value {
            Value::List(elements) => {
                spend(&mut self.lists_left)?;
                if !message.extend_list(name, elements) {
                    return Err(Malformed::ListNameTaken(excerpt(name)));
                }
            }
            value => message.push_field(Field {
                name: FieldName::from_slice(name),
                value,
            }),
        }
        Ok(())
    }
}

fn spend(left: &mut usize) -> Result<(), Malformed> {
    *left = left.checked_sub(1).ok_or(Malformed::TooManyFields)?;
    Ok(())
}

/// Unpacks a list: `<length>:<bytes>,` for every element, none of them empty.
pub(super) fn unpack_list(name: &[u8], packed: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let bad = || Malformed::BadList(excerpt(name));
    let mut elements = Vec::new();
    let mut rest = packed;
    while !rest.is_empty() {
        let (element, after) = super::netstring::netstring(rest).map_err(|_| bad())?;
        if element.is_empty() || element.contains(&0) {
            return Err(bad());
        }
        elements.push(element.to_vec());
        rest = after;
    }
    Ok(elements)
}

/// Packs a list.
pub(super) fn pack_list(name: &[u8], elements: &[Vec<u8>]) -> Result<Vec<u8>, EncodeError> {
    let mut packed = Vec::new();
    for element in elements {
        if element.is_empty() {
            return Err(EncodeError::EmptyListElement(excerpt(name)));
        }
        if element.contains(&0) {
            return Err(EncodeError::NulInText(excerpt(name)));
        }
        push_decimal(&mut packed, element.len());
        packed.push(b':');
        packed.extend_from_slice(element);
        packed.push(b',');
    }
    Ok(packed)
}

/// Appends a decimal number.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
