//! Limits and abuse: every refusal is a clear error, nothing panics, and nobody else notices.

use anyhow::ensure;
use futures::SinkExt;
use natterjack_nats::limits::{FRAME_BYTES_MAX, TEXT_CHARS_MAX};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Message as Ws, protocol::frame::coding::OpCode};

use crate::support::{
    raw::Raw,
    stage::{self, Play, Stage},
    until,
    user::{User, new_id},
    within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_bounded_in_characters_and_hold_no_nul() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (User::sign_up(house, "alice").await?, User::sign_up(house, "bob").await?);
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        let path = format!("/v1/conversations/{dm}/messages");
        let said = a.say(dm, &"x".repeat(TEXT_CHARS_MAX)).await?;
        let bad = [
            ("x".repeat(TEXT_CHARS_MAX + 1), 413, "text_too_long"),
            ("😀".repeat(TEXT_CHARS_MAX + 1), 413, "text_too_long"),
            ("a\0b".to_owned(), 400, "bad_request"),
            (String::new(), 400, "bad_request"),
        ];
        for (text, status, code) in &bad {
            let send = json!({"type": "send", "conversation": dm, "text": text});
            let edit = json!({"type": "edit", "conversation": dm, "target": said, "text": text});
            for frame in [send, edit] {
                ensure!(a.post(frame).await?.unwrap_err().code.as_str() == *code);
            }
            alice.post(&path, json!({"id": new_id(), "text": text})).await?.refused(*status, code)?;
            let message = format!("{path}/{said}");
            alice.patch(&message, json!({"id": new_id(), "text": text})).await?.refused(*status, code)?;
        }
        for reply_to in [json!(0), json!(-1), json!("1"), json!(1.5), json!(u64::MAX)] {
            let frame = json!({"type": "send", "conversation": dm, "text": "x", "reply_to": reply_to, "id": new_id()});
            a.send(&frame).await?;
            ensure!(a.complaint().await?.code.as_str() == "bad_request", "{reply_to}");
        }
        ensure!(bob.history(dm).await?.len() == 1);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_or_body_beyond_the_cap_is_refused() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut witness = alice.online(0).await?;
        let mut a = alice.online(0).await?;
        let _ = within("an end", a.stream.send(Ws::text("x".repeat(FRAME_BYTES_MAX + 1)))).await?;
        ensure!(matches!(a.closed().await?, Some(3501) | None));
        // In pieces it is no smaller.
        let mut a = alice.online(0).await?;
        let piece = vec![b'x'; FRAME_BYTES_MAX / 2 + 1];
        for index in 0..6 {
            let code = if index == 0 {
                OpCode::Data(data::TEXT)
            } else {
                OpCode::Data(data::CONTINUE)
            };
            let frame =
                tokio_tungstenite::tungstenite::protocol::frame::Frame::message(piece.clone(), code, false);
            let sent = within("an end", a.stream.send(Ws::Frame(frame))).await?;
            // It may be closed before the last one.
            if sent.is_err() {
                break;
            }
        }
        ensure!(matches!(a.closed().await?, Some(3501) | None));
        let body = json!({"id": new_id(), "text": "x".repeat(FRAME_BYTES_MAX)});
        let path = format!("/v1/conversations/{dm}/messages");
        alice.post(&path, body).await?.refused(413, "too_large")?;
        let names: Vec<_> = (0..20_000).map(|_| alice.id.to_string()).collect();
        alice
            .post("/v1/groups", json!({"title": "x", "members": names}))
            .await?
            .refused(413, "too_large")?;
        witness.say(dm, "unharmed").await?;
        Ok(())
    })
    .await
}

