//! The bed's second gateway: what it is there for.

use std::time::Duration;

use serde_json::{Value, json};
use serin_e2e::{
    Error, client,
    images::Version,
    load::Load,
    ring::{Scene, run},
    wine::Wine,
};

const REQUESTS: u64 = 1000;

/// A route of its own, beside the operator's: 90 and 10 of 100 requests to two models, and a copy of all to a third.
#[tokio::test(flavor = "multi_thread")]
async fn weights_and_mirrored_requests_go_through_the_second_gateway() {
    run("second", async |scene| {
        let gateway = scene.ring.second_gateway().await?;
        let others = [("other", Version::V2), ("shadow", Version::V1)];
        for (name, version) in others {
            let mut wine = Wine::new(&scene.wine.namespace, name);
            wine.store.clone_from(&scene.wine.store);
            wine.apply(&scene.kube, &scene.ring.built, version).await?;
        }
        scene.begin().await?;
        let host = "second.example";
        let to = |name: &str| json!({"name": format!("{name}-a"), "port": 80});
        let weighted = |name: &str, weight: i32| {
            let mut backend = to(name);
            backend["weight"] = json!(weight);
            backend
        };
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "second", "namespace": scene.wine.namespace},
            "spec": {
                "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
                "hostnames": [host],
                "rules": [{
                    "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": to("shadow")}}],
                    "backendRefs": [weighted("wine", 90), weighted("other", 10)],
                }],
            },
        });
        client::apply(&scene.ring.bed, &route.to_string())?;
        scene.reachable(gateway.port, host).await?;
        client::until("the mirror's backend is known", Duration::from_secs(30), || async {
            scene.reachable(gateway.port, host).await.map_err(|e| e.to_string())?;
            let seen = answered(scene, "shadow").map_err(|e| e.to_string())?;
            if seen > 0 { Ok(()) } else { Err("no mirrored request yet".to_owned()) }
        })
        .await?;

        let before = settled(scene).await?;
        let load = Load::start_at(
            &scene.ring.bed,
            &scene.ring.built,
            gateway.port,
            host,
            100,
            10,
            &scene.report()?,
        )?;
        let counts = load.finish().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        // On a busy machine the load leaves some out.
        assert!(counts.sent >= REQUESTS * 8 / 10, "{counts:?}");
        let other = counts.of(&scene.ring.built.model(Version::V2)?.digest).total;
        let tenth = counts.sent / 10;
        assert!(
            (tenth * 6 / 10..=tenth * 14 / 10).contains(&other),
            "10 of 100 go to the other one: {counts:?}"
        );
        // Its answers are thrown away; that it got the requests, it says itself.
        let mirrored = settled(scene).await? - before;
        assert_eq!(mirrored, counts.sent, "each request once: {counts:?}");
        Ok(())
    })
    .await;
}

/// What the mirror's model has answered, once nothing more comes.
async fn settled(scene: &Scene) -> Result<u64, Error> {
    let last = std::sync::atomic::AtomicU64::new(u64::MAX);
    client::until("no more mirrored requests", Duration::from_secs(30), || async {
        let now = answered(scene, "shadow").map_err(|e| e.to_string())?;
        if last.swap(now, std::sync::atomic::Ordering::Relaxed) == now {
            Ok(now)
        } else {
            Err(now.to_string())
        }
    })
    .await
}

/// Requests that a model's pods say they have answered.
fn answered(scene: &Scene, name: &str) -> Result<u64, Error> {
    let namespace = &scene.wine.namespace;
    let selector = format!("{}={name}", serin_api::labels::DEPLOYMENT);
    let pods = scene.kubectl(&["get", "pods", "-n", namespace, "-l", &selector, "-o", "json"])?;
    let pods: Value = serde_json::from_str(&pods)?;
    let mut sum = 0;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
        let metrics = scene.kubectl(&["get", "--raw", &path])?;
        let lines = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(sum)
}
