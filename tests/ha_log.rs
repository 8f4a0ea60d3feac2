//! Golden lines of the legacy log. `docs/reference/log.md` lists which suites match on them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use systole::clock::LocalTime;
use systole::ha_log::line::{self, FileKind, FileStyle, Record};
use systole::ha_log::{HaLog, Targets, target};
use systole::notice::{self, Notice, Severity};
use tracing_subscriber::layer::SubscriberExt as _;

const LIMIT: Duration = Duration::from_secs(10);

const TIME: LocalTime = LocalTime {
    year: 2026,
    month: 11,
    day: 5,
    hour: 22,
    minute: 12,
    second: 4,
};

fn record(severity: Severity, text: &str) -> Record {
    Record {
        unix_s: 0,
        severity,
        tag: None,
        entity: None,
        pid: 30,
        text: text.to_owned(),
    }
}

fn of(notice: &Notice) -> Record {
    record(notice.severity(), &notice.to_string())
}

fn syslog_style(record: &Record) -> String {
    line::file_line(record, TIME, "Node1", FileStyle::Syslog, FileKind::Log)
}

#[test]
fn file_line_in_syslog_style() {
    let up = Notice::LinkUp {
        node: "node1".into(),
        medium: "eth0".into(),
    };
    assert_eq!(
        syslog_style(&of(&up)),
        "Nov  5 22:12:04 Node1 heartbeat: [30]: info: Link node1:eth0 up.\n"
    );
}

#[test]
fn file_line_in_old_style() {
    let line = line::file_line(
        &record(Severity::Warn, "text"),
        TIME,
        "node1",
        FileStyle::HaLog,
        FileKind::Log,
    );
    assert_eq!(line, "heartbeat[30]: 2026/11/05_22:12:04 WARN: text\n");
}

#[test]
fn script_lines_differ_between_the_two_files() {
    let mut script = record(Severity::Info, "Running /etc/ha.d/resource.d/dummy  start");
    script.tag = Some("ResourceManager(default)".into());
    assert_eq!(
        syslog_style(&script),
        "2026/11/05_22:12:04  ResourceManager(default)[30]:    info: \
         Running /etc/ha.d/resource.d/dummy  start\n"
    );
    let debug = line::file_line(&script, TIME, "n", FileStyle::Syslog, FileKind::Debug);
    assert_eq!(
        debug,
        "ResourceManager(default)[30]:\t2026/11/05_22:12:04 info: \
         Running /etc/ha.d/resource.d/dummy  start\n"
    );
}

#[test]
fn syslog_datagram_has_priority_and_final_nul() {
    let local0 = line::facility_number("local0").unwrap();
    let warning = record(Severity::Warn, "text");
    assert_eq!(
        line::syslog_datagram(&warning, TIME, local0),
        b"<132>Nov  5 22:12:04 heartbeat: [30]: WARN: text\0"
    );
    let numbers = [
        (Severity::Crit, 2),
        (Severity::Error, 3),
        (Severity::Warn, 4),
        (Severity::Notice, 5),
        (Severity::Info, 6),
        (Severity::Debug, 7),
    ];
    for (severity, number) in numbers {
        assert_eq!(line::syslog_severity(severity), number);
    }
    assert_eq!(line::facility_number("LOCAL7"), None);
}

