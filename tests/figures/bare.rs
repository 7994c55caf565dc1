//! The yardstick: a client that does Serin's writes without Serin's thoughts.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, Slot, TrafficMode, TrainingRun};
use serin_engine::plan::{Entry, Journal, Weights};
use serin_engine::{objects, training};
use serin_tests::fixtures;
use serin_tests::gateway::http_route;

/// The children that Serin makes for a new ModelDeployment, as it makes them.
pub struct Children {
    pub deployment: Value,
    pub others: Vec<(ApiResource, Value)>,
}

impl Children {
    pub fn of(model: &ModelDeployment) -> Self {
        let (name, namespace) = (model.name_any(), model.namespace().unwrap());
        let uid = model.uid().unwrap();
        let owner = objects::Owner { name: &name, namespace: &namespace, uid: &uid, spec: &model.spec };
        let made = fixtures::revision(model);
        let replicas = model.spec.replicas;
        let deployment =
            objects::deployment(&owner, &made.id, &made.spec, Slot::A, replicas, "serin.dev/agent:test")
                .unwrap();
        let journal = Journal::of(&made.id, Entry::Stable);
        let weights = Weights::to(Slot::A, 100);
        let service = ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
        let others = match &model.spec.traffic.gateway {
            Some(gateway) => vec![
                (service.clone(), objects::slot_service(&owner, Slot::A)),
                (service, objects::slot_service(&owner, Slot::B)),
                (http_route(), objects::route(&owner, gateway, weights, &journal, None)),
            ],
            None => vec![(service, objects::ratio_service(&owner, weights, &journal, None))],
        };
        Self { deployment, others }
    }
}

/// A client in one namespace.
pub struct Bare {
    pub client: Client,
    pub namespace: String,
}

impl Bare {
    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    async fn post(&self, resource: &ApiResource, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        self.api(resource).create(&PostParams::default(), &object).await.unwrap();
    }

    /// The quorum read and the Deployment: all that lies between a change and its child.
    pub async fn deployment(&self, model: &ModelDeployment) {
        let api: Api<PartialObjectMeta<ModelDeployment>> =
            Api::namespaced(self.client.clone(), &self.namespace);
        api.get_metadata(&model.name_any()).await.unwrap();
        let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
        self.post(&resource, &Children::of(model).deployment).await;
    }

    /// The quorum read and the Job: all that lies between a run and its training.
    pub async fn job(&self, run: &TrainingRun) {
        let api: Api<PartialObjectMeta<TrainingRun>> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_metadata(&run.name_any()).await.unwrap();
        let (name, uid) = (run.name_any(), run.uid().unwrap());
        let owner =
            training::objects::Run { name: &name, namespace: &self.namespace, uid: &uid, spec: &run.spec };
        let job = training::objects::attempt(&owner, 1, None, None, "serin.dev/agent:test").unwrap();
        self.post(&ApiResource::erase::<k8s_openapi::api::batch::v1::Job>(&()), &job).await;
    }

    /// Everything else: the other children, and the two writes of a status.
    pub async fn rest(&self, model: &ModelDeployment) {
        for (resource, object) in Children::of(model).others {
            self.post(&resource, &object).await;
        }
        self.statuses(model, 2).await;
    }

    /// So many writes of a status, each another one.
    pub async fn statuses(&self, model: &ModelDeployment, count: usize) {
        let api = self.api(&ApiResource::erase::<ModelDeployment>(&()));
        for generation in 1..=count {
            let status = json!({"status": {"observedGeneration": generation, "traffic": {"mode": TrafficMode::Gateway}}});
            api.patch_status(&model.name_any(), &PatchParams::default(), &Patch::Merge(status))
                .await
                .unwrap();
        }
    }
}
