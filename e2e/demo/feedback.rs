//! The story of `--loop`: nobody trains and nobody deploys. A policy and a channel are applied once; then the wines that
//! people ask about change, and with them the data in the store.
//!
//! The first model has only ever seen the lighter half of the wines, of which four in ten are good. Then people ask about
//! the stronger half, of which seven in ten are: it is wrong twice as often. What it is asked and what would have been
//! right is known a moment later, as where users give feedback.

use std::time::Duration;

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use serin_api::{
    ModelDeployment, Outcome, RetrainPolicy, RetrainPolicyStatus, RunRecord, TriggerState, conditions,
};
use serin_bed::Bed;

use super::{
    Arguments, Shared, learn,
    rollout::{Live, status},
    story::{LOAD_SECONDS, NAMESPACE, Stage, set},
    timeline::lock,
};
use crate::{
    Error, client,
    images::{self, Built},
    load::{Call, Counts, Load},
    s3::Store,
};

/// Name of the policy.
const POLICY: &str = "wine";
/// Up to this many of a thousand answers may be wrong: the first model is wrong about 210 of the lighter wines and 400 of the
/// stronger ones, the second one about 180.
const MAX_BAD_PERMILLE: i32 = 300;
/// For each thing that happens by itself.
const PATIENCE: Duration = Duration::from_mins(5);

/// Tells the story on a bed.
pub async fn tell(arguments: &Arguments, bed: &Bed, timeline: &Shared) -> Result<(), Error> {
    let stage = set(bed, timeline).await?;
    let Stage { built, kube, wine, .. } = &stage;
    let store = Store::of(bed)?;
    let policies: Api<RetrainPolicy> = Api::namespaced(kube.clone(), NAMESPACE);
    let mut live = Live { kube, wine, timeline, load: None };

    lock(timeline).begin(
        "apply",
        "a RetrainPolicy and a ModelDeployment on a channel; from here on nobody does anything",
    );
    bring(&store, built, "light.csv", "light-eval.csv")?;
    let apply = PatchParams::apply("e2e").force();
    policies.patch(POLICY, &apply, &Patch::Apply(&policy(&stage)?)).await?;
    let mut deployment = wine.object_of("-");
    deployment["spec"]["model"] = json!({"channel": {"model": "wine"}});
    wine.put(kube, &deployment).await?;
    lock(timeline).done("applied: there is no version yet");

    lock(timeline).begin(
        "first",
        "there is no version: the policy has the first one trained, and the channel serves it",
    );
    let first = trained(&stage, &policies, timeline, 1, "v1").await?;
    live.watch("v1 serves", |md| serves(md, &first)).await?;
    lock(timeline).done(&format!("{first} was trained on the lighter wines and serves"));

    lock(timeline).begin("light", "people ask about lighter wines, and say what would have been right");
    let host = wine.host.clone().unwrap_or_default();
    std::fs::create_dir_all(images::target().join("demo"))?;
    Load::reachable(bed, built, &host, &images::target().join("demo/load.jsonl")).await?;
    let ask = |wines| -> Result<Load, Error> {
        let call = Call { labelled: Some(wines), ..Call::from(&host) };
        let report = images::target().join(format!("demo/load-{wines}.jsonl"));
        Load::start(bed, built, call, arguments.rps(), LOAD_SECONDS, &report)
    };
    live.load = Some(ask("light")?);
    let words = turned(&policies, timeline, TriggerState::Quiet).await?;
    lock(timeline).done(&words);

    lock(timeline)
        .begin("drift", "people ask about stronger wines, and the data in the store changes with them");
    let before = live.load.take().ok_or("no load")?.stop().await?;
    bring(&store, built, "train.csv", "strong-eval.csv")?;
    live.load = Some(ask("strong")?);
    let words = turned(&policies, timeline, TriggerState::Breached).await?;
    lock(timeline).done(&words);

    lock(timeline).begin("retrain", "the policy has a model trained on the data of that moment");
    let second = trained(&stage, &policies, timeline, 2, "v2").await?;
    lock(timeline).done(&format!("{second} was trained, and is better on the stronger wines"));

    lock(timeline).begin("canary", "the channel leads to it: tried on live traffic, and kept on evidence");
    let md = live.watch("v2 takes over", |md| serves(md, &second)).await?;
    let outcome = status(&md).history.first().map(|h| h.outcome);
    if outcome != Some(Outcome::Promoted) {
        return Err(format!("{second} should have been promoted, but was {outcome:?}").into());
    }
    lock(timeline).done(&format!("{second} was promoted"));

    lock(timeline).begin("recovery", "live answers are as right as they were");
    let words = turned(&policies, timeline, TriggerState::Quiet).await?;
    lock(timeline).done(&words);
    remember(&stage, bed, &policies, timeline).await?;
    close(live, &before).await
}

/// What lies at the policy's addresses from now on.
fn bring(store: &Store, built: &Built, train: &str, exam: &str) -> Result<(), Error> {
    for (file, key) in [(train, "latest.csv"), (exam, "exam.csv")] {
        let data = built.data.iter().find(|d| d.name == file).ok_or_else(|| format!("no data set {file}"))?;
        store.put("data", &format!("{NAMESPACE}/{key}"), &std::fs::read(&data.file)?)?;
    }
    Ok(())
}

