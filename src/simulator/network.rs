//! Cables: each direction of each cable loses, delays, repeats and queues independently.

use std::collections::VecDeque;

use crate::protocol::auth::{KeyRing, Method};
use crate::protocol::codec;
use crate::protocol::event::Event;
use crate::protocol::message::Message;
use crate::protocol::wire::MessageFormat;

use super::act::Act;
use super::chance::{Chance, Place, within};
use super::ids::HostId;
use super::queue::Happening;
use super::world::{Micros, SECOND, World, medium_name};

/// Shortest delay of a datagram.
const LEAST_DELAY: Micros = 200;
/// The delay of a datagram where nothing is left to chance.
const TRAVEL: Micros = 1_000;
/// Longest delay of a normal cable.
const DELAY: Micros = 2_000;
/// A line queues what it can send within this time, and drops the rest.
const LINE_QUEUE: Micros = 3 * SECOND;

/// One direction of one cable.
#[derive(Debug, Clone)]
pub struct Path {
    /// Nothing gets through.
    pub cut: bool,
    /// Share of datagrams lost, in percent.
    pub loss: u64,
    /// At most this many heartbeats lost in a row; 0: no bound.
    pub longest_run: u32,
    lost_in_row: u32,
    burst_until: Micros,
    /// Share of datagrams that come twice, in percent.
    duplicate: u64,
    /// Longest delay in microseconds.
    pub delay: Micros,
    /// Bytes in a second; 0: no bound.
    rate: u64,
    /// When the line has sent its queue.
    free_at: Micros,
    /// Share of datagrams with a bit that has changed, in percent.
    corrupt: u64,
}

/// How many datagrams of each host can be received once more.
const RECORDED: usize = 4_000;

/// What was on a cable, and when.
#[derive(Debug, Default)]
pub(crate) struct Recording(VecDeque<(Micros, Frame)>);

impl Path {
    pub(crate) fn well() -> Self {
        Self {
            cut: false,
            loss: 0,
            longest_run: 0,
            lost_in_row: 0,
            burst_until: 0,
            duplicate: 0,
            delay: DELAY,
            rate: 0,
            free_at: 0,
            corrupt: 0,
        }
    }

    /// Whether a short datagram gets through now; `roll`: a random number below 100.
    pub(crate) fn carries(&self, roll: u64, now: Micros) -> bool {
        !self.cut && now >= self.burst_until && roll >= self.loss
    }

    /// Whether it loses datagrams, or did a second ago.
    pub(crate) fn loses(&self, now: Micros) -> bool {
        self.cut || self.loss > 0 || now < self.burst_until + SECOND
    }
}

/// A frame on its way.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// As it is.
    Plain(Message),
    /// Signed and encoded.
    Encoded(Vec<u8>),
}

/// Both nodes know both keys, and each signs with one.
fn keys(sign_with: u8) -> Option<KeyRing> {
    let keys = [(1, b"simulated"), (2, b"exchanged")];
    let keys = keys.map(|(number, secret)| (number, Method::Sha1, secret.to_vec()));
    KeyRing::new(sign_with, keys.to_vec()).ok()
}

impl World {
    fn frame(&self, host: HostId, message: &Message) -> Frame {
        if !self.plan.wire {
            return Frame::Plain(message.clone());
        }
        let encoded = keys(self.hosts[host].key)
            .and_then(|keys| codec::encode_datagram(message, &keys, MessageFormat::Classic).ok());
        match encoded {
            Some(bytes) => Frame::Encoded(bytes.to_vec()),
            None => Frame::Plain(message.clone()),
        }
    }

    /// From membership to the medium, and from the medium at the other end to membership.
    fn hops(&mut self, host: HostId) -> Micros {
        if self.calm {
            return 0;
        }
        let longest = self.plan.internal_ms * 1_000 + 1;
        let hop = |world: &mut Self| {
            let drawn = world.noise.draw(Chance::Hop, Place::host(host), world.now);
            within(drawn, 0..longest)
        };
        hop(self) + hop(self)
    }

