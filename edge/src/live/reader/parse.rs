//! The frames of the NATS client protocol that a server sends, parsed where they lie.
//!
//! The protocol is described at <https://docs.nats.io/reference/reference-protocols/nats-protocol>.
//! Pure: bytes in, frames out, nothing copied or allocated.

/// Longest control line. A server's INFO is the only long one: it names the whole cluster.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most words of a control line that count.
const WORDS_MAX: usize = 5;

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// `MSG` or `HMSG`.
    Message(Message<'a>),
    /// `INFO`, with its JSON.
    Info(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`, with what is wrong.
    Error(&'a str),
}

/// A message for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::live) struct Message<'a> {
    /// Where it was published.
    pub(in crate::live) subject: &'a str,
    /// For which of our subscriptions it came.
    pub(super) sid: u64,
    /// The block of its headers as it stands on the wire; empty without any.
    pub(in crate::live) headers: &'a [u8],
    /// Its payload.
    pub(in crate::live) payload: &'a [u8],
}

/// Why what came is not the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("a control line of more than {LINE_BYTES_MAX} bytes")]
    LongLine,
    #[error("an unknown control line")]
    Unknown,
    #[error("a message with a bad head")]
    Head,
    #[error("a message of {0} bytes, which is more than the server takes itself")]
    Large(usize),
    #[error("a message that does not end where it should")]
    End,
}

/// The first frame in `bytes` and how many bytes it takes, or `None` if it is not whole yet.
///
/// # Errors
/// Something else than a frame, or a message of more than `message_bytes_max`: nothing that follows
/// makes sense any more.
pub(super) fn parse(
    bytes: &[u8],
    message_bytes_max: usize,
) -> Result<Option<(Frame<'_>, usize)>, ParseError> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX {
            Ok(None)
        } else {
            Err(ParseError::LongLine)
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let used = end + 1;
    let (verb, rest) = match line.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[][..]),
    };
    let frame = match verb {
        b"HMSG" => return message(bytes, used, rest, true, message_bytes_max),
        b"MSG" => return message(bytes, used, rest, false, message_bytes_max),
        b"PING" => Frame::Ping,
        b"PONG" => Frame::Pong,
        b"+OK" => Frame::Ok,
        b"INFO" => Frame::Info(rest),
        b"-ERR" => {
            let text = std::str::from_utf8(rest).unwrap_or_default();
            Frame::Error(text.trim().trim_matches('\''))
        }
        _ => return Err(ParseError::Unknown),
    };
    Ok(Some((frame, used)))
}

/// `MSG <subject> <sid> [reply-to] <bytes>`, or
/// `HMSG <subject> <sid> [reply-to] <header bytes> <bytes of both>`.
fn message<'a>(
    bytes: &'a [u8],
    start: usize,
    arguments: &'a [u8],
    has_headers: bool,
    message_bytes_max: usize,
) -> Result<Option<(Frame<'a>, usize)>, ParseError> {
    let mut words = [&[][..]; WORDS_MAX];
    let mut count = 0;
    for word in arguments.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !word.is_empty() {
            *words.get_mut(count).ok_or(ParseError::Head)? = word;
            count += 1;
        }
    }
    let sizes = if has_headers { 2 } else { 1 };
    // Subject, sid and perhaps where to reply, which nobody does here.
    if !(count == sizes + 2 || count == sizes + 3) {
        return Err(ParseError::Head);
    }
    let size = |word: &[u8]| number(word).and_then(|size| usize::try_from(size).ok());
    let body_bytes = size(words[count - 1]).ok_or(ParseError::Head)?;
    let header_bytes = match has_headers {
        true => size(words[count - 2]).ok_or(ParseError::Head)?,
        false => 0,
    };
    if header_bytes > body_bytes {
        return Err(ParseError::Head);
    }
    if body_bytes > message_bytes_max {
        return Err(ParseError::Large(body_bytes));
    }
    let sid = number(words[1]).ok_or(ParseError::Head)?;
    let subject = std::str::from_utf8(words[0]).map_err(|_| ParseError::Head)?;
    let (body_end, used) = (start + body_bytes, start + body_bytes + 2);
    let Some(end) = bytes.get(body_end..used) else {
        return Ok(None);
    };
    if end != b"\r\n" {
        return Err(ParseError::End);
    }
    let (headers, payload) = bytes[start..body_end].split_at(header_bytes);
    let message = Message {
        subject,
        sid,
        headers,
        payload,
    };
    Ok(Some((Frame::Message(message), used)))
}

fn number(word: &[u8]) -> Option<u64> {
    // More digits than this could overflow; none that make sense are lost.
    if word.is_empty() || word.len() > 19 {
        return None;
    }
    word.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests;
