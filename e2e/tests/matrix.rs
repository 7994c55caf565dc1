//! People change their minds at any moment: version A serves, B is tried, and then the spec says A again, A and again B,
//! or C. Whenever that is, A's pods stay as they are and no request fails.

use std::{collections::BTreeMap, time::Instant};

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{
    Outcome, Phase, Reason,
    conditions::{self, Type},
};
use serin_e2e::{
    Error, client,
    images::Version,
    load::Load,
    ring::{PATIENCE, Scene, run, status},
};

/// Weights of the steps.
const STEPS: [i64; 3] = [25, 50, 75];
/// How long nothing but another spec ends a step.
const HELD_SECONDS: u32 = 600;
/// How long what lost its traffic is kept.
const DRAIN_SECONDS: i32 = 2;
/// What people call C.
const C: &str = "v2-tuned";

/// Where B is when the spec changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// It has a pod, but none that is available.
    Before,
    /// It is at its first step.
    Early,
    /// It is at a step in the middle.
    Middle,
    /// It is at its last step.
    Late,
    /// It crashes again and again, and never had traffic.
    Crashing,
}

use Moment::{Before, Crashing, Early, Late, Middle};

impl Moment {
    /// Steps that B has begun.
    const fn steps(self) -> usize {
        match self {
            Before | Crashing => 0,
            Early => 1,
            Middle => 2,
            Late => STEPS.len(),
        }
    }

    const fn version(self) -> Version {
        if matches!(self, Crashing) { Version::Crashing } else { Version::V2 }
    }

