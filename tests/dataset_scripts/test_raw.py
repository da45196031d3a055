"""Raw files are read as they are: rows in are lines in, quotes are text, and what is damaged is named."""

import json

import pytest
from datasets import Value
from hypothesis import given
from hypothesis import strategies as st
from test_dataset_scripts import RAW

from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.errors import StiltsError

CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda text: text.strip())


def rows_of(tmp_path, text, name="dev-de.tsv"):
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return [cells for _, cells in Raw(tmp_path, "pawsx").cells(name)]


def csv_quoted(cells):
    """As Python's csv module writes a row with tabs."""
    return "\t".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if '"' in cell else cell for cell in cells)


def test_quotes_of_a_plain_file_are_text(tmp_path):
    """Three rows with odd quotes were one row, and outer quotes were lost."""
    text = '"Nobody knows."\tHe said "no.\t1\n"Where?\tHere.\t0\nThere"\t"Really?"\t0\n'
    assert rows_of(tmp_path, text) == [line.split("\t") for line in text.rstrip("\n").split("\n")]


@pytest.mark.parametrize(
    ("name", "header"), [("dev-de.tsv", ""), ("a.tsv", "one\ttwo\tlabel\n"), ("snli.txt", "one\ttwo\tlabel\n")]
)
def test_every_table_is_read_by_one_rule(name, header, tmp_path):
    """A row is a line, and quotes are those of the file as a whole."""
    plain = '"Nobody."\tHe said "no.\t1\n"Where?\tHere.\t0\n'
    quoted = '"He said ""no""."\tB\t1\n"""Nobody."""\tC\t0\n'
    for text, first in ((plain, '"Nobody."'), (quoted, 'He said "no".')):
        rows = rows_of(tmp_path, header + text, name)
        assert [cells[0] for cells in rows[bool(header) :]][0] == first
        assert len(rows) == len((header + text).splitlines())
        if header:
            records = Raw(tmp_path, "x").records(name, {"one": Value("string")})
            assert [row["one"] for _, row in records] == [cells[0] for cells in rows[1:]]


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_rows_are_read_as_they_were_written(tmp_path_factory, rows):
    tmp_path = tmp_path_factory.mktemp("raw")
    rows = [[first, second, "1"] for first, second in rows]
    quoted = "".join(csv_quoted(cells) + "\n" for cells in rows)
    assert rows_of(tmp_path, quoted) == rows, "a mirror with CSV's quotes"


def test_a_file_that_is_neither_is_refused(tmp_path):
    with pytest.raises(StiltsError, match=r"dev-de.tsv, line 2: found quotes around a cell.*as in line 1"):
        rows_of(tmp_path, '"He said ""no""."\tB\t1\n"Nobody."\tC\t0\n')


def test_a_file_of_which_half_is_quoted_is_refused(tmp_path):
    """One cell of very many may look so by accident, half of them do not."""
    doubled, loose = '"He said ""no""."\tB\t1\n', 'He said "yes".\tC\t0\n'
    with pytest.raises(
        StiltsError, match=r"line 1: found quotes doubled within a cell, and 3 cells that are not CSV's"
    ):
        rows_of(tmp_path, doubled + 3 * loose)
    assert rows_of(tmp_path, 20 * loose + doubled)[-1][0] == '"He said ""no""."'


