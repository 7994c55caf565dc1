//! Whether gateways copy requests (the filter `RequestMirror` of an HTTPRoute). It is asked of the Gateway and its
//! GatewayClass while a shadow is to begin or goes on, never at rest, and an answer is good for a minute. A gateway that
//! does not know the filter may answer all requests of the rule with errors, so that not to know is to refuse.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serin_api::ParentRef;
use serin_engine::Mirroring;

use crate::{error::Error, mentions::Place, write::failed};

/// All requests can be copied.
const ALL: &str = "HTTPRouteRequestMirror";
/// A part of them, too.
const PART: &str = "HTTPRouteRequestPercentageMirror";
/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_mins(1);
/// Longest wait for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Gateway, as far as it names its class. Declared here for the reason that HTTPRoute is.
#[derive(kube::CustomResource, Serialize, Deserialize, Clone, Debug)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    namespaced,
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    #[serde(default)]
    pub gateway_class_name: String,
}

/// What a controller says of all its Gateways.
#[derive(kube::CustomResource, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "gateway.networking.k8s.io", version = "v1", kind = "GatewayClass", schema = "disabled")]
#[kube(plural = "gatewayclasses", status = "GatewayClassStatus")]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    #[serde(default)]
    pub controller_name: String,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    #[serde(default)]
    pub supported_features: Vec<Feature>,
}
/// Until version 1.1 of the Gateway API they were bare names.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(untagged)]
pub enum Feature {
    Named { name: String },
    Bare(String),
}
impl Feature {
    fn name(&self) -> &str {
        match self {
            Self::Named { name } | Self::Bare(name) => name,
        }
    }
}

/// What a gateway copies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copies {
    /// Any part of the requests.
    Part,
    /// All of them or none.
    All,
    /// Nothing, as far as anybody knows: why, and what to do.
    Nothing(String),
}

/// What is known of gateways.
#[derive(Debug, Default)]
pub struct Gateways {
    /// Those of which an administrator says that they copy requests.
    trusted: Vec<Place>,
    known: Mutex<HashMap<Place, (Copies, Instant)>>,
}

impl Gateways {
    /// With those, as namespace and name, that are not asked.
    pub fn new(trusted: Vec<Place>) -> Self {
        Self { trusted, known: Mutex::default() }
    }

    /// Whether all parents of a route in `namespace` copy so many percent of the requests.
    pub async fn mirroring(
        &self,
        client: &Client,
        namespace: &str,
        parents: &[ParentRef],
        percent: i32,
    ) -> Result<Mirroring, Error> {
        self.all(namespace, parents, percent, |place| read(client.clone(), place)).await
    }

    async fn all<F>(
        &self,
        namespace: &str,
        parents: &[ParentRef],
        percent: i32,
        read: impl Fn(Place) -> F,
    ) -> Result<Mirroring, Error>
    where
        F: Future<Output = Result<Copies, Error>>,
    {
        for parent in parents {
            let place = (parent.namespace.as_deref().unwrap_or(namespace).to_owned(), parent.name.clone());
            if self.trusted.contains(&place) {
                continue;
            }
            let copies = if let Some(copies) = self.remembered(&place) {
                copies
            } else {
                let copies = read(place.clone()).await?;
                self.remember(place.clone(), copies.clone());
                copies
            };
            let (namespace, name) = &place;
            match copies {
                Copies::Part => {}
                Copies::All if percent == 100 => {}
                Copies::All => {
                    return Ok(Mirroring::Unsupported(format!(
                        "Gateway {namespace}/{name} copies all requests or none (its GatewayClass does not name {PART}): \
                         set rollout.shadow.mirrorPercent to 100, or {}",
                        trust(&place)
                    )));
                }
                Copies::Nothing(why) => return Ok(Mirroring::Unsupported(why)),
            }
        }
        Ok(Mirroring::Supported)
    }

    fn remembered(&self, place: &Place) -> Option<Copies> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(place).filter(|(_, at)| at.elapsed() < GOOD_FOR).map(|(copies, _)| copies.clone())
    }

    fn remember(&self, place: Place, copies: Copies) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < GOOD_FOR);
        known.insert(place, (copies, Instant::now()));
    }
}

/// What an administrator can do who knows better.
fn trust((namespace, name): &Place) -> String {
    format!("if you know that it does, start the operator with --mirroring-gateways={namespace}/{name}")
}

async fn read(client: Client, place: Place) -> Result<Copies, Error> {
    tokio::time::timeout(PATIENCE, ask(client, &place)).await.unwrap_or(Err(Error::Timeout(PATIENCE)))
}

