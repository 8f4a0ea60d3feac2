//! The page: this node's view, in the words of `systole status`, as HTML that needs no script.

use askama::Template;
use systole::cli::check::State;
use systole::cli::screen::{Row, Screen, Tone, steers};
use systole::cli::status::parts::{Links, Parts, decision};
use systole::cli::status::{full_time, guards, tone_of};
use systole::cli::top::Told;

/// The browser asks for the page again after so many seconds.
pub(crate) const REFRESH_S: &str = "5";

/// What the page is made from. Every text is escaped by the template.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ worst.word() }}: {{ name }}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<h1>{{ name }}</h1>
<p>{{ time }}</p>
</header>
<main>
<section class="verdict">
{% for (state, text) in verdict %}<p class="{{ self::class_of(state) }}"><b>{{ self::shape_of(state) }} {{ state.word() }}:</b> {{ text }}</p>
{% endfor %}</section>
{% if let Some(said) = said %}{% if said.thaw.is_some() || !said.remarks.is_empty() || !said.waits.is_empty() %}<section>
<h2>Waits and notes</h2>
<ul>
{% if let Some(thaw) = said.thaw %}<li>{{ thaw }}</li>
{% endif %}{% for remark in said.remarks %}<li class="warn"><b>▲ NOTE:</b> {{ remark }}</li>
{% endfor %}{% for wait in said.waits %}<li>{{ wait }}</li>
{% endfor %}</ul>
</section>
{% endif %}{% if !said.nodes.is_empty() %}<section>
<h2>Nodes</h2>
<ul>
{% for node in said.nodes %}<li{% if node.gone %} class="gone"{% endif %}><b>{{ node.name }}</b> {% let (tone, word) = node.state %}<span class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ word }}</span> {{ node.facts.join(", ") }}</li>
{% endfor %}</ul>
{% if !said.keys.is_empty() %}<p>{{ said.keys.trim() }}</p>
{% endif %}</section>
{% endif %}{% match said.links %}{% when Links::None %}{% when Links::Pair(pair) %}<section>
<h2>Links</h2>
<table{% if peer_gone %} class="gone"{% endif %}>
<thead><tr><th scope="col">medium</th><th scope="col">{{ pair.here }}</th><th scope="col">{{ pair.there }}</th></tr></thead>
<tbody>
{% for row in pair.rows %}<tr><th scope="row">{{ row.name }}</th>{% match row.both %}{% when Some((here, there)) %}{% let (tone, word) = here %}<td class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ word }}{% if let Some((word, reason)) = row.fault %} <b class="bad">■ {{ word }}:</b> {{ reason }}{% endif %}</td>{% let (tone, word) = there %}<td class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ word }}</td>{% when None %}<td colspan="2">{% if let Some((word, reason)) = row.fault %}<b class="bad">■ {{ word }}:</b> {{ reason }}{% endif %}</td>{% endmatch %}</tr>
{% endfor %}</tbody>
</table>
{% if !pair.elsewhere.is_empty() %}<p><b class="bad">■ NOT:</b> {{ pair.there }} on its medium {{ pair.elsewhere.join(", ") }}</p>
{% endif %}</section>
{% when Links::Many(links) %}<section>
<h2>Links</h2>
<ul>
{% for row in links.rows %}<li>{{ links.here }} <b>{{ row.name }}</b>:{% for (medium, (tone, word)) in row.media %} {{ medium }} <span class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ word }}</span>{% endfor %}{% if let Some(deaf) = row.deaf %} <b class="bad">■ {{ deaf }}</b>{% endif %}</li>
{% endfor %}{% for (name, (word, reason)) in links.faults %}<li>{{ name }} <b class="bad">■ {{ word }}:</b> {{ reason }}</li>
{% endfor %}</ul>
</section>
{% when Links::Alone(media) %}<section>
<h2>Links</h2>
<ul>
{% for (name, fault) in media %}<li>{{ name }}{% if let Some((word, reason)) = fault %} <b class="bad">■ {{ word }}:</b> {{ reason }}{% endif %}</li>
{% endfor %}</ul>
</section>
{% endmatch %}{% if !guards.is_empty() %}<section>
<h2>Guards</h2>
<ul>
{% for row in guards %}<li>{% for (tone, text) in row %}<span class="{{ self::class(tone) }}">{{ text }}</span>{% endfor %}</li>
{% endfor %}</ul>
</section>
{% endif %}{% if !said.groups.is_empty() %}<section>
<h2>Groups</h2>
<ul>
{% for group in said.groups %}<li><b>{{ group.key }}</b> {% let (tone, word) = group.state %}<span class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ word }}</span>{{ group.since }}
{% if !group.then.is_empty() %}<br>then {{ group.then.join(" ") }}
{% endif %}{% for (tone, text) in group.troubles %}<br><span class="{{ self::class(tone) }}">{{ self::shape(tone) }} {{ text }}</span>
{% endfor %}{% if let Some(text) = group.said %}<br><code>{{ text }}</code>
{% endif %}</li>
{% endfor %}</ul>
</section>
{% endif %}{% if let Some(last) = said.last_move %}<section>
<h2>Last move of {{ name }}</h2>
<p>{{ last }}</p>
</section>
{% endif %}<section>
<h2>Decisions</h2>
{% match decisions %}{% when Err(reason) %}<p>not told: {{ reason }}</p>
{% when Ok(decisions) %}{% if decisions.is_empty() %}<p>nothing was decided yet</p>
{% else %}<ol>
{% for line in decisions %}<li>{{ line }}</li>
{% endfor %}</ol>
{% endif %}{% endmatch %}</section>
{% endif %}</main>
<footer>
<p>As this node sees it{% if said.is_some() %}. The other node has a page of its own{% endif %}. <a href="/status.json">status.json</a> <a href="/metrics">metrics</a> <a href="/healthz">healthz</a></p>
</footer>
</body>
</html>
"#
)]
struct Page {
    name: String,
    time: String,
    worst: State,
    verdict: Vec<(State, String)>,
    /// `None`: the daemon does not answer.
    said: Option<Parts>,
    /// The other node of the pair is dead or has left: what is known of its links is old.
    peer_gone: bool,
    guards: Vec<Row>,
    /// The newest first.
    decisions: Result<Vec<String>, String>,
}

