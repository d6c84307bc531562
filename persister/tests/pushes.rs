//! Where devices are pushed, against real servers: one registration a device, one device a target, and
//! neither outlives the device.

mod common;

use anyhow::{Context as _, ensure};
use common::World;
use futures::future::try_join_all;
use natterjack_nats::{
    DeviceId, UserId,
    services::accounts::{
        Devices, LogIn, RemovePush, RevokeDevice, RevokeOthers, SetPush, SetPushPreview, Settings, SignUp,
    },
    subjects::kv,
    topology::Bucket,
    wire::{
        Channel, Code, FcmOs, HelloDevice, PushPreview, PushRegistration, PushRequest, PushTarget,
        WebPushKeys,
    },
};

const PASSWORD: &str = "correct horse";

fn device() -> HelloDevice {
    HelloDevice {
        id: None,
        name: "browser".into(),
        platform: "web".into(),
    }
}

/// Somebody with one device.
async fn somebody(world: &World, handle: &str) -> anyhow::Result<(UserId, DeviceId)> {
    let request = SignUp {
        handle: handle.into(),
        password: PASSWORD.into(),
        name: None,
        device: device(),
    };
    let tokens = world.call(&request).await?;
    Ok((tokens.user.id, tokens.device))
}

fn browser(endpoint: &str) -> PushRequest {
    PushRequest {
        target: PushTarget::WebPush {
            endpoint: format!("https://push.example.com/{endpoint}"),
            keys: WebPushKeys {
                p256dh: "key".into(),
                auth: "secret".into(),
            },
        },
        silent: false,
    }
}

fn phone(token: &str) -> PushRequest {
    phone_of(FcmOs::Android, token)
}

fn phone_of(os: FcmOs, token: &str) -> PushRequest {
    let token = token.into();
    PushRequest {
        target: PushTarget::Fcm { token, os },
        silent: true,
    }
}

/// The same browser after it made new keys.
fn rekeyed(endpoint: &str) -> PushRequest {
    let mut request = browser(endpoint);
    if let PushTarget::WebPush { keys, .. } = &mut request.target {
        keys.p256dh = "another key".into();
    }
    request
}

async fn set(world: &World, (user, device): (UserId, DeviceId), request: PushRequest) -> Option<Code> {
    let request = SetPush {
        user,
        device,
        request,
    };
    world.call(&request).await.err().map(|error| error.code)
}

/// What stands in the device's entry, as the notifier reads it.
async fn registered(
    world: &World,
    (user, device): (UserId, DeviceId),
) -> anyhow::Result<Option<PushRegistration>> {
    let bucket = world.jetstream.get_key_value(Bucket::Devices.name()).await?;
    let Some(entry) = bucket.get(kv::device(user, device)).await? else {
        return Ok(None);
    };
    let entry: serde_json::Value = serde_json::from_slice(&entry)?;
    let push = entry.get("push").cloned();
    Ok(push.map(serde_json::from_value).transpose()?)
}

/// Who has a target, and how many have any.
async fn claims(world: &World) -> anyhow::Result<Vec<String>> {
    use futures::TryStreamExt as _;
    let bucket = world.jetstream.get_key_value(Bucket::PushTargets.name()).await?;
    let keys: Vec<String> = bucket.keys().await?.try_collect().await?;
    let mut owners = Vec::new();
    for key in keys {
        ensure!(key.len() == 64, "{key} is no SHA-256");
        let owner = bucket.get(&key).await?.context("gone")?;
        owners.push(String::from_utf8(owner.to_vec())?);
    }
    Ok(owners)
}

fn claim((user, device): (UserId, DeviceId)) -> Vec<String> {
    vec![kv::device(user, device)]
}

