//! Real nodes on real networks: each scenario with Systole as owner beside a legacy node, with a
//! legacy owner beside Systole, and with two Systole nodes. Legacy with legacy records what is
//! expected (`legacy_legacy`, run by the long tier).
//!
//! Every test is ignored by default: `scripts/test` runs them by name, as root.
#![allow(
    clippy::disallowed_methods,
    reason = "a test drives real processes and waits for them by the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test program")]

mod addresses;
mod busy;
mod caller;
mod catalogue;
mod chaos;
mod clients;
mod clock;
mod deaf;
mod death;
mod defects;
mod doctor;
mod every_medium;
mod fence_device;
mod fencing;
mod fencing_midway;
mod fencing_recorded;
mod field;
mod freeze;
mod guarded;
mod hang;
mod haresources;
mod hearing;
mod history;
mod host;
mod identity;
mod install;
mod installed;
mod ipfail;
mod ipv6;
mod isolation;
mod keys;
mod large;
mod lease;
mod leaving;
mod load;
mod logd;
mod media;
mod memory;
mod monitored;
mod null_modem;
mod older;
mod own_addresses;
mod package;
mod pair;
mod panics;
mod partition;
mod ping;
mod poll;
mod programs;
#[path = "../common/pty.rs"]
mod pty;
mod quiet;
mod real_services;
mod record;
mod release;
mod reload;
mod respawn;
mod rotation;
mod sanity;
mod screen;
mod serial;
mod signals;
mod standby_death;
mod successor;
mod surroundings;
mod systemd;
mod tune;
mod upgrade;
mod watchdog;
mod web;
mod words;

use host::{Kind, legacy_obstacle, obstacle, skip};

/// The pair kinds: node1 owns the first group.
const SYSTOLE_OWNER: [Kind; 2] = [Kind::Systole, Kind::Legacy];
const LEGACY_OWNER: [Kind; 2] = [Kind::Legacy, Kind::Systole];
const OURS_OURS: [Kind; 2] = [Kind::Systole, Kind::Systole];
const LEGACY_LEGACY: [Kind; 2] = [Kind::Legacy, Kind::Legacy];

/// Runs a scenario, or says why this machine cannot.
fn run(name: &str, kinds: [Kind; 2], scenario: fn([Kind; 2])) {
    let reason = if kinds.contains(&Kind::Legacy) {
        legacy_obstacle()
    } else if kinds.contains(&Kind::Older) {
        obstacle().or_else(older::obstacle)
    } else {
        obstacle()
    };
    match reason {
        Some(reason) => skip(name, &reason),
        None => scenario(kinds),
    }
}

/// Makes the four tests of each scenario.
macro_rules! scenarios {
    ($($name:ident)*) => { $(
        mod $name {
            use super::*;
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn systole_owner() { run(concat!(stringify!($name), "::systole_owner"), SYSTOLE_OWNER, scenario::$name) }
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn legacy_owner() { run(concat!(stringify!($name), "::legacy_owner"), LEGACY_OWNER, scenario::$name) }
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn ours_ours() { run(concat!(stringify!($name), "::ours_ours"), OURS_OURS, scenario::$name) }
            #[test]
            #[ignore = "lab: long tier, records what legacy does"]
            fn long_legacy_legacy() { run(concat!(stringify!($name), "::legacy_legacy"), LEGACY_LEGACY, scenario::$name) }
        }
    )* };
}

mod matrix;
mod scenario;

scenarios! {
    power_loss_of_the_owner
    graceful_stop
    reload_in_place
    bad_files_stop_nothing
    restart_with_failback_on
    restart_with_failback_off
    legacy_model_returns
    standby
    takeover_command
    both_stop_at_once
    both_start_at_once
    lone_start
    second_group_of_the_other_node
    one_of_two_cables
    all_cables
    thirty_percent_loss
    slow_start_is_called_once
}

/// Makes one test of the matrix per line.
macro_rules! cells {
    ($($name:ident: $kinds:ident $medium:literal $method:literal;)*) => {
        mod cell {
            use super::*;
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $name() {
                    run(stringify!($name), $kinds, |kinds| matrix::cell(kinds, $medium, $method));
                }
            )*
        }
    };
}

/// Makes the tests of a scenario that only Systole nodes can pass.
macro_rules! only_ours {
    ($($name:ident: $($test:ident $kinds:ident),*;)*) => { $(
        mod $name {
            use super::*;
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $test() {
                    let name = concat!(stringify!($name), "::", stringify!($test));
                    run(name, $kinds, scenario::$name)
                }
            )*
        }
    )* };
}

