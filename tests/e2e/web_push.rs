//! Web Push against a push service that takes nothing which the RFCs forbid, opened by an implementation
//! that shares no code with ours.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use natterjack::fleet::push_service::{Behaviour, Depth, PushServer, Subscription};
use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Notice, PushRegistration, VapidKey},
};
use natterjack_notifier::{Outcome, Push, PushService as _, Scope, WebPush};
use natterjack_runtime::{
    clock::Clock,
    outbound::{Outbound, Reach},
};
use serde_json::json;
use uuid::Uuid;

const TTL: Duration = Duration::from_secs(3_600);

fn key() -> anyhow::Result<VapidKey> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    Ok(VapidKey {
        private_key: BASE64_URL_SAFE_NO_PAD.encode(pair.to_pkcs8v1()?),
        public_key: BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()),
        created_at: 0,
    })
}

fn dm(other: u128) -> Conversation {
    Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, other))
}

fn message(body: Option<&str>) -> Notice {
    Notice::Message {
        conversation: dm(2),
        seq: 42,
        id: MessageId::generate(1_800_000_000_000),
        sent_at: 1_800_000_000_000,
        title: "Ada \"Countess\" Lovelace 👩‍💻".into(),
        body: body.map(str::to_owned),
        badge: 3,
        mention: false,
    }
}

fn registration(subscription: &Subscription) -> anyhow::Result<PushRegistration> {
    Ok(PushRegistration {
        id: Uuid::new_v4(),
        request: serde_json::from_value(subscription.request(false))?,
        registered_at: 0,
    })
}

/// A push service, and what pushes to it.
struct Scene {
    server: PushServer,
    key: VapidKey,
    pushes: WebPush,
}

impl Scene {
    async fn new(depth: Depth) -> anyhow::Result<Self> {
        let key = key()?;
        Ok(Self {
            server: PushServer::start(depth).await?,
            pushes: pushes(&key, Reach::Anywhere)?,
            key,
        })
    }

    fn subscribe(&self) -> anyhow::Result<Subscription> {
        self.server.subscribe(&self.key.public_key)
    }

    async fn push(&self, notice: &Notice, to: &Subscription) -> anyhow::Result<Outcome> {
        push(&self.pushes, notice, to).await
    }
}

fn pushes(key: &VapidKey, reach: Reach) -> anyhow::Result<WebPush> {
    let outbound = Outbound::new(reach)?;
    Ok(WebPush::new(
        key,
        "mailto:ops@example.org",
        outbound,
        Clock::system(),
    )?)
}

