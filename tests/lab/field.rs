//! The configurations that administrators run (`tests/vectors/field`), unmodified, on hosts with
//! the names, interfaces, routes and programs that they name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::history::assert_never_two_owners;
use super::host::{Kind, Lab, legacy_obstacle, skip, wait_until};
use super::null_modem::NullModem;
use super::pair::{daemon_of, install_helpers, program_of, rscstatus};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER};

/// These files have dead times of up to 30 s.
const PATIENCE: Duration = Duration::from_secs(180);

/// One folder of `tests/vectors/field` and the environment that it needs.
struct Site {
    folder: &'static str,
    nodes: [&'static str; 2],
    /// Networks of its hosts.
    nets: u32,
    /// Interface and address of a host; `#` stands for 1 or 2.
    addresses: &'static [(&'static str, &'static str)],
    /// Bridge and address of other hosts on the LAN: ping nodes.
    around: &'static [(u32, &'static str)],
    /// Names that must resolve.
    names: &'static str,
    /// Programs of `respawn` lines: path and program.
    clients: &'static [(&'static str, Client)],
    /// Service address.
    service: &'static str,
    /// Resource scripts, stand-ins for the real ones.
    scripts: &'static [&'static str],
    /// They name the first serial port.
    serial: bool,
    /// Directives that are read and have no effect yet.
    no_effect: &'static [&'static str],
}

const SERIAL_PORT: &str = "/dev/ttyS0";

/// A program that a `respawn` line names.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    Ipfail,
    Ccm,
}

impl Client {
    fn program(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Ccm, _) => "/usr/libexec/heartbeat/ccm",
            (Self::Ipfail, Kind::Legacy) => "/usr/libexec/heartbeat/ipfail",
            (Self::Ipfail, Kind::Systole | Kind::Older) => env!("CARGO_BIN_EXE_ipfail"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ccm => "ccm",
            Self::Ipfail => "ipfail",
        }
    }
}

const BCAST_IPFAIL: Site = Site {
    folder: "bcast-ipfail-mysql",
    nodes: ["node1", "node2"],
    nets: 2,
    addresses: &[("eth0", "192.168.0.1#/24"), ("eth0", "10.10.10.1#/24")],
    around: &[(0, "10.10.10.2/24")],
    names: "",
    clients: &[("/usr/local/heartbeat/lib64/heartbeat", Client::Ipfail)],
    service: "192.168.0.1",
    scripts: &["mysqld"],
    serial: false,
    no_effect: &[],
};

const SUBSECOND: Site = Site {
    folder: "subsecond-drbd",
    nodes: ["prmdbrw01", "prmdbbk01"],
    nets: 4,
    addresses: &[("eth2", "192.168.33.1#/24")],
    around: &[(2, "192.168.33.1/24")],
    names: "",
    clients: &[("/usr/lib64/heartbeat", Client::Ipfail)],
    service: "192.168.33.100",
    scripts: &["mysql_umount", "mysql"],
    serial: false,
    no_effect: &[],
};

const MCAST_DB: Site = Site {
    folder: "mcast-httpd",
    nodes: ["master-db", "slave-db"],
    nets: 2,
    addresses: &[("eth1", "172.16.1.1#/24")],
    around: &[],
    names: "",
    clients: &[],
    service: "172.16.1.26",
    scripts: &["httpd"],
    serial: false,
    no_effect: &[],
};

const MCAST_WEB: Site = Site {
    folder: "mcast-compression",
    nodes: ["web1.chinasoft.com", "web2.chinasoft.com"],
    nets: 2,
    addresses: &[("eth0", "192.168.8.1#/16")],
    around: &[(1, "192.168.8.254/16")],
    names: "",
    clients: &[],
    service: "192.168.8.66",
    scripts: &["httpd"],
    serial: false,
    no_effect: &[],
};

const SERIAL_CCM: Site = Site {
    folder: "serial-bcast-ccm",
    nodes: ["linuxha1.linux-ha.org", "linuxha2.linux-ha.org"],
    nets: 2,
    addresses: &[("eth0", "192.168.85.1#/27")],
    around: &[(0, "192.168.85.20/27"), (0, "192.168.85.21/27")],
    names: "192.168.85.20 ping1.linux-ha.org\n192.168.85.21 ping2.linux-ha.org\n",
    clients: &[
        ("/usr/lib/heartbeat", Client::Ccm),
        ("/usr/lib/heartbeat", Client::Ipfail),
    ],
    service: "192.168.85.3",
    scripts: &["httpd", "smb", "maid"],
    serial: true,
    no_effect: &[],
};