def test_pawsx_keeps_every_row_and_quote(tmp_path):
    raw = tmp_path / "raw" / "de"
    raw.mkdir(parents=True)
    lines = ["id\tsentence1\tsentence2\tlabel", '7\t"Eule"\t"Eine Eule\t1', '8\tMaus"\t"" Maus\t0']
    (raw / "dev_2k.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build("pawsx", tmp_path / "raw", tmp_path / "out", checksum=False)
    rows = load("pawsx", "validation", "de", data_dir=tmp_path / "out")
    assert [(row["text"], row["text_pair"]) for row in rows] == [('"Eule"', '"Eine Eule'), ('Maus"', '"" Maus')]
    (raw / "dev_2k.tsv").write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(StiltsError, match=r"line 4: found id '7', as in line 2; expected every id once"):
        build("pawsx", tmp_path / "raw", tmp_path / "out", checksum=False)


def test_a_byte_order_mark_is_no_letter(tmp_path):
    assert rows_of(tmp_path, "\ufeffEule\tMaus\t1\n")[0][0] == "Eule"
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert Raw(tmp_path, "x").json("a.json") == [1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "line 1: found an empty file"),
        ("\n \n\n", "line 3: found blank lines only"),
        ("a\tb\t1\rc\td\t0\r", "line 1: found a carriage return"),
        ("a\tb\t1\nc\x00\td\t0\n", r"line 2: found control character '\\x00'"),
        ("a\x1b[31m\tb\t1\n", r"line 1: found control character '\\x1b'"),
    ],
)
def test_what_is_damaged_is_named(text, found, tmp_path):
    with pytest.raises(StiltsError, match=found):
        rows_of(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.jsonl", '{"id": 1}\n{"id": 1}\n', "line 2: found id 1, as in line 1"),
        ("a.jsonl", '{"id": "\\ud800"}\n', "line 1: found half of a character"),
        ("a.jsonl", '{"id": "\\u0000"}\n', "line 1: found control character"),
        ("a.jsonl", '{"id": "\\b"}\n', "line 1: found control character"),
        ("a.jsonl", '{"id": ' + "[" * 50_000 + "\n", "line 1: found (JSON nested|broken JSON)"),
        ("a.jsonl", "[" * 900 + '"\\u0001"' + "]" * 900 + "\n", "line 1: found (JSON nested|control character)"),
        ("a.jsonl", '{"id": ' + "9" * 5000 + "}\n", "line 1: found Exceeds the limit"),
        ("a.jsonl", '{"id": true}\n', r"line 1: found id True; expected Value\('int32'\)"),
        ("a.jsonl", '{"id": "1"}\n', r"line 1: found id '1'; expected Value\('int32'\)"),
        ("a.csv", "id,text\n", "its end: found no row"),
        ("a.csv", 'id,text\n1,"' + "x" * 200_000 + '"\n', "line 2: found field larger than field limit"),
        ("a.csv", 'id,text\n1,"odd\n', "line 2: found unexpected end of data"),
        ("a.csv", 'id,text\n1,"odd" one\n', "line 2: found .* expected after"),
        ("a.tsv", "id\ttext\n", "its end: found no row"),
    ],
)
def test_records_name_file_and_line(name, text, found, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(StiltsError, match=f"{name}, {found}"):
        list(Raw(tmp_path, "x").records(name, {"id": Value("int32")}, unique=("id",)))


def test_half_a_character_that_json_writes_as_two_is_a_whole_one(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "🦉"}) + "\n", encoding="utf-8")
    assert next(Raw(tmp_path, "x").records("a.jsonl", {"id": Value("string")}))[1] == {"id": "🦉"}


def test_files_of_languages_that_the_task_lacks_are_said(tmp_path):
    for pair in ("deu", "cat", "swe", "nav", "zul"):
        for side in (pair, "eng"):
            (tmp_path / f"tatoeba.{pair}-eng.{side}").write_text("one\n", encoding="utf-8")
    report = build("tatoeba", tmp_path, tmp_path / "out", checksum=False)
    assert [part.language for part in report.parts] == ["ca", "de", "sv"]
    assert {file.split(".")[1] for file in report.left_out} == {"nav-eng", "zul-eng"}
    assert set(report.left_out.values()) == {"tatoeba112 has no such language"}
    asked = build("tatoeba", tmp_path, tmp_path / "out", checksum=False, languages=["de"])
    assert not asked.left_out, "of languages that were not asked for, nothing is said"


# Converter -> a second file with the same rows, which must not vanish without a word, and why it is not read.
SPARE = {
    "snli": ("snli_1.0_train.txt", "snli_1.0_train.jsonl"),
    "mnli": ("multinli_1.0_train.txt", "multinli_1.0_train.jsonl"),
    "panx": ("de_pud-ud-test.iob2", "de/test"),
    "udpos": ("UD_Arabic-NYUAD/ar_nyuad-ud-test.conllu", "without text"),
    "pawsx": ("train-de.tsv", "translated_train.tsv"),
    "ccg": ("wsj_2200.auto", "no split"),
}


