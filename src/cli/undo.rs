//! `serin undo`: the spec of a version that served, put back.

use serde_json::{Map, Value, json};
use serin_api::{ModelDeployment, ModelDeploymentStatus, ModelSource, RevisionSpec, Stable};
use serin_engine::Revision;

use crate::Failure;

/// The merge patch to the version to go back to, and what it means in words. It fails if somebody changes the object
/// meanwhile.
pub fn change(
    deployment: &ModelDeployment,
    status: &ModelDeploymentStatus,
) -> Result<(Value, String), Failure> {
    let stable = status.stable.as_ref().ok_or("nothing serves yet: there is nothing to go back to")?;
    let back = if asks_for(deployment, stable) { status.previous.as_ref() } else { Some(stable) };
    let back = back.ok_or_else(|| format!("{} is the first version that serves", stable.version))?;
    let was = serde_json::to_value(&deployment.spec)?;
    let spec = difference(&was, &serde_json::to_value(with(deployment, &back.spec))?);
    if deployment.spec.model.channel.is_some() && spec == json!({}) {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let message = format!(
            "the versions of {name} come from a channel, not from its spec: `kubectl serin abort {name}` sends back what \
             is tried, and `kubectl annotate mver NAME serin.dev/revoked=WHY` takes away what serves"
        );
        return Err(message.into());
    }
    let metadata = json!({"resourceVersion": deployment.metadata.resource_version});
    let said = format!(
        "{} ({}) is asked for again. Where Git holds the spec, change it there, too",
        back.version, back.revision
    );
    Ok((json!({"metadata": metadata, "spec": spec}), said))
}

/// Whether the spec asks for this revision already.
fn asks_for(deployment: &ModelDeployment, stable: &Stable) -> bool {
    let source = &deployment.spec.model;
    let model = match &source.version_ref {
        None if source.channel.is_some() => Some(stable.spec.model.clone()),
        None => source.resolved(),
        Some(name) => Some(stable.spec.model.clone()).filter(|m| m.version_ref.as_ref() == Some(name)),
    };
    model.is_some_and(|mut model| {
        if !source.storage.is_empty() {
            model.storage = source.storage.clone();
        }
        Revision::of(&deployment.spec, model).id == stable.revision
    })
}

/// The spec with everything that makes up a revision.
fn with(deployment: &ModelDeployment, revision: &RevisionSpec) -> serin_api::ModelDeploymentSpec {
    let mut spec = deployment.spec.clone();
    let model = &revision.model;
    spec.model = match &model.version_ref {
        // What a channel leads to is not the spec's to say.
        _ if spec.model.channel.is_some() => spec.model,
        // Its storage comes from the version, unless the spec has one of its own.
        Some(name) => ModelSource {
            version_ref: Some(name.clone()),
            channel: None,
            artifact: None,
            version: None,
            storage: if spec.model.storage.is_empty() { spec.model.storage } else { model.storage.clone() },
        },
        None => ModelSource {
            version_ref: None,
            channel: None,
            artifact: Some(model.artifact.clone()),
            version: model.version.clone(),
            storage: model.storage.clone(),
        },
    };
    spec.server = revision.server.clone();
    spec.availability.min_ready_seconds = revision.min_ready_seconds;
    spec.availability.drain_seconds = revision.drain_seconds;
    spec
}

/// What turns `was` into `is` by RFC 7386.
fn difference(was: &Value, is: &Value) -> Value {
    let (Value::Object(was), Value::Object(is)) = (was, is) else { return is.clone() };
    let gone = was.keys().filter(|key| !is.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let other = is.iter().filter(|(key, value)| was.get(*key) != Some(value));
    let other = other.map(|(key, value)| {
        (key.clone(), was.get(key).map_or_else(|| value.clone(), |old| difference(old, value)))
    });
    Value::Object(other.chain(gone).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_channel_leads_to_is_not_undone_in_the_spec() {
        let mut deployment = crate::fixtures::promoted();
        deployment.spec.model = serde_json::from_value(json!({"channel": {"model": "wine"}})).unwrap();
        let mut status = deployment.status.clone().unwrap();
        let error = change(&deployment, &status).unwrap_err().to_string();
        assert!(error.starts_with("the versions of wine come from a channel"), "{error}");
        // The server is, and the channel stays.
        status.previous.as_mut().unwrap().spec.server.image = "registry.example/wine:0".to_owned();
        status.stable.as_mut().unwrap().revision =
            Revision::of(&deployment.spec, status.stable.as_ref().unwrap().spec.model.clone()).id;
        let (patch, _) = change(&deployment, &status).unwrap();
        assert_eq!(patch["spec"], json!({"server": {"image": "registry.example/wine:0"}}));
    }

    #[test]
    fn a_difference_says_no_more_than_what_differs() {
        let was =
            json!({"model": {"artifact": {"uri": "a"}}, "server": {"env": [1], "image": "x"}, "replicas": 2});
        let is = json!({"model": {"versionRef": "v"}, "server": {"env": [2], "image": "x"}, "replicas": 2});
        let expected = json!({"model": {"versionRef": "v", "artifact": null}, "server": {"env": [2]}});
        assert_eq!(difference(&was, &is), expected);
    }
}
