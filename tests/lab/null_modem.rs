//! A null modem between two hosts: pseudo-terminals, and a pump that carries bytes from one to the other at the speed of a
//! line. It injects noise, drops bytes, cuts messages in the middle, takes nothing for a while, and takes an end away.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::host::Lab;

/// Pause of the pump.
const TICK: Duration = Duration::from_millis(4);

/// Bytes of a message that get through before it is cut.
const CUT_AFTER: usize = 60;

/// In a heartbeat and in no other message.
const BEAT: &[u8] = b"t=status\n";

/// One end.
struct End {
    far: File,
    /// Keeps the port there while no program has it open.
    near: File,
    name: String,
}

impl End {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let far: OwnedFd = openpt(flags).expect("a pseudo-terminal");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        rustix::io::ioctl_fionbio(&far, true).expect("not blocking");
        let name = ptsname(&far, Vec::new()).expect("a name");
        let name = name.to_str().expect("text").to_owned();
        let near = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(&name)
            .expect("the port");
        let mut modes = tcgetattr(&near).expect("modes");
        modes.make_raw();
        tcsetattr(&near, OptionalActions::Now, &modes).expect("raw");
        let far = File::from(far);
        Self { far, near, name }
    }
}

/// What the pump is told.
#[derive(Default)]
struct Orders {
    baud: AtomicU32,
    /// Bytes are lost.
    unplugged: AtomicBool,
    /// Bytes are not taken: no flow control signal comes.
    stuck: AtomicBool,
    /// Each end gets what it sends itself.
    looped: AtomicBool,
    /// Random bytes besides.
    noise: AtomicBool,
    /// Messages to be cut in the middle, of each end.
    cuts: [AtomicU32; 2],
    ended: AtomicBool,
    /// Bytes that arrived at each end.
    carried: [AtomicU64; 2],
    /// When a heartbeat of each end was on the line.
    beats: [Mutex<Vec<Instant>>; 2],
}

/// The cable.
pub struct NullModem<'a> {
    lab: &'a Lab,
    hosts: [&'static str; 2],
    /// Path of the port on both hosts.
    port: &'static str,
    ends: Arc<Mutex<[Option<End>; 2]>>,
    orders: Arc<Orders>,
    pump: Option<JoinHandle<()>>,
}

