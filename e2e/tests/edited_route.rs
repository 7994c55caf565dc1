//! Somebody else changes the weights of Serin's own route in mid-canary, behind a real gateway.

use std::time::{Duration, Instant};

use serde_json::json;
use serin_api::{Outcome, Reason};
use serin_e2e::{
    Error, client,
    images::Version,
    ring::{Scene, patient, run},
};

/// What people try.
const EDITS: [(i64, i64); 3] = [(10, 90), (100, 0), (0, 100)];
/// How long it may take until it is set back.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_somebody_changes_are_set_back_and_it_is_said() {
    run("edited", async |scene| {
        scene.wine.replicas = 2;
        scene.wine.rollout = patient(15);
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        scene.answers(&load, Version::V2).await?;
        for (a, b) in EDITS {
            let edited = Instant::now();
            edit(scene, a, b)?;
            client::until("the weights are set back", SOON, || async {
                let seen = scene.seen.weights_since(edited);
                if seen.ends_with(&[(a, b), (75, 25)]) { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await?;
        }
        client::until("it is said", SOON, || async { said(scene).map_err(|e| e.to_string()) }).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;
        let mut weights = vec![(100, 0), (75, 25)];
        weights.extend(EDITS.iter().flat_map(|edit| [*edit, (75, 25)]));
        weights.extend([(50, 50), (0, 100)]);
        assert_eq!(scene.seen.weights(), weights, "an edit moves nothing on");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

/// As with `kubectl patch`, or an editor.
fn edit(scene: &Scene, a: i64, b: i64) -> Result<(), Error> {
    let place = |i| format!("/spec/rules/0/backendRefs/{i}/weight");
    let patch = json!([
        {"op": "replace", "path": place(0), "value": a},
        {"op": "replace", "path": place(1), "value": b},
    ]);
    let namespace = scene.wine.namespace.as_str();
    let args = ["patch", "httproute", &scene.wine.name, "-n", namespace, "--type=json", "-p"];
    scene.kubectl(&[&args[..], &[&patch.to_string()]].concat()).map(drop)
}

/// An Event tells of it.
fn said(scene: &Scene) -> Result<(), Error> {
    let selector = format!("reason={}", Reason::RouteEdited);
    let args = ["get", "events", "-n", &scene.wine.namespace, "--field-selector", &selector, "-o"];
    let found = scene.kubectl(&[&args[..], &["jsonpath={.items[*].message}"]].concat())?;
    let told = found.contains("somebody else changed the weights of HTTPRoute wine to a 10, b 90");
    if told && found.contains("set back to a 75, b 25") { Ok(()) } else { Err(format!("{found:?}").into()) }
}
