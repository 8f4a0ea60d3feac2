//! Resource groups as the core sees them: a key, an owner, a place in the file.

use std::fmt;
use std::sync::Arc;

use super::name::NodeName;

/// Key of a group: its first resource, spelled exactly as in haresources.
/// Spec: docs/protocol/resources.md, 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(Arc<str>);

impl GroupKey {
    /// Wraps the first word of a group.
    #[must_use]
    pub fn new(word: &str) -> Self {
        Self(word.into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of haresources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceGroup {
    /// Names the group in every request.
    pub key: GroupKey,
    /// Preferred node.
    pub owner: NodeName,
    /// Resource words, left to right, at least one.
    pub resources: Vec<String>,
}
