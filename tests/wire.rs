//! Every recorded datagram against the codec, and properties that hold for any message and for
//! any bytes. Spec: docs/protocol/wire.md, 2 to 7 and 21.

mod common;

use bytes::BytesMut;
use common::wire_vectors::{self, Codec, Vector};
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::{
    DecodeError, Form, decode_datagram, decode_unsigned, encode_compressed, encode_datagram,
    encode_serial,
};
use systole::protocol::compress::Algorithm;
use systole::protocol::frame::StreamDecoder;
use systole::protocol::message::Message;
use systole::protocol::wire::MessageFormat;
use systole::protocol::{netstring, text};

/// Vectors that legacy takes although it would write them otherwise.
const NOT_CANONICAL: [&str; 3] = [
    "parse_classic_blank_lines.bin",
    "parse_classic_trailing_bytes.bin",
    "parse_ns_leading_zeros.bin",
];

fn vectors(wanted: Codec) -> Vec<Vector> {
    let found: Vec<_> = wire_vectors::load()
        .into_iter()
        .filter(|v| v.codec() == wanted)
        .collect();
    assert!(!found.is_empty(), "no vectors for {wanted:?}");
    found
}

#[test]
fn every_vector_has_a_verdict_for_the_codec() {
    let all = wire_vectors::load();
    assert_eq!(all.len(), 200);
    for vector in &all {
        vector.codec();
    }
}

#[test]
fn digests() {
    for (method, key, data, digest) in wire_vectors::digests() {
        let ring = KeyRing::new(7, vec![(7, method, key.into_bytes())]).unwrap();
        let token = format!("7 {digest}");
        assert_eq!(ring.sign(data.as_bytes()).as_bytes(), token.as_bytes());
        assert_eq!(ring.verify(token.as_bytes(), data.as_bytes()), Ok(7));
    }
}

#[test]
fn accepted_vectors_decode_and_encode_to_the_same_bytes() {
    for vector in vectors(Codec::Accepts) {
        let file = &vector.file;
        let keys = vector.keys(vector.signed_with(None));
        let message =
            decode_datagram(&vector.bytes, &keys).unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(inner) = &vector.inner {
            wire_vectors::assert_fields(file, &inner["fields"], &message);
            continue;
        }
        vector.assert_fields(&message);
        let keys = vector.keys(vector.signed_with(Some(&message)));
        let again = match Form::of(&vector.bytes).unwrap() {
            Form::Netstring => {
                let body = netstring::split_body(&vector.bytes).unwrap().0;
                assert_eq!(Some(body.len()), vector.body_length, "{file}");
                let trailer = vector.trailer.as_deref().unwrap();
                assert_eq!(keys.sign(body).as_bytes(), trailer.as_bytes(), "{file}");
                encode_datagram(&message, &keys, format_of(&message))
                    .unwrap()
                    .to_vec()
            }
            Form::Classic => {
                let mut text = encode_serial(&message, &keys).unwrap().to_vec();
                if vector.medium != "serial" {
                    text.push(0);
                }
                text
            }
        };
        if !NOT_CANONICAL.contains(&&**file) {
            assert_eq!(
                again.escape_ascii().to_string(),
                vector.bytes.escape_ascii().to_string()
            );
        }
    }
}

/// An inner `auth` field shows that the sender runs with `msgfmt classic`.
fn format_of(message: &Message) -> MessageFormat {
    match message.get("auth") {
        Some(_) => MessageFormat::Classic,
        None => MessageFormat::Netstring,
    }
}

