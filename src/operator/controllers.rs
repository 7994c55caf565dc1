//! The four controllers: what wakes them, and their common start and end.

use std::{
    fmt::Debug,
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{join_all, select_all},
    stream,
};
use kube_runtime::{
    Controller,
    controller::{self, Action},
    reflector::{ObjectRef, Store},
    watcher,
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    context::{Context, Feeds},
    error::{Error, StartError},
    guard::failed,
    mentions::Place,
    owner::{Main, Name},
    place, reconcile, retrain, training, versions, watches,
};

/// Versions looked at at the same time; nearly all looks end in memory.
const VERSIONS_AT_ONCE: u16 = 8;
/// Policies, each of which may wait for Prometheus.
const POLICIES_AT_ONCE: u16 = 4;

/// All of them at work.
pub struct Controllers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Controllers {
    /// Starts them. Tasks of their own: what keeps one kind busy does not hold up the others.
    pub fn start(ctx: &Arc<Context>, feeds: Feeds, namespace: Option<&str>, concurrency: u16) -> Self {
        let (stop, stopped) = watch::channel(false);
        let stopping = || {
            let mut stopped = stopped.clone();
            async move {
                // An error means that the sender is gone, which is the end, too.
                let _ = stopped.wait_for(|s| *s).await;
            }
        };
        let Feeds { models, runs, versions, policies } = feeds;
        let deployments = Control {
            objects: watches::models(ctx, namespace, models.writer),
            store: models.store,
            woken: stream::select(watches::of_models(ctx, namespace), models.woken),
            concurrency: concurrency + place::WAITING,
        };
        let trainings = Control {
            objects: watches::runs(ctx, namespace, runs.writer),
            store: runs.store,
            woken: stream::select(watches::of_runs(ctx, namespace), runs.woken),
            concurrency,
        };
        let records = Control {
            objects: watches::versions(ctx, namespace, versions.writer),
            store: versions.store,
            woken: versions.woken,
            concurrency: VERSIONS_AT_ONCE,
        };
        let retraining = Control {
            objects: watches::policies(ctx, namespace, policies.writer),
            store: policies.store,
            woken: stream::select(watches::of_policies(ctx, namespace), policies.woken),
            concurrency: POLICIES_AT_ONCE,
        };
        let tasks = vec![
            tokio::spawn(deployments.run(Arc::clone(ctx), stopping(), reconcile::reconcile)),
            tokio::spawn(trainings.run(Arc::clone(ctx), stopping(), training::reconcile)),
            tokio::spawn(records.run(Arc::clone(ctx), stopping(), versions::reconcile)),
            tokio::spawn(retraining.run(Arc::clone(ctx), stopping(), retrain::reconcile)),
        ];
        Self { stop, tasks }
    }

    /// Returns when one has ended by itself. It panicked: without it the others would only look healthy.
    pub async fn died(&mut self) {
        let (_, index, _) = select_all(self.tasks.iter_mut()).await;
        // It must not be asked again.
        self.tasks.swap_remove(index);
    }

    /// No new work; what has begun has this long to finish. What has not by then is dropped where it is, as by a crash.
    pub async fn finish(self, drain: Duration) -> Result<(), StartError> {
        self.stop.send_replace(true);
        let aborts: Vec<_> = self.tasks.iter().map(JoinHandle::abort_handle).collect();
        let mut ended = join_all(self.tasks).boxed();
        if let Ok(results) = timeout(drain, &mut ended).await {
            return if results.iter().all(Result::is_ok) { Ok(()) } else { Err(StartError::Died) };
        }
        tracing::warn!(
            ?drain,
            "what had begun is not finished in time; whoever decides next goes on with it"
        );
        for task in aborts {
            task.abort();
        }
        ended.await;
        Ok(())
    }
}

/// A controller in the making.
struct Control<K: Main + 'static, O, W> {
    /// Its objects as they change.
    objects: O,
    /// The same as they are.
    store: Store<K>,
    /// What else makes it look at one of them.
    woken: W,
    /// Reconciles at the same time.
    concurrency: u16,
}

impl<K, O, W> Control<K, O, W>
where
    K: Main + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    O: Stream<Item = watcher::Result<K>> + Send + 'static,
    W: Stream<Item = Place> + Send + 'static,
{
    /// Runs it until `stop`.
    async fn run<F>(
        self,
        ctx: Arc<Context>,
        stop: impl Future<Output = ()> + Send + Sync + 'static,
        reconcile: fn(Arc<K>, Arc<Context>) -> F,
    ) where
        F: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let wakes = self.woken.map(|(namespace, name)| ObjectRef::<K>::new(&name).within(&namespace));
        Controller::for_stream(self.objects, self.store)
            .with_config(controller::Config::default().concurrency(self.concurrency))
            .reconcile_on(wakes)
            .graceful_shutdown_on(stop)
            .run(reconcile, failed, Arc::clone(&ctx))
            .for_each(|result| {
                match result {
                    Ok((object, action)) => tracing::debug!(%object, ?action, "reconciled"),
                    Err(controller::Error::ObjectNotFound(gone)) => {
                        let namespace = gone.namespace.clone().unwrap_or_default();
                        ctx.forget(&Name { kind: K::KIND, namespace, name: gone.name });
                    }
                    Err(controller::Error::ReconcilerFailed(..)) => {}
                    Err(error) => tracing::warn!(kind = K::KIND.as_str(), %error, "controller"),
                }
                ready(())
            })
            .await;
    }
}