    /// The object that asks for B.
    fn object(self, scene: &Scene) -> Result<Value, Error> {
        let mut object = scene.object(self.version())?;
        if self == Before {
            // Ready is not available yet.
            object["spec"]["availability"]["minReadySeconds"] = json!(6);
        }
        Ok(object)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn back_to_what_serves(#[values(Before, Early, Middle, Late, Crashing)] moment: Moment) {
    run(&name("back", moment), async |scene| {
        let trial = Trial::begin(scene, moment).await?;
        let asked = Instant::now();
        trial.back_to_a().await?;
        let took = asked.elapsed();
        assert!(took.as_secs() < 10, "back without an analysis, but it took {took:?}");
        trial.scene.settled().await?;
        trial.gone_after_its_drain().await?;
        trial.outcomes(&[Outcome::Superseded, Outcome::Deployed]).await?;
        trial.a_is_untouched().await?;
        trial.end(Version::V1, &[]).await
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn back_and_forth(#[values(Before, Early, Middle, Late)] moment: Moment) {
    run(&name("forth", moment), async |scene| {
        let trial = Trial::begin(scene, moment).await?;
        trial.back_to_a().await?;
        trial.a_is_untouched().await?;
        trial.scene.put(&moment.object(trial.scene)?).await?;
        trial.scene.canary("v2").await?;
        trial.a_is_untouched().await?;
        trial.promoted("v2").await?;
        trial.end(Version::V2, &[25, 50, 75, 100]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_forth_after_a_crash() {
    run(&name("forth", Crashing), async |scene| {
        let trial = Trial::begin(scene, Crashing).await?;
        let scene = &*trial.scene;
        let b = Crashing.version().label();
        scene.ended(b, Outcome::RolledBack).await?;
        scene.apply(Version::V1).await?;
        scene.serves("v1").await?;
        scene.put(&Crashing.object(scene)?).await?;
        scene.until("B is refused at once", is_refused).await?;
        scene.settled().await?;
        trial.outcomes(&[Outcome::RolledBack, Outcome::Deployed]).await?;
        let failed = scene.status().await?.last_failed.ok_or("no lastFailed")?;
        assert_eq!((failed.version.as_str(), failed.reason.as_str()), (b, Reason::CrashLoop.as_str()));

        let args = ["retry", &scene.wine.name, "--namespace", &scene.wine.namespace];
        let said = scene.ring.built.kubectl_serin(&scene.ring.bed, &args)?;
        assert!(said.contains("is to be tried again"), "{said}");
        let again = scene.until("B is tried once more", |_, s| s.candidate.is_some());
        let tried = status(&again.await?).candidate.ok_or("no candidate")?;
        assert_eq!((tried.version.as_str(), tried.step.as_str()), (b, "0/3"));
        trial.a_is_untouched().await?;
        trial.end(Version::V1, &[]).await
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn on_to_a_third(#[values(Before, Early, Middle, Late, Crashing)] moment: Moment) {
    run(&name("third", moment), async |scene| {
        let trial = Trial::begin(scene, moment).await?;
        let scene = &*trial.scene;
        let mut third = scene.object(Version::V2)?;
        third["spec"]["model"]["version"] = json!(C);
        third["spec"]["server"]["env"] = json!([{"name": "TUNED", "value": "yes"}]);
        scene.put(&third).await?;
        scene.ended(moment.version().label(), Outcome::Superseded).await?;
        let md = scene.canary(C).await?;
        let tried = status(&md).candidate.ok_or("no candidate")?;
        assert_ne!(tried.revision, trial.b);
        assert!(scene.pods_of(&trial.b).await?.is_empty(), "it began when the former one had gone");
        trial.a_is_untouched().await?;
        trial.promoted(C).await?;
        trial.end(Version::V2, &[25, 50, 75, 100]).await
    })
    .await;
}

fn name(story: &str, moment: Moment) -> String {
    format!("{story}-{moment:?}").to_lowercase()
}

fn is_refused(md: &serin_api::ModelDeployment, s: &serin_api::ModelDeploymentStatus) -> bool {
    let current = s.observed_generation == md.metadata.generation;
    let stalled = conditions::get(&s.conditions, Type::Stalled);
    let rejected = stalled.is_some_and(|c| c.status == "True" && c.reason == Reason::Rejected.as_str());
    current && rejected && s.candidate.is_none()
}

/// Quick steps; one of them, counted from 1, is held.
fn steps(held: usize) -> Value {
    let step =
        |(i, weight)| json!({"weight": weight, "holdSeconds": if i + 1 == held { HELD_SECONDS } else { 1 }});
    let steps: Vec<Value> = STEPS.into_iter().enumerate().map(step).collect();
    json!({"steps": steps, "analysis": {"intervalSeconds": 2}})
}

/// A serves under load, and B was brought to a moment.
struct Trial<'a> {
    scene: &'a mut Scene,
    moment: Moment,
    load: Load,
    /// A's pods.
    a: BTreeMap<String, i32>,
    /// B's revision.
    b: String,
}

impl<'a> Trial<'a> {
    async fn begin(scene: &'a mut Scene, moment: Moment) -> Result<Self, Error> {
        scene.wine.replicas = 2;
        scene.wine.drain_seconds = DRAIN_SECONDS;
        scene.wine.rollout = steps(moment.steps());
        scene.begin().await?;
        let a = scene.stable_pods().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;
        scene.put(&moment.object(scene)?).await?;
        let what = format!("B is there: {moment:?}");
        let wanted = i32::try_from(moment.steps())?;
        let md =
            scene.until(&what, |_, s| s.candidate.as_ref().is_some_and(|c| c.step_index == wanted)).await?;
        let b = status(&md).candidate.ok_or("no candidate")?.revision;
        match moment {
            Before => pods(scene, &b, "B has pods", |pods| !pods.is_empty()).await?,
            Crashing => pods(scene, &b, "B crashes", |pods| pods.values().any(|n| *n > 0)).await?,
            Early | Middle | Late => scene.answers(&load, Version::V2).await?,
        }
        // From here on nothing is held.
        scene.wine.rollout = steps(0);
        let now = scene.status().await?.candidate.ok_or("B has ended too early")?;
        let phase = if moment.steps() == 0 { Phase::Starting } else { Phase::Canary };
        assert_eq!((now.phase, now.step_index), (phase, wanted), "it is still the moment: {moment:?}");
        Ok(Self { scene, moment, load, a, b })
    }

    /// The spec is A's again, and B was not found bad.
    async fn back_to_a(&self) -> Result<(), Error> {
        let scene = &*self.scene;
        scene.apply(Version::V1).await?;
        scene.ended(self.moment.version().label(), Outcome::Superseded).await?;
        scene.serves("v1").await?;
        assert!(scene.status().await?.last_failed.is_none(), "nothing was rejected");
        Ok(())
    }

    /// B's pods are gone, not before the drain time was over.
    async fn gone_after_its_drain(&self) -> Result<(), Error> {
        let last = self.scene.status().await?.history.first().cloned().ok_or("no history")?;
        let since = chrono::Utc::now() - last.at;
        assert!(since.num_seconds() >= DRAIN_SECONDS.into(), "gone {since} after its end");
        assert!(self.scene.pods_of(&self.b).await?.is_empty(), "B has pods");
        Ok(())
    }

    async fn a_is_untouched(&self) -> Result<(), Error> {
        assert_eq!(self.scene.stable_pods().await?, self.a, "A's pods were neither replaced nor restarted");
        Ok(())
    }

    /// A version takes over after B was superseded.
    async fn promoted(&self, version: &str) -> Result<(), Error> {
        self.scene.serves(version).await?;
        self.scene.settled().await?;
        self.outcomes(&[Outcome::Promoted, Outcome::Superseded, Outcome::Deployed]).await
    }

    /// How versions ended, newest first.
    async fn outcomes(&self, wanted: &[Outcome]) -> Result<(), Error> {
        let found: Vec<Outcome> = self.scene.status().await?.history.iter().map(|h| h.outcome).collect();
        assert_eq!(found, wanted);
        Ok(())
    }

    /// Every weight there was, and every request: B's steps until the moment, back to 0, and what came `then`; no failure
    /// up to and with the answers of whoever serves now.
    async fn end(self, serving: Version, then: &[i64]) -> Result<(), Error> {
        let Self { scene, moment, load, .. } = self;
        scene.answers(&load, serving).await?;
        let mut wanted = vec![0];
        wanted.extend(&STEPS[..moment.steps()]);
        if moment.steps() > 0 {
            wanted.push(0);
        }
        wanted.extend(then);
        let weights: Vec<i64> = scene.seen.weights().into_iter().map(|(_, b)| b).collect();
        assert_eq!(weights, wanted, "every weight of B's slot");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    }
}

/// Waits for pods of a revision: restarts by UID.
async fn pods(
    scene: &Scene,
    revision: &str,
    what: &str,
    are: impl Fn(&BTreeMap<String, i32>) -> bool,
) -> Result<(), Error> {
    client::until(what, PATIENCE, || async {
        let found = scene.pods_of(revision).await.map_err(|e| e.to_string())?;
        if are(&found) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}
