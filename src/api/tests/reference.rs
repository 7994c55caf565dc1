//! The reference of every field, in `docs/reference/`, is what the definitions say; and every reason has its row.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

const HOW: &str = "SERIN_UPDATE=1 cargo test -p serin-api --test reference";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// A definition as it is installed.
fn definitions() -> Vec<Value> {
    let files = serin_api::crd_files().unwrap().into_iter();
    files.map(|(_, text)| serde_saphyr::from_str(&text).unwrap()).collect()
}

/// Text in a cell of a table: on one line, its bars no borders.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What a field takes, in words.
fn takes(node: &Value) -> String {
    let number = |key: &str| node[key].as_i64();
    let range = |what: &str| match (number("minimum"), number("maximum")) {
        (Some(low), Some(high)) => format!("{what}, {low} to {high}"),
        (Some(low), None) => format!("{what} from {low} on"),
        (None, Some(high)) => format!("{what} up to {high}"),
        (None, None) => what.to_owned(),
    };
    if node["x-kubernetes-int-or-string"] == true {
        return format!(
            "{}, or text like {}",
            range("number"),
            code(node["pattern"].as_str().unwrap_or_default())
        );
    }
    if let Some(words) = node["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(code).collect::<Vec<_>>().join(", ");
    }
    match node["type"].as_str() {
        Some("string") if node["format"] == "date-time" => "time".to_owned(),
        Some("string") => match (node["pattern"].as_str(), number("maxLength")) {
            (Some(pattern), Some(most)) => format!("text like {}, at most {most} long", code(pattern)),
            (Some(pattern), None) => format!("text like {}", code(pattern)),
            (None, Some(most)) => format!("text, at most {most} long"),
            (None, None) => "text".to_owned(),
        },
        Some("integer") => range("number"),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("array") => {
            let most = number("maxItems").map(|most| format!(" up to {most}")).unwrap_or_default();
            let of = &node["items"];
            let of = if of["properties"].is_object() { "objects".to_owned() } else { takes(of) };
            format!("list of{most}: {of}")
        }
        Some("object") if node["additionalProperties"].is_object() => {
            let most = number("maxProperties").map(|most| format!(" up to {most}")).unwrap_or_default();
            let of = &node["additionalProperties"];
            let of = if of["properties"].is_object() { "objects".to_owned() } else { takes(of) };
            format!("map of{most}: {of}")
        }
        _ => "object".to_owned(),
    }
}

/// The part of a field that has fields of its own, and how it is reached.
fn inner<'a>(node: &'a Value, path: &str) -> Option<(&'a Value, String)> {
    let places = [
        (node, path.to_owned()),
        (&node["items"], format!("{path}[]")),
        (&node["additionalProperties"], format!("{path}.*")),
    ];
    places.into_iter().find(|(node, _)| node["properties"].is_object())
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').collect()
}

/// A page in the making.
struct Page {
    kind: String,
    text: String,
    /// Objects that were shown, without their own description: the same one again is a link.
    shown: BTreeMap<String, String>,
}

impl Page {
    fn rules(&mut self, node: &Value) {
        let rules = node["x-kubernetes-validations"].as_array().into_iter().flatten();
        let rules: Vec<String> = rules
            .map(|rule| {
                let about_changes = rule["rule"].as_str().unwrap().contains("oldSelf");
                let when = if about_changes { " (of a change)" } else { "" };
                format!("- {}{when}\n", cell(rule["message"].as_str().unwrap()))
            })
            .collect();
        if !rules.is_empty() {
            let _ = write!(self.text, "\nRefused unless:\n\n{}", rules.concat());
        }
    }

    /// A section for this object, then one for each object in it.
    fn object(&mut self, node: &Value, path: &str) {
        let _ = write!(self.text, "\n## {path}\n\n");
        if let Some(description) = node["description"].as_str() {
            let _ = write!(self.text, "{}\n\n", description.trim());
        }
        let fields = node["properties"].as_object().unwrap();
        let required = texts(&node["required"]);
        self.text.push_str("| field | takes | |\n|---|---|---|\n");
        let mut below = Vec::new();
        for (name, field) in fields {
            let mut what = takes(field);
            if required.contains(&name.as_str()) {
                what.push_str("; required");
            }
            // An object's default is that of its fields, which stand below.
            if !field["default"].is_null() && !field["default"].is_object() {
                let _ = write!(what, "; default {}", code(&field["default"].to_string().replace('"', "")));
            }
            let mut description = cell(field["description"].as_str().unwrap_or_default());
            let mut name = format!("`{name}`");
            if let Some((inside, place)) = inner(field, &format!("{path}.{}", name.trim_matches('`'))) {
                if is_template(&self.kind, &place) {
                    description.push_str(" As [a TrainingRun's spec](trainingrun.md#spec).");
                } else {
                    let mut bare = inside.clone();
                    bare.as_object_mut().unwrap().remove("description");
                    bare.as_object_mut().unwrap().remove("default");
                    let known = self.shown.get(&bare.to_string()).cloned();
                    let target = known.clone().unwrap_or_else(|| place.clone());
                    name = format!("[{name}](#{})", anchor(&target));
                    if known.is_none() {
                        self.shown.insert(bare.to_string(), place.clone());
                        below.push((inside, place));
                    }
                }
            }
            let _ = writeln!(self.text, "| {name} | {what} | {description} |");
        }
        self.rules(node);
        for (inside, place) in below {
            self.object(inside, &place);
        }
    }
}

