"""Acts on what accounts share: exports, imports, activations (claims spec §3.3, §3.4, §3.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.accounts import resign
from issuer.authority.changes import NO_VALIDITY, Validity, dated
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.signing import checked, head, user_signer
from issuer.claims.account import AccountClaims, Export, Import, ServiceLatency
from issuer.claims.exchange import ActivationClaims, new_activation
from issuer.claims.fields import with_body
from issuer.claims.operator import OperatorClaims
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, is_public, parse_public
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator
from issuer.subjects import Subject, covers
from issuer.tokens.envelope import Token, decode, encode, token_hash

Kind = Literal["stream", "service"]


@dataclass(frozen=True, slots=True)
class AddExport:
    """Offer a stream or service; `private` asks importers for an activation."""

    account: str
    subject: str
    kind: Kind = "stream"
    operator: str | None = None
    name: str | None = None
    private: bool = False
    response_type: str | None = None
    response_threshold: int | None = None
    latency: str | None = None
    sampling: int | None = None
    account_token_position: int | None = None
    advertise: bool = False
    allow_trace: bool = False
    description: str | None = None
    info_url: str | None = None


@dataclass(frozen=True, slots=True)
class EditExport:
    """A change to an export; None leaves a field as it is."""

    account: str
    subject: str
    kind: Kind | None = None
    operator: str | None = None
    name: str | None = None
    private: bool | None = None
    response_type: str | None = None
    response_threshold: int | None = None
    latency: str | None = None
    sampling: int | None = None
    remove_latency: bool = False
    account_token_position: int | None = None
    advertise: bool | None = None
    allow_trace: bool | None = None
    description: str | None = None
    info_url: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveExport:
    account: str
    subject: str
    kind: Kind | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class AddImport:
    """Take a stream or service from another account, or from whoever issued `token`."""

    account: str
    kind: Kind = "stream"
    operator: str | None = None
    source: str | None = None
    subject: str | None = None
    local_subject: str | None = None
    name: str | None = None
    token: str | None = None
    share: bool = False
    allow_trace: bool = False


@dataclass(frozen=True, slots=True)
class RemoveImport:
    account: str
    subject: str
    source: str | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class GenerateActivation:
    """Leave for one account to import a private subject of another."""

    account: str
    subject: str
    target: str
    service: bool = False
    operator: str | None = None
    validity: Validity = NO_VALIDITY


def add_export(turn: Turn, act: AddExport) -> Outcome:
    row, claims = _account(turn, act.operator, act.account)
    if _find_export(claims, act.subject, act.kind) is not None:
        raise AlreadyExists(f"{row.name!r} exports {act.kind} {act.subject!r} already", at="subject")
    # nsc names an export after its subject when nobody names it.
    fields = _export_fields(act, Export())
    export = Export(subject=Subject(act.subject), type=act.kind, **{"name": act.subject, **fields})
    return _resign(turn, row, claims, "export added", exports=(*claims.nats.exports, export))


def edit_export(turn: Turn, act: EditExport) -> Outcome:
    row, claims = _account(turn, act.operator, act.account)
    export = the_export(row, claims, act.subject, act.kind)
    changed = msgspec.structs.replace(export, **_export_fields(act, export))
    exports = tuple(changed if entry is export else entry for entry in claims.nats.exports)
    return _resign(turn, row, claims, "export changed", exports=exports)


def remove_export(turn: Turn, act: RemoveExport) -> Outcome:
    row, claims = _account(turn, act.operator, act.account)
    export = the_export(row, claims, act.subject, act.kind)
    exports = tuple(entry for entry in claims.nats.exports if entry is not export)
    return _resign(turn, row, claims, "export removed", exports=exports)


def add_import(turn: Turn, act: AddImport) -> Outcome:
    row, claims = _account(turn, act.operator, act.account)
    made = _import_by_token(turn, act, row) if act.token else _import_by_name(turn, act)
    twin = next(
        (
            entry
            for entry in claims.nats.imports
            if (entry.account, entry.subject, entry.type, entry.local_subject)
            == (made.account, made.subject, made.type, made.local_subject)
        ),
        None,
    )
    if twin is not None:
        raise AlreadyExists(f"{row.name!r} imports {made.type} {made.subject!r} already", at="subject")
    return _resign(turn, row, claims, "import added", imports=(*claims.nats.imports, made))


def remove_import(turn: Turn, act: RemoveImport) -> Outcome:
    row, claims = _account(turn, act.operator, act.account)
    source = account_key(turn, act.operator, act.source) if act.source else None
    gone = [
        entry
        for entry in claims.nats.imports
        if act.subject in {entry.subject, entry.local_subject} and (source is None or entry.account == source)
    ]
    if not gone:
        raise NotFound(f"account {row.name!r} does not import {act.subject!r}", at="subject")
    if len(gone) > 1:
        # Where one import's subject here is another's there, the name here is meant.
        gone = [entry for entry in gone if (entry.local_subject or entry.subject) == act.subject] or gone
    if len(gone) > 1:
        raise Refused(
            f"{len(gone)} imports of {row.name!r} fit {act.subject!r}", at="subject", hint="add --src-account"
        )
    imports = tuple(entry for entry in claims.nats.imports if entry is not gone[0])
    return _resign(turn, row, claims, "import removed", imports=imports)


def generate_activation(turn: Turn, act: GenerateActivation) -> Outcome:
    """Sign an activation for a private export.

    Raises:
        NotFound: nothing exported covers the subject.
        Refused: the export is public: no activation is needed.
    """
    operator = the_operator(turn.unit, act.operator)
    row, claims = _account(turn, act.operator, act.account)
    kind: Kind = "service" if act.service else "stream"
    export = next(
        (entry for entry in claims.nats.exports if entry.type == kind and covers(entry.subject, act.subject)),
        None,
    )
    if export is None:
        raise NotFound(f"account {row.name!r} exports no {kind} that covers {act.subject!r}", at="subject")
    if not export.token_req:
        raise Refused(f"{kind} {export.subject!r} is public: it needs no activation", at="subject")
    return sign_activation(
        turn,
        head(turn, "operator", operator.id).claims,
        claims,
        row.id,
        export,
        importer=PublicKey(account_key(turn, act.operator, act.target)),
        subject=act.subject,
        validity=act.validity,
    )


def sign_activation(
    turn: Turn,
    authority: OperatorClaims,
    exporter: AccountClaims,
    exporter_id: int,
    export: Export,
    *,
    importer: PublicKey,
    subject: str,
    validity: Validity = NO_VALIDITY,
) -> Outcome:
    """Sign and keep an activation of an export, dated after whatever revoked earlier ones."""
    signer, _ = user_signer(turn, authority, exporter, None)
    activation = new_activation(
        importer,
        Subject(subject),
        export.type,
        name=subject,
        exporter="" if signer.public == exporter.sub else exporter.sub,
    )
    activation = dated(activation, validity)
    findings = checked(activation, turn.now)
    floor = max(export.revocations.get(importer, 0), export.revocations.get("*", 0))
    issued_at = max(turn.now, floor + 1)
    if issued_at > turn.now:
        turn.notes.append(f"issued as of {issued_at}: activations up to the second before are revoked")
    signed = encode(activation, signer, now=issued_at)
    version = hierarchy.save_loose(
        turn.unit,
        exporter_id,
        "activation",
        jti=signed.claims.jti,
        sha256=token_hash(signed.token),
        iat=issued_at,
        exp=signed.claims.exp or None,
        issuer=signed.claims.iss,
        token=signed.token,
    )
    turn.record(
        EventCode.ACTIVATION_ISSUED,
        exporter.sub,
        targets=(importer,),
        after=version.sha256,
        artefacts=((version.jti, version.sha256),),
        detail={
            "subject": subject,
            "kind": export.type,
            "importer": importer,
            "expires": signed.claims.exp,
        },
    )
    return Outcome(
        EventCode.ACTIVATION_ISSUED,
        subject,
        importer,
        token=Token(signed.token),
        findings=findings,
        notes=tuple(turn.notes),
    )


def the_export(row: Account, claims: AccountClaims, subject: str, kind: Kind | None) -> Export:
    """The export of that subject; the kind matters only where both exist."""
    found = [
        entry
        for entry in claims.nats.exports
        if entry.subject == subject and (kind is None or entry.type == kind)
    ]
    if not found:
        raise NotFound(f"account {row.name!r} does not export {subject!r}", at="subject")
    if len(found) > 1:
        raise Refused(f"{subject!r} is exported as stream and as service", at="subject", hint="say which")
    return found[0]


def account_key(turn: Turn, operator: str | None, ref: str) -> str:
    """The public key of an account, which may be another operator's."""
    if is_public(ref, Role.ACCOUNT):
        return ref
    return the_account(turn.unit, the_operator(turn.unit, operator), ref).public


