"""The first claim in the log owns the item until its lease ends."""

from streams.processors.claims import Claims, apply_claim, no_claims
from tests.unit.facts import fact

LEASE = 1000


def play(*steps: tuple[int, str, str]) -> Claims:
    claims = no_claims()
    for n, (time, actor, action) in enumerate(steps):
        apply_claim(claims, fact("claims", actor, action=action, event_id=str(n)), time, LEASE)
    return claims


def owner(*steps: tuple[int, str, str]) -> tuple[str | None, int | None]:
    claims = play(*steps)
    return claims["owner"], claims["until"]


def test_first_claim_in_the_log_wins() -> None:
    assert owner((0, "a", "claim"), (1, "b", "claim")) == ("a", LEASE)


def test_expired_lease_is_free() -> None:
    assert owner((0, "a", "claim"), (LEASE, "b", "claim")) == ("b", 2 * LEASE)


def test_owner_renews_in_time_and_not_after() -> None:
    assert owner((0, "a", "claim"), (900, "a", "renew")) == ("a", 1900)
    assert owner((0, "a", "claim"), (1000, "a", "renew")) == ("a", LEASE)
    assert owner((0, "a", "claim"), (900, "b", "renew")) == ("a", LEASE)


def test_only_the_owner_gives_back() -> None:
    assert owner((0, "a", "claim"), (1, "b", "release")) == ("a", LEASE)
    assert owner((0, "a", "claim"), (1, "a", "release"), (2, "b", "claim")) == ("b", 2 + LEASE)


def test_skip_gives_back_and_is_remembered() -> None:
    claims = play((0, "a", "claim"), (1, "a", "skip"))
    assert (claims["owner"], claims["skipped_by"]) == (None, ["a"])


def test_a_copy_of_a_claim_does_not_claim_again() -> None:
    claims = no_claims()
    first = fact("claims", "a", event_id="x")
    apply_claim(claims, first, 0, LEASE)
    apply_claim(claims, fact("claims", "a", action="release", event_id="y"), 1, LEASE)
    assert not apply_claim(claims, first, 2, LEASE)
    assert claims["owner"] is None
