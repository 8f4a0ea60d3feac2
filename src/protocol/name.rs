//! Narrow types for names and identities.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest node name, in bytes. Spec: docs/protocol/wire.md, 6.
pub const MAX_NODE_NAME_BYTES: usize = 99;

/// Name of a cluster member or ping node: 1..=99 bytes, ASCII letters in lower case, no white space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// Why a text is not a node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeNameError {
    /// The text is empty.
    #[error("node name is empty")]
    Empty,
    /// More than 99 bytes.
    #[error("node name is {0} bytes long, at most 99 are allowed")]
    TooLong(usize),
    /// A blank, control character or NUL.
    #[error("node name {0:?} holds white space or a control character")]
    BadCharacter(String),
}

impl NodeName {
    /// Folds ASCII letters to lower case and checks the rest.
    ///
    /// # Errors
    /// [`NodeNameError`] with the reason.
    pub fn new(text: &str) -> Result<Self, NodeNameError> {
        if text.is_empty() {
            return Err(NodeNameError::Empty);
        }
        if text.len() > MAX_NODE_NAME_BYTES {
            return Err(NodeNameError::TooLong(text.len()));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NodeNameError::BadCharacter(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// `node1`, `node2` and so on: the names in simulations.
    #[must_use]
    pub fn numbered(number: u16) -> Self {
        Self(format!("node{number}").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a medium as links carry it: `eth0`, `/dev/ttyS0`, or the ping node's name.
///
/// Two media on one interface share one name and so one link. Spec: docs/protocol/wire.md, 16.4.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediumName(Arc<str>);

impl MediumName {
    /// Wraps a name that was already checked by the configuration.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediumName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a node: 16 bytes in RFC 4122 order. Spec: docs/protocol/wire.md, 11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeUuid(pub [u8; 16]);

impl NodeUuid {
    /// The uuid that stands for "not known".
    pub const NIL: Self = Self([0; 16]);

    /// Whether all bytes are zero.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }
}

impl fmt::Display for NodeUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// Number of a node's run; grows with every start. Spec: docs/protocol/wire.md, 11.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// Number of a message within one generation, from 1. Spec: docs/protocol/wire.md, 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);
