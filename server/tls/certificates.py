"""Certificates for a cluster: an authority, and what it signs for servers, nodes and people (spec cluster §16).

The role of a certificate is a name in it: `server.REGION.DOMAIN`, `client.REGION.DOMAIN`, `cli.REGION.DOMAIN`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from yurt.fsm.errors import YurtError

SERVER, CLIENT, CLI = "server", "client", "cli"
_BACKDATED = timedelta(minutes=1)  # clocks differ a little


class BadCertificate(YurtError):
    """A file is not what it should be, or certificate and key do not belong together."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


def make_authority(
    now: datetime,
    *,
    days: int,
    common_name: str,
    organization: str,
    permitted: Sequence[str] = (),
) -> Issued:
    """An authority that signs itself; `permitted` are the only domains it may sign for, if any are given.

    Raises `BadCertificate` for a domain that is not ASCII.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, organization)
    builder = (
        _builder(name, name, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    if permitted:
        constraints = x509.NameConstraints([_dns_name(one) for one in permitted], None)
        builder = builder.add_extension(constraints, critical=True)
    return _signed(builder, key, key)


def make_certificate(
    authority: Issued,
    now: datetime,
    *,
    role: str,
    region: str,
    domain: str,
    days: int,
    dns_names: Sequence[str] = (),
    addresses: Sequence[str] = (),
) -> Issued:
    """A certificate of the authority for a role, `localhost` and 127.0.0.1, and for more names and IP addresses.

    Raises `BadCertificate` if the authority's files do not do or a name or an address is none.
    """
    issuer, issuer_key = _authority(authority)
    if now + timedelta(days=days) > issuer.not_valid_after_utc:
        raise BadCertificate(
            f"the authority's own certificate ends on {issuer.not_valid_after_utc:%Y-%m-%d}, before the {days} days "
            "of the new one are over; give fewer days"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"{role}.{region}.{domain}"
    names = list(dict.fromkeys((name, "localhost", *dns_names)))
    try:
        numbers = [ipaddress.ip_address(one) for one in dict.fromkeys(("127.0.0.1", *addresses))]
    except ValueError as error:
        raise BadCertificate(str(error)) from None
    alternatives = [*map(_dns_name, names), *map(x509.IPAddress, numbers)]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role != CLI:
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(_name(name), issuer.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return _signed(builder, key, issuer_key)


def _dns_name(text: str) -> x509.DNSName:
    try:
        return x509.DNSName(text)
    except ValueError:
        raise BadCertificate(f"{text} is no name for a certificate: write it in ASCII, as xn--…") from None


def describe(pem: bytes) -> dict[str, object]:
    """Describe a certificate: `Subject`, `Issuer`, `SerialNumber`, `NotBefore`, `NotAfter` (RFC 3339), `DNSNames`,
    `IPAddresses`, `IsAuthority`, `PermittedDomains`. Raise `BadCertificate`.
    """
    found = _certificate(pem)
    extensions = found.extensions
    try:
        alternatives = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
        addresses = [str(one) for one in alternatives.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names, addresses = [], []
    try:
        permitted = extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        permitted = []
    return {
        "Subject": found.subject.rfc4514_string(),
        "Issuer": found.issuer.rfc4514_string(),
        "SerialNumber": f"{found.serial_number:x}",
        "NotBefore": found.not_valid_before_utc.isoformat(),
        "NotAfter": found.not_valid_after_utc.isoformat(),
        "DNSNames": names,
        "IPAddresses": addresses,
        "IsAuthority": _is_authority(found),
        "PermittedDomains": [one.value for one in permitted if isinstance(one, x509.DNSName)],
    }


def _name(common_name: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signing: ec.EllipticCurvePrivateKey
) -> Issued:
    certificate = builder.sign(signing, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Issued(certificate.public_bytes(serialization.Encoding.PEM), private)


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise BadCertificate("this is no certificate in PEM") from None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _authority(issued: Issued) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = _certificate(issued.certificate)
    try:
        key = serialization.load_pem_private_key(issued.key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadCertificate("the authority's key is no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadCertificate("the authority's key is not one of an elliptic curve, as `yurt tls ca create` makes them")
    if key.public_key() != certificate.public_key():
        raise BadCertificate("the authority's certificate and key do not belong together")
    if not _is_authority(certificate):
        raise BadCertificate("the certificate is not one of an authority; it may not sign others")
    return certificate, key
