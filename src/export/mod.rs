//! The way out: what a pair of ha.cf, haresources, authkeys and `systole.toml` is for Pacemaker with corosync, or for
//! keepalived.
//!
//! Pure: [`Facts`] in, documents and a [`Ledger`] out. The ledger has every line of the source: what it has become, or
//! why nothing is needed for it, or that it is lost and why. `cli::export` reads and writes.

mod agent;
mod cib;
mod corosync;
mod directives;
mod facts;
mod fence;
mod keepalived;
mod ledger;
mod links;
mod migration;
mod pacemaker;
mod settings;

pub use facts::{Facts, KeyLine, Script, redacted_keys};
pub use ledger::{Entry, Fate, File, Ledger};

/// Where a pair goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Pacemaker, with corosync under it.
    Pacemaker,
    /// corosync alone.
    Corosync,
    /// keepalived.
    Keepalived,
}

impl Target {
    /// Each with the word of the command line.
    pub const ALL: [Self; 3] = [Self::Pacemaker, Self::Corosync, Self::Keepalived];

    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pacemaker => "pacemaker",
            Self::Corosync => "corosync",
            Self::Keepalived => "keepalived",
        }
    }
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name in the directory.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// Everything that an export makes.
#[derive(Debug)]
pub struct Exported {
    /// The files, `MIGRATION.txt` the last.
    pub documents: Vec<Document>,
    /// What has become of every line.
    pub ledger: Ledger,
}

/// Why nothing can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// keepalived is made for the two nodes of a pair.
    #[error("ha.cf names {0} nodes: only a pair can be exported to keepalived")]
    NoPair(usize),
    /// A name that a file of the target cannot hold.
    #[error("{0}: the target's files cannot hold this node name")]
    NodeName(String),
    /// XML could not be written.
    #[error("cib.xml cannot be made: {0}")]
    Xml(String),
}

/// Makes the documents of `target`.
///
/// # Errors
/// [`ExportError`].
pub fn export(target: Target, facts: &Facts<'_>) -> Result<Exported, ExportError> {
    let nodes = &facts.config.nodes;
    if let Some(bad) = nodes.iter().find(|node| !facts::is_plain(node.as_str())) {
        return Err(ExportError::NodeName(bad.to_string()));
    }
    let mut ledger = Ledger::of(facts);
    let mut documents = match target {
        Target::Pacemaker => {
            let cib = pacemaker::cib(facts, &mut ledger)?;
            vec![cib, corosync::conf(facts, &mut ledger)]
        }
        Target::Corosync => vec![corosync::conf(facts, &mut ledger)],
        Target::Keepalived => keepalived::conf(facts, &mut ledger)?,
    };
    directives::account(target, facts, &mut ledger);
    settings::account(target, facts, &mut ledger);
    ledger.close();
    documents.push(migration::text(target, facts, &documents, &ledger));
    Ok(Exported { documents, ledger })
}
