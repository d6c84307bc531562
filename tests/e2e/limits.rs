//! Limits and abuse: every refusal is a clear error, nothing panics, and nobody else notices.

use std::time::Duration;

use anyhow::ensure;
use futures::{SinkExt, StreamExt, future::join_all};
use natterjack_nats::{
    Conversation, GroupId, UserId,
    limits::{FRAME_BYTES_MAX, TEXT_CHARS_MAX},
    wire::{Event, ServerFrame},
};
use natterjack_runtime::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Message as Ws, protocol::frame::coding::OpCode};

use crate::support::{
    raw::{Raw, chained},
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

/// Every way in which somebody could touch a conversation.
async fn shut_out(user: &User, conversation: Conversation) -> anyhow::Result<()> {
    for edge in [0, 1] {
        let mut socket = user.online(edge).await?;
        for frame in [
            json!({"type": "send", "conversation": conversation, "text": "let me in"}),
            json!({"type": "edit", "conversation": conversation, "target": 1, "text": "mine now"}),
            json!({"type": "delete", "conversation": conversation, "target": 1}),
        ] {
            let error = socket.post(frame.clone()).await?.unwrap_err();
            ensure!(
                matches!(error.code.as_str(), "not_member" | "not_found" | "forbidden"),
                "{frame}: {error}"
            );
        }
        for query in [
            json!({}),
            json!({"after": 0}),
            json!({"before": 1_000}),
            json!({"around": 1}),
        ] {
            let mut query = query;
            query["conversation"] = json!(conversation);
            let error = socket.history(query).await?.unwrap_err();
            ensure!(
                matches!(error.code.as_str(), "not_member" | "not_found"),
                "{error}"
            );
        }
        let path = format!("/v1/conversations/{conversation}");
        for (method, path, body) in [
            (Method::GET, path.clone(), None),
            (Method::GET, format!("{path}/messages"), None),
            (Method::GET, format!("{path}/messages?after=0"), None),
            (Method::GET, format!("{path}/members"), None),
            (
                Method::POST,
                format!("{path}/messages"),
                Some(json!({"id": new_id(), "text": "x"})),
            ),
            (
                Method::PATCH,
                format!("{path}/messages/1"),
                Some(json!({"id": new_id(), "text": "x"})),
            ),
            (Method::DELETE, format!("{path}/messages/1?id={}", new_id()), None),
            (Method::POST, format!("{path}/receipts"), Some(json!({"read": 1}))),
            (
                Method::POST,
                format!("{path}/typing"),
                Some(json!({"active": true})),
            ),
        ] {
            let answer = user.request(edge, method.clone(), &path, body).await?;
            ensure!(matches!(answer.status, 403 | 404), "{method} {path}: {answer:?}");
        }
        // Cursors for it are no way in either.
        let mut resumed = user.resume(edge, &[(conversation, 0)]).await?;
        resumed
            .until("resumed", |frame| {
                matches!(frame, ServerFrame::Resumed { .. }).then_some(())
            })
            .await?;
        let frames = resumed.so_far().await?;
        let heard =
            |frame: &ServerFrame| matches!(frame, ServerFrame::Message(m) if m.conversation == conversation);
        ensure!(!frames.iter().any(heard), "{frames:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_and_a_guesser_get_nowhere() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let eve = User::sign_up(house, "eve").await?;
        let (dm, group) = (alice.dm(&bob), alice.group("private", &[&bob]).await?);
        alice.say(dm, "for bob only").await?;
        alice.say(group, "for us only").await?;
        let now = Clock::system().now_ms();
        for conversation in [
            dm,
            group,
            Conversation::User(alice.id),
            Conversation::Group(GroupId::generate(now)),
            Conversation::dm(UserId::generate(now), UserId::generate(now)),
        ] {
            shut_out(&eve, conversation)
                .await
                .map_err(|error| error.context(conversation.to_string()))?;
        }
        // A chat with somebody who does not exist, and one's own log.
        let nobody = Conversation::dm(eve.id, UserId::generate(now));
        let own = Conversation::User(eve.id);
        let mut socket = eve.online(0).await?;
        for (conversation, codes) in [
            (nobody, ["not_found"].as_slice()),
            (own, &["forbidden", "bad_request"]),
        ] {
            let send = json!({"type": "send", "conversation": conversation, "text": "anybody?"});
            let error = socket.post(send).await?.unwrap_err();
            ensure!(codes.contains(&error.code.as_str()), "{error}");
        }
        // Groups of others cannot be changed, nor their ids guessed from an answer.
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        for (method, path, body) in [
            (
                Method::PATCH,
                format!("/v1/groups/{id}"),
                json!({"title": "mine"}),
            ),
            (
                Method::POST,
                format!("/v1/groups/{id}/members"),
                json!({"users": [eve.id]}),
            ),
            (
                Method::DELETE,
                format!("/v1/groups/{id}/members/{}", bob.id),
                json!({}),
            ),
            (
                Method::PATCH,
                format!("/v1/groups/{id}/members/{}", eve.id),
                json!({"role": "owner"}),
            ),
        ] {
            let answer = eve.request(0, method, &path, Some(body)).await?;
            ensure!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        }
        // Sync tells nothing of it.
        let start: Value = eve.fetch("/v1/sync").await?;
        alice.say(group, "again").await?;
        house.ground().persisted().await?;
        let cursor = start["cursor"].as_str().unwrap();
        let page: Value = eve.fetch(&format!("/v1/sync?cursor={cursor}")).await?;
        ensure!(page["messages"] == json!([]), "{page}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_just_removed_is_out_of_everything() -> anyhow::Result<()> {
    stage::run(async |Play { house, .. }| {
        let (alice, bob) = (
            User::sign_up(house, "alice").await?,
            User::sign_up(house, "bob").await?,
        );
        let group = alice.group("pair", &[&bob]).await?;
        let Conversation::Group(id) = group else {
            anyhow::bail!("{group}")
        };
        let (mut b, mut elsewhere) = (bob.online(0).await?, bob.online(1).await?);
        b.say(group, "I am in").await?;
        let start: Value = bob.fetch("/v1/sync").await?;
        alice
            .delete(&format!("/v1/groups/{id}/members/{}", bob.id))
            .await?
            .ok()?;
        // Those who are connected are told; from then on they cannot send, on whatever edge.
        for socket in [&mut b, &mut elsewhere] {
            socket
                .until("left", |frame| match frame {
                    ServerFrame::Message(m) => (m.event == Some(Event::Left { group: id })).then_some(()),
                    _ => None,
                })
                .await?;
            let send = json!({"type": "send", "conversation": group, "text": "still?"});
            ensure!(socket.post(send).await?.unwrap_err().code.as_str() == "not_member");
        }
        alice.say(group, "he is gone").await?;
        shut_out(&bob, group).await?;
        let cursor = start["cursor"].as_str().unwrap();
        let page: Value = bob.fetch(&format!("/v1/sync?cursor={cursor}")).await?;
        let texts = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["text"] == "he is gone");
        ensure!(texts.count() == 0, "{page}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_join_at_once_for_the_last_place_one_gets_in() -> anyhow::Result<()> {
    const MEMBERS_MAX: usize = 8;
    Stage::new()
        .persister(|args| args.group_members_max = u32::try_from(MEMBERS_MAX).unwrap())
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let mut others = Vec::new();
            for n in 0..50 + MEMBERS_MAX - 2 {
                others.push(User::sign_up(house, &format!("user{n}")).await?);
            }
            let (members, joiners) = others.split_at(MEMBERS_MAX - 2);
            let group = alice.group("full", &members.iter().collect::<Vec<_>>()).await?;
            let Conversation::Group(id) = group else {
                anyhow::bail!("{group}")
            };
            let path = format!("/v1/groups/{id}/members");
            let joins = joiners.iter().enumerate().map(|(n, user)| {
                alice.request(n % 2, Method::POST, &path, Some(json!({"users": [user.id]})))
            });
            let mut joined = 0;
            for answer in join_all(joins).await {
                let answer = answer?;
                match answer.status {
                    200 => joined += 1,
                    _ => answer.refused(409, "group_full")?,
                }
            }
            ensure!(joined == 1, "{joined} of 50 got the last place");
            let members: Value = alice.fetch(&format!("/v1/conversations/{group}/members")).await?;
            ensure!(members.as_array().map(Vec::len) == Some(MEMBERS_MAX));
            ensure!(alice.summary(group).await?.member_count == Some(8));
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_closed_and_nobody_else_is_harmed() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| {
            args.socket.write_timeout_ms = 1_500;
            args.socket.socket_queue_bytes = 1 << 20;
        })
        .run(async |Play { house, .. }| {
            let (alice, bob) = (
                User::sign_up(house, "alice").await?,
                User::sign_up(house, "bob").await?,
            );
            let dm = alice.dm(&bob);
            let (mut a, mut reader, mut stuck) =
                (alice.online(1).await?, bob.online(0).await?, bob.online(0).await?);
            let first = a.say(dm, "first").await?;
            ensure!(stuck.message().await?.seq == first && reader.message().await?.seq == first);
            // From here on it reads nothing, while more comes than any kernel buffers.
            let text = "x".repeat(90_000);
            let mut sent = Vec::new();
            let closes = async || -> anyhow::Result<bool> {
                let metrics = reqwest::get(format!("{}/metrics", house.url(0)))
                    .await?
                    .text()
                    .await?;
                let open = metrics
                    .lines()
                    .find(|line| line.starts_with("natterjack_sockets{"))
                    .unwrap_or_default();
                Ok(open.ends_with(" 1"))
            };
            let mut rounds = 0;
            while !closes().await? {
                rounds += 1;
                ensure!(rounds < 60, "it was not closed after {} messages", sent.len());
                for _ in 0..10 {
                    sent.push(a.say(dm, &text).await?);
                }
                // The other socket of the same user gets everything in time.
                let given = reader.messages(10).await?;
                ensure!(
                    given
                        .iter()
                        .map(|message| message.seq)
                        .eq(sent[sent.len() - 10..].iter().copied())
                );
            }
            // It finds out when it reads again, and resumes from where it was.
            let mut last = first;
            let mut buffered = Vec::new();
            let code = loop {
                match within("the end", stuck.stream.next()).await? {
                    Some(Ok(Ws::Text(text))) => {
                        if let ServerFrame::Message(message) = serde_json::from_str(&text)? {
                            buffered.push(*message);
                        }
                    }
                    Some(Ok(Ws::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                    Some(Ok(_)) => {}
                    _ => break None,
                }
            };
            // The close frame itself may not have fitted any more.
            ensure!(matches!(code, Some(3008) | None), "{code:?}");
            chained(&buffered, first)?;
            last = buffered.last().map_or(last, |message| message.seq);
            let missed: Vec<_> = sent.iter().copied().filter(|seq| *seq > last).collect();
            ensure!(!missed.is_empty());
            let mut back = bob.resume(0, &[(dm, last)]).await?;
            let given = back.messages(missed.len()).await?;
            chained(&given, last)?;
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_noticed_by_its_silence() -> anyhow::Result<()> {
    Stage::new()
        .edge(|args| args.socket.ping_interval_ms = 400)
        .run(async |Play { house, .. }| {
            let alice = User::sign_up(house, "alice").await?;
            let (quiet, mut lively) = (alice.online(0).await?, alice.online(0).await?);
            // One answers pings, as reading does by itself; the other does nothing at all.
            let until_closed = async {
                until("one socket is left", async || {
                    let metrics = reqwest::get(format!("{}/metrics", house.url(0)))
                        .await?
                        .text()
                        .await?;
                    let line = metrics
                        .lines()
                        .find(|line| line.starts_with("natterjack_sockets{"));
                    Ok(line.is_some_and(|line| line.ends_with(" 1")).then_some(()))
                })
                .await
            };
            let reading = async {
                loop {
                    let read = tokio::time::timeout(Duration::from_millis(50), lively.stream.next()).await;
                    if matches!(read, Ok(Some(Ok(Ws::Close(_)) | Err(_)) | None)) {
                        return;
                    }
                }
            };
            tokio::select! {
                closed = until_closed => closed?,
                () = reading => anyhow::bail!("the lively one was closed"),
            }
            let mut quiet = quiet;
            ensure!(quiet.closed().await? == Some(3012));
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
