"""`yurt tls ca|cert create|info`: certificates for a cluster that speaks TLS (spec cluster §16)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from yurt.server.cli.options import as_json
from yurt.server.cli.output import fail, pairs, print_json
from yurt.server.tls.certificates import (
    CLI,
    CLIENT,
    SERVER,
    BadCertificate,
    Issued,
    describe,
    make_authority,
    make_certificate,
)

DAYS = click.IntRange(1, 36_500)


@click.group()
def tls() -> None:
    """Create certificates for HTTPS and for the connections between servers."""


@tls.group()
def ca() -> None:
    """Manage the authority that signs a cluster's certificates."""


@tls.group()
def cert() -> None:
    """Manage certificates of servers, nodes and users."""


@ca.command(name="create")
@click.option("--days", type=DAYS, default=1825, show_default=True, help="Days of validity.")
@click.option("--domain", default="nomad", show_default=True, help="Last part of the names that the authority signs.")
@click.option("--common-name", default="", help="Common name of the authority.")
@click.option("--organization", default="Yurt", show_default=True, help="Organization of the authority.")
@click.option("--name-constraint", is_flag=True, help="Limit the authority to the domain and localhost.")
@click.option("--additional-domain", multiple=True, help="Further domain to allow, with -name-constraint; repeatable.")
def ca_create(
    days: int, domain: str, common_name: str, organization: str, name_constraint: bool, additional_domain: Sequence[str]
) -> None:
    """Create an authority: DOMAIN-agent-ca.pem and DOMAIN-agent-ca-key.pem in this directory."""
    if additional_domain and not name_constraint:
        fail("Error: -additional-domain needs -name-constraint; without it the authority signs for every domain")
    permitted = (domain, "localhost", *additional_domain) if name_constraint else ()
    try:
        made = make_authority(
            datetime.now(UTC),
            days=days,
            common_name=common_name or f"Yurt Agent CA {os.urandom(8).hex()}",
            organization=organization,
            permitted=permitted,
        )
    except BadCertificate as error:
        fail(f"Error: {error}")
    _store(made, f"{domain}-agent-ca", "CA Certificate")


@cert.command(name="create")
@click.option("--server", "role", flag_value=SERVER, help="Create a server's certificate.")
@click.option("--client", "role", flag_value=CLIENT, help="Create a node's certificate.")
@click.option("--cli", "role", flag_value=CLI, help="Create a certificate for users and programs of the API.")
@click.option("--ca", "ca_file", default="", help="The authority's certificate [DOMAIN-agent-ca.pem].")
@click.option("--key", "key_file", default="", help="The authority's key [DOMAIN-agent-ca-key.pem].")
@click.option("--days", type=DAYS, default=365, show_default=True, help="Days of validity.")
@click.option("--region", default="global", show_default=True, help="Region in the certificate's name.")
@click.option(
    "--domain", default="nomad", show_default=True, help="Last part of the certificate's name; agents look for `nomad`."
)
@click.option("--additional-dnsname", multiple=True, help="Further DNS name; repeatable.")
@click.option("--additional-ipaddress", multiple=True, help="Further IP address; repeatable.")
def cert_create(
    role: str | None,
    ca_file: str,
    key_file: str,
    days: int,
    region: str,
    domain: str,
    additional_dnsname: Sequence[str],
    additional_ipaddress: Sequence[str],
) -> None:
    """Create a certificate: REGION-ROLE-DOMAIN.pem and REGION-ROLE-DOMAIN-key.pem in this directory."""
    if role is None:
        fail("Error: please provide one of -server, -client, -cli")
    authority = Issued(
        _read(ca_file or f"{domain}-agent-ca.pem"),
        _read(key_file or f"{domain}-agent-ca-key.pem"),
    )
    try:
        made = make_certificate(
            authority,
            datetime.now(UTC),
            role=role,
            region=region,
            domain=domain,
            days=days,
            dns_names=additional_dnsname,
            addresses=additional_ipaddress,
        )
    except BadCertificate as error:
        fail(f"Error: {error}")
    _store(made, f"{region}-{role}-{domain}", f"{role.capitalize() if role != CLI else 'CLI'} Certificate")


@ca.command(name="info")
@click.argument("file")
@as_json
def ca_info(file: str, as_json: bool) -> None:
    """Show the contents of an authority's certificate."""
    _show(file, as_json)


@cert.command(name="info")
@click.argument("file")
@as_json
def cert_info(file: str, as_json: bool) -> None:
    """Show the contents of a certificate."""
    _show(file, as_json)


def _show(file: str, as_json: bool) -> None:
    try:
        found = describe(_read(file))
    except BadCertificate as error:
        fail(f"Error: {file}: {error}")
    if as_json:
        print_json(found)
        return
    shown = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in found.items()]
    click.echo(pairs([(name, value) for name, value in shown if value != ""]))


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        fail(f"Error: cannot read {file}: {error.strerror}")


def _store(made: Issued, name: str, title: str) -> None:
    """Write both files, for their owner only the key; nothing that is there is overwritten."""
    files = ((f"{name}.pem", made.certificate, 0o644, title), (f"{name}-key.pem", made.key, 0o600, f"{title} key"))
    for file, *_ in files:
        if Path(file).exists():
            fail(f"Error: {file} is there already; nothing was written. Move it away, or go to another directory")
    for file, body, mode, what in files:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(body)
        except OSError as error:
            fail(f"Error: cannot write {file}: {error.strerror}")
        click.echo(f"==> {what} saved to: {file}")
