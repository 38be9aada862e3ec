"""Which imports hold, from claims alone. What the server says of the same is in the system tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from broker.sharing import Gate, Shared, Skipped, resolve
from issuer.claims.account import AccountClaims, Export, Import, ShareKind, new_account
from issuer.claims.exchange import ActivationClaims, new_activation
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import Verified, decode, encode
from issuer.tokens.signer import SeedSigner

NOW = 1_800_000_000
KINDS: tuple[ShareKind, ...] = ("stream", "service")
SEEDS = {letter: Seed.from_raw(Role.ACCOUNT, letter.encode() * 32) for letter in "ABCD"}


def key(letter: str) -> PublicKey:
    return SEEDS[letter].public


def export(subject: str, kind: ShareKind = "stream", **facts: object) -> Export:
    return replace(Export(subject=Subject(subject), type=kind), **facts)


def taken(letter: str, subject: str, kind: ShareKind = "stream", local: str = "", **facts: object) -> Import:
    made = Import(subject=Subject(subject), local_subject=Subject(local), account=key(letter), type=kind)
    return replace(made, **facts)


def account(letter: str, *shared: Export | Import) -> AccountClaims:
    base = new_account(key(letter), letter)
    exports = tuple(each for each in shared if isinstance(each, Export))
    imports = tuple(each for each in shared if isinstance(each, Import))
    return replace(base, nats=replace(base.nats, exports=exports, imports=imports))


def resolved(
    importer: AccountClaims,
    *others: AccountClaims,
    now: int = NOW,
    strict: bool = False,
    read: Callable[[str], Verified[ActivationClaims]] | None = None,
    in_force: Callable[[PublicKey], Shared | None] | None = None,
) -> Shared:
    known = {PublicKey(each.sub): each for each in (importer, *others)}
    reading = {} if read is None else {"decode": read}
    return resolve(importer, known.get, strict=lambda _: strict, now=now, in_force=in_force, **reading)


class TestWhatIsMade:
    def test_of_a_stream(self) -> None:
        shared = resolved(
            account("A", taken("B", "ev.*.>", local="in.$1.>", allow_trace=True)),
            account("B", export("ev.>")),
        )
        (stream,) = shared.streams
        assert (stream.index, stream.exporter) == (0, key("B"))
        assert (stream.subject, stream.local, stream.allow_trace) == ("ev.*.>", "in.*.>", True)
        assert stream.to_local.apply("ev.x.y.z") == "in.x.y.z"
        assert stream.to_exporter("in.x.>") == "ev.x.>"
        assert (shared.services, shared.skipped, shared.next_expiry) == ((), (), None)

    def test_of_a_service(self) -> None:
        offered = export("s.*.*", "service", response_type="Stream", response_threshold=5, allow_trace=True)
        shared = resolved(
            account("A", taken("B", "s.*.*", "service", local="my.$2.$1", share=True)), account("B", offered)
        )
        (service,) = shared.services
        assert (service.subject, service.local, service.export) == ("s.*.*", "my.*.*", "s.*.*")
        assert (service.response_type, service.threshold_ns) == ("Stream", 5)
        assert (service.share, service.allow_trace) == (True, True)
        assert service.to_exporter.apply("my.x.y") == "s.y.x"
        assert service.to_exporter.apply("other.x.y") is None

    def test_what_an_export_leaves_open(self) -> None:
        shared = resolved(account("A", taken("B", "s.x", "service")), account("B", export("s.*", "service")))
        (service,) = shared.services
        assert (service.export, service.response_type, service.threshold_ns) == (
            "s.*",
            "Singleton",
            120 * 10**9,
        )

    def test_nothing(self) -> None:
        assert resolved(account("A")) == Shared()


class TestWhatIsSkipped:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("entries", "offered", "gate", "words"),
        [
            ((("C", "a", ""),), ("a",), Gate.ACCOUNT, "account missing"),
            ((("B", "b", ""),), ("a",), Gate.LEAVE, "{} import not authorized"),
            ((("B", "a.>", ""),), ("a.*",), Gate.LEAVE, "{} import not authorized"),
            ((("B", "a.*", "b.$1.$1"),), ("a.*",), None, ""),
            ((("B", "a.*.*", "b.$1"),), ("a.>",), Gate.RENAMING, "failed to create mapping transform for {}"),
            ((("B", "a.*", "b.$2"),), ("a.>",), Gate.RENAMING, "failed to create mapping transform for {}"),
            ((("B", "a.*", "b.{{left(1,1)}}"),), ("a.>",), Gate.RENAMING, "failed to create mapping"),
        ],
    )
    def test_why(
        self,
        kind: ShareKind,
        entries: tuple[tuple[str, str, str], ...],
        offered: tuple[str, ...],
        gate: Gate | None,
        words: str,
    ) -> None:
        shared = resolved(
            account("A", *(taken(to, subject, kind, local) for to, subject, local in entries)),
            account("B", *(export(subject, kind) for subject in offered)),
        )
        if gate is None:
            # Two references to one wildcard: a service goes to a fixed subject, a stream nowhere.
            assert (len(shared.services), len(shared.streams)) == ((1, 0) if kind == "service" else (0, 0))
        else:
            (skipped,) = shared.skipped
            assert skipped.gate is gate
            assert skipped.words.startswith(words.format(kind))

    def test_a_kind_is_not_the_other(self) -> None:
        shared = resolved(account("A", taken("B", "a")), account("B", export("a", "service")))
        assert shared.skipped == (
            Skipped(0, Gate.LEAVE, "stream import not authorized", "no stream export takes in a"),
        )

    def test_a_stream_twice(self) -> None:
        shared = resolved(
            account("A", taken("B", "a", local="one"), taken("B", "a", local="two"), taken("C", "a")),
            account("B", export("a")),
            account("C", export("a")),
        )
        assert [each.local for each in shared.streams] == ["one", "a"]
        assert [(each.index, each.gate) for each in shared.skipped] == [(1, Gate.DUPLICATE)]

    def test_a_service_twice(self) -> None:
        shared = resolved(
            account("A", *(taken(to, "a", "service", "x") for to in "BBC")),
            account("B", export("a", "service")),
            account("C", export("a", "service")),
        )
        assert [each.exporter for each in shared.services] == [key("B"), key("C")]
        (skipped,) = shared.skipped
        assert skipped.words == (
            'duplicate service import subject "x", previously used in import '
            f'for account "{key("B")}", subject "a"'
        )

    def test_a_prefix_with_a_wildcard(self) -> None:
        shared = resolved(account("A", taken("B", "a", to=Subject("x.*"))), account("B", export("a")))
        assert shared.skipped[0].words == "stream import prefix can not contain wildcard tokens"

    @pytest.mark.parametrize("subject", ["", "a..b", "a b", ">.a"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_subject_that_is_none(self, kind: ShareKind, subject: str) -> None:
        shared = resolved(account("A", taken("B", subject, kind)), account("B", export(">", kind)))
        assert len(shared.skipped) == 1


class TestActivations:
    def token(self, **facts: object) -> str:
        claims = replace(new_activation(key("A"), Subject("a"), "stream"), **facts)
        return encode(claims, SeedSigner(SEEDS["B"]), now=NOW).token

    def test_the_first_to_end_is_the_next_to_look_at(self) -> None:
        ends = (NOW + 50, NOW + 20, 0)
        imports = (
            taken("B", subject, token=self.token(exp=end, nats=_granting(subject)))
            for subject, end in zip("abc", ends, strict=True)
        )
        exports = (export(subject, token_req=True) for subject in "abc")
        claims = (account("A", *imports), account("B", *exports))
        assert resolved(*claims).next_expiry == NOW + 20
        later = resolved(*claims, now=NOW + 20)
        assert [each.index for each in later.skipped] == [1]
        assert later.next_expiry == NOW + 50
        assert resolved(*claims, now=NOW + 50).next_expiry is None

    def test_a_public_export_asks_for_none(self) -> None:
        token = self.token(exp=NOW - 1)
        shared = resolved(account("A", taken("B", "a", token=token)), account("B", export("a")))
        assert (len(shared.streams), shared.next_expiry) == (1, None)

    def test_reading_is_the_callers(self) -> None:
        asked = []

        def read(text: str) -> Verified[ActivationClaims]:
            asked.append(text)
            return decode(text, ActivationClaims)

        token = self.token()
        claims = account("A", taken("B", "a", token=token)), account("B", export("a", token_req=True))
        assert len(resolved(*claims, read=read).streams) == 1
        assert asked == [token]


def _granting(subject: str) -> object:
    return new_activation(key("A"), Subject(subject), "stream").nats


class TestWhereTwoExportsFit:
    """nats-server goes by either, at random: only what both grant is granted here."""

    def test_one_says_no(self) -> None:
        exports = (export("a.*.c"), export("a.b.*", token_req=True))
        for offered in (exports, exports[::-1]):
            shared = resolved(account("A", taken("B", "a.b.c")), account("B", *offered))
            assert [each.why for each in shared.skipped] == ["a.b.* needs an activation"]

    def test_both_say_yes(self) -> None:
        shared = resolved(account("A", taken("B", "a.b.c")), account("B", export("a.*.c"), export("a.b.*")))
        assert len(shared.streams) == 1

    def test_the_very_subject_counts_alone(self) -> None:
        offered = (export("a.*", token_req=True), export("a.b"))
        assert len(resolved(account("A", taken("B", "a.b")), account("B", *offered)).streams) == 1


class TestCycles:
    @pytest.mark.parametrize("kind", KINDS)
    def test_no_part_holds_without_knowing_what_was_first(self, kind: ShareKind) -> None:
        ring = {"A": "B", "B": "C", "C": "A"}
        claims = [account(one, taken(to, "x", kind), export("x", kind)) for one, to in ring.items()]
        for turn in range(3):
            shared = resolved(*claims[turn:], *claims[:turn])
            assert [(each.gate, each.words) for each in shared.skipped] == [
                (Gate.CYCLE, "import forms a cycle")
            ]

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_first_part_holds(self, kind: ShareKind) -> None:
        one = account("A", taken("B", "x", kind), export("x", kind))
        other = account("B", taken("A", "x", kind), export("x", kind))
        first = resolved(other, one, in_force=lambda _: None)
        assert not first.skipped
        second = resolved(one, other, in_force={key("B"): first}.get)
        assert [each.gate for each in second.skipped] == [Gate.CYCLE]

    @pytest.mark.parametrize("kind", KINDS)
    def test_both_ways_on_different_subjects(self, kind: ShareKind) -> None:
        one = account("A", taken("B", "x", kind, "bx"), export("y", kind))
        other = account("B", taken("A", "y", kind, "ay"), export("x", kind))
        assert not resolved(one, other).skipped
        assert not resolved(other, one).skipped

    def test_a_long_way_round_is_followed_to_its_end(self) -> None:
        seeds = [Seed.from_raw(Role.ACCOUNT, number.to_bytes(32)) for number in range(1, 60)]
        claims = []
        for place, seed in enumerate(seeds):
            entry = Import(subject=Subject("x"), account=seeds[place - 1].public, type="service")
            base = new_account(seed.public, "n")
            body = replace(base.nats, imports=(entry,), exports=(export("x", "service"),))
            claims.append(replace(base, nats=body))
        assert [each.gate for each in resolved(*claims).skipped] == [Gate.CYCLE]