    pub(crate) fn transmit(&mut self, host: HostId, message: &Message) {
        let mut message = message.clone();
        self.plan.features.strip(host, &mut message);
        let message = &message;
        let frame = self.frame(host, message);
        if self.plan.wire || self.plan.features.generations {
            let recording = &mut self.recordings[host].0;
            recording.push_back((self.now, frame.clone()));
            if recording.len() > RECORDED {
                recording.pop_front();
            }
        }
        // A status that is sent again is no heartbeat: it does not prolong the life of its sender.
        let number = number_of(message);
        let beat = message.kind() == Some("status") && number > self.hosts[host].newest_beat;
        if beat {
            self.hosts[host].newest_beat = number;
            self.judge.beat_sent(host, self.now);
            self.lease_beats(host);
            if self.plan.gate && !self.hosts[host].gate_cut {
                let life = self.hosts[host].life;
                self.at(self.now + 400, Happening::Echo { host, life });
            }
        }
        let bytes = 120
            + message
                .fields()
                .iter()
                .map(|f| f.name.len() as u64 + 16)
                .sum::<u64>();
        let mut got_through = false;
        for medium in 0..self.plan.media {
            // Broadcast: the own packets come back.
            let when = self.now + 50 + self.hops(host);
            let own = frame.clone();
            self.at(
                when,
                Happening::Datagram {
                    host,
                    from: host,
                    medium,
                    frame: own,
                },
            );
            if self.plan.nodes() == 2 {
                got_through |= match &mut self.scripted {
                    Some(scripted) => {
                        let carried = scripted.carried(host, message);
                        carried.is_some_and(|message| self.send_scripted(host, medium, message))
                    }
                    None => self.send(host, medium, &frame, beat, bytes),
                };
            }
        }
        if !got_through {
            self.judge.lost(host, host.other(), self.now);
        }
    }

    /// Sends to the other node in a run in which nothing is left to chance. Whether it arrives there.
    fn send_scripted(&mut self, from: HostId, medium: usize, message: Message) -> bool {
        if self.paths[from][medium].cut {
            return false;
        }
        let happening = Happening::Datagram {
            host: from.other(),
            from,
            medium,
            frame: Frame::Plain(message),
        };
        self.at(self.now + TRAVEL, happening);
        true
    }

