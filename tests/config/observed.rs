//! Lines that were observed beside the recorded cases.

use super::*;

/// Lines after [`GOOD`] and `bcast eth0`, and the lines of 3.0.6 about them before it went to the
/// background, observed in addition to the recorded cases. No text: accepted without an error line.
const OBSERVED: &[(&str, &[&str])] = &[
    ("mcast6", &["glib: mcast6 statement without device"]),
    ("ucast6", &["glib: ucast6 statement without device"]),
    (
        "mcast6 eth0",
        &["glib: mcast6 [eth0] missing mcast6 address"],
    ),
    (
        "mcast6 eth0 ff02::1 694",
        &["glib: mcast6 [eth0] missing hops"],
    ),
    (
        "mcast6 eth0 ff02::1 694 9 0",
        &["glib:  mcast6 [eth0] bad hops [9]"],
    ),
    (
        "mcast6 eth0 ff02::1 694 1",
        &["glib: mcast6 [eth0] missing loop"],
    ),
    (
        "mcast6 eth0 ff02::1 694 1 7",
        &["glib:  mcast6 [eth0] bad loop [7]"],
    ),
    (
        "mcast6 eth0 ff01::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff01::5]"],
    ),
    (
        "mcast6 eth0 ff03::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff03::5]"],
    ),
    (
        "mcast6 eth0 ff0e::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff0e::5]"],
    ),
    (
        "mcast6 eth0 ff02:: 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff02::]"],
    ),
    (
        "ucast6 eth0 ff02::5",
        &["glib: ucast6 [eth0] bad addr [ff02::5]"],
    ),
    ("ucast6 eth0 ::1", &["glib: ucast6 [eth0] bad addr [::1]"]),
    ("ucast6 eth0 ::", &["glib: ucast6 [eth0] bad addr [::]"]),
    ("ucast6 eth0 fe80::2", &[]),
    ("ucast6 eth0 fe80::2%eth0", &[]),
    (
        "ucast6 eth0 fe80::2%lo",
        // Legacy names two interface numbers: index 3 does not match scope id 1 for device eth0.
        &["/etc/ha.d/ha.cf:7: ucast6 eth0 fe80::2%lo: its interface is not the one of the line"],
    ),
    (
        "ucast6 eth0 fd99::2%eth0",
        &["glib: getaddrinfo([fd99::2%eth0]:694): Name or service not known"],
    ),
    (
        "mcast eth0 garbage 694 1 0",
        &["glib: mcast [eth0] bad addr [garbage]"],
    ),
    (
        "mcast eth0 225.0.0.1 694 -1 0",
        &["glib:  mcast [eth0] bad ttl [255]"],
    ),
    (
        "ping6 10.9.0.1",
        &["Illegal ping6 [ping6 membership] in config file [10.9.0.1]"],
    ),
    (
        "stonith meatware",
        &["glib: Cannot open ", "Invalid Stonith config file []"],
    ),
    (
        "stonith meatware /nonexistent",
        &[
            "glib: Cannot open /nonexistent",
            "Invalid Stonith config file [/nonexistent]",
        ],
    ),
    ("stonith_host", &["No Stonith hostname argument given"]),
    (
        "stonith_host node1 meatware",
        &["Invalid Stonith configuration parameter []"],
    ),
    ("respawn", &["Invalid uid [] specified for client child"]),
    (
        "respawn root a b c",
        &["Client child command [a b c] is not full pathname"],
    ),
    (
        "apiauth mine uid=root junk",
        &["Missing uid or gid in apiauth"],
    ),
    ("logfacility local9", &["Log facility(local9) not valid"]),
    ("uuidfrom FILE", &["Invalid uuidfrom directive [FILE]"]),
    ("compression ZLIB", &["Compression module(ZLIB) not found"]),
    (
        "node,x",
        &["Illegal directive [node,x] in /etc/ha.d//ha.cf"],
    ),
    (
        "keepalive .",
        &["/etc/ha.d/ha.cf:7: keepalive .: must be at least 1 ms"],
    ),
    (
        "conn_logd_time abc",
        &["/etc/ha.d/ha.cf:7: conn_logd_time abc: not a time"],
    ),
    (
        "initdead -1",
        &["/etc/ha.d/ha.cf:7: initdead -1: not a time"],
    ),
    (
        "msgfmt Classic",
        &["/etc/ha.d/ha.cf:7: msgfmt Classic: must be"],
    ),
    ("logfacility kern", &[]),
    ("logfacility security", &[]),
    ("hopfudge 3x", &[]),
    ("max_rexmit_delay 100ms", &[]),
    ("memreserve 5x", &[]),
    ("rtprio 5x", &[]),
    ("baud 19200x", &[]),
    ("udpport 694x", &[]),
    ("autojoin NONE", &[]),
    ("apiauth mine uid=", &[]),
    ("env A=b,C=d", &[]),
    ("debugfile", &[]),
    ("keepalive 1.5.", &[]),
    ("pacemaker CCM-ONLY", &[]),
    ("ping 10.9.0.1 10.9.0.1", &[]),
];

#[test]
fn lines_observed_beside_the_recorded_cases_are_read_alike() {
    for (line, wanted) in OBSERVED {
        let result = with_ha_cf(&format!("{GOOD}bcast eth0\n{line}\n"));
        assert_eq!(result.is_err(), !wanted.is_empty(), "{line}: {result:?}");
        let Err(failure) = result else { continue };
        let lines = shown(&failure.lines);
        for text in *wanted {
            let text = format!("ERROR: {text}");
            assert!(
                lines.iter().any(|l| l.starts_with(&text)),
                "{text}: {lines:#?}"
            );
        }
    }
}