@pytest.mark.parametrize("name", sorted(SPARE))
def test_a_file_that_is_not_read_is_said(name, tmp_path):
    spare, why = SPARE[name]
    for file, text in {**RAW[name], spare: "never read\n"}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    report = build(name, tmp_path, tmp_path / "out", checksum=False)
    assert list(report.left_out) == [spare]
    assert why in report.left_out[spare]


@pytest.mark.parametrize("name", sorted(RAW))
def test_a_file_without_a_row_stops_the_converter(name, tmp_path):
    """A header, comments or an empty list alone: a split would vanish, or be there without rows."""
    comment = (
        "" if name in ("tatoeba", "snli", "flores", "flores_mining") else "# nothing"
    )  # every line of theirs is a sentence
    for spoilt in RAW[name]:
        for file, text in RAW[name].items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            bare = '{"data": []}' if spoilt.endswith(".json") else f"{comment}\n\n"
            (tmp_path / file).write_text(bare if file == spoilt else text, encoding="utf-8")
        with pytest.raises(StiltsError, match=spoilt.rpartition("/")[2]):
            build(name, tmp_path, tmp_path / "out", checksum=False)


# Converter -> the file of which a row or question stands twice, by an id that says so.
TWICE = {
    "anli": "anli_v1.0/R2/dev.jsonl",
    "bucc2018": "de-en/de-en.sample.de",
    "commonsenseqa": "dev_rand_split.jsonl",
    "copa": "copa-dev.xml",
    "cosmosqa": "valid.csv",
    "hellaswag": "hellaswag_val.jsonl",
    "mlqa": "test/test-context-de-question-de.json",
    "mnli": "multinli_1.0/multinli_1.0_train.jsonl",
    "pawsx": "x-final/de/dev_2k.tsv",
    "snli": "snli_1.0_train.jsonl",
    "squad_v1": "dev-v1.1.json",
    "squad_v2": "dev-v2.0.json",
    "xcopa": "sw/val.sw.jsonl",
    "xquad": "xquad.de.json",
}


def doubled(file, text):
    """The text with its last row, item or article twice."""
    if file.endswith(".json"):
        content = json.loads(text)
        return json.dumps({**content, "data": content["data"] * 2})
    rows = text.rstrip("\n").split("\n")
    last = -2 if file.endswith(".xml") else -1
    return "\n".join([*rows[:last], rows[last], *rows[last:]]) + "\n"


@pytest.mark.parametrize("name", sorted(TWICE))
def test_a_row_that_stands_twice_is_named(name, tmp_path):
    for file, text in RAW[name].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(doubled(file, text) if file == TWICE[name] else text, encoding="utf-8")
    with pytest.raises(StiltsError, match=f"{TWICE[name]}.*(as in line|again|before|once)"):
        build(name, tmp_path, tmp_path / "out", checksum=False)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def changed(value, wrong):
    """The value with each of its parts in turn replaced by what is wrong there."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: other} for other in changed(part, wrong))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from (value[:place] + [other] + value[place + 1 :] for other in changed(part, wrong))
    yield wrong


@pytest.mark.parametrize("name", sorted(name for name in RAW if any(".json" in file for file in RAW[name])))
def test_a_value_of_another_type_is_named(name, tmp_path):
    """Nothing ends in an error that names no file, whichever value is a number where a text or a list should be."""
    for file, text in RAW[name].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    file = next(file for file in RAW[name] if ".json" in file)
    first, _, rest = RAW[name][file].partition("\n")
    for wrong in changed(json.loads(first), -5):
        (tmp_path / file).write_text(json.dumps(wrong) + "\n" + rest, encoding="utf-8")
        try:
            build(name, tmp_path, tmp_path / "out", checksum=False)
        except StiltsError as error:
            assert file.rpartition("/")[2] in str(error)
