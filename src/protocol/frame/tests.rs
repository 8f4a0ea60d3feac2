use super::super::auth::Method;
use super::*;

/// All results of the FIFO's decoder: a message's type, or the text of the error.
fn fifo(pieces: &[&str]) -> Vec<Result<String, String>> {
    let mut decoder = StreamDecoder::fifo();
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece.as_bytes());
        while let Some(item) = decoder.next_unsigned(&mut input) {
            let item = item
                .map(|m| m.to_string())
                .map_err(|error| error.to_string());
            out.push(item);
        }
    }
    out
}

fn ok(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn error(reason: Malformed) -> Result<String, String> {
    Err(reason.to_string())
}

const STANDBY: &str = ">>>\nt=ask_resources\nrsc_hold=all\ninfo=me\n<<<\n";
const STANDBY_READ: &str = "t=ask_resources rsc_hold=all info=me";

#[test]
fn messages_in_any_pieces() {
    let stream = format!("{STANDBY}{STANDBY}");
    let whole = vec![ok(STANDBY_READ), ok(STANDBY_READ)];
    assert_eq!(fifo(&[&stream]), whole);
    let letters: Vec<&str> = stream.split_inclusive(|_| true).collect();
    assert_eq!(fifo(&letters), whole);
}

#[test]
fn lines_between_messages_are_skipped() {
    let stream = format!("junk\n\n<<<\na=b\n>>>\r\nx\n{STANDBY}more\n{STANDBY}");
    assert_eq!(fifo(&[&stream]), [ok(STANDBY_READ), ok(STANDBY_READ)]);
    // Junk without an end swallows the line that follows it.
    assert_eq!(fifo(&["junk", STANDBY, STANDBY]), [ok(STANDBY_READ)]);
}

/// Spec: docs/protocol/wire.md, 20: legacy loses both messages of two interleaved writers.
#[test]
fn a_start_inside_a_message_starts_anew() {
    let stream = format!(">>>\nt=cut\n{STANDBY}");
    assert_eq!(
        fifo(&[&stream]),
        [error(Malformed::NoEndMarker), ok(STANDBY_READ)]
    );
}

#[test]
fn one_bad_message_hurts_no_other() {
    let stream = format!(">>>\nt=x\nno equals sign\n<<<\n{STANDBY}>>>\nt=y\n<<<z\n{STANDBY}");
    assert_eq!(
        fifo(&[&stream]),
        [
            error(Malformed::NoEquals("no equals sign".to_owned())),
            ok(STANDBY_READ),
            error(Malformed::NoEquals("<<<z".to_owned())),
            ok(STANDBY_READ),
        ]
    );
}

#[test]
fn lines_of_the_fifo_are_bounded() {
    let with_line = |bytes: usize| {
        let value = "x".repeat(bytes - "a=\n".len());
        format!(">>>\nt=x\na={value}\n<<<\n{STANDBY}")
    };
    assert_eq!(fifo(&[&with_line(MAX_FIFO_LINE_BYTES)]).len(), 2);
    assert!(fifo(&[&with_line(MAX_FIFO_LINE_BYTES)])[0].is_ok());
    let refused = [
        error(Malformed::LineTooLong(MAX_FIFO_LINE_BYTES)),
        ok(STANDBY_READ),
    ];
    let long = with_line(MAX_FIFO_LINE_BYTES + 1);
    assert_eq!(fifo(&[&long]), refused);
    let letters: Vec<&str> = long.split_inclusive(|_| true).collect();
    assert_eq!(fifo(&letters), refused);
    // Legacy would treat the rest of the line as another field.
    let smuggled = format!(">>>\nt=x\na={}\nt=y\n<<<\n{STANDBY}", "x".repeat(2000));
    assert_eq!(fifo(&[&smuggled]), refused);
}

#[test]
fn endless_noise_takes_no_memory() {
    for mut decoder in [StreamDecoder::fifo(), StreamDecoder::serial()] {
        let mut input = BytesMut::new();
        for _ in 0..200 {
            input.extend_from_slice(&[b'x'; 4096]);
            assert_eq!(decoder.next_unsigned(&mut input), None);
            assert!(input.len() <= MAX_MESSAGE_BYTES + 4096);
        }
        input.extend_from_slice(b"\n");
        input.extend_from_slice(STANDBY.as_bytes());
        assert!(decoder.next_unsigned(&mut input).unwrap().is_ok());
    }
}

#[test]
fn a_message_without_end_is_bounded() {
    let mut decoder = StreamDecoder::serial();
    let mut input = BytesMut::new();
    input.extend_from_slice(b">>>\n");
    let mut refused = None;
    for _ in 0..3000 {
        input.extend_from_slice(format!("a={}\n", "x".repeat(97)).as_bytes());
        refused = refused.or(decoder.next_unsigned(&mut input));
        assert!(decoder.message.len() <= MAX_MESSAGE_BYTES + 100);
    }
    assert!(matches!(
        refused,
        Some(Err(DecodeError::Malformed(Malformed::TooLarge(_))))
    ));
}

#[test]
fn netstrings_in_the_fifo() {
    let body = "###\n6:(0)t=x,%%%\n";
    let trailer = "42:1 2e45a9976eb23eeae0866a1355a073cfd0381d73,";
    let stream = format!("{body}{body}{trailer}{STANDBY}{body}{trailer}\n{STANDBY}");
    let all = vec![
        ok("t=x"),
        ok("t=x"),
        ok(STANDBY_READ),
        ok("t=x"),
        ok(STANDBY_READ),
    ];
    assert_eq!(fifo(&[&stream]), all);
    let letters: Vec<&str> = stream.split_inclusive(|_| true).collect();
    assert_eq!(fifo(&letters), all);
}

#[test]
fn a_broken_netstring_hurts_no_other() {
    let broken = format!("###\n6zz:(0)t=x,%%%\n{STANDBY}");
    let refused = fifo(&[&broken]);
    assert_eq!(refused.len(), 2);
    assert!(refused[0].is_err());
    assert_eq!(refused[1], ok(STANDBY_READ));
    // A trailer that is cut off.
    let cut = format!("###\n6:(0)t=x,%%%\n42:1 2e45\n{STANDBY}");
    assert_eq!(fifo(&[&cut]), [ok("t=x"), ok(STANDBY_READ)]);
    // A length that is never reached.
    let endless = format!("###\n99999:(0)t=x,%%%\n{STANDBY}{STANDBY}");
    assert_eq!(
        fifo(&[&endless]),
        [error(Malformed::CutOff), ok(STANDBY_READ), ok(STANDBY_READ)]
    );
}

#[test]
fn serial_messages_are_verified_and_netstrings_are_noise() {
    let ring = KeyRing::new(1, vec![(1, Method::Md5, b"k".to_vec())]).unwrap();
    let message = Message::new("status").with("src", "alpha");
    let signed = codec::encode_serial(&message, &ring).unwrap();
    let mut decoder = StreamDecoder::serial();
    let mut input = BytesMut::new();
    input.extend_from_slice(b"###\n6:(0)t=x,%%%\n");
    input.extend_from_slice(STANDBY.as_bytes());
    input.extend_from_slice(&signed);
    assert!(matches!(
        decoder.next_signed(&mut input, &ring).unwrap().unwrap_err(),
        DecodeError::NotAuthentic { .. }
    ));
    let read = decoder.next_signed(&mut input, &ring).unwrap().unwrap();
    assert_eq!(read.text("src"), Some("alpha"));
    assert_eq!(decoder.next_signed(&mut input, &ring), None);
}

/// A cable that is pulled in the middle of a message, and noise without an end: the start marker of the next message stands at
/// the end of a line, and the message counts.
#[test]
fn a_start_at_the_end_of_a_line_counts_where_messages_are_verified() {
    let ring = KeyRing::new(1, vec![(1, Method::Md5, b"k".to_vec())]).unwrap();
    let message = |word: &str| {
        let message = Message::new("status")
            .with("src", word)
            .with("x", "an arrow>>>");
        codec::encode_serial(&message, &ring).unwrap()
    };
    let whole = message("whole");
    for cut in 0..whole.len() {
        let mut decoder = StreamDecoder::serial();
        let mut input = BytesMut::new();
        input.extend_from_slice(b"\xff\x00noise");
        input.extend_from_slice(&message("first"));
        input.extend_from_slice(&whole[..cut]);
        input.extend_from_slice(&message("second"));
        input.extend_from_slice(&message("third"));
        let mut good = Vec::new();
        while let Some(item) = decoder.next_signed(&mut input, &ring) {
            good.extend(item.ok().and_then(|it| it.text("src").map(str::to_owned)));
        }
        // Three bytes of the end marker are enough to close it; its last byte closes the line.
        assert_eq!(good, ["first", "second", "third"], "{cut}");
        assert!(decoder.take_noise() >= 1);
    }
}