/// A policy's template is the spec of a TrainingRun: shown once.
fn is_template(kind: &str, path: &str) -> bool {
    kind == "RetrainPolicy" && path == "spec.template"
}

fn page(definition: &Value) -> (String, String) {
    let names = &definition["spec"]["names"];
    let kind = names["kind"].as_str().unwrap();
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut page = Page { kind: kind.to_owned(), text: String::new(), shown: BTreeMap::new() };
    let _ = write!(
        page.text,
        "# {kind}\n\n<!-- written by src/api/tests/reference.rs: {HOW} -->\n\n{} `{}/{}`, short name `{}`.\n",
        schema["description"].as_str().unwrap(),
        definition["spec"]["group"].as_str().unwrap(),
        version["name"].as_str().unwrap(),
        texts(&names["shortNames"]).join("`, `"),
    );
    page.rules(schema);
    page.text.push_str("\n| column of `kubectl get` | where it is from |\n|---|---|\n");
    for column in version["additionalPrinterColumns"].as_array().unwrap() {
        let wide = if column["priority"] == 1 { " (with `-o wide`)" } else { "" };
        let (name, path) = (column["name"].as_str().unwrap(), column["jsonPath"].as_str().unwrap());
        let _ = writeln!(page.text, "| {name}{wide} | {} |", code(path));
    }
    for part in ["spec", "status"] {
        page.object(&schema["properties"][part], part);
    }
    (format!("{}.md", kind.to_lowercase()), page.text)
}

#[test]
fn the_reference_is_what_the_definitions_say() {
    let folder = docs().join("reference");
    let pages: BTreeMap<String, String> = definitions().iter().map(page).collect();
    if std::env::var_os("SERIN_UPDATE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &pages {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let there = std::fs::read_dir(&folder).unwrap().flatten();
    let there: BTreeSet<_> = there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(there, pages.keys().cloned().collect(), "one page a kind");
    for (name, text) in &pages {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(committed == *text, "docs/reference/{name} is stale: {HOW}");
    }
}

#[test]
fn a_template_is_a_spec() {
    let spec = |kind: &str, pointer: &str| -> Value {
        let all = definitions();
        let definition = all.iter().find(|d| d["spec"]["names"]["kind"] == kind).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema.pointer(pointer).unwrap()["properties"].clone()
    };
    let own = spec("TrainingRun", "/properties/spec");
    let template = spec("RetrainPolicy", "/properties/spec/properties/template");
    let names =
        |fields: &Value| -> BTreeSet<String> { fields.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&own), names(&template), "the reference of a policy says that they are the same");
}

/// The reasons in the source, which are all that there are: `as_str` has a line for each variant.
fn reasons() -> BTreeSet<String> {
    let source = include_str!("../reason.rs");
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    lines.map(|(_, word)| word.trim_end_matches("\",").to_owned()).collect()
}

/// The first cells of the tables of a page that hold one word of code.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<String> = line.strip_prefix("| `")?.split('|').map(|c| c.trim().to_owned()).collect();
        let (first, rest) = cells.split_first()?;
        Some((first.strip_suffix('`')?.to_owned(), rest.to_vec()))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn every_reason_says_what_it_means_and_what_to_do() {
    let page = std::fs::read_to_string(docs().join("troubleshooting.md")).unwrap();
    let rows = rows(&page);
    let mut told = BTreeSet::new();
    for (reason, cells) in &rows {
        assert!(told.insert(reason.clone()), "{reason} has two rows");
        assert!(
            cells.len() >= 2 && cells.iter().take(2).all(|cell| !cell.is_empty()),
            "{reason}: what it means, and what to do"
        );
    }
    let reasons = reasons();
    assert!(reasons.len() > 80, "the source is not read as it is written: {}", reasons.len());
    let missing: Vec<_> = reasons.difference(&told).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md has no row for {missing:?}");
    let unknown: Vec<_> = told.difference(&reasons).collect();
    assert!(
        unknown.is_empty(),
        "docs/troubleshooting.md has rows for reasons that do not exist: {unknown:?}"
    );
}
