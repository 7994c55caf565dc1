//! Model servers that are known: where they listen, how they end, and what they count. Only defaults: whatever a spec
//! says itself comes before them, and all of it could be said in a spec. The names of the series are checked against
//! what the servers export (`src/operator/samples/recorded`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Unit;

/// A known model server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preset {
    /// NVIDIA Triton Inference Server, with its HTTP endpoint.
    Triton,
    /// vLLM's OpenAI-compatible server.
    #[serde(rename = "vLLM")]
    Vllm,
    /// A server built on the KServe Python SDK.
    KServe,
    /// TorchServe, with `metrics_mode=prometheus`.
    TorchServe,
    /// Seldon's MLServer.
    MLServer,
    /// TensorFlow Serving, with its REST endpoint and a monitoring configuration.
    TFServing,
    /// A BentoML service.
    BentoML,
    /// Ray Serve on a head node in the pod.
    RayServe,
    /// Hugging Face Text Generation Inference.
    TGI,
    /// SGLang, with `--enable-metrics`.
    SGLang,
}

/// What a preset stands for.
#[derive(Debug)]
pub struct Profile {
    /// Port of the requests.
    pub http: i32,
    /// Port of the metrics, where it is another one.
    pub metrics: Option<i32>,
    /// Path of the metrics.
    pub metrics_path: &'static str,
    /// Path that answers 200 when requests are welcome.
    pub readiness: &'static str,
    /// Path that answers 200 as long as the program lives.
    pub liveness: &'static str,
    /// Whether SIGTERM cuts the requests that have begun.
    pub breaks_off: bool,
    /// Failed requests.
    pub errors: Errors,
    /// Their times.
    pub times: Times,
    /// What the server has to be told to export all this.
    pub hint: Option<&'static str>,
}

/// Label and values of series that are left out.
pub type Left = &'static [(&'static str, &'static [&'static str])];

/// How a server counts failed requests.
#[derive(Debug)]
pub enum Errors {
    /// One counter with a label for the code.
    ByCode {
        /// Its name.
        series: &'static str,
        /// The label.
        label: &'static str,
        /// Codes that are the server's fault.
        codes: &'static [&'static str],
        /// What is left out.
        except: Left,
    },
    /// A counter of the failed ones and one of the others.
    Apart {
        /// Its name.
        failed: &'static str,
        /// What is left out of the failed ones: what was the caller's fault.
        except: Left,
        /// Name of the other one.
        succeeded: &'static str,
    },
    /// A counter of the failed ones and one of all.
    Failed {
        /// Its name.
        failed: &'static str,
        /// Name of the counter of all.
        all: &'static str,
    },
    /// A counter of those that did not fail and one of all.
    Succeeded {
        /// Its name.
        succeeded: &'static str,
        /// Name of the counter of all.
        all: &'static str,
    },
}

/// How a server tells how long requests take.
#[derive(Debug)]
pub enum Times {
    /// A histogram; its name without `_bucket`.
    Histogram(&'static str, Unit, Left),
    /// Two counters, with their whole names: of time, and of what took it.
    Mean(&'static str, &'static str, Unit),
}

impl Preset {
    /// All of them, in alphabetical order of their names on the wire.
    pub const ALL: [Self; 10] = [
        Self::BentoML,
        Self::KServe,
        Self::MLServer,
        Self::RayServe,
        Self::SGLang,
        Self::TFServing,
        Self::TGI,
        Self::TorchServe,
        Self::Triton,
        Self::Vllm,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Triton => "Triton",
            Self::Vllm => "vLLM",
            Self::KServe => "KServe",
            Self::TorchServe => "TorchServe",
            Self::MLServer => "MLServer",
            Self::TFServing => "TFServing",
            Self::BentoML => "BentoML",
            Self::RayServe => "RayServe",
            Self::TGI => "TGI",
            Self::SGLang => "SGLang",
        }
    }

    /// What it stands for.
    pub const fn profile(self) -> &'static Profile {
        match self {
            Self::Triton => &TRITON,
            Self::Vllm => &VLLM,
            Self::KServe => &KSERVE,
            Self::TorchServe => &TORCH_SERVE,
            Self::MLServer => &ML_SERVER,
            Self::TFServing => &TF_SERVING,
            Self::BentoML => &BENTO_ML,
            Self::RayServe => &RAY_SERVE,
            Self::TGI => &TGI,
            Self::SGLang => &SGLANG,
        }
    }
}

/// A success is one inference request, failures have a `reason`; a cancelled request is its caller's wish.
/// <https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md>
const TRITON: Profile = Profile {
    http: 8000,
    metrics: Some(8002),
    metrics_path: "/metrics",
    readiness: "/v2/health/ready",
    liveness: "/v2/health/live",
    breaks_off: false,
    errors: Errors::Apart {
        failed: "nv_inference_request_failure",
        except: &[("reason", &["CANCELED"])],
        succeeded: "nv_inference_request_success",
    },
    times: Times::Mean(
        "nv_inference_request_duration_us",
        "nv_inference_request_success",
        Unit::Microseconds,
    ),
    hint: None,
};

/// The status label holds classes (`5xx`); probes are not counted. A GET is a question about the models.
const VLLM: Profile = Profile {
    http: 8000,
    metrics: None,
    metrics_path: "/metrics",
    readiness: "/health",
    liveness: "/health",
    breaks_off: true,
    errors: Errors::ByCode {
        series: "http_requests_total",
        label: "status",
        codes: &["5xx"],
        except: &[("method", &["GET"])],
    },
    times: Times::Histogram("vllm:e2e_request_latency_seconds", Unit::Seconds, &[]),
    hint: None,
};

