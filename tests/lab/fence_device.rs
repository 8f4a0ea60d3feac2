//! A recording stand-in for a fencing device: as a plugin of cluster-glue, and as an agent. It does what
//! its mode says, and a thread of the test cuts the power for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::host::{Kind, skip, wait_until};
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::run;

/// What no command line and no log may contain.
pub const PASSWORD: &str = "Geheim-4711";

/// `name` is that of the device, `node` the one to be reset.
const DOES: &str = r#"
does() {
    echo "$(hostname) $1 $2" >>@SHARED@/resets
    echo "$(date +%s.%3N) $(hostname) $2" >>@SHARED@/timed-resets
    mode=$(cat @SHARED@/mode-$1-$(hostname) 2>/dev/null || cat @SHARED@/mode-$1 2>/dev/null)
    case "$mode" in
    fails) echo "the switch says no to $password" >&2; exit 1;;
    hangs) trap '' TERM; sleep 600 & wait; exit 1;;
    lies) exit 0;;
    late*) sleep ${mode#late};;
    esac
    touch @SHARED@/cut-$2
    while [ -e @SHARED@/cut-$2 ]; do sleep 0.05; done
    echo "$(hostname) $1 $2" >>@SHARED@/done
}
"#;

const PLUGIN: &str = r#"
case "$1" in
getconfignames) echo "hostlist name password";;
getinfo-*) echo rec;;
gethosts) echo "$hostlist" | tr , '\n';;
reset) does "$name" "$2";;
esac
exit 0
"#;

const AGENT: &str = r#"
while read -r line; do
    case "$line" in
    action=*) action=${line#*=};; nodename=*) node=${line#*=};; plug=*) plug=${line#*=};;
    password=*) password=${line#*=};;
    esac
done
[ -n "$password" ] || { echo "no password" >&2; exit 1; }
case "$action" in
reboot) [ "$plug" = "vm-$node" ] || exit 1; does agent "$node";;
list) exit 1;;
esac
exit 0
"#;

/// How the device is named in ha.cf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `stonith_host * external/rec ...`
    HostLine,
    /// `stonith external/rec FILE`
    File,
    /// `stonith_host * fence_rec ...`
    Agent,
    /// Two lines: the device `last` is tried before `rec`.
    TwoLines,
}

