//! `RetrainPolicy`: when live quality drops, data arrives or time passes, start a TrainingRun.

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{Counter, RetrainPolicyStatus, TrainingRunSpec};

/// When to train again, and what. Runs are made from `template`; nothing else is ever written.
#[allow(clippy::duplicated_attributes, reason = "each printer column is an attribute of its own")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(group = "serin.dev", version = "v1alpha1", kind = "RetrainPolicy", namespaced)]
#[kube(
    plural = "retrainpolicies",
    status = "RetrainPolicyStatus",
    derive = "PartialEq",
    shortname = "rpol",
    category = "serin"
)]
#[kube(doc = "When live quality drops, data arrives or time passes, start a TrainingRun.")]
#[kube(printcolumn(name = "Model", type_ = "string", json_path = ".spec.template.model"))]
#[kube(printcolumn(name = "Deployment", type_ = "string", json_path = ".spec.deploymentRef"))]
#[kube(printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"))]
#[kube(printcolumn(name = "Runs", type_ = "integer", json_path = ".status.started"))]
#[kube(printcolumn(name = "Run", type_ = "string", json_path = ".status.active"))]
#[kube(printcolumn(
    name = "Reason",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Ready')].reason"
))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(validation = Rule::new("self.metadata.name.size() <= 40").message("the name of a RetrainPolicy has at most 40 characters: names of its runs are built from it"))]
#[kube(validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("the name of a RetrainPolicy is a DNS label: lower-case letters, digits and '-', starting with a letter"))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.deploymentRef) || !self.triggers.exists(t, has(t.quality))")
        .message("a trigger on quality needs deploymentRef: whose live quality is meant").field_path(".deploymentRef"),
    validation = Rule::new("has(self.data) || !self.triggers.exists(t, has(t.newData))")
        .message("a trigger on new data needs data: what to look at").field_path(".data"),
    validation = Rule::new("!has(self.data) || self.data.filter(d, d.use == 'Evaluation').size() <= 1")
        .message("data has at most one entry with use Evaluation").field_path(".data"),
    validation = Rule::new("!has(self.data) || !self.data.exists(d, d.use == 'Evaluation') || has(self.template.evaluation)")
        .message("data with use Evaluation needs template.evaluation").field_path(".data"),
    validation = Rule::new("!has(self.data) || !has(self.template.datasets) || !self.data.exists(d, d.use == 'Training' && self.template.datasets.exists(s, s.name == d.name))")
        .message("a data set stands either in data or in template.datasets, not in both").field_path(".data"),
    validation = Rule::new("!has(self.template.suspend) || !self.template.suspend")
        .message("template.suspend would make runs that never start: use suspend of the policy").field_path(".template.suspend"),
    validation = Rule::new("!has(self.template.replayOf) && !has(self.template.rerunToken)")
        .message("template has neither replayOf nor rerunToken: each run is another training").field_path(".template"),
)]
pub struct RetrainPolicySpec {
    /// The ModelDeployment of this namespace whose live quality counts, and during whose rollouts nothing is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub deployment_ref: Option<String>,
    /// What starts a run: any of these. `kubectl serin retrain` starts one, too.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub triggers: Vec<Trigger>,
    /// Data that moves: files whose present content is found out before each run, and given to it by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub data: Vec<MovingData>,
    /// Spec of the runs.
    #[schemars(schema_with = "template")]
    pub template: TrainingRunSpec,
    /// Seconds from the end of a run to the start of the next; after runs without a good version twice, four times … as
    /// long. Default 3600.
    #[serde(default = "cooldown")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub cooldown_seconds: i64,
    /// Seconds of rest after a rollout of `deploymentRef` before a run is started. Default 600.
    #[serde(default = "settle")]
    #[schemars(range(min = 0, max = 604_800))]
    pub settle_seconds: i64,
    /// Most runs in a span of time.
    #[serde(default)]
    pub budget: RunBudget,
    /// Runs in a row that brought nothing better (failed, refused by the gate, or rolled back), after which the policy
    /// stops until a person looks. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 10))]
    pub stop_after_ineffective: i32,
    /// Starts nothing while set; a run that goes on goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn cooldown() -> i64 {
    3600
}
fn settle() -> i64 {
    600
}
fn three() -> i32 {
    3
}

/// What stands in the place of a trigger's name where a person asked for the run.
pub const BY_HAND: &str = "by-hand";

/// Most runs in a span of time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RunBudget {
    /// Runs. Default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 20))]
    pub runs: i32,
    /// Seconds. Default 604800, a week.
    #[serde(default = "week")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub per_seconds: i64,
}
fn ten() -> i32 {
    10
}
fn week() -> i64 {
    604_800
}
impl Default for RunBudget {
    fn default() -> Self {
        Self { runs: ten(), per_seconds: week() }
    }
}

