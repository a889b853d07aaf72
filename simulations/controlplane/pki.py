"""Certificates and kubeconfigs of one local cluster: one CA, one certificate per identity.

Every component authenticates with its own client certificate, so that RBAC is as real as in
production: the common name is the user, the organisation is the group.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVICE_GROUP = "muster:service"
"""Group of the `muster` identity; bind the roles of `manifests/` to it to prove them."""

_LIFETIME = datetime.timedelta(days=365)
_LOOPBACK = ipaddress.ip_address("127.0.0.1")
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a certificate is for: `user` becomes the common name, `group` the organisation."""

    file: str
    user: str
    group: str | None = None
    server: bool = False


IDENTITIES = (
    Identity(file="server", user="kube-apiserver", server=True),
    Identity(file="etcd-client", user="kube-apiserver-etcd-client"),
    Identity(file="admin", user="kubernetes-admin", group="system:masters"),
    Identity(file="kube-scheduler", user="system:kube-scheduler"),
    Identity(file="kube-controller-manager", user="system:kube-controller-manager"),
    Identity(file="kwok", user="kwok"),
    Identity(file="muster", user="muster", group=SERVICE_GROUP),
)
"""Every certificate of a cluster; the files are `<file>.crt` and `<file>.key`."""


def issue(folder: Path) -> None:
    """Write CA, certificates and the service-account key into `folder`, unless they are there."""
    if (folder / "sa.key").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("muster-local-ca", None, authority_key, None, authority_key)
    _write(folder / "ca.crt", authority.public_bytes(serialization.Encoding.PEM))
    for identity in IDENTITIES:
        key = ec.generate_private_key(ec.SECP256R1())
        issued = _certificate(identity.user, identity, key, authority, authority_key)
        _write(folder / f"{identity.file}.crt", issued.public_bytes(serialization.Encoding.PEM))
        _write(folder / f"{identity.file}.key", _pem(key))
    # Written last: its presence says that the set is whole.
    _write(folder / "sa.key", _pem(ec.generate_private_key(ec.SECP256R1())))


def write_kubeconfig(path: Path, *, pki: Path, identity: str, server: str, cluster: str) -> None:
    """Write a kubeconfig with embedded certificates for a file name of `IDENTITIES`."""

    def data(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
            }
        ],
        "users": [
            {
                "name": identity,
                "user": {
                    "client-certificate-data": data(f"{identity}.crt"),
                    "client-key-data": data(f"{identity}.key"),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": identity}}],
        "current-context": cluster,
    }
    _write(path, json.dumps(config, indent=1).encode())  # JSON is YAML


def _certificate(
    common_name: str,
    identity: Identity | None,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if identity is not None and identity.group is not None:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    subject = x509.Name(names)
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=identity is None, path_length=None), critical=True)
        .add_extension(_usage(ca=identity is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if identity is not None:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if identity.server:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
            alternatives.append(x509.IPAddress(_LOOPBACK))
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    """Python 3.13 and newer refuse an authority that does not say that it may sign (RFC 5280, 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # kube-apiserver reads no PKCS8 public key
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """Keys must never be readable by others, not even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