/// A pair with devices, and the thread that cuts the power.
pub struct Fenced {
    pub pair: Pair,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fenced {
    pub fn new(mut config: PairConfig, way: Way) -> Self {
        config.times.push_str(&match way {
            Way::HostLine => format!("stonith_host * external/rec node1,node2 rec {PASSWORD}\n"),
            Way::File => "stonith external/rec /etc/ha.d/rec.conf\n".to_owned(),
            Way::Agent => "stonith_host * fence_rec ip=192.0.2.1 password_file=/etc/ha.d/rec.conf \
                           hosts=node1:vm-node1,node2:vm-node2\n"
                .to_owned(),
            Way::TwoLines => format!(
                "stonith_host * external/rec node1,node2 rec {PASSWORD}\n\
                 stonith_host * external/rec node1,node2 last {PASSWORD}\n"
            ),
        });
        let pair = Pair::new(config);
        for node in NODES {
            let place = pair.lab.dir(node);
            let conf = match way {
                Way::Agent => format!("{PASSWORD}\n"),
                _ => format!("node1,node2 rec {PASSWORD}\n"),
            };
            fs::write(place.join("ha.d/rec.conf"), conf).expect("a file");
            pair.lab.sh(node, "chmod 600 /etc/ha.d/rec.conf");
            install(&pair, node, "plugins", "rec", PLUGIN);
            install(&pair, node, "agents", "fence_rec", AGENT);
            let mount = format!(
                "mount --bind {place}/plugins /usr/lib/stonith/plugins/external
                 mount -t overlay agents -o lowerdir={place}/agents:/usr/sbin /usr/sbin",
                place = place.display()
            );
            let said = pair.lab.sh(node, &mount);
            assert!(said.is_empty(), "{said}");
        }
        let over = Arc::new(AtomicBool::new(false));
        let thread = cuts_power(&pair, &over);
        Self {
            pair,
            over,
            thread: Some(thread),
        }
    }

    /// A settled pair; `group` on node1 only.
    pub fn settled(kinds: [Kind; 2], way: Way) -> Self {
        let fenced = Self::new(PairConfig::new(kinds), way);
        fenced.pair.start_settled();
        fenced
    }

    pub fn settings(&self, text: &str) {
        for node in NODES {
            let file = self.pair.lab.dir(node).join("ha.d/systole.toml");
            fs::write(file, text).expect("settings");
        }
    }

    /// What the device of that name does from now on: `fails`, `hangs`, `lies`, `lateSECONDS`, or it obeys.
    /// Also of one host's: `DEVICE-HOST`.
    pub fn mode(&self, device: &str, mode: &str) {
        let file = self.pair.lab.shared().join(format!("mode-{device}"));
        fs::write(file, mode).expect("the mode");
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.pair.lab.shared().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Who asked which device to reset whom.
    pub fn resets(&self) -> Vec<String> {
        self.lines("resets")
    }

    /// When a node asked for the reset of which: seconds since 1970, who asked, `reset NODE`.
    pub fn resets_in_time(&self) -> Vec<(f64, String, String)> {
        let of = |line: &String| {
            let (at, rest) = line.split_once(' ')?;
            let (node, reset) = rest.split_once(' ')?;
            Some((at.parse().ok()?, node.to_owned(), format!("reset {reset}")))
        };
        self.lines("timed-resets").iter().filter_map(of).collect()
    }

    /// Resets that were done.
    pub fn done(&self) -> Vec<String> {
        self.lines("done")
    }

    pub fn nothing_is_taken_before_it_is_done(&self) {
        let taken = || {
            let owners = self.pair.owners(super::pair::ADDRESS_1);
            !owners.is_empty() || self.pair.runs("node2", "a")
        };
        wait_until(LONG, "the reset is done", || {
            let taken = taken();
            let done = !self.done().is_empty();
            assert!(done || !taken, "taken before it was done");
            done
        });
    }

    pub fn wait_resets(&self, number: usize) {
        wait_until(LONG, &format!("{number} resets"), || {
            self.resets().len() >= number
        });
    }

    pub fn systole(&self, node: &str, words: &str) -> String {
        let program = self.pair.program(Kind::Systole, "systole");
        self.pair
            .lab
            .sh(node, &format!("{} {words}", program.display()))
    }

    /// In that order in the log of a node.
    pub fn logged_in_order(&self, node: &str, texts: &[&str]) {
        let log = self.pair.lab.log(node);
        let mut rest = log.as_str();
        for text in texts {
            let at = rest.find(text);
            let at = at.unwrap_or_else(|| panic!("{text:?} is not there, or too early:\n{log}"));
            rest = rest.get(at + text.len()..).unwrap_or_default();
        }
    }

    /// Nothing secret on a command line now, nor in any log.
    pub fn tells_no_secret(&self, node: &str) {
        let seen = self.pair.lab.sh(
            node,
            "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null; \
             cat /var/log/ha-log /var/log/ha-debug 2>/dev/null",
        );
        assert!(!seen.contains(PASSWORD), "{seen}");
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if std::thread::panicking() {
            eprintln!("resets {:?}, done {:?}", self.resets(), self.done());
        }
    }
}

fn install(pair: &Pair, node: &str, place: &str, name: &str, body: &str) {
    let directory: PathBuf = pair.lab.dir(node).join(place);
    fs::create_dir_all(&directory).expect("a directory");
    pair.install_script(node, name, &format!("#!/bin/sh\n{DOES}{body}"));
    let script = pair.lab.dir(node).join("ha.d/resource.d").join(name);
    fs::rename(script, directory.join(name)).expect("moved");
}

/// Cuts the power of a host whose file `cut-HOST` is there, and removes the file then.
fn cuts_power(pair: &Pair, over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (lab, name) = (&pair.lab, pair.lab.name());
    let shared = lab.shared();
    let mut hosts = NODES.map(|node| {
        let acts = [
            lab.prepared(&["crash", name, node]),
            lab.prepared(&["poweroff", name, node]),
            lab.prepared(&["exec", name, node, "sh", "-c", "rm -f /run/dummy-*"]),
        ];
        (node, shared.join(format!("cut-{node}")), acts)
    });
    let (calls, over) = (shared.join("calls"), Arc::clone(over));
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            for (node, file, acts) in &mut hosts {
                if !file.exists() {
                    continue;
                }
                for (number, act) in acts.iter_mut().enumerate() {
                    let _ = act.status();
                    if number == 0 {
                        let line = format!("{:.3} {node} poweroff - -\n", super::poll::now());
                        append(&calls, &line);
                    }
                }
                let _ = fs::remove_file(file);
            }
            sleep(Duration::from_millis(20));
        }
    })
}

fn append(file: &Path, line: &str) {
    use std::io::Write as _;
    let file = fs::OpenOptions::new().append(true).create(true).open(file);
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// Runs a scenario where cluster-glue is installed.
pub fn run_with_glue(name: &str, kinds: [Kind; 2], scenario: fn([Kind; 2])) {
    if Path::new("/usr/lib/stonith/plugins/external").exists() {
        run(name, kinds, scenario);
    } else {
        skip(name, "cluster-glue is not installed");
    }
}
