//! The last outcomes of a group, by order: an order that is given again after a fault on the way is not
//! carried out again, its outcome is told again.

use std::collections::VecDeque;

use crate::actors::messages::GroupDone;
use crate::protocol::event::OrderId;

/// More than are ever on their way.
const MOST: usize = 8;

/// What the last orders of one group came to.
#[derive(Debug, Clone, Default)]
pub struct Outcomes(VecDeque<GroupDone>);

impl Outcomes {
    /// Keeps one.
    pub fn keep(&mut self, done: &GroupDone) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(done.clone());
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&GroupDone> {
        self.0.back()
    }

    /// What that order came to; `None`: nothing yet, or it was long ago.
    #[must_use]
    pub fn of(&self, order: OrderId) -> Option<GroupDone> {
        self.0.iter().find(|done| done.order == order).cloned()
    }
}
