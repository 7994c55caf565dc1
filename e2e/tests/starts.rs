//! Three ways not to start, told apart by a real scheduler and a real kubelet.

use serde_json::{Value, json};
use serin_api::{Outcome, Reason};
use serin_e2e::{
    images::Version,
    ring::{run, status},
};

/// How long each is waited for.
const SECONDS: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn no_node_no_image_and_a_crash_are_three_reasons() {
    run("starts", async |scene| {
        scene.wine.rollout["deadlines"] =
            json!({"unschedulableSeconds": SECONDS, "imagePullSeconds": SECONDS, "crashLoopRestarts": 1});
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(50)?;
        let nowhere: fn(&mut Value) = |server| server["nodeSelector"] = json!({"serin.test/gpu": "yes"});
        // Refused at once: nobody listens there.
        let imageless: fn(&mut Value) = |server| server["image"] = json!("127.0.0.1:1/wine:none");
        let crashing: fn(&mut Value) = |server| server["args"] = json!(["serve", "--no-such-flag"]);
        for (version, change, reason, word) in [
            ("nowhere", nowhere, Reason::Unschedulable, "no place on a node within 10 s"),
            ("imageless", imageless, Reason::ImagePull, "no image within 10 s"),
            ("crashing", crashing, Reason::CrashLoop, "its container crashed"),
        ] {
            let mut object = scene.object(Version::V2)?;
            object["spec"]["model"]["version"] = json!(version);
            change(&mut object["spec"]["server"]);
            scene.put(&object).await?;
            let failed = status(&scene.ended(version, Outcome::RolledBack).await?).last_failed;
            let failed = failed.ok_or("no lastFailed")?;
            assert_eq!(failed.reason, reason.as_str(), "{failed:?}");
            assert!(failed.message.starts_with(word), "{failed:?}");
        }
        scene.settled().await?;
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");
        assert_eq!(scene.seen.weights(), [(100, 0)], "not one percent at any time");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
