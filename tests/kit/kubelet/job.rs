//! Pods of Jobs: they run once and end, and what they leave is read from their status. The Job controller above them is
//! the real one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use serin_api::labels;
use serin_wire::{
    Arm, Evaluate, EvaluationResult, Layout, Look, LookResult, Metric, Place, Published, Report, Seen, Task,
    Train, TrainingResult, places,
};
use sha2::{Digest as _, Sha256};

use super::fate::{End, Fate, Left};
use super::{Shared, status};

/// What the script needs to know of a pod.
#[derive(Debug, Clone)]
pub(super) struct JobPod {
    /// Image of the program.
    pub image: String,
    /// Number of the attempt or evaluation; empty for a pod of nobody's.
    pub number: String,
    /// Completion index.
    pub index: String,
}

/// Whether a Job controller made it.
pub fn is_of_a_job(pod: &Pod) -> bool {
    pod.owner_references().iter().any(|owner| owner.kind == "Job")
}

impl JobPod {
    pub fn of(pod: &Pod) -> Self {
        let label = |name: &str| pod.labels().get(name).cloned();
        let number = label(labels::ATTEMPT).or_else(|| label(labels::EVALUATION)).unwrap_or_default();
        let index = pod.annotations().get("batch.kubernetes.io/job-completion-index").cloned();
        Self { image: status::image(pod), number, index: index.unwrap_or_else(|| "0".to_owned()) }
    }
}

/// One pod, until it has ended.
pub async fn live(shared: Arc<Shared>, pod: Pod) {
    let known = JobPod::of(&pod);
    let mut script = shared.script.subscribe();
    let mut bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let mut running = None;
    let mut before = None;
    loop {
        let (line, fate) = script.borrow_and_update().fate(&known);
        let news = before != Some(line);
        before = Some(line);
        if !bound && !matches!(fate, Fate::Unschedulable) {
            shared.bind(&pod).await;
            bound = true;
        }
        let starts = match &fate {
            Fate::Runs => true,
            Fate::Ends(_, end) => !matches!(end, End::InPrepare(..)),
            Fate::Unschedulable | Fate::ImagePull | Fate::Prepares => false,
        };
        if starts && running.is_none() {
            shared.report(&pod, phase(&pod, Step::Running)).await;
            running = Some(Instant::now());
        }
        match &fate {
            Fate::Unschedulable if news => shared.report(&pod, status::unschedulable()).await,
            Fate::ImagePull if news => shared.report(&pod, phase(&pod, Step::ImagePull)).await,
            Fate::Prepares if news => shared.report(&pod, phase(&pod, Step::Preparing)).await,
            Fate::Unschedulable | Fate::ImagePull | Fate::Prepares | Fate::Runs => {}
            Fate::Ends(after, end) => {
                let left = after.saturating_sub(running.map_or(Duration::ZERO, |since| since.elapsed()));
                // What the script says meanwhile counts.
                if left.is_zero() || tokio::time::timeout(left, script.changed()).await.is_err() {
                    let data = script.borrow().data.clone();
                    shared.report(&pod, ended(&pod, &known, end, &data)).await;
                    return;
                }
                continue;
            }
        }
        if script.changed().await.is_err() {
            return;
        }
    }
}

/// The status of a pod that was told to end before it had: SIGTERM, in the words of a kubelet.
pub fn terminated(pod: &Pod) -> Option<Value> {
    let over = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let over = over.is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
    (!over).then(|| phase(pod, Step::Ended { code: 143, reason: "Error", message: "" }))
}

/// Where it is.
#[derive(Clone, Copy)]
enum Step<'a> {
    ImagePull,
    Preparing,
    Running,
    PrepareEnded { code: i32, message: &'a str },
    Ended { code: i32, reason: &'a str, message: &'a str },
}

fn phase(pod: &Pod, step: Step<'_>) -> Value {
    let now = status::now();
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.iter().flatten().map(|container| match step {
        Step::ImagePull | Step::Preparing => status::running(container, false, 0, &now),
        Step::PrepareEnded { code, message } => status::ended(container, code, "Error", message, &now),
        Step::Running | Step::Ended { .. } => status::ended(container, 0, "Completed", "", &now),
    });
    let init: Vec<Value> = init.collect();
    let programs = spec.containers.iter().map(|container| match step {
        Step::ImagePull => status::waiting(container, 0, "ImagePullBackOff", "Back-off pulling image"),
        Step::Preparing | Step::PrepareEnded { .. } => status::waiting(container, 0, "PodInitializing", ""),
        Step::Running => status::running(container, true, 0, &now),
        Step::Ended { code, reason, message } => status::ended(container, code, reason, message, &now),
    });
    let programs: Vec<Value> = programs.collect();
    let (phase, initialized, ready) = match step {
        Step::ImagePull => ("Pending", true, false),
        Step::Preparing => ("Pending", false, false),
        Step::Running => ("Running", true, true),
        Step::PrepareEnded { .. } => ("Failed", false, false),
        Step::Ended { code: 0, .. } => ("Succeeded", true, false),
        Step::Ended { .. } => ("Failed", true, false),
    };
    let mut status = status::whole(pod, phase, initialized, ready, &init, &programs);
    // Written by others, such as the eviction API; a kubelet leaves it.
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let kept = conditions.filter(|condition| condition.type_ == "DisruptionTarget");
    let kept = kept.map(|condition| serde_json::to_value(condition).unwrap());
    status["conditions"].as_array_mut().unwrap().extend(kept);
    status
}

