use super::*;

const NINE: &[u8] = b"123456789";

fn ring(method: Method, key: &str) -> KeyRing {
    KeyRing::new(1, vec![(1, method, key.as_bytes().to_vec())]).unwrap()
}

fn signed(method: Method, key: &str, data: &[u8]) -> String {
    String::from_utf8(ring(method, key).sign(data).as_bytes().to_vec()).unwrap()
}

/// Spec: docs/protocol/wire.md, 4.1 and 4.4.
#[test]
fn check_values() {
    let text = b"t=status\nsrc=alpha\n(1)u=AAECAw==\n";
    let body = b"###\n11:(0)t=status,12:(0)src=alpha,9:(1)u=\0\x01\x02\x03,%%%\n";
    for (method, key, data, digest) in [
        (Method::Crc, "", NINE, "765e7680"),
        (Method::Crc, "", b"", "ffffffff"),
        (Method::Crc, "", text, "a317e29e"),
        (Method::Crc, "", body, "21d862aa"),
        (
            Method::Md5,
            "labkey",
            text,
            "c00ab3e5248f66155cc12524165d15b3",
        ),
        (
            Method::Md5,
            "labkey",
            body,
            "008028c1d5d2f674af2e56552443c502",
        ),
        (
            Method::Sha1,
            "labkey",
            text,
            "d2a445cfe6eed6e2bda33d9c013afd57fa26edf3",
        ),
        (
            Method::Sha1,
            "labkey",
            body,
            "2e45a9976eb23eeae0866a1355a073cfd0381d73",
        ),
    ] {
        let token = format!("1 {digest}");
        assert_eq!(signed(method, key, data), token);
        assert_eq!(ring(method, key).verify(token.as_bytes(), data), Ok(1));
    }
}

#[test]
fn crc_is_printed_without_padding() {
    for (number, text) in [(0, "0"), (0xf, "f"), (0x10, "10"), (0x0abc_def0, "abcdef0")] {
        let mut token = Token::default();
        write!(token, "{number:x}").unwrap();
        assert_eq!(token.as_bytes(), text.as_bytes());
    }
}

#[test]
fn longest_own_token_fits() {
    let ring = KeyRing::new(15, vec![(15, Method::Sha1, b"k".to_vec())]).unwrap();
    assert_eq!(ring.sign(NINE).as_bytes().len(), OWN_TOKEN_BYTES);
    assert_eq!(ring.verify(ring.sign(NINE).as_bytes(), NINE), Ok(15));
}

#[test]
fn the_entry_named_by_the_message_verifies() {
    let keys = vec![
        (1, Method::Sha1, b"labkey".to_vec()),
        (2, Method::Md5, b"otherkey".to_vec()),
        (3, Method::Crc, Vec::new()),
    ];
    let receiver = KeyRing::new(1, keys.clone()).unwrap();
    for sign_with in [1, 2, 3] {
        let sender = KeyRing::new(sign_with, keys.clone()).unwrap();
        let token = sender.sign(NINE);
        assert_eq!(receiver.verify(token.as_bytes(), NINE), Ok(sign_with));
        let same = receiver.signing_with(sign_with).unwrap();
        assert_eq!(same.sign(NINE).as_bytes(), token.as_bytes());
        assert_eq!(same.sign_index(), sign_with);
    }
    for missing in [0, 4, 15, 16, 255] {
        assert!(receiver.signing_with(missing).is_none(), "{missing}");
    }
    // The combination that legacy accepts: method of entry 2, key of entry 1.
    let mixed = KeyRing::new(2, vec![(2, Method::Md5, b"labkey".to_vec())]).unwrap();
    assert_eq!(
        receiver.verify(mixed.sign(NINE).as_bytes(), NINE),
        Err(TokenError::WrongDigest {
            index: 2,
            method: Method::Md5
        })
    );
}

#[test]
fn odd_tokens_are_refused() {
    let ring = ring(Method::Sha1, "labkey");
    let good = signed(Method::Sha1, "labkey", NINE);
    let digest = good.strip_prefix("1 ").unwrap();
    let wrong = TokenError::WrongDigest {
        index: 1,
        method: Method::Sha1,
    };
    for (token, error) in [
        (String::new(), TokenError::Malformed),
        (digest.to_owned(), TokenError::Malformed),
        (format!(" {digest}"), TokenError::Malformed),
        (format!("-1 {digest}"), TokenError::Malformed),
        (format!("+1 {digest}"), TokenError::Malformed),
        (format!("1x {digest}"), TokenError::Malformed),
        (format!("99999999999 {digest}"), TokenError::Malformed),
        (format!("9 {digest}"), TokenError::UnknownIndex(9)),
        (format!("16 {digest}"), TokenError::UnknownIndex(16)),
        (format!("257 {digest}"), TokenError::UnknownIndex(257)),
        ("1 ".to_owned(), wrong.clone()),
        (format!("1  {digest}"), wrong.clone()),
        (format!("1 {digest}0"), wrong.clone()),
        (format!("1 {digest}00"), wrong.clone()),
        (format!("1 {}", digest.to_uppercase()), wrong.clone()),
        (format!("1 {}", &digest[2..]), wrong.clone()),
        (format!("1 {}", "g".repeat(40)), wrong),
        (format!("1 {}", "0".repeat(127)), TokenError::TooLong(129)),
    ] {
        assert_eq!(ring.verify(token.as_bytes(), NINE), Err(error), "{token:?}");
    }
    assert_eq!(ring.verify(good.as_bytes(), NINE), Ok(1));
}

#[test]
fn a_ring_is_checked_when_built() {
    let build = |sign_with, keys| KeyRing::new(sign_with, keys).map(|ring| ring.sign_method());
    let key = || b"k".to_vec();
    assert_eq!(build(1, vec![]), Err(AuthError::SigningKeyNotFound(1)));
    assert_eq!(
        build(16, vec![(1, Method::Crc, vec![])]),
        Err(AuthError::SigningKeyNotFound(16))
    );
    assert_eq!(
        build(1, vec![(16, Method::Crc, vec![])]),
        Err(AuthError::IndexTooHigh(16))
    );
    assert_eq!(
        build(1, vec![(1, Method::Crc, key())]),
        Err(AuthError::KeyUnwanted(Method::Crc))
    );
    assert_eq!(
        build(1, vec![(1, Method::Md5, vec![])]),
        Err(AuthError::KeyMissing(Method::Md5))
    );
    // The later of two entries counts.
    let twice = vec![(0, Method::Sha1, key()), (0, Method::Md5, key())];
    assert_eq!(build(0, twice), Ok(Method::Md5));
}

#[test]
fn nothing_prints_a_key() {
    let ring = ring(Method::Sha1, "labkey");
    let shown = format!("{ring:?} {:?}", ring.signer);
    assert!(!shown.contains("labkey"), "{shown}");
    assert!(shown.contains("***"), "{shown}");
}

#[test]
fn method_names() {
    for method in [Method::Crc, Method::Md5, Method::Sha1] {
        assert_eq!(method.name().parse(), Ok(method));
    }
    assert_eq!(
        "SHA1".parse::<Method>(),
        Err(AuthError::UnknownMethod("SHA1".to_owned()))
    );
}
