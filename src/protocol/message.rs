//! The message model: an ordered list of named, typed fields. Spec: docs/protocol/wire.md, 1.

use std::fmt;

use smallvec::SmallVec;

use super::field;

/// The name of a field. Short names, which are nearly all, need no allocation.
pub type FieldName = SmallVec<[u8; 16]>;

/// A text. Short texts need no allocation.
pub type Text = SmallVec<[u8; 24]>;

/// Number of fields for which a received message has room at once: a status message has a dozen.
const USUAL_FIELDS: usize = 14;

/// A field's value. Text holds any byte but NUL; it is usually ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Type 0.
    Text(Text),
    /// Type 1.
    Binary(Vec<u8>),
    /// Type 2.
    Struct(Message),
    /// Type 3.
    List(Vec<Vec<u8>>),
    /// Type 4: a compressed, serialised message.
    Compressed(Vec<u8>),
    /// Type 5: a message that its sender meant to compress but did not.
    Uncompressed(Message),
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(Text::from_slice(text.as_ref()))
    }
}

/// One field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name: not empty, no `=`, no NUL, no newline.
    pub name: FieldName,
    /// Typed value.
    pub value: Value,
}

/// An ordered list of fields. Names may repeat; a look-up takes the first.
#[derive(Debug, Clone, Default)]
pub struct Message {
    fields: Vec<Field>,
    /// Number of the key that verified it. It is not part of what the message says.
    key: Option<u8>,
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for Message {}

impl Message {
    /// A message without fields.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            fields: Vec::new(),
            key: None,
        }
    }

    /// A message without fields and with room for the usual number of them.
    pub(super) fn with_room() -> Self {
        Self {
            fields: Vec::with_capacity(USUAL_FIELDS),
            key: None,
        }
    }

    /// The same message, verified with the key of this number.
    #[must_use]
    pub const fn verified_with(mut self, key: Option<u8>) -> Self {
        self.key = key;
        self
    }

    /// Number of the key in the keys file that verified it; `None`: it was not received from another node.
    #[must_use]
    pub const fn key(&self) -> Option<u8> {
        self.key
    }

    /// A message of type `kind` (field `t`).
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self::empty().with(field::T, kind)
    }

    /// Appends a text field, builder style.
    #[must_use]
    pub fn with(mut self, name: &str, text: &str) -> Self {
        self.push(name, Value::text(text));
        self
    }

    /// Appends a field; an existing one of the same name stays before it.
    pub fn push(&mut self, name: &str, value: Value) {
        self.fields.push(Field {
            name: FieldName::from_slice(name.as_bytes()),
            value,
        });
    }

    /// Appends a field whose name came from outside.
    pub fn push_field(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Appends `elements` to the list of that name, or adds the list when there is none.
    ///
    /// `false`, and no change, when a field of another type has the name.
    /// Spec: docs/protocol/wire.md, 1.
    #[must_use]
    pub fn extend_list(&mut self, name: &[u8], elements: Vec<Vec<u8>>) -> bool {
        match self.fields.iter_mut().find(|f| f.name[..] == *name) {
            None => self.fields.push(Field {
                name: FieldName::from_slice(name),
                value: Value::List(elements),
            }),
            Some(Field {
                value: Value::List(old),
                ..
            }) => old.extend(elements),
            Some(_) => return false,
        }
        true
    }

    /// Overwrites the first field of that name in place, or appends it.
    pub fn set(&mut self, name: &str, value: Value) {
        match self
            .fields
            .iter_mut()
            .find(|f| f.name[..] == *name.as_bytes())
        {
            Some(found) => found.value = value,
            None => self.push(name, value),
        }
    }

    /// [`set`](Self::set) with a text value.
    pub fn set_text(&mut self, name: &str, text: &str) {
        self.set(name, Value::text(text));
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|f| f.name[..] != *name.as_bytes());
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|f| f.name[..] == *name.as_bytes())
            .map(|f| &f.value)
    }

    /// The first value of that name if it is text and UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The first value of that name if it is text.
    #[must_use]
    pub fn text_bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name) {
            Some(Value::Text(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The first value of that name if it is binary.
    #[must_use]
    pub fn binary(&self, name: &str) -> Option<&[u8]> {
        match self.get(name) {
            Some(Value::Binary(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// A hexadecimal number in a text field, without sign; `None` when absent or not hex.
    #[must_use]
    pub fn hex(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.text(name)?.trim(), 16).ok()
    }

    /// A decimal number in a text field.
    #[must_use]
    pub fn dec(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    /// The message type (field `t`).
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.text(field::T)
    }

    /// All fields in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Approximate size in memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let of = |field: &Field| {
            let value = match &field.value {
                Value::Text(text) => text.len(),
                Value::Binary(bytes) | Value::Compressed(bytes) => bytes.len(),
                Value::Struct(inner) | Value::Uncompressed(inner) => inner.memory_bytes(),
                Value::List(list) => list
                    .iter()
                    .map(|element| element.len().saturating_add(size_of::<Vec<u8>>()))
                    .fold(0, usize::saturating_add),
            };
            size_of::<Field>().saturating_add(value)
        };
        (self.fields.iter().map(of)).fold(size_of::<Self>(), usize::saturating_add)
    }

    /// Whether a field needs the netstring form. Spec: docs/protocol/wire.md, 5.
    #[must_use]
    pub fn needs_netstring(&self) -> bool {
        self.fields.iter().any(|f| {
            matches!(
                f.value,
                Value::Struct(_) | Value::Compressed(_) | Value::Uncompressed(_)
            )
        })
    }
}

impl fmt::Display for Message {
    /// One line for debug logs: `t=status st=up src=alpha (1)srcuuid=..`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, field) in self.fields.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            let name = String::from_utf8_lossy(&field.name);
            match &field.value {
                Value::Text(text) => write!(f, "{name}={}", text.escape_ascii())?,
                Value::Binary(_) => write!(f, "(1){name}=..")?,
                Value::Struct(_) => write!(f, "(2){name}=..")?,
                Value::List(_) => write!(f, "(3){name}=..")?,
                Value::Compressed(_) => write!(f, "(4){name}=..")?,
                Value::Uncompressed(_) => write!(f, "(5){name}=..")?,
            }
        }
        Ok(())
    }
}