/// Records its calls as the dummy resource does; runs while its flag is there.
const STAND_IN: &str = r#"#!/bin/sh
for last; do :; done
op=$last name=${0##*/} flag=/run/dummy-$name
note() { echo "$(date +%s.%3N) $(uname -n) $op $name@@FOLDER@ $1" >>@SHARED@/calls; }
[ "$op" = status ] || note begin
case $op in
  start) @START@ && touch "$flag" || { note failed; exit 1; } ;;
  stop) @STOP@ && rm -f "$flag" || exit 1 ;;
  status) if [ -e "$flag" ]; then echo "$name is running"; else echo "$name is stopped"; fi ;;
esac
[ "$op" = status ] || note end
exit 0
"#;

/// What a script does in addition to its flag: the disk of the database is mounted first.
fn work(script: &str) -> (&'static str, &'static str) {
    match script {
        "mysql_umount" => (
            "mkdir -p /run/db && mount --bind @SHARED@/disk /run/db",
            "{ ! mountpoint -q /run/db || umount /run/db; }",
        ),
        "mysql" => (
            "mountpoint -q /run/db && uname -n >>/run/db/journal",
            "{ [ ! -e \"$flag\" ] || mountpoint -q /run/db; }",
        ),
        _ => ("true", "true"),
    }
}

/// A pair on its hosts.
struct Field<'a> {
    lab: &'a Lab,
    site: &'static Site,
    kinds: [Kind; 2],
}

/// A separate `/dev` without a serial port or a watchdog: the tested programs open no device of the
/// machine.
const OWN_DEVICES: &str = r#"set -e
mkdir -p /run/dev; mount --rbind /dev /run/dev; mount -t tmpfs -o mode=755 dev /dev
for f in null zero full random urandom tty; do touch /dev/$f; mount --bind /run/dev/$f /dev/$f; done
mkdir /dev/pts /dev/shm; mount --rbind /run/dev/pts /dev/pts; mount --rbind /run/dev/shm /dev/shm
touch /dev/ptmx; mount --bind /run/dev/pts/ptmx /dev/ptmx 2>/dev/null || mount --bind /run/dev/ptmx /dev/ptmx
"#;

impl<'a> Field<'a> {
    fn new(lab: &'a Lab, site: &'static Site, kinds: [Kind; 2]) -> Self {
        let field = Self { lab, site, kinds };
        for (bridge, address) in site.around {
            let device = format!("br{bridge}");
            let words = ["switch", lab.name(), "ip", "addr", "add", address, "dev"];
            lab.command(&[&words[..], &[device.as_str()]].concat());
        }
        fs::create_dir_all(lab.shared().join("disk")).expect("the shared disk");
        for index in 0..2 {
            field.furnish(index);
        }
        field
    }

    fn furnish(&self, index: usize) {
        let (node, kind) = (self.site.nodes[index], self.kinds[index]);
        let number = (index + 1).to_string();
        let mut script = OWN_DEVICES.to_owned();
        for (device, address) in self.site.addresses {
            let address = address.replace('#', &number);
            script.push_str(&format!("ip addr add {address} brd + dev {device}\n"));
        }
        let hosts = self.lab.dir(node).join("hosts");
        let text = format!("127.0.0.1 localhost\n{}", self.site.names);
        fs::write(&hosts, text).expect("hosts");
        script.push_str(&format!("mount --bind {} /etc/hosts\n", hosts.display()));
        for (directory, client) in self.site.clients {
            let below = directory.split('/').take(3).collect::<Vec<_>>().join("/");
            // Existing files stay visible below the added ones.
            script.push_str(&format!(
                "if [ ! -d {directory} ] || [ ! -w {directory} ] || ! mountpoint -q {below}; then
                   u=/run/over{over}; mkdir -p $u/up $u/work
                   mountpoint -q {below} || mount -t overlay over -o lowerdir={below},upperdir=$u/up,workdir=$u/work {below}
                 fi
                 mkdir -p {directory}; ln -sf {program} {directory}/{name}\n",
                over = below.replace('/', "-"),
                program = client.program(kind),
                name = client.name(),
            ));
        }
        let output = self.lab.exec(node, &["bash", "-c", &script]);
        assert!(output.status.success(), "{node} is furnished: {output:?}");
        if kind == Kind::Systole {
            install_helpers(self.lab, node, &program_of(kind, "ha_helper"));
        }
        self.write_files(node);
    }

