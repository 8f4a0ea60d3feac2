//! Hosts and groups by their numbers, and tables with one row for each of them.
//!
//! A table has a spare row for a number that it does not have: such a number changes nothing that counts, and stops
//! no run. What people write is checked before a run ([`Plan::checked`](super::plan::Plan::checked)).

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut, Range};

use crate::protocol::name::NodeName;

/// A number by which rows of a [`Table`] are found.
pub trait Key: Copy {
    /// The one with this number.
    fn of(number: usize) -> Self;
    /// Its number, from 0.
    fn number(self) -> usize;
}

impl Key for usize {
    fn of(number: usize) -> Self {
        number
    }
    fn number(self) -> usize {
        self
    }
}

/// One of the hosts, shown as the name of its node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(u8);

/// The first host.
pub const NODE1: HostId = HostId(0);
/// The second host.
pub const NODE2: HostId = HostId(1);

impl HostId {
    /// The name of its node.
    pub fn node_name(self) -> NodeName {
        NodeName::numbered(u16::from(self.0) + 1)
    }

    /// The other one of a pair.
    #[must_use]
    pub fn other(self) -> Self {
        Self(u8::from(self.0 == 0))
    }
}

impl Key for HostId {
    fn of(number: usize) -> Self {
        Self(u8::try_from(number).unwrap_or(u8::MAX))
    }
    fn number(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", u16::from(self.0) + 1)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One of the groups of haresources, in the order of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(u16);

impl Key for GroupId {
    fn of(number: usize) -> Self {
        Self(u16::try_from(number).unwrap_or(u16::MAX))
    }
    fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// The first group.
pub const G0: GroupId = GroupId(0);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Keys in the order of their numbers.
pub type Ids<K> = std::iter::Map<Range<usize>, fn(usize) -> K>;

/// The first keys, this many.
pub fn ids<K: Key>(count: usize) -> Ids<K> {
    (0..count).map(K::of as fn(usize) -> K)
}

/// A row for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<K, V> {
    rows: Vec<V>,
    spare: V,
    key: PhantomData<K>,
}

impl<K: Key, V> Table<K, V> {
    /// A row for each of the first keys, this many.
    pub fn new(count: usize, mut row: impl FnMut(K) -> V) -> Self {
        let spare = row(K::of(count));
        Self {
            rows: ids(count).map(row).collect(),
            spare,
            key: PhantomData,
        }
    }

    /// Equal rows.
    pub fn filled(count: usize, row: V) -> Self
    where
        V: Clone,
    {
        Self::new(count, |_| row.clone())
    }

    /// Makes all rows equal.
    pub fn fill(&mut self, row: V)
    where
        V: Clone,
    {
        self.rows.fill(row);
    }

    /// The keys that have a row.
    pub fn keys(&self) -> Ids<K> {
        ids(self.rows.len())
    }

    /// The first key whose row is so.
    pub fn find(&self, is: impl FnMut(&V) -> bool) -> Option<K> {
        self.rows.iter().position(is).map(K::of)
    }

    /// The rows.
    pub fn iter(&self) -> std::slice::Iter<'_, V> {
        self.rows.iter()
    }

    /// The rows.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, V> {
        self.rows.iter_mut()
    }
}

impl<K: Key, V> Index<K> for Table<K, V> {
    type Output = V;
    fn index(&self, key: K) -> &V {
        self.rows.get(key.number()).unwrap_or(&self.spare)
    }
}

impl<K: Key, V> IndexMut<K> for Table<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        self.rows.get_mut(key.number()).unwrap_or(&mut self.spare)
    }
}

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = &'a V;
    type IntoIter = std::slice::Iter<'a, V>;
    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut Table<K, V> {
    type Item = &'a mut V;
    type IntoIter = std::slice::IterMut<'a, V>;
    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_row_changes_no_row() {
        let mut table: Table<HostId, u32> = Table::filled(2, 7);
        table[HostId::of(2)] = 9;
        assert_eq!(table.iter().collect::<Vec<_>>(), [&7, &7]);
        table[NODE1] = 8;
        assert_eq!(table.find(|row| *row == 8), Some(NODE1));
        assert_eq!(table[NODE2], 7);
    }
}
