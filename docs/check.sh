#!/usr/bin/env bash
# Checks the documentation: links lead somewhere, every page is in the book, decisions are indexed and short, metrics are
# documented, tests that the threat model names are there. That its examples are valid is checked by `cargo test`
# (src/api/tests/documents.rs) and by an apiserver (tests/documents.rs); that reference and reasons are those of the code,
# by src/api/tests/reference.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

problems=0
problem() {
  echo "docs: $*" >&2
  problems=$((problems + 1))
}

# The text without fenced blocks and inline code, where brackets are no links.
prose() {
  awk '/^ *```/ { fenced = !fenced; next } !fenced' "$1" | sed 's/`[^`]*`//g'
}

# The anchors that headings have on GitHub.
anchors() {
  awk '/^ *```/ { fenced = !fenced; next } !fenced' "$1" | grep -E '^#+ ' | sed -E 's/^#+ +//' |
    tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

files=$(git ls-files --cached --others --exclude-standard -- '*.md')
links=0
while IFS= read -r file; do
  while IFS= read -r link; do
    case $link in http://* | https://* | mailto:*) continue ;; esac
    links=$((links + 1))
    path=${link%%#*}
    target=$file
    [[ -z $path ]] || target=$(dirname "$file")/$path
    if [[ ! -e $target ]]; then
      problem "$file: the link $link leads nowhere"
    elif [[ $link == *'#'* && $target == *.md ]] && ! anchors "$target" | grep -qxF -- "${link#*#}"; then
      problem "$file: the link $link leads to no heading"
    fi
  done < <(prose "$file" | grep -oE '\]\([^() ]+\)' | sed -E 's/^\]\((.*)\)$/\1/' || true)
  # Files named in passing move as often as those that are linked. Named from the repository or from the crate.
  while IFS= read -r path; do
    [[ -e $path || -e $(dirname "$file")/../$path ]] || problem "$file: there is no $path"
  done < <(awk '/^ *```/ { fenced = !fenced; next } !fenced' "$file" |
    grep -oE '`(\.ci|crds|deploy|docs|e2e|src|tests)/[^` ]*`' | tr -d '`' || true)
done <<<"$files"

# Code and manifests name decisions by number.
while IFS= read -r name; do
  compgen -G "$name*" >/dev/null || problem "$name is mentioned in the code and does not exist"
done < <(git grep -hoE 'docs/adr/[0-9]{4}[a-z0-9-]*(\.md)?' -- '*.rs' '*.toml' '*.yaml' '.ci' | sort -u)

# Scenarios are named by their tests.
while IFS= read -r name; do
  git grep -qE "fn $name\(" -- '*.rs' || problem "docs/scenarios.md names $name, which is no test"
done < <(grep -oE '`[a-z0-9]+(_[a-z0-9]+)+`' docs/scenarios.md | tr -d '`' | sort -u)

for adr in docs/adr/[0-9]*.md; do
  grep -qF "]($(basename "$adr"))" docs/adr/README.md || problem "$adr is missing in docs/adr/README.md"
  [[ $(wc -l <"$adr") -le 70 ]] || problem "$adr is longer than a page (70 lines)"
  for part in Context Decision Consequences Alternatives; do
    grep -qx "## $part" "$adr" || problem "$adr has no part \"$part\""
  done
done

while IFS= read -r page; do
  page=${page#docs/}
  [[ $page == SUMMARY.md ]] || grep -qF "]($page)" docs/SUMMARY.md || problem "docs/$page is missing in docs/SUMMARY.md"
done < <(git ls-files --cached --others --exclude-standard -- 'docs/*.md')

# Each row of the threat model, and each test that it names: [`name`](file).
for row in {1..23}; do
  grep -qE "^\| $row \| " docs/threat-model.md || problem "docs/threat-model.md has no row $row"
done
tests=0
while IFS=' ' read -r name file; do
  tests=$((tests + 1))
  grep -qE "fn $name\b" "docs/$file" || problem "docs/threat-model.md: there is no $name in $file"
done < <(grep -oE '\[`[a-z0-9_]+`\]\([^)]*\.rs\)' docs/threat-model.md | sed -E 's/^\[`(.*)`\]\((.*)\)$/\1 \2/')
[[ $tests -ge 50 ]] || problem "docs/threat-model.md names only $tests tests"

while IFS= read -r metric; do
  grep -qE "serin_$metric(_total)?\`" docs/metrics.md || problem "docs/metrics.md does not explain serin_$metric"
done < <(grep -oE 'register\("[a-z_]+"' src/operator/telemetry.rs | sed -E 's/.*"([a-z_]+)"/\1/')

if [[ $problems -gt 0 ]]; then
  echo "docs: $problems problems" >&2
  exit 1
fi
echo "docs: $(wc -l <<<"$files") files, $links links, all well"