    fn write_files(&self, node: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/vectors/field")
            .join(self.site.folder);
        let to = self.lab.dir(node).join("ha.d");
        for file in ["ha.cf", "authkeys", "haresources"] {
            fs::copy(from.join(file), to.join(file)).expect("a file of the folder");
        }
        fs::set_permissions(to.join("authkeys"), fs::Permissions::from_mode(0o600)).expect("mode");
        fs::create_dir_all(to.join("resource.d")).expect("resource.d");
        for script in self.site.scripts {
            let (start, stop) = work(script);
            let text = STAND_IN
                .replace("@START@", start)
                .replace("@STOP@", stop)
                .replace("@FOLDER@", self.site.folder)
                .replace("@SHARED@", &self.lab.shared().display().to_string());
            let place = to.join("resource.d").join(script);
            fs::write(&place, text).expect("script");
            fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("mode");
        }
    }

    fn kind(&self, node: &str) -> Kind {
        self.kinds[usize::from(node == self.site.nodes[1])]
    }

    /// Starts both, and checks the log lines about directives without effect.
    fn start(&self) {
        for node in self.site.nodes {
            let daemon = daemon_of(self.kind(node));
            let output = self.lab.exec(node, &["setsid", &daemon]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "start on {node}: {said}");
            if self.kind(node) == Kind::Systole {
                for directive in self.site.no_effect {
                    let told = said
                        .lines()
                        .chain(self.lab.log(node).lines())
                        .any(|line| line.contains("without effect") && line.contains(directive));
                    assert!(told, "{directive} on {node}: {said}");
                }
            }
        }
    }

    fn owns(&self, node: &str) -> bool {
        let wanted = format!(" {}/", self.site.service);
        let flags = self.lab.sh(node, "ls /run");
        self.lab.sh(node, "ip -o addr show").contains(&wanted)
            && self
                .site
                .scripts
                .iter()
                .all(|script| flags.lines().any(|f| f == format!("dummy-{script}")))
    }

    fn wait_owner(&self, node: &str) {
        wait_until(PATIENCE, &format!("{node} serves"), || self.owns(node));
    }

    fn holds(&self, node: &str) -> String {
        rscstatus(self.lab, node, self.kind(node))
    }

    fn wait_settled(&self) {
        let [first, second] = self.site.nodes;
        self.wait_owner(first);
        for node in self.site.nodes {
            wait_until(PATIENCE, &format!("{node} is settled"), || {
                matches!(self.holds(node).as_str(), "local" | "none" | "all")
            });
        }
        assert!(!self.owns(second));
        for node in self.site.nodes {
            for (directory, client) in self.site.clients {
                let mine = format!("pgrep -u hacluster -f {directory}/{}", client.name());
                wait_until(
                    PATIENCE,
                    &format!("{} runs on {node}", client.name()),
                    || !self.lab.sh(node, &mine).trim().is_empty(),
                );
            }
        }
    }

    /// Repeats a command until it was carried out: ipfail may be making a request at the same time,
    /// and a legacy node refuses within its first ten seconds.
    fn command(&self, node: &str, command: &[&str], obeyed: impl Fn() -> bool) {
        let mut given: Option<Instant> = None;
        wait_until(PATIENCE, &format!("{command:?} on {node}"), || {
            if obeyed() {
                return true;
            }
            if given.is_none_or(|given| given.elapsed() > Duration::from_secs(20)) {
                given = Some(Instant::now());
                self.lab.exec(node, command);
            }
            false
        });
    }

    /// The owner is asked to give its groups away, gets them back, and then loses its power.
    fn moves(&self) {
        let [first, second] = self.site.nodes;
        let standby = ["/usr/share/heartbeat/hb_standby", "all"];
        self.command(first, &standby, || {
            self.owns(second) && self.holds(first) == "none" && self.holds(second) == "all"
        });
        assert!(!self.owns(first));
        let takeover = ["/usr/share/heartbeat/hb_takeover", "local"];
        self.command(first, &takeover, || {
            self.owns(first)
                && matches!(self.holds(first).as_str(), "local" | "all")
                && matches!(self.holds(second).as_str(), "local" | "none")
        });
        self.lab.power_off(first);
        self.lab.sh(first, "umount /run/db 2>/dev/null");
        self.wait_owner(second);
        assert_never_two_owners(self.lab);
    }
}

