//! What the rollout depends on goes away in the middle of it: the operator, Prometheus.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use serin_api::{
    Outcome, Verdict,
    conditions::{self, Type},
};
use serin_e2e::{
    Error,
    images::Version,
    install,
    ring::{Scene, patient, run_alone, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_in_the_middle_comes_to_the_same_end() {
    run_alone("killed", async |scene| {
        scene.wine.replicas = 2;
        scene.wine.rollout = patient(10);
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.apply(Version::V2).await?;
        kill(scene).await?;
        let md = scene.canary("v2").await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        let before = scene.pods_of(&v2).await?;
        kill(scene).await?;
        scene
            .until("the second step, or the end", |_, s| {
                s.candidate.as_ref().is_none_or(|c| c.step_index >= 2)
            })
            .await?;
        replace(scene).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;
        let after = scene.pods_of(&v2).await?;
        assert!(
            before.keys().all(|uid| after.contains_key(uid)),
            "tested pods serve on: {before:?}, {after:?}"
        );
        let outcomes: Vec<Outcome> = scene.status().await?.history.iter().map(|h| h.outcome).collect();
        assert_eq!(outcomes, [Outcome::Promoted, Outcome::Deployed]);
        let steps = [(100, 0), (75, 25), (50, 50), (0, 100)];
        assert_eq!(scene.seen.weights(), steps, "the same weights as undisturbed");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

/// SIGKILL to the processes of all operators, found by the address of this cluster's Prometheus in their command lines; on
/// a given cluster, their pods are replaced instead.
pub async fn kill(scene: &Scene) -> Result<(), Error> {
    let Some(url) = scene.ring.bed.prometheus_url().filter(|_| !scene.ring.bed.is_external()) else {
        return replace(scene).await;
    };
    let mine = format!("--prometheus-url={url}");
    let is_operator = |dir: &Path| {
        let line = std::fs::read(dir.join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split(|b| *b == 0).filter_map(|w| std::str::from_utf8(w).ok()).collect();
        words.contains(&"operator") && words.contains(&mine.as_str())
    };
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.bytes().all(|b| b.is_ascii_digit()) && is_operator(&entry.path()) {
            let done = std::process::Command::new("kill").args(["-KILL", &pid]).status()?;
            if !done.success() {
                return Err("the operator cannot be killed".into());
            }
        }
    }
    // Between its death and its next start there is none: that is what this is about, too.
    Ok(())
}

/// Its pod is taken away without a word, as by a lost node.
async fn replace(scene: &Scene) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(scene.kube.clone(), install::NAMESPACE);
    let now = DeleteParams::default().grace_period(0);
    let ours = ListParams::default().labels("app.kubernetes.io/name=serin");
    for pod in api.list(&ours).await?.items {
        api.delete(&pod.metadata.name.unwrap_or_default(), &now).await?;
    }
    Ok(())
}

/// How long Prometheus is away.
const OUTAGE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn without_prometheus_a_canary_is_held_and_goes_on_afterwards() {
    run_alone("outage", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the Prometheus of a given cluster is left alone");
            return Ok(());
        }
        scene.wine.rollout = json!({
            "steps": [{"weight": 25, "holdSeconds": 1}, {"weight": 50, "holdSeconds": 10}],
            "analysis": {"intervalSeconds": 2},
        });
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.apply(Version::V2).await?;
        scene
            .until("the second step", |_, s| s.candidate.as_ref().is_some_and(|c| c.step_index == 2))
            .await?;
        scene.ring.bed.prometheus_stop()?;
        let began = Instant::now();
        // Whatever happens in between, it comes back.
        let held = held(scene, began).await;
        scene.ring.bed.prometheus_start()?;
        held?;
        scene
            .until("the metrics are read again", |_, s| {
                conditions::is_true(&s.conditions, Type::MetricsAvailable) || s.candidate.is_none()
            })
            .await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        let outcomes: Vec<Outcome> = scene.status().await?.history.iter().map(|h| h.outcome).collect();
        assert_eq!(outcomes, [Outcome::Promoted, Outcome::Deployed], "no rollback on the way");
        scene.settled().await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

/// The outage: said in the status, and not one weight moves.
async fn held(scene: &Scene, began: Instant) -> Result<(), Error> {
    scene
        .until("MetricsAvailable is False", |_, s| {
            conditions::get(&s.conditions, Type::MetricsAvailable).is_some_and(|c| c.status == "False")
        })
        .await?;
    tokio::time::sleep(OUTAGE.saturating_sub(began.elapsed())).await;
    assert_eq!(scene.seen.weights_since(began), [(50, 50)], "the weight is held");
    let s = scene.status().await?;
    assert_eq!(s.verdict, Some(Verdict::ProviderError));
    assert_eq!(s.candidate.map(|c| c.step), Some("2/2".to_owned()));
    let changes = scene.seen.models_since(began).len();
    assert!(changes <= 4, "an outage is said once, not again and again: {changes} versions of the status");
    Ok(())
}
