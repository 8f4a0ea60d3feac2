//! The table of directives: name, class, default, description and the handler of the value.
//!
//! Spec: docs/protocol/config.md, 4. The order is that of legacy: defaults are filled in, and the
//! configuration is printed, in this order.

use super::handlers as set;
use super::row::Class::{Line, Words};
use super::row::Effect::{Full, None as NoEffect};
use super::row::{Row, line, medium, words};
use super::{clients, fencing, media, pings};

/// All directives except the media.
pub(super) const DIRECTIVES: &[Row] = &[
    words(
        "cluster",
        set::accept,
        Some("linux-ha"),
        "the name of cluster",
        Full,
    ),
    words("node", set::node, None, "", Full),
    words(
        "hopfudge",
        set::hopfudge,
        Some("1"),
        "# of hops above cluster size",
        Full,
    ),
    words(
        "keepalive",
        set::keepalive,
        Some("1000ms"),
        "keepalive time",
        Full,
    ),
    words(
        "deadtime",
        set::deadtime,
        Some("30000ms"),
        "node deadtime",
        Full,
    ),
    words("deadping", set::deadping, None, "ping deadtime", Full),
    words("initdead", set::initdead, None, "initial deadtime", Full),
    words("warntime", set::warntime, None, "warning time", Full),
    words("watchdog", set::watchdog, None, "watchdog device", Full),
    words("baud", media::baud, Some("19200"), "baud rate", Full),
    words("udpport", media::udpport, None, "UDP port number", Full),
    words(
        "logfacility",
        set::logfacility,
        None,
        "syslog log facility",
        Full,
    ),
    words("logfile", set::logfile, None, "log file", Full),
    words("debugfile", set::debugfile, None, "debug file", Full),
    words("nice_failback", set::nice_failback, None, "", Full),
    words(
        "auto_failback",
        set::auto_failback,
        Some("legacy"),
        "auto failback",
        Full,
    ),
    words("rtprio", set::rtprio, None, "realtime priority", Full),
    words(
        "hbgenmethod",
        set::hbgenmethod,
        Some("file"),
        "protocol generation computation method",
        Full,
    ),
    words(
        "realtime",
        set::realtime,
        Some("true"),
        "enable realtime behavior?",
        Full,
    ),
    words("debug", set::debug, None, "debug level", Full),
    words(
        "msgfmt",
        set::msgfmt,
        Some("classic"),
        "message format in the wire",
        Full,
    ),
    words("use_logd", set::use_logd, None, "use logging daemon", Full),
    words(
        "conn_logd_time",
        set::conn_logd_time,
        Some("60"),
        "the interval to reconnect to logd",
        Full,
    ),
    words("use_apphbd", set::use_apphbd, None, "", NoEffect),
    words(
        "log_badpack",
        set::log_badpack,
        Some("true"),
        "warn about bad packets",
        Full,
    ),
    words(
        "syslogmsgfmt",
        set::syslogmsgfmt,
        Some("true"),
        "log to files in syslog format",
        Full,
    ),
    words(
        "coredumps",
        set::coredumps,
        Some("true"),
        "enable Linux-HA core dumps",
        Full,
    ),
    words(
        "coreroot",
        set::coreroot,
        None,
        "set root directory of core dump area",
        Full,
    ),
    words(
        "crm_daemon_dir",
        set::crm_daemon_dir,
        None,
        "location for Pacemaker daemons",
        NoEffect,
    ),
    words(
        "crmd_spawns_pengine",
        set::crmd_spawns_pengine,
        None,
        "should pengine be spawned directly by heartbeat",
        NoEffect,
    ),
    words("crm", clients::pacemaker, None, "", Full),
    words(
        "pacemaker",
        clients::pacemaker,
        Some("false"),
        "enable Pacemaker resource management",
        Full,
    ),
    words(
        "autojoin",
        set::autojoin,
        Some("none"),
        "set automatic join mode/style",
        Full,
    ),
    words(
        "uuidfrom",
        set::uuidfrom,
        Some("file"),
        "set the source for uuid",
        Full,
    ),
    words(
        "compression",
        set::compression,
        Some("zlib"),
        "set compression module",
        Full,
    ),
    words(
        "compression_threshold",
        set::compression_threshold,
        Some("2"),
        "set compression threshold",
        Full,
    ),
    words(
        "traditional_compression",
        set::traditional_compression,
        Some("no"),
        "set traditional_compression",
        Full,
    ),
    words("env", set::env, None, "", Full),
    words(
        "max_rexmit_delay",
        set::max_rexmit_delay,
        Some("250"),
        "set the maximum rexmit delay time",
        Full,
    ),
    words(
        "record_config_changes",
        set::pacemaker_switch,
        Some("on"),
        "record changes to the cib (valid only with: pacemaker on)",
        NoEffect,
    ),
    words(
        "record_pengine_inputs",
        set::pacemaker_switch,
        Some("on"),
        "record the input used by the policy engine (valid only with: pacemaker on)",
        NoEffect,
    ),
    words(
        "enable_config_writes",
        set::pacemaker_switch,
        Some("on"),
        "write configuration changes to disk (valid only with: pacemaker on)",
        NoEffect,
    ),
    words(
        "memreserve",
        set::memreserve,
        Some("6500"),
        "number of kbytes to preallocate in heartbeat",
        Full,
    ),
    words(
        "quorum_server",
        set::accept,
        None,
        "the name or ip of quorum server",
        NoEffect,
    ),
    line("stonith", fencing::stonith, Full),
    line("stonith_host", fencing::stonith_host, Full),
    line("apiauth", clients::apiauth, Full),
    line("respawn", clients::respawn, Full),
    line("failfast", clients::failfast, Full),
];

