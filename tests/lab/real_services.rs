//! Monitors of real programs, nginx and MariaDB, and what a long load, a check that flaps and systemd do to them.
//! Long tier; skipped where a program is not installed.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::history::{assert_never_two_owners, count};
use super::host::{Kind, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// nginx with a page of its own, in memory. One that is stopped by a signal does not hear TERM.
const WEB: &str = r#"#!/bin/sh
pid=/run/web/nginx.pid
runs() { [ -s $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
case $1 in
  start)
    mkdir -p /run/web
    echo served >/run/web/index.html
    printf '%s\n' 'user root; worker_processes 2; pid /run/web/nginx.pid; error_log /run/web/error;' 'events {}' \
      'http { access_log off; client_body_temp_path /run/web/1; proxy_temp_path /run/web/2; fastcgi_temp_path /run/web/3;' \
      'uwsgi_temp_path /run/web/4; scgi_temp_path /run/web/5; server { listen 80; root /run/web; } }' >/run/web/conf
    runs || nginx -c /run/web/conf 2>/dev/null ;;
  stop)
    pkill -TERM -x nginx
    for _ in 1 2 3 4 5; do pgrep -x nginx >/dev/null || exit 0; sleep 0.1; done
    pkill -KILL -x nginx; sleep 0.1; ! pgrep -x nginx >/dev/null ;;
  status) runs ;;
esac
"#;

/// MariaDB on a small disk of its own. Its `status` writes.
const DATABASE: &str = r#"#!/bin/sh
sql() { timeout 5 mariadb --no-defaults --socket=/run/db.sock -uroot -e "$1"; }
case $1 in
  start)
    mountpoint -q /run/db || { mkdir -p /run/db; mount -t tmpfs -o size=300m disk /run/db; }
    [ -d /run/db/mysql ] || mariadb-install-db --no-defaults --user=root --datadir=/run/db --skip-test-db --auth-root-authentication-method=normal >/dev/null
    sql 'SELECT 1' >/dev/null 2>&1 && exit 0
    setsid mariadbd --no-defaults --user=root --datadir=/run/db --socket=/run/db.sock --pid-file=/run/db.pid --skip-networking \
      --innodb-log-file-size=4M --innodb-buffer-pool-size=8M </dev/null >>/run/db.log 2>&1 &
    for _ in $(seq 100); do
      sql 'CREATE TABLE IF NOT EXISTS mysql.beats (t TEXT) ENGINE=InnoDB' >/dev/null 2>&1 && exit 0
      pgrep -x mariadbd >/dev/null || exit 1
      sleep 0.1
    done
    exit 1 ;;
  stop)
    pkill -TERM -x mariadbd
    for _ in $(seq 50); do pgrep -x mariadbd >/dev/null || exit 0; sleep 0.1; done
    pkill -KILL -x mariadbd; sleep 0.2; ! pgrep -x mariadbd >/dev/null ;;
  status) x="(REPEAT('x', 60000))"; sql "INSERT INTO mysql.beats VALUES $x, $x, $x, $x, $x" ;;
esac
"#;

const SETTINGS: &str = "[[monitor]]\nresource = \"database\"\ninterval_s = 1\ntimeout_s = 5\nfailures = 2\nrestarts = 3\n\n\
                        [[monitor]]\nresource = \"web\"\ncheck = \"http://127.0.0.1/\"\ninterval_s = 1\ntimeout_s = 2\nfailures = 2\nrestarts = 3\n";

fn config(kinds: [Kind; 2], resources: &str) -> PairConfig {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 {resources}\n");
    config
}

fn settings(pair: &Pair, text: &str) {
    for node in NODES.into_iter().filter(|node| pair.kind(node).is_ours()) {
        let file = pair.lab.dir(node).join("ha.d/systole.toml");
        fs::write(file, text).expect("settings");
    }
}