/// What starts a run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.quality), has(self.schedule), has(self.newData), has(self.maxAge)].filter(x, x).size() == 1")
        .message("a trigger has exactly one of quality, schedule, newData, maxAge"),
    validation = Rule::new("self.name != 'by-hand'")
        .message("a trigger cannot be named by-hand: that is a person's word").field_path(".name"),
)]
pub struct Trigger {
    /// For people; the runs bear it.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Live answers of the version that serves are too often wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualityDrop>,
    /// The clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// `data` has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_data: Option<NewData>,
    /// The newest version is too old, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<MaxAge>,
}

/// The one kind that a trigger has.
#[derive(Clone, Copy, Debug)]
pub enum TriggerKind<'a> {
    /// Live answers are too often wrong.
    Quality(&'a QualityDrop),
    /// The clock.
    Schedule(&'a Schedule),
    /// Data has changed.
    NewData(NewData),
    /// The newest version is too old.
    MaxAge(MaxAge),
}

impl Trigger {
    /// `None` unless there is exactly one, which the CRD sees to.
    pub fn kind(&self) -> Option<TriggerKind<'_>> {
        match (&self.quality, &self.schedule, self.new_data, self.max_age) {
            (Some(quality), None, None, None) => Some(TriggerKind::Quality(quality)),
            (None, Some(schedule), None, None) => Some(TriggerKind::Schedule(schedule)),
            (None, None, Some(data), None) => Some(TriggerKind::NewData(data)),
            (None, None, None, Some(age)) => Some(TriggerKind::MaxAge(age)),
            _ => None,
        }
    }
}

/// A share of counted answers, over the pods of the stable version alone: a canary does not start a training.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.bad) != has(self.good)").message("quality has exactly one of bad, good"),
)]
pub struct QualityDrop {
    /// Counter of all: labelled predictions, answers that somebody rated.
    pub all: Counter,
    /// Counter of the bad ones among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Counter>,
    /// Counter of the good ones among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Counter>,
    /// Share of bad ones that is still well, in permille.
    #[schemars(range(min = 0, max = 999))]
    pub max_bad_permille: i32,
    /// Over how many seconds they are counted. Default 3600.
    #[serde(default = "hour")]
    #[schemars(range(min = 60, max = 604_800))]
    pub window_seconds: i64,
    /// For how many seconds the share must stay above. Default 600.
    #[serde(default = "settle")]
    #[schemars(range(min = 0, max = 604_800))]
    pub for_seconds: i64,
    /// Fewer than this in the window say nothing. Default 100.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_count: i64,
}
fn hour() -> i64 {
    3600
}
fn hundred() -> i64 {
    100
}

/// Times of the clock. What was missed while nobody looked is made up for once, not as often as it was missed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Minute, hour, day of the month, month, day of the week: `0 3 * * 1` is Mondays at three.
    #[schemars(length(min = 9, max = 100), regex(pattern = r"^[0-9A-Za-z*/,#L -]+$"))]
    pub cron: String,
    /// Name of a time zone, such as `Europe/Berlin`. Default `Etc/UTC`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_+/-]+$"))]
    pub time_zone: String,
}
fn utc() -> String {
    "Etc/UTC".to_owned()
}

/// A look at `data` from time to time: a Job reads the files.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NewData {
    /// Seconds between two looks. Default 3600.
    #[serde(default = "hour")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub every_seconds: i64,
    /// By how many bytes all files together must have grown since the last training; 0: any change counts. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_i64))]
    pub min_bytes: i64,
}

/// How old the newest version of `template.model` may be.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MaxAge {
    /// Seconds.
    #[schemars(range(min = 60, max = 315_360_000))]
    pub seconds: i64,
}

/// A file whose content changes under the same address.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("['http://', 'https://', 's3://', 'gs://', 'az://', 'pvc://'].exists(p, self.uri.startsWith(p))")
        .message("uri must start with https://, http://, s3://, gs://, az:// or pvc://").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("!self.uri.endsWith('/')").message("uri names a file, not a folder").field_path(".uri"),
)]
pub struct MovingData {
    /// Name of the data set.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub name: String,
    /// Where it is.
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
    /// What for. Default Training.
    #[serde(default, rename = "use")]
    pub used: DataUse,
}

/// What moving data is for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataUse {
    /// It becomes one of the run's `datasets`.
    #[default]
    Training,
    /// It takes the place of the run's `evaluation.dataset`.
    Evaluation,
}

/// The schema of a run's spec, without the rules about changes: a policy's template may be changed.
fn template(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = TrainingRunSpec::json_schema(generator);
    if let Some(rules) = schema.get_mut("x-kubernetes-validations").and_then(|rules| rules.as_array_mut()) {
        let is_about_a_change =
            |rule: &serde_json::Value| rule["rule"].as_str().is_some_and(|rule| rule.contains("oldSelf"));
        rules.retain(|rule| !is_about_a_change(rule));
    }
    schema
}