#[test]
fn inner_auth_fields_verify() {
    let mut seen = 0;
    for vector in vectors(Codec::Accepts) {
        if vector.auth_field_valid != Some(true) || vector.inner.is_some() {
            continue;
        }
        let keys = vector.keys(vector.signed_with(None));
        let message = decode_datagram(&vector.bytes, &keys).unwrap();
        let mut lines = Vec::new();
        text::emit_signed_lines(&message, &mut lines).unwrap();
        let token = message.text_bytes("auth").unwrap();
        assert!(keys.verify(token, &lines).is_ok(), "{}", vector.file);
        seen += 1;
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn whole_message_compression_goes_both_ways() {
    let mut seen = 0;
    for vector in vectors(Codec::Accepts)
        .into_iter()
        .filter(|v| v.inner.is_some())
    {
        let keys = vector.keys(1);
        let message = decode_datagram(&vector.bytes, &keys).unwrap();
        for algorithm in [Algorithm::Zlib, Algorithm::Bz2] {
            for format in [MessageFormat::Classic, MessageFormat::Netstring] {
                let wire = encode_compressed(&message, &keys, format, algorithm).unwrap();
                assert!(wire.len() < 600, "{}", wire.len());
                assert_eq!(decode_datagram(&wire, &keys).unwrap(), message);
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn parser_vectors_parse_and_are_written_again() {
    for vector in vectors(Codec::Parses) {
        let file = &vector.file;
        let message = decode_unsigned(&vector.bytes).unwrap_or_else(|e| panic!("{file}: {e}"));
        if file == "parse_classic_blank_lines.bin" {
            assert_eq!(message, Message::new("x").with("a", "1"));
        } else {
            vector.assert_fields(&message);
        }
        let mut again = Vec::new();
        match Form::of(&vector.bytes).unwrap() {
            Form::Netstring => netstring::emit(&message, &mut again).unwrap(),
            Form::Classic => text::emit(&message, &mut again).unwrap(),
        }
        if !NOT_CANONICAL.contains(&&**file) {
            assert_eq!(again, vector.bytes, "{file}");
        }
    }
}

#[test]
fn refused_vectors_are_refused_for_the_right_reason() {
    for (codec, silent, bad_auth) in [
        (Codec::DropsSilently, true, false),
        (Codec::RefusesAuth, false, true),
        (Codec::RefusesForm, false, false),
    ] {
        for vector in vectors(codec) {
            let keys = vector.keys(vector.signed_with(None).min(3));
            let signed = vector.medium != "parser only";
            let result = if signed {
                decode_datagram(&vector.bytes, &keys)
            } else {
                decode_unsigned(&vector.bytes)
            };
            let error = result.expect_err(&vector.file);
            let kind = (
                error == DecodeError::NotAMessage,
                matches!(error, DecodeError::NotAuthentic { .. }),
            );
            assert_eq!(kind, (silent, bad_auth), "{}: {error}", vector.file);
        }
    }
}

#[test]
fn serial_streams_decode_in_any_pieces() {
    for vector in vectors(Codec::Streams) {
        let keys = vector.keys(1);
        let starts = vector.bytes.windows(5).filter(|w| w == b"\n<<<\n").count();
        for piece in [1, 7, 512, vector.bytes.len()] {
            let mut decoder = StreamDecoder::serial();
            let mut input = BytesMut::new();
            let mut messages = Vec::new();
            for bytes in vector.bytes.chunks(piece) {
                input.extend_from_slice(bytes);
                while let Some(item) = decoder.next_signed(&mut input, &keys) {
                    messages.push(item.unwrap_or_else(|e| panic!("{}: {e}", vector.file)));
                }
            }
            assert_eq!(messages.len(), starts, "{} by {piece}", vector.file);
            assert_eq!(messages[0].kind(), Some("status"));
        }
    }
}

/// No change of a single bit in an accepted datagram is accepted.
#[test]
fn no_flipped_bit_verifies() {
    for vector in vectors(Codec::Accepts) {
        let keys = vector.keys(vector.signed_with(None));
        let original = decode_datagram(&vector.bytes, &keys).unwrap();
        for at in 0..vector.bytes.len() {
            let mut bytes = vector.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Ok(message) = decode_datagram(&bytes, &keys) {
                // The NUL behind a classic datagram is ignored, like all bytes there.
                assert_eq!(message, original, "{} at {at}", vector.file);
                assert_eq!(at, bytes.len() - 1, "{}", vector.file);
            }
        }
    }
}

#[path = "wire/corpora.rs"]
mod corpora;
#[path = "wire/properties.rs"]
mod properties;

/// The ring that the properties use.
fn ring() -> KeyRing {
    KeyRing::new(1, vec![(1, Method::Sha1, b"labkey".to_vec())]).unwrap()
}
