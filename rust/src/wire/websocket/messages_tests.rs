//! Messages in all the ways that a client may send them.

use super::*;

const MASK: [u8; 4] = [0x12, 0xf3, 0x45, 0x86];

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    frames::unmask(&mut out[start..], MASK, 0);
    out
}

fn reader() -> Reader {
    Reader::new(1000, 3000, None)
}

/// All that comes of `bytes`, fed in pieces of `size`; the violation as its text.
fn read(bytes: &[u8], size: usize) -> (Vec<Incoming>, Option<&'static str>) {
    let (mut reader, mut seen) = (reader(), Vec::new());
    for mut piece in bytes.chunks(size) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(incoming)) => seen.push(incoming),
                Ok(None) => break,
                Err(violation) => return (seen, Some(violation.text)),
            }
        }
        assert!(piece.is_empty(), "all of it is taken");
    }
    (seen, None)
}

fn text(text: &str) -> Incoming {
    Incoming::Text(text.to_owned())
}

#[test]
fn messages_come_whole_however_they_are_cut() {
    let bytes = [
        frame(0x81, "grüß".as_bytes()),
        frame(0x82, &[0, 1, 255]),
        frame(0x01, "日".as_bytes()),
        frame(0x89, b"ping"),
        frame(0x00, &"本".as_bytes()[..2]),
        frame(0x8a, b""),
        frame(0x80, &"本".as_bytes()[2..]),
        frame(0x81, b""),
        frame(0x82, &[7; 300]),
        frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let expected = vec![
        text("grüß"),
        Incoming::Binary(Bytes::from_static(&[0, 1, 255])),
        Incoming::Ping(b"ping".to_vec()),
        Incoming::Pong,
        text("日本"),
        text(""),
        Incoming::Binary(vec![7; 300].into()),
        Incoming::Close(Close { code: Some(1000), reason: "bye".into() }),
    ];
    for size in [1, 2, 3, 5, 7, 11, 64, 1000] {
        assert_eq!(read(&bytes, size), (expected.clone(), None), "pieces of {size}");
    }
}

#[test]
fn fragments_keep_their_order() {
    let violation = |frames: &[Vec<u8>]| read(&frames.concat(), 1000).1;
    assert_eq!(violation(&[frame(0x80, b"x")]), Some("Unexpected continuation frame"));
    let inside = [frame(0x01, b"x"), frame(0x81, b"y")];
    assert_eq!(violation(&inside), Some("Expected a continuation frame"));
    let after = [frame(0x01, b"x"), frame(0x80, b"y"), frame(0x80, b"z")];
    assert_eq!(violation(&after), Some("Unexpected continuation frame"));
}

#[test]
fn text_is_checked_as_it_streams() {
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90", b"ok\xf8", b"\xe2\x28"] {
        let frames = [frame(0x01, b"good"), frame(0x00, bad)].concat();
        assert_eq!(read(&frames, 1).1, Some("Invalid UTF-8"), "before the end: {bad:?}");
    }
    assert_eq!(read(&frame(0x81, b"\xe2\x82"), 1).1, Some("Invalid UTF-8"));
    assert_eq!(read(&frame(0x01, b"\xe2\x82"), 1).1, None);
    assert_eq!(read(&frame(0x82, b"\xff"), 1).1, None, "bytes are bytes");
}

#[test]
fn limits_are_on_the_payload() {
    assert_eq!(read(&frame(0x82, &[0; 1000]), 99).1, None);
    assert_eq!(read(&frame(0x82, &[0; 1001]), 99).1, Some("Message too big"));
    let fragments = |last: usize| {
        [
            frame(0x02, &[0; 1000]),
            frame(0x00, &[0; 1000]),
            frame(0x00, &[0; 999]),
            frame(0x80, &vec![0; last]),
        ]
        .concat()
    };
    assert_eq!(read(&fragments(1), 512).1, None);
    assert_eq!(read(&fragments(2), 512).1, Some("Message too big"));
}

#[test]
fn any_number_of_fragments() {
    let mut bytes = frame(0x01, b"a");
    for _ in 0..2000 {
        bytes.extend(frame(0x00, b"b"));
    }
    bytes.extend(frame(0x80, b"c"));
    let (seen, violation) = read(&bytes, 4096);
    assert_eq!((seen.len(), violation), (1, None));
}

#[test]
fn random_bytes_do_no_harm() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..20_000 {
        let mut bytes = vec![0; 1 + round % 60];
        for byte in &mut bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        let agreed = Agreement::parse(b"permessage-deflate", 12);
        let mut reader = Reader::new(1000, 3000, agreed.filter(|_| round % 2 == 0));
        let mut input = &bytes[..];
        while let Ok(Some(_)) = reader.next(&mut input) {}
    }
}
