//! Jobs and Services: what users, queues and clusters rely on.

use serde_json::{Value, json};
use serin_api::{Champion, Layout, ModelFiles, TrainingRunSpec};
use serin_engine::training::{
    EvaluationJob,
    objects::{self, rule},
};
use serin_wire::{Task, places::exit};

use crate::support::{DATA, MODEL, OTHER, UID, digest, run, spec};

fn files(uri: &str, digest_: &str) -> ModelFiles {
    ModelFiles {
        uri: uri.to_owned(),
        digest: digest(digest_),
        layout: Layout::File,
        size_bytes: 7,
        format: None,
    }
}

fn attempt(spec: &TrainingRunSpec) -> Value {
    objects::attempt(&run(spec), 2, None, None, "agent:1").unwrap()
}

fn pod(job: &Value) -> &Value {
    &job["spec"]["template"]["spec"]
}

/// Name and value (or field path) of a container's environment.
fn env(container: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let value = |e: &Value| match &e["value"] {
        Value::Null => text(&e["valueFrom"]["fieldRef"]["fieldPath"]),
        value => text(value),
    };
    container["env"].as_array().unwrap().iter().map(|e| (text(&e["name"]), value(e))).collect()
}

/// The launcher's part of the environment.
fn launcher(changes: &[(&str, Value)]) -> Vec<(String, String)> {
    let job = attempt(&spec(changes));
    let ours = ["PET_", "MASTER_", "WORLD_SIZE", "RANK", "TORCHELASTIC_"];
    let is_ours = |(name, _): &(String, String)| ours.iter().any(|o| name.starts_with(o));
    env(&pod(&job)["containers"][0]).into_iter().filter(is_ours).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

const INDEX: &str = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
const HOST: &str = "wine-7-a2-0.wine-7-a2.cellar.svc";

#[test]
fn an_attempt_is_one_job_that_ends_with_its_first_failure() {
    let job = attempt(&spec(&[("/trainer/nodes", json!(3)), ("/trainer/launcher", json!("Torchrun"))]));
    assert_eq!(job["metadata"]["name"], "wine-7-a2");
    let spec = &job["spec"];
    for (field, value) in [
        ("completionMode", json!("Indexed")),
        ("completions", json!(3)),
        ("parallelism", json!(3)),
        ("backoffLimit", json!(0)),
        ("podReplacementPolicy", json!("Failed")),
        ("suspend", json!(false)),
    ] {
        assert_eq!(spec[field], value, "{field}");
    }
    assert_eq!(spec.get("ttlSecondsAfterFinished"), None);
    assert_eq!(spec.get("activeDeadlineSeconds"), None);
    assert_eq!(pod(&job)["restartPolicy"], "Never");
    assert_eq!(pod(&job)["subdomain"], "wine-7-a2");
}

#[test]
fn owner_and_labels_say_whose_it_is_and_pods_carry_them() {
    let spec = spec(&[("/queueName", json!("gpus"))]);
    let job = attempt(&spec);
    let labels = json!({
        "app.kubernetes.io/managed-by": "serin",
        "serin.dev/training-run": "wine-7",
        "serin.dev/run-uid": UID,
        "serin.dev/attempt": "2",
    });
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    let owner = &job["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"], &owner["controller"]),
        (&json!("TrainingRun"), &json!(UID), &json!(true))
    );
    // The queue's label is on the Job alone, which waits for the queue.
    assert_eq!(job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "gpus");
    assert_eq!(job["spec"]["suspend"], true);
}

#[test]
fn the_rules_of_failure_stand_where_the_reader_looks() {
    let rules =
        |changes: &[(&str, Value)]| attempt(&spec(changes))["spec"]["podFailurePolicy"]["rules"].clone();
    let fixed = rules(&[]);
    assert!(fixed.as_array().unwrap().iter().all(|r| r["action"] == "FailJob"));
    assert_eq!(fixed[rule::DISRUPTED]["onPodConditions"][0]["type"], "DisruptionTarget");
    let fatal = &fixed[rule::FATAL]["onExitCodes"];
    assert_eq!(fatal["containerName"], "train");
    assert_eq!(fatal["values"], json!((exit::FATAL_FIRST..=exit::FATAL_LAST).collect::<Vec<_>>()));
    assert_eq!(fixed[rule::INPUTS_REFUSED]["onExitCodes"]["values"], json!([exit::INPUTS_REFUSED]));
    assert_eq!(fixed[rule::NO_OUTPUT]["onExitCodes"]["values"], json!([exit::NO_OUTPUT]));
    let elastic = rules(&[
        ("/trainer/nodes", json!(3)),
        ("/trainer/minNodes", json!(2)),
        ("/trainer/launcher", json!("Torchrun")),
    ]);
    assert_eq!(elastic[rule::DISRUPTED]["action"], "Ignore");
    assert_eq!(elastic.as_array().unwrap()[1..], fixed.as_array().unwrap()[1..]);
}