fn ended(pod: &Pod, known: &JobPod, end: &End, data: &str) -> Value {
    match end {
        End::Well(left) => {
            let message = left_by(pod, known, left, data);
            phase(pod, Step::Ended { code: 0, reason: "Completed", message: &message })
        }
        End::Exit(code, message) => phase(pod, Step::Ended { code: *code, reason: "Error", message }),
        End::OutOfMemory => phase(pod, Step::Ended { code: 137, reason: "OOMKilled", message: "" }),
        End::InPrepare(code, message) => phase(pod, Step::PrepareEnded { code: *code, message }),
        End::Disrupted => {
            let mut status = phase(pod, Step::Ended { code: 137, reason: "Error", message: "" });
            let condition = json!({
                "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                "message": "The node was low on resource: memory.", "lastTransitionTime": status::now(),
            });
            status["conditions"].as_array_mut().unwrap().push(condition);
            status["reason"] = json!("Evicted");
            status
        }
    }
}

/// The termination message, cut where Kubernetes cuts it.
fn left_by(pod: &Pod, known: &JobPod, left: &Left, data: &str) -> String {
    let text = match (left, task(pod)) {
        (Left::Nothing, _) => String::new(),
        (Left::Text(text), _) => text.clone(),
        (_, Some(Task::Train(_))) if known.index != "0" => String::new(),
        (_, None) => String::new(),
        (left, Some(task)) => {
            let mut result = match &task {
                Task::Train(train) => trained(train, &known.image),
                Task::Evaluate(evaluate) => evaluated(evaluate, left),
                Task::Look(look) => seen(look, data),
            };
            if let Left::Forged(change) = left {
                change(&mut result);
            }
            result.to_string()
        }
    };
    text.chars().take(4096).collect()
}

fn task(pod: &Pod) -> Option<Task> {
    let container = pod.spec.as_ref()?.containers.first()?;
    let value = container.env.iter().flatten().find(|env| env.name == places::TASK)?.value.as_ref()?;
    match serde_json::from_str(value) {
        Ok(task) => Some(task),
        Err(error) => {
            eprintln!("kubelet: {} of {} cannot be read: {error}", places::TASK, pod.name_any());
            None
        }
    }
}

/// The same inputs give the same bytes.
fn trained(task: &Train, image: &str) -> Value {
    let inputs = json!([task.datasets, task.base, task.parameters, task.seed, image]);
    let digest = sha256(inputs.to_string().as_bytes());
    let hex = digest.trim_start_matches("sha256:");
    let result = TrainingResult {
        schema: TrainingResult::SCHEMA.to_owned(),
        run_uid: task.run_uid.clone(),
        attempt: task.attempt,
        output: Published {
            uri: format!("{}/{hex}/model.json", task.output),
            digest: digest.clone(),
            layout: Layout::File,
            size_bytes: 1000,
            files: 1,
        },
        resumed_from: (task.attempt > 1 && task.checkpoints.is_some())
            .then(|| format!("a{}/step-200", task.attempt - 1)),
    };
    serde_json::to_value(result).unwrap()
}

fn evaluated(task: &Evaluate, left: &Left) -> Value {
    let (candidate, champion) = match left {
        Left::Accuracy(candidate, champion) => (*candidate, *champion),
        _ => (0.9, 0.8),
    };
    let metric = |arm, value| Metric {
        name: "accuracy".to_owned(),
        arm,
        slice: None,
        value,
        ci_low: None,
        ci_high: None,
        n: Some(1000),
    };
    let mut metrics = vec![metric(Arm::Candidate, candidate)];
    metrics.extend(task.champion.iter().map(|_| metric(Arm::Champion, champion)));
    let report = sha256(task.nonce.as_bytes());
    let hex = report.trim_start_matches("sha256:");
    let result = EvaluationResult {
        schema: EvaluationResult::SCHEMA.to_owned(),
        run_uid: task.run_uid.clone(),
        number: task.number,
        nonce: task.nonce.clone(),
        model_digest: task.candidate.digest.clone(),
        champion_digest: task.champion.as_ref().map(|champion| champion.digest.clone()),
        eval_set_digest: task.dataset.digest.clone(),
        metrics,
        report: Some(Report {
            uri: format!("{}/reports/{hex}/manifest.json", task.reports),
            digest: report.clone(),
        }),
    };
    serde_json::to_value(result).unwrap()
}

/// Every address has the same content, and another digest.
fn seen(task: &Look, data: &str) -> Value {
    let object = |place: &Place| Seen {
        name: place.name.clone(),
        digest: content_digest(&place.uri, data),
        bytes: data.len() as u64,
    };
    let result = LookResult {
        schema: LookResult::SCHEMA.to_owned(),
        policy_uid: task.policy_uid.clone(),
        number: task.number,
        objects: task.objects.iter().map(object).collect(),
    };
    serde_json::to_value(result).unwrap()
}

/// Digest of the content of an address.
pub fn content_digest(uri: &str, data: &str) -> String {
    sha256(format!("{uri} {data}").as_bytes())
}

/// `sha256:` and the digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