fn policy(stage: &Stage) -> Result<Value, Error> {
    let Stage { built, training, .. } = stage;
    let exam = built.data.iter().find(|d| d.name == "light-eval.csv").ok_or("no data set light-eval.csv")?;
    let program = |verb: &str| {
        json!({
            "image": images::WINE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/wine", verb],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        })
    };
    let mut evaluation = program("evaluate");
    evaluation["dataset"] =
        json!({"name": "eval", "uri": format!("s3://data/{NAMESPACE}/exam.csv"), "digest": exam.digest});
    evaluation["gate"] = json!({"metrics": [{"name": "accuracy", "min": "0.6", "minImprovement": "0"}]});
    let mut trainer = program("train");
    trainer["terminationGracePeriodSeconds"] = json!(10);
    Ok(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "RetrainPolicy",
        "metadata": {"name": POLICY, "namespace": NAMESPACE},
        "spec": {
            "deploymentRef": stage.wine.name,
            "triggers": [
                {"name": "mistakes", "quality": {
                    "bad": {"series": "wine_predictions_wrong_total"},
                    "all": {"series": "wine_predictions_labelled_total"},
                    "maxBadPermille": MAX_BAD_PERMILLE, "windowSeconds": 60, "forSeconds": 20, "minCount": 300,
                }},
                {"name": "stale", "maxAge": {"seconds": 86_400}},
            ],
            "data": [
                {"name": "train", "uri": format!("s3://data/{NAMESPACE}/latest.csv")},
                {"name": "eval", "uri": format!("s3://data/{NAMESPACE}/exam.csv"), "use": "Evaluation"},
            ],
            "template": {
                "model": "wine",
                "trainer": trainer,
                "parameters": {"max_depth": "5", "trees": "25"},
                "seed": "1",
                "output": {"uri": format!("s3://models/{NAMESPACE}/wine")},
                "storage": training.storage(),
                "evaluation": evaluation,
            },
            // A demo has no hour to wait.
            "cooldownSeconds": 20,
            "settleSeconds": 10,
        },
    }))
}

async fn now(policies: &Api<RetrainPolicy>) -> Result<RetrainPolicyStatus, String> {
    policies.get(POLICY).await.map(|p| p.status.unwrap_or_default()).map_err(|e| e.to_string())
}

/// What the policy says of itself.
fn says(status: &RetrainPolicyStatus) -> String {
    let ready = conditions::get(&status.conditions, conditions::Type::Ready);
    ready.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default()
}

/// Waits for the version of the run with this number, which nobody asked for but the policy.
async fn trained(
    stage: &Stage,
    policies: &Api<RetrainPolicy>,
    t: &Shared,
    number: i32,
    label: &'static str,
) -> Result<String, Error> {
    let mut said = String::new();
    let record: RunRecord = client::until("the policy's run leads to a version", PATIENCE, || async {
        let status = now(policies).await?;
        let words = says(&status);
        let record = status.runs.into_iter().find(|r| r.number == number);
        if let Some(record) = &record {
            let of_run = stage.training.status(&stage.kube, &record.name).await.map_err(|e| e.to_string())?;
            lock(t).run(learn::run(label, &record.name, &of_run));
        }
        record.filter(|r| r.ended_at.is_some()).ok_or(words)
    })
    .await?;
    said.push_str(&record.message);
    let version = record.version.clone().ok_or_else(|| format!("{record:?}"))?;
    let found = stage.training.versions(&stage.kube).get(&version).await?;
    let mut timeline = lock(t);
    timeline.say(&format!("{} was started by {}: {said}", record.name, record.trigger));
    timeline.versions.push((found.spec.artifact.digest.0, label.to_owned()));
    Ok(version)
}

/// Waits until the trigger on quality says so; gives its words.
async fn turned(policies: &Api<RetrainPolicy>, t: &Shared, wanted: TriggerState) -> Result<String, Error> {
    let what = format!("live quality is {wanted:?}");
    let words = client::until(&what, PATIENCE, || async {
        let status = now(policies).await?;
        let trigger = status.triggers.iter().find(|t| t.name == "mistakes").ok_or("no trigger")?;
        if trigger.state == wanted { Ok(trigger.message.clone()) } else { Err(says(&status)) }
    })
    .await?;
    lock(t).say(&format!("{what}: {words}"));
    Ok(words)
}

fn serves(md: &ModelDeployment, version: &str) -> bool {
    let s = status(md);
    conditions::is_true(&s.conditions, conditions::Type::Ready)
        && s.candidate.is_none()
        && s.stable.is_some_and(|s| s.spec.model.version_ref.as_deref() == Some(version))
}

/// The policy knows what came of its runs, and the chain can be told from the end.
async fn remember(stage: &Stage, bed: &Bed, policies: &Api<RetrainPolicy>, t: &Shared) -> Result<(), Error> {
    lock(t).begin("lineage", "each version knows what it was made of and what came of it");
    let runs = now(policies).await?.runs;
    for record in &runs {
        let version = record.version.as_deref().unwrap_or_default();
        let lineage = stage.built.kubectl_serin(bed, &["lineage", version, "--namespace", NAMESPACE])?;
        let lineage = lineage.lines().map(str::to_owned).collect();
        lock(t).remember(version, format!("started by {}", record.trigger), lineage);
    }
    lock(t).done(&format!("{} runs, each started by the policy", runs.len()));
    Ok(())
}

/// No request failed, whatever changed, and no pod restarted.
async fn close(mut live: Live<'_>, before: &Counts) -> Result<(), Error> {
    let t = live.timeline;
    lock(t).begin("check", "no request failed, and no pod restarted");
    let mut counts = live.load.take().ok_or("no load")?.stop().await?;
    counts.add(before);
    let failed: u64 = counts.by_digest.values().map(crate::load::Version::failed).sum();
    let restarts = live.restarts().await?;
    let mut timeline = lock(t);
    let words = format!("{failed} of {} requests failed, {restarts} restarts", counts.sent);
    timeline.counts = counts;
    timeline.facts.failed_stable = failed;
    timeline.facts.pod_restarts = restarts;
    if failed == 0 && restarts == 0 {
        timeline.done(&words);
        Ok(())
    } else {
        Err(words.into())
    }
}
