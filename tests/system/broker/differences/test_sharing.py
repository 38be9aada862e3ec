"""Mappings, imports and exports whose outcome nats-server leaves to chance, or to a slip."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from issuer.claims.account import Export, Import
from issuer.claims.exchange import new_activation
from issuer.subjects import Subject
from tests.servers import wait_until
from tests.system.broker.differences.both import Both, Staged, heard, server
from tests.system.broker.stage import Stage, mapped

pytestmark = pytest.mark.component("nats-server")

MANY = 30
"""Accounts alike, so that chance shows itself."""


def test_of_several_mappings_the_narrowest(staged: Staged) -> None:
    def prepare(stage: Stage) -> None:
        for number in range(MANY):
            sources = {"*.*": "both", "*.b": "second", "a.*": "first"}
            stage.account(
                f"M{number}", mappings={source: mapped((to, 100)) for source, to in sources.items()}
            )

    def outcomes(stage: Stage) -> set[str]:
        found = set()
        for number in range(MANY):
            client = stage.client(f"M{number}")
            client.say("SUB > 1")
            found |= {frame.subject for frame in client.publish("a.b")}
        return found

    real, ours = map(outcomes, staged(prepare))
    assert len(real) > 1
    assert ours == {"first"}


def test_of_two_exports_both_must_permit(staged: Staged) -> None:
    def prepare(stage: Stage) -> None:
        for letter, private in (("E0", False), ("E1", True)):
            exports = (
                Export(subject=Subject("p.*"), type="stream", token_req=private),
                Export(subject=Subject("*.b"), type="stream", token_req=not private),
            )
            stage.account(letter, exports=exports)
        for number in range(MANY):
            row = Import(subject=Subject("p.b"), account=stage.key(f"E{number % 2}"), type="stream")
            stage.account(f"I{number}", imports=(row,))

    def through(stage: Stage) -> set[int]:
        exporters = [stage.client(f"E{number}") for number in range(2)]
        return {
            number
            for number in range(MANY)
            if heard(stage.client(f"I{number}"), ">", exporters[number % 2], "p.b")
        }

    real, ours = map(through, staged(prepare))
    assert 0 < len(real) < MANY
    assert ours == set()


@pytest.mark.parametrize("before", ["$0", "$-1"])
def test_an_import_that_refers_to_no_token(staged: Staged, before: str) -> None:
    def prepare(stage: Stage) -> None:
        stage.account("E", exports=(Export(subject=Subject("ev.>"), type="stream"),))
        row = Import(
            subject=Subject("ev.*.*"),
            local_subject=Subject(f"in.{before}.$1"),
            account=stage.key("E"),
            type="stream",
        )
        stage.account("I", imports=(row,))

    both = staged(prepare)
    real, ours = (heard(stage.client("I"), ">", stage.client("E"), "ev.a.b") for stage in both)
    assert (real, ours) == (["in.ev.a"], [])
    both.ours.client("I").say("SUB in.*.b 2")
    assert server(both.ours).running()
    with pytest.raises((EOFError, ConnectionError)):
        both.real.client("I").say("SUB in.*.b 2")
    wait_until(lambda: not server(both.real).running(), what="the real server to end")


# --- time --------------------------------------------------------------------------------------------


def ending(stage: Stage, end: int) -> None:
    """I's imports from E by an activation that ends then: one narrower, one renamed."""
    exports = (
        Export(subject=Subject("st.>"), type="stream", token_req=True),
        Export(subject=Subject("se.>"), type="service", token_req=True),
    )
    stage.account("E", exports=exports)

    def activation(subject: str, kind: str) -> str:
        claims = new_activation(stage.key("I"), Subject(subject), "stream" if kind == "st" else "service")
        return stage.activation(replace(claims, exp=end), stage.house("E").seed)

    narrower = Import(
        subject=Subject("st.x"), account=stage.key("E"), type="stream", token=activation("st.*", "st")
    )
    renamed = Import(
        subject=Subject("se.x"),
        local_subject=Subject("here"),
        account=stage.key("E"),
        type="service",
        token=activation("se.x", "se"),
    )
    stage.account("I", imports=(narrower, renamed))


def carried(stage: Stage) -> list[str]:
    exporter, importer = stage.client("E"), stage.client("I")
    return [*heard(importer, ">", exporter, "st.x"), *heard(exporter, "se.>", importer, "here")]


def in_time(staged: Staged) -> Iterator[tuple[Both, int]]:
    """Both servers before the activations end; with more time where it was too little."""
    for seconds in (3, 8, 20):
        end = int(time.time()) + seconds
        both = staged(lambda stage, end=end: ending(stage, end))
        found = [carried(stage) for stage in both]
        if time.time() < end:
            assert found == [["st.x", "se.x"]] * 2
            yield both, end
            return
    raise AssertionError("never was there time to see them before they ended")


def test_an_activation_that_ends_takes_every_import_along(staged: Staged) -> None:
    both, end = next(in_time(staged))
    wait_until(lambda: carried(both.ours) == [], what="the imports to end")
    assert time.time() >= end
    # The real server's clock counts whole seconds from when it read the token.
    time.sleep(max(0, end + 1.5 - time.time()))
    assert carried(both.real) == ["st.x", "se.x"]
    both.real.push("I")
    assert carried(both.real) == []
