use super::super::wire::MAX_DEPTH;
use super::*;

fn emitted(message: &Message) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    emit(message, &mut out)?;
    Ok(out)
}

fn struct_field(name: &str, nested: Message) -> Message {
    let mut message = Message::empty();
    message.push(name, Value::Struct(nested));
    message
}

fn nested(depth: usize) -> Message {
    (0..depth).fold(Message::new("x"), |inner, _| struct_field("s", inner))
}

/// Spec: docs/protocol/wire.md, 3.3.
#[test]
fn nested_newlines() {
    let text = b">>>\n(2)s=>>>\x14a=b\x14(2)q=>>>\x15z=1\x15<<<\x15\x14<<<\x14\n<<<\n";
    let mut inner = Message::empty().with("a", "b");
    inner.push("q", Value::Struct(Message::empty().with("z", "1")));
    let message = struct_field("s", inner);
    assert_eq!(parse(text), Ok(message.clone()));
    assert_eq!(emitted(&message).unwrap(), text);
}

#[test]
fn sixteen_levels_have_a_byte_each() {
    let deepest = nested(MAX_DEPTH);
    let text = emitted(&deepest).unwrap();
    for end in NEWLINE_IN_STRUCT {
        assert!(text.contains(&end), "{end}");
    }
    assert_eq!(parse(&text), Ok(deepest));
    assert_eq!(emitted(&nested(MAX_DEPTH + 1)), Err(EncodeError::TooDeep));
    // In the innermost message: a struct in it has no substitution byte left.
    let innermost = &b"t=x\x12"[..];
    let at = text
        .windows(innermost.len())
        .position(|w| w == innermost)
        .unwrap();
    let deeper = [&text[..at], b"(2)s=>>>\x01t=x\x01<<<\x01\x12", &text[at..]].concat();
    assert_eq!(parse(&deeper), Err(Malformed::TooDeep));
}

#[test]
fn newlines_in_strings() {
    let message = Message::empty().with("a", "one\ntwo");
    let text = b">>>\na=one\x13two\n<<<\n";
    assert_eq!(emitted(&message).unwrap(), text);
    assert_eq!(parse(text), Ok(message));
}

#[test]
fn lines_are_checked() {
    let read = |line: &str| parse(format!(">>>\n{line}\n<<<\n").as_bytes());
    assert_eq!(read("abc"), Err(Malformed::NoEquals("abc".to_owned())));
    for line in ["(0)a=b", "(5)a=b", "(6)a=b", "(7)a=b", "(8)a=b", "(9)a=b"] {
        assert_eq!(read(line), Err(Malformed::UnknownType(line.to_owned())));
    }
    assert_eq!(read("=b"), Err(Malformed::BadName(String::new())));
    assert_eq!(read(">>>"), Err(Malformed::NoEquals(">>>".to_owned())));
    assert_eq!(read("<<<a=b"), Err(Malformed::BadName("<<<a".to_owned())));
    assert_eq!(read("a=b\0"), Err(Malformed::NulInText("a".to_owned())));
    for value in ["A", "AAE", "A*E=", "AAECAw==\r", "Zh=="] {
        assert_eq!(
            read(&format!("(1)u={value}")),
            Err(Malformed::BadBase64("u".to_owned()))
        );
        assert_eq!(
            read(&format!("(4)u={value}")),
            Err(Malformed::BadBase64("u".to_owned()))
        );
    }
    assert_eq!(read("(3)l=3:ab,"), Err(Malformed::BadList("l".to_owned())));
    assert_eq!(read("(2)s=>>>\x14a=b\x14"), Err(Malformed::NoEndMarker));
    assert_eq!(read("(2)s=>>>\x14<<<\x14x"), Err(Malformed::TrailingBytes));
    assert_eq!(read("(2)s=a"), Err(Malformed::NoStartMarker));
    // A parenthesis alone does not begin a type.
    assert_eq!(read("(a)b=c").unwrap().text("(a)b"), Some("c"));
    assert_eq!(parse(b">>>\n<<<\n"), Ok(Message::empty()));
}

#[test]
fn ends_are_strict() {
    for text in [
        ">>>\nt=x\n<<<",
        ">>>\nt=x\n",
        ">>>\nt=x\n<<< \n",
        ">>>\n",
        ">>>\nt=x\n<<<\r\n",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
    for text in ["", ">>>", ">>>\r\nt=x\r\n<<<\r\n", " >>>\nt=x\n<<<\n"] {
        assert_eq!(
            parse(text.as_bytes()),
            Err(Malformed::NoStartMarker),
            "{text:?}"
        );
    }
}

#[test]
fn text_that_would_be_read_differently_is_not_written() {
    let refused = |message: Message| match emitted(&message) {
        Err(EncodeError::NotInClassic(name)) => name,
        other => panic!("{other:?}"),
    };
    let text = |name: &str, value: &str| Message::empty().with(name, value);
    assert_eq!(refused(text("a", "x\x13")), "a");
    assert_eq!(refused(text("(1)a", "x")), "(1)a");
    assert_eq!(refused(text("<<<", "x")), "<<<");
    assert_eq!(refused(struct_field("s", text("a", "x\x14"))), "a");
    assert_eq!(refused(struct_field("s", text("a\x14", "x"))), "a\\x14");
    // The byte of another depth is harmless.
    assert!(emitted(&struct_field("s", text("a", "x\x15"))).is_ok());
    let mut list = Message::empty();
    list.push("l", Value::List(vec![b"x\ny".to_vec()]));
    assert_eq!(refused(list), "l");
    let mut uncompressed = Message::empty();
    uncompressed.push("u", Value::Uncompressed(Message::new("x")));
    assert_eq!(refused(uncompressed), "u");
}

/// Spec: docs/protocol/wire.md, 4.4.
#[test]
fn signed_lines_leave_auth_out() {
    let mut message = Message::new("status")
        .with("auth", "1 x")
        .with("src", "alpha");
    message.push("u", Value::Binary(vec![0, 1, 2, 3]));
    let mut lines = Vec::new();
    emit_signed_lines(&message.with("auth", "2 y"), &mut lines).unwrap();
    assert_eq!(lines, b"t=status\nsrc=alpha\n(1)u=AAECAw==\n");
}