#[tokio::test]
async fn a_device_registers_rotates_and_leaves() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let me = somebody(&world, "ada").await?;
    let shown = async || {
        let devices = world.call(&Devices { user: me.0 }).await?;
        anyhow::Ok(devices.first().context("no device")?.push)
    };
    ensure!(shown().await?.is_none() && registered(&world, me).await?.is_none());
    let one = SetPush {
        user: me.0,
        device: me.1,
        request: browser("one"),
    };
    let told = world.call(&one).await?;
    ensure!(told.id == me.1 && told.push == Some(Channel::WebPush) && told.created_at > 0);
    let first = registered(&world, me).await?.context("none")?;
    ensure!(first.request == browser("one") && first.registered_at > 0);
    ensure!(shown().await? == Some(Channel::WebPush) && claims(&world).await? == claim(me));

    // Again is another registration, and another target takes the place of the first.
    ensure!(set(&world, me, browser("one")).await.is_none());
    let again = registered(&world, me).await?.context("none")?;
    ensure!(again.id != first.id && again.request == first.request);
    ensure!(set(&world, me, phone("token")).await.is_none());
    let second = registered(&world, me).await?.context("none")?;
    ensure!(second.request == phone("token") && shown().await? == Some(Channel::Fcm));
    ensure!(claims(&world).await? == claim(me));

    // Whoever removes a dead registration by its id does not hit its successor.
    let remove = |id| RemovePush {
        user: me.0,
        device: me.1,
        id,
    };
    world.call(&remove(Some(first.id))).await?;
    ensure!(registered(&world, me).await? == Some(second.clone()) && claims(&world).await? == claim(me));
    world.call(&remove(Some(second.id))).await?;
    ensure!(registered(&world, me).await?.is_none() && claims(&world).await?.is_empty());
    world.call(&remove(None)).await?;
    ensure!(set(&world, me, browser("two")).await.is_none());
    world.call(&remove(None)).await?;
    ensure!(registered(&world, me).await?.is_none() && claims(&world).await?.is_empty());
    // What was removed can be had again.
    ensure!(set(&world, me, browser("two")).await.is_none());
    ensure!(claims(&world).await? == claim(me));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_browser_has_one_user_at_a_time() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (ada, bob) = (somebody(&world, "ada").await?, somebody(&world, "bob").await?);
    ensure!(set(&world, ada, browser("shared")).await.is_none());
    ensure!(set(&world, bob, browser("shared")).await.is_none());
    ensure!(registered(&world, ada).await?.is_none() && registered(&world, bob).await?.is_some());
    ensure!(claims(&world).await? == claim(bob));
    // Who lost it leaves it alone.
    let remove = RemovePush {
        user: ada.0,
        device: ada.1,
        id: None,
    };
    world.call(&remove).await?;
    ensure!(registered(&world, bob).await?.is_some() && claims(&world).await? == claim(bob));
    // Who has moved on meanwhile keeps what they moved to.
    ensure!(set(&world, bob, browser("own")).await.is_none());
    ensure!(set(&world, ada, browser("shared")).await.is_none());
    ensure!(registered(&world, bob).await?.is_some() && registered(&world, ada).await?.is_some());
    ensure!(claims(&world).await?.len() == 2);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn other_keys_or_another_system_are_the_same_browser_or_phone() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (ada, bob) = (somebody(&world, "ada").await?, somebody(&world, "bob").await?);
    let pairs = [
        (browser("shared"), rekeyed("shared")),
        (phone("token"), phone_of(FcmOs::Ios, "token")),
    ];
    for (first, second) in pairs {
        // One's own: the claim stays.
        ensure!(set(&world, ada, first.clone()).await.is_none());
        ensure!(set(&world, ada, second.clone()).await.is_none());
        let own = registered(&world, ada).await?.context("none")?;
        ensure!(own.request == second && claims(&world).await? == claim(ada));
        // Another's: it is taken.
        ensure!(set(&world, bob, first.clone()).await.is_none());
        ensure!(registered(&world, ada).await?.is_none(), "both have {first:?}");
        ensure!(registered(&world, bob).await?.is_some() && claims(&world).await? == claim(bob));
        ensure!(set(&world, ada, second.clone()).await.is_none());
        ensure!(registered(&world, bob).await?.is_none(), "both have {second:?}");
        ensure!(registered(&world, ada).await?.is_some() && claims(&world).await? == claim(ada));
    }
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn who_cannot_claim_a_browser_is_not_registered_there() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (ada, bob) = (somebody(&world, "ada").await?, somebody(&world, "bob").await?);
    ensure!(set(&world, ada, browser("shared")).await.is_none());
    // Claims can be read, and not be written.
    let stream = world
        .jetstream
        .get_stream(Bucket::PushTargets.stream_name())
        .await?;
    let config = stream.cached_info().config.clone();
    let mut shut = config.clone();
    shut.max_message_size = 1;
    world.jetstream.update_stream(shut).await?;
    ensure!(set(&world, bob, browser("shared")).await.is_some());
    ensure!(registered(&world, bob).await?.is_none());
    world.jetstream.update_stream(config).await?;
    // The one before comes again, and is alone.
    ensure!(set(&world, ada, browser("shared")).await.is_none());
    ensure!(registered(&world, ada).await?.is_some() && registered(&world, bob).await?.is_none());
    ensure!(claims(&world).await? == claim(ada));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn of_many_who_take_one_browser_at_once_one_has_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(somebody(&world, &format!("user{n}")).await?);
    }
    for round in 0..10 {
        let endpoint = format!("round{}", round % 2);
        let takes = people.iter().map(|person| {
            let request = browser(&endpoint);
            let world = &world;
            async move { anyhow::Ok(set(world, *person, request).await) }
        });
        // Whoever finds too many in the way is told to come again, and one is always through.
        let refused = try_join_all(takes).await?;
        ensure!(refused.contains(&None), "{refused:?}");
        let mut have = Vec::new();
        for person in &people {
            if registered(&world, *person)
                .await?
                .is_some_and(|push| push.request == browser(&endpoint))
            {
                have.push(kv::device(person.0, person.1));
            }
        }
        ensure!(have.len() == 1, "{} have it: {refused:?}", have.len());
        ensure!(claims(&world).await? == have);
    }
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_registration_ends_with_its_device() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let ada = somebody(&world, "ada").await?;
    ensure!(set(&world, ada, browser("one")).await.is_none());
    let revoke = RevokeDevice {
        user: ada.0,
        device: ada.1,
    };
    world.call(&revoke).await?;
    ensure!(registered(&world, ada).await?.is_none() && claims(&world).await?.is_empty());
    ensure!(set(&world, ada, browser("one")).await == Some(Code::NotFound));
    ensure!(claims(&world).await?.is_empty());

    let bob = somebody(&world, "bob").await?;
    ensure!(set(&world, bob, phone("token")).await.is_none());
    let others = RevokeOthers {
        user: bob.0,
        except: DeviceId::generate(1),
    };
    world.call(&others).await?;
    ensure!(registered(&world, bob).await?.is_none() && claims(&world).await?.is_empty());

    // Of several, the one that stays keeps its own; one that was taken back, or lost to somebody, is no
    // hindrance and not touched.
    let carol = somebody(&world, "carol").await?;
    let mut more = Vec::new();
    for _ in 0..3 {
        let login = LogIn {
            handle: "carol".into(),
            password: PASSWORD.into(),
            device: device(),
        };
        more.push((carol.0, world.call(&login).await?.device));
    }
    ensure!(set(&world, carol, browser("stays")).await.is_none());
    for (device, endpoint) in more.iter().zip(["taken back", "lost", "left"]) {
        ensure!(set(&world, *device, browser(endpoint)).await.is_none());
    }
    let back = RemovePush {
        user: carol.0,
        device: more[0].1,
        id: None,
    };
    world.call(&back).await?;
    let dora = somebody(&world, "dora").await?;
    ensure!(set(&world, dora, browser("lost")).await.is_none());
    ensure!(claims(&world).await?.len() == 3);
    let others = RevokeOthers {
        user: carol.0,
        except: carol.1,
    };
    world.call(&others).await?;
    for device in &more {
        ensure!(registered(&world, *device).await?.is_none());
    }
    ensure!(registered(&world, carol).await?.is_some() && registered(&world, dora).await?.is_some());
    let (mut left, mut expected) = (claims(&world).await?, [claim(carol), claim(dora)].concat());
    left.sort();
    expected.sort();
    ensure!(left == expected);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn users_choose_how_much_pushes_say() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (user, _) = somebody(&world, "ada").await?;
    ensure!(world.call(&Settings { user }).await?.push_preview == PushPreview::Full);
    for preview in [PushPreview::None, PushPreview::Sender, PushPreview::Full] {
        let told = world.call(&SetPushPreview { user, preview }).await?;
        let chosen = world.call(&Settings { user }).await?;
        ensure!(told == chosen && chosen.push_preview == preview);
    }
    let user = common::user(1);
    let unknown = world.call(&Settings { user }).await.err().map(|error| error.code);
    ensure!(unknown == Some(Code::NotFound));
    let preview = PushPreview::None;
    let unknown = world.call(&SetPushPreview { user, preview }).await;
    ensure!(unknown.err().map(|error| error.code) == Some(Code::NotFound));
    persister.stop(common::PATIENCE).await
}