/// The page about what the daemon told, or did not.
pub(crate) fn page(told: Result<&Told, &str>, now_unix_s: u64) -> Result<String, askama::Error> {
    let said = told.ok().map(|told| Parts::of(&told.view, now_unix_s));
    let verdict = match (&said, told) {
        (Some(said), _) => said.verdict.clone(),
        (None, Err(reason)) => vec![(State::Unknown, reason.to_owned())],
        (None, Ok(_)) => Vec::new(),
    };
    let node = told.ok().and_then(|told| told.view.node.as_ref());
    let mut peers = node.iter().flat_map(|node| {
        node.nodes
            .iter()
            .filter(|it| !it.ping && it.name != node.name)
    });
    let decisions = match told {
        Ok(told) => told.decisions.clone(),
        Err(reason) => Err(reason.to_owned()),
    };
    let text = Page {
        name: node.map_or("systole", |node| &node.name).to_owned(),
        time: full_time(now_unix_s),
        worst: verdict.first().map_or(State::Unknown, |(state, _)| *state),
        verdict,
        peer_gone: peers.all(|peer| peer.left || peer.status == "dead"),
        guards: told.map(guards_of).unwrap_or_default(),
        decisions: decisions.map(|all| {
            all.iter()
                .rev()
                .map(|it| decision(it, now_unix_s))
                .collect()
        }),
        said,
    };
    // Names come from files and from the network: what steers a terminal or turns text round has no place here either.
    let text = text.render()?;
    Ok(text.chars().filter(|c| *c == '\n' || !steers(*c)).collect())
}

/// Fencing, watchdog and lease, a line each.
fn guards_of(told: &Told) -> Vec<Row> {
    let mut screen = Screen::default();
    guards(&told.view, &mut screen);
    let rows = screen.words(None).into_iter();
    rows.filter(|row| !row.is_empty()).collect()
}

const fn class(tone: &Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Head => "head",
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
    }
}

/// What is said by a colour is said by a shape too, and by the word behind it.
const fn shape(tone: &Tone) -> &'static str {
    match tone {
        Tone::Good => "●",
        Tone::Warn => "▲",
        Tone::Bad => "■",
        Tone::Plain | Tone::Head => "○",
    }
}

const fn class_of(state: &State) -> &'static str {
    class(&tone_of(*state))
}

const fn shape_of(state: &State) -> &'static str {
    shape(&tone_of(*state))
}
