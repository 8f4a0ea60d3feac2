use super::*;

/// A line of so many bits per second on a node with these times, in milliseconds.
fn outbox(baud: u32, deadtime: u64) -> Outbox {
    Outbox::new(LineSettings {
        speed: Speed::new(baud),
        deadtime: Duration::from_millis(deadtime),
    })
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

fn numbered(kind: &str, number: u64) -> Message {
    Message::new(kind)
        .with("seq", &format!("{number:x}"))
        .with("hg", "1")
}

fn status(number: u64) -> Message {
    numbered("status", number)
}

/// The text is what identifies a message here, filled up to so many bytes.
fn text(what: &str, bytes: usize) -> Bytes {
    Bytes::from(format!("{what:.<bytes$}"))
}

fn push(outbox: &mut Outbox, message: &Message, what: &str, ms: u64) -> Queued {
    outbox.push(message, text(what, 100), at(ms))
}

/// Carries everything that waits, and says what was sent, one word for each message, and when its last byte was written.
fn carry(outbox: &mut Outbox, now: u64, until: u64) -> Vec<(u64, String)> {
    carry_on(outbox, &mut Vec::new(), now, until)
}

/// The same; `message` is what was carried of the one in hand.
fn carry_on(
    outbox: &mut Outbox,
    message: &mut Vec<u8>,
    mut now: u64,
    until: u64,
) -> Vec<(u64, String)> {
    let mut sent = Vec::new();
    while now <= until {
        match outbox.next(at(now)) {
            Step::Idle => break,
            Step::Wait(then) => {
                let then = u64::try_from(then.since_start().as_millis()).unwrap();
                now = then.max(now + 1);
            }
            Step::Write(piece) => {
                assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                message.extend_from_slice(&piece);
                outbox.wrote(piece.len(), at(now));
                if outbox.begun.is_empty() {
                    let text = String::from_utf8(std::mem::take(message)).unwrap();
                    let text = text
                        .strip_prefix("\n<<<\n")
                        .expect("what was before is closed");
                    sent.push((now, text.trim_end_matches('.').to_owned()));
                }
            }
        }
    }
    sent
}

fn words(sent: &[(u64, String)]) -> Vec<&str> {
    sent.iter().map(|(_, word)| word.as_str()).collect()
}

#[test]
fn a_byte_has_ten_bits() {
    let speed = Speed::new(9600);
    assert_eq!(speed.bytes_in(Duration::from_secs(1)), 960);
    assert_eq!(speed.time_for(960), Duration::from_secs(1));
    assert!(speed.time_for(usize::MAX / 2).as_secs() > 1_000);
    assert_eq!(Speed::new(0).bytes_in(Duration::from_secs(1)), 0);
}

#[test]
fn messages_go_in_their_order_at_the_speed_of_the_line() {
    let mut outbox = outbox(9600, 10_000);
    for (number, word) in [(1, "a"), (2, "b"), (3, "c")] {
        push(&mut outbox, &numbered("resource", number), word, 0);
    }
    let sent = carry(&mut outbox, 0, 5_000);
    assert_eq!(words(&sent), ["a", "b", "c"]);
    // 200 bytes before the last one take 208 ms; at most the lead is ahead of the line.
    let last = sent[2].0;
    assert!((100..=330).contains(&last), "{sent:?}");
    assert!(!outbox.is_drained(at(last)));
    assert!(outbox.is_drained(at(335)), "{outbox:?}");
}

#[test]
fn nothing_is_left_out_or_overtaken_until_a_status_is_late() {
    let mut outbox = outbox(9600, 10_000);
    push(&mut outbox, &status(1), "first", 0);
    push(&mut outbox, &numbered("resource", 2), "r", 0);
    push(&mut outbox, &status(3), "second", 2_499);
    assert_eq!(
        words(&carry(&mut outbox, 2_499, 5_000)),
        ["first", "r", "second"]
    );
    // The line took nothing for a while.
    push(&mut outbox, &numbered("resource", 4), "r4", 5_000);
    push(&mut outbox, &numbered("resource", 5), "r5", 5_000);
    push(&mut outbox, &status(6), "old", 5_000);
    push(&mut outbox, &status(7), "older", 6_000);
    push(&mut outbox, &status(8), "new", 7_500);
    let sent = carry(&mut outbox, 7_500, 9_000);
    // A status was sent last.
    assert_eq!(words(&sent), ["r4", "new", "r5"]);
    // Sent again because somebody asked: that is no newer status.
    push(&mut outbox, &status(9), "newest", 9_000);
    push(&mut outbox, &status(1), "again", 9_000);
    assert_eq!(
        words(&carry(&mut outbox, 9_000, 9_900)),
        ["newest", "again"]
    );
    // Another run counts from one.
    let next = Message::new("status").with("seq", "1").with("hg", "2");
    push(&mut outbox, &next, "another run", 9_900);
    push(&mut outbox, &status(10), "before", 9_900);
    assert_eq!(
        words(&carry(&mut outbox, 9_900, 10_900)),
        ["another run", "before"]
    );
}

#[test]
fn a_message_is_not_queued_twice() {
    let mut outbox = outbox(9600, 10_000);
    let message = numbered("resource", 7);
    assert_eq!(push(&mut outbox, &message, "once", 0), Queued::Waits);
    assert_eq!(push(&mut outbox, &message, "twice", 1), Queued::Twice);
    let ack = |node: &str| Message::new("NS_ackmsg").with("dest", node);
    push(&mut outbox, &ack("beta"), "early", 1);
    push(&mut outbox, &ack("gamma"), "other", 1);
    assert_eq!(push(&mut outbox, &ack("beta"), "late", 2), Queued::Waits);
    let ask = |first: &str| Message::new("NS_rexmit").with("firstseq", first);
    push(&mut outbox, &ask("3"), "ask3", 2);
    assert_eq!(push(&mut outbox, &ask("4"), "ask4", 2), Queued::Twice);
    let sent = carry(&mut outbox, 2, 9_000);
    assert_eq!(words(&sent), ["once", "late", "other", "ask3"]);
}

/// What was asked for again waits behind what is new, and does not fill the queue.
#[test]
fn repairs_give_way_to_what_is_new() {
    let mut outbox = outbox(9600, 10_000);
    push(&mut outbox, &numbered("resource", 100), "new", 0);
    assert_eq!(words(&carry(&mut outbox, 0, 999)), ["new"]);
    let taken =
        (1..50).map(|number| push(&mut outbox, &numbered("resource", number), "again", 1_000));
    let taken = taken.filter(|queued| *queued == Queued::Waits).count();
    assert_eq!(
        taken, 5,
        "half a second of the line is 480 bytes, and 512 the least"
    );
    push(
        &mut outbox,
        &Message::new("NS_rexmit").with("firstseq", "3"),
        "ask",
        1_001,
    );
    push(&mut outbox, &numbered("ask_resources", 101), "new", 1_001);
    push(&mut outbox, &status(102), "status", 1_001);
    let sent = carry(&mut outbox, 1_001, 3_000);
    assert_eq!(words(&sent)[..2], ["new", "status"]);
    assert_eq!(sent.len(), 7, "{sent:?}");
    // Too old: they are asked for again.
    push(&mut outbox, &numbered("resource", 1), "again", 3_000);
    assert_eq!(carry(&mut outbox, 4_001, 5_000), []);
    assert_eq!(outbox.take_outdated(), 0);
}

/// A node that is asked for a hundred messages again and again, whose clients write without an end, on a line of 96 bytes a
/// second: every heartbeat interval has its heartbeat.
#[test]
fn nothing_starves_the_heartbeats() {
    let mut outbox = outbox(960, 10_000);
    let (mut heard, mut sent, mut message) = (Vec::new(), 0, Vec::new());
    let mut number = 1000;
    for beat in 0..60 {
        let now = beat * 2500;
        push(&mut outbox, &status(100_000 + beat), "status", now);
        for again in 0..100 {
            push(&mut outbox, &numbered("resource", again), "again", now + 1);
            number += 1;
            let client = numbered("chatter", number).with("from_id", "1");
            push(&mut outbox, &client, "client", now + 2);
        }
        let carried = carry_on(&mut outbox, &mut message, now + 2, now + 2499);
        sent += carried.len();
        let statuses = carried.iter().filter(|(_, word)| word == "status");
        heard.extend(statuses.map(|(then, _)| *then));
    }
    assert!(
        heard.windows(2).all(|pair| pair[1] - pair[0] < 5_000),
        "{heard:?}"
    );
    // Others are sent as well: the line never rests.
    assert!(
        heard.len() >= 55 && sent > heard.len() + 55,
        "{} {sent}",
        heard.len()
    );
}

#[test]
fn what_waited_too_long_is_dropped_and_the_daemon_comes_before_clients() {
    let mut outbox = outbox(9600, 4_000);
    push(&mut outbox, &numbered("resource", 1), "old", 0);
    push(&mut outbox, &status(2), "status", 0);
    push(&mut outbox, &numbered("resource", 3), "young", 3_000);
    assert_eq!(
        words(&carry(&mut outbox, 4_001, 9_000)),
        ["status", "young"]
    );
    assert_eq!(outbox.take_outdated(), 1);

    let client = |number| numbered("chatter", number).with("from_id", "1");
    let mut taken = 0;
    while push(&mut outbox, &client(taken), "client", 9_000) == Queued::Waits {
        taken += 1;
    }
    assert_eq!(taken, 38, "four seconds of the line");
    assert_eq!(
        push(&mut outbox, &numbered("resource", 98), "daemon", 9_000),
        Queued::Waits
    );
    assert_eq!(outbox.take_outdated(), 1);
    assert_eq!(
        push(&mut outbox, &client(99), "client", 9_000),
        Queued::NoRoom
    );
    let huge = outbox.push(&client(100), text("huge", 961), at(9_000));
    assert_eq!(huge, Queued::TooLong);
    let needed = outbox.push(&numbered("resource", 101), text("needed", 961), at(9_000));
    assert_eq!(needed, Queued::Waits);
}

/// Nothing leaves the port: no message is cut except the one in hand, and the newest status is next.
#[test]
fn a_stuck_port_is_flushed() {
    let mut outbox = outbox(9600, 10_000);
    push(&mut outbox, &status(1), "one", 0);
    let Step::Write(piece) = outbox.next(at(0)) else {
        panic!("nothing to write");
    };
    outbox.wrote(10, at(0));
    assert!(piece.len() > 10);
    assert!(matches!(outbox.refused(at(10)), Refused::Again(_)));
    push(&mut outbox, &numbered("resource", 2), "two", 100);
    assert!(matches!(outbox.refused(at(509)), Refused::Again(_)));
    assert_eq!(outbox.refused(at(510)), Refused::Flush);
    let sent = carry(&mut outbox, 510, 2_000);
    assert_eq!(words(&sent), ["two"]);
    // A byte that goes ends it.
    push(&mut outbox, &status(3), "three", 3_000);
    assert!(matches!(outbox.refused(at(3_000)), Refused::Again(_)));
    outbox.wrote(1, at(3_400));
    assert!(matches!(outbox.refused(at(3_600)), Refused::Again(_)));
}

#[test]
fn the_bytes_of_a_status_are_not_estimated_too_low() {
    let keys = crate::protocol::auth::Method::Sha1;
    let keys = crate::protocol::auth::KeyRing::new(15, vec![(15, keys, b"key".to_vec())]).unwrap();
    let mut status = Message::new("status")
        .with("st", "active")
        .with("dt", "36ee80")
        .with("protocol", "1")
        .with("src", "alpha")
        .with("seq", "ffffffff")
        .with("hg", "6b00c425")
        .with("ts", "6b00c425")
        .with("ld", "100.04 100.93 100.36 10/1023 1234567")
        .with("ttl", "3");
    status.push(
        "srcuuid",
        crate::protocol::message::Value::Binary(vec![7; 16]),
    );
    let text = crate::protocol::codec::encode_serial(&status, &keys).unwrap();
    let estimate = status_bytes("alpha");
    assert!(
        (text.len()..text.len() + 40).contains(&estimate),
        "{}",
        text.len()
    );
}

/// The bytes that a port holds, of which the line takes 960 in a second; none while it is stuck.
struct Held {
    bytes: f64,
    stuck: bool,
}

/// A line that is never idle, as it is seen by whoever writes: how many times within a second something had left.
fn seen_to_leave(outbox: &mut Outbox, port: &mut Held, from: u64) -> usize {
    let mut seen = 0;
    for now in from..from + 1000 {
        if !port.stuck {
            port.bytes = (port.bytes - 0.96).max(0.0);
        }
        push(outbox, &numbered("resource", now + 1), "busy", now);
        let Step::Write(piece) = outbox.next(at(now)) else {
            continue;
        };
        assert!(
            from > 0 || now < 100 || port.bytes >= 1.0,
            "it is not seen empty"
        );
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let held = port.bytes.ceil() as usize;
        seen += usize::from(outbox.has_left(held));
        if held > outbox.may_hold() {
            if outbox.refused(at(now)) == Refused::Flush {
                port.bytes = 0.0;
            }
            continue;
        }
        outbox.wrote(piece.len(), at(now));
        port.bytes += f64::from(u32::try_from(piece.len()).unwrap());
    }
    seen
}

#[test]
fn a_busy_line_is_seen_to_carry_and_a_stuck_one_is_not() {
    let mut outbox = outbox(9600, 10_000);
    let mut port = Held {
        bytes: 0.0,
        stuck: false,
    };
    let busy = seen_to_leave(&mut outbox, &mut port, 0);
    assert!(busy >= 5, "{busy}");
    assert!(!outbox.is_stuck());
    port.stuck = true;
    // What left before it was stuck.
    assert!(seen_to_leave(&mut outbox, &mut port, 1000) <= 1);
    assert_eq!(seen_to_leave(&mut outbox, &mut port, 2000), 0);
    assert_eq!(seen_to_leave(&mut outbox, &mut port, 3000), 0);
    assert!(outbox.is_stuck());
    port.stuck = false;
    let again = seen_to_leave(&mut outbox, &mut port, 4000);
    assert!(again >= 5, "{again}");
    assert!(!outbox.is_stuck());
}

#[test]
fn the_end_waits_for_no_client() {
    let mut outbox = outbox(9600, 10_000);
    push(&mut outbox, &numbered("resource", 9), "before", 0);
    assert_eq!(words(&carry(&mut outbox, 0, 900)), ["before"]);
    push(&mut outbox, &numbered("resource", 3), "again", 1000);
    for number in 10..40 {
        let client = numbered("chatter", number).with("from_id", "1");
        push(&mut outbox, &client, "client", 1000);
    }
    push(&mut outbox, &status(50), "status", 1000);
    push(&mut outbox, &numbered("shutdone", 51), "shutdone", 1000);
    outbox.keep_last_words();
    assert_eq!(
        words(&carry(&mut outbox, 1000, 9000)),
        ["status", "shutdone"]
    );
    assert_eq!(outbox.waiting_bytes, 0);
}