def _account(turn: Turn, operator: str | None, account: str) -> tuple[Account, AccountClaims]:
    found: Operator = the_operator(turn.unit, operator)
    row = the_account(turn.unit, found, account)
    return row, head(turn, "account", row.id).claims


def _resign(turn: Turn, row: Account, claims: AccountClaims, what: str, **fields: Any) -> Outcome:
    return resign(turn, row, claims, with_body(claims, **fields), what)


def _find_export(claims: AccountClaims, subject: str, kind: Kind) -> Export | None:
    return next((e for e in claims.nats.exports if e.subject == subject and e.type == kind), None)


def _export_fields(act: AddExport | EditExport, export: Export) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in (
        "name",
        "response_type",
        "response_threshold",
        "account_token_position",
        "advertise",
        "allow_trace",
        "description",
        "info_url",
    ):
        value = getattr(act, name)
        if value is not None:
            fields[name] = value
    if act.private is not None:
        fields["token_req"] = act.private
    latency = export.service_latency
    if act.latency is not None or act.sampling is not None:
        latency = latency or ServiceLatency()
        if act.latency is not None:
            latency = msgspec.structs.replace(latency, results=act.latency)
        if act.sampling is not None:
            # 0 is how the library spells "when a header asks for it" (claims spec §3.3).
            latency = msgspec.structs.replace(latency, sampling=act.sampling or "headers")
        fields["service_latency"] = latency
    if isinstance(act, EditExport) and act.remove_latency:
        fields["service_latency"] = None
    return fields


def _import_by_token(turn: Turn, act: AddImport, row: Account) -> Import:
    activation = decode(act.token or "", ActivationClaims, now=turn.now)
    claims = activation.claims
    if claims.sub != row.public:
        raise Refused(f"the activation is for account {claims.sub}, not for {row.name!r}", at="token")
    subject = Subject(act.subject or claims.nats.subject)
    return Import(
        name=act.name or claims.name or subject,
        subject=subject,
        account=claims.nats.issuer_account or claims.iss,
        token=activation.token,
        local_subject=Subject(act.local_subject or ""),
        type=claims.nats.share,
        share=act.share,
        allow_trace=act.allow_trace,
    )


def _import_by_name(turn: Turn, act: AddImport) -> Import:
    if not act.source or not act.subject:
        raise Refused(
            "an import needs the exporting account and its subject",
            at="--src-account",
            hint="or an activation token: --token FILE",
        )
    source = account_key(turn, act.operator, act.source)
    parse_public(source, Role.ACCOUNT, at="--src-account")
    return Import(
        name=act.name or act.subject,
        subject=Subject(act.subject),
        account=source,
        local_subject=Subject(act.local_subject or ""),
        type=act.kind,
        share=act.share,
        allow_trace=act.allow_trace,
    )
