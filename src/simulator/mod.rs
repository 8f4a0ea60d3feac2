//! A pair in virtual time: real cores, models of the network, of scripts and of a legacy node, faults, and a judge.
//! The same history gives the same run, bit for bit. It opens nothing, reads no clock, and no part of the running node
//! uses it.
//!
//! | Part | What it is |
//! |---|---|
//! | [`world`], `queue` | the pair, its time, and what is going to happen |
//! | [`ids`] | hosts and groups by their numbers, and tables for them |
//! | [`plan`], [`features`] | what is the same in a whole run: programs, times, groups, peculiarities |
//! | [`act`], [`history`] | faults and actions of people, each with its time; a text for both plan and acts |
//! | [`faults`], `singles`, [`chance`] | histories that are drawn from a seed, and everything else that is random |
//! | [`host`], [`daemon`], `root`, `disk`, `revival` | a machine, its program, its root actor, its generation file, its restarts |
//! | `files` | haresources of each host, which a test may change |
//! | `orders`, [`scripts`], `questions` | orders for groups, how they are carried out, and questions to the network before a start |
//! | [`network`], [`fencing`] | cables that lose, delay, repeat and corrupt; devices that reset the other host |
//! | `guard`, `lease`, `monitors` | what our nodes watch on their hosts: addresses, their lifetimes, services |
//! | `outside`, `ipfail` | acts, and the client that moves groups |
//! | [`legacy`] | the model of a legacy node |
//! | [`judge`] | the rules that hold at every moment |
//! | [`scenario`] | a run step by step, in which nothing is left to chance |
//! | [`observer`], [`digest`] | what a run tells those who watch it |

// A plan and a history may come from people: neither stops the program. Numbers are bounded by `Plan::checked` and
// when acts are read.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod act;
pub mod chance;
pub mod daemon;
pub mod digest;
mod disk;
pub mod faults;
pub mod features;
pub mod fencing;
mod files;
mod guard;
pub mod history;
pub mod host;
pub mod ids;
mod ipfail;
pub mod judge;
mod lease;
pub mod legacy;
mod monitors;
pub mod network;
pub mod observer;
mod orders;
mod outside;
pub mod plan;
mod questions;
mod queue;
mod revival;
mod root;
pub mod scenario;
pub mod scripts;
mod singles;
pub mod world;