#[test]
fn plain_gets_nothing_of_a_launcher() {
    assert_eq!(launcher(&[]), pairs(&[]));
    assert_eq!(pod(&attempt(&spec(&[]))).get("subdomain"), None);
}

#[test]
fn torchrun_of_a_fixed_gang_is_static() {
    let env = launcher(&[
        ("/trainer/nodes", json!(3)),
        ("/trainer/processesPerNode", json!(8)),
        ("/trainer/launcher", json!("Torchrun")),
    ]);
    let id = format!("{UID}-a2");
    let expected = [
        ("PET_NNODES", "3"),
        ("PET_NPROC_PER_NODE", "8"),
        ("PET_RDZV_ID", id.as_str()),
        ("PET_MAX_RESTARTS", "0"),
        ("TORCHELASTIC_ERROR_FILE", "/dev/termination-log"),
        ("PET_NODE_RANK", INDEX),
        ("PET_MASTER_ADDR", HOST),
        ("PET_MASTER_PORT", "29500"),
        ("MASTER_ADDR", HOST),
        ("MASTER_PORT", "29500"),
    ];
    assert_eq!(env, pairs(&expected));
}

#[test]
fn torchrun_that_may_shrink_meets_by_c10d() {
    let env = launcher(&[
        ("/trainer/nodes", json!(4)),
        ("/trainer/minNodes", json!(2)),
        ("/trainer/launcher", json!("Torchrun")),
    ]);
    let (id, endpoint) = (format!("{UID}-a2"), format!("{HOST}:29500"));
    let expected = [
        ("PET_NNODES", "2:4"),
        ("PET_NPROC_PER_NODE", "1"),
        ("PET_RDZV_ID", id.as_str()),
        ("PET_MAX_RESTARTS", "10"),
        ("TORCHELASTIC_ERROR_FILE", "/dev/termination-log"),
        ("PET_RDZV_BACKEND", "c10d"),
        ("PET_RDZV_ENDPOINT", endpoint.as_str()),
    ];
    assert_eq!(env, pairs(&expected));
}

#[test]
fn env_speaks_of_processes_one_a_pod() {
    let env = launcher(&[("/trainer/nodes", json!(2)), ("/trainer/launcher", json!("Env"))]);
    let expected = [("MASTER_ADDR", HOST), ("MASTER_PORT", "29500"), ("WORLD_SIZE", "2"), ("RANK", INDEX)];
    assert_eq!(env, pairs(&expected));
    // A pod alone has no Service, and its own name may not be in the DNS.
    let alone = launcher(&[("/trainer/launcher", json!("Env"))]);
    assert_eq!(alone[0], ("MASTER_ADDR".to_owned(), "127.0.0.1".to_owned()));
}

#[test]
fn the_users_environment_comes_after_ours_and_before_the_launchers() {
    let job = attempt(&spec(&[
        ("/trainer/launcher", json!("Env")),
        ("/storage", json!({"endpoint": "http://s3:9000", "region": "eu-1", "secretName": "keys"})),
    ]));
    let container = &pod(&job)["containers"][0];
    let names: Vec<_> = env(container).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "SERIN_TASK",
            "SERIN_STORAGE_ENDPOINT",
            "SERIN_STORAGE_REGION",
            "LOG_LEVEL",
            "MASTER_ADDR",
            "MASTER_PORT",
            "WORLD_SIZE",
            "RANK"
        ]
    );
    for container in [container, &pod(&job)["initContainers"][0]] {
        assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "keys"}}]));
    }
}

