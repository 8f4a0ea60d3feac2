//! The ways of a command to a running node.

pub mod api_client;
pub mod ccm_client;
pub mod control;
