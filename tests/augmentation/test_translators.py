"""Translation models: told their languages as each family wants it, batched without effect, refused if they cannot."""

import random

import pytest
import tiny
import tiny_translators
import torch
from language_rows import QUESTIONS, store
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_stilts.augmentation.translate import translate
from hf_stilts.augmentation.translators import ModelTranslator
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError

pytest.importorskip("sentencepiece")
TEXTS = ["the cat sees the dog", "a house", "the small red house sees the old dog .", "cat"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_translators.save(root / kind, kind) for kind in ("marian", "marian-mul", "nllb")}


def free(translator):
    """Let a random model, which hardly ever ends, say whatever it says within a few tokens."""
    translator._most = lambda source_tokens: 6
    translator._text = lambda output, length: " ".join(map(str, output))
    return translator


@pytest.mark.slow
def test_nllb_is_told_by_a_token_that_is_forced_to_begin(models):
    translator = free(ModelTranslator(models["nllb"], beams=1))
    token = translator.tokenizer.convert_tokens_to_ids
    seen = [output.split() for output in translator(TEXTS, "en", "sw")]
    assert {output[1] for output in seen} == {str(token("swh_Latn"))}
    assert translator.tokenizer("cat").input_ids[0] == token("eng_Latn")
    for code, flores in {"ha": "hau_Latn", "zh_Hant": "zho_Hant", "ne": "npi_Deva"}.items():
        seen = [output.split() for output in translator(TEXTS, "en", code)]
        assert {output[1] for output in seen} == {str(token(flores))}
    translator(TEXTS, "de", "en")
    assert translator.tokenizer("cat").input_ids[0] == token("deu_Latn")


def test_multilingual_marian_is_told_by_a_token_before_the_text(models):
    translator = ModelTranslator(models["marian-mul"])
    read = []
    translator._generate = lambda ids, options: read.extend(ids) or [[0]] * len(ids)
    translator(["cat"], "en", "sw")
    assert translator.tokenizer.convert_ids_to_tokens(read[0])[:2] == [">>swh<<", "▁cat"]
    with pytest.raises(StiltsError, match=r"does not know Thai \(th\)"):
        translator(["cat"], "en", "th")
    with pytest.raises(StiltsError, match=r"does not know Hausa \(ha\)"):
        translator(["cat"], "en", "ha")


def test_a_made_up_language_is_refused(models):
    with pytest.raises(StiltsError, match="'qaa' is a made-up language.*translator of your own"):
        ModelTranslator(models["marian"])(["cat"], "en", "qaa")


def test_a_model_of_one_pair_does_no_other(models):
    translator = ModelTranslator(models["marian"], beams=1)
    translator(["cat"], "en", "de")
    with pytest.raises(StiltsError, match="translates one pair, here en to de.*with another model"):
        translator(["cat"], "en", "sw")


def test_t5_reads_a_prefix(tmp_path):
    folder = tiny.save(tmp_path / "t5", "mt5", model_class=AutoModelForSeq2SeqLM)
    translator = free(ModelTranslator(folder, beams=1, prefix="translate to German: "))
    assert len(translator(TEXTS, "en", "de")) == 4
    assert "translate to German" in translator.identity


@pytest.mark.parametrize("kind", ["marian", "nllb"])
def test_batches_translate_as_single_texts_do(models, kind):
    translator = free(ModelTranslator(models[kind], beams=1))
    translator._text = lambda output, length: str(output[:7])
    together = translator(TEXTS, "en", "de")
    translator.batch_tokens = 1
    assert translator(TEXTS, "en", "de") == together


def test_what_it_says_is_what_stock_generate_says(models):
    translator = ModelTranslator(models["marian"], beams=1)
    stock = AutoModelForSeq2SeqLM.from_pretrained(models["marian"])
    inputs = translator.tokenizer([TEXTS[0]], return_tensors="pt")
    with torch.inference_mode():
        output = stock.generate(**inputs, num_beams=1, max_new_tokens=20, forced_eos_token_id=None)[0]
    expected = translator.tokenizer.decode(output, skip_special_tokens=True)
    assert translator(TEXTS, "en", "de")[0] in (expected, None)
    assert expected


def test_texts_of_one_length_go_together_longest_first(models):
    translator = ModelTranslator(models["marian"], beams=2, batch_tokens=40)
    # 40 tokens over 2 beams: 20; two of 9 fit, three would be 27, then 3 + 3 of 5 and so on.
    assert list(translator._batches([0, 1, 2, 3, 4], [5, 9, 5, 9, 5])) == [[1, 3], [0, 2, 4]]
    assert list(translator._batches([0], [500])) == [[0]]


def test_too_long_and_endless_texts_have_no_translation(models):
    translator = ModelTranslator(models["marian"], beams=1)
    assert translator(["cat " * 100], "en", "de") == [None]  # the model has 64 positions
    assert translator._text([5, 6, 7], 3) is None  # no end
    assert translator._text([5, 6, 7, 0], 3) == translator.tokenizer.decode([5, 6, 7])
    assert translator._text([5, *[6] * 50, 0], 3) is None  # 3 * 3 + 32 = 41 tokens at most


def test_the_identity_follows_weights_and_settings(models, tmp_path):
    same = [ModelTranslator(models["marian"], beams=beams).identity for beams in (4, 4, 1)]
    assert same[0] == same[1] != same[2]
    other = tiny_translators.save(tmp_path / "marian", "marian", seed=1)
    assert ModelTranslator(other).identity not in same


def test_a_missing_library_says_what_to_install(models, monkeypatch):
    def missing(*args, **kwargs):
        raise ImportError("MarianTokenizer requires the SentencePiece library.")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", missing)
    with pytest.raises(StiltsError, match=r"SentencePiece.*pip install 'hf_stilts\[translate\]'"):
        ModelTranslator(models["marian"])


@pytest.mark.slow
def test_a_trained_model_translates_questions_with_their_answers(tmp_path):
    """A MarianMT that has learnt fifteen words: every row comes over, and its answer is the word that it should be."""
    german = dict(zip(tiny_translators.WORDS[:9], tiny_translators.WORDS[9:18], strict=True))
    draw = random.Random(0)
    folder = tiny_translators.save(tmp_path / "marian", "marian")
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=2e-3)
    for _ in range(250):
        texts = [" ".join(draw.choices(list(german), k=draw.randint(1, 8))) for _ in range(64)]
        targets = [" ".join(german[word] for word in text.split()) for text in texts]
        batch = tokenizer(texts, text_target=targets, return_tensors="pt", padding=True)
        batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)

    rows = []
    for number in range(50):
        words = draw.sample(list(german), k=6)  # each once, so that the answer is in one place
        answers = {"text": [words[2]], "answer_start": [len(" ".join(words[:2])) + 1]}
        rows.append({"id": str(number), "context": " ".join(words), "question": words[0], "answers": answers})
    mirror = store(tmp_path, QUESTIONS, {"en": {"train": rows}})
    report = translate(QUESTIONS, ["de"], ModelTranslator(folder, beams=2), mirror, data_dir=mirror)
    made = load(QUESTIONS, language="de", data_dir=mirror)
    right = sum(
        new["context"] == " ".join(german[word] for word in rows[int(new["id"])]["context"].split())
        and new["answers"]["text"] == [german[rows[int(new["id"])]["answers"]["text"][0]]]
        for new in made
    )
    assert report.written[0].rows == 50 and right >= 48
