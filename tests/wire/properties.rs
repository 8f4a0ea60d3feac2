//! Any message survives both forms; any bytes are taken without a panic and without belief.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use systole::protocol::codec::{
    decode_datagram, decode_unsigned, encode_compressed, encode_datagram, encode_serial,
};
use systole::protocol::compress::Algorithm;
use systole::protocol::frame::StreamDecoder;
use systole::protocol::message::{Field, Message, Value};
use systole::protocol::wire::MessageFormat;

use super::ring;

/// A byte that both forms can hold at any depth.
fn text_byte() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0x20..=0x7e_u8, 1 => Just(b'\n'), 1 => 0x80..=0xff_u8, 1 => 1..=9_u8]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    proptest::string::string_regex("[a-z_(][a-zA-Z0-9_.)-]{0,11}")
        .unwrap()
        .prop_map(String::into_bytes)
        .prop_filter("not a type prefix", |name| {
            !(name.len() > 2 && name[0] == b'(' && name[1].is_ascii_digit() && name[2] == b')')
        })
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    vec(0x20..=0xff_u8, 1..12)
}

/// A field's value. `netstring_only`: with values that classic text cannot hold.
fn value(netstring_only: bool) -> impl Strategy<Value = Value> {
    let text = vec(text_byte(), 0..40).prop_map(Value::text);
    let binary = vec(any::<u8>(), 0..40).prop_map(Value::Binary);
    let list = vec(element(), 0..6).prop_map(Value::List);
    let packed = vec(any::<u8>(), 0..40).prop_map(Value::Compressed);
    let leaf = prop_oneof![6 => text, 2 => binary, 1 => list, 1 => packed];
    leaf.prop_recursive(6, 24, 4, move |inner| {
        let nested = vec((name(), inner), 1..4).prop_map(message_of).boxed();
        let plain = nested.clone().prop_map(Value::Struct);
        if netstring_only {
            prop_oneof![plain, nested.prop_map(Value::Uncompressed)].boxed()
        } else {
            plain.boxed()
        }
    })
}

/// Names may repeat, but not for lists: those would join.
fn message_of(fields: Vec<(Vec<u8>, Value)>) -> Message {
    let mut message = Message::empty();
    for (at, (mut name, value)) in fields.into_iter().enumerate() {
        if matches!(value, Value::List(_)) {
            name = format!("list{at}").into_bytes();
        }
        let name = name.into();
        message.push_field(Field { name, value });
    }
    message
}

fn message(netstring_only: bool) -> impl Strategy<Value = Message> {
    vec((name(), value(netstring_only)), 1..12).prop_map(message_of)
}

fn without_auth(message: &Message) -> Message {
    let mut message = message.clone();
    message.remove("auth");
    message
}