async fn ask(client: Client, place: &Place) -> Result<Copies, Error> {
    let (namespace, name) = place;
    let gateways: Api<Gateway> = Api::namespaced(client.clone(), namespace);
    let gateway = match gateways.get_opt(name).await {
        Ok(Some(gateway)) => gateway,
        Ok(None) => {
            let why = format!(
                "Gateway {namespace}/{name} does not exist: make it, or name another one in traffic.gateway"
            );
            return Ok(Copies::Nothing(why));
        }
        Err(error) => return may_not(error, "Gateway", name, place),
    };
    let class = gateway.spec.gateway_class_name;
    match Api::<GatewayClass>::all(client).get_opt(&class).await {
        Ok(found) => Ok(copies(place, &class, found.as_ref())),
        Err(error) => may_not(error, "GatewayClass", &class, place),
    }
}

/// What follows from what the class says.
fn copies(place: &Place, class: &str, found: Option<&GatewayClass>) -> Copies {
    let (namespace, name) = place;
    let Some(found) = found else {
        return Copies::Nothing(format!("GatewayClass {class} of Gateway {namespace}/{name} does not exist"));
    };
    let features = found.status.as_ref().map(|s| s.supported_features.as_slice()).unwrap_or_default();
    let has = |wanted: &str| features.iter().any(|feature| feature.name() == wanted);
    if has(PART) {
        Copies::Part
    } else if has(ALL) {
        Copies::All
    } else if features.is_empty() {
        // Not every controller fills the list: that is no "no", and no "yes" either.
        Copies::Nothing(format!(
            "nobody knows whether Gateway {namespace}/{name} copies requests (GatewayClass {class} has no \
             status.supportedFeatures): {}",
            trust(place)
        ))
    } else {
        Copies::Nothing(format!(
            "Gateway {namespace}/{name} does not copy requests (GatewayClass {class} does not name {ALL} in \
             status.supportedFeatures): use another gateway or strategy; {}",
            trust(place)
        ))
    }
}

/// A right that is missing is an answer: nobody knows. Anything else is tried again.
fn may_not(error: kube::Error, kind: &'static str, name: &str, place: &Place) -> Result<Copies, Error> {
    match &error {
        kube::Error::Api(status) if status.code == 403 => Ok(Copies::Nothing(format!(
            "the operator may not read {kind} {name}, and so does not know whether Gateway {}/{} copies requests: \
             give it that right; {}",
            place.0,
            place.1,
            trust(place)
        ))),
        _ => Err(failed("get", kind, name, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    fn place() -> Place {
        ("infra".to_owned(), "front".to_owned())
    }

    fn class(features: &serde_json::Value) -> Copies {
        let class: GatewayClass = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "c"},
            "spec": {"controllerName": "x/y"}, "status": {"supportedFeatures": features},
        }))
        .unwrap();
        copies(&place(), "c", Some(&class))
    }

    #[test]
    fn only_a_feature_that_is_named_counts() {
        assert_eq!(class(&json!([{"name": ALL}, {"name": "HTTPRoute"}])), Copies::All);
        assert_eq!(class(&json!([{"name": ALL}, {"name": PART}])), Copies::Part);
        assert_eq!(class(&json!([ALL])), Copies::All, "as it was written until version 1.1");
        assert!(matches!(class(&json!([])), Copies::Nothing(why) if why.contains("nobody knows")));
        for none in [class(&json!([{"name": "HTTPRoute"}])), copies(&place(), "c", None)] {
            assert!(matches!(&none, Copies::Nothing(why) if why.contains("infra/front")), "{none:?}");
        }
    }

    #[tokio::test]
    async fn every_parent_counts_and_is_asked_once() {
        let asked = AtomicUsize::new(0);
        let parent = |namespace: Option<&str>, name: &str| ParentRef {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            section_name: None,
        };
        let gateways = Gateways::new(vec![("ns".to_owned(), "trusted".to_owned())]);
        let of = |place: Place| {
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(match place.1.as_str() {
                "part" => Copies::Part,
                "all" => Copies::All,
                _ => Copies::Nothing("unknown".to_owned()),
            }))
        };
        let (trusted, part, all) = (parent(None, "trusted"), parent(None, "part"), parent(Some("x"), "all"));
        let good = [trusted.clone(), part, all];
        assert_eq!(gateways.all("ns", &good, 100, of).await.unwrap(), Mirroring::Supported);
        let some = gateways.all("ns", &good, 25, of).await.unwrap();
        assert!(matches!(&some, Mirroring::Unsupported(why) if why.contains("x/all") && why.contains(PART)));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "two were not trusted, and each was asked once");
        let bad = [trusted, parent(None, "bad")];
        assert_eq!(
            gateways.all("ns", &bad, 100, of).await.unwrap(),
            Mirroring::Unsupported("unknown".to_owned())
        );
        let elsewhere = [parent(Some("other"), "trusted")];
        assert_ne!(gateways.all("ns", &elsewhere, 100, of).await.unwrap(), Mirroring::Supported);
    }
}