/// No label tells how a request ended, but what failed is not post-processed.
const KSERVE: Profile = Profile {
    http: 8080,
    metrics: None,
    metrics_path: "/metrics",
    readiness: "/v2/health/ready",
    liveness: "/v2/health/live",
    breaks_off: false,
    errors: Errors::Succeeded {
        succeeded: "request_postprocess_seconds_count",
        all: "request_predict_seconds_count",
    },
    times: Times::Histogram("request_predict_seconds", Unit::Seconds, &[]),
    hint: None,
};

/// `Requests2XX` counts probes and scrapes as well.
const TORCH_SERVE: Profile = Profile {
    http: 8080,
    metrics: Some(8082),
    metrics_path: "/metrics",
    readiness: "/ping",
    liveness: "/ping",
    breaks_off: true,
    errors: Errors::Failed { failed: "Requests5XX", all: "ts_inference_requests_total" },
    times: Times::Mean(
        "ts_inference_latency_microseconds",
        "ts_inference_requests_total",
        Unit::Microseconds,
    ),
    hint: Some("metrics_mode=prometheus"),
};

/// Counted by the REST server: `model_infer_request_failure_total` does not tell the caller's faults from the model's, and
/// of gRPC calls only those that end well are counted. A GET is a question about the model.
const ML_SERVER: Profile = Profile {
    http: 8080,
    metrics: Some(8082),
    metrics_path: "/metrics",
    readiness: "/v2/health/ready",
    liveness: "/v2/health/live",
    breaks_off: false,
    errors: Errors::ByCode {
        series: "rest_server_requests_total",
        label: "status_code",
        codes: &["5xx"],
        except: &[("method", &["GET"])],
    },
    times: Times::Histogram("rest_server_request_duration_seconds", Unit::Seconds, &[("method", &["GET"])]),
    hint: None,
};

/// Questions about the model's state are counted, without an `API` of their own. The status is a gRPC code's name; `INVALID_ARGUMENT`, `NOT_FOUND` and the like are the caller's fault.
const TF_SERVING: Profile = Profile {
    http: 8501,
    metrics: None,
    metrics_path: "/monitoring/prometheus/metrics",
    readiness: "/v1/models/model",
    liveness: "/v1/models/model",
    breaks_off: false,
    errors: Errors::ByCode {
        series: ":tensorflow:serving:request_count",
        label: "status",
        codes: &[
            "UNKNOWN",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "RESOURCE_EXHAUSTED",
            "DEADLINE_EXCEEDED",
            "ABORTED",
            "UNIMPLEMENTED",
        ],
        except: &[],
    },
    times: Times::Histogram(":tensorflow:serving:request_latency", Unit::Microseconds, &[("API", &[""])]),
    hint: Some("--monitoring_config_file with prometheus_config enabled"),
};

/// 429 is the answer of a service that is at its `max_concurrency`, which its own slowness brings about. The service counts
/// the kubelet's probes, too.
const BENTO_ML: Profile = Profile {
    http: 3000,
    metrics: None,
    metrics_path: "/metrics",
    readiness: "/readyz",
    liveness: "/livez",
    breaks_off: false,
    errors: Errors::ByCode {
        series: "bentoml_service_request_total",
        label: "http_response_code",
        codes: &["5xx", "429"],
        except: BENTO_ML_PROBES,
    },
    times: Times::Histogram("bentoml_service_request_duration_seconds", Unit::Seconds, BENTO_ML_PROBES),
    hint: None,
};

const BENTO_ML_PROBES: Left =
    &[("endpoint", &["/", "/readyz", "/livez", "/healthz", "/metrics", "/docs.json", "/schema.json"])];

/// The proxy counts the kubelet's probes, too. Its counter of errors counts the callers' as well.
const RAY_SERVE: Profile = Profile {
    http: 8000,
    metrics: Some(8080),
    metrics_path: "/metrics",
    readiness: "/-/healthz",
    liveness: "/-/healthz",
    breaks_off: false,
    errors: Errors::ByCode {
        series: "ray_serve_num_http_requests_total",
        label: "status_code",
        codes: &["5xx"],
        except: RAY_SERVE_PROBES,
    },
    times: Times::Histogram("ray_serve_http_request_latency_ms", Unit::Milliseconds, RAY_SERVE_PROBES),
    hint: Some("ray start --metrics-export-port=8080"),
};

const RAY_SERVE_PROBES: Left = &[("route", &["/-/*"])];

/// `dropped` is a caller who did not wait for the answer. What fails in the model is answered with 424 or 429, which no rule on
/// status codes at a gateway would find.
const TGI: Profile = Profile {
    http: 80,
    metrics: None,
    metrics_path: "/metrics",
    readiness: "/health",
    liveness: "/health",
    breaks_off: true,
    errors: Errors::Apart {
        failed: "tgi_request_failure",
        except: &[("err", &["validation", "template", "dropped"])],
        succeeded: "tgi_request_success",
    },
    times: Times::Histogram("tgi_request_duration", Unit::Seconds, &[]),
    hint: None,
};

/// Probes and scrapes are GETs, and counted.
const SGLANG: Profile = Profile {
    http: 30000,
    metrics: None,
    metrics_path: "/metrics",
    readiness: "/health",
    liveness: "/health",
    breaks_off: true,
    errors: Errors::ByCode {
        series: "sglang:http_responses_total",
        label: "status_code",
        codes: &["5xx"],
        except: &[("method", &["GET"])],
    },
    times: Times::Histogram("sglang:e2e_request_latency_seconds", Unit::Seconds, &[]),
    hint: Some("--enable-metrics"),
};
