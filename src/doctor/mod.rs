//! `systole doctor`: what is wrong with the files and the host of a node, or of both nodes.
//!
//! Two parts. [`collect`] looks: it reads files and asks the kernel and the running daemon, and changes
//! nothing. It sends no packet, so it asks no name server either. [`examine`] judges: pure rules over the
//! [`Facts`] of one or two nodes, one row of [`RULES`] each. The first asks for what the second needs by
//! letting the rules run over a [`Desk`] that looks things up and remembers them.
//!
//! The rules do not read the files a second way: `config::load` and the table of `inspect`, by which a start
//! is refused, run over the same facts, and a row of [`RULES`] says under which number their findings go.
//! `docs/reference/doctor.md` contains the table.

mod desk;
mod facts;
mod finding;
mod node;
mod rules;
mod source;
mod this_host;

use std::cell::RefCell;
use std::path::Path;

pub use desk::Desk;
pub use facts::{Content, Facts, Host, Kind};
pub use finding::{Finding, Level, Report, SCHEMA};
pub use rules::{RULES, table};
pub use source::{Copied, Source};
pub use this_host::ThisHost;

use node::Node;

/// Looks at one node, or at both, and remembers everything that the rules ask for. Blocks.
#[must_use]
pub fn collect(here: &dyn Source, there: Option<&dyn Source>) -> (Facts, Option<Facts>) {
    let desk = Desk::looking(here);
    let other = there.map(Desk::looking);
    desk.name_itself(None);
    let first = Node::read(&desk, "");
    if let Some(other) = &other {
        other.name_itself(Some(first.name()));
    }
    judge(&desk, other.as_ref());
    (desk.into_facts(), other.map(Desk::into_facts))
}

/// A desk that looks at one node: its files and its host answer what reading the configuration asks, without a daemon,
/// a packet or a right that the user does not have. The lines of authkeys that cannot be read are replaced by a key
/// that nobody has.
#[must_use]
pub fn desk(source: &dyn Source) -> Desk<'_> {
    let desk = Desk::looking(source);
    desk.name_itself(None);
    desk
}

/// Judges. Pure.
#[must_use]
pub fn examine(here: &Facts, there: Option<&Facts>) -> Report {
    let desk = Desk::knowing(here);
    let other = there.map(Desk::knowing);
    judge(&desk, other.as_ref())
}

fn judge(desk: &Desk<'_>, other: Option<&Desk<'_>>) -> Report {
    let first = Node::read(desk, "");
    let second = other.map(|other| {
        let label = desk_name(other);
        Node::read(other, &label)
    });
    let findings = rules::findings(&first, second.as_ref());
    let mut unseen = desk.unseen("");
    if let (Some(other), Some(second)) = (other, &second) {
        unseen.extend(other.unseen(second.label()));
    }
    Report {
        schema: SCHEMA,
        findings,
        unseen,
        blind: first.is_blind() || second.as_ref().is_some_and(Node::is_blind),
    }
}

/// What stands before the files of the other node.
fn desk_name(desk: &Desk<'_>) -> String {
    let name = desk.host().name.clone();
    let name = name.or_else(|| desk.called());
    name.unwrap_or_else(|| "peer".to_owned())
}

/// The source for a directory given on the command line: a copied root, or a copied `/etc/ha.d`.
///
/// # Errors
/// It is no directory, or its `host.json` cannot be understood.
pub fn copied(directory: &Path) -> Result<Copied, String> {
    Copied::open(directory)
}

/// The part of `facts` that a copy of the files does not tell, as JSON.
#[must_use]
pub fn host_as_json(host: &dyn Source) -> String {
    let (facts, _) = collect(host, None);
    serde_json::to_string_pretty(&facts.host).map_or_else(|error| error.to_string(), |it| it + "\n")
}

/// For several borrowers of one value.
type Shared<T> = RefCell<T>;