async fn push(pushes: &WebPush, notice: &Notice, to: &Subscription) -> anyhow::Result<Outcome> {
    let registration = registration(to)?;
    let push = Push {
        notice,
        registration: &registration,
        ttl: TTL,
    };
    Ok(pushes.push(push).await)
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_service_that_is_strict_takes_them_and_http_ece_opens_them() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Independent).await?;
    let subscription = scene.subscribe()?;
    let long = "naïve 👩🏽‍🚀 \"quoted\" \u{1}\n".repeat(150);
    let notices = [
        message(Some("hello")),
        message(None),
        message(Some(&long)),
        Notice::Withdraw {
            conversation: dm(2),
            seq: 42,
            badge: 0,
        },
    ];
    for notice in &notices {
        let outcome = scene.push(notice, &subscription).await?;
        ensure!(accepted(&outcome), "{outcome:?}; {:?}", scene.server.problems());
    }
    let came = scene.server.deliveries();
    let [hello, bare, cut, withdrawal] = &came[..] else {
        anyhow::bail!("{came:#?}");
    };
    ensure!(hello.notice == Some(serde_json::to_value(&notices[0])?));
    ensure!(hello.urgency == "high" && hello.ttl_s == TTL.as_secs());
    ensure!(bare.notice == Some(serde_json::to_value(&notices[1])?));
    let said = cut.notice.as_ref().context("opened")?["body"]
        .as_str()
        .context("text")?;
    let said = said.strip_suffix('…').context("cut")?;
    ensure!(said.len() > 1_500 && long.starts_with(said), "{said}");
    ensure!(
        withdrawal.notice == Some(json!({"type": "withdraw", "conversation": dm(2), "seq": 42, "badge": 0}))
    );
    ensure!(withdrawal.urgency == "low");
    // One conversation on one device, and another.
    ensure!(came.iter().all(|delivery| delivery.topic == hello.topic));
    let other = Notice::Withdraw {
        conversation: dm(3),
        seq: 42,
        badge: 0,
    };
    scene.push(&other, &subscription).await?;
    ensure!(scene.server.deliveries()[4].topic != hello.topic);
    // Lengths are rounded up, so that they tell little.
    ensure!(hello.body_bytes == bare.body_bytes, "{hello:?} {bare:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_leads_where_it_should() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Opened).await?;
    let subscription = scene.subscribe()?;
    let notice = message(Some("hello"));
    let outcome = async |behaviour| {
        scene.server.script(&subscription, [behaviour]);
        scene.push(&notice, &subscription).await
    };
    let later = |after: u64, scope: Scope| (after, scope);
    for (status, asked, wanted) in [
        (429, "7", later(7, Scope::Device)),
        (503, "120", later(120, Scope::Origin)),
        (500, "0", later(0, Scope::Origin)),
        (503, "Sun, 06 Nov 1994 08:49:37 GMT", later(0, Scope::Origin)),
    ] {
        let outcome = outcome(Behaviour::retry_after(status, asked)).await?;
        let Outcome::Later {
            after: Some(after),
            scope,
            ..
        } = outcome
        else {
            anyhow::bail!("{status} {asked}: {outcome:?}");
        };
        ensure!((after.as_secs(), scope) == wanted, "{status} {asked}");
    }
    let silent = outcome(Behaviour::status(502)).await?;
    ensure!(matches!(silent, Outcome::Later { after: None, .. }), "{silent:?}");
    for status in [404, 410] {
        let gone = outcome(Behaviour::status(status)).await?;
        ensure!(matches!(gone, Outcome::Gone { .. }), "{status}: {gone:?}");
    }
    let refused = outcome(Behaviour::status(400)).await?;
    ensure!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    // Nothing was taken yet, so that it may well be our signature.
    let ours = outcome(Behaviour::status(403)).await?;
    ensure!(matches!(ours, Outcome::Misconfigured { .. }), "{ours:?}");
    // A subscription that the browser has given up.
    scene.server.unsubscribe(&subscription);
    let gone = scene.push(&notice, &subscription).await?;
    ensure!(matches!(gone, Outcome::Gone { .. }), "{gone:?}");
    ensure!(
        scene.server.problems().is_empty(),
        "{:?}",
        scene.server.problems()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_with_another_key_is_not_the_operators_mistake() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Opened).await?;
    let (ours, foreign) = (scene.subscribe()?, scene.server.subscribe(&key()?.public_key)?);
    let notice = message(Some("hello"));
    let first = scene.push(&notice, &foreign).await?;
    let Outcome::Misconfigured { detail } = &first else {
        anyhow::bail!("{first:?}");
    };
    ensure!(detail.contains(&scene.server.address().to_string()), "{detail}");
    ensure!(!detail.contains(&foreign.id), "an endpoint is a secret: {detail}");
    ensure!(accepted(&scene.push(&notice, &ours).await?));
    let second = scene.push(&notice, &foreign).await?;
    let Outcome::Later {
        scope: Scope::Device,
        detail,
        ..
    } = &second
    else {
        anyhow::bail!("{second:?}");
    };
    ensure!(detail.contains("subscribe anew"), "{detail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_less_gets_less() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Opened).await?;
    let subscription = scene.subscribe()?;
    let text = "word ".repeat(380);
    let bodies = async || -> anyhow::Result<_> {
        let outcome = scene.push(&message(Some(&text)), &subscription).await?;
        let came = scene.server.deliveries_to(&subscription);
        let last = came.last().context("nothing came")?.clone();
        Ok((outcome, last.notice.unwrap_or_default()["body"].clone()))
    };
    for bytes_max in [4_096, 1_300, 700] {
        scene
            .server
            .behave_for(&subscription, Behaviour::BytesMax(bytes_max));
        let (outcome, body) = bodies().await?;
        ensure!(accepted(&outcome), "{bytes_max}: {outcome:?}");
        let body = body.as_str().with_context(|| format!("{bytes_max}: no body"))?;
        ensure!(
            text.starts_with(body.trim_end_matches('…')),
            "{bytes_max}: {body}"
        );
        ensure!((body == text) == (bytes_max == 4_096), "{bytes_max}: {body}");
    }
    // Room for who it is, and not for what it says.
    let alone = {
        let outcome = scene.push(&message(None), &subscription).await?;
        ensure!(accepted(&outcome), "{outcome:?}");
        let came = scene.server.deliveries_to(&subscription);
        came.last().context("nothing came")?.body_bytes
    };
    scene.server.behave_for(&subscription, Behaviour::BytesMax(alone));
    let (outcome, body) = bodies().await?;
    ensure!(
        accepted(&outcome) && (body.is_null() || body.as_str().is_some_and(|b| b.len() < 100)),
        "{body}"
    );
    // Not even that: it ends.
    scene.server.behave_for(&subscription, Behaviour::BytesMax(150));
    let before = scene.server.count();
    let (outcome, _) = bodies().await?;
    ensure!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    ensure!(scene.server.count() - before <= 8, "halved, and then no more");
    ensure!(
        scene.server.problems().is_empty(),
        "{:?}",
        scene.server.problems()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_service_that_is_away_or_leads_elsewhere() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Headers).await?;
    let subscription = scene.subscribe()?;
    let notice = message(Some("hello"));
    // A redirect to where nobody outside may get: it is not followed.
    let inside = PushServer::start(Depth::Headers).await?;
    let target = inside.subscribe(&scene.key.public_key)?;
    scene
        .server
        .script(&subscription, [Behaviour::Redirect(target.endpoint.clone())]);
    let redirected = scene.push(&notice, &subscription).await?;
    ensure!(
        matches!(
            &redirected,
            Outcome::Later {
                scope: Scope::Origin,
                ..
            }
        ),
        "{redirected:?}"
    );
    ensure!(inside.count() == 0);

    // With the door closed nothing on this machine is reached at all.
    let closed = pushes(&scene.key, Reach::Public)?;
    let before = scene.server.count();
    let mut secure = subscription.clone();
    for origin in ["https://127.0.0.1", "https://localhost", "https://[::1]"] {
        let port = scene.server.address().port();
        secure.endpoint = format!("{origin}:{port}/push/{}", subscription.id);
        let outcome = push(&closed, &notice, &secure).await?;
        // What a name leads to may change; an address does not.
        let name = origin.ends_with("localhost");
        ensure!(
            matches!(outcome, Outcome::Refused { .. }) != name
                && matches!(
                    outcome,
                    Outcome::Later {
                        scope: Scope::Origin,
                        ..
                    }
                ) == name,
            "{origin}: {outcome:?}"
        );
        ensure!(
            outcome.detail().contains("not a public address"),
            "{origin}: {outcome:?}"
        );
    }
    ensure!(scene.server.count() == before);

    // Nobody answers, and nobody is there.
    scene.server.script(&subscription, [Behaviour::Hang]);
    let hung = scene.push(&notice, &subscription).await?;
    ensure!(
        matches!(
            &hung,
            Outcome::Later {
                scope: Scope::Origin,
                ..
            }
        ),
        "{hung:?}"
    );
    drop(inside);
    let nobody = scene.push(&notice, &target).await?;
    let Outcome::Later { detail, .. } = &nobody else {
        anyhow::bail!("{nobody:?}");
    };
    ensure!(!detail.contains(&target.id), "an endpoint is a secret: {detail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_none_are_refused_without_a_request() -> anyhow::Result<()> {
    let scene = Scene::new(Depth::Headers).await?;
    let good = scene.subscribe()?;
    let zeros = BASE64_URL_SAFE_NO_PAD.encode([0; 65]);
    for (p256dh, auth) in [
        (zeros.as_str(), good.auth.as_str()),
        ("", &good.auth),
        ("not base64url!", &good.auth),
        (&good.p256dh, "AAAA"),
    ] {
        let mut bad = good.clone();
        bad.p256dh = p256dh.to_owned();
        bad.auth = auth.to_owned();
        let outcome = scene.push(&message(None), &bad).await?;
        ensure!(
            matches!(outcome, Outcome::Refused { .. }),
            "{p256dh} {auth}: {outcome:?}"
        );
    }
    ensure!(scene.server.count() == 0);
    Ok(())
}