only_ours! {
    heartbeats_while_scripts_misbehave: systole_owner SYSTOLE_OWNER, ours_ours OURS_OURS;
    hostile_datagrams: systole_owner SYSTOLE_OWNER, legacy_owner LEGACY_OWNER, ours_ours OURS_OURS;
    bare_hosts: ours_ours OURS_OURS;
}

/// Makes the tests of sudden deaths: our node owns the address.
macro_rules! deaths {
    ($($module:ident: $($name:ident)*;)*) => { $($(
        mod $name {
            use super::*;
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn systole_owner() { run(concat!(stringify!($name), "::systole_owner"), SYSTOLE_OWNER, $module::$name) }
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn ours_ours() { run(concat!(stringify!($name), "::ours_ours"), OURS_OURS, $module::$name) }
        }
    )*)* };
}

deaths! {
    death: aborted in_turns after_reload too_often release_without_haresources while_stopping while_starting while_giving while_taking in_foreground;
    panics: every_actor_panics main_actor_panics_in_a_stop membership_gives_up_in_a_start membership_gives_up_and_a_stop_fails;
    memory: out_of_memory allocation_fails;
}

// An orthogonal array: each pair of factors meets once in the first nine; the long tier runs the rest.
cells! {
    systole_owner_bcast_sha1: SYSTOLE_OWNER "bcast" "sha1";
    systole_owner_mcast_md5: SYSTOLE_OWNER "mcast" "md5";
    systole_owner_ucast_crc: SYSTOLE_OWNER "ucast" "crc";
    legacy_owner_bcast_md5: LEGACY_OWNER "bcast" "md5";
    legacy_owner_mcast_crc: LEGACY_OWNER "mcast" "crc";
    legacy_owner_ucast_sha1: LEGACY_OWNER "ucast" "sha1";
    ours_ours_bcast_crc: OURS_OURS "bcast" "crc";
    ours_ours_mcast_sha1: OURS_OURS "mcast" "sha1";
    ours_ours_ucast_md5: OURS_OURS "ucast" "md5";
    long_systole_owner_bcast_crc: SYSTOLE_OWNER "bcast" "crc";
    long_systole_owner_bcast_md5: SYSTOLE_OWNER "bcast" "md5";
    long_systole_owner_mcast_crc: SYSTOLE_OWNER "mcast" "crc";
    long_systole_owner_mcast_sha1: SYSTOLE_OWNER "mcast" "sha1";
    long_systole_owner_ucast_md5: SYSTOLE_OWNER "ucast" "md5";
    long_systole_owner_ucast_sha1: SYSTOLE_OWNER "ucast" "sha1";
    long_legacy_owner_bcast_crc: LEGACY_OWNER "bcast" "crc";
    long_legacy_owner_bcast_sha1: LEGACY_OWNER "bcast" "sha1";
    long_legacy_owner_mcast_md5: LEGACY_OWNER "mcast" "md5";
    long_legacy_owner_mcast_sha1: LEGACY_OWNER "mcast" "sha1";
    long_legacy_owner_ucast_crc: LEGACY_OWNER "ucast" "crc";
    long_legacy_owner_ucast_md5: LEGACY_OWNER "ucast" "md5";
    long_ours_ours_bcast_md5: OURS_OURS "bcast" "md5";
    long_ours_ours_bcast_sha1: OURS_OURS "bcast" "sha1";
    long_ours_ours_mcast_crc: OURS_OURS "mcast" "crc";
    long_ours_ours_mcast_md5: OURS_OURS "mcast" "md5";
    long_ours_ours_ucast_crc: OURS_OURS "ucast" "crc";
    long_ours_ours_ucast_sha1: OURS_OURS "ucast" "sha1";
    long_legacy_legacy_bcast_sha1: LEGACY_LEGACY "bcast" "sha1";
    long_legacy_legacy_mcast_sha1: LEGACY_LEGACY "mcast" "sha1";
    long_legacy_legacy_ucast_sha1: LEGACY_LEGACY "ucast" "sha1";
}

/// Makes a test of random faults per line, of this many seconds.
macro_rules! chaos {
    ($($name:ident: $kinds:ident $failback:literal $seconds:literal;)*) => {
        mod random_trouble {
            use super::*;
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $name() {
                    run(concat!("random_trouble::", stringify!($name)), $kinds, |kinds| {
                        chaos::run(stringify!($name), kinds, $failback, $seconds);
                    });
                }
            )*
        }
    };
}

