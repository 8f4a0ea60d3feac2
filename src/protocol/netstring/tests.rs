use super::*;

fn emitted(message: &Message) -> Result<String, EncodeError> {
    let mut out = Vec::new();
    emit(message, &mut out)?;
    Ok(out.escape_ascii().to_string())
}

fn nested(depth: usize) -> Message {
    (0..depth).fold(Message::new("x"), |inner, _| {
        let mut outer = Message::empty();
        outer.push("s", Value::Struct(inner));
        outer
    })
}

#[test]
fn lengths() {
    assert_eq!(netstring(b"3:abc,rest"), Ok((&b"abc"[..], &b"rest"[..])));
    assert_eq!(netstring(b"0:,"), Ok((&b""[..], &b""[..])));
    assert_eq!(netstring(b"0003:abc,"), Ok((&b"abc"[..], &b""[..])));
    // More input could complete these.
    for cut in [
        "3",
        "3:",
        "3:abc",
        "3:ab",
        "2147483000:(0)ab=c,",
        "18446744073709551616:a,",
    ] {
        assert_eq!(netstring(cut.as_bytes()), Err(Malformed::CutOff), "{cut}");
    }
    assert_eq!(netstring(b"3:abcd"), Err(Malformed::NoComma));
    for bad in [
        "", ":a,", "-1:a,", "+1:a,", " 1:a,", "1 :a,", "1zz:a,", "0x1:a,",
    ] {
        let refused = netstring(bad.as_bytes());
        assert_eq!(refused, Err(Malformed::BadLength(bad.to_owned())), "{bad}");
    }
}

#[test]
fn the_body_ends_where_a_length_would_start() {
    let body = b"###\n10:(0)a=%%%\n%,%%%\n";
    let datagram = [&body[..], b"3:1 x,junk"].concat();
    let (found, after) = split_body(&datagram).unwrap();
    assert_eq!(found, body);
    assert_eq!(trailer_token(after), Some(&b"1 x"[..]));
    assert_eq!(trailer_token(b""), None);
    // Every beginning of it could still be completed.
    for length in 4..body.len() {
        let error = split_body(&body[..length]).unwrap_err();
        assert!(
            matches!(error, Malformed::CutOff | Malformed::NoEndMarker),
            "{length} {error}"
        );
    }
    assert_eq!(split_body(b"##"), Err(Malformed::NoStartMarker));
    assert!(matches!(
        split_body(b"###\n%%x"),
        Err(Malformed::BadLength(_))
    ));
}

/// The lengths are followed without looking into items, so broken items do not matter for the
/// digest.
#[test]
fn items_are_checked_when_read() {
    let read = |item: &str| parse(format!("###\n{}:{item},%%%\n", item.len()).as_bytes());
    let quoted = |item: &str| item.replace('\0', "\\x00");
    for item in ["", "x", "(0", "(0t=x", "0)t=x", "(x)t=x", "((0)t=x"] {
        assert_eq!(read(item), Err(Malformed::NoType(quoted(item))));
    }
    for item in ["(6)t=x", "(7)t=x", "(8)t=x", "(9)t=x"] {
        assert_eq!(read(item), Err(Malformed::UnknownType(quoted(item))));
    }
    assert_eq!(read("(0)t"), Err(Malformed::NoEquals("(0)t".to_owned())));
    assert_eq!(read("(0)=x"), Err(Malformed::BadName(String::new())));
    assert_eq!(
        read("(0)t\0=x"),
        Err(Malformed::BadName("t\\x00".to_owned()))
    );
    assert_eq!(
        read("(0)>>>\n=x"),
        Err(Malformed::BadName(">>>\\n".to_owned()))
    );
    assert_eq!(read("(0)t=x\0y"), Err(Malformed::NulInText("t".to_owned())));
    for list in [
        "(3)l=abc",
        "(3)l=0:,",
        "(3)l=3:ab,",
        "(3)l=3:abc,x",
        "(3)l=1:\0,",
    ] {
        assert_eq!(
            read(list),
            Err(Malformed::BadList("l".to_owned())),
            "{list}"
        );
    }
    assert_eq!(read("(2)s=###\n%%%\n,"), Err(Malformed::TrailingBytes));
    assert_eq!(read("(2)s=x"), Err(Malformed::NoStartMarker));
    assert_eq!(read("(5)s=###\n%%%\n").unwrap().fields().len(), 1);
    assert_eq!(read("(0)a==b=").unwrap().text("a"), Some("=b="));
}

/// Spec: docs/protocol/wire.md, 1: a list joins the list of that name.
#[test]
fn lists_of_one_name_join() {
    let message = parse(b"###\n9:(3)l=1:a,,6:(0)t=x,9:(3)l=1:b,,%%%\n").unwrap();
    let joined = Value::List(vec![b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(message.get("l"), Some(&joined));
    assert_eq!(message.fields().len(), 2);
    assert_eq!(
        parse(b"###\n6:(0)l=x,9:(3)l=1:b,,%%%\n"),
        Err(Malformed::ListNameTaken("l".to_owned()))
    );
}

#[test]
fn depth_is_bounded_both_ways() {
    let deepest = nested(MAX_DEPTH);
    let mut body = Vec::new();
    emit(&deepest, &mut body).unwrap();
    assert_eq!(parse(&body), Ok(deepest));
    assert_eq!(emitted(&nested(MAX_DEPTH + 1)), Err(EncodeError::TooDeep));
    let deeper = [
        format!("###\n{}:(2)s=", body.len() + 5).as_bytes(),
        &body,
        b",%%%\n",
    ]
    .concat();
    assert_eq!(parse(&deeper), Err(Malformed::TooDeep));
}

#[test]
fn fields_are_bounded() {
    use crate::protocol::wire::{MAX_FIELDS, MAX_LIST_FIELDS};
    let body = |count: usize, item: &str| format!("###\n{}%%%\n", item.repeat(count));
    assert!(parse(body(MAX_FIELDS, "5:(0)a=,").as_bytes()).is_ok());
    let many = body(MAX_FIELDS + 1, "5:(0)a=,");
    assert_eq!(parse(many.as_bytes()), Err(Malformed::TooManyFields));
    let lists = body(MAX_LIST_FIELDS + 1, "9:(3)l=1:a,,");
    assert_eq!(parse(lists.as_bytes()), Err(Malformed::TooManyFields));
}

#[test]
fn messages_that_no_receiver_can_read_are_not_written() {
    let one = |name: &str, value: Value| {
        let mut message = Message::empty();
        message.push(name, value);
        emitted(&message)
    };
    let text = |text: &str| Value::text(text);
    assert_eq!(
        one("a", text("x\ny")),
        Ok(r"###\n8:(0)a=x\ny,%%%\n".to_owned())
    );
    assert_eq!(one("", text("x")), Err(EncodeError::BadName(String::new())));
    assert_eq!(
        one("a=b", text("x")),
        Err(EncodeError::BadName("a=b".to_owned()))
    );
    assert_eq!(
        one("a", text("x\0")),
        Err(EncodeError::NulInText("a".to_owned()))
    );
    let list = |element: usize| Value::List(vec![vec![b'x'; element]]);
    assert_eq!(
        one("a", list(0)),
        Err(EncodeError::EmptyListElement("a".to_owned()))
    );
    assert!(one("a", list(1017)).is_ok());
    assert_eq!(
        one("a", list(1018)),
        Err(EncodeError::ListTooLong("a".to_owned(), 1024))
    );
}
