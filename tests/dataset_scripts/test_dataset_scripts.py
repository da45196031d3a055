"""Converters: hand-made raw files become what tasks read; a fault in a file is named by line and nothing is written."""

import hashlib
import json

import pytest
import yaml
from checklist_suites import suite
from datasets import List, Value
from hub_fixture import Client
from raw_intermediate import INTERMEDIATE
from raw_targets import TARGETS

from hf_stilts.data.check import check
from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build, list_converters
from hf_stilts.dataset_scripts.raw import PUBLISHED, read_sums
from hf_stilts.errors import StiltsError
from hf_stilts.task import load_task

QUESTION = {"id": "a1", "question": "What?", "answers": [{"text": "owl", "answer_start": 3}]}
ITEM = {
    "answerKey": "B",
    "id": "c1",
    "question": {
        "question_concept": "owl",
        "stem": "Where?",
        "choices": [{"label": letter, "text": letter * 2} for letter in "ABCDE"],
    },
}


def squad(*questions, context="An owl."):
    return json.dumps(
        {"version": "1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}
    )


PAIR = {"premise": "p", "hypothesis": "h", "label": 2}
STORIES = "\t".join((
    "InputStoryid", *(f"InputSentence{number}" for number in (1, 2, 3, 4)), "RandomFifthSentenceQuiz1",
    "RandomFifthSentenceQuiz2", "AnswerRightEnding",
)) + "\n"  # fmt: skip


# Converter -> its raw files, whole and right; a test takes one and spoils a file.
RAW = TARGETS | INTERMEDIATE | {
    "tatoeba": {"tatoeba.deu-eng.deu": "Eule\nMaus\n", "tatoeba.deu-eng.eng": "owl\nmouse\n"},
    "bucc2018": {
        "de-en/de-en.sample.de": "de-1\tEule\nde-2\tMaus\n",
        "de-en/de-en.sample.en": "en-1\tmouse\nen-2\tfox\n",
        "de-en/de-en.sample.gold": "de-2\ten-1\n",
        "de-en/de-en.training.de": "de-7\tHund\n",
        "de-en/de-en.training.en": "en-7\tdog\n",
        "de-en/de-en.training.gold": "de-7\ten-7\n",
    },
    "flores": {
        "hau_Latn.dev": "Na ce.\n", "eng_Latn.dev": "I said.\n",
        "hau_Latn.devtest": "Kyanwa\nZomo\n", "eng_Latn.devtest": "cat\nhare\n",
    },
    "flores_mining": {"hau_Latn.devtest": "Kyanwa\nZomo\n", "eng_Latn.devtest": "cat\nhare\n"},
    "masakhaner2": {
        "hau/train.txt": "Na O\n\n", "hau/dev.txt": "Na O\n\n",
        "hau/test.txt": "jihar B-LOC\nBenue I-LOC\njiya B-DATE\nLaraba I-DATE\n. O\n\nRundunar O\n\n",
        "swa/test.txt": "Ni O\n",
    },
    "multichecklist": {"en_squad_suite.pkl": suite()},
    "uner": {
        "UNER_Swedish-Talbanken/sv_talbanken-ud-train.iob2": "1\tUggla\tO\t-\tx\n\n",
        "UNER_Swedish-Talbanken/sv_talbanken-ud-test.iob2":
            "# text = Nya Lund\n1\tNya\tB-LOC\t-\tx\n2\tLund\tI-LOC\t-\tx\n\n1\t#\tB-OTH\t-\tx\n",
        "UNER_Chinese-GSD/zh_gsd-ud-test.iob2": "1\t貓\tO\t-\tx\n\n",
    },
    "xstorycloze": {
        "spring2016.val.sw.tsv.split_20_80_train.tsv": STORIES + "b1\t1.\t2.\t3.\t4.\tmwisho\tend\t1\n",
        "spring2016.val.sw.tsv.split_20_80_eval.tsv": STORIES + 'a1\t1.\t"2"\t3.\t4.\tmwisho\tend\t2\n',
    },
    "indicxnli": {
        "forward/train/xnli_or.json": json.dumps({"train": [PAIR]}),
        "forward/dev/xnli_or.json": json.dumps({"validation": [PAIR]}),
        "forward/test/xnli_or.json": json.dumps({"test": [PAIR, PAIR | {"label": 0}]}),
    },
    "masakhapos": {"hau/test.txt": "Hukumar NOUN\nta AUX\ncire VERB\n. PUNCT\n\n"},
    "xquad": {"xquad.de.json": squad(QUESTION)},
    "commonsenseqa": {
        "train_rand_split.jsonl": json.dumps(ITEM) + "\n",
        "dev_rand_split.jsonl": json.dumps(ITEM) + "\n",
        "test_rand_split_no_answers.jsonl": json.dumps({key: ITEM[key] for key in ("id", "question")}) + "\n",
    },
    "udpos": {
        "UD_German-GSD/de_gsd-ud-test.conllu": (
            "1\tEulen\t_\tNOUN\t_\t_\t2\t_\t_\t_\n2\tsehen\t_\tVERB\t_\t_\t0\t_\t_\t_\n\n"
        )
    },
}  # fmt: skip


@pytest.fixture
def raw(tmp_path):
    """Write a converter's raw files, some of them changed (None: left out); the folder."""

    def write(name, **changes):
        folder = tmp_path / "raw"
        for file, text in {**RAW.get(name, {}), **changes}.items():
            if text is not None:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return write


def build_by_hand(name, folder, out, **options):
    # The published files have other sums than ours, which bear their names.
    return build(name, folder, out, checksum=False, **options)


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_are_raw_files_here_for_every_converter():
    assert list_converters() == sorted(RAW)


@pytest.mark.parametrize("name", sorted(RAW))
def test_what_is_built_loads_like_the_hubs(name, raw, tmp_path):
    report = build_by_hand(name, raw(name), tmp_path / "out")
    spoken = {language for part in report.parts for language in part.language.split("-")}
    languages = spoken & set(load_task(name).languages)
    assert check(name, languages, data_dir=tmp_path / "out").ok
    assert report.folder == tmp_path / "out" / load_task(name).dataset
    assert all(part.file.is_file() for part in report.parts)
    assert sorted(report.raw) == sorted(RAW[name])
    assert {path.name for path in report.folder.parent.iterdir()} == {report.folder.name}, "no temporary folder stays"


def test_flores_is_aligned_with_english(raw, tmp_path):
    build_by_hand("flores", raw("flores"), tmp_path / "out")
    rows = load("flores", "test", "ha", data_dir=tmp_path / "out")
    assert [(row["source"], row["target"]) for row in rows] == [("Kyanwa", "cat"), ("Zomo", "hare")]
    build_by_hand("flores_mining", tmp_path / "raw", tmp_path / "out")
    mined = load("flores_mining", "test", "ha", data_dir=tmp_path / "out")[0]
    assert mined["gold"] == [["ha-1", "en-1"], ["ha-2", "en-2"]]
    assert (mined["source"], mined["target"]) == (["Kyanwa", "Zomo"], ["cat", "hare"])


def test_dates_of_masakhaner_are_no_entities(raw, tmp_path):
    build_by_hand("masakhaner2", raw("masakhaner2"), tmp_path / "out")
    rows = load("masakhaner2", "test", "ha", data_dir=tmp_path / "out")
    assert rows["tags"] == [[5, 6, 0, 0, 0], [0]]
    assert len(load("masakhaner2", "test", "sw", data_dir=tmp_path / "out")) == 1, "its folder is swa"


def test_a_treebank_of_universal_ner_for_each_language(raw, tmp_path):
    build_by_hand("uner", raw("uner", **{"UNER_Swedish-PUD/sv_pud-ud-test.iob2": "1\tA\tO\t-\tx\n"}), tmp_path / "out")
    rows = load("uner", "test", "sv", data_dir=tmp_path / "out")
    assert rows["tokens"] == [["Nya", "Lund"], ["#"]], "Talbanken, which has training rows, and not PUD"
    assert rows["tags"] == [[5, 6], [0]], "an entity of another class is none of the three"
    assert load("uner", "test", "zh_Hant", data_dir=tmp_path / "out")["tokens"] == [["貓"]]
    with pytest.raises(StiltsError, match=r"line 1: found tag 'B-MISC'; expected one of O, B-PER"):
        build_by_hand("uner", raw("uner", **{"UNER_X/da_ddt-ud-test.iob2": "1\tA\tB-MISC\t-\tx\n"}), tmp_path / "no")


def test_a_story_is_told_with_its_quotation_marks(raw, tmp_path):
    build_by_hand("xstorycloze", raw("xstorycloze"), tmp_path / "out")
    (row,) = load("xstorycloze", "test", "sw", data_dir=tmp_path / "out")
    assert (row["context"], row["choices"], row["label"]) == ('1. "2" 3. 4.', ["mwisho", "end"], 1)
    name = "spring2016.val.sw.tsv.split_20_80_eval.tsv"
    with pytest.raises(StiltsError, match="AnswerRightEnding '3'; expected 1 or 2"):
        build_by_hand(
            "xstorycloze", raw("xstorycloze", **{name: STORIES + "a1\t1\t2\t3\t4\ta\tb\t3\n"}), tmp_path / "no"
        )
    assert everything(tmp_path / "no") == {}


def test_pairs_of_indicxnli_are_the_translated_ones_and_not_those_translated_back(raw, tmp_path):
    back = {"backward/test/xnli_or.json": json.dumps({"test": [PAIR | {"premise": "back"}]})}
    build_by_hand("indicxnli", raw("indicxnli", **back), tmp_path / "out")
    rows = load("indicxnli", "test", "or", data_dir=tmp_path / "out")
    assert (rows["text"][:], rows["label"][:]) == (["p", "p"], [2, 0])
    for wrong, said in ([PAIR], "no list 'test'"), ({"test": [{"premise": "p"}]}, "pair 1"), ({"test": []}, "no pair"):
        with pytest.raises(StiltsError, match=said):
            build_by_hand(
                "indicxnli", raw("indicxnli", **{"forward/test/xnli_or.json": json.dumps(wrong)}), tmp_path / "no"
            )


def test_bitext_of_tatoeba_keeps_lines_and_order(raw, tmp_path):
    # U+2028 and U+0085 end a line for str.splitlines, and a quotation mark opens a cell for csv: neither does here.
    raw(
        "tatoeba",
        **{"tatoeba.deu-eng.deu": 'Eule\u2028Uhu\n"Maus\nnull\n', "tatoeba.deu-eng.eng": "owl\nmouse\x85\nNA\n"},
    )
    build_by_hand("tatoeba", tmp_path / "raw", tmp_path / "out", languages=["de"])
    rows = load("tatoeba", "test", "de", data_dir=tmp_path / "out")
    assert rows["source"][:] == ["Eule\u2028Uhu", '"Maus', "null"]
    assert rows["target"][:] == ["owl", "mouse\x85", "NA"]


def test_mining_rows_of_bucc(raw, tmp_path):
    build_by_hand("bucc2018", raw("bucc2018"), tmp_path / "out")
    sample = load("bucc2018", "validation", "de", data_dir=tmp_path / "out")[0]
    assert sample["source_ids"] == ["de-1", "de-2"] and sample["source"] == ["Eule", "Maus"]
    assert sample["target_ids"] == ["en-1", "en-2"] and sample["target"] == ["mouse", "fox"]
    assert sample["gold"] == [["de-2", "en-1"]]
    assert load("bucc2018", "test", "de", data_dir=tmp_path / "out")[0]["gold"] == [["de-7", "en-7"]]


def test_choices_of_commonsenseqa(raw, tmp_path):
    report = build_by_hand("commonsenseqa", raw("commonsenseqa"), tmp_path / "out")
    assert [part.split for part in report.parts] == ["train", "validation", "test"]
    row = load("commonsenseqa", data_dir=tmp_path / "out")[0]
    assert row == {"id": "c1", "context": "Where?", "choices": ["AA", "BB", "CC", "DD", "EE"], "label": 1}


def test_answers_of_xquad(raw, tmp_path):
    raw("xquad", **{"xquad.de.json": squad(QUESTION, context="An owl. ")})
    build_by_hand("xquad", tmp_path / "raw", tmp_path / "out")
    rows = load("xquad", "test", "de", data_dir=tmp_path / "out")
    assert rows[0]["context"] == "An owl. ", "blanks stay, or offsets after them would be wrong"
    assert rows.features["answers"] == {"text": List(Value("string")), "answer_start": List(Value("int32"))}


BAD = [
    ("tatoeba", {"tatoeba.deu-eng.eng": "owl\n"}, "eng, line 2: found the end after 1 lines; expected 2 lines"),
    ("masakhapos", {"hau/test.txt": "Hukumar NOUN\nta\n"}, "test.txt, line 2: found 'ta'"),
    ("flores", {"eng_Latn.devtest": "cat\n"}, "hau_Latn.devtest, line 2: found 2 lines"),
    ("tatoeba", {"tatoeba.deu-eng.eng": None}, "No tatoeba.deu-eng.eng below"),
    ("tatoeba", {"tatoeba.deu-eng.deu": b"Eule\nM\xe4use\n"}, "deu, line 2: found byte 0xe4; expected UTF-8"),
    ("bucc2018", {"de-en/de-en.sample.en": "en-1\tmouse\ten-2\n"}, "sample.en, line 1: found 3 columns; expected 2"),
    ("bucc2018", {"de-en/de-en.sample.de": "de-1\tEule\nde-2\n"}, "sample.de, line 2: found 1 columns; expected 2"),
    ("bucc2018", {"de-en/de-en.sample.de": "de-1\tEule\nde-1\tMaus\n"}, "sample.de, line 2: found id 'de-1' again"),
    ("bucc2018", {"de-en/de-en.training.gold": "de-7\ten-8\n"}, "gold, line 1: found id 'en-8'; expected an id of"),
    ("bucc2018", {"de-en/de-en.training.gold": None}, "No de-en.training.gold below"),
    ("xquad", {"xquad.de.json": '{"data": [\n{,}]}'}, "json, line 2: found broken JSON"),
    ("xquad", {"xquad.de.json": squad(QUESTION, QUESTION)}, "question a1 again; expected every id once"),
    ("xquad", {"xquad.de.json": squad({"id": "a1"})}, r"data\[0\].paragraphs\[0\]: found no 'answers'; expected"),
    ("xquad", {"xquad.de.json": squad(QUESTION, context="Owl.")}, "question a1: found '.' at offset 3 .*answer 'owl'"),
    ("commonsenseqa", {"dev_rand_split.jsonl": json.dumps(ITEM) + "\n{]\n"}, "jsonl, line 2: found broken JSON"),
    ("commonsenseqa", {"dev_rand_split.jsonl": f"{json.dumps(ITEM)}\n" * 2}, "line 2: found question c1 again"),
    ("commonsenseqa", {"dev_rand_split.jsonl": json.dumps({**ITEM, "answerKey": "F"})}, "line 1: found answer 'F'"),
    ("commonsenseqa", {"dev_rand_split.jsonl": json.dumps({"id": "c"})}, "line 1: found no 'question'; expected {id,"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "said"), BAD)
def test_a_fault_is_named_and_nothing_is_written(name, changes, said, raw, tmp_path):
    out = tmp_path / "out"
    with pytest.raises((StiltsError, FileNotFoundError), match=said):
        build_by_hand(name, raw(name, **changes), out)
    assert not everything(out) if out.exists() else True


@pytest.mark.parametrize(("name", "changes", "said"), BAD[:1])
def test_a_fault_leaves_an_earlier_build_as_it_was(name, changes, said, raw, tmp_path):
    build_by_hand(name, raw(name), tmp_path / "out")
    before = everything(tmp_path / "out")
    with pytest.raises(StiltsError, match=said):
        build_by_hand(name, raw(name, **changes), tmp_path / "out")
    assert everything(tmp_path / "out") == before


def test_building_again_gives_the_same_bytes_and_replaces(raw, tmp_path):
    build_by_hand("tatoeba", raw("tatoeba"), tmp_path / "out")
    before = everything(tmp_path / "out")
    build_by_hand("tatoeba", tmp_path / "raw", tmp_path / "out")
    assert everything(tmp_path / "out") == before
    raw("tatoeba", **{"tatoeba.deu-eng.deu": "Hund\n", "tatoeba.deu-eng.eng": "dog\n"})
    build_by_hand("tatoeba", tmp_path / "raw", tmp_path / "out")
    assert load("tatoeba", "test", "de", data_dir=tmp_path / "out")["source"][:] == ["Hund"]


def test_languages_are_those_that_are_there_or_those_asked_for(raw, tmp_path):
    folder = raw("tatoeba", **{"tatoeba.fra-eng.fra": "hibou\n", "tatoeba.fra-eng.eng": "owl\n"})
    report = build_by_hand("tatoeba", folder, tmp_path / "all")
    assert {part.language for part in report.parts} == {"de", "fr"}
    assert "es" in report.absent and "de" not in report.absent
    assert [part.config for part in build_by_hand("tatoeba", folder, tmp_path / "one", languages=["fr"]).parts] == [
        "fra-eng"
    ]
    with pytest.raises(FileNotFoundError, match="No tatoeba.spa-eng.*there: de, fr"):
        build_by_hand("tatoeba", folder, tmp_path / "none", languages=["de", "es"])
    with pytest.raises(StiltsError, match="no language 'xx'"):
        build_by_hand("tatoeba", folder, tmp_path / "none", languages=["xx"])
    with pytest.raises(FileNotFoundError, match="correct --raw"):
        build_by_hand("xquad", folder, tmp_path / "none")


def test_a_card_is_merged_and_records_the_raw_files(raw, tmp_path):
    folder = raw("tatoeba", **{"tatoeba.fra-eng.fra": "hibou\n", "tatoeba.fra-eng.eng": "owl\n"})
    for language in ("fr", "de"):
        build_by_hand("tatoeba", folder, tmp_path / "out", languages=[language])
    card = (tmp_path / "out/mteb/tatoeba-bitext-mining/README.md").read_text()
    data = yaml.safe_load(card.split("---\n")[1])
    assert [each["config_name"] for each in data["configs"]] == ["deu-eng", "fra-eng"]
    assert data["language"] == ["de", "fr"] and data["license"] == "cc-by-2.0"
    digest = hashlib.sha256(b"hibou\n").hexdigest()
    assert data["converted"]["fra-eng"]["raw"]["tatoeba.fra-eng.fra"] == digest
    assert f"| fra-eng | `tatoeba.fra-eng.fra` | `{digest}` |" in card and "Cite: Artetxe" in card
    for language in ("fr", "de"):
        assert len(load("tatoeba", "test", language, data_dir=tmp_path / "out")) > 0


def test_a_card_by_others_keeps_its_words(raw, tmp_path):
    card = tmp_path / "out/mteb/tatoeba-bitext-mining/README.md"
    card.parent.mkdir(parents=True)
    card.write_text("---\nlicense: other\nlanguage: xx\n---\n\n# Not ours\n")
    build_by_hand("tatoeba", raw("tatoeba"), tmp_path / "out")
    assert card.read_text().endswith("\n# Not ours\n")
    assert "license: other" in card.read_text()


def test_a_published_file_that_differs_is_refused(raw, tmp_path):
    folder = raw("tatoeba")
    known = read_sums(PUBLISHED)["tatoeba/tatoeba.deu-eng.deu"]
    found = hashlib.sha256(b"Eule\nMaus\n").hexdigest()
    with pytest.raises(StiltsError, match=f"deu has sha256 {found}; expected {known}.*--no-checksum"):
        build("tatoeba", folder, tmp_path / "out")
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_folders_own_sums_are_checked(raw, tmp_path):
    files = RAW["bucc2018"]
    sums = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files.items()}
    listed = "".join(f"{digest}  ./{file}\n" for file, digest in sums.items())
    build("bucc2018", raw("bucc2018", SHA256SUMS=listed), tmp_path / "out")
    raw("bucc2018", **{"de-en/de-en.sample.gold": "de-1\ten-2\n"})
    with pytest.raises(StiltsError, match="sample.gold has sha256 .*as in .*SHA256SUMS.*--no-checksum"):
        build("bucc2018", tmp_path / "raw", tmp_path / "out")
    build("bucc2018", tmp_path / "raw", tmp_path / "out", checksum=False)
    raw("bucc2018", SHA256SUMS="not a sum\n")
    with pytest.raises(StiltsError, match="SHA256SUMS, line 1: found 'not a sum'; expected 64 hex digits"):
        build("bucc2018", tmp_path / "raw", tmp_path / "out")


