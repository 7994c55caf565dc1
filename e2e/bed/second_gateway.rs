//! A second gateway, only where a test asks for it: Envoy Gateway, which mirrors requests and keeps sessions, as the
//! bed's first gateway does not. Controller and proxy run as pods, made from images of their programs: the controller
//! reads its certificates from a folder that only a pod has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::image::{File, Image};
use crate::state::State;
use crate::tools::{Progress, SecondGatewayTools, experimental_definitions};
use crate::up::{apply, apply_path};
use crate::{Bed, files, node, paths, run, wait};

/// A gateway that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondGateway {
    /// Name of its GatewayClass.
    pub class: &'static str,
    /// Name of its Gateway.
    pub name: &'static str,
    /// Namespace of its Gateway.
    pub namespace: &'static str,
    /// The port of its HTTP listener: at 127.0.0.1 for what [`Bed::command_inside`] runs, at [`Bed::node_ip`] for all
    /// others.
    pub port: u16,
}

/// How much of the Gateway API the cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// What is stable: the apiserver drops the experimental fields of what is written.
    Standard,
    /// Experimental fields of an HTTPRoute too, such as `sessionPersistence`.
    Experimental,
}

const GATEWAY: SecondGateway =
    SecondGateway { class: "envoy", name: "envoy", namespace: "serin-gateway", port: 30880 };

/// Where its controller looks for certificates, and where it puts the proxy.
const NAMESPACE: &str = "envoy-gateway-system";
const CONTROLLER_IMAGE: &str = "serin.test/envoy-gateway:1";
const PROXY_IMAGE: &str = "serin.test/envoy:1";
/// One definition stands for all: they are applied together.
const DEFINITION: &str = "envoyproxies.gateway.envoyproxy.io";
/// Of the two, that of an HTTPRoute is the only one that is changed.
const ROUTES: &str = "gateway.networking.k8s.io_httproutes.yaml";
const GUARD: &str = "gateway.networking.k8s.io_vap_safeupgrades.yaml";

impl Bed {
    /// Brings the second gateway up and returns when its Gateway is programmed and its port answers; at once if it is
    /// up. It goes with the bed.
    pub fn second_gateway(&self, progress: Progress) -> Result<SecondGateway, Error> {
        let state = self.whole_state("second gateway")?;
        let _lock = files::lock(&paths::bed_lock(self.name()), || {
            progress("waiting for another process that is changing this bed");
        })?;
        if !programmed(state) {
            start(state, &SecondGatewayTools::prepare(progress)?, progress)?;
            wait_ready(state)?;
        }
        Ok(GATEWAY)
    }

    /// Serves an HTTPRoute as this channel of the Gateway API defines it. The second gateway is started anew: a watch that
    /// began before goes on for two minutes without the new fields.
    pub fn gateway_api(&self, channel: Channel, progress: Progress) -> Result<(), Error> {
        let state = self.whole_state("Gateway API of another channel")?;
        let Some(standard) = state.tools.as_ref().map(|tools| tools.crds.clone()) else {
            return Ok(());
        };
        let _lock = files::lock(&paths::bed_lock(self.name()), || {})?;
        match channel {
            Channel::Standard => apply_path(state, &standard.join(ROUTES)),
            Channel::Experimental => {
                let experimental = experimental_definitions(progress)?;
                // The bundle comes with a guard against exactly this step. Whoever means it takes the guard away first.
                run::output(
                    state.kubectl().args(["delete", "--ignore-not-found", "-f"]).arg(standard.join(GUARD)),
                )?;
                let applied = wait::until("the guard gone", node::PATIENCE, &state.place(), &[], || {
                    apply_path(state, &experimental.join(ROUTES)).is_ok()
                });
                apply_path(state, &standard.join(GUARD))?;
                applied
            }
        }?;
        if programmed(state) { restart(state) } else { Ok(()) }
    }
}