    /// Sends to the other node on one medium. Whether it arrives there, and intact.
    fn send(&mut self, host: HostId, medium: usize, frame: &Frame, beat: bool, bytes: u64) -> bool {
        let (now, place) = (self.now, Place::medium(host, medium));
        let roll = within(self.noise.draw(Chance::Lost, place, now), 0..100);
        let again = within(self.noise.draw(Chance::Again, place, now), 0..100);
        let path = &mut self.paths[host][medium];
        let mut lost = !path.carries(roll, now);
        if beat && path.longest_run > 0 {
            lost &= path.lost_in_row < path.longest_run;
            path.lost_in_row = if lost { path.lost_in_row + 1 } else { 0 };
        }
        let mut queued = 0;
        if path.rate > 0 && !lost {
            queued = path.free_at.saturating_sub(now) + bytes * SECOND / path.rate;
            lost = queued > LINE_QUEUE;
            if !lost {
                path.free_at = now + queued;
            }
        }
        if lost {
            return false;
        }
        let (copies, corrupt) = (1 + u64::from(again < path.duplicate), path.corrupt);
        let bit = self.noise.draw(Chance::Corrupt, place, now);
        let mut frame = frame.clone();
        let mut whole = true;
        if within(bit, 0..100) < corrupt
            && let Frame::Encoded(bytes) = &mut frame
        {
            whole = false;
            let at = (bit >> 16) as usize % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << ((bit >> 8) & 7);
            }
        }
        for _ in 0..copies {
            let longest = self.paths[host][medium].delay;
            let drawn = self.noise.draw(Chance::OnWire, place, now);
            let on_wire = within(drawn, LEAST_DELAY..longest.max(LEAST_DELAY + 1));
            let mut when = now + queued + on_wire + self.hops(host);
            let to = host.other();
            if self.plan.is_legacy(to) {
                // A legacy node acts at its ticks.
                let tick = self.plan.keepalive(to).min(500_000);
                when = when.div_ceil(tick) * tick;
            }
            let frame = frame.clone();
            self.at(
                when,
                Happening::Datagram {
                    host: to,
                    from: host,
                    medium,
                    frame,
                },
            );
        }
        whole
    }

    pub(crate) fn hear(&mut self, host: HostId, from: HostId, medium: usize, frame: Frame) {
        if self.hosts[host].node.is_none() {
            return;
        }
        let mut message = match frame {
            Frame::Plain(message) => message,
            Frame::Encoded(bytes) => match keys(1).map(|it| codec::decode_datagram(&bytes, &it)) {
                None => return,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.note(format_args!("{host} refuses a datagram: {error}"));
                    return;
                }
            },
        };
        self.plan.features.strip(host, &mut message);
        // The model is made of our membership, which would obey it.
        if self.plan.is_legacy(host) {
            message.remove("systole_dt");
        }
        let beat = from != host && message.kind() == Some("status");
        let leaves = from != host && message.kind() == Some("shutdone");
        if from != host && matches!(message.kind(), Some("resource" | "ask_resources")) {
            self.hosts[host].told_at = Some(self.now);
        }
        let number = number_of(&message);
        let deadtime = message.hex("systole_dt").or_else(|| message.hex("dt"));
        let medium = medium_name(medium);
        self.feed(host, Event::Received { medium, message });
        if leaves {
            self.judge.left_heard(host, from, number);
        }
        // After the node: what is overdue by now is applied before the event.
        if beat {
            let deadtime = deadtime.map(|ms| ms * 1_000);
            self.judge
                .beat_heard(host, from, number, deadtime, self.now);
        }
    }

    /// Frames of that time are received once more: a second's worth of them. Only those that the
    /// receiver may have received in its present run; it cannot recognise others as old.
    fn replay(&mut self, from: HostId, medium: usize, ms: u64) {
        let first = self.now.saturating_sub(ms * 1_000);
        let to = from.other();
        let known = self.hosts[to].node.as_ref().is_some_and(|node| {
            let (name, present) = (&self.hosts[from].name, self.hosts[from].generation);
            node.nodes()
                .any(|peer| peer.name == name && peer.generation.0 >= present)
        });
        // A node that has received the present run recognises every earlier one.
        let up_since = if known && self.plan.features.generations {
            0
        } else {
            self.hosts[to].up_since
        };
        let old = self.recordings[from].0.iter();
        let old = old.filter(|(when, _)| *when >= first.max(up_since) && *when < first + SECOND);
        let frames: Vec<Frame> = old.map(|(_, frame)| frame.clone()).collect();
        for (n, frame) in frames.into_iter().enumerate() {
            let when = self.now + LEAST_DELAY * (n as u64 + 1);
            self.at(
                when,
                Happening::Datagram {
                    host: to,
                    from,
                    medium,
                    frame,
                },
            );
        }
    }

    /// An act that concerns cables.
    pub(crate) fn network_act(&mut self, act: Act) {
        let now = self.now;
        let media = self.plan.media;
        match act {
            Act::Cut { from, medium, cut } if medium < media => {
                self.paths[from][medium].cut = cut != 0;
            }
            Act::Cable { cut, .. } => self.cut_all(cut != 0),
            Act::Heal => self.heal(),
            Act::Loss {
                from,
                medium,
                percent,
            } if medium < media => {
                self.paths[from][medium].loss = percent;
            }
            Act::LossAll { percent } => {
                for path in self.paths.iter_mut().flatten() {
                    path.loss = percent;
                }
            }
            Act::Burst { from, medium, ms } if medium < media => {
                self.paths[from][medium].burst_until = now + ms * 1_000;
            }
            Act::Delay {
                from,
                medium,
                micros,
            } if medium < media => {
                self.paths[from][medium].delay = micros;
                self.judge.slow_path(from, micros);
            }
            Act::Corrupt {
                from,
                medium,
                percent,
            } if medium < media => {
                self.paths[from][medium].corrupt = percent;
            }
            Act::Replay { from, medium, ms } if medium < media => self.replay(from, medium, ms),
            Act::Twice {
                from,
                medium,
                percent,
            } if medium < media => {
                self.paths[from][medium].duplicate = percent;
            }
            Act::Noisy { percent, micros } => {
                for path in self.paths.iter_mut().flatten() {
                    path.duplicate = percent;
                    path.delay = micros;
                }
            }
            Act::Line { from, medium, rate } if medium < media => {
                self.paths[from][medium].rate = rate;
                self.judge.slow_path(from, LINE_QUEUE);
            }
            _ => {}
        }
    }

    /// Cuts or connects every cable. Each of the two hosts is cut off by that.
    pub fn cut_all(&mut self, cut: bool) {
        for path in self.paths.iter_mut().flatten() {
            path.cut = cut;
        }
        if !cut {
            self.judge.cause();
        }
    }

    /// All faults of the network end.
    pub fn heal(&mut self) {
        for path in self.paths.iter_mut().flatten() {
            let longest_run = path.longest_run;
            *path = Path::well();
            path.longest_run = longest_run;
        }
        self.judge.cause();
    }
}

/// Generation and number.
fn number_of(message: &Message) -> (u64, u64) {
    (
        message.hex("hg").unwrap_or(0),
        message.hex("seq").unwrap_or(0),
    )
}