/// Bytes that look like a message here and there.
fn near_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"###\n",
        b"%%%\n",
        b">>>\n",
        b"<<<\n",
        b"(0)",
        b"(1)",
        b"(2)",
        b"(3)",
        b"(4)",
        b"(5)",
        b"(9)",
        b"t=x",
        b"a=",
        b"=",
        b"\n",
        b",",
        b":",
        b"6:",
        b"6:(0)t=x,",
        b"99999999999999999999:",
        b"\x13",
        b"\x14",
        b"\x15",
        b">>>\x14",
        b"<<<\x14",
        b"3:abc,",
        b"AAECAw==",
        b"\0",
        b"auth=1 ",
        b"1 ",
        b"42:1 ",
        b"_compressed_payload=",
        b"_compression_algorithm=zlib",
        b"###\n6:(0)t=x,%%%\n",
        b">>>\nt=x\n<<<\n",
    ];
    let piece = proptest::sample::select(pieces).prop_map(<[u8]>::to_vec);
    vec(prop_oneof![4 => piece, 1 => vec(any::<u8>(), 0..8)], 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn netstring_datagram_round_trip(message in message(true)) {
        let wire = encode_datagram(&message, &ring(), MessageFormat::Netstring).unwrap();
        prop_assert_eq!(decode_datagram(&wire, &ring()), Ok(message));
    }

    #[test]
    fn classic_format_datagram_round_trip(message in message(true)) {
        let wire = encode_datagram(&message, &ring(), MessageFormat::Classic).unwrap();
        let decoded = decode_datagram(&wire, &ring()).unwrap();
        prop_assert_eq!(decoded.get("auth").is_some(), !message.needs_netstring());
        prop_assert_eq!(without_auth(&decoded), message);
    }

    #[test]
    fn serial_round_trip(message in message(false)) {
        let wire = encode_serial(&message, &ring()).unwrap();
        let decoded = decode_datagram(&wire, &ring()).unwrap();
        prop_assert_eq!(decoded.fields().last().map(|f| &f.name[..]), Some(&b"auth"[..]));
        prop_assert_eq!(without_auth(&decoded), message.clone());

        let mut stream = StreamDecoder::serial();
        let mut input = BytesMut::from(&b"noise\n>>>\ncut=off\n"[..]);
        input.extend_from_slice(&wire);
        let mut next = || stream.next_signed(&mut input, &ring());
        prop_assert!(next().unwrap().is_err());
        prop_assert_eq!(without_auth(&next().unwrap().unwrap()), message);
        prop_assert_eq!(next(), None);
    }

    #[test]
    fn compressed_round_trip(message in message(true), bz2: bool) {
        let algorithm = if bz2 { Algorithm::Bz2 } else { Algorithm::Zlib };
        let wire = encode_compressed(&message, &ring(), MessageFormat::Classic, algorithm).unwrap();
        let decoded = decode_datagram(&wire, &ring()).unwrap();
        prop_assert_eq!(without_auth(&decoded), message);
    }

    #[test]
    fn arbitrary_bytes_are_never_believed(bytes in near_bytes(), split in 0..64_usize) {
        prop_assert!(decode_datagram(&bytes, &ring()).is_err());
        let _ = decode_unsigned(&bytes);
        for mut stream in [StreamDecoder::serial(), StreamDecoder::fifo()] {
            let (first, second) = bytes.split_at(split.min(bytes.len()));
            let mut input = BytesMut::new();
            for part in [first, second] {
                input.extend_from_slice(part);
                while let Some(item) = stream.next_signed(&mut input, &ring()) {
                    prop_assert!(item.is_err());
                }
            }
        }
    }

    /// How the bytes of a stream are cut into reads changes nothing.
    #[test]
    fn a_stream_has_no_seams(bytes in near_bytes(), piece in 1..9_usize) {
        let decode = |mut stream: StreamDecoder, size: usize| {
            let mut out = Vec::new();
            let mut input = BytesMut::new();
            for part in bytes.chunks(size) {
                input.extend_from_slice(part);
                // The text of an error quotes what was there to quote.
                let next = || stream.next_unsigned(&mut input);
                out.extend(std::iter::from_fn(next).map(Result::ok));
            }
            out
        };
        for stream in [StreamDecoder::serial, StreamDecoder::fifo] {
            prop_assert_eq!(decode(stream(), piece), decode(stream(), bytes.len().max(1)));
        }
    }

    #[test]
    fn a_stream_recovers_from_anything(noise in near_bytes()) {
        let good = encode_serial(&Message::new("status"), &ring()).unwrap();
        for mut stream in [StreamDecoder::serial(), StreamDecoder::fifo()] {
            let mut input = BytesMut::from(&noise[..]);
            while stream.next_signed(&mut input, &ring()).is_some() {}
            // What is unfinished may spoil the first message, but not the second.
            for more in [b"\n", &good[..], &good] {
                input.extend_from_slice(more);
            }
            let next = || stream.next_signed(&mut input, &ring());
            let items: Vec<_> = std::iter::from_fn(next).collect();
            prop_assert!(items.last().unwrap().is_ok(), "{items:?}");
        }
    }

    #[test]
    fn a_mutated_message_is_refused(
        message in message(true),
        serial: bool,
        at: prop::sample::Index,
        byte: u8,
        how in 0..3_u8,
    ) {
        let format = MessageFormat::Classic;
        let wire = if serial { encode_serial(&message, &ring()) } else { Ok(Default::default()) };
        let wire = match wire {
            Ok(wire) if !wire.is_empty() => wire,
            _ => encode_datagram(&message, &ring(), format).unwrap(),
        };
        let mut bytes = wire.to_vec();
        let place = at.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.truncate(place),
            _ => bytes.insert(place, byte),
        }
        if let Ok(decoded) = decode_datagram(&bytes, &ring()) {
            // A blank line or a leading zero more: the same message.
            prop_assert_eq!(decoded, decode_datagram(&wire, &ring()).unwrap());
        }
    }
}