/// Media of the legacy program that Systole reads.
const MEDIA: &[Row] = &[
    medium("bcast", Words(media::bcast), Full),
    medium("mcast", Line(media::mcast), Full),
    medium("mcast6", Line(media::mcast6), Full),
    medium("ucast", Line(media::ucast), Full),
    medium("ucast6", Line(media::ucast6), Full),
    medium("serial", Words(media::serial), Full),
    medium("ping", Words(pings::ping), Full),
    medium("ping6", Words(pings::ping6), Full),
    medium("ping_group", Line(pings::ping_group), Full),
];

/// The row of a directive or medium.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    DIRECTIVES.iter().chain(MEDIA).find(|row| row.name == name)
}

/// The directive most similar to a misspelt one: two letters may be wrong, or the case.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    /// A longer word is no misspelt directive.
    const MAX_BYTES: usize = 32;
    const MAX_WRONG: usize = 2;
    if name.len() > MAX_BYTES {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let rows = DIRECTIVES.iter().chain(MEDIA);
    rows.map(|row| (distance(&name, row.name), row.name))
        .filter(|(wrong, meant)| *wrong <= MAX_WRONG && meant.len() > 2 * wrong)
        .min()
        .map(|(_, meant)| meant)
}

/// How many letters must be inserted, removed or changed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, wanted) in from.bytes().enumerate() {
        let mut diagonal = index;
        let mut left = index.saturating_add(1);
        let mut next = vec![left];
        for (above, letter) in row.iter().skip(1).zip(to.bytes()) {
            let changed = diagonal.saturating_add(usize::from(letter != wanted));
            diagonal = *above;
            left = changed
                .min(above.saturating_add(1))
                .min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_directive_is_recognised() {
        assert_eq!(nearest("deadtme"), Some("deadtime"));
        assert_eq!(nearest("Node"), Some("node"));
        assert_eq!(nearest("autofailback"), Some("auto_failback"));
        assert_eq!(nearest("bogus"), None);
        assert_eq!(nearest("node1"), Some("node"));
        assert_eq!(nearest(&"x".repeat(5_000)), None);
    }
}