/// Level and text of each row of the catalogue on which a suite or an administrator matches.
/// Spec: docs/protocol/tools.md, 6.5.
#[test]
fn catalogue_keeps_its_words() {
    let node = || "node2".to_owned();
    let rows: Vec<(Notice, &str)> = vec![
        (
            Notice::LocalStatus {
                status: "up".into(),
            },
            "info: Local status now set to: 'up'",
        ),
        (
            Notice::LocalStatus {
                status: "active".into(),
            },
            "info: Local status now set to: 'active'",
        ),
        (
            Notice::UsingWatchdog {
                device: "/dev/watchdog".into(),
            },
            "notice: Using watchdog device: /dev/watchdog",
        ),
        (
            Notice::LinkUp {
                node: node(),
                medium: "eth0".into(),
            },
            "info: Link node2:eth0 up.",
        ),
        (
            Notice::LinkDead {
                node: node(),
                medium: "eth0".into(),
            },
            "info: Link node2:eth0 dead.",
        ),
        (
            Notice::StatusUpdate {
                node: node(),
                status: "active".into(),
            },
            "info: Status update for node node2: status active",
        ),
        (
            Notice::NodeDead { node: node() },
            "WARN: node node2: is dead",
        ),
        (
            Notice::LateHeartbeat {
                node: node(),
                interval_ms: 1510,
            },
            "WARN: Late heartbeat: Node node2: interval 1510 ms",
        ),
        (
            Notice::VeryLateHeartbeat {
                node: node(),
                interval_ms: 9000,
            },
            "CRIT: Late heartbeat: Node node2: interval 9000 ms (> deadtime)",
        ),
        (
            Notice::ReturningAfterPartition { node: node() },
            "CRIT: Cluster node node2 returning after partition.",
        ),
        (
            Notice::DeadtimeTooSmall {},
            "WARN: Deadtime value may be too small.",
        ),
        (
            Notice::HeartbeatRestart { node: node() },
            "info: Heartbeat restart on node node2",
        ),
        (
            Notice::CommNowUp {},
            "info: Comm_now_up(): updating status to active",
        ),
        (
            Notice::Resetting {
                node: node(),
                device: "null".into(),
            },
            "info: Resetting node node2 with [null]",
        ),
        (
            Notice::DeviceCannotReset {
                device: "null".into(),
                node: node(),
            },
            "ERROR: Device null cannot reset host node2.",
        ),
        (
            Notice::DeviceNotOperational {
                device: "null".into(),
            },
            "ERROR: STONITH device null not operational!",
        ),
        (
            Notice::CheckingDevice {
                device: "null".into(),
            },
            "info: Checking status of STONITH device [null]",
        ),
        (Notice::NoStonith {}, "WARN: No STONITH device configured."),
        (
            Notice::SharedDisks {},
            "WARN: Shared disks are not protected.",
        ),
        (
            Notice::AcquiringFrom { node: node() },
            "info: Resources being acquired from node2.",
        ),
        (
            Notice::NoLocalResources { node: node() },
            "info: No local resources [/usr/share/heartbeat/ResourceManager listkeys node2] to acquire.",
        ),
        (
            Notice::LocalAcquisitionDone {},
            "info: Local Resource acquisition completed.",
        ),
        (
            Notice::LocalAcquisitionNone {},
            "info: Local Resource acquisition completed. (none)",
        ),
        (
            Notice::InitialAcquisitionComplete {
                reason: "T_RESOURCES(us)".into(),
            },
            "info: Initial resource acquisition complete (T_RESOURCES(us))",
        ),
        (
            Notice::RemoteTransitionDone {},
            "info: remote resource transition completed.",
        ),
        (
            Notice::LocalTransitionDone {},
            "info: local resource transition completed.",
        ),
        (
            Notice::MachDownComplete {},
            "info: mach_down takeover complete.",
        ),
        (
            Notice::GivingUpDueToFailure {
                resource: "dummy".into(),
            },
            "CRIT: Giving up resources due to failure of dummy",
        ),
        (
            Notice::WantsStandby {
                node: node(),
                set: "all".into(),
            },
            "info: node2 wants to go standby [all]",
        ),
        (
            Notice::CanTake {
                node: node(),
                set: "all".into(),
            },
            "info: standby: node2 can take our all resources",
        ),
        (
            Notice::StandbyAcquireDone { set: "all".into() },
            "info: Standby resource acquisition done [all].",
        ),
        (
            Notice::NoStandbyReply {},
            "WARN: No reply to standby request.  Standby request cancelled.",
        ),
        (
            Notice::StandbyLocalFlux {
                info: "me".into(),
                node: node(),
            },
            "WARN: standby message [me] from node2 ignored.  local resources in flux.",
        ),
        (
            Notice::StandbyOtherFlux {
                info: "me".into(),
                node: node(),
            },
            "WARN: standby message [me] from node2 ignored.  Other side is in flux.",
        ),
        (
            Notice::StandbyReleaseDone { set: "all".into() },
            "info: Local standby process completed [all].",
        ),
        (
            Notice::OtherCompletedStandby { set: "all".into() },
            "info: Other node completed standby takeover of all resources.",
        ),
        (Notice::GivingUpAll {}, "info: Giving up all HA resources."),
        (
            Notice::AllRelinquished {},
            "info: All HA resources relinquished.",
        ),
        (
            Notice::ShutdownNotice { node: node() },
            "info: Received shutdown notice from 'node2'.",
        ),
        (
            Notice::ShutdownInProgress { pid: 35 },
            "info: Heartbeat shutdown in progress. (35)",
        ),
        (
            Notice::ShutdownComplete {
                node: "node1".into(),
            },
            "info: node1 Heartbeat shutdown complete.",
        ),
        (
            Notice::ShutdownDelayedComm {},
            "WARN: Shutdown delayed until Communication is up.",
        ),
        (
            Notice::ShutdownDelayedResources {},
            "WARN: Shutdown delayed until current resource activity finishes.",
        ),
        (
            Notice::RestartTriggered {},
            "info: Heartbeat restart triggered.",
        ),
        (Notice::Restarting {}, "info: Restarting heartbeat."),
        (
            Notice::BothOwnOurs {},
            "ERROR: Both machines own our resources!",
        ),
        (
            Notice::BothOwnForeign {},
            "ERROR: Both machines own foreign resources!",
        ),
        (
            Notice::NobodyOwnsLocal {},
            "ERROR: No one owns our local resources!",
        ),
        (
            Notice::NobodyOwnsForeign {},
            "ERROR: No one owns foreign resources!",
        ),
        (
            Notice::BadNode { node: node() },
            "ERROR: process_status_message: bad node [node2] in message",
        ),
        (
            Notice::LostPackets {
                count: 2,
                node: node(),
                last: 7,
                seq: 10,
            },
            "WARN: 2 lost packet(s) for [node2] [7:10]",
        ),
        (
            Notice::NoPacketsMissing { node: node() },
            "info: No pkts missing from node2!",
        ),
        (
            Notice::ClockBackwards {},
            "info: Clock jumped backwards. Compensating.",
        ),
        (
            Notice::GenerationNow {
                generation: 1_795_212_911,
            },
            "info: Heartbeat generation: 1795212911",
        ),
    ];
    for (notice, expected) in rows {
        let line = syslog_style(&of(&notice));
        let expected = format!("Nov  5 22:12:04 Node1 heartbeat: [30]: {expected}\n");
        assert_eq!(line, expected, "{notice:?}");
    }
}

