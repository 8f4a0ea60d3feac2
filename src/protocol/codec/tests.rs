use super::super::auth::Method;
use super::*;

fn ring() -> KeyRing {
    KeyRing::new(1, vec![(1, Method::Sha1, b"labkey".to_vec())]).unwrap()
}

fn message() -> Message {
    let mut message = Message::new("status").with("src", "alpha");
    message.push("u", Value::Binary(vec![0, 1, 2, 3]));
    message
}

const fn is_bad_auth(error: &DecodeError) -> bool {
    matches!(error, DecodeError::NotAuthentic { .. })
}

/// Spec: docs/protocol/wire.md, 4.4.
#[test]
fn worked_example() {
    let wire = encode_datagram(&message(), &ring(), MessageFormat::Netstring).unwrap();
    let expected = b"###\n11:(0)t=status,12:(0)src=alpha,9:(1)u=\0\x01\x02\x03,%%%\n\
        42:1 2e45a9976eb23eeae0866a1355a073cfd0381d73,";
    assert_eq!(wire, &expected[..]);
    let wire = encode_datagram(&message(), &ring(), MessageFormat::Classic).unwrap();
    let auth = "1 d2a445cfe6eed6e2bda33d9c013afd57fa26edf3";
    assert_eq!(
        decode_datagram(&wire, &ring()),
        Ok(message().with("auth", auth))
    );
    let text = encode_serial(&message(), &ring()).unwrap();
    let expected = format!(">>>\nt=status\nsrc=alpha\n(1)u=AAECAw==\nauth={auth}\n<<<\n");
    assert_eq!(text, expected.as_bytes());
}

#[test]
fn an_auth_field_is_replaced() {
    let stale = Message::empty()
        .with("auth", "1 stale")
        .with("t", "x")
        .with("auth", "1 staler");
    for wire in [
        encode_datagram(&stale, &ring(), MessageFormat::Classic).unwrap(),
        encode_serial(&stale, &ring()).unwrap(),
    ] {
        let decoded = decode_datagram(&wire, &ring()).unwrap();
        let names: Vec<_> = decoded.fields().iter().map(|f| &f.name[..]).collect();
        assert_eq!(names, [b"t" as &[u8], b"auth"]);
    }
}

/// A message that classic text cannot hold is still sent over UDP, without the inner field.
#[test]
fn inner_auth_is_left_out_where_it_has_no_meaning() {
    let odd = message().with("x", "a\x13b");
    let wire = encode_datagram(&odd, &ring(), MessageFormat::Classic).unwrap();
    assert_eq!(decode_datagram(&wire, &ring()), Ok(odd.clone()));
    assert_eq!(
        encode_serial(&odd, &ring()),
        Err(EncodeError::NotInClassic("x".to_owned()))
    );
}

#[test]
fn the_last_of_several_auth_fields_counts() {
    let text = encode_serial(&message(), &ring()).unwrap();
    let with_first = |line: &str| {
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.replacen(">>>\n", &format!(">>>\n{line}\n"), 1)
    };
    assert!(decode_datagram(with_first("auth=1 wrong").as_bytes(), &ring()).is_ok());
    let last_wrong = String::from_utf8(text.to_vec())
        .unwrap()
        .replace("<<<", "auth=1 wrong\n<<<");
    assert!(is_bad_auth(
        &decode_datagram(last_wrong.as_bytes(), &ring()).unwrap_err()
    ));
}

#[test]
fn the_digest_is_checked_before_the_items() {
    let broken = b"###\n7:(7)ab=c,%%%\n42:1 2e45a9976eb23eeae0866a1355a073cfd0381d73,";
    assert!(is_bad_auth(&decode_datagram(broken, &ring()).unwrap_err()));
    let mut signed = b"###\n7:(7)ab=c,%%%\n".to_vec();
    let token = ring().sign(&signed);
    netstring::emit_trailer(token.as_bytes(), &mut signed);
    let error = decode_datagram(&signed, &ring()).unwrap_err();
    assert_eq!(error, Malformed::UnknownType("(7)ab=c".to_owned()).into());
    // Bytes after the trailer are tolerated.
    let mut wire = encode_datagram(&message(), &ring(), MessageFormat::Netstring)
        .unwrap()
        .to_vec();
    wire.extend_from_slice(b"\0\0");
    assert_eq!(decode_datagram(&wire, &ring()), Ok(message()));
}

#[test]
fn refusals_name_the_claimed_sender_and_never_the_digest() {
    let other = KeyRing::new(1, vec![(1, Method::Sha1, b"other".to_vec())]).unwrap();
    let text = encode_serial(&message(), &ring()).unwrap();
    let error = decode_datagram(&text, &other).unwrap_err();
    let DecodeError::NotAuthentic {
        form,
        claimed_src,
        reason,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (*form, claimed_src.as_deref()),
        (Form::Classic, Some("alpha"))
    );
    let index_and_method = TokenError::WrongDigest {
        index: 1,
        method: Method::Sha1,
    };
    assert_eq!(*reason, BadToken::Refused(index_and_method));
    let mut lines = Vec::new();
    text::emit_signed_lines(&message(), &mut lines).unwrap();
    let right = String::from_utf8(other.sign(&lines).as_bytes().to_vec()).unwrap();
    let digest = right.split(' ').nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(digest));
}

#[test]
fn sizes_are_bounded() {
    let big = |size: usize| Message::empty().with("t", &"x".repeat(size));
    let overhead = 4 + 6 + 1 + 3 + 1 + 1 + 1 + 4 + 46;
    let fits = big(MAX_MESSAGE_BYTES - overhead);
    let wire = encode_datagram(&fits, &ring(), MessageFormat::Netstring).unwrap();
    assert_eq!(wire.len(), MAX_MESSAGE_BYTES);
    assert_eq!(decode_datagram(&wire, &ring()), Ok(fits));
    let over = big(MAX_MESSAGE_BYTES - overhead + 1);
    let format = MessageFormat::Netstring;
    assert_eq!(
        encode_datagram(&over, &ring(), format),
        Err(EncodeError::TooLarge(MAX_MESSAGE_BYTES + 1))
    );
    let wire = encode_compressed(&over, &ring(), format, compress::Algorithm::Zlib).unwrap();
    assert_eq!(decode_datagram(&wire, &ring()), Ok(over));
    let mut long = wire.to_vec();
    long.resize(MAX_MESSAGE_BYTES + 1, 0);
    let too_large = Malformed::TooLarge(MAX_MESSAGE_BYTES + 1);
    assert_eq!(decode_datagram(&long, &ring()), Err(too_large.into()));
    assert_eq!(
        encode_datagram(&Message::empty(), &ring(), format),
        Err(EncodeError::Empty)
    );
    assert_eq!(
        encode_serial(&Message::empty(), &ring()),
        Err(EncodeError::Empty)
    );
}

#[test]
fn garbage_is_silent() {
    for bytes in [
        &b""[..],
        b"x",
        b"###",
        b"hello world",
        b">>>\r\n",
        b"\n###\n",
    ] {
        let error = decode_datagram(bytes, &ring()).unwrap_err();
        assert_eq!(error, DecodeError::NotAMessage, "{bytes:?}");
    }
    for bytes in [&b"###\n"[..], b">>>\n"] {
        let error = decode_datagram(bytes, &ring()).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
    }
}
