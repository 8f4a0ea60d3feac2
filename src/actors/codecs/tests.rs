use std::fmt::Debug;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::{Framed, FramedRead};

use super::*;
use crate::protocol::auth::Method;
use crate::protocol::client::frame::{HEADER_BYTES, MAGIC};
use crate::protocol::frame::MAX_FIFO_LINE_BYTES;
use crate::protocol::wire::MAX_MESSAGE_BYTES;

const SIZES: [usize; 4] = [1, 2, 7, 64 * 1024];

/// All that comes out of a stream that holds `bytes` and ends. A reader gets at most `piece` bytes at once: with one, every
/// frame is cut at each of its bytes.
async fn items<D>(decoder: D, bytes: &[u8], piece: usize) -> Vec<D::Item>
where
    D: Decoder<Error = io::Error>,
    D::Item: Debug,
{
    let (mut writer, reader) = tokio::io::duplex(piece);
    let write = async move {
        writer.write_all(bytes).await.expect("written");
    };
    let read = FramedRead::new(reader, decoder).map(|item| item.expect("no error of reading"));
    tokio::join!(write, read.collect::<Vec<_>>()).1
}

/// Good messages by their kind; what is bad by its text.
async fn kinds<D, E>(decoder: fn() -> D, bytes: &[u8]) -> Vec<Result<String, String>>
where
    D: Decoder<Item = Result<Message, E>, Error = io::Error>,
    E: Debug + ToString,
{
    let mut seen = Vec::new();
    for piece in SIZES {
        let plain = |item: Result<Message, E>| {
            item.map(|message| message.kind().unwrap_or_default().to_owned())
                .map_err(|error| error.to_string())
        };
        let all = items(decoder(), bytes, piece).await;
        seen.push(all.into_iter().map(plain).collect::<Vec<_>>());
    }
    // The text of an error quotes what was there to quote.
    let good = |all: &[Result<String, String>]| all.iter().map(|it| it.clone().ok()).collect();
    let first: Vec<Option<String>> = good(&seen[0]);
    assert!(seen.iter().all(|it| good(it) == first), "{seen:?}");
    seen.swap_remove(0)
}

fn keys() -> Arc<KeyRing> {
    let keys = vec![(1, Method::Md5, b"k".to_vec())];
    Arc::new(KeyRing::new(1, keys).expect("a key"))
}

fn serial() -> SerialCodec {
    SerialCodec::new(keys())
}

fn outgoing(message: Message) -> Outgoing {
    Outgoing {
        message,
        datagram: Bytes::new(),
        keys: keys(),
    }
}

fn signed(kind: &str) -> Vec<u8> {
    let mut line = BytesMut::new();
    serial()
        .encode(&outgoing(Message::new(kind)), &mut line)
        .expect("it has a form");
    line.to_vec()
}

fn text(kind: &str) -> Vec<u8> {
    format!(">>>\nt={kind}\n<<<\n").into_bytes()
}

fn ok(kind: &str) -> Result<String, String> {
    Ok(kind.to_owned())
}

fn bad(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

#[actix::test]
async fn a_bad_message_in_the_fifo_hurts_no_other() {
    let stream = [
        b"noise\n<<<\n".to_vec(),
        text("a"),
        b">>>\nno equals sign\n<<<\n".to_vec(),
        text("b"),
        b">>>\nt=cut\n".to_vec(),
        text("c"),
        b"###\n6zz:(0)t=x,%%%\n".to_vec(),
        b"###\n6:(0)t=d,%%%\n".to_vec(),
        format!(">>>\nt={}\n<<<\n", "x".repeat(MAX_FIFO_LINE_BYTES)).into_bytes(),
        text("e"),
        b">>>\nt=unfinished\n".to_vec(),
    ];
    let seen = kinds(FifoCodec::default, &stream.concat()).await;
    let good: Vec<_> = seen.iter().filter_map(|it| it.as_deref().ok()).collect();
    assert_eq!(good, ["a", "b", "c", "d", "e"]);
    let faults = seen.iter().filter(|it| it.is_err()).count();
    assert_eq!((faults, seen.len()), (4, 9), "{seen:?}");
}

#[actix::test]
async fn a_bad_message_on_a_serial_line_hurts_no_other() {
    let mut forged = signed("forged");
    forged[6] ^= 1;
    let stream = [
        b"noise\n###\n6:(0)t=x,%%%\n".to_vec(),
        signed("a"),
        text("unsigned"),
        signed("b"),
        forged,
        signed("c"),
        b">>>\nt=cut\n".to_vec(),
        signed("d"),
    ];
    let seen = kinds(serial, &stream.concat()).await;
    let good: Vec<_> = seen.iter().filter_map(|it| it.as_deref().ok()).collect();
    assert_eq!(good, ["a", "b", "c", "d"]);
    let faults = seen.iter().filter(|it| it.is_err()).count();
    assert_eq!((faults, seen.len()), (3, 7), "{seen:?}");
}

#[actix::test]
async fn a_serial_line_carries_messages_both_ways() {
    let (one, other) = tokio::io::duplex(16);
    let (mut one, mut other) = (Framed::new(one, serial()), Framed::new(other, serial()));
    let message = outgoing(Message::new("status").with("src", "alpha"));
    for _ in 0..2 {
        let sent = async {
            let nothing = outgoing(Message::empty());
            let refused = one.send(&nothing).await;
            assert!(matches!(refused, Err(WriteError::Message(_))));
            one.send(&message).await.expect("sent");
        };
        let heard = tokio::join!(sent, other.next()).1;
        let heard = heard.expect("not at its end").expect("read").expect("good");
        assert_eq!(heard.text("src"), Some("alpha"));
        std::mem::swap(&mut one, &mut other);
    }
}

fn header(length: i32, magic: u32) -> Vec<u8> {
    [length.to_ne_bytes(), magic.to_ne_bytes()].concat()
}

/// A frame with any body.
fn frame_of(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).expect("short");
    [header(length, MAGIC), body.to_vec()].concat()
}