fn states(pair: &Pair, node: &str) -> Vec<String> {
    let view = pair.view(node);
    let monitors = view["groups"][0]["monitors"].as_array().cloned();
    let states = monitors.unwrap_or_default().into_iter();
    states
        .map(|it| it["state"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn all_good(pair: &Pair, node: &str) {
    wait_until(LONG, "every check is good", || {
        let states = states(pair, node);
        !states.is_empty() && states.iter().all(|it| it == "good")
    });
}

/// Somebody asks for the page at the service address.
fn served(pair: &Pair) -> bool {
    let ask = format!(
        "exec 3<>/dev/tcp/{ADDRESS_1}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && timeout 0.5 cat <&3"
    );
    pair.lab.sh("client", &ask).contains("served")
}

/// What people see of it, for the figures: seconds from `what` to the first page.
fn until_served(pair: &Pair, what: &str, fault: &str) {
    pair.lab.sh("node1", fault);
    let begun = Instant::now();
    wait_until(LONG, "nobody answers", || {
        !served(pair) || begun.elapsed().as_secs() > 5
    });
    wait_until(LONG * 2, what, || served(pair));
    println!(
        "{what}: served after {:.1} s",
        begun.elapsed().as_secs_f32()
    );
}

/// Killed, hung, and on a disk that is full. Beside a legacy node too: there nothing more happens.
fn real(kinds: [Kind; 2]) {
    let name = "real_services::real";
    for program in ["nginx", "mariadbd"] {
        if !Path::new("/usr/sbin").join(program).exists() {
            return skip(name, &format!("{program} is not installed"));
        }
    }
    let pair = Pair::new(config(kinds, "dummy::a database web"));
    for node in NODES {
        pair.install_script(node, "web", WEB);
        pair.install_script(node, "database", DATABASE);
    }
    settings(&pair, SETTINGS);
    pair.start_settled();
    all_good(&pair, "node1");
    assert!(served(&pair));
    let restarts = || pair.log_count("node1", "it is restarted with what stands right of it");
    for (fault, what) in [
        ("pkill -KILL -x nginx", "nginx is killed"),
        ("pkill -STOP -x nginx", "nginx accepts, and does not answer"),
        ("pkill -KILL -x mariadbd", "MariaDB is killed"),
    ] {
        let before = restarts();
        until_served(&pair, what, fault);
        wait_until(LONG, "it was restarted", || restarts() > before);
        all_good(&pair, "node1");
    }
    assert_eq!(restarts(), 3);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(
        count(&pair.lab, "node1", "start", "a"),
        1,
        "what stands left of it"
    );

    let fills = "dd if=/dev/zero of=/run/db/full bs=1M 2>/dev/null; true";
    pair.lab.sh("node1", fills);
    pair.wait_owner("node2", ADDRESS_1, "a");
    wait_until(LONG, "it is served there", || served(&pair));
    if kinds == OURS_OURS {
        all_good(&pair, "node2");
    } else {
        // Legacy never looks.
        pair.lab.sh("node2", "pkill -KILL -x nginx");
        sleep(Duration::from_secs(10));
        assert!(!served(&pair));
        assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
    }
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: long tier"]
fn long_nginx_and_mariadb() {
    run("real_services::real", OURS_OURS, real);
}

#[test]
#[ignore = "lab: long tier"]
fn long_nginx_and_mariadb_beside_a_legacy_node() {
    run("real_services::real_beside_legacy", SYSTOLE_OWNER, real);
}

/// A check flaps at its own period: a move for each node and window at most, and nobody is ever served twice.
fn flaps(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds, "dummy::a"));
    settings(
        &pair,
        "[[monitor]]\nresource = \"dummy::a\"\ncheck = \"/run/flaps\"\ninterval_s = 1\nfailures = 2\nrestarts = 1\n\
         restart_window_s = 60\n",
    );
    for node in NODES {
        let check = "printf '#!/bin/sh\\n[ $(($(date +%%s) / 3 %% 2)) = 0 ]\\n' >/run/flaps; chmod +x /run/flaps";
        pair.lab.sh(node, check);
    }
    pair.start_settled();
    sleep(Duration::from_secs(180));
    let moves = NODES.map(|node| pair.log_count(node, "CRIT: Giving up resources due to failure"));
    println!("moves in three windows: {moves:?}");
    assert!(moves.iter().sum::<usize>() >= 1, "it does flap");
    // Three windows, and one that had begun.
    assert!(moves.iter().all(|it| *it <= 4), "{moves:?}");
    assert_eq!(pair.owners(ADDRESS_1).len(), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: long tier"]
fn long_a_check_that_flaps() {
    run("real_services::flaps", OURS_OURS, flaps);
}

/// Processors and disk are busy: a check that takes ten seconds is waited for, and one that takes longer than it
/// may is not known for a while. Nothing is restarted.
fn loaded(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds, "dummy::a dummy::slow dummy::late"));
    settings(
        &pair,
        "[[monitor]]\nresource = \"dummy::slow\"\ncheck = \"/run/slow\"\ninterval_s = 1\n\n\
         [[monitor]]\nresource = \"dummy::late\"\ncheck = \"/run/late\"\ninterval_s = 1\ntimeout_s = 2\nfailures = 4\n",
    );
    for node in NODES {
        let checks = "for it in 'slow 10' 'late 3'; do set -- $it; printf \"#!/bin/sh\\n[ ! -e /run/load ] || sleep $2\\n\" >/run/$1; chmod +x /run/$1; done";
        pair.lab.sh(node, checks);
    }
    pair.start_settled();
    all_good(&pair, "node1");
    let hogs = "touch /run/load
for _ in 1 2 3 4 5 6 7 8; do (while [ -e /run/load ]; do :; done) & done
(while [ -e /run/load ]; do dd if=/dev/zero of=/run/heartbeat/storm bs=64k count=8 conv=fsync 2>/dev/null; done) &
exit 0";
    pair.lab.sh("node1", &format!("({hogs}) >/dev/null 2>&1"));
    sleep(Duration::from_secs(90));
    let seen = states(&pair, "node1");
    pair.lab.sh("node1", "rm /run/load");
    println!("under load: {seen:?}");
    let log = pair.lab.log("node1");
    assert_eq!(
        pair.log_count("node1", "it is restarted with what"),
        0,
        "{log}"
    );
    all_good(&pair, "node1");
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(count(&pair.lab, "node1", "start", "slow"), 1);
}

#[test]
#[ignore = "lab: long tier"]
fn long_checks_under_load() {
    run("real_services::loaded", OURS_OURS, loaded);
}

/// A unit that is reloaded, and a systemd that begins anew, in a loop.
const UNIT: &str = "
mount -o remount,bind,ro /sys
printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nExecStart=/bin/sleep infinity\\nExecReload=/bin/sleep 1.5\\n' >/run/units/thing.service
systemctl daemon-reload
systemctl is-system-running >/dev/null; systemctl show -P LoadState thing
";

fn unit(kinds: [Kind; 2]) {
    let name = "real_services::unit";
    let pair = Pair::new(config(kinds, "dummy::a systemd::thing"));
    let script = include_str!("../../conf/ha.d/resource.d/systemd");
    pair.install_script("node1", "systemd", script);
    pair.install_script("node2", "systemd", "#!/bin/sh\nexit 0\n");
    pair.lab.private("node1");
    if !Path::new("/lib/systemd/systemd").exists() {
        return skip(name, "systemd is not installed");
    }
    if let Err(reason) = pair.lab.attempt(&["systemd", pair.lab.name(), "node1"]) {
        return skip(name, &reason);
    }
    let said = pair.lab.sh("node1", UNIT);
    assert_eq!(said.trim(), "loaded");
    settings(
        &pair,
        "[[monitor]]\nresource = \"systemd\"\ninterval_s = 1\ntimeout_s = 5\nfailures = 1\nrestarts = 5\n",
    );
    pair.start_settled();
    all_good(&pair, "node1");
    for _ in 0..10 {
        pair.lab.sh(
            "node1",
            "systemctl reload thing; systemctl daemon-reload; systemctl daemon-reexec",
        );
    }
    assert_eq!(pair.log_count("node1", "does not run"), 0);
    all_good(&pair, "node1");
    pair.lab.sh("node1", "systemctl kill -s KILL thing");
    pair.wait_log_count(
        "node1",
        "systemd::thing of group 10.77.0.100/24/eth0 has failed",
        1,
    );
    all_good(&pair, "node1");
    let active = pair.lab.sh("node1", "systemctl is-active thing");
    assert_eq!(active.trim(), "active");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

#[test]
#[ignore = "lab: long tier"]
fn long_a_unit_that_reloads() {
    run("real_services::unit", OURS_OURS, unit);
}

/// A program checks through a port: the connection counts, and the name of a host that has no address is not known.
fn by_port(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds, "dummy::a dummy::named"));
    settings(
        &pair,
        "[[monitor]]\nresource = \"dummy::a\"\ncheck = \"tcp:127.0.0.1:7\"\ninterval_s = 1\nfailures = 1\nthen = \"stay\"\n\n\
         [[monitor]]\nresource = \"dummy::named\"\ncheck = \"tcp:web.invalid:7\"\ninterval_s = 1\nfailures = 2\n",
    );
    let other = pair.lab.dir("node2").join("ha.d/systole.toml");
    fs::write(other, "[[monitor]]\nresource = \"dummy::a\"\n").expect("settings");
    pair.start_settled();
    pair.wait_log("node1", "it is not known whether dummy::named of group 10.77.0.100/24/eth0 runs, 2 times in a row: web.invalid has no address");
    wait_until(LONG * 2, "both say that the files differ", || {
        let says = "the [[monitor]] blocks of systole.toml here and on node";
        NODES.iter().all(|node| pair.log_count(node, says) == 1)
    });
    pair.wait_log("node1", "no check of dummy::a of group 10.77.0.100/24/eth0 was good since the start: no connection to port 7");
    assert_eq!(pair.log_count("node1", "it is restarted with what"), 0);
}

#[test]
#[ignore = "lab: long tier"]
fn long_checks_by_a_port() {
    run("real_services::by_port", OURS_OURS, by_port);
}
