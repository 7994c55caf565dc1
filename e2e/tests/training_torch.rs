//! Real PyTorch: DistributedDataParallel over two pods that find each other by name. Its image is large, so that this is
//! only played where it was made before, or where `SERIN_E2E_TORCH` is set.

use std::time::Duration;

use serde_json::json;
use serin_api::AttemptEnd;
use serin_bed::torch;
use serin_e2e::{
    images,
    ring::run,
    training::{Recipe, succeeded},
};

/// Importing PyTorch takes its time.
const PATIENCE: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread")]
async fn pytorch_trains_over_two_pods() {
    run("torch", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the nodes of a given cluster do not have the image");
            return Ok(());
        }
        let tar = match torch::made() {
            Some(tar) => tar,
            None if std::env::var_os("SERIN_E2E_TORCH").is_some() => {
                tokio::task::block_in_place(|| torch::make(&mut |line| eprintln!("{line}")))?
            }
            None => {
                eprintln!("skipped: there is no image with PyTorch yet; SERIN_E2E_TORCH=1 makes it");
                return Ok(());
            }
        };
        tokio::task::block_in_place(|| scene.ring.bed.load_image(&tar))?;
        let program = include_bytes!("programs/ddp.py");
        let training = scene.training()?;
        training.store.put("data", "torch/ddp.py", program)?;

        let mut object = training.plain("ddp", Recipe::V1)?;
        object["spec"]["parameters"] = json!({"learning_rate": "0.1"});
        object["spec"]["trainer"] = json!({
            "image": torch::IMAGE,
            "imagePullPolicy": "Never",
            "command": ["python3", "/serin/data/code/ddp.py"],
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "nodes": 2,
            "launcher": "Env",
        });
        // The program is an input like any other, named by its content.
        let code =
            json!({"name": "code", "uri": "s3://data/torch/ddp.py", "digest": images::sha256(program)});
        object["spec"]["datasets"] = json!([training.dataset("train", "train.csv")?, code]);
        training.apply(&scene.kube, &object).await?;
        let status = training.until(&scene.kube, "ddp", "a version", PATIENCE, succeeded).await?;
        assert_eq!(status.attempts.first().and_then(|a| a.end), Some(AttemptEnd::Succeeded), "{status:?}");
        assert_eq!(status.attempt, 1);
        let model = status.output.ok_or("no output")?.model;
        assert!(model.uri.ends_with("/model.pt"), "{}", model.uri);
        Ok(())
    })
    .await;
}
