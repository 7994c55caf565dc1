//! What a release is made of, as a CycloneDX bill of materials (<https://cyclonedx.org/docs/1.6/json/>), from Cargo's own
//! resolution: the crates that are linked into the programs, without those that only build or test them.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Error, images};

/// The part of `cargo metadata` that matters here
/// (<https://doc.rust-lang.org/cargo/commands/cargo-metadata.html#json-format>).
#[derive(Deserialize, Debug)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}
#[derive(Deserialize, Debug)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}
#[derive(Deserialize, Debug)]
struct Resolve {
    nodes: Vec<Node>,
}
#[derive(Deserialize, Debug)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}
#[derive(Deserialize, Debug)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}
#[derive(Deserialize, Debug)]
struct Kind {
    /// `None`: a dependency of the program itself.
    kind: Option<String>,
}

/// The bill of `programs`, built for `target`. The same lock file gives the same bytes.
pub fn of(programs: &[&str], target: &str) -> Result<Vec<u8>, Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(images::repository());
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", target]);
    let said = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !said.status.success() {
        return Err("cargo metadata failed; its errors stand above".into());
    }
    bill(&serde_json::from_slice(&said.stdout)?, programs)
}

fn bill(metadata: &Metadata, programs: &[&str]) -> Result<Vec<u8>, Error> {
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|p| (p.id.as_str(), p)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
    let mut waiting = Vec::new();
    for program in programs {
        let ours = metadata.packages.iter().find(|p| p.source.is_none() && p.name == *program);
        waiting.push(ours.ok_or_else(|| format!("no package {program} in the workspace"))?.id.as_str());
    }
    let roots: BTreeSet<&str> = waiting.iter().copied().collect();
    let mut linked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        if linked.contains_key(id) {
            continue;
        }
        let node = nodes.get(id).ok_or_else(|| format!("cargo metadata does not resolve {id}"))?;
        let is_linked = |d: &&Dependency| d.dep_kinds.iter().any(|k| k.kind.is_none());
        let deps: Vec<&str> = node.deps.iter().filter(is_linked).map(|d| d.pkg.as_str()).collect();
        waiting.extend(&deps);
        linked.insert(id, deps);
    }
    let found = |id: &str| packages.get(id).copied().ok_or_else(|| format!("cargo metadata has no {id}"));
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (id, deps) in &linked {
        let package = found(id)?;
        components.push((reference(package), component(package, roots.contains(id))));
        let mut on = deps.iter().map(|d| found(d).map(reference)).collect::<Result<Vec<_>, _>>()?;
        on.sort();
        on.dedup();
        dependencies.push((reference(package), json!({"ref": reference(package), "dependsOn": on})));
    }
    // Cargo's ids hold the place of the checkout; what is written must not depend on it.
    components.sort_by(|a, b| a.0.cmp(&b.0));
    dependencies.sort_by(|a, b| a.0.cmp(&b.0));
    let all = |pairs: Vec<(String, Value)>| pairs.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": "serin", "name": "serin", "version": env!("CARGO_PKG_VERSION"),
        }},
        "components": all(components),
        "dependencies": all(dependencies),
    });
    Ok(serde_json::to_vec_pretty(&bill)?)
}

/// A package URL (<https://github.com/package-url/purl-spec>); our own crates are on no registry.
fn reference(package: &Package) -> String {
    let Package { name, version, .. } = package;
    if package.source.is_some() {
        format!("pkg:cargo/{name}@{version}")
    } else {
        format!("serin:{name}@{version}")
    }
}

fn component(package: &Package, is_program: bool) -> Value {
    let mut component = json!({
        "type": if is_program { "application" } else { "library" },
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
    });
    if package.source.is_some() {
        component["purl"] = reference(package).into();
    }
    if let Some(license) = &package.license {
        // The slash is Cargo's old way to say OR.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_and_what_only_builds_is_not() {
        let metadata = json!({
            "packages": [
                {"id": "path+file:///here#serin@0.1.0", "name": "serin", "version": "0.1.0", "license": "Apache-2.0", "source": null},
                {"id": "r#a@1.0.0", "name": "a", "version": "1.0.0", "license": "MIT/Apache-2.0", "source": "registry"},
                {"id": "r#b@2.0.0", "name": "b", "version": "2.0.0", "license": null, "source": "registry"},
                {"id": "r#cc@1.0.0", "name": "cc", "version": "1.0.0", "license": "MIT", "source": "registry"},
            ],
            "resolve": {"nodes": [
                {"id": "path+file:///here#serin@0.1.0", "deps": [
                    {"pkg": "r#a@1.0.0", "dep_kinds": [{"kind": null}]},
                    {"pkg": "r#cc@1.0.0", "dep_kinds": [{"kind": "build"}, {"kind": "dev"}]},
                ]},
                {"id": "r#a@1.0.0", "deps": [{"pkg": "r#b@2.0.0", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]},
                {"id": "r#b@2.0.0", "deps": []},
                {"id": "r#cc@1.0.0", "deps": []},
            ]},
        });
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let bill: Value = serde_json::from_slice(&bill(&metadata, &["serin"]).unwrap()).unwrap();
        let names: Vec<_> =
            bill["components"].as_array().unwrap().iter().map(|c| c["bom-ref"].clone()).collect();
        assert_eq!(names, ["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0", "serin:serin@0.1.0"]);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][2]["dependsOn"], json!(["pkg:cargo/a@1.0.0"]));
        assert!(super::bill(&metadata, &["nothing"]).is_err());
    }

    #[test]
    fn the_real_bill_has_kube_and_no_tools_of_tests() {
        let bytes = of(&["serin", "serin-agent"], images::TARGET).unwrap();
        let bill: Value = serde_json::from_slice(&bytes).unwrap();
        let has = |name: &str| bill["components"].as_array().unwrap().iter().any(|c| c["name"] == name);
        assert!(has("kube-client") && has("object_store") && has("serin-judge"));
        assert!(!has("insta") && !has("proptest") && !has("serin-e2e") && !has("wiremock"));
        assert!(!String::from_utf8(bytes).unwrap().contains("file://"), "no place of this machine");
    }
}
