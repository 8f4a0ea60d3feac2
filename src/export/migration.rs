//! `MIGRATION.txt`.

use std::fmt::Write as _;

use super::ledger::{Fate, Ledger};
use super::{Document, Facts, Target};

/// Makes it from everything else.
pub(super) fn text(
    target: Target,
    facts: &Facts<'_>,
    documents: &[Document],
    ledger: &Ledger,
) -> Document {
    let config = facts.config;
    let nodes: Vec<&str> = config.nodes.iter().map(|it| it.as_str()).collect();
    let nodes = nodes.join(", ");
    let mut text = format!(
        "FROM HEARTBEAT TO {}\n\nMade by systole export from the files of {}. Nodes: {nodes}.\nFiles beside this one:",
        target.word().to_uppercase(),
        config.local
    );
    for document in documents {
        let _ = write!(text, " {}", document.name);
    }
    text.push_str("\n\nEVERY LINE OF THE SOURCE\n\n");
    for (file, line, entry) in ledger.entries() {
        let _ = writeln!(text, "{file}:{line}  {}", entry.text);
        for (fate, note) in &entry.notes {
            let _ = writeln!(text, "    {fate}: {note}");
        }
    }
    if let Err(why) = &facts.keys {
        let _ = writeln!(
            text,
            "\nauthkeys could not be read ({why}): its lines are not here."
        );
    }
    let losses = ledger.losses();
    let lost = if losses.is_empty() {
        vec!["Nothing.".to_owned()]
    } else {
        losses
    };
    list(&mut text, "LOST", &lost);
    list(&mut text, "DIFFERENT", &differences(target, facts, ledger));
    let steps: Vec<String> = steps(target, facts, ledger);
    list(&mut text, "STEPS", &steps);
    list(
        &mut text,
        "WAY BACK",
        &[
            format!(
                "Stop {} on all nodes, and see that no service address is left (ip address).",
                programs(target)
            ),
            format!("systemctl disable {} on all nodes.", programs(target)),
            "Start heartbeat on all nodes: /etc/ha.d was not changed.".to_owned(),
        ],
    );
    Document {
        name: "MIGRATION.txt".to_owned(),
        text,
    }
}

fn list(text: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{head}\n");
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
}

const fn programs(target: Target) -> &'static str {
    match target {
        Target::Pacemaker => "pacemaker corosync",
        Target::Corosync => "corosync",
        Target::Keepalived => "keepalived",
    }
}

fn differences(target: Target, facts: &Facts<'_>, ledger: &Ledger) -> Vec<String> {
    let mut lines = ledger.differs.clone();
    let has_carried = ledger
        .entries()
        .any(|(.., entry)| entry.notes.iter().any(|(fate, _)| *fate == Fate::Carried));
    if !has_carried {
        return lines;
    }
    match target {
        Target::Pacemaker => {
            lines.push(
                "Pacemaker asks every agent once at its start whether it runs (a probe). A script whose status is wrong \
                 is stopped or counts as running."
                    .to_owned(),
            );
            lines.push(
                "A resource that does not stop: heartbeat logs it and goes on, or reboots; Pacemaker fences the node, \
                 and without fencing it blocks the group."
                    .to_owned(),
            );
            if facts.config.settings.monitors.is_empty() {
                lines.push("Nothing but the addresses is checked while it runs, as before.".to_owned());
            }
        }
        Target::Corosync => {}
        Target::Keepalived => lines.push(
            "All addresses of an owner move together. There is no membership: each node decides by what it hears on one \
             interface."
                .to_owned(),
        ),
    }
    lines
}

fn steps(target: Target, facts: &Facts<'_>, ledger: &Ledger) -> Vec<String> {
    let mut lines: Vec<String> = ledger
        .todo
        .iter()
        .map(|it| {
            let mut line = it.clone();
            if let Some(first) = line.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            line + "."
        })
        .collect();
    let owner = facts.config.local.as_str();
    let stop =
        "Stop heartbeat on all nodes (this stops the services), and systemctl disable heartbeat."
            .to_owned();
    match target {
        Target::Pacemaker | Target::Corosync => {
            lines.push("Allow UDP 5405 to 5412 between the nodes in the firewall.".to_owned());
            lines.push(format!(
                "Install {} on all nodes, and stop what the packages start.",
                programs(target)
            ));
            if target == Target::Pacemaker {
                lines.push("Check: crm_verify -V -x cib.xml; and what would run where: crm_simulate -x cib.xml -S.".to_owned());
            }
            lines.push(format!(
                "Run corosync-keygen on {owner}; copy /etc/corosync/authkey (mode 0400) and corosync.conf to /etc/corosync \
                 of all nodes."
            ));
            lines.push("Check on each node: corosync -t.".to_owned());
            lines.push(stop);
            lines.push("Start corosync on all nodes, and wait until corosync-quorumtool shows all of them.".to_owned());
            if target == Target::Pacemaker {
                lines.push(
                    "Start pacemaker on all nodes; then, on one: cibadmin --replace --xml-file cib.xml; then crm_mon -1."
                        .to_owned(),
                );
            }
        }
        Target::Keepalived => {
            lines.push("Install keepalived on both nodes, and stop it.".to_owned());
            lines.push("Allow protocol 112 (VRRP) between the nodes in the firewall.".to_owned());
            lines.push(
                "See that no other router of the network has the virtual_router_id.".to_owned(),
            );
            lines.push("Copy keepalived-NODE.conf to /etc/keepalived/keepalived.conf of that node; check there: keepalived -t.".to_owned());
            lines.push(stop);
            lines.push("Start keepalived on both nodes.".to_owned());
        }
    }
    lines
}
