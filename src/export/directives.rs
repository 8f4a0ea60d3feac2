//! What becomes of the lines of ha.cf and authkeys that are in no document by themselves.

use super::Target;
use super::facts::{Facts, is_client};
use super::ledger::{Fate, File, Ledger};

use Fate::{Lost, NotNeeded};

/// Directives that mean nothing for any target, and why.
const INNER: &[(&str, &str)] = &[
    ("apiauth", "it is for clients of heartbeat"),
    ("baud", "it is for the serial lines"),
    ("compression", "the messages of the target are small"),
    (
        "compression_threshold",
        "the messages of the target are small",
    ),
    (
        "conn_logd_time",
        "it is for the logging daemon of heartbeat",
    ),
    ("coredumps", "it is for the heartbeat program"),
    ("coreroot", "it is for the heartbeat program"),
    ("crm_daemon_dir", "it has no effect"),
    ("crmd_spawns_pengine", "it has no effect"),
    ("debugfile", "the target has one log"),
    ("enable_config_writes", "it has no effect"),
    ("hbgenmethod", "it is for the messages of heartbeat"),
    ("hopfudge", "it is for the messages of heartbeat"),
    (
        "keepalive",
        "the target sends by itself, as often as its times ask for",
    ),
    ("log_badpack", "it is for the messages of heartbeat"),
    ("max_rexmit_delay", "it is for the messages of heartbeat"),
    ("memreserve", "it is for the heartbeat program"),
    ("msgfmt", "it is for the messages of heartbeat"),
    ("quorum_server", "it has no effect"),
    ("realtime", "the target chooses its own class"),
    ("record_config_changes", "it has no effect"),
    ("record_pengine_inputs", "it has no effect"),
    ("rtprio", "the target chooses its own class"),
    ("syslogmsgfmt", "it is for the log files of heartbeat"),
    (
        "traditional_compression",
        "the messages of the target are small",
    ),
    (
        "udpport",
        "the target has ports of its own; open them in the firewall",
    ),
    ("use_apphbd", "it has no effect"),
    ("use_logd", "it is for the logging daemon of heartbeat"),
    ("uuidfrom", "it is for the messages of heartbeat"),
];

/// Directives that are lost with each target, and why.
const NOWHERE: &[(&str, &str)] = &[
    (
        "env",
        "agents of the target do not get the HA_ variables of heartbeat",
    ),
    (
        "failfast",
        "nothing in the target resets the machine when this program dies",
    ),
    (
        "watchdog",
        "nothing feeds this device: sbd is the counterpart, and has to be set up by hand",
    ),
];

