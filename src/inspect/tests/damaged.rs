//! Damaged files: whatever they contain, a check ends with a verdict that names a file.

use proptest::prelude::*;

use super::*;

const FULL: &str = "# a pair\nlogfile /var/log/ha-log\nlogfacility none\nkeepalive 500ms\ndeadtime 10\nwarntime 5\n\
    initdead 20\nudpport 694\nauto_failback on\nbcast eth0\nmcast eth0 225.0.0.1 694 1 0\nucast eth0 10.0.0.2\n\
    node alpha\nnode beta\nping 10.0.0.254\nping_group gates 10.0.0.253 10.0.0.254\n\
    respawn hacluster /usr/libexec/heartbeat/ipfail\napiauth ipfail gid=haclient uid=hacluster\n\
    compression_threshold 2\nenv HA_STOPRETRYMAX=3\n";
const GROUPS: &str = "# groups\nalpha 10.0.0.77/24/eth0 web::one::two \\\n  smb\nbeta IPaddr2::10.0.0.78/24 OCF::Dummy::there\n";
const SETTINGS: &str =
    "script_time_limit_s = 60\nisolation_release = \"on\"\naccept_without = [\"serial\"]\n";

/// One thing that happens to a file.
#[derive(Debug, Clone)]
enum Damage {
    /// A byte becomes another.
    Byte(u8),
    /// Bytes are inserted.
    Put(Vec<u8>),
    /// A number of bytes is lost.
    Lose(usize),
    /// A number of bytes occurs twice.
    Twice(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<u8>().prop_map(Damage::Byte),
        "[ -~\\n\\t]{1,40}".prop_map(|text| Damage::Put(text.into_bytes())),
        prop::collection::vec(any::<u8>(), 1..8).prop_map(Damage::Put),
        (1usize..200).prop_map(Damage::Lose),
        (1usize..200).prop_map(Damage::Twice),
    ]
}

fn damaged(text: &str, all: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, damage) in all {
        let at = at.index(bytes.len() + 1);
        let end = |length: usize| (at + length).min(bytes.len());
        match damage {
            Damage::Byte(byte) => {
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
            }
            Damage::Put(more) => drop(bytes.splice(at..at, more.iter().copied())),
            Damage::Lose(length) => drop(bytes.drain(at..end(*length))),
            Damage::Twice(length) => {
                let again = bytes[at..end(*length)].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn damaged_files_end_with_a_verdict_that_names_one(
        which in 0usize..4,
        all in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..5),
    ) {
        let mut host = Host::new(FULL, GROUPS, SETTINGS);
        let paths = Paths::default();
        let (path, text, mode) = [
            (paths.ha_cf(), FULL, 0o644),
            (paths.haresources(), GROUPS, 0o644),
            (paths.authkeys(), "auth 1\n1 sha1 key\n", 0o600),
            (paths.settings.clone(), SETTINGS, 0o644),
        ][which].clone();
        let bytes = damaged(text, &all);
        host.files.insert(path, FileText { bytes, mode, owner: 0 });
        for purpose in [Purpose::Check, Purpose::Start, Purpose::Resume] {
            if let Err(failure) = host.load(purpose) {
                prop_assert_eq!(failure.exit_code, 6);
                let lines: Vec<String> = failure.lines.iter().map(ToString::to_string).collect();
                let names = |line: &String| {
                    ["ha.cf", "haresources", "authkeys", "systole.toml", "authentication"]
                        .iter()
                        .any(|word| line.contains(word))
                };
                prop_assert!(lines.iter().any(names), "{:#?}", lines);
            }
        }
    }
}

#[test]
fn undamaged_they_are_accepted() {
    let host = Host::new(FULL, GROUPS, SETTINGS);
    if let Err(failure) = host.load(Purpose::Start) {
        let lines: Vec<String> = failure.lines.iter().map(ToString::to_string).collect();
        panic!("{lines:#?}");
    }
}
