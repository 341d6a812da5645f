"""Cards of saved probes: the numbers of the probe, and names that Markdown and HTML show as they are."""

from dataclasses import replace

import yaml
from markdown_it import MarkdownIt

from sparse_probing.saved_probes.card import escaped, probe_card
from tests.builders.saved_probes import made_probe

HOSTILE = "a|b <script>x</script> [click](http://e) `c` **d** \x1b[31m \u202e\nnext\n---"


def parts(card: str) -> tuple[dict, str]:
    """Return the metadata of a card, and its HTML."""
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), MarkdownIt("commonmark").enable("table").render(body)


def test_numbers_and_controls_are_in_the_table():
    origin = replace(
        made_probe().provenance, metrics={**made_probe().provenance.metrics, "shuffled_labels/test_f1_score": 0.125}
    )
    front, html = parts(probe_card(made_probe(provenance=origin, model="owner/model"), "me/probe"))
    assert front == {
        "library_name": "sparse-probing",
        "tags": ["sparse-probing", "linear-probe", "interpretability"],
        "base_model": "owner/model",
    }
    row = [cell for cell in html.partition("<td>f1_score</td>")[2].split("\n")[1:4]]
    assert row == ["<td>0.750</td>", "<td>0.500 to 0.875</td>", "<td>0.125</td>"]
    assert "80 training and 20 test rows" in html
    validated = made_probe(provenance=replace(origin, n_validation=1234))
    assert "80 training, 1,234 validation and 20 test rows" in parts(probe_card(validated))[1]
    assert "sp.load_probe(&quot;me/probe&quot;)" in html
    assert "had no controls" not in html
    assert "had no controls" in probe_card(made_probe())


def test_names_are_text_in_markdown_and_html():
    origin = replace(made_probe().provenance, dataset=HOSTILE, source=HOSTILE, status=HOSTILE, licence=HOSTILE)
    probe = made_probe(3, classes=(HOSTILE, "b", "c"), feature=HOSTILE, provenance=origin)
    _, html = parts(probe_card(probe))
    for dangerous in ("<script", "<a ", "<strong", "<code>c</code>", "\x1b", "\u202e", "<hr"):
        assert dangerous not in html
    assert html.count("&lt;script&gt;") == 7  # title, feature, class, status, data, texts and licence
    assert html.count("<tr>") == 14  # no name begins a row


def test_escaped():
    _, html = parts(f"---\n---\n{escaped(HOSTILE)}")
    assert html == (
        "<p>a|b &lt;script&gt;x&lt;/script&gt; [click](http://e) `c` **d** \\x1b[31m \\u202e\\nnext\\n---</p>\n"
    )
