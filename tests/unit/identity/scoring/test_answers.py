"""What people's answers do to weights: how far, which way, and that few of them do little."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.people import FIELDS, parts

from headwater.identity.domain.scoring.answers import Answer, Reach, agreement, improve, is_held_out
from headwater.identity.domain.scoring.changes import changes
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.soundness import faults
from headwater.identity.domain.scoring.weights import GRAIN, dump

WEIGHTS = shipped("contact")
REACH = Reach()
ROUNDING = 2 / GRAIN

ANSWERS = st.lists(
    st.builds(
        lambda one, other, same: Answer(parts(**one), parts(**other), same), FIELDS, FIELDS, st.booleans()
    ),
    max_size=25,
)


def _moved(answers: list[Answer]) -> float:
    return max(one.moved for one in changes(WEIGHTS, improve(WEIGHTS, answers)))


@given(ANSWERS)
@settings(max_examples=60, deadline=None)
def test_answers_move_no_level_beyond_their_number(answers: list[Answer]) -> None:
    """Whatever people say, a level moves by at most so much an answer, and the prior not at all."""
    after = improve(WEIGHTS, answers)
    limit = min(REACH.moved_bits_max, REACH.step_bits * len(answers)) + ROUNDING
    assert all(one.moved <= limit for one in changes(WEIGHTS, after))
    assert after.prior_bits == WEIGHTS.prior_bits
    assert not list(faults(after, "contact", 0))


@given(ANSWERS)
@settings(max_examples=30, deadline=None)
def test_the_order_of_answers_decides_nothing(answers: list[Answer]) -> None:
    """The same answers in another order move the same levels, to rounding."""
    one, other = improve(WEIGHTS, answers), improve(WEIGHTS, answers[::-1])
    assert all(change.moved <= ROUNDING for change in changes(one, other))


def test_no_answers_change_nothing() -> None:
    """Not a byte."""
    assert dump(improve(WEIGHTS, [])) == dump(WEIGHTS)


def test_a_crowd_of_equal_answers_moves_no_level_beyond_the_bound() -> None:
    """A thousand like answers are held at the bound."""
    pair = (parts(last_name="Orbeli", city="Paris"), parts(last_name="Orbeli", city="London"))
    answers = [Answer(*pair, same=True)] * 1_000
    assert 0.5 < _moved(answers) <= REACH.moved_bits_max + ROUNDING


def test_answers_move_scores_the_way_people_say() -> None:
    """Pairs called one score higher from then on, pairs called two lower; others that show none of it as before."""
    pair = (parts(last_name="Orbeli", city="Paris"), parts(last_name="Orbeli", city="London"))
    before = score_bits(*pair, WEIGHTS)
    same = improve(WEIGHTS, [Answer(*pair, same=True)] * 40)
    two = improve(WEIGHTS, [Answer(*pair, same=False)] * 40)
    assert score_bits(*pair, same) > before
    assert score_bits(*pair, two) <= before
    mailbox = parts(email="kaya.orbeli@acorn.test")
    assert score_bits(mailbox, mailbox, same) == score_bits(mailbox, mailbox, WEIGHTS)


def test_answers_that_contradict_each_other_hardly_move_anything() -> None:
    """Half say one, half say two, about a pair in the balance: the level stays where it was."""
    pair = _in_balance()
    answers = [Answer(*pair, same=number % 2 == 0) for number in range(200)]
    before, after = score_bits(*pair, WEIGHTS), score_bits(*pair, improve(WEIGHTS, answers))
    assert abs(after) <= abs(before) + ROUNDING


def _in_balance() -> tuple[Parts, Parts]:
    one = {"first_name": "Kaya", "last_name": "Santanov", "company": "Brindle Foods"}
    pairs: list[tuple[Parts, Parts]] = [
        (parts(**one, **more), parts(**one, **other))
        for more, other in (
            ({"city": "Paris"}, {"city": "London"}),
            ({"phone": "+12125550147"}, {"phone": "+442079460011"}),
            ({}, {}),
        )
    ]
    return min(pairs, key=lambda pair: abs(score_bits(pair[0], pair[1], WEIGHTS)))


def test_agreement_counts_answers_that_even_odds_would_give() -> None:
    """A pair above 0 bits is one, one below is two."""
    alike = parts(first_name="Kaya", last_name="Orbeli", email="kaya.orbeli@acorn.test")
    other = parts(first_name="Tovik", last_name="Brack", email="tovik@elsewhere.test")
    said = [
        Answer(alike, alike, same=True),
        Answer(alike, other, same=False),
        Answer(alike, other, same=True),
    ]
    assert agreement(WEIGHTS, said) == 2


def test_about_a_third_is_held_out_and_always_the_same() -> None:
    """Who judges is decided by the records alone."""
    held = [is_held_out(f"{number:04}", f"{number + 1:04}") for number in range(3_000)]
    assert 900 < sum(held) < 1_100
    assert held == [is_held_out(f"{number:04}", f"{number + 1:04}") for number in range(3_000)]
