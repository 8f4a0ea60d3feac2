//! Hosts in namespaces: the functions of `tests/lab/lab`, as Rust values that clean up after
//! themselves.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The service under test on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This project's daemon.
    Systole,
    /// Debian's heartbeat 3.0.6.
    Legacy,
    /// This project's daemon of the version before.
    Older,
}

impl Kind {
    /// Whether it is a daemon of this project.
    pub fn is_ours(self) -> bool {
        self != Self::Legacy
    }
}

/// The legacy daemon's place in Debian's package.
pub const LEGACY_DAEMON: &str = "/usr/libexec/heartbeat/heartbeat";

/// Why lab tests cannot run here, if they cannot.
pub fn obstacle() -> Option<String> {
    let uid = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&uid.stdout).trim() != "0" {
        return Some("needs root for network namespaces".into());
    }
    for tool in ["ip", "nsenter", "unshare", "nft", "tcpdump"] {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Some(format!("{tool} is not installed"));
        }
    }
    None
}

/// Why tests with a legacy daemon cannot run here, if they cannot.
pub fn legacy_obstacle() -> Option<String> {
    obstacle().or_else(|| {
        (!Path::new(LEGACY_DAEMON).exists())
            .then(|| "Debian's package heartbeat is not installed".to_owned())
    })
}

/// Reports that a test does not run. A print macro would not show: the test harness captures it.
pub fn skip(name: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
}

/// A set of hosts on one or more networks. Everything ends when it is dropped.
pub struct Lab {
    name: String,
    root: PathBuf,
    script: PathBuf,
    monitors: Vec<Child>,
    keep: bool,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// Makes the hosts, each with `nets` interfaces `eth0..`, and records address changes from the start.
    pub fn up(hosts: &[&str], nets: u32) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let root = PathBuf::from(std::env::var("LAB_ROOT").unwrap_or("/tmp/systole-lab".into()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab");
        let keep = std::env::var_os("LAB_KEEP").is_some();
        let mut lab = Self {
            name,
            root,
            script,
            monitors: Vec::new(),
            keep,
        };
        static SWEPT: std::sync::Once = std::sync::Once::new();
        SWEPT.call_once(|| lab.end_orphans());
        lab.command(&["up", &lab.name, &hosts.join(" "), &nets.to_string()]);
        for host in hosts {
            let record = fs::File::create(lab.shared().join(format!("{host}.addresses")))
                .expect("the lab's shared directory is writable");
            let netns = format!("sys-{}-{host}", lab.name);
            let monitor = Command::new("ip")
                .args(["-n", &netns, "-ts", "-o", "monitor", "address"])
                .stdout(record)
                .stderr(Stdio::null())
                .spawn()
                .expect("ip monitor starts");
            lab.monitors.push(monitor);
        }
        lab
    }

    /// Ends labs whose test program was killed: their names begin with its process id.
    fn end_orphans(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names {
            let owner = name.split_once('-').map(|(pid, _)| pid);
            let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                self.command(&["down", &name]);
            }
        }
    }

    /// Runs one command of the lab script and returns its standard output.
    pub fn command(&self, args: &[&str]) -> String {
        self.attempt(args)
            .unwrap_or_else(|error| panic!("lab {args:?}: {error}"))
    }

