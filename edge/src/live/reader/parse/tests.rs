//! The parser against a model that writes frames, however the bytes are cut; and against garbage.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 10;

/// A frame with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Message {
        subject: String,
        sid: u64,
        headers: Vec<u8>,
        payload: Vec<u8>,
    },
    Info(Vec<u8>),
    Ping,
    Pong,
    Ok,
    Error(String),
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Message(message) => Self::Message {
                subject: message.subject.to_owned(),
                sid: message.sid,
                headers: message.headers.to_vec(),
                payload: message.payload.to_vec(),
            },
            Frame::Info(json) => Self::Info(json.to_vec()),
            Frame::Ping => Self::Ping,
            Frame::Pong => Self::Pong,
            Frame::Ok => Self::Ok,
            Frame::Error(text) => Self::Error(text.to_owned()),
        }
    }
}

impl Owned {
    /// As a server writes it.
    fn write(&self, reply: bool, out: &mut Vec<u8>) {
        let reply = if reply { " _INBOX.x" } else { "" };
        match self {
            Self::Message {
                subject,
                sid,
                headers,
                payload,
            } => {
                let (head, body) = (headers.len(), headers.len() + payload.len());
                let line = if head == 0 {
                    format!("MSG {subject} {sid}{reply} {body}\r\n")
                } else {
                    format!("HMSG {subject} {sid}{reply} {head} {body}\r\n")
                };
                out.extend([line.as_bytes(), headers, payload, b"\r\n"].concat());
            }
            Self::Info(json) => out.extend([b"INFO ", json.as_slice(), b" \r\n"].concat()),
            Self::Ping => out.extend(b"PING\r\n"),
            Self::Pong => out.extend(b"PONG\r\n"),
            Self::Ok => out.extend(b"+OK\r\n"),
            Self::Error(text) => out.extend(format!("-ERR '{text}'\r\n").into_bytes()),
        }
    }
}

fn any_frame() -> impl Strategy<Value = Owned> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        6 => ("[a-z0-9.]{1,40}", 0..10_u64.pow(18), bytes(), bytes()).prop_map(|(subject, sid, headers, payload)| {
            Owned::Message { subject, sid, headers, payload }
        }),
        1 => "\\{[a-z\":]{0,100}\\}".prop_map(|json| Owned::Info(json.into_bytes())),
        1 => Just(Owned::Ping),
        1 => Just(Owned::Pong),
        1 => Just(Owned::Ok),
        1 => "[A-Z][a-z ]{0,20}[a-z]".prop_map(Owned::Error),
    ]
}

proptest! {
    #[test]
    fn the_same_frames_come_out_wherever_the_bytes_are_cut(
        frames in prop::collection::vec((any_frame(), any::<bool>()), 0..20),
        cuts in prop::collection::vec(1..60_usize, 1..20),
    ) {
        let mut bytes = vec![];
        for (frame, reply) in &frames {
            frame.write(*reply, &mut bytes);
        }
        let (mut given, mut at, mut found) = (0, 0, vec![]);
        let mut cuts = cuts.into_iter().cycle();
        while given < bytes.len() {
            given = bytes.len().min(given + cuts.next().expect("endless"));
            while let Some((frame, used)) = parse(&bytes[at..given], MAX).expect("well formed") {
                at += used;
                found.push(Owned::from(frame));
            }
        }
        prop_assert_eq!(at, bytes.len());
        let trimmed = |frame: Owned| match frame {
            Owned::Info(json) => Owned::Info(json.trim_ascii().to_vec()),
            frame => frame,
        };
        let found: Vec<_> = found.into_iter().map(trimmed).collect();
        prop_assert_eq!(found, frames.into_iter().map(|(frame, _)| frame).collect::<Vec<_>>());
    }

    #[test]
    fn garbage_never_panics_and_uses_only_what_is_there(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Some((_, used))) = parse(&bytes, MAX) {
            prop_assert!((1..=bytes.len()).contains(&used));
        }
    }

    #[test]
    fn a_frame_with_a_wrong_byte_never_panics(frame in any_frame(), at: prop::sample::Index, byte: u8) {
        let mut bytes = vec![];
        frame.write(false, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse(&bytes, MAX);
    }
}

#[test]
fn what_would_take_too_much_is_refused_before_it_comes() {
    assert_eq!(parse(b"MSG a 1 1024\r\n", MAX), Ok(None));
    assert_eq!(parse(b"MSG a 1 1025\r\n", MAX), Err(ParseError::Large(1025)));
    let huge = b"HMSG a 1 10 18446744073709551615\r\n";
    assert_eq!(parse(huge, MAX), Err(ParseError::Head));
    let mut line = b"INFO ".to_vec();
    line.resize(LINE_BYTES_MAX - 1, b'x');
    assert_eq!(parse(&line, MAX), Ok(None));
    line.push(b'x');
    assert_eq!(parse(&line, MAX), Err(ParseError::LongLine));
}

#[test]
fn what_is_no_frame_is_an_error() {
    for (bytes, error) in [
        (&b"HELLO\r\n"[..], ParseError::Unknown),
        (b"\r\n", ParseError::Unknown),
        (b"MSG a 1\r\n", ParseError::Head),
        (b"MSG a 1 b c 2\r\n", ParseError::Head),
        (b"MSG a x 2\r\n", ParseError::Head),
        (b"MSG a 1 -2\r\n", ParseError::Head),
        (b"HMSG a 1 3 2\r\nabc\r\n", ParseError::Head),
        (b"MSG \xff 1 2\r\n", ParseError::Head),
        (b"MSG a 1 2\r\nabcd", ParseError::End),
    ] {
        assert_eq!(parse(bytes, MAX), Err(error), "{}", bytes.escape_ascii());
    }
}