#[test]
fn the_task_says_everything_and_the_kubelet_replaces_nothing_in_it() {
    let spec = spec(&[("/checkpoints", json!({"uri": "pvc://scratch/wine"}))]);
    let base = files("s3://models/wine/base/model.json", MODEL);
    let job = objects::attempt(&run(&spec), 2, Some(&base), None, "agent:1").unwrap();
    let text = env(&pod(&job)["containers"][0])[0].1.clone();
    assert!(!text.contains('$'), "{text}");
    let Task::Train(task) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
    assert_eq!((task.run_uid.as_str(), task.attempt), (UID, 2));
    assert_eq!(task.parameters["price"], "$(TOKEN) is 5$");
    assert_eq!(task.seed.as_deref(), Some("7"));
    assert_eq!((task.datasets[0].name.as_str(), task.datasets[0].digest.as_str()), ("train", DATA));
    assert_eq!(task.base.unwrap().digest, MODEL);
    assert_eq!(task.output, "s3://models/wine");
    assert_eq!(task.checkpoints.as_deref(), Some("pvc://scratch/wine"));
    assert_eq!(env(&pod(&job)["initContainers"][0])[0].1, text);
}

#[test]
fn a_task_that_no_environment_takes_is_refused() {
    let parameters: serde_json::Map<_, _> =
        (0..128).map(|i| (format!("p{i}"), json!("x".repeat(1024)))).collect();
    let spec = spec(&[("/parameters", Value::Object(parameters))]);
    let refused = objects::attempt(&run(&spec), 1, None, None, "agent:1").unwrap_err();
    assert!(refused.contains("a pod's environment takes 122880"), "{refused}");
}

#[test]
fn the_agent_runs_the_program() {
    let job = attempt(&spec(&[]));
    let program = &pod(&job)["containers"][0];
    assert_eq!(program["name"], "train");
    assert_eq!(program["command"], json!(["/serin/bin/serin-agent"]));
    assert_eq!(program["args"], json!(["run", "--", "python3", "train.py", "--fast"]));
    assert_eq!(program["terminationMessagePolicy"], "File");
    let prepare = &pod(&job)["initContainers"][0];
    assert_eq!((&prepare["name"], &prepare["image"]), (&json!("prepare"), &json!("agent:1")));
    assert_eq!((&prepare["command"], &prepare["args"]), (&json!(["/serin-agent"]), &json!(["prepare"])));
}

#[test]
fn claims_are_mounted_once_and_written_only_by_the_program_and_only_where_it_publishes() {
    let job = attempt(&spec(&[
        (
            "/datasets",
            json!([
                {"name": "a", "uri": "pvc://data/a.csv", "digest": DATA},
                {"name": "b", "uri": "pvc://data/b.csv", "digest": DATA},
                {"name": "c", "uri": "pvc://models/old.csv", "digest": DATA},
            ]),
        ),
        ("/output", json!({"uri": "pvc://models/wine"})),
        ("/checkpoints", json!({"uri": "pvc://scratch/wine"})),
        ("/trainer/sharedMemory", json!("2Gi")),
    ]));
    let volumes: Vec<_> = pod(&job)["volumes"].as_array().unwrap().clone();
    assert_eq!(
        volumes,
        [
            json!({"name": "serin", "emptyDir": {}}),
            json!({"name": "claim-0", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}}),
            json!({"name": "claim-1", "persistentVolumeClaim": {"claimName": "models", "readOnly": false}}),
            json!({"name": "claim-2", "persistentVolumeClaim": {"claimName": "scratch", "readOnly": false}}),
            json!({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}),
        ]
    );
    let mounts = |container: &Value| -> Vec<(String, bool)> {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().map(|m| (m["mountPath"].as_str().unwrap().to_owned(), m["readOnly"] == true)).collect()
    };
    let expected = |writes: bool| {
        vec![
            ("/serin".to_owned(), false),
            ("/mnt/claims/data".to_owned(), true),
            ("/mnt/claims/models".to_owned(), !writes),
            ("/mnt/claims/scratch".to_owned(), !writes),
        ]
    };
    assert_eq!(mounts(&pod(&job)["initContainers"][0]), expected(false));
    let mut program = expected(true);
    program.push(("/dev/shm".to_owned(), false));
    assert_eq!(mounts(&pod(&job)["containers"][0]), program);
}