/// Says of each line what has become of it, where no document has done so.
pub(super) fn account(target: Target, facts: &Facts<'_>, ledger: &mut Ledger) {
    for written in facts.written {
        let place = (File::HaCf, Facts::line_of(written));
        let value = written.value.as_str();
        let row = |table: &[(&str, &'static str)]| {
            let row = table.iter().find(|row| row.0 == written.directive);
            row.map(|row| row.1)
        };
        if let Some(why) = row(INNER) {
            ledger.not_needed(place, why);
        } else if let Some(why) = row(NOWHERE) {
            ledger.lost(place, why);
        } else if let Some((fate, text)) = own(target, facts, written.directive, value) {
            ledger.note(place, fate, text);
        }
    }
    match target {
        Target::Pacemaker => {}
        Target::Corosync => {
            const WHY: &str = "corosync runs no resources (systole export pacemaker makes cib.xml and the same corosync.conf)";
            groups_lost(facts, ledger, WHY);
        }
        Target::Keepalived => keys_lost(facts, ledger),
    }
}

/// One line, by the target.
fn own(
    target: Target,
    facts: &Facts<'_>,
    directive: &str,
    value: &str,
) -> Option<(Fate, &'static str)> {
    use Target::{Corosync, Keepalived, Pacemaker};
    Some(match (directive, target) {
        ("auto_failback" | "nice_failback", Pacemaker) => (
            Fate::Carried,
            "cib.xml resource-stickiness, against the score of the owner",
        ),
        ("auto_failback" | "nice_failback", Keepalived) => {
            (Fate::Carried, "keepalived-NODE.conf preempt, or nopreempt")
        }
        ("auto_failback" | "nice_failback", Corosync) => (Lost, "corosync runs no resources"),
        ("initdead", Pacemaker | Corosync) => (
            Fate::Carried,
            "corosync.conf quorum.wait_for_all: the first start waits for the other node",
        ),
        ("deadping", Pacemaker) if facts.has_ipfail() => (
            Fate::Carried,
            "cib.xml: interval of the monitor of ocf:pacemaker:ping",
        ),
        ("deadping", Keepalived) if facts.has_ipfail() => {
            (Fate::Carried, "keepalived-NODE.conf vrrp_script fall")
        }
        ("deadping", Corosync) if facts.has_ipfail() => (Lost, "corosync asks no ping nodes"),
        ("deadping", _) => (NotNeeded, "nothing acts on ping nodes without ipfail"),
        ("ping" | "ping6" | "ping_group", Corosync) if facts.has_ipfail() => {
            (Lost, "corosync asks no ping nodes")
        }
        ("ping" | "ping6" | "ping_group", Corosync) => {
            (NotNeeded, "nothing acts on ping nodes without ipfail")
        }
        ("respawn", _) => return client(target, value),
        ("stonith" | "stonith_host", Keepalived) => (Lost, "keepalived cannot fence"),
        ("stonith" | "stonith_host", Corosync) => {
            (Lost, "corosync cannot fence; Pacemaker does, on top of it")
        }
        ("autojoin", _) if value == "none" => (NotNeeded, "the nodes of the target are fixed"),
        ("autojoin", _) => (Lost, "the nodes of the target are fixed"),
        ("crm" | "pacemaker", _) if facts.config.manage_resources => {
            (NotNeeded, "it says that haresources counts")
        }
        ("crm" | "pacemaker", _) => (
            Lost,
            "the resources are in the CIB of a Pacemaker that runs on heartbeat: take over that CIB (cibadmin -Q)",
        ),
        ("cluster", Keepalived) => (NotNeeded, "keepalived has no name of a cluster"),
        ("warntime", Keepalived) => (
            NotNeeded,
            "keepalived warns of nothing before it takes over",
        ),
        ("debug" | "logfile", Keepalived) => (
            NotNeeded,
            "keepalived logs to syslog; its command line says how much",
        ),
        ("logfacility", Keepalived) => (
            NotNeeded,
            "the command line of keepalived has the facility (-S)",
        ),
        _ => return None,
    })
}

/// A client that heartbeat starts. What ipfail becomes, the documents note.
fn client(target: Target, value: &str) -> Option<(Fate, &'static str)> {
    let command = value.split_once(char::is_whitespace);
    let command = command.map_or("", |(_, command)| command);
    if is_client(command, "ccm") {
        return Some((
            NotNeeded,
            "it tells the membership, which the target has itself",
        ));
    }
    if is_client(command, "ipfail") {
        return (target == Target::Corosync).then_some((Lost, "corosync moves no resources"));
    }
    Some((
        Lost,
        "nothing in the target starts it again when it dies: make it a unit of systemd",
    ))
}

fn groups_lost(facts: &Facts<'_>, ledger: &mut Ledger, why: &str) {
    for line in facts.groups() {
        ledger.lost((File::Haresources, line.number), why);
    }
    for (line, why) in facts.idle_lines() {
        ledger.not_needed((File::Haresources, line), why);
    }
}

const NOT_SIGNED: &str =
    "VRRP is not signed: whoever can send to the network can take the addresses";

/// VRRP of version 3 has no keys. A file that could not be read may sign the messages.
fn keys_lost(facts: &Facts<'_>, ledger: &mut Ledger) {
    if facts.keys.is_err() {
        ledger.enter(File::Authkeys, 1, "not read");
        ledger.lost((File::Authkeys, 1), NOT_SIGNED);
    }
    for key in facts.keys.iter().flatten() {
        let place = (File::Authkeys, key.line);
        let mut words = key.text.split(' ');
        let first = words.next();
        if words.next() == Some("crc") {
            ledger.not_needed(place, "crc is a checksum and no key");
        } else if first == Some("auth") {
            ledger.not_needed(place, "it chooses among the keys");
        } else {
            ledger.lost(place, NOT_SIGNED);
        }
    }
}
