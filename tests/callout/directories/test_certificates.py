"""Client certificates: whose they are, and everything that makes them nobody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.certificate_fields import pin_of, spiffe_fault
from callout.directories.certificates import CertificateDirectory, CertificateSettings, Rule
from callout.directories.directory import Credentials
from callout.directories.reading import DirectorySettingsError
from callout.refusals import Reason
from issuer.grants import Kind
from tests.callout.directories.asking import NOW, identity, reason, refusal
from tests.callout.directories.authorities import DAY, SERVER, Authority, name_of, new_key, pem, uri, written

CA = Authority(NOW)
OTHER = Authority(NOW, name=name_of("another authority"))
SPIFFE = "spiffe://grid.example/site/north/gateway"


def of(*, by: Rule = Rule.COMMON_NAME, withdrawn_by: Any = None, **settings: Any) -> CertificateDirectory:
    given = {"name": "tls", "issuers": (CA.pin,), "identity": by, **settings}
    return CertificateDirectory(CertificateSettings(**given), withdrawn_by)


def spiffe(**settings: Any) -> CertificateDirectory:
    return of(by=Rule.SPIFFE, trust_domain="grid.example", **settings)


def shown(*chain: x509.Certificate, **members: Any) -> Credentials:
    return Credentials(certificates=pem(*chain), **members)


def issued(**how: Any) -> Credentials:
    return shown(CA.issue(**how), CA.certificate)


# --- whose it is -------------------------------------------------------------------------------------


def test_by_its_common_name() -> None:
    leaf = CA.issue(subject=name_of("gateway 7"))
    found = identity(of(), shown(leaf, CA.certificate))
    assert (found.issuer, found.name, found.subject) == ("certificates:tls", "gateway 7", pin_of(leaf))
    assert (found.kind, found.methods, found.directory) == (Kind.DEVICE, ("pop",), "tls")
    assert (found.authenticated_at, found.expires_at) == (int(NOW), int(NOW) + DAY)
    assert found.credential == leaf.fingerprint(hashes.SHA256()).hex()[:32]


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        (Rule.URI, uri("urn:dev:ops:32473-gateway-7"), "urn:dev:ops:32473-gateway-7"),
        (Rule.DNS, x509.DNSName("gw7.grid.example"), "gw7.grid.example"),
        (Rule.EMAIL, x509.RFC822Name("ann@grid.example"), "ann@grid.example"),
    ],
)
def test_by_an_alternative_name(rule: Rule, name: x509.GeneralName, expected: str) -> None:
    other = x509.DNSName("x.example") if rule is not Rule.DNS else uri("urn:x")
    found = identity(of(by=rule, identity_kind=Kind.PERSON), issued(names=(other, name)))
    assert (found.name, found.kind) == (expected, Kind.PERSON)


def test_by_its_spiffe_id() -> None:
    found = identity(spiffe(subject="spiffe"), issued(names=(uri(SPIFFE),), subject=name_of()))
    assert found.subject == found.name == SPIFFE
    assert identity(spiffe(), issued(names=(uri(SPIFFE),))).subject != SPIFFE


def test_a_renewal_with_the_same_key_is_the_same_identity() -> None:
    key = new_key()
    one, other = (identity(of(), issued(key=key, lasts=lasts)) for lasts in (DAY, 9 * DAY))
    assert one.subject == other.subject
    assert one.credential != other.credential


def test_attributes() -> None:
    subject = name_of("x", organizational_unit=("north", "b"), country="AT")
    names = (x509.DNSName("gw.example"), uri("urn:x"))
    where = {"site": "subject.organizational-unit", "host": "san.dns", "land": "subject.country", "no": "serial", "mail": "san.email"}  # fmt: skip
    found = identity(of(attributes=where), issued(subject=subject, names=names, serial=0xBEEF))
    assert found.attributes == {"site": ("b", "north"), "host": "gw.example", "land": "AT", "no": "beef"}


def test_it_lasts_no_longer_than_the_whole_chain() -> None:
    middle = CA.intermediate(lasts=10 * DAY)
    chain = (middle.issue(lasts=30 * DAY), middle.certificate, CA.certificate)
    assert identity(of(issuers=(middle.pin,)), shown(*chain)).expires_at == int(NOW) + 10 * DAY


# --- who claims it -----------------------------------------------------------------------------------


def test_only_the_pinned_issuer_counts_not_what_is_above_it() -> None:
    middle = CA.intermediate()
    chain = (middle.issue(), middle.certificate, CA.certificate)
    assert not of().claims(shown(*chain))
    assert of(issuers=(middle.pin,)).claims(shown(*chain))


def test_what_another_authority_issued_is_not_claimed() -> None:
    assert not of().claims(shown(OTHER.issue(), OTHER.certificate))


def test_an_authority_of_the_same_name_is_another() -> None:
    double = Authority(NOW)
    assert double.name == CA.name
    assert not of().claims(shown(double.issue(), double.certificate))


def test_a_renewed_authority_with_the_same_key_is_the_same() -> None:
    renewed = Authority(NOW, key=CA.key, lasts=900 * DAY)
    assert identity(of(), shown(renewed.issue(), renewed.certificate))


@pytest.mark.parametrize("members", [{"password": "p"}, {"token": "t"}, {"nkey": "U"}])
def test_who_shows_something_else_besides_is_not_claimed(members: dict[str, str]) -> None:
    assert of().claims(issued())
    assert of().claims(msgspec.structs.replace(issued(), user="a label"))
    assert not of().claims(msgspec.structs.replace(issued(), **members))


@pytest.mark.parametrize(
    "certificates",
    [
        (),
        ("",),
        ("x",),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",) * 2,
        ("ä\udcff", "x"),
    ],
)
def test_who_shows_no_certificate_is_not_claimed(certificates: tuple[str, ...]) -> None:
    assert not of().claims(Credentials(certificates=certificates))


def test_a_certificate_without_its_chain_is_not_claimed_by_a_pin() -> None:
    assert not of().claims(shown(CA.issue()))


def test_a_certificate_without_its_chain_where_the_authority_itself_is_known(tmp_path: Path) -> None:
    directory = of(issuers=(), ca_file=written(tmp_path, "ca.pem", OTHER.certificate, CA.certificate))
    assert identity(directory, shown(CA.issue())).name == "device 7"
    assert not directory.claims(shown(Authority(NOW, name=name_of("third")).issue()))


def test_an_authority_whose_key_was_changed_under_its_old_name(tmp_path: Path) -> None:
    old = Authority(NOW)
    directory = of(issuers=(), ca_file=written(tmp_path, "ca.pem", CA.certificate, old.certificate))
    for authority in (CA, old):
        assert identity(directory, shown(authority.issue()))
    assert not directory.claims(shown(Authority(NOW).issue()))


# --- what makes it nobody's --------------------------------------------------------------------------


def test_a_pinned_key_that_did_not_sign_it_proves_nothing() -> None:
    forged = Authority(NOW).issue()
    assert forged.issuer == CA.name
    assert reason(of(), shown(forged, CA.certificate)) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"begins": 10}, Reason.CREDENTIALS_EARLY),
        ({"begins": -20, "lasts": -10}, Reason.CREDENTIALS_EXPIRED),
        ({"ca": True}, Reason.TOKEN_KIND),
        ({"usages": (SERVER,)}, Reason.TOKEN_KIND),
        ({"subject": name_of()}, Reason.CREDENTIALS_MALFORMED),
        ({"subject": name_of(("a", "b"))}, Reason.AMBIGUOUS),
        ({"subject": name_of("a\nb")}, Reason.CREDENTIALS_MALFORMED),
    ],
)
def test_what_is_refused(how: dict[str, Any], expected: Reason) -> None:
    assert reason(of(), issued(**how)) is expected


@pytest.mark.parametrize("how", [{"ca": None, "usages": ()}, {"usages": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}])  # fmt: skip
def test_what_is_not_said_of_its_use_forbids_nothing(how: dict[str, Any]) -> None:
    assert identity(of(), issued(**how))


def test_a_chain_that_has_ended_in_the_middle() -> None:
    middle = CA.intermediate(lasts=-10)
    chain = (middle.issue(), middle.certificate, CA.certificate)
    assert reason(of(issuers=(middle.pin,)), shown(*chain)) is Reason.CREDENTIALS_EXPIRED


@pytest.mark.parametrize("serial", ["be:ef", "BEEF", "0xbeef"])
def test_a_number_that_was_withdrawn(serial: str) -> None:
    directory = of(withdrawn=(serial,))
    assert reason(directory, issued(serial=0xBEEF)) is Reason.WITHDRAWN
    assert identity(directory, issued(serial=0xBEEE))


def test_a_ledger_of_withdrawn_certificates_is_asked_for_each_authority() -> None:
    class Ledger:
        def withdrawn(self, issuer: str, serial: int) -> bool:
            return (issuer, serial) == (CA.pin, 7)

    directory = of(withdrawn_by=Ledger(), issuers=(CA.pin, OTHER.pin))
    assert reason(directory, issued(serial=7)) is Reason.WITHDRAWN
    assert identity(directory, shown(OTHER.issue(serial=7), OTHER.certificate))


def test_two_names_of_the_kind_asked_for_leave_open_whose_it_is() -> None:
    names = (x509.DNSName("a.example"), x509.DNSName("b.example"))
    assert reason(of(by=Rule.DNS), issued(names=names)) is Reason.AMBIGUOUS


def test_a_svid_has_one_uri() -> None:
    assert reason(spiffe(), issued(names=(uri(SPIFFE), uri("urn:x")))) is Reason.AMBIGUOUS


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://other.example/site/north",
        "spiffe://grid.example.evil/x",
        "spiffe://GRID.example/x",
        "spiffe://grid.example",
        "spiffe://grid.example/",
        "spiffe://grid.example/a//b",
        "spiffe://grid.example/a/",
        "spiffe://grid.example/a/../b",
        "spiffe://grid.example/./b",
        "spiffe://grid.example:80/a",
        "spiffe://user@grid.example/a",
        "spiffe://grid.example/a?b",
        "spiffe://grid.example/a#",
        "spiffe://grid.example/a%20b",
        "SPIFFE://grid.example/a",
        "https://grid.example/a",
        "spiffe:grid.example/a",
    ],
)
def test_what_is_no_spiffe_id_of_the_trust_domain(text: str) -> None:
    found = refusal(spiffe(), issued(names=(uri(text),)))
    assert found.reason is Reason.AUDIENCE


@given(st.text(max_size=60))
def test_no_text_that_is_a_spiffe_id_widens_anything(path: str) -> None:
    if not spiffe_fault("spiffe://grid.example" + path, "grid.example"):
        assert path.startswith("/")
        assert all(part and part not in {".", ".."} for part in path[1:].split("/"))
        assert not set(path) & set("*>?#@% \t\n")


def test_too_long_a_chain() -> None:
    chain = (CA.issue(), *([CA.certificate] * 12))
    assert reason(of(), shown(*chain)) is Reason.CREDENTIALS_MALFORMED


def test_two_certificates_in_one_text_are_not_one() -> None:
    texts = pem(CA.issue(), CA.certificate)
    assert not of().claims(Credentials(certificates=("".join(texts), texts[1])))


@given(st.data())
def test_a_certificate_with_one_letter_changed_is_nobodys_or_as_it_was(data: st.DataObject) -> None:
    leaf, authority = pem(LEAF, CA.certificate)
    place = data.draw(st.integers(28, len(leaf) - 28))
    letter = data.draw(st.sampled_from("AZaz09+/="))
    changed = Credentials(certificates=(leaf[:place] + letter + leaf[place + 1 :], authority))
    if changed.certificates[0] != leaf and of().claims(changed):
        assert reason(of(), changed) in {Reason.UNKNOWN_KEY, Reason.CREDENTIALS_MALFORMED}


LEAF = CA.issue()


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"issuers": ()}, "issuers"),
        ({"issuers": ("x",)}, "issuers"),
        ({"issuers": ("A" * 64,)}, "issuers"),
        ({"withdrawn": ("zz",)}, "withdrawn"),
        ({"withdrawn": ("",)}, "withdrawn"),
        ({"attributes": {"a": "subject.nothing"}}, "attributes/a"),
        ({"attributes": {"a": "san"}}, "attributes/a"),
        ({"identity": Rule.SPIFFE}, "trust_domain"),
        ({"trust_domain": "x"}, "trust_domain"),
        ({"subject": "spiffe"}, "subject"),
    ],
)
def test_settings_that_cannot_stand(members: dict[str, Any], at: str) -> None:
    with pytest.raises(DirectorySettingsError) as refused:
        CertificateSettings(**{"name": "t", "issuers": (CA.pin,), "identity": Rule.DNS, **members})
    assert refused.value.at == at


@pytest.mark.parametrize("data", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"])  # fmt: skip
def test_a_file_of_authorities_that_cannot_be_used(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DirectorySettingsError):
        identity(of(issuers=(), ca_file=path), issued())
