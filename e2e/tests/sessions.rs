//! Sessions that the gateway keeps while two versions have traffic: a weight moves new ones only, and the end moves all.

use std::time::Duration;

use serde_json::{Value, json};
use serin_api::{
    ModelDeploymentStatus, Outcome,
    conditions::{self, Type},
};
use serin_bed::{Channel, SecondGateway};
use serin_e2e::{
    Error, client,
    images::Version,
    install,
    load::{Call, Load},
    ring::{Scene, patient, run_alone, status},
};

/// Behind the second gateway, with sessions.
fn kept(scene: &Scene, gateway: SecondGateway, version: Version) -> Result<Value, Error> {
    let mut object = scene.object(version)?;
    object["spec"]["traffic"]["gateway"]["parentRefs"] =
        json!([{"name": gateway.name, "namespace": gateway.namespace}]);
    object["spec"]["traffic"]["gateway"]["sessionPersistence"] = json!({"sessionName": "wine"});
    Ok(object)
}

/// A hundred clients that keep their cookies.
fn load(scene: &Scene, gateway: SecondGateway) -> Result<Load, Error> {
    let host = scene.wine.host.clone().ok_or("no host name")?;
    let call = Call { sessions: Some(100), ..Call::from(&host) };
    Load::start_at(&scene.ring.bed, &scene.ring.built, gateway.port, call, 100, 600, &scene.report()?)
}

async fn serve(scene: &mut Scene, gateway: SecondGateway) -> Result<(), Error> {
    scene.wine.rollout = patient(15);
    scene.put(&kept(scene, gateway, Version::V1)?).await?;
    scene.serves("v1").await?;
    scene.reachable(gateway.port, &scene.wine.host.clone().unwrap_or_default()).await
}

/// It takes the definition of HTTPRoute from all others for its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_at_its_version_until_the_trial_is_over() {
    run_alone("sessions", async |scene| {
        let gateway = scene.ring.second_gateway().await?;
        // A run that was cut short has left the other one.
        channel(scene, Channel::Standard)?;
        without_the_field(scene, gateway).await?;
        channel(scene, Channel::Experimental)?;
        let outcome = with_the_field(scene, gateway).await;
        if outcome.is_ok() {
            scene.delete().await?;
        }
        channel(scene, Channel::Standard)?;
        outcome
    })
    .await;
}

/// The operator is started anew: it would leave a new field alone until every watch knows it, for minutes.
fn channel(scene: &Scene, channel: Channel) -> Result<(), Error> {
    tokio::task::block_in_place(|| scene.ring.bed.gateway_api(channel, &mut |line| eprintln!("{line}")))?;
    let namespace = format!("--namespace={}", install::NAMESPACE);
    scene.kubectl(&["rollout", "restart", "deployment/serin", &namespace])?;
    scene.kubectl(&["rollout", "status", "deployment/serin", "--timeout=120s", &namespace]).map(drop)
}

/// The standard channel has no such field: it is said, and all else goes on.
async fn without_the_field(scene: &mut Scene, gateway: SecondGateway) -> Result<(), Error> {
    serve(scene, gateway).await?;
    let md = scene
        .until("it is said that no session is kept", |_, s| says(s, "SessionPersistenceUnsupported"))
        .await?;
    let said = conditions::get(&status(&md).conditions, Type::SessionsKept).map(|c| c.message.clone());
    assert!(said.is_some_and(|said| said.contains("experimental channel")), "{md:?}");
    Ok(())
}

fn says(status: &ModelDeploymentStatus, reason: &str) -> bool {
    conditions::get(&status.conditions, Type::SessionsKept).is_some_and(|c| c.reason == reason)
}

async fn with_the_field(scene: &mut Scene, gateway: SecondGateway) -> Result<(), Error> {
    scene.until("sessions can be asked for", |_, s| says(s, "SessionPersistenceAsked")).await?;

    // A good one: who is at the old version at the first step stays there, whatever the new one's share is.
    let clients = load(scene, gateway)?;
    scene.answers(&clients, Version::V1).await?;
    scene.put(&kept(scene, gateway, Version::V2)?).await?;
    scene.canary("v2").await?;
    scene.answers(&clients, Version::V2).await?;
    let half = |s: &ModelDeploymentStatus| s.candidate.as_ref().is_some_and(|c| c.weight >= 50);
    scene.until("half of the traffic", |_, s| half(s)).await?;
    scene.answers(&clients, Version::V1).await?;
    let counts = clients.counts();
    assert_eq!(counts.moved, 0, "a weight moves new sessions only: {counts:?}");
    scene.ended("v2", Outcome::Promoted).await?;
    scene.serves("v2").await?;
    scene.settled().await?;
    scene.answers(&clients, Version::V2).await?;
    let counts = clients.stop().await?;
    assert!(counts.moved >= 50, "the end of the trial moves whoever was at the old one: {counts:?}");
    assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");

    // A bad one: whoever got it is taken back at once.
    let clients = load(scene, gateway)?;
    scene.answers(&clients, Version::V2).await?;
    scene.put(&kept(scene, gateway, Version::BadFeatures)?).await?;
    scene.answers(&clients, Version::BadFeatures).await?;
    scene.ended("v3", Outcome::RolledBack).await?;
    let bad = &scene.ring.built.model(Version::BadFeatures)?.digest;
    let before = clients.counts().of(bad).total;
    // Its pods are still there, to finish what they have: none of its clients asks them again.
    client::until("whoever was at the bad one is taken back", Duration::from_secs(30), || async {
        let counts = clients.counts();
        if counts.moved >= 10 { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await?;
    let counts = clients.stop().await?;
    assert!(counts.of(bad).total <= before + 20, "nobody is left behind at it: {before}, {counts:?}");
    assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
    Ok(())
}
