//! What pages for a browser share: nothing is fetched, nothing is executed.

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2128;--faint:#68707c;--line:#d8dde3;--paper:#fff;--bad:#b4232c;--good:#1a7f45;\
--candidate:#c2570c;--stable:#2f6fb7;--weight:#8a93a0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--faint:#98a1ad;--line:#333a44;--paper:#15181d;--bad:#f0767d;\
--good:#5cc98a;--candidate:#f0944d;--stable:#74aef0;--weight:#7b8592}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:50rem;margin:2rem auto;\
padding:0 1rem}h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:2rem 0 .25rem}p{margin:.4rem 0}\
.faint,figcaption,th{color:var(--faint);font-weight:400}.Fail,.RolledBack{color:var(--bad)}.Pass,.Promoted{color:var(--good)}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:.25rem .75rem \
.25rem 0;border-bottom:1px solid var(--line)}figure{margin:0}svg{width:100%;height:auto}svg text{font:11px system-ui,\
sans-serif;fill:var(--faint)}polyline{fill:none;stroke-width:2}.grid{stroke:var(--line)}.bound{stroke:var(--bad);\
stroke-dasharray:5 4}.candidate{stroke:var(--candidate)}.stable{stroke:var(--stable)}.evidence{stroke:var(--ink)}\
.weight{stroke:var(--weight)}.key::before{content:'';display:inline-block;width:1.2em;height:0;border-top:2px solid;\
vertical-align:middle;margin:0 .35em 0 .9em}.key.candidate{color:var(--candidate)}.key.stable{color:var(--stable)}\
.key.bound{color:var(--bad)}\
a{color:var(--stable);text-decoration:none}a:hover{text-decoration:underline}ul{list-style:none;padding-left:1.2rem;\
border-left:1px solid var(--line)}.Good{color:var(--good)}.Bad{color:var(--bad)}nav{margin-bottom:1rem}";

/// A whole page. `title` is text, `body` HTML.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style>{body}\n",
        escape(title)
    )
}

/// Text of users and programs is text.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
