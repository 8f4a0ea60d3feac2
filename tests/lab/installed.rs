//! Hosts with their own files, so that packages can be installed on one of them: which files are
//! installed, what the package database says, and a client that asks all the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::host::{LEGACY_DAEMON, Lab};

/// Copies our programs to `place`, without debug tables.
fn programs(place: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_heartbeat"));
    let built = built.parent().expect("a directory");
    for name in [
        "heartbeat",
        "ha_helper",
        "systole",
        "systole-web",
        "cl_status",
        "ipfail",
    ] {
        let (from, to) = (built.join(name), place.join(name));
        let stripped = Command::new("strip")
            .args(["-g", "-o"])
            .args([&to, &from])
            .status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs::copy(&from, &to).expect("copy");
        }
    }
}

/// Runs one of `scripts/` as a user would, with the programs of this build.
pub fn script(name: &str, args: &[&str]) -> Output {
    let bin = tempfile::tempdir().expect("directory");
    if name != "uninstall" {
        programs(bin.path());
    }
    Command::new(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("scripts")
            .join(name),
    )
    .args(args)
    .env_remove("SUDO_USER")
    .env("SYSTOLE_BIN", bin.path())
    .env("SYSTOLE_DEB_FAST", "1")
    // Not rustup's proxy, which looks for the toolchain in root's home.
    .env("CARGO", env!("CARGO"))
    .stdin(Stdio::null())
    .output()
    .expect("the script runs")
}

/// Builds our package into `place`. `None`: debhelper is not here.
pub fn package(place: &Path) -> Option<String> {
    let made = script("package", &[&place.display().to_string()]);
    if made.status.code() == Some(3) {
        return None;
    }
    assert!(made.status.success(), "{made:?}");
    let name = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(name.ends_with(".deb"), "{name}");
    Some(name)
}

/// The package as an older one: its version, and the maintainer scripts of `tests/lab/SCRIPTS`, if
/// any.
pub fn repacked(deb: &str, version: &str, scripts: Option<&str>) -> String {
    let tree = tempfile::tempdir().expect("directory");
    let run = |program: &str, words: &[&str]| {
        let done = Command::new(program).args(words).output().expect("it runs");
        assert!(done.status.success(), "{done:?}");
    };
    let root = tree.path().display().to_string();
    run("dpkg-deb", &["-R", deb, &root]);
    let control = tree.path().join("DEBIAN");
    let set = format!("s/^Version: .*/Version: {version}/");
    let file = control.join("control").display().to_string();
    run("sed", &["-i", &set, &file]);
    for name in ["postinst", "postrm", "prerm"] {
        let Some(scripts) = scripts else { break };
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
        fs::copy(lab.join(scripts).join(name), control.join(name)).expect("copy");
        run("chmod", &["755", &control.join(name).display().to_string()]);
    }
    let made = format!("{}_{version}.deb", deb.trim_end_matches(".deb"));
    run("dpkg-deb", &["-Zgzip", "-z1", "-b", &root, &made]);
    made
}

/// The preinst of our package, with this build.
pub fn preinst_of_this_build() -> Vec<u8> {
    let stage = tempfile::tempdir().expect("directory");
    let place = stage.path().join("usr/libexec/heartbeat");
    fs::create_dir_all(&place).expect("directory");
    programs(&place);
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/preinst"))
        .arg(stage.path())
        .env("SYSTOLE_DEB_FAST", "1")
        .output()
        .expect("the script runs");
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

/// Debian's own packages, from its archive: `heartbeat`, and `heartbeat-dev`, which depends on that
/// very version. `None`: they are not available here.
pub fn legacy_packages(place: &Path) -> Option<[String; 2]> {
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        let command = command.arg("-qq").args(words).current_dir(place);
        command.stdin(Stdio::null()).output()
    };
    let fetched = || {
        let tried = apt(&["download", "heartbeat", "heartbeat-dev"]);
        let names = fs::read_dir(place).expect("directory");
        let paths = names.filter_map(|entry| Some(entry.ok()?.path().display().to_string()));
        let paths: Vec<String> = paths.collect();
        let find = |word| paths.iter().find(|path| path.contains(word)).cloned();
        let both = find("/heartbeat_").zip(find("/heartbeat-dev_"));
        (both.map(<[String; 2]>::from), tried)
    };
    if let (Some(both), _) = fetched() {
        return Some(both);
    }
    // The package lists are missing or too old.
    let _ = apt(&["update"]);
    let (both, tried) = fetched();
    if both.is_none() {
        println!("apt-get download: {tried:?}");
    }
    both
}

