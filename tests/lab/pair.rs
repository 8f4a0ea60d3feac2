//! Two nodes of a given kind with a common configuration, and the commands of an operator.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::history::DUMMY;
use super::host::{Kind, LEGACY_DAEMON, Lab, wait_until};

/// Host names of the pair, in `node` order.
pub const NODES: [&str; 2] = ["node1", "node2"];
/// Service address of the group that node1 owns.
pub const ADDRESS_1: &str = "10.77.0.100";
/// Service address of the group that node2 owns.
pub const ADDRESS_2: &str = "10.77.0.101";
/// The limit for anything that takes at most initdead and the ten seconds of agreement.
pub const LONG: Duration = Duration::from_secs(60);

/// The configuration of the two nodes.
#[derive(Debug, Clone)]
pub struct PairConfig {
    /// Programs on node1 and node2.
    pub kinds: [Kind; 2],
    /// Networks.
    pub nets: u32,
    /// Media lines; `@PEER0@`, `@PEER1@` and so on stand for the peer's address on eth0, eth1 and so on, `@PEER6_0@` and so on
    /// for its IPv6 address there.
    pub media: String,
    /// `authkeys` lines.
    pub auth: String,
    /// `auto_failback` value.
    pub failback: &'static str,
    /// Times, `ha.cf` lines.
    pub times: String,
    /// haresources lines.
    pub resources: String,
}

impl PairConfig {
    /// One network, broadcast, sha1, one group of an address and a script on node1.
    pub fn new(kinds: [Kind; 2]) -> Self {
        Self {
            kinds,
            nets: 1,
            media: "bcast eth0".into(),
            auth: "auth 1\n1 sha1 labkey\n".into(),
            failback: "off",
            times: "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 10\n".into(),
            resources: format!("node1 {ADDRESS_1}/24/eth0 dummy::a\n"),
        }
    }

    /// A second group, owned by node2.
    pub fn with_second_group(mut self) -> Self {
        self.resources
            .push_str(&format!("node2 {ADDRESS_2}/24/eth0 dummy::b\n"));
        self
    }

    /// `auto_failback` of another value.
    pub fn with_failback(mut self, value: &'static str) -> Self {
        self.failback = value;
        self
    }

    /// Two cables.
    pub fn with_two_cables(mut self) -> Self {
        self.nets = 2;
        self.media = "bcast eth0 eth1".into();
        self
    }
}

/// A running or stopped pair.
pub struct Pair {
    /// Its lab.
    pub lab: Lab,
    /// Its configuration.
    pub config: PairConfig,
}

impl Pair {
    /// Makes the hosts and their files; starts nothing.
    pub fn new(config: PairConfig) -> Self {
        let lab = Lab::up(&["node1", "node2", "client"], config.nets);
        let pair = Self { lab, config };
        for (i, node) in NODES.iter().enumerate() {
            pair.write_files(node, i);
            if pair.kind(node).is_ours() {
                pair.install_helpers(node);
            }
        }
        pair
    }

    /// Installs our helper programs on a host.
    pub fn install_helpers(&self, node: &str) {
        let helper = self.program(self.kind(node), "ha_helper");
        install_helpers(&self.lab, node, &helper);
    }

    /// The path of a program of ours; a legacy node gets today's helpers.
    pub fn program(&self, kind: Kind, name: &str) -> PathBuf {
        program_of(kind, name)
    }

    /// The same on hosts that have neither the legacy package nor the resource agents.
    pub fn new_bare(config: PairConfig) -> Self {
        let lab = Lab::up(&["node1", "node2", "client"], config.nets);
        let pair = Self { lab, config };
        for (i, node) in NODES.iter().enumerate() {
            pair.lab.bare(node);
            pair.write_files(node, i);
        }
        pair
    }

    fn write_files(&self, node: &str, index: usize) {
        let dir = self.lab.dir(node).join("ha.d");
        let peer = 2 - index;
        let mut media = self.config.media.clone();
        for net in 0..self.config.nets.max(2) {
            media = media
                .replace(&format!("@PEER{net}@"), &format!("10.77.{net}.{peer}"))
                .replace(&format!("@PEER6_{net}@"), &format!("fd77:{net}::{peer}"));
        }
        let ha_cf = format!(
            "logfile /var/log/ha-log\ndebugfile /var/log/ha-debug\nlogfacility none\nrealtime off\n{}auto_failback {}\n{media}\nnode node1 node2\n",
            self.config.times, self.config.failback
        );
        fs::write(dir.join("ha.cf"), ha_cf).expect("ha.cf");
        fs::write(dir.join("authkeys"), &self.config.auth).expect("authkeys");
        fs::set_permissions(dir.join("authkeys"), fs::Permissions::from_mode(0o600))
            .expect("authkeys mode");
        fs::write(dir.join("haresources"), &self.config.resources).expect("haresources");
        self.install_script(node, "dummy", DUMMY);
    }

