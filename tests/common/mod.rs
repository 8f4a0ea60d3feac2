//! Helpers that several integration tests share.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod scenario;
pub(crate) mod timeline;
pub(crate) mod wire_vectors;