#[test]
fn nothing_from_outside_makes_a_second_line_or_an_escape_sequence() {
    let hostile = "a\nNov  5 22:12:04 n heartbeat: [1]: CRIT: forged\r\t\u{1b}[2J\u{9b}\0\u{2028}é";
    let line = syslog_style(&record(Severity::Info, hostile));
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.contains(r"a\nNov"));
    assert!(
        line.ends_with("forged\\r\\t\\x1b[2J\\x9b\\x00\\x2028é\n"),
        "{line}"
    );
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let mut text = "é".repeat(line::MAX_TEXT_BYTES);
    line::limit(&mut text);
    assert!(text.len() <= line::MAX_TEXT_BYTES && text.ends_with("é..."));
}

/// Logs through the layer into files of a scratch directory.
struct Scratch {
    directory: tempfile::TempDir,
    log: HaLog,
}

impl Scratch {
    fn new(debug: u8, with_debugfile: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let targets = Targets {
            host: "node1".into(),
            logfile: Some(directory.path().join("ha-log")),
            debugfile: with_debugfile.then(|| directory.path().join("ha-debug")),
            ..Targets::default()
        };
        let log = HaLog::start(&targets, debug).unwrap();
        Self { directory, log }
    }

    fn run(&self, logging: impl FnOnce()) {
        let subscriber = tracing_subscriber::registry().with(self.log.layer());
        tracing::subscriber::with_default(subscriber, logging);
        assert!(self.log.flush(LIMIT));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Lines without date, host and pid.
    fn lines(&self, name: &str) -> Vec<String> {
        texts(&self.path(name))
    }
}

fn texts(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let cut = |line: &str| line.split_once("]: ").unwrap().1.to_owned();
    text.lines().map(cut).collect()
}

#[test]
fn events_carry_fields_and_spans_and_notices_do_not() {
    let scratch = Scratch::new(0, false);
    scratch.run(|| {
        let span = tracing::info_span!("medium", kind = "bcast", name = "eth0");
        let _entered = span.enter();
        tracing::warn!(tries = 3, reason = "no such device", "cannot open");
        notice::log(&Notice::NodeDead {
            node: "node2".into(),
        });
    });
    assert_eq!(
        scratch.lines("ha-log"),
        [
            "WARN: cannot open tries=3 reason=\"no such device\" kind=bcast name=eth0",
            "WARN: node node2: is dead",
        ]
    );
}

#[test]
fn debug_goes_to_the_debug_file_alone_and_by_level() {
    let scratch = Scratch::new(0, true);
    scratch.run(|| {
        for level in 0..=1 {
            // The same place in the program, seen first when it is not to be logged.
            tracing::debug!("at level 1");
            if level == 0 {
                scratch.log.step_debug(true);
            }
        }
        tracing::trace!("not at level 1");
        for _ in 2..=5 {
            scratch.log.step_debug(true);
            tracing::trace!("a detail");
            tracing::trace!(target: target::KEYS, "a key");
            tracing::trace!(target: target::PACKETS, "a packet");
            tracing::trace!(target: target::CONTENTS, "its contents");
        }
        for _ in 0..6 {
            scratch.log.step_debug(false);
        }
        tracing::debug!("not at level 0");
        tracing::info!("everywhere");
    });
    let texts = ["a detail", "a key", "a packet", "its contents"];
    let pid = std::process::id();
    let now = |level| format!("debug: debug now set to {level} [pid {pid}]");
    let mut expected = vec![now(1), "debug: at level 1".into()];
    for level in 2..=5 {
        expected.push(now(level));
        let said = texts.iter().take(level - 1);
        expected.extend(said.map(|text| format!("debug: {text}")));
    }
    expected.extend([4, 3, 2, 1, 0, 0].map(now));
    expected.push("info: everywhere".into());
    assert_eq!(scratch.lines("ha-debug"), expected);
    assert_eq!(scratch.lines("ha-log"), ["info: everywhere"]);
}

#[test]
fn tagged_events_look_like_script_lines() {
    let scratch = Scratch::new(0, true);
    scratch.run(|| {
        tracing::info!(
            tag = "ResourceManager(default)",
            "Acquiring resource group: node1 dummy"
        );
        tracing::error!(
            tag = "ResourceManager(default)",
            ha_level = "CRIT",
            "Giving up resources due to failure of dummy"
        );
    });
    let log = fs::read_to_string(scratch.path("ha-log")).unwrap();
    let pid = std::process::id();
    let first = format!("  ResourceManager(default)[{pid}]:    info: Acquiring resource group");
    assert!(log.contains(&first), "{log}");
    assert!(log.contains("]:    CRIT: Giving up"), "{log}");
    let debug = fs::read_to_string(scratch.path("ha-debug")).unwrap();
    let first = format!("ResourceManager(default)[{pid}]:\t");
    assert!(debug.starts_with(&first), "{debug}");
}

#[test]
fn one_file_for_both_gets_each_line_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ha-log");
    let targets = Targets {
        host: "node1".into(),
        logfile: Some(path.clone()),
        debugfile: Some(path.clone()),
        ..Targets::default()
    };
    let log = HaLog::start(&targets, 0).unwrap();
    log.line(Severity::Info, "once");
    log.line(Severity::Debug, "debug too");
    assert!(log.flush(LIMIT));
    assert_eq!(texts(&path), ["info: once", "debug: debug too"]);
}

