"""What accounts share: exports, imports with their activations, mappings (claims spec §3.3, §3.4, §3.8)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from issuer.authority.plan.document import ImportPart
from issuer.authority.plan.drafts import AccountDraft, Due, OrgDraft
from issuer.authority.plan.present import Present
from issuer.authority.plan.settings import expiry, spoken, with_export
from issuer.authority.plan.source import Where
from issuer.claims.account import AccountClaims, Export, Import, WeightedMapping, cut_off
from issuer.claims.exchange import ActivationClaims
from issuer.claims.fields import with_body
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject, covers
from issuer.tokens.envelope import decode


def exports(account: AccountDraft, *, prune: frozenset[str]) -> None:
    if account.part.exports is None:
        return
    present: dict[tuple[str, str], Export] = {
        (entry.type, entry.subject): entry for entry in account.after.nats.exports
    }
    wanted: dict[tuple[str, str], Export] = {}
    for part in account.part.exports:
        identity = (part.kind, part.subject)
        fresh = Export(name=part.subject, subject=Subject(part.subject), type=part.kind)
        wanted[identity] = with_export(present.get(identity, fresh), part)
    # Those present keep their places: the order is signed too.
    entries = {**present, **wanted}
    gone = present.keys() - wanted.keys() if "exports" in prune else set()
    _share(account, exports=tuple(entry for identity, entry in entries.items() if identity not in gone))


def imports(
    account: AccountDraft, resolve: Callable[[str, Where], PublicKey], *, prune: frozenset[str]
) -> None:
    """Put the declared imports into the account, and remember where, for their activations."""
    if account.part.imports is None:
        return
    present = account.after.nats.imports
    parts = [(part, resolve(part.source, part.where)) for part in account.part.imports]
    found = _matched(parts, present)
    entries: list[tuple[ImportPart | None, Import]] = []
    for place, entry in enumerate(present):
        if place in found:
            part, source = parts[found.index(place)]
            entries.append((part, _import(account, part, source, entry)))
        elif "imports" not in prune:
            entries.append((None, entry))
    entries += [
        (part, _import(account, part, source, None))
        for (part, source), place in zip(parts, found, strict=True)
        if place is None
    ]
    account.imports = [(part, index) for index, (part, _) in enumerate(entries) if part is not None]
    _share(account, imports=tuple(entry for _, entry in entries))


def mappings(account: AccountDraft, *, prune: frozenset[str]) -> None:
    if account.part.mappings is None:
        return
    present = account.after.nats.mappings
    wanted = {
        part.source: _destinations(present.get(part.source, ()), part.destinations)
        for part in account.part.mappings
    }
    undeclared = {} if "mappings" in prune else present
    _share(account, mappings={**undeclared, **wanted})


def activations(account: AccountDraft, org: OrgDraft, present: Present, now: int) -> None:
    """Find the imports whose activation has to be signed: private here, and none that holds.

    Raises:
        BadDocument: the exporter is ours and exports nothing of the kind.
    """
    drafts = {draft.public: draft.after for draft in org.accounts}
    before = account.before.nats.imports if account.before else ()
    for part, index in account.imports:
        entry = account.after.nats.imports[index]
        source = PublicKey(entry.account)
        exporter = drafts.get(source) or present.exporters.get(source)
        if exporter is None or part.token is not None:
            continue
        export = next(
            (e for e in exporter.nats.exports if e.type == entry.type and covers(e.subject, entry.subject)),
            None,
        )
        if export is None:
            words = f"account {org.name_of(source)!r} exports no {entry.type} that covers {entry.subject!r}"
            if entry not in before:
                raise part.where.fault(words, hint="declare the export, or import what it exports")
            org.notes.append(f"{part.where.path}: {words}")
            continue
        strict = org.after.nats.strict_signing_key_usage
        if not export.token_req:
            continue
        why = _fault(entry, account.public, exporter, export, now, strict=strict)
        current = _expiry(entry.token)
        expires = expiry(current, part.expires, now)
        if why or expires != current:
            term = expires if part.expires else 0
            account.due.append(Due(index, source, export, term, why or "of another term"))


def with_activation(claims: AccountClaims, index: int, token: str) -> AccountClaims:
    entries = list(claims.nats.imports)
    entries[index] = msgspec.structs.replace(entries[index], token=token)
    return with_body(claims, imports=tuple(entries))


def _share(account: AccountDraft, **fields: object) -> None:
    account.after = with_body(account.after, **fields)


def _matched(parts: list[tuple[ImportPart, PublicKey]], present: tuple[Import, ...]) -> list[int | None]:
    """Which present import each declared one is, by its place.

    The local subject tells twins apart. Where one of each is left over they are the same import,
    moved, and not a new one beside the old.
    """
    found: list[int | None] = [None] * len(parts)
    for exact in (True, False):
        for index, (part, source) in enumerate(parts):
            if found[index] is not None:
                continue
            same = [
                place
                for place, entry in enumerate(present)
                if place not in found and _like(entry, part, source)
            ]
            if exact and part.local_subject is not None:
                same = [place for place in same if present[place].local_subject == part.local_subject]
            elif len(same) > 1 or _rivals(parts, found, part, source) > 1:
                continue
            if same:
                found[index] = same[0]
    return found


def _like(entry: Import, part: ImportPart, source: PublicKey) -> bool:
    return (entry.type, entry.subject, entry.account) == (part.kind, part.subject, source)


def _rivals(
    parts: list[tuple[ImportPart, PublicKey]], found: list[int | None], part: ImportPart, source: PublicKey
) -> int:
    """How many declared imports could still be the same present one."""
    return sum(
        (other.kind, other.subject, its) == (part.kind, part.subject, source) and place is None
        for (other, its), place in zip(parts, found, strict=True)
    )


def _import(account: AccountDraft, part: ImportPart, source: PublicKey, present: Import | None) -> Import:
    entry = present or Import(
        name=part.subject, subject=Subject(part.subject), account=source, type=part.kind
    )
    fields = spoken(
        {
            "local_subject": part.local_subject,
            "name": part.name,
            "share": part.share,
            "allow_trace": part.allow_trace,
        }
    )
    if part.token is not None:
        fields["token"] = _given(part, account.public, source)
    return msgspec.structs.replace(entry, **fields)


def _given(part: ImportPart, importer: PublicKey, source: PublicKey) -> str:
    try:
        verified = decode(part.token or "", ActivationClaims)
    except PeerError as error:
        raise part.where.fault(f"the token {error.message}") from None
    claims = verified.claims
    if claims.sub != importer:
        raise part.where.fault(f"the token is for account {claims.sub}")
    if (claims.nats.issuer_account or claims.iss) != source:
        raise part.where.fault("the token is another account's than from: says")
    if claims.nats.share != part.kind or not covers(claims.nats.subject, part.subject):
        raise part.where.fault(f"the token is for {claims.nats.share} {claims.nats.subject!r}")
    return str(verified.token)


def _fault(
    entry: Import, importer: PublicKey, exporter: AccountClaims, export: Export, now: int, *, strict: bool
) -> str | None:
    """Why an import's activation does not hold, or None."""
    if not entry.token:
        return "missing"
    try:
        claims = decode(entry.token, ActivationClaims).claims
    except PeerError:
        return "unreadable"
    signers = {*exporter.signing_keys(), *(() if strict else (exporter.sub,))}
    if claims.iss not in signers:
        return "signed by a key that may not"
    if claims.sub != importer or claims.nats.share != entry.type:
        return "for something else"
    if not covers(claims.nats.subject, entry.subject):
        return "for something else"
    if cut_off(export.revocations, importer, claims.iat):
        return "revoked"
    if claims.exp and claims.exp <= now:
        return "expired"
    return None


def _expiry(token: str) -> int:
    try:
        return decode(token, ActivationClaims).claims.exp if token else 0
    except PeerError:
        return 0


def _destinations(
    present: tuple[WeightedMapping, ...], wanted: tuple[WeightedMapping, ...]
) -> tuple[WeightedMapping, ...]:
    """The destinations wanted; those that say the same stay as they were written (0 is 100)."""

    def meaning(entry: WeightedMapping) -> tuple[str, int, str]:
        return (entry.subject, entry.weight or 100, entry.cluster)

    if sorted(map(meaning, present)) == sorted(map(meaning, wanted)):
        return present
    return wanted