mod data {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
    pub const TEXT: Data = Data::Text;
    pub const CONTINUE: Data = Data::Continue;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_answered_and_in_the_end_closed() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let dm = alice.dm(&bob);
        let mut a = alice.online(0).await?;
        // An unknown type is an error and no more; unknown fields are ignored.
        a.send(&json!({"type": "teleport", "id": "1", "to": "mars"}))
            .await?;
        ensure!(a.complaint().await?.code.as_str() == "unknown_type");
        let frame =
            json!({"type": "send", "conversation": dm, "text": "x", "mood": "fine", "nested": {"a": [1]}});
        a.post(frame).await??;
        let bad = [
            "",
            "null",
            "[]",
            "{",
            "\"hello\"",
            "{}",
            "{\"type\":null}",
            "{\"type\":\"send\"}",
            "{\"type\":\"ping\",",
            "{\"type\":\"send\",\"id\":\"x\",\"conversation\":\"dm.a.b\",\"text\":\"x\"}",
        ];
        for text in bad.iter().take(5) {
            a.text((*text).into()).await?;
            ensure!(a.complaint().await?.code.as_str() == "bad_request", "{text}");
        }
        // What is said in between counts.
        a.say(dm, "sorry").await?;
        for text in bad {
            a.text(text.into()).await?;
        }
        for _ in 0..20 {
            let _ = a.text("garbage".into()).await;
        }
        ensure!(matches!(a.closed().await?, Some(3501) | None));
        // Deep nesting is no reason to fall over.
        let mut a = alice.online(0).await?;
        a.text(format!("{{\"type\":\"send\",\"x\":{}", "[".repeat(200_000)))
            .await?;
        ensure!(a.complaint().await?.code.as_str() == "bad_request");
        a.say(dm, "fine").await?;
        // Binary frames are not spoken here, nor is broken UTF-8.
        let mut a = alice.online(0).await?;
        a.stream.send(Ws::binary(vec![1, 2, 3])).await?;
        ensure!(a.closed().await? == Some(3501));
        let mut a = alice.online(1).await?;
        let frame = tokio_tungstenite::tungstenite::protocol::frame::Frame::message(
            vec![b'{', 0xff, 0xfe, b'}'],
            OpCode::Data(data::TEXT),
            true,
        );
        a.stream.send(Ws::Frame(frame)).await?;
        ensure!(matches!(a.closed().await?, Some(3501 | 1007) | None));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_say_hello_is_closed() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| args.socket.hello_timeout_ms = 300)
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let mut silent = Raw::open(&house.url(0)).await?;
            ensure!(silent.closed().await? == Some(3501));
            let mut rude = Raw::open(&house.url(0)).await?;
            rude.send(&json!({"type": "ping", "id": "1"})).await?;
            ensure!(rude.complaint().await?.code.as_str() == "bad_request");
            ensure!(rude.closed().await? == Some(3501));
            let mut twice = alice.online(0).await?;
            twice
                .send(&json!({"type": "hello", "token": alice.token}))
                .await?;
            ensure!(twice.complaint().await?.code.as_str() == "bad_request");
            // Half a request, half a handshake and half a frame cost nobody anything.
            let address = house.url(0).replace("http://", "");
            let mut halves = Vec::new();
            for text in [
                "GET /v1/ws HT",
                "GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\n",
                "\0\0\0",
                "\r\n\r\n",
            ] {
                let mut socket = TcpStream::connect(&address).await?;
                socket.write_all(text.as_bytes()).await?;
                halves.push(socket);
            }
            let mut half = alice.online(0).await?;
            if let tokio_tungstenite::MaybeTlsStream::Plain(tcp) = half.stream.get_mut() {
                // A frame's head that promises more than ever comes.
                tcp.write_all(&[0x81, 0xfe, 0xff]).await?;
            }
            half.vanish();
            let upgrade = "GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n";
            let mut socket = TcpStream::connect(&address).await?;
            socket.write_all(upgrade.as_bytes()).await?;
            let mut answer = [0; 12];
            within("an answer", socket.read_exact(&mut answer)).await??;
            ensure!(
                answer.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            alice.online(0).await?.say(alice.dm(&alice), "unharmed").await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_so_many_sockets_and_no_more() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| args.socket.user_connections_max = 3)
        .run(async |Play { house, .. }| {
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(alice.online(0).await?);
            }
            let mut refused = Raw::open(&house.url(0)).await?;
            refused
                .send(&json!({"type": "hello", "token": alice.token}))
                .await?;
            ensure!(refused.closed().await? == Some(3504));
            bob.online(0).await?;
            open.pop();
            until("there is room again", async || {
                Ok(alice.online(0).await.is_ok().then_some(()))
            })
            .await?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_fast_is_told_when_to_go_on() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| {
            args.rates.no_rate_limits = false;
            args.rates.sends_burst = 10.try_into().unwrap();
            args.rates.sends_per_second = 20.try_into().unwrap();
        })
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let notes = alice.dm(&alice);
            let mut a = alice.online(0).await?;
            let ids: Vec<_> = (0..60).map(|_| new_id()).collect();
            for id in &ids {
                a.send(&json!({"type": "send", "id": id, "conversation": notes, "text": "spam"}))
                    .await?;
            }
            let mut limited = 0;
            for id in &ids {
                if let Err(error) = a.acked(*id).await? {
                    ensure!(
                        error.code.as_str() == "rate_limited" && error.retryable,
                        "{error}"
                    );
                    ensure!(
                        error.retry_after_ms.is_some_and(|ms| ms > 0 && ms < 5_000),
                        "{error:?}"
                    );
                    limited += 1;
                }
            }
            ensure!(limited > 10, "{limited}");
            // A retry with the same id goes through in the end.
            until("it goes through", async || {
                a.send(&json!({"type": "send", "id": ids[59], "conversation": notes, "text": "spam"}))
                    .await?;
                Ok(a.acked(ids[59]).await?.ok())
            })
            .await?;
            Ok(())
        })
        .await
}
