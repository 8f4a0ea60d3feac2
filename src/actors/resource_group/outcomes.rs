//! The last outcomes of a group, by order: an order that is given again after its outcome was lost
//! is not carried out again; its outcome is reported again.

use std::collections::VecDeque;

use crate::actors::messages::GroupDone;
use crate::protocol::event::OrderId;

/// More than are ever on their way.
const MOST: usize = 8;

/// The outcomes of the last orders of one group.
#[derive(Debug, Clone, Default)]
pub struct Outcomes(VecDeque<GroupDone>);

impl Outcomes {
    /// Keeps an outcome.
    pub fn keep(&mut self, done: &GroupDone) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(done.clone());
    }

    /// The last outcome.
    pub(super) fn last(&self) -> Option<&GroupDone> {
        self.0.back()
    }

    /// The outcome of that order; `None`: none yet, or it is no longer kept.
    #[must_use]
    pub fn of(&self, order: OrderId) -> Option<GroupDone> {
        self.0.iter().find(|done| done.order == order).cloned()
    }
}