impl<'a> NullModem<'a> {
    /// Joins the ports of both hosts.
    pub fn between(lab: &'a Lab, hosts: [&'static str; 2], port: &'static str, baud: u32) -> Self {
        let ends = Arc::new(Mutex::new([None, None]));
        let orders = Arc::new(Orders::default());
        orders.baud.store(baud, Ordering::Relaxed);
        let pump = {
            let (ends, orders) = (Arc::clone(&ends), Arc::clone(&orders));
            std::thread::spawn(move || pump(&ends, &orders))
        };
        let modem = Self {
            lab,
            hosts,
            port,
            ends,
            orders,
            pump: Some(pump),
        };
        modem.plug_port(0);
        modem.plug_port(1);
        modem
    }

    /// The port of a host comes: a new device under the old name.
    pub fn plug_port(&self, index: usize) {
        let end = End::new();
        let link = format!("ln -sfn {} {}", end.name, self.port);
        self.lock()[index] = Some(end);
        assert_eq!(self.lab.sh(self.hosts[index], &link), "");
    }

    /// The port of a host goes, as a USB adapter that is pulled.
    pub fn pull_port(&self, index: usize) {
        // First the name: another program may get the number of this terminal.
        assert_eq!(
            self.lab.sh(self.hosts[index], &format!("rm {}", self.port)),
            ""
        );
        self.lock()[index] = None;
    }

    /// The cable between the ports.
    pub fn plug(&self, plugged: bool) {
        self.orders.unplugged.store(!plugged, Ordering::Relaxed);
    }

    /// Whether bytes are taken.
    pub fn take(&self, taken: bool) {
        self.orders.stuck.store(!taken, Ordering::Relaxed);
    }

    /// Whether each end gets what it sends itself, and nothing of the other.
    pub fn loop_back(&self, looped: bool) {
        self.orders.looped.store(looped, Ordering::Relaxed);
    }

    /// Random bytes at both ends besides what is sent.
    pub fn noise(&self, on: bool) {
        self.orders.noise.store(on, Ordering::Relaxed);
    }

    /// Cuts the next messages of both ends in the middle.
    pub fn cut_messages(&self, messages: u32) {
        for cuts in &self.orders.cuts {
            cuts.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// Messages still to be cut.
    pub fn cuts_left(&self) -> u32 {
        let left = self
            .orders
            .cuts
            .iter()
            .map(|cuts| cuts.load(Ordering::Relaxed));
        left.sum()
    }

    /// When heartbeats of an end were on the line, since the last call.
    pub fn take_beats(&self, index: usize) -> Vec<Instant> {
        std::mem::take(&mut *self.orders.beats[index].lock().expect("the pump lives"))
    }

    /// Bytes that arrived at an end.
    pub fn carried(&self, index: usize) -> u64 {
        self.orders.carried[index].load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, [Option<End>; 2]> {
        self.ends.lock().expect("the pump lives")
    }
}

impl Drop for NullModem<'_> {
    /// The names go first: another test may get the numbers of these terminals, and a daemon that tries its port again would
    /// open them.
    fn drop(&mut self) {
        for host in self.hosts {
            self.lab.exec(host, &["rm", "-f", self.port]);
        }
        self.orders.ended.store(true, Ordering::Relaxed);
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
    }
}

/// One direction of the cable.
#[derive(Default)]
struct Wire {
    /// Bytes that the line could have carried by now.
    allowed: f64,
    /// Those that the port at the other end had no room for.
    held: Vec<u8>,
    /// The last bytes, to recognise the markers.
    recent: Vec<u8>,
    /// Bytes since the start of the message.
    length: usize,
    cutting: bool,
}

impl Wire {
    /// What of `bytes` gets through: of a message that is to be cut, only the beginning.
    fn cut(&mut self, bytes: Vec<u8>, cuts: &AtomicU32, beats: &mut Vec<Instant>) -> Vec<u8> {
        let mut through = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.recent.push(byte);
            if self.recent.len() > BEAT.len() {
                self.recent.remove(0);
            }
            self.length += 1;
            if self.recent.ends_with(b">>>\n") {
                self.length = 0;
            }
            if self.recent == BEAT {
                beats.push(Instant::now());
            }
            if self.length == CUT_AFTER && cuts.load(Ordering::Relaxed) > 0 {
                cuts.fetch_sub(1, Ordering::Relaxed);
                self.cutting = true;
            }
            if !self.cutting {
                through.push(byte);
            } else if self.recent.ends_with(b"<<<\n") {
                self.cutting = false;
            }
        }
        through
    }
}

fn pump(ends: &Mutex<[Option<End>; 2]>, orders: &Orders) {
    let mut wires = [Wire::default(), Wire::default()];
    let mut last = Instant::now();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    while !orders.ended.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
        let now = Instant::now();
        let passed = now.duration_since(last).as_secs_f64();
        last = now;
        let rate = f64::from(orders.baud.load(Ordering::Relaxed)) / 10.0;
        let mut ends = ends.lock().expect("the test lives");
        for (from, wire) in wires.iter_mut().enumerate() {
            // A pump that is late does not make up for more than a moment.
            wire.allowed = (wire.allowed + passed * rate).min(rate * 0.05);
            let quota = wire.allowed as usize;
            if quota == 0 {
                continue;
            }
            let mut bytes = Vec::new();
            if orders.noise.load(Ordering::Relaxed) {
                for _ in 0..quota {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    bytes.push(random as u8);
                }
                wire.allowed -= quota as f64;
            }
            if !orders.stuck.load(Ordering::Relaxed)
                && let Some(end) = &mut ends[from]
            {
                let mut buffer = vec![0; quota];
                if let Ok(read) = end.far.read(&mut buffer) {
                    buffer.truncate(read);
                    wire.allowed -= read as f64;
                    let mut beats = orders.beats[from].lock().expect("the test lives");
                    let through = wire.cut(buffer, &orders.cuts[from], &mut beats);
                    bytes.extend_from_slice(&through);
                }
            }
            if orders.unplugged.load(Ordering::Relaxed) {
                continue;
            }
            wire.held.extend_from_slice(&bytes);
            let looped = orders.looped.load(Ordering::Relaxed);
            let to = if looped { from } else { 1 - from };
            let Some(end) = &mut ends[to] else {
                wire.held.clear();
                continue;
            };
            if let Ok(written) = end.far.write(&wire.held) {
                wire.held.drain(..written);
                let written = u64::try_from(written).expect("small");
                orders.carried[to].fetch_add(written, Ordering::Relaxed);
            }
            // A receiver that reads nothing loses what its port cannot hold.
            wire.held.truncate(4096);
        }
        // The near ends are only held open.
        debug_assert!(ends.iter().flatten().all(|end| end.near.metadata().is_ok()));
    }
}