#[test]
fn no_container_may_escalate_and_tokens_are_asked_for() {
    let plain = attempt(&spec(&[]));
    let pod_ = pod(&plain);
    for container in [&pod_["initContainers"][0], &pod_["containers"][0]] {
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    }
    assert_eq!(pod_["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod_["securityContext"]["fsGroup"], 65532);
    assert_eq!(pod_["automountServiceAccountToken"], false);
    let known = attempt(&spec(&[
        ("/trainer/serviceAccountName", json!("trainer")),
        ("/trainer/runAsUser", json!(1000)),
    ]));
    assert_eq!(pod(&known)["automountServiceAccountToken"], true);
    let context = &pod(&known)["containers"][0]["securityContext"];
    assert_eq!((&context["runAsUser"], &context["runAsNonRoot"]), (&json!(1000), &json!(true)));
}

#[test]
fn the_jobs_own_clock_is_a_backstop() {
    let spec = spec(&[("/preRunningDeadlineSeconds", json!(600))]);
    let job = |remaining| objects::attempt(&run(&spec), 1, None, remaining, "a").unwrap();
    assert_eq!(job(Some(100))["spec"]["activeDeadlineSeconds"], 700);
    assert_eq!(job(Some(-5))["spec"]["activeDeadlineSeconds"], 601);
}

#[test]
fn the_service_of_an_attempt_selects_its_pods_alone() {
    let spec = spec(&[]);
    let service = objects::service(&run(&spec), 2);
    assert_eq!(service["metadata"]["name"], "wine-7-a2");
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(service["spec"]["selector"], json!({"serin.dev/run-uid": UID, "serin.dev/attempt": "2"}));
    assert_eq!(
        (&service["spec"]["ports"][0]["name"], &service["spec"]["ports"][0]["port"]),
        (&json!("rendezvous"), &json!(29500))
    );
    let pod_labels = attempt(&spec)["spec"]["template"]["metadata"]["labels"].clone();
    for (label, value) in service["spec"]["selector"].as_object().unwrap() {
        assert_eq!(pod_labels[label], *value);
    }
}

#[test]
fn an_evaluation_is_bound_by_nonce_and_digests() {
    let spec = spec(&[("/trainer/serviceAccountName", json!("trainer")), ("/queueName", json!("gpus"))]);
    let job = EvaluationJob {
        number: 3,
        nonce: "00112233445566778899aabbccddeeff".to_owned(),
        candidate: files("s3://models/wine/x/model.json", MODEL),
        champion: Some(Champion { version: "wine-1".to_owned(), model: files("pvc://old/wine/m", OTHER) }),
    };
    let made = objects::evaluation(&run(&spec), &job, "agent:1").unwrap();
    assert_eq!(made["metadata"]["name"], "wine-7-e3");
    assert_eq!(made["metadata"]["labels"]["serin.dev/evaluation"], "3");
    assert_eq!(made["metadata"]["labels"].get("serin.dev/attempt"), None);
    assert_eq!(made["spec"]["backoffLimit"], 0);
    assert_eq!(made["spec"]["activeDeadlineSeconds"], 3600);
    assert_eq!(made["spec"].get("suspend"), None);
    let pod = pod(&made);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["serviceAccountName"], "trainer");
    let program = &pod["containers"][0];
    assert_eq!(
        (&program["name"], &program["image"]),
        (&json!("evaluate"), &json!("registry.example/judge:1"))
    );
    assert_eq!(program["args"], json!(["evaluate", "--", "judge"]));
    let Task::Evaluate(task) = serde_json::from_str(&env(program)[0].1).unwrap() else { panic!() };
    assert_eq!((task.number, task.nonce.as_str()), (3, job.nonce.as_str()));
    assert_eq!(task.candidate.digest, MODEL);
    assert_eq!(task.champion.unwrap().digest, OTHER);
    assert_eq!(task.dataset.digest, OTHER);
    assert_eq!(task.reports, "s3://models/wine");
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"], json!({"claimName": "old", "readOnly": true}));
}

#[test]
fn addresses_that_lead_nowhere_are_refused_by_name() {
    for (pointer, uri, says) in [
        ("/output/uri", "s3://models", "output.uri"),
        ("/datasets/0/uri", "pvc://data", "datasets train: uri"),
        ("/output/uri", "s3://models/../x", "'..'"),
    ] {
        let mut value = serde_json::to_value(spec(&[])).unwrap();
        *value.pointer_mut(pointer).unwrap() = json!(uri);
        let spec: TrainingRunSpec = serde_json::from_value(value).unwrap();
        let refused = objects::attempt(&run(&spec), 1, None, None, "a").unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}
