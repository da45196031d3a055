"""Scenes of a small made-up world, and the seven made-up languages that tell them.

A grammar of concepts draws scenes (who does what to which thing, where, when); each language puts the same scene in its
own words, order, affixes and script. So the translations, parts of speech, answer spans and entailments of a sentence
are known without anybody having labelled them. What the languages share is what related and borrowing languages share:
names, digits, punctuation, a few loans, and the world they speak of; from these multilinguality can emerge in a masked
LM that never sees a translation (Dufter and Schuetze 2020, arXiv 2005.00396; K et al. 2020, arXiv 1912.07840).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any


@dataclass(frozen=True)
class SyntheticLanguage:
    """How one made-up language sounds and puts a scene in order.

    Attributes:
        code: `en` for the language that has training data, else a local-use code (`qaa` to `qtz`).
        order: order of subject, verb and object.
        onsets, vowels, codas: what syllables are made of; letters are separated by spaces.
        adjective_last: the adjective follows its noun.
        postposition: the adposition follows its noun phrase.
        article: common nouns without a number carry an article.
        plural, accusative, past: endings of counted nouns, of objects and of verbs.
        time_first: the adverb of time opens the sentence instead of closing it.
        fronts_questions: question words open the question instead of standing where the answer would.
        loans: share of the international words that this language uses.
    """

    code: str
    order: str
    onsets: str
    vowels: str
    codas: str
    adjective_last: bool = False
    postposition: bool = False
    article: bool = False
    plural: str = ""
    accusative: str = ""
    past: str = ""
    time_first: bool = False
    fronts_questions: bool = False
    loans: float = 0.5


SYNTHETIC_LANGUAGES = {
    synthetic.code: synthetic
    for synthetic in (
        SyntheticLanguage("en", "SVO", "b d f g l m n p r s t w", "a e i o u", "n r t l", article=True, plural="s"),
        SyntheticLanguage(
            "qaa", "SVO", "b d f g h k l m r s t v", "a e i o u", "n r s t", article=True, plural="en", loans=0.8
        ),
        SyntheticLanguage(
            "qab", "SVO", "c d f l m n p r s t v", "a e i o u", "", adjective_last=True, article=True, plural="s"
        ),
        SyntheticLanguage(
            "qac",
            "SOV",
            "b ch d g k m n r s t y z",
            "a e i o u",
            "k m n r",
            postposition=True,
            accusative="yu",
            past="di",
        ),
        SyntheticLanguage("qad", "VSO", "f h k l m n p t w ng", "a e i o u", "", adjective_last=True, time_first=True),
        SyntheticLanguage(
            "qae", "SVO", "б в г д ж к л м н п р с т х", "а е и о у", "л н р т", plural="ы", accusative="у", loans=0.3
        ),
        SyntheticLanguage(
            "qaf", "SOV", "ბ გ დ ვ თ კ ლ მ ნ რ ს ტ", "ა ე ი ო უ", "ბ ნ რ ს", postposition=True, plural="ები", loans=0.3
        ),
    )
}

# Concepts by class: how many there are and which tag they get.
CLASSES = {
    "person": (32, "PROPN"), "place": (16, "PROPN"), "number": (8, "NUM"), "worker": (16, "NOUN"),
    "thing": (32, "NOUN"), "kind": (8, "NOUN"), "action": (16, "VERB"), "colour": (6, "ADJ"), "quality": (6, "ADJ"),
    "time": (6, "ADV"),
}  # fmt: skip
# Which concept says what goes with it: a worker has his actions, his places and his qualities.
_LIKES = (
    ("worker", "action"),
    ("worker", "place"),
    ("worker", "quality"),
    ("action", "thing"),
    ("thing", "colour"),
    ("thing", "number"),
    ("place", "time"),
)
NAMES = ("person", "place")  # the same in all languages, as digits and punctuation are
MODIFIERS = ("quality", "colour", "number", "place", "time")
PARTICLES = {"the": "PART", "not": "PART", "in": "ADP", "near": "ADP", "who": "PART", "what": "PART", "where": "PART"}
_ASKED_BY = {"agent": "who", "thing": "what", "place": "where"}
TAGS = ("ADJ", "ADP", "ADV", "NOUN", "NUM", "PART", "PROPN", "PUNCT", "VERB")
INTERNATIONAL = 0.25  # share of trades, things, kinds and qualities for which an international word exists
SHARPNESS = 8  # the higher, the fewer concepts go with a concept: about 4 of 20 actions have 4/5 of a worker's weight
THINGS_OF_A_KIND = 4  # as apple, pear, ... are fruit


@dataclass(frozen=True)
class Scene:
    """One meaning: somebody acts on something; what is `None` is left unsaid. Values are concepts (`"thing7"`)."""

    agent: str
    action: str
    thing: str
    quality: str | None = None
    colour: str | None = None
    number: str | None = None
    place: str | None = None
    adposition: str = "in"
    time: str | None = None
    negated: bool = False

    def without(self, modifiers: Iterable[str]) -> Scene:
        """The same with less said."""
        unsaid: dict[str, Any] = dict.fromkeys(modifiers)
        return replace(self, **unsaid)

    def general(self) -> Scene:
        """The same of the kind that the thing is of: who eats an apple eats fruit.

        >>> Scene("person1", "action2", "thing7").general().thing
        'kind1'
        """
        return replace(self, thing=f"kind{int(self.thing.removeprefix('thing')) // THINGS_OF_A_KIND}")


@dataclass(frozen=True)
class Word:
    """One word of a sentence: its form, its tag, and the part of the scene that it tells."""

    form: str
    tag: str
    role: str = ""


def join(words: list[Word]) -> str:
    """Text of a sentence; punctuation clings to the word before it.

    >>> join([Word("Tam", "PROPN"), Word("runs", "VERB"), Word(".", "PUNCT")])
    'Tam runs.'
    """
    return "".join(word.form if word.tag == "PUNCT" else f" {word.form}" for word in words).lstrip()


class Grammar:
    """Concepts, what goes with what, and the seven lexicons, all from one seed.

    >>> grammar = Grammar(seed=0)
    >>> scene = grammar.scene(random.Random(1))
    >>> [word.tag for word in grammar.tell(scene, "en")][-1]
    'PUNCT'
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.concepts = {name: [f"{name}{i}" for i in range(count)] for name, (count, _) in CLASSES.items()}
        rng = random.Random(f"{seed} affinities")
        self.trades = {person: rng.choice(self.concepts["worker"]) for person in self.concepts["person"]}
        self._likes = {}
        for given, name in _LIKES:
            self._likes[given, name] = {
                concept: _tendencies(rng, self.concepts[name]) for concept in self.concepts[given]
            }

    @cached_property
    def lexicons(self) -> dict[str, dict[str, str]]:
        """Language -> concept -> word. No two languages share a word that is not a name or a loan."""
        rng = random.Random(f"{self.seed} words")
        taken: set[str] = set()
        sound = SyntheticLanguage("", "", "b d f k l m n r s t v z", "a e i o u", "n r l")
        names, loans = {}, {}
        for name in NAMES:
            for concept in self.concepts[name]:
                names[concept] = _word(rng, sound, 2, taken).capitalize()
        for name in ("worker", "thing", "kind", "quality"):
            for concept in self.concepts[name]:
                if rng.random() < INTERNATIONAL:
                    loans[concept] = _word(rng, sound, 3, taken)
        names |= {number: str(digit) for digit, number in enumerate(self.concepts["number"], start=2)}
        lexicons = {}
        for code, synthetic in SYNTHETIC_LANGUAGES.items():
            lexicon = dict(names)
            for concept in PARTICLES:
                lexicon[concept] = _word(rng, synthetic, 1, taken)
            for name in CLASSES:
                for concept in [concept for concept in self.concepts[name] if concept not in names]:
                    borrowed = concept in loans and rng.random() < synthetic.loans
                    lexicon[concept] = loans[concept] if borrowed else _word(rng, synthetic, 2, taken)
            lexicons[code] = lexicon
        return lexicons

    def like(self, rng: random.Random, given: str, name: str) -> str:
        """A concept of class `name` that tends to go with the concept `given`; a person is like all of its trade."""
        given = self.trades.get(given, given)
        return rng.choices(self.concepts[name], cum_weights=self._likes[given.rstrip("0123456789"), name][given])[0]

    def anybody(self, rng: random.Random) -> str:
        """A person by name or by trade."""
        return rng.choice(self.concepts["person"] + self.concepts["worker"])

    def scene(self, rng: random.Random, agent: str | None = None, detail: float = 0.5) -> Scene:
        """Draw a scene of `agent`, or of somebody without a name; each modifier is told with probability `detail`."""
        agent = agent or rng.choice(self.concepts["worker"])
        action = self.like(rng, agent, "action")
        thing = self.like(rng, action, "thing")
        place = self.like(rng, agent, "place")
        scene = Scene(
            agent,
            action,
            thing,
            quality=None if agent in self.trades else self.like(rng, agent, "quality"),
            colour=self.like(rng, thing, "colour"),
            number=self.like(rng, thing, "number"),
            place=place,
            adposition=rng.choice(("in", "near")),
            time=self.like(rng, place, "time"),
            negated=rng.random() < 0.1,
        )
        return scene.without(name for name in MODIFIERS if rng.random() >= detail)

    def tell(self, scene: Scene, language: str, ask: str = "") -> list[Word]:
        """Words of the sentence that tells `scene`, or that asks for its `agent`, `thing` or `place`."""
        synthetic, lexicon = SYNTHETIC_LANGUAGES[language], self.lexicons[language]

        def phrase(
            noun: str, role: str, adjective: str | None = None, number: str | None = None, ending: str = ""
        ) -> list[Word]:
            if ask == role:
                return [Word(lexicon[_ASKED_BY[role]], "PART", "question")]
            common = not noun.startswith(NAMES)
            form = lexicon[noun]
            if number:
                form += synthetic.plural
            if common:
                form += ending
            core = [Word(form, "NOUN" if common else "PROPN", role)]
            if adjective:
                core.insert(len(core) if synthetic.adjective_last else 0, Word(lexicon[adjective], "ADJ", role))
            if number:
                core.insert(0, Word(lexicon[number], "NUM", role))
            elif common and synthetic.article:
                core.insert(0, Word(lexicon["the"], "PART"))
            return core

        verb = [Word(lexicon[scene.action] + synthetic.past, "VERB", "action")]
        if scene.negated:
            verb.insert(0, Word(lexicon["not"], "PART"))
        parts = {
            "S": phrase(scene.agent, "agent", scene.quality),
            "V": verb,
            "O": phrase(scene.thing, "thing", scene.colour, scene.number, synthetic.accusative),
        }
        place = phrase(scene.place, "place") if scene.place else []
        if place and ask != "place":
            place.insert(len(place) if synthetic.postposition else 0, Word(lexicon[scene.adposition], "ADP"))
        time = [Word(lexicon[scene.time], "ADV", "time")] if scene.time else []
        ordered = [parts[letter] for letter in synthetic.order]
        ordered.insert(1 if synthetic.order.endswith("V") else 3, place)
        ordered.insert(0 if synthetic.time_first else len(ordered), time)
        words = [word for part in ordered for word in part]
        if ask and synthetic.fronts_questions:
            words.sort(key=lambda word: word.role != "question")
        return [*words, Word("?" if ask else ".", "PUNCT")]

    def story(self, rng: random.Random) -> Iterator[tuple[Scene, str]]:
        """Two or three scenes of one person, by name or trade, often with a question and its answer.

        Yields:
            A scene, and which part of it is asked for; empty if it is told.
        """
        person = rng.choice(self.concepts["person"])
        scenes = [self.scene(rng, person) for _ in range(rng.randint(2, 3))]
        scenes = [replace(scene, agent=self.trades[scene.agent]) if rng.random() < 0.3 else scene for scene in scenes]
        for scene in scenes:
            yield scene, ""
        if rng.random() < 0.5:
            scene = rng.choice(scenes)
            yield scene, rng.choice(("agent", "thing", "place") if scene.place else ("agent", "thing"))
            short = scene.without(("quality", "time"))
            yield short.general() if rng.random() < 0.3 else short, ""


def _tendencies(rng: random.Random, concepts: list[str]) -> list[float]:
    """Cumulative weights over `concepts`; a few of them get nearly all."""
    return list(accumulate(rng.random() ** SHARPNESS for _ in concepts))


def _word(rng: random.Random, synthetic: SyntheticLanguage, syllables: int, taken: set[str]) -> str:
    """A word with the sounds of a language that no concept has yet, in any language."""
    onsets, vowels, codas = synthetic.onsets.split(), synthetic.vowels.split(), ["", *synthetic.codas.split()]
    while True:
        word = "".join(rng.choice(onsets) + rng.choice(vowels) for _ in range(syllables)) + rng.choice(codas)
        if word not in taken:
            taken.add(word)
            return word
        syllables += rng.random() < 0.1  # short words run out
