//! What RFC 6455 allows, in whatever pieces it comes, and what it does not.

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use proptest::prelude::*;

use super::{Broken, Incoming, Outgoing, reader::Reader, writer::Writer};

const MAX: usize = 1_000;

/// A frame of a client: masked, as all of them must be.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 77, 177, 250];
    let mut bytes = vec![first];
    match payload.len() {
        small @ 0..126 => bytes.push(0x80 | u8::try_from(small).expect("small")),
        large => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(large).expect("not that large").to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// All messages of some bytes that come in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Incoming>, Broken> {
    let mut reader = Reader::new(Bytes::new(), MAX);
    let mut all = Vec::new();
    for some in bytes.chunks(piece.max(1)) {
        reader.room().extend_from_slice(some);
        while let Some(incoming) = reader.next()? {
            all.push(incoming);
        }
    }
    Ok(all)
}

fn text(text: &str) -> Incoming {
    Incoming::Text(Utf8Bytes::from(text))
}

#[test]
fn whole_and_fragmented_messages_with_pings_between() {
    let mut bytes = frame(0x81, "Grüße".as_bytes());
    // The character in the middle is cut in two.
    bytes.extend(frame(0x01, b"a\xc3"));
    bytes.extend(frame(0x89, b"there?"));
    bytes.extend(frame(0x00, b"\xa4"));
    bytes.extend(frame(0x80, b"z"));
    bytes.extend(frame(0x82, &[0xff; 300]));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x88, &[3, 232]));
    let expected = vec![
        text("Grüße"),
        Incoming::Ping(Bytes::from_static(b"there?")),
        text("aäz"),
        Incoming::Binary,
        Incoming::Pong,
        Incoming::Close,
    ];
    for piece in 1..bytes.len() {
        assert_eq!(read(&bytes, piece).expect("all is allowed"), expected);
    }
}

#[test]
fn what_the_standard_forbids_is_refused() {
    let unmasked = vec![0x81, 1, b'x'];
    let mut nested = frame(0x01, b"a");
    nested.extend(frame(0x81, b"b"));
    for (what, bytes) in [
        ("unmasked", unmasked),
        ("nested", nested),
        ("reserved bit", frame(0xc1, b"x")),
        ("reserved opcode", frame(0x83, b"x")),
        ("reserved control", frame(0x8b, b"x")),
        ("continuation of nothing", frame(0x80, b"x")),
        ("control in parts", frame(0x09, b"x")),
        ("large control", frame(0x89, &[0; 126])),
        ("not UTF-8", frame(0x81, &[0xff])),
    ] {
        assert!(matches!(read(&bytes, 1), Err(Broken::Protocol(_))), "{what}");
    }
}

#[test]
fn a_message_is_bounded_whatever_is_announced() {
    let announced = [
        0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
    ];
    assert!(matches!(read(&announced, 14), Err(Broken::TooLarge(MAX))));
    let mut parts = frame(0x01, &[b'x'; MAX - 1]);
    parts.extend(frame(0x00, b"y"));
    assert!(read(&parts, 64).is_ok());
    parts.extend(frame(0x80, b"z"));
    assert!(matches!(read(&parts, 64), Err(Broken::TooLarge(MAX))));
}

#[test]
fn a_buffer_grows_with_what_came_and_goes_with_it() {
    let mut reader = Reader::new(Bytes::new(), 2 << 20);
    // A megabyte is announced, and nothing of it comes.
    reader
        .room()
        .extend_from_slice(&[0x81, 0xff, 0, 0, 0, 0, 0, 16, 0, 0, 1, 2, 3, 4]);
    assert!(reader.next().expect("allowed").is_none());
    assert!(reader.room().capacity() < 16 << 10);
    let mut reader = Reader::new(Bytes::new(), MAX);
    reader.room().extend_from_slice(&frame(0x81, b"x"));
    assert!(reader.next().expect("allowed").is_some());
    assert_eq!(reader.held(), 0);
}

/// Writes everything, `most` bytes at a time.
fn written(outgoing: Vec<Outgoing>, most: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    for one in outgoing {
        writer.push(one);
    }
    let mut all = Vec::new();
    while !writer.is_empty() {
        let taken = writer.write(|slices| {
            let before = all.len();
            all.extend(slices.iter().flat_map(|slice| slice.iter()).take(most));
            Ok::<_, ()>(all.len() - before)
        });
        assert_eq!(taken, Ok(()));
    }
    all
}

#[test]
fn frames_are_written_whole_in_whatever_pieces() {
    let long = "x".repeat(70_000);
    let frames = || {
        let mut frames = vec![Outgoing::Ping, Outgoing::Text("a".into())];
        frames.extend((0..200).map(|_| Outgoing::Text("bc".into())));
        frames.push(Outgoing::Text(long.as_str().into()));
        frames.push(Outgoing::Pong(Bytes::from_static(b"p")));
        frames.push(Outgoing::Close(3_008, "slow"));
        frames
    };
    let mut expected = vec![0x89, 0, 0x81, 1, b'a'];
    expected.extend([0x81, 2, b'b', b'c'].repeat(200));
    expected.extend([0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    expected.extend(long.as_bytes());
    expected.extend([0x8a, 1, b'p', 0x88, 6, 0x0b, 0xc0]);
    expected.extend(b"slow");
    for most in [1, 2, 3, 64, 1_000, 1 << 20] {
        assert!(written(frames(), most) == expected, "{most} at a time");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes: Vec<u8>, piece in 1..64_usize) {
        let _ = read(&bytes, piece);
    }

    #[test]
    fn texts_come_out_as_they_were_sent(texts: Vec<String>, piece in 1..64_usize) {
        let texts: Vec<_> = texts.into_iter().filter(|text| text.len() <= MAX).collect();
        let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
        let expected: Vec<_> = texts.iter().map(|one| text(one)).collect();
        prop_assert_eq!(read(&bytes, piece).expect("all is allowed"), expected);
    }
}