    /// Runs a command that not every machine can carry out. `Err`: why it failed.
    pub fn attempt(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.script)
            .args(args)
            .env("LAB_ROOT", &self.root)
            .stdin(Stdio::null())
            .output()
            .expect("the lab script runs");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A command of the lab script, for a thread of the test.
    pub fn prepared(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command
            .args(args)
            .env("LAB_ROOT", &self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// The name by which the lab script knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory that all hosts and the test see.
    pub fn shared(&self) -> PathBuf {
        self.root.join(&self.name).join("shared")
    }

    /// A host's private directory (`ha.d lib run log`).
    pub fn dir(&self, host: &str) -> PathBuf {
        self.root.join(&self.name).join(host)
    }

    /// The process that holds a host's namespaces.
    fn holder(&self, host: &str) -> String {
        let pid = fs::read_to_string(self.dir(host).join("holder.pid")).expect("the host is up");
        pid.trim().to_owned()
    }

    /// Whether a file is there, as the host sees it. No process is started for that.
    pub fn has_file(&self, host: &str, path: &str) -> bool {
        let path = format!("/proc/{}/root{path}", self.holder(host));
        fs::symlink_metadata(path).is_ok()
    }

    /// Runs a command on a host and returns its exit status and output.
    pub fn exec(&self, host: &str, command: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["-t", &self.holder(host), "-n", "-m", "-u", "-p", "--"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter runs")
    }

    /// Runs a shell script on a host; returns its output, then its standard error.
    pub fn sh(&self, host: &str, script: &str) -> String {
        let output = self.exec(host, &["bash", "-c", script]);
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A host's log so far.
    pub fn log(&self, host: &str) -> String {
        fs::read(self.dir(host).join("log/ha-log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Plugs a cable in or unplugs it.
    pub fn link(&self, host: &str, device: &str, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        self.command(&["link", &self.name, host, device, state]);
    }

    /// Drops a share of the packets that come in.
    pub fn loss(&self, host: &str, device: &str, percent: u32) {
        self.command(&["loss", &self.name, host, device, &percent.to_string()]);
    }

    /// Ends the host as a power cut does: no process, no address, no carrier.
    pub fn power_off(&self, host: &str) {
        // Its scripts end here; the rest may take longer than a short dead time.
        self.command(&["crash", &self.name, host]);
        self.remark(host, "poweroff");
        self.command(&["poweroff", &self.name, host]);
        self.exec(host, &["bash", "-c", "rm -f /run/dummy-*"]);
    }

    /// Brings its interfaces back.
    pub fn power_on(&self, host: &str) {
        self.command(&["poweron", &self.name, host]);
    }

    /// Hides the legacy programs and `/etc/ha.d` from one host.
    pub fn bare(&self, host: &str) {
        self.command(&["bare", &self.name, host]);
    }

    /// Adds a line of the test to the common record of script calls.
    pub fn remark(&self, host: &str, text: &str) {
        use std::io::Write as _;
        let path = self.shared().join("calls");
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("record");
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        writeln!(file, "{:.3} {host} {text} - -", now.as_secs_f64()).expect("record");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for monitor in &mut self.monitors {
            let _ = monitor.kill();
            let _ = monitor.wait();
        }
        if std::thread::panicking() {
            self.keep_evidence();
        }
        if !self.keep {
            self.command(&["down", &self.name]);
        }
    }
}

impl Lab {
    /// Copies logs of a failed test to a place that is kept.
    fn keep_evidence(&self) {
        let test = std::thread::current()
            .name()
            .unwrap_or("unknown")
            .replace("::", "-");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("lab-failures")
            .join(test);
        let _ = fs::remove_dir_all(&place);
        let _ = fs::create_dir_all(&place);
        let _ = Command::new("sh")
            .arg("-c")
            .arg(r#"for h in $(cat "$1/hosts"); do mkdir -p "$2/$h"; cp -r "$1/$h/log" "$1/$h/ha.d/ha.cf" "$1/$h/ha.d/haresources" "$2/$h/" 2>/dev/null; done; cp -r "$1/shared" "$2/""#)
            .arg("sh")
            .arg(self.root.join(&self.name))
            .arg(&place)
            .status();
        eprintln!("evidence: {}", place.display());
    }
}

/// Waits until `condition` holds; the clock only limits the wait. It is checked every 20 ms, but rarer if that takes long:
/// those who wait shall not take the processors from those who work.
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let (shortest, longest) = (Duration::from_millis(20), Duration::from_millis(200));
    let start = Instant::now();
    loop {
        let began = Instant::now();
        if condition() {
            return;
        }
        assert!(start.elapsed() < limit, "not seen within {limit:?}: {what}");
        std::thread::sleep((began.elapsed() * 4).clamp(shortest, longest));
    }
}