    /// Puts a resource script on a host; `@SHARED@` becomes the common directory.
    pub fn install_script(&self, node: &str, name: &str, text: &str) {
        let place = self.lab.dir(node).join("ha.d/resource.d");
        fs::create_dir_all(&place).expect("resource.d");
        let text = text.replace("@SHARED@", &self.lab.shared().display().to_string());
        fs::write(place.join(name), text).expect("script");
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).expect("mode");
    }

    fn index(node: &str) -> usize {
        NODES
            .iter()
            .position(|n| *n == node)
            .expect("a node of the pair")
    }

    /// The other node.
    pub fn peer(node: &str) -> &'static str {
        NODES[1 - Self::index(node)]
    }

    /// The kind of program on a node.
    pub fn kind(&self, node: &str) -> Kind {
        self.config.kinds[Self::index(node)]
    }

    /// The daemon's path on a node.
    pub fn daemon(&self, node: &str) -> String {
        daemon_of(self.kind(node))
    }

    /// Starts the daemon and checks its exit code.
    pub fn start(&self, node: &str) {
        let output = self.lab.exec(node, &["setsid", &self.daemon(node)]);
        assert!(
            output.status.success(),
            "start on {node}: {:?}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts both.
    pub fn start_both(&self) {
        for node in NODES {
            self.start(node);
        }
    }

    /// Begins an orderly stop (SIGTERM, as `heartbeat -k` sends it) without waiting for its end.
    pub fn begin_stop(&self, node: &str) {
        let script = format!(
            "kill -TERM $(cat /run/heartbeat.pid); : {}",
            self.daemon(node)
        );
        self.lab.sh(node, &script);
    }

    /// Waits for the last line of a stop and for the process to be gone.
    pub fn wait_stopped(&self, node: &str) {
        self.wait_log(node, &format!("{node} Heartbeat shutdown complete."));
    }

    /// Stops in order and waits.
    pub fn stop(&self, node: &str) {
        self.begin_stop(node);
        self.wait_stopped(node);
    }

    /// Runs one of the legacy shell commands (`hb_standby`, `hb_takeover`), unmodified.
    pub fn operator(&self, node: &str, command: &str) {
        let path = format!("/usr/share/heartbeat/{command}");
        let words: Vec<&str> = path.split(' ').collect();
        let output = self.lab.exec(node, &words);
        assert!(output.status.success(), "{command} on {node}: {output:?}");
    }

    /// A command, and what it leads to. A legacy node on a busy machine sometimes reads nothing from its pipe ("Message with
    /// zero fields") and is told again.
    fn told(&self, node: &str, command: &str, leads_to: impl Fn() -> bool) {
        const LOST: &str = "Message with zero fields";
        let lost = self.log_count(node, LOST);
        self.operator(node, command);
        wait_until(LONG, &format!("what {command} leads to"), || {
            leads_to() || self.log_count(node, LOST) > lost
        });
        if self.kind(node) == Kind::Legacy && !leads_to() {
            self.operator(node, command);
            wait_until(LONG, &format!("what {command} leads to"), leads_to);
        }
    }

    /// A command to node1, and the owner of the address and of `a` that it leads to.
    pub fn obeys(&self, command: &str, address: &str, owner: &'static str) {
        self.told("node1", command, || self.owners(address) == [owner]);
        self.wait_owner(owner, address, "a");
    }

    /// A command, and the line that the same node logs about it.
    pub fn says(&self, node: &str, command: &str, line: &str) {
        self.told(node, command, || self.log_count(node, line) > 0);
    }

    /// Number of log lines of a node that contain `text`.
    pub fn log_count(&self, node: &str, text: &str) -> usize {
        self.lab
            .log(node)
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    /// Waits for a log line.
    pub fn wait_log(&self, node: &str, text: &str) {
        self.wait_log_count(node, text, 1);
    }

    /// Waits for the `count`-th such line.
    pub fn wait_log_count(&self, node: &str, text: &str, count: usize) {
        wait_until(
            LONG,
            &format!("{node} logs {text:?} (number {count})"),
            || self.log_count(node, text) >= count,
        );
    }

    /// Whether a host has an address now.
    pub fn has_address(&self, node: &str, address: &str) -> bool {
        let shown = self.lab.exec(node, &["ip", "-o", "addr", "show"]);
        String::from_utf8_lossy(&shown.stdout).contains(&format!(" {address}/"))
    }

    /// The nodes that have an address now.
    pub fn owners(&self, address: &str) -> Vec<&'static str> {
        NODES
            .into_iter()
            .filter(|node| self.has_address(node, address))
            .collect()
    }

    /// Whether the dummy resource runs on a host now.
    pub fn runs(&self, node: &str, dummy: &str) -> bool {
        self.lab.has_file(node, &format!("/run/dummy-{dummy}"))
    }

    /// Waits until exactly this node has the address and its script.
    pub fn wait_owner(&self, node: &str, address: &str, dummy: &str) {
        wait_until(
            LONG,
            &format!("{node} alone has {address} and {dummy}"),
            || {
                self.owners(address) == [node]
                    && self.runs(node, dummy)
                    && !self.runs(Self::peer(node), dummy)
            },
        );
    }

    /// Waits until both have seen each other become active.
    pub fn wait_active(&self) {
        for node in NODES {
            self.wait_log(node, "Local status now set to: 'active'");
            let peer = Self::peer(node);
            self.wait_log(
                node,
                &format!("Status update for node {peer}: status active"),
            );
        }
    }

    /// What a node of ours shows as one object.
    pub fn view(&self, node: &str) -> serde_json::Value {
        let systole = self.program(self.kind(node), "systole");
        let view = self.lab.sh(node, &format!("{} view", systole.display()));
        serde_json::from_str(&view).unwrap_or_default()
    }

    /// The set that a node reports: `none local foreign all transition`.
    pub fn holds(&self, node: &str) -> String {
        rscstatus(&self.lab, node, self.kind(node))
    }

    /// Waits until a node reports exactly this holding set.
    pub fn wait_holds(&self, node: &str, set: &str) {
        wait_until(LONG, &format!("{node} reports {set}"), || {
            self.holds(node) == set
        });
    }

    /// Starts both and waits until node1 holds its group and neither is in transition.
    pub fn start_settled(&self) {
        self.start_both();
        self.wait_active();
        self.wait_owner("node1", ADDRESS_1, "a");
        self.wait_holds("node1", "local");
        self.wait_holds("node2", "local");
    }
}

/// Installs our helper programs where the daemon offers them to hooks (`/usr/libexec/systole`),
/// beside the other files of the host.
pub fn install_helpers(lab: &Lab, node: &str, helper: &Path) {
    let helper = helper.display();
    let script = format!(
        "set -e; mkdir -p /run/libexec/systole /usr/libexec
        for d in /usr/libexec/*; do [ -d $d ] && mkdir -p /run/libexec/${{d##*/}} && mount --bind $d /run/libexec/${{d##*/}}; done
        for n in ResourceManager mach_down req_resource hb_standby hb_takeover script_output; do ln -sf {helper} /run/libexec/systole/$n; done
        mount --rbind /run/libexec /usr/libexec"
    );
    let output = lab.exec(node, &["bash", "-c", &script]);
    assert!(output.status.success(), "helpers on {node}: {output:?}");
}

/// The daemon of a kind.
pub fn daemon_of(kind: Kind) -> String {
    match kind {
        Kind::Systole | Kind::Older => program_of(kind, "heartbeat").display().to_string(),
        Kind::Legacy => LEGACY_DAEMON.into(),
    }
}

/// A program of ours, of the present version or of the version before.
pub fn program_of(kind: Kind, name: &str) -> PathBuf {
    match kind {
        Kind::Older => super::older::program(name),
        Kind::Systole | Kind::Legacy => {
            Path::new(env!("CARGO_BIN_EXE_heartbeat")).with_file_name(name)
        }
    }
}

/// The set that a node of that kind reports: `none local foreign all transition`.
pub fn rscstatus(lab: &Lab, node: &str, kind: Kind) -> String {
    match kind {
        Kind::Legacy => lab.sh(node, "cl_status rscstatus").trim().to_owned(),
        Kind::Systole | Kind::Older => {
            let systole = program_of(kind, "systole");
            let view = lab.sh(node, &format!("{} view", systole.display()));
            let view: serde_json::Value = serde_json::from_str(&view).unwrap_or_default();
            view["node"]["rscstatus"]
                .as_str()
                .unwrap_or("unknown")
                .to_owned()
        }
    }
}