def test_a_file_there_twice_is_not_guessed_at(raw, tmp_path):
    folder = raw("xquad", **{"xquad.de.json": None, "a/xquad.de.json": "{}", "b/xquad.de.json": "{}"})
    with pytest.raises(StiltsError, match="is there 2 times: a/xquad.de.json, b/xquad.de.json"):
        build_by_hand("xquad", folder, tmp_path / "out")


def test_unknown_converters_and_options_say_what_there_is(raw, tmp_path):
    with pytest.raises(StiltsError, match="No converter 'qqp'. There are: anli, bucc2018, ccg, commonsenseqa"):
        build("qqp", tmp_path, tmp_path / "out")
    with pytest.raises(StiltsError, match=r"write dataset_scripts/qqp\.py"):
        build("qqp", tmp_path, tmp_path / "out")
    with pytest.raises(StiltsError, match="udpos has no option 'fuse'. It has: fused"):
        build("udpos", raw("udpos"), tmp_path / "out", options={"fuse": True})
    with pytest.raises(FileNotFoundError, match="No folder"):
        build("xquad", tmp_path / "nowhere", tmp_path / "out")


def test_pushed_configurations_load_from_the_hub(client, raw, tmp_path):
    folder = raw("tatoeba", **{"tatoeba.fra-eng.fra": "hibou\n", "tatoeba.fra-eng.eng": "owl\n"})
    code = f"""
from dataclasses import replace
from huggingface_hub import DatasetCard, HfApi
from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.task import load_task
for language in ("fr", "de"):
    how = dict(languages=[language], push="local", checksum=False)
    report = build("tatoeba", {str(folder)!r}, {str(tmp_path / "out")!r}, **how)
assert report.pushed == ("local/tatoeba", HfApi().dataset_info("local/tatoeba").sha), report.pushed
task = replace(load_task("tatoeba"), dataset="local/tatoeba", revision=None)
print(*[load(task, "test", language)["source"][0] for language in ("fr", "de")])
print(HfApi().dataset_info("local/tatoeba").private)
"""
    assert client.python(code) == "hibou Eule\nTrue\n"


def test_a_hub_out_of_reach_loses_nothing_that_was_built(raw, tmp_path):
    code = f"""
from hf_stilts.dataset_scripts import build
try:
    build("udpos", {str(raw("udpos"))!r}, {str(tmp_path / "out")!r}, push="local")
except ConnectionError as error:
    print(error)
"""
    nowhere = Client({"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "none"}, tmp_path / "home")  # the discard port
    assert "is built, but the Hub did not take local/udpos" in nowhere.python(code)
    assert len(load("udpos", "test", "de", data_dir=tmp_path / "out")) == 1