#[test]
fn aiming_anew_opens_the_files_at_once() {
    let scratch = Scratch::new(0, false);
    scratch.run(|| tracing::info!("first"));
    let targets = Targets {
        host: "node1".into(),
        logfile: Some(scratch.path("second")),
        ..Targets::default()
    };
    scratch.log.aim(targets);
    scratch.run(|| tracing::info!("second"));
    assert_eq!(scratch.lines("ha-log"), ["info: first"]);
    assert_eq!(scratch.lines("second"), ["info: second"]);
}

#[test]
fn a_disk_without_room_costs_lines_and_nothing_else() {
    let targets = Targets {
        host: "node1".into(),
        logfile: Some("/dev/full".into()),
        debugfile: Some("/no/such/directory/ha-debug".into()),
        ..Targets::default()
    };
    let log = HaLog::start(&targets, 0).unwrap();
    for number in 0..100 {
        log.line(Severity::Info, format!("line {number}"));
    }
    assert!(log.flush(LIMIT));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let scratch = Scratch::new(0, false);
    let lines = systole::ha_log::QUEUE * 50;
    for number in 0..lines {
        scratch.log.line(Severity::Info, format!("line {number}"));
    }
    assert!(scratch.log.flush(LIMIT));
    scratch.log.line(Severity::Info, "last");
    assert!(scratch.log.flush(LIMIT));
    let written = scratch.lines("ha-log");
    let lost: usize = written
        .iter()
        .filter_map(|line| {
            line.strip_prefix("WARN: ")?
                .split_once(" log lines were dropped")
        })
        .map(|(count, _)| count.parse::<usize>().unwrap())
        .sum();
    let kept = written
        .iter()
        .filter(|line| line.starts_with("info: line "))
        .count();
    assert_eq!(kept + lost, lines, "every line is written or counted");
    assert_eq!(written.last().map(String::as_str), Some("info: last"));
}
