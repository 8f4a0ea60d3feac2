//! No memory left: the kernel kills the daemon, or the guardian, or refuses the daemon's requests.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use systole::protocol::client::frame;
use systole::protocol::message::Message;
use systole::protocol::wire::MessageFormat;

use super::death::{guardians, pid, wait_guardian, watched};
use super::host::{Kind, skip, wait_until};
use super::pair::{LONG, Pair, PairConfig};

/// Programs that make the daemon need memory, of a quarter of a megabyte each.
const CLIENTS: usize = 60;

/// Memory of a group of processes: enough for a process whose pages are counted elsewhere, and for
/// nothing more.
const LIMIT_BYTES: &str = "8388608";

/// A group of processes with a limit of memory. Removed when dropped.
pub struct Limited {
    path: PathBuf,
    /// The file that counts kills, and the word before the count.
    kills: (&'static str, &'static str),
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Limited {
    /// Why the group cannot be made, if so.
    pub fn new() -> Result<Self, String> {
        let name = format!(
            "systole-lab-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let (v1, v2) = (
            Path::new("/sys/fs/cgroup/memory"),
            Path::new("/sys/fs/cgroup"),
        );
        let (parent, files, kills) = if v1.join("memory.limit_in_bytes").exists() {
            (
                v1,
                vec![("memory.limit_in_bytes", LIMIT_BYTES)],
                ("memory.oom_control", "oom_kill"),
            )
        } else if fs::read_to_string(v2.join("cgroup.controllers"))
            .is_ok_and(|text| text.contains("memory"))
        {
            // An error shows below: the files are not there.
            let _ = fs::write(v2.join("cgroup.subtree_control"), "+memory");
            let files = vec![("memory.swap.max", "0"), ("memory.max", LIMIT_BYTES)];
            (v2, files, ("memory.events", "oom_kill"))
        } else {
            return Err("no memory controller in /sys/fs/cgroup".into());
        };
        let limited = Self {
            path: parent.join(name),
            kills,
        };
        let made = fs::create_dir(&limited.path);
        made.map_err(|error| format!("no control group can be made: {error}"))?;
        for (file, value) in files {
            let written = fs::write(limited.path.join(file), value);
            // A kernel without swap accounting has no such file.
            if let Err(error) = written
                && file != "memory.swap.max"
            {
                return Err(format!("{file} cannot be set: {error}"));
            }
        }
        Ok(limited)
    }

    /// The file to which members are written.
    pub fn members(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    fn kills(&self) -> u32 {
        let text = fs::read_to_string(self.path.join(self.kills.0)).expect("the count of kills");
        let lines = text.lines();
        let mut words = lines.filter_map(|line| line.split_once(' '));
        let (_, count) = words
            .find(|(word, _)| *word == self.kills.1)
            .expect("oom_kill");
        count.trim().parse().expect("a number")
    }

    /// Puts a process of node1 into the group, as the one that the kernel kills first, beside one
    /// that allocates more and more memory.
    fn starve(&self, pair: &Pair, pid: &str) {
        let before = self.kills();
        let members = self.members();
        let pid = outer_pid(pair, pid);
        fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").expect("the first to be killed");
        fs::write(&members, pid).expect("a member of the group");
        let script = format!("echo $$ >{} && exec tail /dev/zero", members.display());
        let mut hog = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .spawn()
            .expect("sh");
        wait_until(LONG, "the kernel kills for want of memory", || {
            self.kills() > before
        });
        let _ = hog.kill();
        let _ = hog.wait();
    }
}

/// Number of a process of node1 outside its namespace.
fn outer_pid(pair: &Pair, inner: &str) -> String {
    let holder = fs::read_to_string(pair.lab.dir("node1").join("holder.pid")).expect("the host");
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(holder.trim());
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    pids.find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find(|line| line.starts_with("NSpid:"));
        let last = numbers.and_then(|line| line.split_whitespace().last());
        last == Some(inner) && namespace(pid) == wanted
    })
    .expect("a process of the host")
}

impl Drop for Limited {
    fn drop(&mut self) {
        // The last process may be ending this moment.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        eprintln!("{} stays", self.path.display());
    }
}

/// The kernel's own choice when there is no memory: the daemon, then the guardian.
pub fn out_of_memory(kinds: [Kind; 2]) {
    let limited = match Limited::new() {
        Ok(limited) => limited,
        Err(reason) => return skip("out_of_memory", &reason),
    };
    let mut watched = watched(PairConfig::new(kinds));
    watched.daemon_dies(|pair, pid| limited.starve(pair, pid));
    let guardian = guardians(&watched.pair, "node1");
    let before = pid(&watched.pair, "node1");
    limited.starve(&watched.pair, &guardian[0]);
    wait_guardian(&watched.pair, "node1", &guardian);
    assert_eq!(pid(&watched.pair, "node1"), before);
    watched.nothing_moved();
    watched.stops_in_order();
}

/// The kernel refuses more memory: the program aborts, as every Rust program then does.
pub fn allocation_fails(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    // Otherwise the reserve would have to be used up first.
    config.times.push_str("memreserve 1\n");
    for number in 0..CLIENTS {
        let line = format!("apiauth hog{number} uid=root\n");
        config.times.push_str(&line);
    }
    let mut watched = watched(config);
    watched.daemon_dies(refuse_memory);
    watched.nothing_moved();
    watched.stops_in_order();
}

/// Forbids the process more memory than it has, and makes it need more.
fn refuse_memory(pair: &Pair, pid: &str) {
    let register = pair.lab.dir("node1").join("run/register");
    // Not the address space as well: with that used up, the kernel lets an arena of the allocator grow
    // into what it has reserved.
    let limit = format!("prlimit --pid {pid} --data=1048576");
    assert_eq!(pair.lab.sh("node1", &limit), "");
    // Programs that sign on and begin a long message: the daemon keeps the bytes of each.
    let mut clients = Vec::new();
    wait_until(LONG, "the daemon ends", || {
        if clients.len() < CLIENTS
            && let Ok(mut client) = UnixStream::connect(&register)
        {
            let name = format!("hog{}", clients.len());
            let _ = client.set_write_timeout(Some(Duration::from_millis(200)));
            let _ = client.write_all(&sign_on(&name, pid));
            let _ = client.write_all(&begin_of_a_frame());
            clients.push(client);
        }
        let end = pair.lab.exec("node1", &["kill", "-0", pid]);
        !end.status.success()
    });
}

/// A sign-on; the process number only has to be that of a living process.
fn sign_on(name: &str, pid: &str) -> Vec<u8> {
    let request = Message::new("hbapi-req")
        .with("reqtype", "signon")
        .with("dest", "node1")
        .with("pid", pid)
        .with("from_id", name)
        .with("uid", "0")
        .with("gid", "0");
    let frame = frame::encode(&request, MessageFormat::Classic);
    frame.expect("a short message").to_vec()
}

/// All bytes except the last of a frame of the greatest length.
fn begin_of_a_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = u32::try_from(frame::MAX_BODY_BYTES).expect("256 KiB");
    bytes.extend(length.to_ne_bytes());
    bytes.extend(frame::MAGIC.to_ne_bytes());
    bytes.resize(frame::MAX_BODY_BYTES + frame::HEADER_BYTES - 1, b'x');
    bytes
}
