//! `use_logd` with the real logging daemon: it gets every line, what it does not take goes to the log file, and it is tried
//! again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::host::{Kind, skip, wait_until};
use super::pair::{LONG, Pair, PairConfig};
use super::{OURS_OURS, run};

const LOGD: &str = "/usr/lib/heartbeat/ha_logd";
const ACTIVE: &str = "Local status now set to: 'active'";
const UNCHANGED: &str = "Configuration unchanged.";

fn lines_go_to_the_logging_daemon(kinds: [Kind; 2]) {
    if !Path::new(LOGD).exists() {
        return skip("logd", "no ha_logd");
    }
    let mut config = PairConfig::new(kinds);
    config.times.push_str("use_logd on\nconn_logd_time 2\n");
    let pair = Pair::new(config);
    let dir = pair.lab.dir("node1");
    let its_config = "logfile /var/log/logd-log\ndebugfile /var/log/logd-debug\nlogfacility none\n";
    fs::write(dir.join("ha.d/logd.cf"), its_config).expect("logd.cf");
    let begin = format!("{LOGD} -d -c /etc/ha.d/logd.cf");
    let there = |text: &str| {
        let log = fs::read_to_string(dir.join("log/logd-log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    };
    let reload = || {
        let daemon = pair.daemon("node1");
        let output = pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
        assert!(output.status.success(), "{output:?}");
    };
    pair.lab.sh("node1", &begin);
    pair.start_both();
    wait_until(LONG, "the logging daemon has the line", || {
        there(ACTIVE) == 1
    });
    pair.wait_log("node2", ACTIVE);
    assert_eq!(
        pair.log_count("node1", ACTIVE),
        0,
        "{}",
        pair.lab.log("node1")
    );
    let log = fs::read_to_string(dir.join("log/logd-log")).expect("its log");
    let line = log
        .lines()
        .find(|line| line.contains(ACTIVE))
        .unwrap_or_default();
    assert!(
        line.contains(" heartbeat: [") && line.contains("]: info: Local"),
        "{line}"
    );

    pair.lab.sh("node1", &format!("{LOGD} -k"));
    wait_until(LONG, "a line goes to the file", || {
        reload();
        pair.log_count("node1", UNCHANGED) > 0
    });
    assert_eq!(there(UNCHANGED), 0);
    pair.lab.sh("node1", &begin);
    wait_until(LONG, "it is used again", || {
        reload();
        std::thread::sleep(Duration::from_millis(500));
        there(UNCHANGED) > 0
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn logd_gets_every_line() {
    run(
        "logd_gets_every_line",
        OURS_OURS,
        lines_go_to_the_logging_daemon,
    );
}
