//! `systole doctor`: looks, judges and prints.

use std::path::PathBuf;

use super::control_commands::Answer;
use super::view::json_line;
use crate::doctor::{self, Source, ThisHost};

/// What `systole doctor` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct DoctorOptions {
    /// Look at the other node too: a copy of its root directory, or of its /etc/ha.d
    #[arg(long, value_name = "DIR")]
    pub peer: Option<PathBuf>,
    /// Look at this copy of a node instead of this host
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Show the findings of one rule only, D07 for instance
    #[arg(long, value_name = "RULE")]
    pub only: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print what a copy of this node's files does not tell, for DIR/host.json
    #[arg(long, conflicts_with_all = ["peer", "root", "only", "json"])]
    pub facts: bool,
    /// Take only time that nobody else wants
    #[arg(long, hide = true)]
    pub unhurried: bool,
}

/// Does it. Blocks, and changes nothing.
#[must_use]
pub fn run(options: &DoctorOptions) -> Answer {
    let open = |directory: &Option<PathBuf>| {
        let copied = directory.as_ref().map(|it| doctor::copied(it));
        copied.transpose()
    };
    let (root, peer) = match (open(&options.root), open(&options.peer)) {
        (Ok(root), Ok(peer)) => (root, peer),
        (Err(error), _) | (_, Err(error)) => return Answer::err(format!("systole: {error}\n"), 3),
    };
    let this_host = ThisHost::default();
    let here: &dyn Source = match &root {
        Some(root) => root,
        None => &this_host,
    };
    if options.facts {
        return Answer::out(doctor::host_as_json(here), 0);
    }
    let peer = peer.as_ref().map(|peer| peer as &dyn Source);
    let (here, there) = doctor::collect(here, peer);
    let mut report = doctor::examine(&here, there.as_ref());
    if let Some(rule) = &options.only {
        report.keep_only(rule);
    }
    let code = report.exit_code();
    let text = if options.json {
        json_line(&report)
    } else {
        report.for_people()
    };
    Answer::out(text, code)
}
