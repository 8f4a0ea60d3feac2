//! Addresses on interfaces: where they go, netlink, announcements, and the manager that combines
//! the three for the group actors.

pub mod address;
pub mod address_record;
pub mod address_script;
pub mod announce;
pub mod frames;
pub mod lease;
pub mod names;
pub mod netlink;
pub mod news;
pub mod own_address;
pub mod own_addresses;
pub mod placement;
pub mod probe;
pub mod service;
pub mod service_address;