/// Builds what [`Bed::second_gateway`] starts, if it is not there yet: some minutes of every core, which scenarios under load
/// would not bear beside them.
pub fn build_second_gateway(progress: Progress) -> Result<(), Error> {
    SecondGatewayTools::prepare(progress).map(drop)
}

/// Whether its Gateway takes traffic.
fn programmed(state: &State) -> bool {
    let path = "jsonpath={.status.conditions[?(@.type==\"Programmed\")].status}";
    let mut command = state.kubectl();
    command.args(["get", "gateway", GATEWAY.name, "-n", GATEWAY.namespace, "-o", path]);
    run::output(&mut command).is_ok_and(|status| status.trim() == "True")
}

fn start(state: &State, tools: &SecondGatewayTools, progress: Progress) -> Result<(), Error> {
    progress("starting the second gateway");
    for (name, image) in [("envoy-gateway", controller_image(tools)), ("envoy", proxy_image(tools)?)] {
        let tar = state.path(&format!("{name}.tar"));
        image.write_tar(&tar)?;
        node::load_image(state, &tar)?;
    }
    apply_path(state, &tools.crds)?;
    let established = format!("crd/{DEFINITION}");
    // kubectl gives up at once on a definition that has no condition yet.
    wait::until(
        "the second gateway's definitions",
        node::PATIENCE,
        &state.place(),
        &["kube-apiserver"],
        || {
            let args = ["wait", "--for=condition=Established", "--timeout=5s", &established];
            run::output(state.kubectl().args(args)).is_ok()
        },
    )?;
    apply(state, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"))?;
    run::output(
        Command::new(&tools.controller)
            .args(["certgen", "--disable-topology-injector"])
            .env("KUBECONFIG", &state.kubeconfig)
            .env("ENVOY_GATEWAY_NAMESPACE", NAMESPACE),
    )?;
    apply(state, &controller())?;
    apply(state, &gateway())
}

fn restart(state: &State) -> Result<(), Error> {
    let namespace = format!("--namespace={NAMESPACE}");
    run::output(state.kubectl().args(["rollout", "restart", "deployment/envoy-gateway", &namespace]))?;
    let done = ["rollout", "status", "deployment/envoy-gateway", "--timeout=120s", &namespace];
    run::output(state.kubectl().args(done)).map(drop)
}

fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let needs = ["containerd", "kubelet", "kube-proxy"];
    wait::until("the second gateway programmed (see pod-logs too)", PATIENCE, &place, &needs, || {
        programmed(state)
    })?;
    let socket = state.socket(GATEWAY.port);
    wait::until("the second gateway listening", node::PATIENCE, &place, &needs, || wait::listens(socket))
}

const PATIENCE: Duration = Duration::from_mins(3);

fn controller_image(tools: &SecondGatewayTools) -> Image {
    let program = "/usr/local/bin/envoy-gateway";
    Image::new(CONTROLLER_IMAGE, [program], vec![File::from_host(program, &tools.controller, 0o755)])
}

/// The proxy is not static: it takes this machine's C library along.
fn proxy_image(tools: &SecondGatewayTools) -> Result<Image, Error> {
    let program = "/usr/local/bin/envoy";
    let mut all = vec![File::from_host(program, &tools.proxy, 0o755)];
    let listed = run::output(Command::new("ldd").arg(&tools.proxy))?;
    for library in libraries(&listed) {
        let host = library.canonicalize().unwrap_or_else(|_| library.clone());
        all.push(File::from_host(library.to_string_lossy(), host, 0o755));
    }
    Ok(Image::new(PROXY_IMAGE, [program], all))
}

/// The files that `ldd` names: `libm.so.6 => /lib/libm.so.6 (0x…)`, or only the path for the loader.
fn libraries(listed: &str) -> Vec<PathBuf> {
    let words = listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(|word| Path::new(word).to_owned()).collect()
}

