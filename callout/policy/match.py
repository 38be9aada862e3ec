"""The decision: which bindings match an identity, which of them grants, and until when.

1. Every criterion of a binding must hold; there is no match in part, and none without criteria.
2. Shadow bindings that match are told about, and have no say.
3. No separation of duties may be broken by what the identity holds.
4. The first binding that matches grants alone. Only if every one that matches says `union`, they
   grant together, and then must agree on the account and on all values.
5. Every value passed on must be one safe token.
6. The token ends with the least of all caps, less a little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from callout.policy.criteria import holds, seen, words
from callout.policy.decision import (
    UNKNOWN,
    Connection,
    Decision,
    Grant,
    Granted,
    Part,
    Refusal,
    Step,
)
from callout.policy.expiry import Cap, CapSource, lifetime
from callout.policy.index import Compiled
from callout.policy.model import Binding, Field, Operator, Policy, Priority, Windows
from callout.policy.separation import gives, holds_standing, separation_steps
from callout.policy.values import value_of, values_of
from callout.policy.windows import open_until
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Identity

_URGENCY: Final = tuple(Priority)


def decide(
    identity: Identity,
    policy: Policy | Compiled,
    *,
    now: int,
    connection: Connection = UNKNOWN,
    chance: float = 0.0,
) -> Decision:
    """What this identity is given now.

    Of a plain policy every criterion of every binding is looked at, and stands in the steps: to
    explain. Of a compiled one only what is needed for the same answer: for logins. `chance`, from 0
    to 1, decides how much of the jitter is taken off.
    """
    bindings: Sequence[Binding]
    thorough = isinstance(policy, Policy)
    if isinstance(policy, Compiled):
        bindings, policy = policy.candidates(identity), policy.policy
    else:
        bindings = policy.bindings
    login = _Login(identity, policy, now, connection)
    matched = login.walk(bindings, thorough=thorough)
    return login.outcome(matched, bindings, chance)


class _Login:
    """One decision while it is made: its steps so far."""

    def __init__(self, identity: Identity, policy: Policy, now: int, connection: Connection) -> None:
        self.identity = identity
        self.policy = policy
        self.now = now
        self.connection = connection
        self.steps: list[Step] = []
        self.shadowed: list[str] = []

    def walk(self, bindings: Iterable[Binding], *, thorough: bool) -> list[Binding]:
        """The bindings that match and may grant."""
        matched = []
        for binding in bindings:
            if not self._fits(binding, thorough=thorough):
                continue
            if binding.shadow:
                self.shadowed.append(binding.name)
                self._step(Part.BINDING, "matches, but a shadow grants nothing", binding.name, passed=False)
            else:
                matched.append(binding)
                self._step(Part.BINDING, "all its criteria hold", binding.name)
        return matched

    def _fits(self, binding: Binding, *, thorough: bool) -> bool:
        if not binding.criteria:
            if thorough:
                self._step(Part.BINDING, "no criteria let nobody in", binding.name, passed=False)
            return False
        fits = True
        for criterion in binding.criteria:
            value = seen(criterion.field, self.identity, self.connection, self.now)
            passed, why = holds(criterion, value, self.now)
            self.steps.append(
                Step(
                    Part.CRITERION,
                    passed,
                    why,
                    binding.name,
                    words(criterion),
                    criterion.operand,
                    value,
                )
            )
            if not passed:
                fits = False
                if not thorough:
                    break
        return fits

    def outcome(self, matched: Sequence[Binding], bindings: Iterable[Binding], chance: float) -> Decision:
        who = f"{self.identity.issuer[:200]} {self.identity.subject[:200]}"
        if not matched:
            return self._refusal(
                Reason.NO_BINDING,
                f"no binding matches {who!a}",
                hint="see the steps for the criterion that each failed on",
            )
        broken = self._separations(bindings)
        if broken is not None:
            sides = broken.value if isinstance(broken.value, list) else []
            return self._refusal(
                Reason.SEPARATION,
                f"{who!a} holds {' and '.join(sides)}, which {broken.criterion!r} keeps apart",
                hint="take it out of one of the groups that lead there",
                bindings=broken.binding.split(", "),
            )
        chosen = self._chosen(matched)
        try:
            return self._grant(chosen, chance)
        except LoginRefusedError as error:
            return self._refusal(
                error.reason, error.message, hint=error.hint or "", bindings=[each.name for each in chosen]
            )

    def _separations(self, bindings: Iterable[Binding]) -> Step | None:
        if not self.policy.separations:
            return None
        held = [each for each in bindings if holds_standing(each, self.identity, now=self.now)]
        steps = separation_steps(self.policy, held)
        self.steps += steps
        return next((step for step in steps if not step.passed), None)

    def _chosen(self, matched: Sequence[Binding]) -> Sequence[Binding]:
        if len(matched) > 1 and all(binding.union for binding in matched):
            self._step(Part.CHOICE, "all that match say union: they grant together", _names(matched))
            return matched
        if len(matched) > 1:
            self._step(Part.CHOICE, "the first that matches grants alone", matched[0].name)
        return matched[:1]

    def _grant(self, chosen: Sequence[Binding], chance: float) -> Decision:
        first, *others = chosen
        account = first.account
        if any(other.account != account for other in others):
            accounts = sorted({binding.account for binding in chosen})
            raise _conflict(chosen, f"lead to different accounts, {' and '.join(accounts)}")
        roles = tuple(dict.fromkeys(role for binding in chosen for role in binding.roles))
        values, user_name = self._values(chosen)
        end = lifetime(
            self._caps(chosen), now=self.now, jitter=max(each.jitter for each in chosen), chance=chance
        )
        self.steps += end.steps
        if end.expires_at is None:
            of_identity = end.least.source is CapSource.IDENTITY
            raise LoginRefusedError(
                Reason.CREDENTIALS_EXPIRED if of_identity else Reason.TOO_SHORT,
                f"the {end.least.source} ends it in {end.least.at - self.now} s",
                hint="come with a fresh proof" if of_identity else "see when the binding's criteria end",
            )
        grant = Grant(
            account=account,
            roles=roles,
            bindings=tuple(binding.name for binding in chosen),
            expires_at=end.expires_at,
            values=values,
            user_name=user_name,
            priority=min((each.priority for each in chosen), key=_URGENCY.index),
            grace=min(each.grace for each in chosen),
            single_use=any(each.single_use for each in chosen),
            steps=tuple(self.steps),
        )
        return Granted(grant, tuple(self.shadowed))

    def _values(self, chosen: Sequence[Binding]) -> tuple[dict[str, tuple[str, ...]], str]:
        found = []
        for binding in chosen:
            values = values_of(binding.values, self.identity)
            named = binding.user_name
            name = value_of(named, self.identity, lower=False) if named is not None else ()
            found.append((values, name[0] if name else ""))
            for key, texts in values.items():
                self._step(Part.VALUE, "each is one safe token", binding.name, criterion=key, value=texts)
        if any(other != found[0] for other in found[1:]):
            # A role must not be filled with what another binding passed on for another role.
            raise _conflict(
                chosen, "pass on different values", hint="give each the same values: and user-name:"
            )
        return found[0]

    def _caps(self, chosen: Sequence[Binding]) -> list[Cap]:
        now = self.now
        caps = [Cap(CapSource.POLICY, now + self.policy.max_lifetime)]
        if self.identity.expires_at is not None:
            caps.append(Cap(CapSource.IDENTITY, self.identity.expires_at))
        held = {holding for binding in chosen for holding in gives(binding)}
        caps += [
            Cap(CapSource.ROLE, now + cap.max_lifetime, str(cap.holding))
            for cap in self.policy.role_caps
            if cap.holding in held
        ]
        for binding in chosen:
            if binding.max_lifetime is not None:
                caps.append(Cap(CapSource.BINDING, now + binding.max_lifetime, binding.name))
            caps += [Cap(CapSource.CRITERIA, at, binding.name) for at in _ends(binding, now)]
        return caps

    def _step(
        self,
        part: Part,
        why: str,
        binding: str,
        *,
        passed: bool = True,
        criterion: str = "",
        value: object = None,
    ) -> None:
        self.steps.append(Step(part, passed, why, binding, criterion, None, value))

    def _refusal(self, reason: Reason, message: str, *, hint: str, bindings: Sequence[str] = ()) -> Refusal:
        return Refusal(
            reason=reason,
            message=message,
            hint=hint,
            bindings=tuple(bindings),
            steps=tuple(self.steps),
            shadowed=tuple(self.shadowed),
        )


def _ends(binding: Binding, now: int) -> Iterable[int]:
    """When the criteria about the time of day cease to hold: a token must not outlive its window."""
    for criterion in binding.criteria:
        if criterion.field != Field.TIME or criterion.negated:
            continue
        if criterion.operator is Operator.BEFORE and isinstance(criterion.operand, int):
            yield criterion.operand
        elif isinstance(criterion.operand, Windows):
            until = open_until(criterion.operand, now)
            if until is not None:
                yield until


def _names(bindings: Iterable[Binding]) -> str:
    return ", ".join(binding.name for binding in bindings)


def _conflict(chosen: Iterable[Binding], what: str, *, hint: str = "") -> LoginRefusedError:
    return LoginRefusedError(
        Reason.CONFLICT,
        f"bindings {_names(chosen)} match together and {what}",
        hint=hint or "let one of them match only where the other does not, or take `union` from one",
    )
