//! Orders to reset a node, and their answers.

/// Number of one order to reset a node; a new attempt is a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FenceOrder(pub u64);

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceAnswer {
    /// The device says that it has reset the node.
    Done,
    /// It was not reset, or nobody knows. Carries the device's own words, for people.
    Failed(String),
}