/// The controller, which in a bed may do everything.
fn controller() -> String {
    format!(
        "\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: envoy-gateway, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: envoy-gateway}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: envoy-gateway, namespace: {NAMESPACE}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: envoy-gateway-config, namespace: {NAMESPACE}}}
data:
  envoy-gateway.yaml: |
    apiVersion: gateway.envoyproxy.io/v1alpha1
    kind: EnvoyGateway
    gateway: {{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
    logging: {{level: {{default: info}}}}
    provider:
      type: Kubernetes
      kubernetes:
        leaderElection: {{disable: true}}
        proxyTopologyInjector: {{disabled: true}}
        shutdownManager: {{image: '{CONTROLLER_IMAGE}'}}
---
apiVersion: v1
kind: Service
metadata: {{name: envoy-gateway, namespace: {NAMESPACE}}}
spec:
  selector: {{control-plane: envoy-gateway}}
  ports: [{{name: grpc, port: 18000}}, {{name: ratelimit, port: 18001}}, {{name: wasm, port: 18002}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: envoy-gateway, namespace: {NAMESPACE}, labels: {{control-plane: envoy-gateway}}}}
spec:
  selector: {{matchLabels: {{control-plane: envoy-gateway}}}}
  template:
    metadata: {{labels: {{control-plane: envoy-gateway}}}}
    spec:
      serviceAccountName: envoy-gateway
      terminationGracePeriodSeconds: 5
      containers:
        - name: envoy-gateway
          image: {CONTROLLER_IMAGE}
          imagePullPolicy: Never
          args: [server, --config-path=/config/envoy-gateway.yaml]
          env:
            - {{name: ENVOY_GATEWAY_NAMESPACE, value: {NAMESPACE}}}
            - {{name: KUBERNETES_CLUSTER_DOMAIN, value: cluster.local}}
          readinessProbe: {{httpGet: {{path: /readyz, port: 8081}}, periodSeconds: 1}}
          resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}
          volumeMounts:
            - {{name: config, mountPath: /config, readOnly: true}}
            - {{name: certs, mountPath: /certs, readOnly: true}}
            - {{name: wasm, mountPath: /var/lib/eg/wasm}}
      volumes:
        - {{name: config, configMap: {{name: envoy-gateway-config}}}}
        - {{name: certs, secret: {{secretName: envoy-gateway}}}}
        - {{name: wasm, emptyDir: {{}}}}
"
    )
}

/// Its proxy asks to be probed often: the controller's own probes would cost a bed ten seconds.
fn gateway() -> String {
    let SecondGateway { class, name, namespace, port } = GATEWAY;
    format!(
        "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: bed, namespace: {NAMESPACE}}}
spec:
  concurrency: 1
  shutdown: {{drainTimeout: 1s, minDrainDuration: 0s}}
  provider:
    type: Kubernetes
    kubernetes:
      envoyDeployment:
        replicas: 1
        container:
          image: {PROXY_IMAGE}
          resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}
        patch:
          type: StrategicMerge
          value:
            spec:
              template:
                spec:
                  containers:
                    - name: envoy
                      startupProbe: {{periodSeconds: 1, failureThreshold: 120}}
                      readinessProbe: {{periodSeconds: 1}}
                    - name: shutdown-manager
                      startupProbe: {{periodSeconds: 1, failureThreshold: 120}}
                      readinessProbe: {{periodSeconds: 1}}
      envoyService:
        type: NodePort
        externalTrafficPolicy: Cluster
        patch:
          type: StrategicMerge
          value: {{spec: {{ports: [{{port: 8080, nodePort: {port}}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: {class}}}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: bed, namespace: {NAMESPACE}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  gatewayClassName: {class}
  listeners:
    - {{name: http, port: 8080, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_ldd_names() {
        let listed = "\tlinux-vdso.so.1 (0x00007f)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x00007f)\n";
        assert_eq!(libraries(listed), [Path::new("/lib/x/libm.so.6"), Path::new("/lib64/ld.so.2")]);
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }
}
