//! What goes wrong, drawn from the seed.

use rand::RngExt as _;
use systole::protocol::message::Message;

use super::world::{Happening, SECOND, World};

/// One fault or one act of an operator, and the time of the next.
pub fn next(world: &mut World) {
    if !world.faults {
        return;
    }
    let pause = world.rng.random_range(SECOND / 5..8 * SECOND);
    let when = world.now + pause;
    world.at(when, Happening::Fault);
    let now = world.now;
    world.judge.disturbed(now);
    let host = world.rng.random_range(0..world.plan.nodes);
    let other = (host + 1) % world.plan.nodes;
    let medium = world.rng.random_range(0..world.plan.media);
    let words = ["all", "local", "foreign"];
    let word = words[world.rng.random_range(0..words.len())];
    let kind = world.rng.random_range(0..25);
    world.note(format_args!("fault {kind} host {host} medium {medium}"));
    match kind {
        0 => world.paths[host][other][medium].cut = true,
        1 => cut_all(world, true),
        2..=5 => heal(world),
        6 => {
            let loss = world.rng.random_range(0..40);
            for path in world.paths.iter_mut().flatten().flatten() {
                path.loss = loss;
            }
        }
        7 => {
            let until = now + world.rng.random_range(50_000..2 * SECOND);
            world.paths[host][other][medium].burst_until = until;
        }
        8 => {
            let (duplicate, delay) = (
                world.rng.random_range(0..50),
                world.rng.random_range(201..50_000),
            );
            for path in world.paths.iter_mut().flatten().flatten() {
                path.duplicate = duplicate;
                path.delay = delay;
            }
        }
        9 => world.crash(host),
        10..=12 => {
            for host in 0..world.plan.nodes {
                world.start(host);
            }
        }
        13 => world.request_stop(host),
        14 => {
            let deadtime = world.plan.deadtime_ms * 1000;
            let until = now + world.rng.random_range(deadtime / 10..deadtime * 5);
            let machine = world.rng.random_bool(0.3);
            world.freeze(host, until, machine);
        }
        15 => {
            let step = if world.rng.random_bool(0.5) {
                3_600
            } else {
                -3_600
            };
            world.hosts[host].wall_offset += step;
        }
        16 | 17 => {
            excuse(world);
            let message = Message::new("ask_resources")
                .with("rsc_hold", word)
                .with("info", "me");
            world.inject(host, message);
        }
        18 => {
            excuse(world);
            world.inject(host, Message::new("hb_takeover").with("rsc_hold", word));
        }
        19 => {
            let keys = world.keys();
            let key = keys[world.rng.random_range(0..keys.len())].clone();
            let broken = &mut world.hosts[host].broken;
            if broken.remove(&key) {
                world.judge.mended(key, now);
            } else {
                broken.insert(key);
            }
        }
        20 => {
            world.crash(host);
            world.start(host);
        }
        21 => {
            // Its next stop fails for good, and the machine is rebooted.
            let keys = world.keys();
            let key = keys[world.rng.random_range(0..keys.len())].clone();
            if world.rng.random_bool(0.3) {
                world.hosts[host].unstoppable.insert(key);
            }
        }
        _ => mark(world, host),
    }
}

/// Whoever moves groups that a node cannot start has to move them again.
fn excuse(world: &mut World) {
    for key in world.keys() {
        if world.hosts.iter().any(|host| host.broken.contains(&key)) {
            world.judge.excuse(key);
        }
    }
}

/// A message that every node must handle once.
pub fn mark(world: &mut World, host: usize) {
    world.marks += 1;
    let message = Message::new("labmark").with("mark", &world.marks.to_string());
    world.inject(host, message);
}

/// Pulls or plugs every cable.
pub fn cut_all(world: &mut World, cut: bool) {
    for path in world.paths.iter_mut().flatten().flatten() {
        path.cut = cut;
    }
}

/// Everything about the network is well again.
pub fn heal(world: &mut World) {
    cut_all(world, false);
    for path in world.paths.iter_mut().flatten().flatten() {
        path.loss = 0;
        path.duplicate = 0;
        path.delay = 2_000;
        path.burst_until = 0;
    }
}