/// Why package tests cannot run here, if they cannot.
pub fn obstacle() -> Option<String> {
    super::obstacle().or_else(|| {
        let has = |path: &str| Path::new(path).exists();
        (!has("/usr/bin/dpkg-deb") || !has(LEGACY_DAEMON))
            .then(|| "needs dpkg and Debian's package heartbeat".to_owned())
    })
}

impl Lab {
    /// Gives a host its own `/usr`, `/etc` and `/var`.
    pub fn private(&self, host: &str) {
        self.command(&["private", self.name(), host]);
    }

    /// Installs our files over those of the host, as `scripts/install` does on a bare machine.
    pub fn lay(&self, host: &str) {
        let stage = self.dir(host).join("stage");
        let made = script("install", &[&stage.display().to_string()]);
        assert!(made.status.success(), "{made:?}");
        let copied = format!(
            "tar -C {0} -c . | tar -C / -x --keep-directory-symlink && rm -rf {0}",
            stage.display()
        );
        let output = self.exec(host, &["sh", "-c", &copied]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs `dpkg` on a host; returns its exit code and output. Who is asked something has no
    /// answer, and the call fails.
    pub fn dpkg(&self, host: &str, words: &[&str]) -> (i32, String) {
        self.packages(host, "dpkg", &[&["--force-unsafe-io"], words].concat())
    }

    /// Runs `apt-get` on a host, which reaches no archive.
    pub fn apt(&self, host: &str, words: &[&str]) -> (i32, String) {
        self.packages(
            host,
            "apt-get",
            &[&["-y", "--no-install-recommends"], words].concat(),
        )
    }

    fn packages(&self, host: &str, program: &str, words: &[&str]) -> (i32, String) {
        let mut command = vec!["env", "DEBIAN_FRONTEND=noninteractive", program];
        command.extend(words);
        let output = self.exec(host, &command);
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap_or(-1), said)
    }

    /// Runs the init script; exit code and output.
    pub fn init(&self, host: &str, verb: &str) -> (i32, String) {
        let output = self.exec(
            host,
            &[
                "sh",
                "-c",
                &format!("setsid /etc/init.d/heartbeat {verb} 2>&1"),
            ],
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// Digest, mode and name of every file of `/etc/ha.d`.
    pub fn configuration(&self, host: &str) -> String {
        self.sh(host, "cd /etc/ha.d && find . -type f | sort | while read -r f; do echo \"$(sha256sum <$f) $(stat -c %a $f) $f\"; done")
    }
}

/// A client that asks the service address twenty times a second.
pub struct Client {
    process: Child,
    record: PathBuf,
}

impl Client {
    /// Begins to ask `address` from the host `client`.
    pub fn ask(lab: &Lab, address: &str) -> Self {
        let record = lab.shared().join("answers");
        let file = fs::File::create(&record).expect("record");
        let pid = fs::read_to_string(lab.dir("client").join("holder.pid")).expect("the host is up");
        let process = Command::new("nsenter")
            .args(["-t", pid.trim(), "-n", "-m", "-u", "-p", "--"])
            .args(["ping", "-n", "-D", "-i", "0.05", address])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("ping");
        Self { process, record }
    }

    /// Ends, and returns the times of all answers.
    pub fn answers(mut self) -> Vec<f64> {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        let time = |line: &str| line.strip_prefix('[')?.split_once(']')?.0.parse().ok();
        let answers = text.lines().filter(|line| line.contains("bytes from"));
        answers.filter_map(time).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The longest time without an answer, and when it began.
pub fn longest_silence(answers: &[f64]) -> (f64, f64) {
    let gaps = answers.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
    gaps.fold(
        (0.0, 0.0),
        |longest, gap| if gap.0 > longest.0 { gap } else { longest },
    )
}
