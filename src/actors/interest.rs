//! Which messages any client wants to see. Most are heartbeats that no client wants: those never
//! leave the cluster thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::output::Treatment;

/// The union of the clients' message masks, shared by the client registry, which sets it, and
/// membership, which checks it for every message. Spec: docs/protocol/client-api.md, 8.1.
#[derive(Debug, Clone, Default)]
pub struct Interest(Arc<AtomicU64>);

impl Interest {
    /// Sets the bits that at least one client wants. A client that signs on is included before it
    /// is told so, and misses nothing from then on.
    pub fn set(&self, bits: u64) {
        self.0.store(bits, Ordering::Release);
    }

    /// Whether a message with this treatment has a reader.
    #[must_use]
    pub fn wants(&self, treatment: Treatment) -> bool {
        // The registry itself answers messages without a bit.
        treatment
            .mask_bit()
            .is_none_or(|bit| self.0.load(Ordering::Acquire) & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_clients_only_the_registry_reads() {
        let interest = Interest::default();
        assert!(!interest.wants(Treatment::Keep));
        assert!(!interest.wants(Treatment::NoChange));
        assert!(interest.wants(Treatment::Registry));
        let shared = interest.clone();
        shared.set(0x01);
        assert!(interest.wants(Treatment::Keep));
        assert!(!interest.wants(Treatment::NoChange));
        shared.set(0x03);
        assert!(interest.wants(Treatment::NoChange));
        shared.set(0);
        assert!(!interest.wants(Treatment::Keep));
    }
}
