//! What the operator shows a browser: all deployments, one rollout with its curves, where a version comes from. Each is one page
//! without script, form or asset; there is nothing on them that could change anything.

use std::fmt::Write as _;

use serin_api::{
    ModelDeployment,
    conditions::{self, Type},
};

use crate::{
    explain::{Explanation, html},
    html::{document, escape},
    lineage::Node,
    paint::Tone,
};

/// Most lines of the list; a person looks for more by name.
pub const LIST_MAX: usize = 500;

/// Path of a deployment's page.
pub fn deployment_path(namespace: &str, name: &str) -> String {
    format!("/deployments/{}/{}", escape(namespace), escape(name))
}

/// Path of a version's page.
pub fn version_path(namespace: &str, name: &str) -> String {
    format!("/versions/{}/{}", escape(namespace), escape(name))
}

/// All deployments, in the order given.
pub fn list<'a>(deployments: impl ExactSizeIterator<Item = &'a ModelDeployment>) -> String {
    let count = deployments.len();
    let mut body = format!("<h1>Model deployments</h1><p class=\"faint\">{count} in all");
    if count > LIST_MAX {
        let _ = write!(body, "; these are the first {LIST_MAX}");
    }
    body.push_str(
        "</p><table><tr><th>Namespace<th>Name<th>Stable<th>Candidate<th>Weight<th>Step<th>Verdict<th>Ready<th>Reason</tr>",
    );
    for deployment in deployments.take(LIST_MAX) {
        row(&mut body, deployment);
    }
    body.push_str("</table>");
    document("Serin", &body)
}

fn row(body: &mut String, deployment: &ModelDeployment) {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let said = |ty| conditions::get(&status.conditions, ty);
    let ready = said(Type::Ready).map(|c| c.status.as_str()).unwrap_or_default();
    let reason = said(Type::Progressing).map(|c| c.reason.as_str()).unwrap_or_default();
    let candidate = status.candidate.as_ref();
    let verdict = status.verdict.map(|v| format!("<span class=\"{v:?}\">{v:?}</span>")).unwrap_or_default();
    let _ = write!(
        body,
        "<tr><td>{}<td><a href=\"{}\">{}</a><td>{}<td>{}<td>{}<td>{}<td>{verdict}<td>{}<td>{}</tr>",
        escape(namespace),
        deployment_path(namespace, name),
        escape(name),
        status.stable.as_ref().map(|s| version(deployment, namespace, &s.version)).unwrap_or_default(),
        candidate.map(|c| version(deployment, namespace, &c.version)).unwrap_or_default(),
        candidate.map(|c| format!("{} %", c.weight)).unwrap_or_default(),
        candidate.map(|c| escape(&c.step)).unwrap_or_default(),
        escape(ready),
        escape(reason),
    );
}

/// A version's word; a link where it is the name of a record.
fn version(deployment: &ModelDeployment, namespace: &str, word: &str) -> String {
    let model = &deployment.spec.model;
    if model.version_ref.is_some() || model.channel.is_some() {
        return format!("<a href=\"{}\">{}</a>", version_path(namespace, word), escape(word));
    }
    escape(word)
}

/// A rollout that runs or is over.
pub fn trial(namespace: &str, explanation: &Explanation) -> String {
    html::render(explanation, &above(namespace))
}

/// A deployment of which no trial is known, and why.
pub fn untried(namespace: &str, name: &str, why: &str) -> String {
    let body = format!("{}<h1>{}</h1><p>{}</p>", above(namespace), escape(name), escape(why));
    document(name, &body)
}

/// Where a version comes from and what became of it.
pub fn lineage(namespace: &str, root: &Node) -> String {
    let mut body = format!("{}<h1>{}</h1>", above(namespace), escape(&root.text));
    branches(&mut body, &root.children);
    document(&root.text, &body)
}

fn branches(body: &mut String, nodes: &[Node]) {
    if nodes.is_empty() {
        return;
    }
    body.push_str("<ul>");
    for node in nodes {
        let tone = match node.tone {
            Tone::Plain => "",
            Tone::Good => " class=\"Good\"",
            Tone::Bad => " class=\"Bad\"",
        };
        let _ = write!(
            body,
            "<li><span class=\"faint\">{}</span> <span{tone}>{}</span>",
            node.kind,
            escape(&node.text)
        );
        branches(body, &node.children);
    }
    body.push_str("</ul>");
}

/// Nothing there, or not now.
pub fn trouble(title: &str, why: &str) -> String {
    document(
        title,
        &format!(
            "<nav><a href=\"/\">Model deployments</a></nav><h1>{}</h1><p>{}</p>",
            escape(title),
            escape(why)
        ),
    )
}

fn above(namespace: &str) -> String {
    format!(
        "<nav><a href=\"/\">Model deployments</a> <span class=\"faint\">{}</span></nav>",
        escape(namespace)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(version: &str) -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "wine", "namespace": "shop"},
            "spec": {"model": {"versionRef": version}, "server": {"image": "i"}, "replicas": 1},
            "status": {"verdict": "RolledBack", "stable": {
                "revision": "r1-0000000000", "version": version, "digest": "d", "slot": "a", "spec": {
                    "model": {"artifact": {"uri": "pvc://m/wine", "digest": format!("sha256:{}", "0".repeat(64))}},
                    "server": {"image": "i"}, "minReadySeconds": 0, "drainSeconds": 30,
                },
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_version_that_is_a_record_is_a_link_and_words_are_text() {
        let page = list([deployment("wine-5f3a9c21d0")].iter());
        assert!(page.contains("<a href=\"/deployments/shop/wine\">wine</a>"), "{page}");
        assert!(page.contains("<a href=\"/versions/shop/wine-5f3a9c21d0\">wine-5f3a9c21d0</a>"), "{page}");
        assert!(page.contains("<span class=\"RolledBack\">RolledBack</span>"), "{page}");
        let odd = list([deployment("\"><script>alert(1)</script>")].iter());
        assert!(!odd.contains("<script"), "{odd}");
    }

    #[test]
    fn pages_have_neither_script_nor_form_nor_asset() {
        let root = Node {
            kind: "version",
            text: "wine-1 <b>".into(),
            tone: Tone::Plain,
            children: vec![Node {
                kind: "data",
                text: "train".into(),
                tone: Tone::Bad,
                children: Vec::new(),
            }],
        };
        let pages = [
            list([deployment("v1")].iter()),
            lineage("shop", &root),
            untried("shop", "wine", "no version has been compared with another one yet"),
            trouble("Not found", "there is no ModelDeployment <x>"),
        ];
        for page in pages {
            for word in ["<script", "<form", "<img", "<link", "http:", "https:", "url(", "<b>", "<x>"] {
                assert!(!page.contains(word), "{word} in {page}");
            }
        }
    }

    #[test]
    fn a_long_list_says_that_it_is_cut() {
        let many: Vec<ModelDeployment> = (0..=LIST_MAX).map(|_| deployment("v1")).collect();
        let page = list(many.iter());
        assert_eq!(page.matches("<tr><td>").count(), LIST_MAX);
        assert!(page.contains("501 in all; these are the first 500"), "{page}");
    }
}
