//! What the apiserver tells of one ModelDeployment.

use std::future::ready;

use futures::{Stream, StreamExt as _};
use kube::core::DeserializeGuard;
use kube_runtime::{
    WatchStreamExt as _,
    watcher::{self, Event, watcher},
};
use serin_api::ModelDeployment;

use crate::cluster::{self, Cluster};

type Guarded = DeserializeGuard<ModelDeployment>;

/// One piece of it.
#[derive(Debug)]
pub enum News {
    /// This is how it is now.
    Seen(Box<ModelDeployment>),
    /// It does not fit the types of this version of serin.
    Unreadable(String),
    /// It was deleted.
    Gone,
    /// The watch was interrupted; it is taken up again.
    Interrupted(String),
    /// We may not watch it.
    Refused(String),
}

/// A watch of the object with this name. It ends with [`News::Refused`] only.
pub fn news(cluster: &Cluster, name: &str) -> impl Stream<Item = News> + use<> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut listing = Listing::default();
    watcher(cluster.guarded::<ModelDeployment>(), config)
        .default_backoff()
        .filter_map(move |event| ready(listing.take(event)))
}

/// Whether the object is in the list that a watch begins with.
#[derive(Default)]
struct Listing {
    found: bool,
    begun: bool,
}

impl Listing {
    fn take(&mut self, event: watcher::Result<Event<Guarded>>) -> Option<News> {
        match event {
            Ok(Event::Init) => {
                self.found = false;
                None
            }
            Ok(Event::InitApply(object)) => {
                self.found = true;
                Some(read(object))
            }
            Ok(Event::InitDone) => {
                self.begun = true;
                (!self.found).then_some(News::Gone)
            }
            Ok(Event::Apply(object)) => Some(read(object)),
            Ok(Event::Delete(_)) => Some(News::Gone),
            Err(error) => Some(self.failed(error)),
        }
    }

    /// What was refused before anything was seen will be refused again.
    fn failed(&self, error: watcher::Error) -> News {
        use watcher::Error::{
            InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
        };
        match error {
            InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))
                if !self.begun && matches!(status.code, 401 | 403) =>
            {
                News::Refused(status.message.clone())
            }
            InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
                News::Interrupted(cluster::line(&error))
            }
            WatchError(status) => News::Interrupted(status.message.clone()),
            error @ NoResourceVersion => News::Interrupted(error.to_string()),
        }
    }
}

fn read(DeserializeGuard(object): Guarded) -> News {
    match object {
        Ok(deployment) => News::Seen(Box::new(deployment)),
        Err(broken) => News::Unreadable(broken.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn object() -> Guarded {
        DeserializeGuard(Ok(fixtures::trying()))
    }

    #[test]
    fn what_is_missing_after_a_new_list_was_deleted_meanwhile() {
        let mut listing = Listing::default();
        assert!(listing.take(Ok(Event::Init)).is_none());
        assert!(matches!(listing.take(Ok(Event::InitApply(object()))), Some(News::Seen(_))));
        assert!(listing.take(Ok(Event::InitDone)).is_none());
        assert!(listing.take(Ok(Event::Init)).is_none());
        assert!(matches!(listing.take(Ok(Event::InitDone)), Some(News::Gone)));
        assert!(matches!(listing.take(Ok(Event::Apply(object()))), Some(News::Seen(_))));
        assert!(matches!(listing.take(Ok(Event::Delete(object()))), Some(News::Gone)));
    }

    #[test]
    fn a_refusal_ends_it_only_at_the_beginning() {
        let refused = || {
            let status = kube::core::Status { code: 403, message: "no".to_owned(), ..Default::default() };
            Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
        };
        let mut listing = Listing::default();
        assert!(matches!(listing.take(refused()), Some(News::Refused(_))));
        listing.take(Ok(Event::InitDone));
        assert!(matches!(listing.take(refused()), Some(News::Interrupted(_))));
    }
}
