"""A table shows each figure once, and a published number only where it may be compared."""

from dataclasses import replace

from megabase.metrics.bootstrap import ConfidenceInterval
from megabase.metrics.results import Published, Result
from megabase.report.pages import Section, Table, published_table, results_table, sections_page

OURS = Result(
    task="gue/tf_0", model="ours", metric="mcc", value=0.5, interval=None, seed=0, n_test=1000,
    data_hash="ab", is_published_split=True,
)  # fmt: skip
KMERS = replace(OURS, model="k-mers", value=0.25, seed=None, interval=ConfidenceInterval(0.2, 0.3))
PAPER = Published("DNABERT-2", 0.7199, "mcc", "official", "Zhou et al. 2023, Table 6")


def test_models_are_columns_and_seeds_one_cell():
    results = [OURS, replace(OURS, seed=1, value=0.7), KMERS]
    assert results_table(results).to_markdown().splitlines() == [
        "| task | test rows | metric | ours | k-mers |",
        "| --- | ---: | --- | ---: | ---: |",
        "| gue/tf_0 | 1,000 | mcc | 0.6000 ± 0.1414 (2 seeds) | 0.2500 [0.2000, 0.3000] |",
    ]


def test_published_figures_have_protocol_and_source():
    assert published_table([OURS, KMERS], {"gue/tf_0": [PAPER]}).to_markdown().splitlines() == [
        "| task | metric | model | published | protocol | source |",
        "| --- | --- | --- | ---: | --- | --- |",
        "| gue/tf_0 | mcc | DNABERT-2 | 0.7199 | official | Zhou et al. 2023, Table 6 |",
    ]


def test_of_other_rows_the_published_number_is_left_out():
    table = published_table([replace(OURS, is_published_split=False)], {"gue/tf_0": [PAPER]})
    assert not table.rows


def test_published_numbers_of_other_tasks_metrics_and_labels_are_not_shown():
    others = [replace(PAPER, metric="accuracy"), replace(PAPER, part="TF")]
    assert not published_table([OURS], {"gue/tf_1": [PAPER], "gue/tf_0": others}).rows


def test_a_missing_figure_leaves_its_cell_empty():
    table = results_table([OURS, replace(KMERS, metric="accuracy")])
    assert table.to_markdown().splitlines()[2:4] == [
        "| gue/tf_0 | 1,000 | mcc | 0.5000 |  |",
        "| gue/tf_0 | 1,000 | accuracy |  | 0.2500 [0.2000, 0.3000] |",
    ]


def test_a_page_shows_all_text_as_it_is_and_embeds_its_figures(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x00\xff")
    name = "<b> & 'c' \"d\" {{ title }}"
    shown = "&lt;b&gt; &amp; &#x27;c&#x27; &quot;d&quot; {{ title }}"
    sections = [
        Section(name, [name], Table([name], [[name]]), "a.png"),
        Section("Next", [], figure="a.png", figure_text="dots", level=3),
    ]
    page = sections_page(name, sections, tmp_path)
    assert page.partition("<title>")[2].partition("<style>")[0] == f"{shown}</title>"
    assert page.partition("<body>\n")[2].splitlines() == [
        f"<h2>{shown}</h2>",
        f"<p>{shown}</p>",
        f'<img alt="{shown}" src="data:image/png;base64,AP8=">',
        "<table>",
        f"<tr><th>{shown}</th></tr>",
        f"<tr><td>{shown}</td></tr>",
        "</table>",
        "<h3>Next</h3>",
        '<img alt="dots" src="data:image/png;base64,AP8=">',
        "</body></html>",
    ]