fn request(kind: &str) -> Vec<u8> {
    let mut frame = BytesMut::new();
    ClientEncoder::new(MessageFormat::Classic)
        .encode(&Message::new(kind), &mut frame)
        .expect("it has a form");
    frame.to_vec()
}

/// What a client's stream holds: the kind of a message, what is no message, or why it cannot go on.
async fn frames(signed_on: bool, bytes: &[u8]) -> Vec<Result<String, String>> {
    let mut seen = Vec::new();
    for piece in SIZES {
        let mut decoder = ClientDecoder::default();
        decoder.set_signed_on(signed_on);
        let all = items(decoder, bytes, piece).await.into_iter();
        let plain = |item: Result<Bytes, FrameError>| match item {
            Ok(body) => match frame::decode(&body) {
                Ok(message) => ok(message.kind().unwrap_or_default()),
                Err(_) => ok("no message"),
            },
            Err(error) => bad(&error.to_string()),
        };
        seen.push(all.map(plain).collect::<Vec<_>>());
    }
    assert!(seen.iter().all(|it| it == &seen[0]), "{seen:?}");
    seen.swap_remove(0)
}

#[actix::test]
async fn a_body_that_is_no_message_does_not_end_a_clients_stream() {
    let stream = [
        request("a"),
        frame_of(b"rubbish"),
        frame_of(b""),
        frame_of(b">>>\nno equals sign\n<<<\n"),
        request("b"),
    ];
    let none = || ok("no message");
    let expected = [ok("a"), none(), none(), none(), ok("b")];
    assert_eq!(frames(false, &stream.concat()).await, expected);
    // A frame that is cut off by the end is nothing.
    let cut = [request("a"), request("b")[..20].to_vec()];
    assert_eq!(frames(false, &cut.concat()).await, [ok("a")]);
}

#[actix::test]
async fn no_frame_is_found_behind_a_bad_header() {
    let over = i32::try_from(MAX_BODY_BYTES).expect("short") + 1;
    for (head, reason) in [
        (header(5, 0), "bad magic number 0x0 in a frame"),
        (header(-1, MAGIC), "bad length -1 of a frame"),
        (header(over, MAGIC), "bad length 262145 of a frame"),
        (b"garbage!".to_vec(), "bad length 1651663207 of a frame"),
    ] {
        let stream = [request("a"), head, request("b"), request("c")].concat();
        let expected = [ok("a"), bad(reason)];
        assert_eq!(frames(true, &stream).await, expected, "{reason}");
    }
}

#[actix::test]
async fn a_client_that_has_not_signed_on_has_a_smaller_limit() {
    let long = frame_of(&vec![b'x'; MAX_STRANGER_BYTES + 1]);
    let reason = format!("bad length {} of a frame", MAX_STRANGER_BYTES + 1);
    assert_eq!(frames(false, &long).await, [bad(&reason)]);
    assert_eq!(frames(true, &long).await, [ok("no message")]);
    let longest = frame_of(&vec![b'x'; MAX_STRANGER_BYTES]);
    assert_eq!(frames(false, &longest).await, [ok("no message")]);
}

/// The room that a stream takes at most while `bytes` come again and again, `piece` at a time.
fn most_room<D>(mut decoder: D, bytes: &[u8], piece: usize) -> usize
where
    D: Decoder<Error = io::Error>,
{
    let mut input = BytesMut::new();
    let mut most = 0;
    for part in bytes.chunks(piece).cycle().take(300) {
        input.extend_from_slice(part);
        while decoder.decode(&mut input).expect("no error").is_some() {}
        most = most.max(input.capacity());
    }
    most
}

#[test]
fn whatever_comes_the_buffer_is_bounded() {
    let noise = vec![b'x'; 4096];
    let endless = [b">>>\n".to_vec(), b"a=b\n".repeat(1023)].concat();
    let netstring = [b"###\n999999:".to_vec(), vec![b'x'; 4085]].concat();
    for bytes in [&noise, &endless, &netstring] {
        for piece in [977, 4096] {
            // A line, a message and what one read brings, and the allocator's doubling.
            let bound = 2 * (MAX_MESSAGE_BYTES + 2 * STREAM_READ_BYTES);
            assert!(most_room(serial(), bytes, piece) <= bound);
            let bound = 2 * (MAX_FIFO_LINE_BYTES + 2 * STREAM_READ_BYTES);
            let most = most_room(FifoCodec::default(), bytes, piece);
            assert!(bytes == &netstring || most <= bound, "{most}");
        }
    }
    let mut signed_on = ClientDecoder::default();
    signed_on.set_signed_on(true);
    let longest = frame_of(&vec![b'x'; MAX_BODY_BYTES]);
    let bound = 2 * (MAX_BODY_BYTES + HEADER_BYTES + CLIENT_READ_BYTES);
    assert!(most_room(signed_on, &longest, 4096) <= bound);
    // Behind a bad header nothing is kept.
    let bound = 4 * CLIENT_READ_BYTES;
    assert!(most_room(ClientDecoder::default(), &longest, 4096) <= bound);
}