chaos! {
    ours_ours: OURS_OURS "on" 40;
    systole_owner: SYSTOLE_OWNER "off" 40;
    legacy_owner: LEGACY_OWNER "on" 40;
    long_ours_ours_on: OURS_OURS "on" 1800;
    long_ours_ours_off: OURS_OURS "off" 1800;
    long_systole_owner_on: SYSTOLE_OWNER "on" 1800;
    long_systole_owner_off: SYSTOLE_OWNER "off" 1800;
    long_legacy_owner_on: LEGACY_OWNER "on" 1800;
    long_legacy_owner_off: LEGACY_OWNER "off" 1800;
}

/// Makes one test per line of daemons that are killed in the middle of a release.
macro_rules! releases {
    ($($name:ident: $kinds:ident $scenario:ident;)*) => {
        mod killed_in_a_release {
            use super::*;
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $name() {
                    run(
                        concat!("killed_in_a_release::", stringify!($name)),
                        $kinds,
                        release::$scenario,
                    );
                }
            )*
        }
    };
}

releases! {
    systole_owner: SYSTOLE_OWNER killed;
    legacy_owner: LEGACY_OWNER killed;
    ours_ours: OURS_OURS killed;
    long_systole_owner: SYSTOLE_OWNER killed_often;
    long_legacy_owner: LEGACY_OWNER killed_often;
    long_ours_ours: OURS_OURS killed_often;
}

/// Makes a test per line of our daemon killed in the middle of a standby.
macro_rules! standbys {
    ($($name:ident: $kinds:ident $scenario:ident;)*) => {
        mod killed_in_a_standby {
            use super::*;
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $name() {
                    run(
                        concat!("killed_in_a_standby::", stringify!($name)),
                        $kinds,
                        standby_death::$scenario,
                    );
                }
            )*
        }
    };
}

standbys! {
    long_taker_starts_systole_owner: SYSTOLE_OWNER taker_starts;
    taker_starts_legacy_owner: LEGACY_OWNER taker_starts;
    long_taker_starts_ours_ours: OURS_OURS taker_starts;
    long_taker_waits_systole_owner: SYSTOLE_OWNER taker_waits;
    long_taker_waits_ours_ours: OURS_OURS taker_waits;
    taker_misses_the_word_legacy_owner: LEGACY_OWNER taker_misses_the_word;
    giver_stops_systole_owner: SYSTOLE_OWNER giver_stops;
    long_giver_stops_legacy_owner: LEGACY_OWNER giver_stops;
    long_giver_stops_ours_ours: OURS_OURS giver_stops;
    giver_waits_systole_owner: SYSTOLE_OWNER giver_waits;
    long_giver_waits_ours_ours: OURS_OURS giver_waits;
}

