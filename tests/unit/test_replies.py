"""Reading replies: real ones checked by hand, and each form by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rationale_eval.corpora.instances import Instance, Word, whitespace_words
from rationale_eval.rationales.echoes import Labels
from rationale_eval.rationales.replies import parse_reply
from rationale_eval.rationales.scored_replies import parse_scored_reply

REAL = [
    json.loads(line) for line in (Path(__file__).parent / "real_replies.jsonl").read_text(encoding="utf-8").splitlines()
]


LABELS = Labels(["positive", "negative"])


def instance(*texts, words=None):
    fields = {f"field{number}": text for number, text in enumerate(texts)}
    return Instance("x", "a", fields, whitespace_words(texts) if words is None else words, None)


def segmented(text, *words):
    """An instance whose words are given, as a segmenter would."""
    places, start = [], 0
    for word in words:
        start = text.index(word, start)
        places.append(Word(0, start, start + len(word)))
        start += len(word)
    return instance(text, words=tuple(places))


def parse(reply, row, finished=True):
    """The parse of ``reply`` and the words selected, as strings."""
    parsed = parse_reply(reply, row, LABELS, finished)
    return parsed, [row.text(row.words[index]) for index in parsed.order]


@pytest.mark.parametrize("record", REAL, ids=[f"{r['form']}-{r['strategy']}-{r['id']}" for r in REAL])
def test_real_replies_are_read_as_a_person_reads_them(record):
    parsed, words = parse(record["reply"], instance(record["text"]), record["finished"])
    assert words == record["words"]
    assert list(parsed.order) == record["order"]
    assert (parsed.outcome, list(parsed.hallucinated)) == (record["outcome"], record["hallucinated"])


def test_the_table_of_real_replies_is_large_and_has_both_strategies_and_corpora():
    assert len(REAL) >= 60
    for key, values in {"strategy": ("unbound", "guided"), "corpus": ("movie_reviews", "editorials")}.items():
        for value in values:
            assert sum(record[key] == value for record in REAL) >= 20
    assert {record["outcome"] for record in REAL} >= {
        *("ok", "partly_matched", "nothing_matched", "label_only", "form_only", "truncated")
    }


MOVIE = instance("A great, well-made film: the fun never stops and the cast is not good but don't miss Capra's ending!")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        # JSON, strict and not
        ('["great", "fun"]', ["great,", "fun"]),
        ('{"words": ["great", "fun"]}', ["great,", "fun"]),
        ('{"label": "fun", "words": ["great"]}', ["great,"]),
        ("['great', 'fun',]", ["great,", "fun"]),
        ('["great", "fun"', ["great,", "fun"]),
        ("[\"don't\", 'miss']", ["don't", "miss"]),
        ("[great, fun]", ["great,", "fun"]),
        ('Sure! Here is the list:\n```json\n["great",\n "fun"]\n```\nI hope this helps.', ["great,", "fun"]),
        ('[{"word": "great", "reason": "the fun"}, {"word": "film", "reason": "cast"}]', ["great,", "film:"]),
        ('{"1": "great", "2": "fun"}', ["great,", "fun"]),
        ("{“words”: [“great”, “fun”]}", ["great,", "fun"]),
        ('{"great": "it is the cast", "fun": "praise"}', ["great,", "fun"]),
        # bullets, numbers and letters
        ("[1] great\n[2] fun", ["great,", "fun"]),
        ("- great\n- fun", ["great,", "fun"]),
        ("* great\n* fun", ["great,", "fun"]),
        ("• great\n•fun", ["great,", "fun"]),
        ("1. great\n2. fun", ["great,", "fun"]),
        ("1) great\n2) fun", ["great,", "fun"]),
        ("(a) great\n(b) fun", ["great,", "fun"]),
        ("a. great\nb. fun", ["great,", "fun"]),
        ("  - great\r\n  - fun\r\n", ["great,", "fun"]),
        ("The words are: 1. great 2. fun 3. cast", ["great,", "fun", "cast"]),
        ("Sure! Here are the words:\n\n- great\n- fun\n\nThe film is not good.", ["great,", "fun"]),
        ("- great, fun\n- cast", ["great,", "fun", "cast"]),
        (" - great\n- fun\n\nText", ["great,", "fun"]),
        # quotes and emphasis
        ('The words that made me decide are "great" and "fun".', ["great,", "fun"]),
        ("The words “great,” and ‘fun’ show it.", ["great,", "fun"]),
        ("«great» „fun“ 「cast」", ["great,", "fun", "cast"]),
        ("I chose 'great' and 'don't' because of the cast.", ["great,", "don't"]),
        ("I chose ``great'' and ''fun''.", ["great,", "fun"]),
        ("**great** and *fun*", ["great,", "fun"]),
        ("**Words:** `great`, `fun`", ["great,", "fun"]),
        ("__great__ and _fun_ stand out", ["great,", "fun"]),
        ("- **great**: it shows the cast\n- **fun**: it is fun", ["great,", "fun"]),
        ('1. "great" - the film\n2. "fun" (not good)', ["great,", "fun"]),
        ('- "great", "fun"', ["great,", "fun"]),
        # comma, semicolon and line lists
        ("great, fun", ["great,", "fun"]),
        ("great; fun", ["great,", "fun"]),
        ("great, fun, and cast.", ["great,", "fun", "cast"]),
        ("great and fun", ["great,", "fun"]),
        ("great\nfun\n", ["great,", "fun"]),
        ("Words: great, fun", ["great,", "fun"]),
        ("Sure! Here are the words: great, fun", ["great,", "fun"]),
        ("Sure, great, fun", ["great,", "fun"]),
        ("The words that made me decide are great and fun.", ["great,", "fun"]),
        ("Here are the words:\ngreat\nfun\nThese words make the whole text positive.", ["great,", "fun"]),
        ("```\ngreat\nfun\n```", ["great,", "fun"]),
        ("great, fun. These words make the whole text positive.", ["great,", "fun"]),
        # explanations behind an item, labels before it
        ("- great: it shows the cast", ["great,"]),
        ("- great (positive)\n- fun (positive)", ["great,", "fun"]),
        ("- great – strong praise\n- fun — the cast", ["great,", "fun"]),
        ("great (positive), fun (the cast)", ["great,", "fun"]),
        ("- **Word 1:** great\n- word: word: fun\n- word:", ["great,", "fun"]),
        ("- word: great\n- Word 2: fun\n- first word: cast", ["great,", "fun", "cast"]),
        ("great: it shows the cast\nfun: it is not good", ["great,", "fun"]),
        # the words themselves
        ("GREAT, Fun", ["great,", "fun"]),
        ("well made", ["well-made"]),
        ("well‑made", ["well-made"]),
        ("wellmade", ["well-made"]),
        ("made", ["well-made"]),
        ("don’t", ["don't"]),
        ("Capra", ["Capra's"]),
        ("Capra’s ending", ["Capra's", "ending!"]),
        ('"not good"', ["not", "good"]),
        ('"good cast"', ["good", "cast"]),
        ("the, the", ["the", "the"]),
        ("the great film", ["the", "great,", "film:"]),
    ],
)
def test_forms_of_lists(reply, expected):
    parsed, words = parse(reply, MOVIE)
    assert words == expected
    assert (parsed.outcome, parsed.hallucinated) == ("ok", ())


@pytest.mark.parametrize(
    ("text", "reply", "expected"),
    [
        ("Ce café est très bon", "cafe\u0301, TRE\u0300S", ["café", "très"]),
        ("Die Straße ist groß", "- STRASSE\n- GROSS", ["Straße", "groß"]),
        ("Отличный фильм, просто класс", "1. отличный\n2. класс", ["Отличный", "класс"]),
        ("فيلم رائع جدا", "رائع، جدا", ["رائع", "جدا"]),
        ("यह फ़िल्म अच्छी है", '["अच्छी"]', ["अच्छी"]),
        ("what a film 😀 ❤️", "😀, ❤", ["😀", "❤️"]),
        ("great😀 film 👍🏽", "great, 👍", ["great😀", "👍🏽"]),
        ("rock &amp; roll is caf&eacute; music", "- &amp;\n- café", ["&amp;", "caf&eacute;"]),
        ("rock & roll", "- &amp;", ["&"]),
        ("wait (!!) what", '"(!!)"', ["(!!)"]),
        ("ｇｒｅａｔ film", "great", ["ｇｒｅａｔ"]),
        ("It cost $3.5 or 274,000 yen", "3.5, 274,000", ["$3.5", "274,000"]),
        ("A.E.W. Mason (b)ut tell...(Skins') well", "A.E.W., but, Skins, tell", ["A.E.W.", "(b)ut", "tell...(Skins')"]),
    ],
)
def test_scripts_and_signs(text, reply, expected):
    parsed, words = parse(reply, instance(text))
    assert words == expected
    assert parsed.hallucinated == ()


def test_scripts_without_spaces():
    row = segmented("这部电影非常好看", "这部", "电影", "非常", "好看")
    assert parse("- 非常\n- 好看", row)[1] == ["非常", "好看"]
    assert parse("「非常好看」", row)[1] == ["非常", "好看"]
    assert parse("电影、好看", row)[1] == ["电影", "好看"]
    assert parse("好", row)[1] == ["好看"], "a word cannot be split"
    assert parse("糟糕", row)[0].hallucinated == ("糟糕",)
    assert parse("好看", instance("这部电影非常好看"))[1] == ["这部电影非常好看"], "one word to the corpus"


def test_words_of_a_treebank():
    row = segmented("I don't like it", "I", "do", "n't", "like", "it")
    assert parse("- don't\n- like", row)[1] == ["do", "n't", "like"]
    assert parse("- n't", row)[1] == ["n't"]


def test_the_kth_mention_is_the_kth_occurrence():
    row = instance("the film and the cast and the fun")
    parsed, _ = parse("the, the, film, the, the, the", row)
    assert parsed.order == (0, 3, 1, 6)
    assert (parsed.mentioned, parsed.hallucinated) == (6, ())
    assert parse('"the cast", "the"', row)[0].order == (3, 4, 0)


def test_words_of_a_span_that_is_no_passage_are_taken_one_by_one():
    row = instance("he's easy to like and always leaves us laughing")
    parsed, words = parse('It is "He\'s Easy to Laugh with."', row)
    assert words == ["he's", "easy", "to"]
    assert (parsed.outcome, parsed.hallucinated, parsed.mentioned) == ("partly_matched", ("laugh with",), 1)
    assert parse('"it was easy and dull stuff"', row)[0].order == (), "too few of its words"


def test_all_fields_are_searched_in_order_and_no_passage_reaches_across():
    row = instance("a dog runs", "the dog sleeps")
    assert parse("- dog\n- dog\n- sleeps", row)[0].order == (1, 4, 5)
    parsed, _ = parse("runsthe", row)
    assert parsed.hallucinated == ("runsthe",)


@pytest.mark.parametrize(
    ("reply", "outcome", "words", "hallucinated"),
    [
        ("- Venice\n- sank", "partly_matched", ["sank"], ()),
        ("- Venice\n- Rome\n- sank", "partly_matched", ["sank"], ("rome",)),
        ("- Venice is dry", "nothing_matched", [], ()),
        ("- Venice sank", "partly_matched", ["sank"], ()),
        ("- Venice sank yesterday", "nothing_matched", [], ("yesterday",)),
        ("- sank\n- city\n- sank", "ok", ["sank", "city"], ()),
    ],
)
def test_words_of_a_field_without_candidates_are_unmatched_but_not_hallucinated(reply, outcome, words, hallucinated):
    texts = ("Venice is dry.", "The city sank")
    row = instance(*texts, words=tuple(word for word in whitespace_words(texts) if word.field == 1))
    parsed, found = parse(reply, row)
    assert (parsed.outcome, found, parsed.hallucinated) == (outcome, words, hallucinated)


@pytest.mark.parametrize(
    ("reply", "outcome", "words", "hallucinated"),
    [
        ("", "empty", [], ()),
        (" \n ", "empty", [], ()),
        ("```\n```", "empty", [], ()),
        ("[]", "nothing_matched", [], ()),
        ("The text has a mix of positive and negative sentiments.", "nothing_matched", [], ()),
        ("- dull\n- boring", "nothing_matched", [], ("dull", "boring")),
        ("- great\n- boring", "partly_matched", ["great,"], ("boring",)),
        ("I'm sorry, but I cannot help with that.", "refusal", [], ()),
        ("As an AI, I have no opinion.", "refusal", [], ()),
        ("Unfortunately I am unable to do it:\n- dull", "refusal", [], ("dull",)),
        ('I cannot say, but "great" is one.', "ok", ["great,"], ()),
        ("The film is well made, but it never really makes a point.", "nothing_matched", [], ()),
        ("The cast is great fun", "ok", ["the", "cast", "is", "great,", "fun"], ()),
        ("The cast is great and the ending really works.", "nothing_matched", [], ()),
    ],
)
def test_outcomes(reply, outcome, words, hallucinated):
    parsed, found = parse(reply, MOVIE)
    assert (parsed.outcome, found, parsed.hallucinated) == (outcome, words, hallucinated)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("- great\n- fu", ["great,"]),
        ("- great\n- fun", ["great,", "fun"]),
        ("- great\n- fun\n- ", ["great,", "fun"]),
        ("great, fun, ca", ["great,", "fun"]),
        ('["great", "fu', ["great,"]),
        ('["great", "fun', ["great,", "fun"]),
        ('The words are "great" and "fu', ["great,"]),
        ('1. "great" - it shows that the fi', ["great,"]),
        ("A great, well-made film: the fun nev", ["A", "great,", "well-made", "film:", "the", "fun"]),
        ("I chose the words that sho", []),
    ],
)
def test_cut_off_replies_keep_their_complete_items(reply, words):
    parsed, found = parse(reply, MOVIE, finished=False)
    assert (parsed.outcome, found, parsed.hallucinated) == ("truncated", words, ())


@pytest.mark.parametrize("reply", ["{}", 'The text is: "{}"', "- {}", "Sure! {}", "The text is: {}", "{}\n"])
def test_a_copy_of_the_text_is_flagged(reply):
    text = "''Grand Central,'' was - as I said, and she said - the nervous reply."
    parsed, words = parse(reply.format(text), instance(text))
    assert parsed.copied
    assert len(words) >= 12
    assert not parse("Grand, Central", instance(text))[0].copied


def test_a_copy_of_several_lines():
    text = "A film: great, I said.\nThe cast - it is fun.\n\nGo: see it."
    assert parse(text, instance(text))[0].copied


@pytest.mark.parametrize(
    ("text", "reply", "indices"),
    [
        # of several words that are the same in letters, those spelt as the reply spells them come first
        ("They told us that the US lost", "- US", [5]),
        ("They told us that the US lost", "- us\n- US", [2, 5]),
        ("C is slower than C++ here", "- C++", [4]),
        ("Of 15 people only 1.5 percent liked it", "- 1.5", [4]),
        ("I love it but #love is spam", "- love\n- #love", [1, 4]),
        ("It got 3 stars and a <3 from me", "- <3", [6]),
        ("👍 said he, 👍🏿 said she", "- 👍🏿", [3]),
        ("We resign or re-sign today", "1. re-sign", [3]),
        ("5 lost, -5 won", "- -5", [2]),
        # punctuation around a word is none of its spelling, and the case counts before it
        ("He is @sam, not sam.", "- sam", [4]),
        ("The bill, that Bill, paid", '["Bill"]', [3]),
        # among equals the first, and what is left takes the rest in turn
        ("film, Film, film", "- film\n- film\n- film", [0, 2, 1]),
        ("Great great GREAT", "- great\n- great\n- great", [1, 0, 2]),
    ],
)
def test_the_exact_spelling_comes_first(text, reply, indices):
    parsed, _ = parse(reply, instance(text))
    assert list(parsed.order) == indices


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        ("<think>\n\n</think>\n\n- acting\n- superb", "ok", ["acting", "superb"]),
        ("<think>\n- plot: no\n- dull: no\n</think>\n\n- superb", "ok", ["superb"]),
        # The template has opened the thought.
        ('Words such as "plot" speak against it.\n</think>\n\nsuperb, acting', "ok", ["superb", "acting"]),
        ("[THINK]plot, dull?[/THINK]superb", "ok", ["superb"]),
        # Cut off within, or ended without an answer.
        ('<think>\nIt is positive. The words "plot" and "dull" speak', "truncated", []),
        ("<thinking>plot</thinking>\n", "empty", []),
        ("superb <think>or plot", "truncated", []),
    ],
)
def test_a_thought_is_no_answer(reply, outcome, words):
    row = instance("The plot was dull but the acting was superb")
    parsed, found = parse(reply, row, finished="</" in reply or "[/" in reply)
    assert (parsed.outcome, found) == (outcome, words)
    scored, scores = parse_scored_reply(f"{reply}: 3", row, LABELS, True)
    assert [row.text(word) for word, score in zip(row.words, scores, strict=True) if score] == words[-1:]
    assert bool(scored.order) == bool(words)
