//! `look`: what lies at the addresses of a policy's data now, by digest.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serin_wire::{Look, LookResult, Seen, places};

use crate::error::FetchError;
use crate::fetch::{Request, measure};
use crate::places::Places;
use crate::source::Source;
use crate::stores::Stores;

/// For one of them. The Job has its own deadline; this one only ends what is stuck.
const TIMEOUT: Duration = Duration::from_hours(12);

/// Reads everything, one after the other: each takes its size on the pod's disk while it is read.
pub async fn look(task: &Look, places: &Places, stores: &Arc<Stores>) -> Result<String, FetchError> {
    let folder = places.at(places::ROOT);
    let created = fs::create_dir_all(&folder);
    created.map_err(|error| FetchError::Output { path: folder.clone(), error })?;
    let mut objects = Vec::new();
    for (i, place) in task.objects.iter().enumerate() {
        let named = format!("spec.data[{}]", place.name);
        let refused = |reason| FetchError::Refused { uri: place.uri.clone(), named: named.clone(), reason };
        let source = Source::parse(&place.uri, &places.claims()).map_err(refused)?;
        let request = Request {
            source,
            output: folder.join(format!("look-{i}")),
            timeout: TIMEOUT,
            patience: stores.patience,
            named,
            stores: Arc::clone(stores),
            ..Request::default()
        };
        let (digest, bytes) = measure(&request).await?;
        eprintln!("{}: {bytes} bytes, {digest}", place.name);
        objects.push(Seen { name: place.name.clone(), digest: digest.to_string(), bytes });
    }
    let result = LookResult {
        schema: LookResult::SCHEMA.to_owned(),
        policy_uid: task.policy_uid.clone(),
        number: task.number,
        objects,
    };
    serde_json::to_string(&result).map_err(|error| FetchError::Runtime(std::io::Error::other(error)))
}