mod installation {
    use super::*;
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn into_a_directory() {
        if !install::skipped("installation::into_a_directory") {
            install::into_a_directory();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn init_script() {
        if !install::skipped("installation::init_script") {
            install::init_script();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn check() {
        run("installation::check", OURS_OURS, |_| install::check());
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_refusals() {
        if !install::skipped("installation::package_refusals") {
            package::refusals();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn service_manager() {
        run("installation::service_manager", OURS_OURS, |_| {
            install::service_manager()
        });
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn systemd_unit() {
        run("installation::systemd_unit", OURS_OURS, |_| systemd::unit());
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_there_and_back() {
        if !install::skipped("installation::package_there_and_back") {
            package::there_and_back();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_alone() {
        if !install::skipped("installation::package_alone") {
            package::alone();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_with_apt() {
        if !install::skipped("installation::package_with_apt") {
            package::with_apt();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_under_systemd() {
        if !install::skipped("installation::package_under_systemd") {
            package::under_systemd();
        }
    }
    #[test]
    #[ignore = "lab: run by scripts/test"]
    fn package_lintian() {
        if !install::skipped("installation::package_lintian") {
            package::lintian();
        }
    }
}

/// Makes one test of a fault per line.
macro_rules! troubles {
    ($($name:ident: $kinds:ident $trouble:expr;)*) => {
        mod trouble {
            use super::*;
            use partition::Trouble::{Cut, Frozen, Mute};
            #[test]
            #[ignore = "lab: run by scripts/test"]
            fn legacy_standby_of_everything_not_received() {
                run(
                    "trouble::legacy_standby_of_everything_not_received",
                    SYSTOLE_OWNER,
                    partition::standby_of_everything_not_received,
                );
            }
            $(
                #[test]
                #[ignore = "lab: run by scripts/test"]
                fn $name() {
                    run(stringify!($name), $kinds, |kinds| partition::run(kinds, $trouble));
                }
            )*
        }
    };
}

// One of each in the default tier; the long tier runs the whole product, legacy beside legacy too.
troubles! {
    systole_owner_cut: SYSTOLE_OWNER Cut;
    legacy_owner_cut: LEGACY_OWNER Cut;
    ours_ours_cut: OURS_OURS Cut;
    systole_owner_owner_mute: SYSTOLE_OWNER Mute("node1");
    ours_ours_owner_mute: OURS_OURS Mute("node1");
    systole_owner_owner_frozen_2: SYSTOLE_OWNER Frozen("node1", 20);
    ours_ours_owner_frozen_2: OURS_OURS Frozen("node1", 20);
    ours_ours_standby_frozen_2: OURS_OURS Frozen("node2", 20);
    long_legacy_legacy_cut: LEGACY_LEGACY Cut;
    long_legacy_owner_owner_mute: LEGACY_OWNER Mute("node1");
    long_legacy_legacy_owner_mute: LEGACY_LEGACY Mute("node1");
    long_systole_owner_standby_mute: SYSTOLE_OWNER Mute("node2");
    long_legacy_owner_standby_mute: LEGACY_OWNER Mute("node2");
    long_ours_ours_standby_mute: OURS_OURS Mute("node2");
    long_legacy_legacy_standby_mute: LEGACY_LEGACY Mute("node2");
    long_systole_owner_owner_frozen_half: SYSTOLE_OWNER Frozen("node1", 5);
    long_legacy_owner_owner_frozen_half: LEGACY_OWNER Frozen("node1", 5);
    long_ours_ours_owner_frozen_half: OURS_OURS Frozen("node1", 5);
    long_legacy_legacy_owner_frozen_half: LEGACY_LEGACY Frozen("node1", 5);
    long_systole_owner_owner_frozen_1: SYSTOLE_OWNER Frozen("node1", 10);
    long_legacy_owner_owner_frozen_1: LEGACY_OWNER Frozen("node1", 10);
    long_ours_ours_owner_frozen_1: OURS_OURS Frozen("node1", 10);
    long_legacy_legacy_owner_frozen_1: LEGACY_LEGACY Frozen("node1", 10);
    long_legacy_owner_owner_frozen_2: LEGACY_OWNER Frozen("node1", 20);
    long_legacy_legacy_owner_frozen_2: LEGACY_LEGACY Frozen("node1", 20);
    long_systole_owner_owner_frozen_5: SYSTOLE_OWNER Frozen("node1", 50);
    long_legacy_owner_owner_frozen_5: LEGACY_OWNER Frozen("node1", 50);
    long_ours_ours_owner_frozen_5: OURS_OURS Frozen("node1", 50);
    long_legacy_legacy_owner_frozen_5: LEGACY_LEGACY Frozen("node1", 50);
    long_systole_owner_standby_frozen_half: SYSTOLE_OWNER Frozen("node2", 5);
    long_legacy_owner_standby_frozen_half: LEGACY_OWNER Frozen("node2", 5);
    long_ours_ours_standby_frozen_half: OURS_OURS Frozen("node2", 5);
    long_legacy_legacy_standby_frozen_half: LEGACY_LEGACY Frozen("node2", 5);
    long_systole_owner_standby_frozen_1: SYSTOLE_OWNER Frozen("node2", 10);
    long_legacy_owner_standby_frozen_1: LEGACY_OWNER Frozen("node2", 10);
    long_ours_ours_standby_frozen_1: OURS_OURS Frozen("node2", 10);
    long_legacy_legacy_standby_frozen_1: LEGACY_LEGACY Frozen("node2", 10);
    long_systole_owner_standby_frozen_2: SYSTOLE_OWNER Frozen("node2", 20);
    long_legacy_owner_standby_frozen_2: LEGACY_OWNER Frozen("node2", 20);
    long_legacy_legacy_standby_frozen_2: LEGACY_LEGACY Frozen("node2", 20);
    long_systole_owner_standby_frozen_5: SYSTOLE_OWNER Frozen("node2", 50);
    long_legacy_owner_standby_frozen_5: LEGACY_OWNER Frozen("node2", 50);
    long_ours_ours_standby_frozen_5: OURS_OURS Frozen("node2", 50);
    long_legacy_legacy_standby_frozen_5: LEGACY_LEGACY Frozen("node2", 50);
}