/// Runs it where possible: all of them name programs of Debian's package.
fn run(name: &str, kinds: [Kind; 2], scenario: impl FnOnce([Kind; 2])) {
    match legacy_obstacle() {
        Some(reason) => skip(&format!("field::{name}"), &reason),
        None => scenario(kinds),
    }
}

/// One pair: it runs, moves and fails over.
fn alone(site: &'static Site, kinds: [Kind; 2]) {
    let lab = Lab::up(&site.nodes, site.nets);
    let field = Field::new(&lab, site, kinds);
    let _modem = site
        .serial
        .then(|| NullModem::between(&lab, site.nodes, SERIAL_PORT, 19_200));
    field.start();
    field.wait_settled();
    if site.serial {
        for node in site.nodes {
            let peer = site.nodes[usize::from(node == site.nodes[0])];
            let ask = format!("cl_status hblinkstatus {peer} {SERIAL_PORT}");
            wait_until(PATIENCE, &format!("{node}: {ask}"), || {
                lab.sh(node, &ask).trim() == "up"
            });
        }
    }
    field.moves();
    if site.scripts.contains(&"mysql") {
        let journal = fs::read_to_string(lab.shared().join("disk/journal")).expect("journal");
        let [first, second] = site.nodes;
        let mounted: Vec<&str> = journal.lines().collect();
        assert_eq!(mounted, [first, second, first, second]);
    }
}

/// Both multicast pairs on one LAN: one fails over, the other is not affected.
fn neighbours(db: [Kind; 2], web: [Kind; 2]) {
    let hosts = [MCAST_DB.nodes, MCAST_WEB.nodes].concat();
    let lab = Lab::up(&hosts, 2);
    // The LAN is the second network; the web hosts have their first interface on it.
    for port in ["p3-0", "p4-0"] {
        let words = [
            "switch",
            lab.name(),
            "ip",
            "link",
            "set",
            port,
            "master",
            "br1",
        ];
        lab.command(&words);
    }
    let db = Field::new(&lab, &MCAST_DB, db);
    let web = Field::new(&lab, &MCAST_WEB, web);
    for node in MCAST_DB.nodes {
        // A host whose LAN is eth1 sends there.
        lab.sh(node, "ip route replace 224.0.0.0/4 dev eth1");
    }
    db.start();
    web.start();
    db.wait_settled();
    web.wait_settled();
    web.moves();
    assert!(db.owns(MCAST_DB.nodes[0]) && !db.owns(MCAST_DB.nodes[1]));
    for node in MCAST_DB.nodes {
        let log = lab.log(node);
        for word in ["chinasoft", "is dead", "bad node", "auth"] {
            assert!(!log.contains(word), "{word:?} in the log of {node}:\n{log}");
        }
    }
    db.moves();
    let log = lab.log(MCAST_WEB.nodes[1]);
    for word in ["-db", "bad node", "auth"] {
        assert!(!log.contains(word), "{word:?} in the log of web2:\n{log}");
    }
}

macro_rules! tests {
    ($($name:ident: $kinds:ident $scenario:expr;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(stringify!($name), $kinds, $scenario)
        }
    )* };
}

tests! {
    bcast_with_ipfail_systole_owner: SYSTOLE_OWNER |kinds| alone(&BCAST_IPFAIL, kinds);
    subsecond_around_a_disk_ours_ours: OURS_OURS |kinds| alone(&SUBSECOND, kinds);
    mcast_neighbours_ours_and_mixed: OURS_OURS |kinds| neighbours(kinds, LEGACY_OWNER);
    serial_with_ccm_systole_owner: SYSTOLE_OWNER |kinds| alone(&SERIAL_CCM, kinds);
    long_bcast_with_ipfail_legacy_owner: LEGACY_OWNER |kinds| alone(&BCAST_IPFAIL, kinds);
    long_bcast_with_ipfail_ours_ours: OURS_OURS |kinds| alone(&BCAST_IPFAIL, kinds);
    long_subsecond_around_a_disk_systole_owner: SYSTOLE_OWNER |kinds| alone(&SUBSECOND, kinds);
    long_subsecond_around_a_disk_legacy_owner: LEGACY_OWNER |kinds| alone(&SUBSECOND, kinds);
    long_mcast_neighbours_mixed_and_ours: OURS_OURS |kinds| neighbours(SYSTOLE_OWNER, kinds);
    long_serial_with_ccm_legacy_owner: LEGACY_OWNER |kinds| alone(&SERIAL_CCM, kinds);
    long_serial_with_ccm_ours_ours: OURS_OURS |kinds| alone(&SERIAL_CCM, kinds);
}
