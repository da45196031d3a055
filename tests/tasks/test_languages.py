"""Languages: any with a code of ISO 639, their names, scripts and families, and errors that name the nearest."""

import subprocess
import sys

import pytest

from hf_stilts.augmentation.noise import Noise, TextNoise
from hf_stilts.data.derived import parse_tag
from hf_stilts.errors import StiltsError
from hf_stilts.languages import LANGUAGES, code_of, did_you_mean_language, find_language, is_language, nllb_code
from hf_stilts.studies.figures import language_groups
from hf_stilts.studies.language_texts import text_pairs
from hf_stilts.task import Task, check_languages, load_task

# Codes of the list of FLORES-200's publisher, each with the code that results are compared in.
FLORES = {
    "als_Latn": "als", "arb_Arab": "arb", "arb_Latn": "arb_Latn", "cat_Latn": "ca", "ckb_Arab": "ckb", "deu_Latn": "de",
    "hau_Latn": "ha", "kas_Arab": "ks", "kas_Deva": "ks_Deva", "swe_Latn": "sv", "taq_Tfng": "taq_Tfng",
    "yue_Hant": "yue", "zho_Hans": "zh", "zho_Hant": "zh_Hant", "crh_Latn": "crh", "sat_Olck": "sat",
}  # fmt: skip


def test_names_families_scripts_and_classes_of_languages_beyond_the_fifty():
    hausa = find_language("ha")
    assert (hausa.iso3, hausa.name, hausa.family, hausa.script, hausa.joshi) == (
        "hau", "Hausa", "Afro-Asiatic", "Latin", 2,
    )  # fmt: skip
    assert find_language("hau") == hausa == find_language("hau_Latn")
    assert (find_language("sv").family, find_language("am").script) == ("IE:Germanic", "Ethiopic")
    assert find_language("bm").family == "Mande"
    assert find_language("quy").name == "Ayacucho Quechua"
    assert find_language("zh_Hant").script_code == "Hant"


def test_the_fifty_stay_as_the_benchmarks_name_them():
    for code, known in LANGUAGES.items():
        assert find_language(code)[:7] == known[:7]
    assert find_language("deu").name == "German"
    assert find_language("swa").iso3 == "swh", "the file of Tatoeba"


@pytest.mark.parametrize("flores", FLORES)
def test_codes_of_flores_are_read_and_written(flores):
    short = FLORES[flores]
    assert code_of(flores) == short
    assert nllb_code(short) == flores


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Hausa", "ha (Hausa)"), ("zh-Hant", "zh_Hant"), ("deu_Lat", "deu_Latn"), ("en-US", "Did you mean en?")],
)
def test_what_is_no_code_is_refused_with_the_nearest(typed, meant):
    assert not is_language(typed)
    with pytest.raises(StiltsError) as error:
        Task(kind="text-classification", dataset="x/y", languages=("en", typed))
    assert repr(typed) in str(error.value)
    assert meant in str(error.value)


def test_hints_are_few():
    for typed in ("xx", "qqq1", "_", "", "日本語"):
        assert len(did_you_mean_language(typed)) < 100


def test_configurations_are_named_by_pattern_or_one_by_one():
    task = Task(
        kind="text-classification",
        dataset="x/y",
        config="topic_{flores}",
        configs={"zh": "mandarin"},
        languages=("ca", "zh", "qaa", "ne"),
    )
    names = [task.config_for(code) for code in task.languages]
    assert names == ["topic_cat_Latn", "mandarin", "topic_qaa", "topic_npi_Deva"]
    named = Task(kind="text-classification", dataset="x/y", configs={"sv": "sv_pud"}, languages=("sv",))
    assert named.config_for("sv") == "sv_pud"
    with pytest.raises(StiltsError, match="'am'"):
        Task(kind="text-classification", dataset="x/y", configs={"am": "x"}, languages=("sv",))


def test_a_longer_code_of_a_language_that_the_task_has():
    with pytest.raises(StiltsError, match="has no deu_Latn; it calls that language de"):
        check_languages(load_task("xnli"), ["deu_Latn"])


def test_tags_of_derived_rows_name_any_language():
    assert parse_tag("hau-t-en").source == "en"
    assert parse_tag("en-x-cs50-ca-zh_Hant").switched == ("ca", "zh_Hant")
    assert parse_tag("am-Latn").script == "Latn"
    with pytest.raises(StiltsError, match="'xx'"):
        parse_tag("xx-t-en")
    with pytest.raises(StiltsError, match=r"'hausa' is no language.*Did you mean ha \(Hausa\)"):
        parse_tag("hausa")


def test_noise_needs_a_layout_for_letters_that_are_not_latin():
    noise = Noise("keyboard", 0.5)
    assert TextNoise(noise, "ca")("La casa blanca del poble.", "1") != "La casa blanca del poble."
    with pytest.raises(StiltsError, match="keyboards.py has no layout for Amharic"):
        TextNoise(noise, "am")


def test_groups_of_languages_beyond_the_fifty():
    assert language_groups(["de", "ha", "hch", "als"], "class") == {
        "class 5, winners": ["de"],
        "class 2, hopefuls": ["ha"],
        "class 0, left behind": ["hch"],
        "other": ["als"],
    }
    assert language_groups(["ha", "sv", "qaa"], "family") == {
        "Afro-Asiatic": ["ha"], "IE:Germanic": ["sv"], "other": ["qaa"],
    }  # fmt: skip


def test_texts_of_any_language_are_told_by_the_names_of_their_files(tmp_path):
    for name in ("test.hau.txt", "ca.txt", "deu.txt", "zho_Hant.txt", "table.tsv", "notes.txt"):
        (tmp_path / name).write_text("a\n", encoding="utf-8")
    pairs = text_pairs(tmp_path, to=["ca"])
    assert {pair.first.language for pair in pairs} | {pair.second.language for pair in pairs} == {
        "ca",
        "ha",
        "de",
        "zh",
    }


def test_tables_are_read_only_for_languages_beyond_the_fifty():
    code = "import hf_stilts.languages as l; l.find_language('de'); l.is_language('qaa'); print(l._every.cache_info())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "misses=0" in found
